//! What may be sent again and what never: C-06, S-08, U-24 to U-27.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering;

use crate::support::gateway;
use crate::support::upstream;

/// A service that answers each connection's first request, then kills the connection at the second before any answer.
fn dies_at_the_second() -> upstream::Upstream {
    upstream::serve(|conn| {
        if conn.request().is_some() {
            conn.send(upstream::ok("ok"));
            conn.request();
        }
    })
}

#[test]
fn an_idempotent_request_on_a_connection_that_died_is_sent_again() {
    let service = dies_at_the_second();
    let gateway = gateway::before(&service);
    let mut client = gateway.client();
    for method in ["GET", "PUT", "DELETE", "OPTIONS", "GET"] {
        assert_eq!(client.call(method, "/", &[], "").status, 200, "{method}");
    }
}

#[test]
fn a_post_on_a_connection_that_died_is_not() {
    let service = dies_at_the_second();
    let gateway = gateway::before(&service);
    let mut client = gateway.client();
    client.call("POST", "/", &[], "1").with(200);
    let answer = client.call("POST", "/", &[], "2");
    if answer.status != 200 {
        answer.refused(502, "upstream.reset_reused");
    }
    let mut bodies: Vec<_> = service.seen().into_iter().map(|seen| seen.body).collect();
    bodies.sort();
    assert_eq!(bodies, [b"1", b"2"], "a POST went out twice");
}

#[test]
fn with_unsafe_or_an_idempotency_key_it_is() {
    let service = dies_at_the_second();
    let gateway = gateway::script(
        r#"
        upstream "unsafe" { "$UP", retry = { unsafe = true, budget = 1 } }
        route "POST /unsafe" { to = "unsafe" }
        route "POST /key" { to = "service" }
        "#,
    )
    .with("$UP", service.address())
    .service("service", &service)
    .start();
    let mut client = gateway.client();
    for _ in 0..4 {
        client.call("POST", "/unsafe", &[], "x").with(200);
    }
    for _ in 0..2 {
        client.call("POST", "/key", &[("idempotency-key", "k1")], "x").with(200);
    }
}

#[test]
fn unsent_requests_go_to_another_host_whatever_their_method() {
    let alive = upstream::says("alive");
    let gateway =
        gateway::script(r#"upstream "two" { "$DEAD", "$ALIVE", balance = "first" } route "/" { to = "two" }"#)
            .with("$DEAD", upstream::nobody())
            .with("$ALIVE", alive.address())
            .start();
    for method in ["GET", "POST", "PATCH"] {
        assert_eq!(gateway.call(method, "/", &[], "x").with(200).text(), "alive");
    }
    assert!(alive.seen().iter().all(|seen| seen.body == b"x"));
}

#[test]
fn statuses_are_retried_for_idempotent_requests_within_the_budget() {
    let tries = Arc::new(AtomicUsize::new(0));
    let service = upstream::answers({
        let tries = Arc::clone(&tries);
        move |_| match tries.fetch_add(1, Ordering::SeqCst) % 2 {
            0 => upstream::answer(503, &[], "not yet"),
            _ => upstream::ok("now"),
        }
    });
    let gateway = gateway::script(
        r#"
        upstream "lenient" { "$UP", retry = { times = 1, backoff = "1ms..2ms", budget = 1 } }
        upstream "strict" { "$UP", retry = { times = 0 } }
        route "/lenient" { to = "lenient" }
        route "/strict" { to = "strict" }
        "#,
    )
    .with("$UP", service.address())
    .start();
    assert_eq!(gateway.get("/lenient").with(200).text(), "now");
    assert_eq!(gateway.call("PUT", "/lenient", &[], "body").with(200).text(), "now");
    assert!(service.seen().iter().filter(|seen| seen.method == "PUT").all(|seen| seen.body == b"body"));
    assert_eq!(gateway.call("POST", "/lenient", &[], "x").with(503).text(), "not yet");
    tries.store(0, Ordering::SeqCst);
    gateway.get("/strict").with(503);
}

#[test]
fn a_failing_service_is_not_flooded_with_retries() {
    let service = upstream::answers(|_| upstream::answer(503, &[], ""));
    let gateway = gateway::script(
        r#"upstream "service" { "$UP", retry = { times = 3, budget = 0.2, backoff = "1ms..1ms" } } route "/" { to = "service" }"#,
    )
    .with("$UP", service.address())
    .start();
    let mut client = gateway.client();
    for _ in 0..200 {
        client.get("/").with(503);
    }
    let calls = service.calls();
    assert!((200..=260).contains(&calls), "{calls} calls for 200 requests");
}

#[test]
fn nothing_is_retried_once_the_answer_has_begun() {
    let service = upstream::serve(|conn| {
        conn.request();
        conn.send("HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nbegun");
    });
    let gateway = gateway::before(&service);
    let mut client = gateway.client();
    client.send("GET / HTTP/1.1\r\nhost: x\r\n\r\n");
    let text = String::from_utf8(client.rest()).unwrap();
    assert!(text.ends_with("begun"), "{text}");
    assert_eq!(service.calls(), 1);
}

/// C-06 in short: a service that closes each connection right after answering.
fn posts(options: &str, count: usize) -> (usize, usize) {
    let service = upstream::serve(|conn| {
        if conn.request().is_some() {
            conn.send(upstream::ok("ok"));
        }
    });
    let gateway =
        gateway::script(&format!(r#"upstream "service" {{ "$UP", {options} }} route "/" {{ to = "service" }}"#))
            .with("$UP", service.address())
            .start();
    let failed = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for thread in 0..4 {
            let (gateway, failed) = (&gateway, &failed);
            scope.spawn(move || {
                let mut client = gateway.client();
                for n in 0..count / 4 {
                    let answer = client.call("POST", "/", &[], format!("{thread}-{n}"));
                    failed.fetch_add(usize::from(answer.status != 200), Ordering::SeqCst);
                }
            });
        }
    });
    let mut times = HashMap::new();
    for seen in service.seen() {
        *times.entry(seen.body).or_insert(0) += 1;
    }
    let doubles = times.values().filter(|&&n| n > 1).count();
    (failed.into_inner(), doubles)
}

#[test]
fn posts_to_a_service_that_closes_after_each_answer_are_never_doubled() {
    let (failed, doubles) = posts("", 2_000);
    assert_eq!(doubles, 0);
    assert!(failed <= 2, "{failed} of 2000 failed");
}

#[test]
fn with_unsafe_none_of_them_fails() {
    let (failed, _) = posts("retry = { unsafe = true, times = 3, budget = 1 }", 2_000);
    assert_eq!(failed, 0);
}

#[test]
#[ignore = "the whole of it, for scripts/test --long"]
fn a_hundred_thousand_posts() {
    let (failed, doubles) = posts("", 100_000);
    println!("100000 posts: {failed} failed, {doubles} doubled");
    assert!(doubles == 0 && failed < 100);
    assert_eq!(posts("retry = { unsafe = true, times = 3, budget = 1 }", 100_000).0, 0);
}
