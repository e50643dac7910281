//! Passive ejection: a host that fails requests is left alone for a while, then tried by one.

use std::sync::Arc;
use std::sync::atomic::AtomicU16;
use std::sync::atomic::Ordering;
use std::time::Duration;

use moongate::clock::Clock;

use crate::support::gateway;
use crate::support::gateway::Gateway;
use crate::support::upstream;
use crate::support::upstream::Upstream;
use crate::support::wait;

fn clock() -> Clock {
    Clock::fake(Duration::from_secs(1_800_000_000))
}

/// A service that answers with a status that can be turned.
fn turned(status: u16) -> (Upstream, Arc<AtomicU16>) {
    let status = Arc::new(AtomicU16::new(status));
    let now = Arc::clone(&status);
    let service = upstream::answers(move |_| upstream::answer(now.load(Ordering::SeqCst), &[], ""));
    (service, status)
}

fn states(gateway: &Gateway) -> Vec<String> {
    let state = gateway.admin().get("/state").with(200).json();
    let hosts = state["upstreams"][0]["hosts"].as_array().unwrap().clone();
    hosts.iter().map(|host| host["state"].as_str().unwrap().to_owned()).collect()
}

const TWO: &str = r#"
upstream "s" { "$A", "$B", balance = "round_robin", eject = true, retry = { times = 0 } }
route "/{rest*}" { to = "s" }"#;

#[test]
fn five_failures_in_a_row_put_a_host_out_and_one_request_brings_it_back() {
    let clock = clock();
    let ((ill, status), (well, _)) = (turned(503), turned(200));
    let gateway =
        gateway::script(TWO).with("$A", ill.address()).with("$B", well.address()).clock(&clock).workers(2).start();
    wait::until("it is out", || {
        gateway.get("/");
        states(&gateway) == ["ejected", "up"]
    });
    assert_eq!(ill.calls(), 5);
    for _ in 0..20 {
        gateway.get("/").with(200);
    }
    gateway.reload().unwrap();
    assert_eq!(states(&gateway), ["ejected", "up"], "a reload is no pardon");
    assert_eq!(ill.calls(), 5);

    clock.advance(Duration::from_secs(30));
    assert_eq!(states(&gateway), ["half_open", "up"]);
    assert_eq!(gateway.get("/").status, 503, "the one that tries");
    assert!((0..20).all(|_| gateway.get("/").status == 200));
    assert_eq!((ill.calls(), states(&gateway)), (6, vec!["ejected".to_owned(), "up".to_owned()]));

    status.store(200, Ordering::SeqCst);
    clock.advance(Duration::from_secs(30));
    gateway.get("/").with(200);
    assert_eq!(states(&gateway), ["up", "up"]);
    (0..10).for_each(|_| drop(gateway.get("/").with(200)));
    assert!(ill.calls() >= 11, "it has its share again: {}", ill.calls());
}

#[test]
fn with_one_host_it_is_a_circuit_breaker_and_no_herd_comes_when_it_closes() {
    let clock = clock();
    let slow = Arc::new(AtomicU16::new(500));
    let now = Arc::clone(&slow);
    let service = upstream::serve(move |conn| {
        while conn.request().is_some() {
            let status = now.load(Ordering::SeqCst);
            if status == 200 {
                conn.hold();
            }
            conn.send(upstream::answer(status, &[], ""));
        }
    });
    let gateway = gateway::script(
        r#"upstream "s" { "$A", eject = { errors = 3, cooldown = "5s" }, retry = { times = 0 } } route "/" { to = "s" }"#,
    )
    .with("$A", service.address())
    .clock(&clock)
    .start();
    assert!((0..3).all(|_| gateway.get("/").status == 500));
    let open = gateway.get("/");
    assert_eq!((open.status, open.header("retry-after")), (503, Some("1")));
    assert!(open.text().contains("upstream.none_healthy"), "{}", open.text());
    assert_eq!(service.calls(), 3, "answered at once, without it");

    slow.store(200, Ordering::SeqCst);
    clock.advance(Duration::from_secs(5));
    let mut trial = gateway.client();
    trial.send("GET / HTTP/1.1\r\nhost: x\r\n\r\n");
    wait::until("it is tried", || service.calls() == 4);
    assert!((0..20).all(|_| gateway.get("/").status == 503));
    assert_eq!(service.calls(), 4);
    service.release();
    trial.answer().with(200);
    assert!((0..5).all(|_| gateway.get("/").status == 200));
}

#[test]
fn what_the_client_or_the_gateway_cuts_short_is_no_fault_of_the_host() {
    let clock = clock();
    let service = upstream::serve(|conn| {
        while let Some(seen) = conn.head() {
            if seen.method == "POST" {
                return conn.linger();
            }
            conn.hold();
            conn.send(upstream::ok(""));
        }
    });
    let gateway = gateway::script(
        r#"
upstream "s" { "$A", eject = { errors = 1 }, pool = { max = 1 }, retry = { times = 0 } }
route "/{rest*}" { to = "s" }
route "/short" { to = "s", timeout = "200ms" }"#,
    )
    .with("$A", service.address())
    .clock(&clock)
    .start();
    let mut leaves = gateway.client();
    leaves.send("POST /a HTTP/1.1\r\nhost: x\r\ncontent-length: 100\r\n\r\nhalf");
    wait::until("it has arrived", || service.calls() == 1);
    leaves.reset();
    wait::until("its connection is gone", || {
        clock.advance(Duration::from_millis(50));
        service.open() == 0
    });
    let mut holds = gateway.client();
    holds.send("GET /b HTTP/1.1\r\nhost: x\r\n\r\n");
    wait::until("the only connection is taken", || service.calls() == 2);
    let mut waits = gateway.client();
    waits.send("GET /short HTTP/1.1\r\nhost: x\r\n\r\n");
    wait::until("it has waited long enough", || {
        clock.advance(Duration::from_millis(50));
        !waits.silent(Duration::from_millis(5))
    });
    assert!(matches!(waits.answer().status, 503 | 504));
    assert_eq!(states(&gateway), ["up"]);
    service.release();
    holds.answer().with(200);
}

#[test]
fn a_share_of_failures_counts_among_enough_requests() {
    let clock = clock();
    let mixed = upstream::answers(|seen| upstream::answer(if seen.target == "/bad" { 500 } else { 200 }, &[], ""));
    let gateway = gateway::script(
        r#"
upstream "s" { "$A", eject = { ratio = 0.5, sample = 10 }, retry = { times = 0 } }
route "/{rest*}" { to = "s" }"#,
    )
    .with("$A", mixed.address())
    .clock(&clock)
    .start();
    let mut client = gateway.client();
    for n in 0..30 {
        client.get(if n % 3 == 0 { "/bad" } else { "/good" });
    }
    assert_eq!(states(&gateway), ["up"], "a third is not half");
    clock.advance(Duration::from_secs(11));
    for n in 0..10 {
        client.get(if n % 2 == 0 { "/good" } else { "/bad" });
    }
    assert_eq!(states(&gateway), ["ejected"]);
}

#[test]
fn a_host_nobody_reaches_is_out_while_retries_keep_clients_from_noticing() {
    let well = upstream::says("well");
    let gateway = gateway::script(
        r#"upstream "s" { "$A", "$B", balance = "round_robin", eject = { errors = 2 } } route "/" { to = "s" }"#,
    )
    .with("$A", upstream::nobody())
    .with("$B", well.address())
    .start();
    for _ in 0..30 {
        gateway.get("/").with(200);
    }
    assert_eq!(states(&gateway), ["ejected", "up"]);
    let state = gateway.admin().get("/state").with(200).json();
    let host = &state["upstreams"][0]["hosts"][0];
    assert_eq!(host["reason"], "2 errors in a row", "{host}");
    assert!(host["retry_in"].as_f64().unwrap() > 0.0, "{host}");
}

#[test]
fn failing_all_over_never_takes_out_more_than_most() {
    let clock = clock();
    let services: Vec<_> = (0..4).map(|_| turned(500).0).collect();
    let hosts: Vec<_> = services.iter().map(|service| format!("\"{}\"", service.address())).collect();
    let gateway = gateway::script(
        r#"upstream "s" { $HOSTS, balance = "round_robin", eject = { errors = 2 }, retry = { times = 0 } } route "/" { to = "s" }"#,
    )
    .with("$HOSTS", hosts.join(", "))
    .clock(&clock)
    .start();
    (0..60).for_each(|_| drop(gateway.get("/")));
    assert_eq!(states(&gateway).iter().filter(|state| *state == "ejected").count(), 2);
    assert!(services.iter().map(Upstream::calls).sum::<usize>() == 60, "somebody is always asked");
}

#[test]
fn an_answer_that_breaks_off_counts_and_one_that_its_client_leaves_does_not() {
    let clock = clock();
    let cuts = upstream::serve(|conn| {
        while let Some(seen) = conn.request() {
            match seen.target.as_str() {
                "/cut" => {
                    conn.send("HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nhalf");
                    return;
                }
                "/long" => {
                    conn.send("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n1\r\nx\r\n");
                    conn.linger();
                    return;
                }
                _ => drop(conn.send(upstream::ok("whole"))),
            }
        }
    });
    let gateway = gateway::script(
        r#"
        upstream "s" { "$A", "$B", balance = "first", eject = { errors = 3 }, retry = { times = 0 } }
        route "/{rest*}" { to = "s" }
        "#,
    )
    .with("$A", cuts.address())
    .with("$B", upstream::nobody())
    .clock(&clock)
    .start();
    let get = |target: &str| {
        let mut client = gateway.client();
        client.send(format!("GET {target} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n"));
        client
    };
    for _ in 0..6 {
        let mut client = get("/long");
        client.head();
        client.reset();
    }
    wait::until("nobody waits for them", || cuts.open() == 0);
    for _ in 0..2 {
        assert!(String::from_utf8_lossy(&get("/cut").rest()).ends_with("half"));
    }
    gateway.get("/").with(200);
    assert_eq!(states(&gateway), ["up", "up"], "a whole answer ends the row");
    for _ in 0..3 {
        get("/cut").rest();
    }
    wait::until("it is out", || states(&gateway) == ["ejected", "up"]);
}

#[test]
fn the_answer_of_a_service_stands_when_nobody_is_left_to_ask() {
    let clock = clock();
    let service = upstream::answers(|_| upstream::answer(503, &[("x-own", "1")], "back soon"));
    let gateway = gateway::script(
        r#"upstream "s" { "$A", eject = { errors = 1 }, retry = { times = 1, backoff = "0ms..0ms" } } route "/" { to = "s" }"#,
    )
    .with("$A", service.address())
    .clock(&clock)
    .start();
    let answer = gateway.get("/").with(503);
    assert_eq!((answer.text(), answer.header("x-own")), ("back soon", Some("1")));
    assert_eq!(service.calls(), 1);
    gateway.get("/").refused(503, "upstream.none_healthy");
}
