//! Limits and time: sizes (413, 414, 431), slow and silent clients, slow services.

use std::time::Duration;

use moongate::clock::Clock;

use crate::support::client::Client;
use crate::support::gateway;
use crate::support::upstream;
use crate::support::wait;

/// Turns the clock in small steps until `client` is closed or answered; the time it took on that clock.
fn turn_until_something(clock: &Clock, client: &mut Client, most: u64) -> Duration {
    let mut turned = Duration::ZERO;
    while client.silent(Duration::from_millis(5)) {
        assert!(turned < Duration::from_secs(most), "nothing happened in {most} seconds");
        clock.advance(Duration::from_millis(250));
        turned += Duration::from_millis(250);
    }
    turned
}

fn clock() -> Clock {
    Clock::fake(Duration::from_secs(1_800_000_000))
}

#[test]
fn sizes_have_limits_and_each_names_its_status() {
    let gateway = gateway::script(
        r#"
        gateway { limits = { body = "10KB", headers = "4KB", header_count = 20, uri = "1KB" } }
        route "/{rest*}" { function(req) return { text = tostring(#req:text()) } end }
        "#,
    )
    .start();
    gateway.get(&format!("/{}", "a".repeat(1000))).with(200);
    gateway.get(&format!("/{}", "a".repeat(1100))).refused(414, "request.uri_too_long");
    let long = "v".repeat(5000);
    let answer = gateway.call("GET", "/", &[("x-long", &long)], "");
    answer.refused(431, "request.headers_too_large");
    let crumbs = "a=b; ".repeat(2000);
    gateway.call("GET", "/", &[("cookie", &crumbs)], "").refused(431, "request.headers_too_large");
    let many: Vec<_> = (0..30).map(|n| format!("x-{n}")).collect();
    let many: Vec<_> = many.iter().map(|name| (name.as_str(), "1")).collect();
    gateway.call("GET", "/", &many, "").refused(431, "request.headers_too_large");
    assert_eq!(gateway.call("POST", "/", &[], vec![b'x'; 10 << 10]).text(), "10240");
    gateway.call("POST", "/", &[], vec![b'x'; (10 << 10) + 1]).refused(413, "body.too_large");
    let chunk = format!("1000\r\n{}\r\n", "x".repeat(0x1000));
    gateway
        .raw(format!("POST / HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n{}0\r\n\r\n", chunk.repeat(3)))
        .refused(413, "body.too_large");
}

#[test]
fn a_head_that_never_ends_is_refused_at_the_limit_not_gathered() {
    let gateway = gateway::script(r#"route "/{rest*}" { function() return 204 end }"#).start();
    for start in ["GET /", "GET / HTTP/1.1\r\nx: ", "GET / HTTP/1.1\r\n"] {
        let mut client = gateway.client();
        client.try_send(start);
        let piece = if start.ends_with("\r\n") { "a: b\r\n".repeat(1000) } else { "a".repeat(6000) };
        let mut sent = 0;
        while client.try_send(&piece) && sent < 4 << 20 {
            sent += piece.len();
        }
        let text = String::from_utf8_lossy(&client.rest()).into_owned();
        assert!(text.is_empty() || text.starts_with("HTTP/1.1 414") || text.starts_with("HTTP/1.1 431"), "{text}");
        assert!(sent < 4 << 20 || !text.is_empty(), "{sent} bytes of head were taken");
    }
}

#[test]
fn silent_and_slow_heads_are_ended_by_the_header_timeout() {
    let clock = clock();
    let gateway = gateway::script(r#"gateway { header_timeout = "2s" } route "/" { function() return 204 end }"#)
        .clock(&clock)
        .start();
    for start in ["", "G", "GET / HTTP/1.1\r\nhost: x\r\n"] {
        let mut client = gateway.client();
        client.send(start);
        let took = turn_until_something(&clock, &mut client, 20);
        assert!((2..5).contains(&took.as_secs()), "{start:?} was ended after {took:?}");
        let text = String::from_utf8(client.rest()).unwrap();
        assert!(text.is_empty() || text.starts_with("HTTP/1.1 408"), "{text}");
    }
}

#[test]
fn a_dripping_head_gains_no_time() {
    let clock = clock();
    let gateway = gateway::script(r#"gateway { header_timeout = "2s" } route "/" { function() return 204 end }"#)
        .clock(&clock)
        .start();
    let mut client = gateway.client();
    client.send("GET / HTTP/1.1\r\nhost: x\r\n");
    let mut turned = Duration::ZERO;
    while client.silent(Duration::from_millis(5)) {
        client.try_send("a: b\r\n");
        clock.advance(Duration::from_millis(250));
        turned += Duration::from_millis(250);
        assert!(turned < Duration::from_secs(10), "a dripping head lives on");
    }
}

#[test]
fn idle_connections_are_closed_after_idle_and_not_before() {
    let clock = clock();
    let gateway =
        gateway::script(r#"gateway { idle = "5s" } route "/" { function() return 204 end }"#).clock(&clock).start();
    let mut client = gateway.client();
    client.get("/").with(204);
    let took = turn_until_something(&clock, &mut client, 60);
    assert!(client.closed(), "an idle connection is closed without a word");
    assert!((5..8).contains(&took.as_secs()), "{took:?}");
}

#[test]
fn a_body_that_stalls_is_ended_by_the_body_timeout() {
    let clock = clock();
    let gateway = gateway::script(
        r#"gateway { body_timeout = "3s" } route "POST /" { function(req) return { text = req:text() } end }"#,
    )
    .clock(&clock)
    .start();
    let mut client = gateway.client();
    client.send("POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 10\r\n\r\nhalf");
    let took = turn_until_something(&clock, &mut client, 60);
    assert!((3..6).contains(&took.as_secs()), "{took:?}");
    let text = String::from_utf8(client.rest()).unwrap();
    assert!(text.is_empty() || text.starts_with("HTTP/1.1 408"), "{text}");
}

#[test]
fn a_service_that_does_not_answer_is_504_in_time() {
    let clock = clock();
    let service = upstream::serve(|conn| {
        if conn.request().is_some() {
            conn.linger();
        }
    });
    let gateway = gateway::script(
        r#"
        upstream "response" { "$UP", timeout = { response = "2s" } }
        route "GET /response" { to = "response" }
        route "GET /route" { to = "response", timeout = "1s" }
        route "GET /step" { timeout "500ms", to = "response" }
        "#,
    )
    .with("$UP", service.address())
    .clock(&clock)
    .start();
    for (target, code, least, most) in [
        ("/response", "upstream.timeout", 2.0, 3.0),
        ("/route", "route.timeout", 1.0, 2.0),
        ("/step", "route.timeout", 0.5, 1.5),
    ] {
        let mut client = gateway.client();
        client.send(format!("GET {target} HTTP/1.1\r\nhost: x\r\n\r\n"));
        let calls = service.calls();
        wait::until("the call is under way", || service.calls() > calls || calls > 0);
        let took = turn_until_something(&clock, &mut client, 60).as_secs_f64();
        let answer = client.answer();
        assert_eq!(answer.status, 504, "{target}");
        assert_eq!(answer.problem(), code, "{answer:?}");
        assert!((least..=most).contains(&took), "{target} took {took}");
    }
}

#[test]
fn a_stream_that_stalls_is_cut_and_a_hard_end_ends_any_answer() {
    let clock = clock();
    let service = upstream::serve(|conn| {
        conn.request();
        conn.send("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n1\r\nx\r\n");
        conn.linger();
    });
    let gateway = gateway::script(
        r#"
        upstream "stalls" { "$UP", timeout = { idle = "2s" } }
        route "GET /idle" { to = "stalls" }
        route "GET /total" { to = "stalls", timeout = { head = "1s", total = "1s" } }
        "#,
    )
    .with("$UP", service.address())
    .clock(&clock)
    .start();
    for target in ["/idle", "/total"] {
        let mut client = gateway.client();
        client.send(format!("GET {target} HTTP/1.1\r\nhost: x\r\n\r\n"));
        let (mut answer, frame) = client.head();
        assert_eq!(client.piece(&mut answer, frame).unwrap(), b"x");
        turn_until_something(&clock, &mut client, 10);
        assert!(client.closed(), "{target} went on, or was passed off as whole");
    }
}

#[test]
fn what_a_step_may_buffer_is_bounded_and_what_passes_is_not() {
    let service = upstream::answers(|seen| upstream::ok(vec![b'y'; seen.body.len()]));
    let gateway = gateway::script(
        r#"
        gateway { limits = { buffer = "64KB" } }
        route "POST /pass" { to = "service" }
        route "POST /read" { function(req) return { text = tostring(#req:text()) } end }
        route "POST /back" { function(req, next) local res = next() return { text = tostring(#res:text()) } end, to = "service" }
        "#,
    )
    .service("service", &service)
    .start();
    let big = vec![b'x'; 1 << 20];
    assert_eq!(gateway.call("POST", "/pass", &[], &big).with(200).body.len(), 1 << 20);
    gateway.call("POST", "/read", &[], &big).refused(413, "body.too_large");
    assert_eq!(gateway.call("POST", "/read", &[], vec![b'x'; 64 << 10]).text(), "65536");
    gateway.call("POST", "/back", &[], &big).refused(502, "upstream.too_large");
}
