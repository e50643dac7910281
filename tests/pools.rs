//! Connections to services: reused last in first out, bounded, dropped when old, dead or in doubt.

use std::time::Duration;

use moongate::clock::Clock;

use crate::support::gateway;
use crate::support::upstream;
use crate::support::wait;

#[test]
fn one_connection_serves_many_requests() {
    let service = upstream::says("ok");
    let gateway = gateway::before(&service);
    for _ in 0..50 {
        assert_eq!(gateway.get("/").text(), "ok");
    }
    assert_eq!(service.connections(), 1);
}

#[test]
fn the_connection_used_last_is_used_next() {
    let service = upstream::serve(|conn| {
        while let Some(seen) = conn.request() {
            if seen.target == "/slow" {
                std::thread::park_timeout(Duration::from_millis(100));
            }
            conn.send(upstream::ok(conn.number.to_string()));
        }
    });
    let gateway = gateway::before(&service);
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| gateway.get("/slow").with(200));
        }
    });
    let first = gateway.get("/").text().to_owned();
    for _ in 0..10 {
        assert_eq!(gateway.get("/").text(), first);
    }
    assert!(service.connections() <= 4);
}

#[test]
fn max_bounds_connections_and_the_others_wait_their_turn() {
    let service = upstream::serve(|conn| {
        while conn.request().is_some() {
            std::thread::park_timeout(Duration::from_millis(5));
            conn.send(upstream::ok("ok"));
        }
    });
    let gateway = gateway::script(r#"upstream "few" { "$UP", pool = { max = 3 } } route "/{rest*}" { to = "few" }"#)
        .with("$UP", service.address())
        .start();
    std::thread::scope(|scope| {
        for _ in 0..16 {
            scope.spawn(|| {
                let mut client = gateway.client();
                for _ in 0..5 {
                    assert_eq!(client.get("/").with(200).text(), "ok");
                }
            });
        }
    });
    assert!(service.connections() <= 3, "{} connections", service.connections());
    assert_eq!(service.calls(), 80);
}

#[test]
fn waiting_for_a_connection_ends_with_503_not_for_ever() {
    let clock = Clock::fake(Duration::from_secs(1_800_000_000));
    let service = upstream::serve(|conn| {
        if conn.request().is_some() {
            conn.linger();
        }
    });
    let gateway = gateway::script(
        r#"upstream "one" { "$UP", pool = { max = 1 }, timeout = { response = "60s" } } route "/" { to = "one", timeout = "60s" }"#,
    )
    .with("$UP", service.address())
    .clock(&clock)
    .start();
    let mut first = gateway.client();
    first.send("GET / HTTP/1.1\r\nhost: x\r\n\r\n");
    wait::until("the only connection is taken", || service.calls() == 1);
    let mut second = gateway.client();
    second.send("GET / HTTP/1.1\r\nhost: x\r\n\r\n");
    for _ in 0..300 {
        if !second.silent(Duration::from_millis(5)) {
            break;
        }
        clock.advance(Duration::from_millis(250));
    }
    let answer = second.answer();
    assert!(matches!(answer.status, 503 | 504), "{answer:?}");
}

#[test]
fn idle_and_old_connections_are_not_used_again() {
    let clock = Clock::fake(Duration::from_secs(1_800_000_000));
    let service = upstream::says("ok");
    let gateway = gateway::script(
        r#"upstream "service" { "$UP", pool = { idle = "4s", max_age = "10s" } } route "/{rest*}" { to = "service" }"#,
    )
    .with("$UP", service.address())
    .clock(&clock)
    .start();
    let mut client = gateway.client();
    for _ in 0..5 {
        client.get("/").with(200);
        clock.advance(Duration::from_secs(2));
    }
    assert_eq!(service.connections(), 1, "used every two seconds, it stays");
    client.get("/").with(200);
    assert_eq!(service.connections(), 2, "too old");
    clock.advance(Duration::from_secs(5));
    client.get("/").with(200);
    assert_eq!(service.connections(), 3, "idle too long");
    clock.advance(Duration::from_secs(30));
    wait::until("idle connections are closed though nobody asks", || {
        clock.advance(Duration::from_millis(200));
        service.open() == 0
    });
}

#[test]
fn a_keep_alive_timeout_of_the_peer_is_honoured() {
    let clock = Clock::fake(Duration::from_secs(1_800_000_000));
    let service = upstream::answers(|_| upstream::answer(200, &[("keep-alive", "timeout=2, max=100")], "ok"));
    let gateway =
        gateway::script(r#"upstream "service" { "$UP", pool = { idle = "60s" } } route "/" { to = "service" }"#)
            .with("$UP", service.address())
            .clock(&clock)
            .start();
    let mut client = gateway.client();
    client.get("/").with(200);
    clock.advance(Duration::from_millis(900));
    client.get("/").with(200);
    assert_eq!(service.connections(), 1);
    clock.advance(Duration::from_millis(1500));
    client.get("/").with(200);
    assert_eq!(service.connections(), 2);
}

#[test]
fn a_connection_the_service_closed_is_noticed_before_reuse() {
    let service = upstream::serve(|conn| {
        conn.request();
        conn.send(upstream::ok("ok"));
    });
    let gateway = gateway::before(&service);
    let mut client = gateway.client();
    for _ in 0..30 {
        assert_eq!(client.call("POST", "/", &[], "x").with(200).text(), "ok");
        wait::until("the service has closed", || service.open() == 0);
    }
    assert_eq!(service.calls(), 30);
}

#[test]
fn connection_close_of_the_service_is_believed() {
    let service = upstream::answers(|_| upstream::answer(200, &[("connection", "close")], "ok"));
    let gateway = gateway::before(&service);
    for _ in 0..5 {
        gateway.get("/").with(200);
    }
    assert_eq!(service.connections(), 5);
}

#[test]
fn an_upload_the_service_did_not_read_spoils_the_connection() {
    let service = upstream::serve(|conn| {
        while let Some(seen) = conn.head() {
            if seen.method == "POST" {
                conn.send(upstream::answer(403, &[], "no"));
                // Most of the body is never read; then the connection closes.
                conn.some();
                return;
            }
            conn.send(upstream::ok("ok"));
        }
    });
    let gateway = gateway::before(&service);
    for _ in 0..3 {
        let answer = gateway.call("POST", "/", &[], vec![b'G'; 2 << 20]);
        assert_eq!(answer.status, 403);
        assert_eq!(gateway.get("/").with(200).text(), "ok");
    }
    assert!(service.seen().iter().all(|seen| matches!(seen.method.as_str(), "GET" | "POST")));
}
