//! `throttle` and `concurrency`: who goes, who waits, who is refused, and that no place is ever lost.

use std::time::Duration;

use moongate::clock::Clock;

use crate::support::frames;
use crate::support::frames::HANDSHAKE;
use crate::support::frames::TEXT;
use crate::support::frames::frame;
use crate::support::frames::plain;
use crate::support::frames::read;
use crate::support::gateway;
use crate::support::wait;

fn still() -> Clock {
    Clock::fake(Duration::from_secs(1_800_000_000))
}

#[test]
fn a_throttle_lets_requests_go_evenly_and_refuses_long_waits() {
    let clock = still();
    let gateway = gateway::script(
        r#"
        route "GET /x" { throttle { "2/s", max_wait = "1s", by = "{query.who}" }, function(req) return { text = time.now() } end }
        route "GET /dry" { throttle { "1/h", max_wait = 0, enforce = false }, function() return 204 end }
        "#,
    )
    .clock(&clock)
    .start();
    let began = clock.unix();
    gateway.get("/x?who=a").with(200);
    let mut clients: Vec<_> = (0..3).map(|_| gateway.client()).collect();
    for client in &mut clients[..2] {
        client.send("GET /x?who=a HTTP/1.1\r\nhost: a\r\n\r\n");
        // Each is in line before the next asks.
        std::thread::sleep(Duration::from_millis(60));
    }
    let refused = clients[2].get("/x?who=a");
    refused.refused(503, "throttle.full");
    assert_eq!(refused.header("retry-after"), Some("1"));
    gateway.get("/x?who=b").with(200);
    let mut waits = Vec::new();
    for client in &mut clients[..2] {
        let answered = std::thread::scope(|scope| {
            let reader = scope.spawn(|| client.answer());
            wait::until("its turn comes", || {
                clock.advance(Duration::from_millis(100));
                std::thread::sleep(Duration::from_millis(5));
                reader.is_finished()
            });
            reader.join().unwrap()
        });
        waits.push(answered.with(200).text().parse::<f64>().unwrap() - began.as_secs_f64());
    }
    assert!(waits[0] >= 0.5 && waits[1] >= 1.0 && waits[1] - waits[0] >= 0.3, "{waits:?}");
    assert_eq!((gateway.get("/dry").status, gateway.get("/dry").status), (204, 204));
}

#[test]
fn places_are_bounded_and_come_back_whatever_happens() {
    let gateway = gateway::script(
        r#"
        local one = concurrency(1)
        route "GET /hold" { one, function(req) sleep(req.query.s or "10s") return 204 end }
        route "GET /raise" { one, function() error("no") end }
        route "GET /quick" { one, function() return 204 end }
        route "GET /dry" { concurrency { 1, enforce = false }, function() return 204 end }
        "#,
    )
    .start();
    gateway.get("/raise").with(500);
    gateway.get("/quick").with(204);
    let mut holder = gateway.client();
    holder.send("GET /hold HTTP/1.1\r\nhost: a\r\n\r\n");
    wait::until("the place is taken", || gateway.get("/quick").status == 503);
    let refused = gateway.get("/quick");
    refused.refused(503, "concurrency.full");
    assert_eq!(refused.header("retry-after"), Some("1"));
    drop(holder);
    wait::until("who leaves gives the place back", || gateway.get("/quick").status == 204);
    gateway.get("/dry").with(204);
}

#[test]
fn a_line_moves_in_order_over_all_workers() {
    let gateway = gateway::script(
        r#"
        route "GET /x" { concurrency { 1, queue = 2, max_wait = "20s" }, function(req) if req.query.s then sleep(req.query.s) end return { text = req.query.n } end }
        route "GET /short" { concurrency { 1, queue = 5, max_wait = "50ms" }, function(req) if req.query.s then sleep(req.query.s) end return 204 end }
        "#,
    )
    .workers(2)
    .start();
    let mut clients: Vec<_> = (0..4).map(|_| gateway.client()).collect();
    clients[0].send("GET /x?s=400ms&n=0 HTTP/1.1\r\nhost: a\r\n\r\n");
    std::thread::sleep(Duration::from_millis(60));
    for (place, client) in clients[1..3].iter_mut().enumerate() {
        client.send(format!("GET /x?n={}&s=50ms HTTP/1.1\r\nhost: a\r\n\r\n", place + 1));
        std::thread::sleep(Duration::from_millis(60));
    }
    clients[3].get("/x?n=3").refused(503, "concurrency.full");
    for (place, client) in clients[..3].iter_mut().enumerate() {
        assert_eq!(client.answer().with(200).text(), place.to_string());
    }
    let mut holder = gateway.client();
    holder.send("GET /short?s=1s HTTP/1.1\r\nhost: a\r\n\r\n");
    std::thread::sleep(Duration::from_millis(60));
    gateway.get("/short").refused(503, "concurrency.full");
    holder.answer().with(204);
    gateway.get("/short").with(204);
}

#[test]
fn an_upgraded_connection_holds_its_place_until_it_closes() {
    let service = frames::service(|conn, opcode, payload| {
        conn.send(plain(opcode, payload));
    });
    // The gateway passes the bytes on, reads the messages on their way, or is the end itself.
    let reads = "function(ws, data) return data end";
    for shape in [
        r#"to = "s""#.to_owned(),
        format!(r#"websocket = {{ message = {reads} }}, to = "s""#),
        "websocket = { message = function(ws, data) ws:send(data) end }".to_owned(),
    ] {
        let script = format!(
            r#"local places = concurrency(1)
            route "GET /ws" {{ places, {shape} }}
            route "GET /quick" {{ places, function() return 204 end }}"#
        );
        let gateway = gateway::script(&script).service("s", &service).workers(2).start();
        let mut open = gateway.client();
        open.send(HANDSHAKE);
        assert_eq!(open.head().0.status, 101, "{shape}");
        for _ in 0..4 {
            gateway.get("/quick").refused(503, "concurrency.full");
        }
        gateway.reload().unwrap();
        gateway.get("/quick").refused(503, "concurrency.full");
        open.send(frame(TEXT, "still here"));
        assert_eq!(read(&mut open), (TEXT, b"still here".to_vec()), "{shape}");
        gateway.get("/quick").refused(503, "concurrency.full");
        open.reset();
        wait::until("the place is free again", || gateway.get("/quick").status == 204);
    }
}
