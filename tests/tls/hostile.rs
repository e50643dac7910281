//! Clients that mean harm before the first request: garbage, silence, slowness, floods.

use std::io::Write as _;
use std::net::TcpStream;
use std::sync::Arc;
use std::time::Duration;

use aws_lc_rs::aead::Aad;
use aws_lc_rs::aead::CHACHA20_POLY1305;
use aws_lc_rs::aead::LessSafeKey;
use aws_lc_rs::aead::Nonce;
use aws_lc_rs::aead::UnboundKey;
use moongate::clock::Clock;
use rustls::ClientConfig;
use rustls::ClientConnection;
use rustls::ConnectionTrafficSecrets;
use rustls::SupportedCipherSuite;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::ServerName;
use rustls::pki_types::pem::PemObject as _;

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

/// A handshake costs a signature: whoever could ask for one after the other on one connection would have them cheap.
#[test]
fn nobody_shakes_hands_twice() {
    let (authority, gateway) = on(&Clock::real());
    let mut provider = rustls::crypto::aws_lc_rs::default_provider();
    provider.cipher_suites = vec![CHACHA];
    let mut roots = rustls::RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(authority.pem.as_bytes()).unwrap()).unwrap();
    let builder = ClientConfig::builder_with_provider(Arc::new(provider));
    let builder = builder.with_protocol_versions(&[&rustls::version::TLS12]).unwrap();
    let mut config = builder.with_root_certificates(roots).with_no_client_auth();
    config.enable_secret_extraction = true;
    let name = ServerName::try_from("a.dev").unwrap();
    let mut client = gateway.client().secure(ClientConnection::new(Arc::new(config), name).unwrap()).unwrap();
    client.get("/who").with(200);
    let (mut wire, secrets) = client.below_tls();
    let (mut sequence, secrets) = secrets.tx;
    let ConnectionTrafficSecrets::Chacha20Poly1305 { key, iv } = secrets else { panic!("another cipher") };
    let key = LessSafeKey::new(UnboundKey::new(&CHACHA20_POLY1305, key.as_ref()).unwrap());
    let hello = [&[1, 0, 0, 43, 3, 3][..], &[7; 32], &[0, 0, 2, 0xcc, 0xa9, 1, 0]].concat();
    for _ in 0..20 {
        let mut nonce = [0; 12];
        nonce.copy_from_slice(iv.as_ref());
        nonce[4..].iter_mut().zip(sequence.to_be_bytes()).for_each(|(byte, bits)| *byte ^= bits);
        let length = u16::try_from(hello.len()).unwrap().to_be_bytes();
        let aad = [&sequence.to_be_bytes()[..], &[22, 3, 3], &length].concat();
        let mut sealed = hello.clone();
        let nonce = Nonce::assume_unique_for_key(nonce);
        key.seal_in_place_append_tag(nonce, Aad::from(aad), &mut sealed).unwrap();
        let length = u16::try_from(sealed.len()).unwrap().to_be_bytes();
        if !wire.try_send([&[22, 3, 3][..], &length, &sealed].concat()) {
            break;
        }
        sequence += 1;
    }
    let answer = wire.rest();
    let mut records = &answer[..];
    while let [kind, _, _, high, low, ..] = *records {
        assert_eq!(kind, 21, "only alerts, no handshake: {answer:?}");
        records = records.get(5 + usize::from(u16::from_be_bytes([high, low]))..).unwrap_or_default();
    }
    assert!(!answer.is_empty(), "it is told why");
    assert!(wire.closed(), "who insists is closed");
    Visitor::of(&authority).connect(&gateway, "a.dev").get("/who").with(200);
}

#[test]
fn only_so_many_handshakes_are_under_way_and_the_rest_is_let_go() {
    let (authority, gateway) = on(&Clock::fake(Duration::from_secs(1_750_000_000)));
    let mut inside = Visitor::of(&authority).connect(&gateway, "a.dev");
    inside.get("/who").with(200);
    let half: Vec<TcpStream> = (0..2_100)
        .map(|_| {
            let mut stream = TcpStream::connect(gateway.address()).unwrap();
            stream.write_all(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03").unwrap();
            stream
        })
        .collect();
    wait::until("the last ones are let go", || {
        gateway.metric("moongate_tls_handshakes_total{result=\"overload\"}") == 100.0
    });
    inside.get("/who").with(200);
    drop(half);
    wait::until("there is room again", || Visitor::of(&authority).try_connect(gateway.address(), "a.dev").is_ok());
}

const CHACHA: SupportedCipherSuite =
    rustls::crypto::aws_lc_rs::cipher_suite::TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256;
