//! `cache` while an answer is on its way: one asks, the others wait or read along, nobody is held up for nothing.

use std::time::Duration;

use crate::caching::cached;
use crate::caching::clock;
use crate::caching::counting;
use crate::caching::seconds;
use crate::support::gateway;
use crate::support::upstream;
use crate::support::wait;

#[test]
fn a_thousand_who_ask_at_once_cost_the_service_one_call() {
    let service = upstream::serve(|conn| {
        while conn.request().is_some() {
            conn.hold();
            conn.send(upstream::answer(200, &[], "slow"));
        }
    });
    let gateway = gateway::script(&cached("\"1h\"")).service("s", &service).workers(2).start();
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..20)
            .map(|_| {
                scope.spawn(|| {
                    let mut clients: Vec<_> = (0..50).map(|_| gateway.client()).collect();
                    for client in &mut clients {
                        client.send("GET /a HTTP/1.1\r\nhost: x\r\n\r\n");
                    }
                    clients.into_iter().map(|mut client| client.answer()).collect::<Vec<_>>()
                })
            })
            .collect();
        wait::until("the service has the question", || service.calls() > 0);
        wait::until("all wait", || gateway.metric("http_server_active_requests") >= 1000.0);
        service.release();
        for thread in threads {
            for answer in thread.join().unwrap() {
                assert_eq!((answer.status, answer.text()), (200, "slow"));
            }
        }
    });
    assert_eq!(service.calls(), 1);
}

#[test]
fn what_is_for_one_client_only_makes_no_queue() {
    let service = upstream::serve(|conn| {
        while let Some(seen) = conn.request() {
            if seen.target == "/a" && seen.header("x-first").is_none() {
                conn.hold();
            }
            conn.send(upstream::answer(200, &[("cache-control", "private")], seen.header("x-who").unwrap_or_default()));
        }
    });
    let gateway = gateway::script(&cached("\"1h\"")).service("s", &service).workers(2).start();
    assert_eq!(gateway.call("GET", "/a", &[("x-first", "1"), ("x-who", "0")], "").text(), "0");
    let mut clients: Vec<_> = (0..20).map(|_| gateway.client()).collect();
    for (n, client) in clients.iter_mut().enumerate() {
        client.send(format!("GET /a HTTP/1.1\r\nhost: x\r\nx-who: {n}\r\n\r\n"));
    }
    wait::until("all of them are with the service at once", || service.calls() == 21);
    service.release();
    for (n, client) in clients.iter_mut().enumerate() {
        assert_eq!(client.answer().text(), n.to_string(), "each gets their own");
    }
}

#[test]
fn whoever_waits_for_an_answer_that_cannot_be_stored_is_let_go_at_once() {
    let service = upstream::serve(|conn| {
        while let Some(seen) = conn.request() {
            if seen.header("x-who") == Some("0") {
                conn.hold();
            }
            conn.send(upstream::answer(200, &[("set-cookie", "a=1")], seen.header("x-who").unwrap_or_default()));
        }
    });
    let gateway = gateway::script(&cached("\"1h\"")).service("s", &service).start();
    let mut first = gateway.client();
    first.send("GET /a HTTP/1.1\r\nhost: x\r\nx-who: 0\r\n\r\n");
    wait::until("it is asked for", || service.calls() == 1);
    let mut second = gateway.client();
    second.send("GET /a HTTP/1.1\r\nhost: x\r\nx-who: 1\r\n\r\n");
    assert!(second.silent(Duration::from_millis(50)), "it waits for the first");
    service.release();
    assert_eq!((first.answer().text(), second.answer().text()), ("0", "1"));
    assert_eq!(service.calls(), 2);
}

#[test]
fn an_answer_goes_on_when_the_client_who_asked_first_leaves() {
    let service = upstream::serve(|conn| {
        while conn.request().is_some() {
            conn.hold();
            conn.send(upstream::answer(200, &[], "late"));
        }
    });
    let gateway = gateway::script(&cached("\"1h\"")).service("s", &service).start();
    let mut first = gateway.client();
    first.send("GET /a HTTP/1.1\r\nhost: x\r\n\r\n");
    wait::until("it is asked for", || service.calls() == 1);
    let mut second = gateway.client();
    second.send("GET /a HTTP/1.1\r\nhost: x\r\n\r\n");
    first.reset();
    wait::until("the first is gone", || gateway.metric("moongate_failures_total{code=\"client.gone\"}") >= 1.0);
    service.release();
    let late = second.answer();
    assert_eq!((late.text(), late.header("cache-status")), ("late", Some("moongate; fwd=miss; collapsed")));
    assert_eq!((second.host("x").get("/a").text(), service.calls()), ("late", 1));
}

#[test]
fn bytes_stream_to_all_readers_while_they_arrive() {
    let service = upstream::serve(|conn| {
        while conn.request().is_some() {
            conn.send("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nfirst\r\n");
            conn.hold();
            conn.send("4\r\nlast\r\n0\r\n\r\n");
        }
    });
    let gateway = gateway::script(&cached("\"1h\"")).service("s", &service).workers(2).start();
    let mut clients: Vec<_> = (0..6).map(|_| gateway.client()).collect();
    for client in &mut clients {
        client.send("GET /a HTTP/1.1\r\nhost: x\r\n\r\n");
        let seen = String::from_utf8(client.until(b"first")).unwrap();
        assert!(seen.contains("200 OK"), "{seen}");
    }
    service.release();
    for client in &mut clients {
        assert!(String::from_utf8(client.until(b"0\r\n\r\n")).unwrap().contains("last"));
    }
    assert_eq!((gateway.client().host("x").get("/a").text(), service.calls()), ("firstlast", 1));
}

#[test]
fn a_body_that_breaks_off_is_cut_for_everyone_and_not_stored() {
    let service = upstream::serve(|conn| {
        if conn.request().is_some() && conn.number == 0 {
            conn.send("HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nhalf");
            conn.hold();
            return;
        }
        conn.send(upstream::ok("whole"));
        conn.linger();
    });
    let gateway = gateway::script(&cached("\"1h\"")).service("s", &service).start();
    let mut clients: Vec<_> = (0..3).map(|_| gateway.client()).collect();
    for client in &mut clients {
        client.send("GET /a HTTP/1.1\r\nhost: x\r\n\r\n");
        client.until(b"half");
    }
    service.release();
    for client in &mut clients {
        assert!(client.closed(), "no client takes half an answer for a whole one");
    }
    assert_eq!(gateway.get("/a").text(), "whole");
}

#[test]
fn what_grows_too_large_is_passed_on_and_not_stored() {
    let service = upstream::answers(|_| {
        let body = "x".repeat(300_000);
        let chunked = body
            .as_bytes()
            .chunks(30_000)
            .map(|piece| format!("{:x}\r\n{}\r\n", piece.len(), std::str::from_utf8(piece).unwrap()));
        format!("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n{}0\r\n\r\n", chunked.collect::<String>())
            .into_bytes()
    });
    let script = cached("{ \"1h\", max_size = \"64KB\" }");
    let gateway = gateway::script(&script).service("s", &service).start();
    for n in 1..=3 {
        assert_eq!((gateway.get("/a").body.len(), service.calls()), (300_000, n));
    }
}

#[test]
fn a_stale_answer_is_served_while_one_request_refreshes_it() {
    let service = upstream::serve(|conn| {
        if conn.request().is_some() {
            if conn.number > 0 {
                conn.hold();
            }
            conn.send(upstream::answer(200, &[("connection", "close")], format!("answer {}", conn.number + 1)));
        }
    });
    let clock = clock();
    let script = cached("{ \"10s\", stale = \"1m\" }");
    let gateway = gateway::script(&script).service("s", &service).clock(&clock).workers(2).start();
    assert_eq!(gateway.get("/a").text(), "answer 1");
    clock.advance(seconds(12));
    for _ in 0..5 {
        let stale = gateway.get("/a");
        assert_eq!((stale.text(), stale.header("cache-status")), ("answer 1", Some("moongate; hit; ttl=-2")));
    }
    wait::until("one refresh is under way", || service.calls() == 2);
    service.release();
    wait::until("the new one is served", || gateway.get("/a").text() == "answer 2");
    assert_eq!(service.calls(), 2);
}

#[test]
fn a_stale_answer_stands_in_for_a_service_that_fails() {
    let (fails, clock) = (std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false)), clock());
    let failing = std::sync::Arc::clone(&fails);
    let service = upstream::answers(move |_| match failing.load(std::sync::atomic::Ordering::SeqCst) {
        true => upstream::answer(503, &[], "down"),
        false => upstream::ok("up"),
    });
    let script = "route \"/{rest*}\" { cache { \"10s\", stale_if_error = \"1m\" }, to = \"s\", retry = { times = 0 } }";
    let gateway = gateway::script(script).service("s", &service).clock(&clock).start();
    assert_eq!(gateway.get("/a").text(), "up");
    fails.store(true, std::sync::atomic::Ordering::SeqCst);
    clock.advance(seconds(20));
    let stale = gateway.get("/a");
    assert_eq!((stale.status, stale.text(), stale.header("age")), (200, "up", Some("20")));
    clock.advance(seconds(60));
    assert_eq!(gateway.get("/a").status, 503, "its time to stand in is over");
}

#[test]
fn a_stale_answer_stands_in_for_a_service_that_is_gone() {
    let (service, clock) = (counting(&[]), clock());
    let script = cached("{ \"10s\", stale_if_error = \"1m\" }");
    let gateway = gateway::script(&script).service("s", &service).clock(&clock).start();
    gateway.client().host("x").get("/a").with(200);
    drop(service);
    clock.advance(seconds(20));
    let mut client = gateway.client();
    client.send("GET /a HTTP/1.1\r\nhost: x\r\n\r\n");
    while client.silent(Duration::from_millis(20)) {
        clock.advance(Duration::from_millis(100)); // the pauses between attempts
    }
    assert_eq!(client.answer().text(), "answer 1");
}
