//! Clients that ask for work without end, hold what they are given, or never finish what they begin.

use std::time::Duration;

use moongate::clock::Clock;

use super::clear;
use super::with;
use crate::support::gateway::Gateway;
use crate::support::upstream;
use crate::support::upstream::Upstream;
use crate::support::wait;
use crate::support::wire::*;

const ROUTES: &str = r#"
route "GET /quick" { function() return { text = "quick" } end }
route "/{rest*}" { to = "service" }
"#;

fn before(service: &Upstream) -> Gateway {
    clear(ROUTES).service("service", service).start()
}

/// A service that never answers.
fn mute() -> Upstream {
    upstream::serve(|conn| while conn.head().is_some() {})
}

/// Sends `frame` for as long as the gateway takes it, at most `most` times; the reason it was sent away with.
fn flood(wire: &mut Wire, frame: impl Fn(u32) -> Vec<u8>, most: u32) -> Option<u32> {
    let mut sent = 0;
    for batch in 0..most / 100 {
        let bytes: Vec<u8> = (0..100).flat_map(|n| frame(batch * 100 + n)).collect();
        if !wire.0.try_send(bytes) {
            break;
        }
        sent += 100;
    }
    let reason = wire.end();
    assert!(sent < most || reason.is_some(), "all {sent} frames were taken");
    reason
}

/// A neighbour is served as ever.
fn fine(gateway: &Gateway) {
    let mut wire = Wire::open(gateway.address(), &[]);
    wire.send(get(1, "/quick"));
    assert_eq!(wire.fate(1).unwrap(), "quick");
}

#[test]
fn frames_that_bring_no_work_end_the_connection() {
    let service = mute();
    let gateway = before(&service);
    let flood_of = |name: &str, make: fn(u32) -> Vec<u8>| {
        let mut wire = Wire::open(gateway.address(), &[]);
        wire.send(frame(HEADERS, END_HEADERS, 1, head("POST", "/", &[])));
        let reason = flood(&mut wire, make, 50_000);
        assert!(matches!(reason, None | Some(ENHANCE_YOUR_CALM)), "{name}: {reason:?}");
        fine(&gateway);
    };
    flood_of("SETTINGS", |_| frame(SETTINGS, 0, 0, [0, 4, 0, 1, 0, 0]));
    flood_of("PING", |n| frame(PING, 0, 0, u64::from(n).to_be_bytes()));
    flood_of("PRIORITY", |_| frame(PRIORITY, 0, 1, [0, 0, 0, 0, 1]));
    flood_of("WINDOW_UPDATE of the connection", |_| frame(WINDOW_UPDATE, 0, 0, 1_u32.to_be_bytes()));
    flood_of("WINDOW_UPDATE of a stream", |_| frame(WINDOW_UPDATE, 0, 1, 1_u32.to_be_bytes()));
    flood_of("empty DATA", |_| frame(DATA, 0, 1, b""));
    flood_of("unknown frames", |_| frame(0x42, 0, 1, b""));
    wait::until("what was asked of the service is cancelled", || service.open() == 0);
    assert_eq!(gateway.metric("http_server_active_requests"), 0.0);
}

#[test]
fn requests_taken_back_at_once_end_the_connection() {
    let service = mute();
    let gateway = before(&service);
    for together in [true, false] {
        let mut wire = Wire::open(gateway.address(), &[]);
        let cancel = |stream| frame(RESET, 0, stream, 8_u32.to_be_bytes());
        let reason = if together {
            flood(&mut wire, |n| [get(2 * n + 1, "/"), cancel(2 * n + 1)].concat(), 20_000)
        } else {
            // Each is under way before it is taken back.
            for n in 0..1000 {
                let calls = service.calls();
                if !wire.0.try_send(get(2 * n + 1, "/")) {
                    break;
                }
                let ping = frame(PING, 0, 0, [0; 8]);
                wait::until("it is under way, or over", || service.calls() > calls || !wire.0.try_send(&ping));
                if !wire.0.try_send(cancel(2 * n + 1)) {
                    break;
                }
                assert!(n < 900, "nobody minds");
            }
            wire.end()
        };
        assert!(matches!(reason, None | Some(ENHANCE_YOUR_CALM)), "{reason:?}");
        fine(&gateway);
    }
    wait::until("what was asked of the service is cancelled", || service.open() == 0);
    assert_eq!(gateway.metric("http_server_active_requests"), 0.0);
}

/// Answered at once, they were never under way; when they come in small batches the codec has no reason to mind.
#[test]
fn requests_taken_back_at_once_end_the_connection_where_answers_take_no_time_too() {
    let service = mute();
    let gateway = with(r#"limits = { uri = "1KB" }"#, ROUTES).service("service", &service).start();
    let long = format!("/{}", "x".repeat(2000));
    for path in ["/quick", "/nowhere/..%2f", &long] {
        let mut wire = Wire::open(gateway.address(), &[]);
        let cancel = |stream| frame(RESET, 0, stream, 8_u32.to_be_bytes());
        let mut sent = 0;
        let reason = loop {
            let batch: Vec<u8> =
                (sent..sent + 10).flat_map(|n| [get(2 * n + 1, path), cancel(2 * n + 1)].concat()).collect();
            sent += 10;
            if !wire.0.try_send([batch, frame(PING, 0, 0, [0; 8])].concat()) {
                break wire.end();
            }
            // The next batch comes when this one was looked at.
            match wire.0.some() {
                Some(bytes) if !bytes.windows(5).any(|bytes| bytes == [GOAWAY, 0, 0, 0, 0]) => {}
                _ => break wire.end(),
            }
            assert!(sent < 2000, "nobody minds {path}");
        };
        assert!(matches!(reason, None | Some(ENHANCE_YOUR_CALM)), "{reason:?}");
        fine(&gateway);
    }
}

#[test]
fn heads_without_end_end_the_connection() {
    let service = mute();
    let gateway = before(&service);
    let mut wire = Wire::open(gateway.address(), &[]);
    wire.send(frame(HEADERS, END_STREAM, 1, head("GET", "/", &[])));
    assert!(matches!(flood(&mut wire, |_| frame(CONTINUATION, 0, 1, b""), 50_000), None | Some(1 | ENHANCE_YOUR_CALM)));
    // The same with fields in them.
    let mut wire = Wire::open(gateway.address(), &[]);
    wire.send(frame(HEADERS, END_STREAM, 1, head("GET", "/", &[])));
    let more = block(&[("x-a", &"x".repeat(1000))]);
    assert!(flood(&mut wire, |_| frame(CONTINUATION, 0, 1, &more), 5_000).is_none_or(|reason| reason != 0));
    fine(&gateway);
    assert_eq!(service.calls(), 0);
}

#[test]
fn fields_that_unpack_to_megabytes_are_refused() {
    let service = mute();
    let gateway = before(&service);
    let mut wire = Wire::open(gateway.address(), &[]);
    // One long field goes into the table, then it is named again and again, a byte each time.
    let mut bomb = head("GET", "/", &[]);
    bomb.extend([0x40, 3]);
    bomb.extend(b"x-a");
    length(&mut bomb, 4000);
    bomb.extend([b'x'; 4000]);
    bomb.extend([0xbe; 10_000]);
    assert!(bomb.len() < 16 << 10);
    wire.send(frame(HEADERS, END_STREAM | END_HEADERS, 1, bomb));
    let ended = loop {
        let frame = wire.next();
        match frame.kind {
            GOAWAY => break frame.code(4),
            HEADERS | RESET => break frame.code(0),
            _ => {}
        }
    };
    assert_ne!(ended, 0);
    fine(&gateway);
    assert_eq!(service.calls(), 0);
}

#[test]
fn a_head_within_the_codecs_bounds_but_not_ours_is_a_431() {
    let service = mute();
    let gateway = with(r#"limits = { header_count = 10 }"#, ROUTES).service("service", &service).start();
    let mut wire = Wire::open(gateway.address(), &[]);
    let names: Vec<_> = (0..11).map(|n| format!("x-{n}")).collect();
    let fields: Vec<_> = names.iter().map(|name| (name.as_str(), "1")).collect();
    wire.send(frame(HEADERS, END_STREAM | END_HEADERS, 1, head("GET", "/", &fields)));
    assert!(wire.fate(1).unwrap().contains("request.headers_too_large"));
    // The connection goes on.
    wire.send(get(3, "/quick"));
    assert_eq!(wire.fate(3).unwrap(), "quick");
}

#[test]
fn more_requests_at_a_time_than_agreed_are_refused_and_those_before_go_on() {
    let service = upstream::serve(|conn| {
        if conn.request().is_some() {
            conn.hold();
            conn.send(upstream::ok("held"));
        }
    });
    let gateway = before(&service);
    let mut wire = Wire::open(gateway.address(), &[]);
    for n in 0..101 {
        wire.send(get(2 * n + 1, "/held"));
    }
    assert_eq!(wire.fate(201), Err(REFUSED_STREAM));
    service.release();
    let mut answered = 0;
    while answered < 100 {
        let frame = wire.next();
        assert!(!matches!(frame.kind, RESET | GOAWAY), "{frame:?}");
        answered += usize::from(frame.kind == DATA && frame.flags & END_STREAM != 0);
    }
}

#[test]
fn windows_that_never_open_hold_a_bounded_amount_for_a_bounded_time() {
    let service = upstream::serve(|conn| {
        while conn.request().is_some() {
            conn.send(upstream::ok(vec![b'x'; 10_000_000]));
        }
    });
    let gateway = with(r#"body_timeout = "500ms""#, ROUTES).service("service", &service).start();
    let mut wire = Wire::open(gateway.address(), &[(4, 0)]);
    for n in 0..50 {
        wire.send(get(2 * n + 1, "/large"));
    }
    let mut reset = 0;
    while reset < 50 {
        let frame = wire.next();
        assert!(!matches!(frame.kind, DATA | GOAWAY), "{frame:?}");
        reset += usize::from(frame.kind == RESET);
    }
    assert_eq!(gateway.metric("moongate_failures_total{code=\"client.slow\"}"), 50.0);
    wait::until("the service is let go", || service.open() == 0);
    fine(&gateway);
}

#[test]
fn who_never_finishes_a_head_or_says_nothing_is_sent_away_in_time() {
    let clock = Clock::fake(Duration::from_secs(1_800_000_000));
    let gateway = clear(ROUTES).clock(&clock).service("service", &mute()).start();
    let mut half = Wire::open(gateway.address(), &[]);
    half.send(get(1, "/quick"));
    assert_eq!(half.fate(1).unwrap(), "quick");
    half.send(frame(HEADERS, END_STREAM, 3, head("GET", "/quick", &[])));
    let mut greeted = Wire::open(gateway.address(), &[]);
    greeted.next();
    let mut silent = gateway.client();
    let mut begun = gateway.client();
    begun.send("PRI * HTTP/2.0\r\n");
    let mut ends = Vec::new();
    std::thread::scope(|scope| {
        let threads = [
            scope.spawn(|| half.end()),
            scope.spawn(|| greeted.end()),
            scope.spawn(|| silent.closed().then_some(0)),
            scope.spawn(|| begun.closed().then_some(0)),
        ];
        wait::until("all are sent away", || {
            clock.advance(Duration::from_secs(1));
            threads.iter().all(|thread| thread.is_finished())
        });
        ends.extend(threads.into_iter().map(|thread| thread.join().unwrap()));
    });
    assert_eq!(ends, [Some(ENHANCE_YOUR_CALM), Some(0), Some(0), Some(0)]);
}

#[test]
fn who_is_not_there_any_more_is_noticed_by_its_silence() {
    let clock = Clock::fake(Duration::from_secs(1_800_000_000));
    let service = upstream::serve(|conn| {
        conn.request();
        conn.send("HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n");
        conn.linger();
    });
    let gateway = with(
        r#"timeout = "1h""#,
        "route \"/\" { to = \"service\" }\nupstream \"service\" { \"ADDRESS\", timeout = { idle = \"1h\" } }",
    )
    .with("ADDRESS", service.address())
    .clock(&clock)
    .start();
    let mut wire = Wire::open(gateway.address(), &[]);
    wire.send(get(1, "/"));
    wire.next_of(HEADERS);
    let asked = |wire: &mut Wire| {
        std::thread::scope(|scope| {
            let thread = scope.spawn(|| wire.next_of(PING).payload);
            wait::until("it is asked", || {
                clock.advance(Duration::from_secs(1));
                thread.is_finished()
            });
            thread.join().unwrap()
        })
    };
    let ping = asked(&mut wire);
    wire.send(frame(PING, ACK, 0, ping));
    asked(&mut wire);
    wait::until("it is given up", || {
        clock.advance(Duration::from_secs(1));
        service.open() == 0
    });
    wire.end();
}
