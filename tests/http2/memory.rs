//! What a connection costs: at rest, and when its client asks for much and takes nothing.

use std::time::Duration;

use super::clear;
use crate::support::binary;
use crate::support::binary::Binary;
use crate::support::h2::Client;
use crate::support::tls::Authority;
use crate::support::tls::Visitor;
use crate::support::upstream;
use crate::support::wait;
use crate::support::wire::*;

/// Windows as wide as they get, of streams and of the connection.
fn wide(visitor: &Visitor, gateway: &Binary) -> Wire {
    let mut wire = secure(visitor, gateway, &[(4, i32::MAX as u32)]);
    wire.send(frame(WINDOW_UPDATE, 0, 0, 2_000_000_000_u32.to_be_bytes()));
    wire
}

fn secure(visitor: &Visitor, gateway: &Binary, settings: &[(u16, u32)]) -> Wire {
    let client = visitor.clone().offering(&["h2"]).try_connect(gateway.address(), "a.dev").unwrap();
    Wire::over(client, settings)
}

fn start(authority: &Authority, script: &str) -> binary::Setup {
    let pair = authority.server(&["a.dev"]);
    let script = format!(r#"gateway {{ tls = {{ cert = "a.pem", key = "a.key" }} }} {script}"#);
    binary::script(&script).file("a.pem", &pair.cert).file("a.key", &pair.key)
}

#[test]
fn who_asks_for_a_hundred_answers_and_takes_none_costs_little() {
    let service =
        upstream::serve(|conn| while conn.request().is_some() && conn.send(upstream::ok(vec![b'x'; LARGE])) {});
    let authority = Authority::new("CA");
    let script = format!(
        r#"upstream "service" {{ "{}", pool = {{ max = 2000 }} }} route "/large" {{ to = "service" }} route "/" {{ function() return 204 end }}"#,
        service.address()
    );
    let gateway = start(&authority, &script).start();
    let visitor = Visitor::of(&authority);
    let mut good = visitor.try_connect(gateway.address(), "a.dev").unwrap();
    good.get("/").with(204);
    let before = gateway.memory();
    let mut greedy: Vec<_> = (0..GREEDY).map(|_| wide(&visitor, &gateway)).collect();
    for wire in &mut greedy {
        wire.send((0..100).flat_map(|n| get(2 * n + 1, "/large")).collect::<Vec<_>>());
        good.get("/").with(204);
    }
    wait::until("all are under way", || service.calls() == 100 * GREEDY);
    for _ in 0..50 {
        good.get("/").with(204);
    }
    let each = gateway.memory().saturating_sub(before) / GREEDY;
    assert!(each < 5 << 20, "{} KB a connection", each >> 10);
    // Nothing is lost: who begins to read gets all of it.
    let mut wire = greedy.pop().unwrap();
    let (mut ended, mut bytes) = (0, 0);
    while ended < 100 {
        let frame = wire.next();
        assert!(!matches!(frame.kind, RESET | GOAWAY), "{frame:?}");
        bytes += if frame.kind == DATA { frame.payload.len() } else { 0 };
        ended += usize::from(frame.kind == DATA && frame.flags & END_STREAM != 0);
    }
    assert_eq!(bytes, 100 * LARGE);
}

const LARGE: usize = 128 << 10;
const GREEDY: usize = 8;

#[test]
fn who_takes_its_answers_slowly_gets_all_of_them_in_turns() {
    let service =
        upstream::serve(|conn| while conn.request().is_some() && conn.send(upstream::ok(vec![b'x'; LARGE])) {});
    let gateway = clear(r#"route "/{rest*}" { to = "service" }"#).service("service", &service).start();
    let mut settings = h2::client::Builder::new();
    settings.initial_connection_window_size(64 << 20).initial_window_size(1 << 20);
    let mut client = Client::with(gateway.address(), &settings, None);
    let mut calls: Vec<_> = (0..50).map(|_| client.start("GET", "/", &[], true)).collect();
    // In the order asked for none could end before the one before it was read.
    for call in calls.iter_mut().rev() {
        assert_eq!(client.answer(call).unwrap().with(200).body.len(), LARGE);
    }
}

/// The exact figure for thousands: `scripts/bench`.
#[test]
fn connections_at_rest_cost_little() {
    let authority = Authority::new("CA");
    let gateway = start(&authority, r#"route "/" { function() return { text = "hello" } end }"#).start();
    let visitor = Visitor::of(&authority);
    let rest = || {
        let mut wire = secure(&visitor, &gateway, &[]);
        wire.send(get(1, "/"));
        assert_eq!(wire.fate(1).unwrap(), "hello");
        wire
    };
    drop((0..50).map(|_| rest()).collect::<Vec<_>>());
    std::thread::park_timeout(Duration::from_millis(100));
    let before = gateway.memory();
    let held: Vec<_> = (0..400).map(|_| rest()).collect();
    let each = gateway.memory().saturating_sub(before) / held.len();
    assert!(each < 40 << 10, "{each} bytes a connection");
}
