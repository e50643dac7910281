//! Clients that mean harm before the first request: garbage, silence, slowness, floods.

use std::io::Write as _;
use std::net::TcpStream;
use std::time::Duration;

use moongate::clock::Clock;

use super::with;
use crate::support::binary;
use crate::support::client::Client;
use crate::support::gateway::Gateway;
use crate::support::tls::Authority;
use crate::support::tls::Visitor;
use crate::support::wait;

fn on(clock: &Clock) -> (Authority, Gateway) {
    let authority = Authority::new("CA");
    let options = format!("{}, header_timeout = \"2s\"", super::TLS);
    let gateway = with(&options, &[&authority.server(&["a.dev"])]).clock(clock).start();
    (authority, gateway)
}

#[test]
fn garbage_ends_the_connection_and_nothing_else() {
    let (authority, gateway) = on(&Clock::real());
    let mut good = Visitor::of(&authority).connect(&gateway, "a.dev");
    good.get("/who").with(200);
    let huge = [&[22, 3, 1, 0xff, 0xff][..], &[0; 70_000]].concat();
    for bytes in [
        &b"\x00\x01\x02\x03\x04\x05\x06\x07"[..],
        b"\x16\x03\x01\x00\x05\x01\x00\x00\x01\x00",
        b"\x16\x03\x01\x00\x00\x16\x03\x01\x00\x00",
        b"\x15\x03\x01\x00\x02\x02\x28",
        b"\x80\x2e\x01\x00\x02\x00\x15\x00\x00\x00\x10\x07\x00\xc0\x05",
        b"\xff\xff\xff\xff\xff\xff",
        &huge,
    ] {
        let mut client = gateway.client();
        client.try_send(bytes);
        client.rest();
    }
    assert!(gateway.metric("moongate_tls_handshakes_total{result=\"failed\"}") >= 6.0);
    good.get("/who").with(200);
}

#[test]
fn a_client_that_says_nothing_is_let_go_in_time() {
    let clock = Clock::fake(Duration::from_secs(1_750_000_000));
    let (authority, gateway) = on(&clock);
    let mut silent = gateway.client();
    let mut half = gateway.client();
    half.send(b"\x16\x03\x01\x02\x00\x01\x00");
    assert!(silent.silent(Duration::from_millis(100)) && half.silent(Duration::from_millis(10)));
    let mut good = Visitor::of(&authority).connect(&gateway, "a.dev");
    good.get("/who").with(200);
    // One byte a second does not help.
    for byte in b"\x01\xfc\x03\x03" {
        clock.advance(Duration::from_millis(600));
        half.try_send([*byte]);
    }
    wait::until("both are closed", || {
        clock.advance(Duration::from_millis(100));
        gateway.metric("moongate_tls_handshakes_total{result=\"timeout\"}") == 2.0
    });
    assert!(silent.closed() && half.closed());
}

#[test]
fn a_flood_of_silent_clients_does_not_shut_others_out() {
    let (authority, gateway) = on(&Clock::real());
    let mut hello = Vec::new();
    hello.extend_from_slice(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03");
    let crowd: Vec<TcpStream> = (0..300)
        .map(|n| {
            let mut stream = TcpStream::connect(gateway.address()).unwrap();
            if n % 2 == 0 {
                stream.write_all(&hello).unwrap();
            }
            stream
        })
        .collect();
    for _ in 0..5 {
        Visitor::of(&authority).connect(&gateway, "a.dev").get("/who").with(200);
    }
    drop(crowd);
}

#[test]
fn a_client_that_is_refused_half_way_does_not_hang() {
    let (authority, gateway) = on(&Clock::real());
    // Our certificate is not trusted: the client breaks the handshake off.
    let stranger = Visitor::of(&Authority::new("other"));
    assert!(stranger.try_connect(gateway.address(), "a.dev").is_err());
    // Nothing in common.
    let error = Visitor::of(&authority).offering(&["spdy/3"]).try_connect(gateway.address(), "a.dev").err().unwrap();
    assert!(error.contains("NoApplicationProtocol"), "{error}");
    wait::until("both are counted", || gateway.metric("moongate_tls_handshakes_total{result=\"failed\"}") >= 2.0);
}

#[test]
fn a_record_that_was_tampered_with_ends_the_connection() {
    let (authority, gateway) = on(&Clock::real());
    let mut client = Visitor::of(&authority).connect(&gateway, "a.dev");
    client.get("/who").with(200);
    let mut wire = Client::over(client.writer());
    wire.send(b"\x17\x03\x03\x00\x20AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA");
    assert!(client.closed());
    Visitor::of(&authority).connect(&gateway, "a.dev").get("/who").with(200);
}

#[test]
fn idle_connections_and_half_handshakes_hold_little() {
    let authority = Authority::new("CA");
    let pair = authority.server(&["a.dev"]);
    let script = format!("gateway {{ {} }} {}", super::TLS, super::WHO);
    let gateway = binary::script(&script).file("a.pem", &pair.cert).file("a.key", &pair.key).start();
    let visitor = Visitor::of(&authority);
    let connect = || {
        let mut client = visitor.try_connect(gateway.address(), "a.dev").unwrap();
        client.get("/who").with(200);
        client
    };
    let warm = connect();
    let before = gateway.memory();
    let clients: Vec<_> = (0..500).map(|_| connect()).collect();
    let each = gateway.memory().saturating_sub(before) / clients.len();
    assert!(each < 20 << 10, "{each} bytes an idle connection over TLS");

    let before = gateway.memory();
    let half: Vec<_> = (0..500)
        .map(|_| {
            let mut stream = TcpStream::connect(gateway.address()).unwrap();
            stream.write_all(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03").unwrap();
            stream
        })
        .collect();
    connect();
    let each = gateway.memory().saturating_sub(before) / half.len();
    eprintln!("{each} bytes a half handshake");
    assert!(each < 20 << 10, "{each} bytes a handshake that does not go on");
    drop(warm);
}
