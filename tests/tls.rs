//! TLS on listeners: who is served by which certificate, on what terms, and what hostile clients get.

mod clients;
mod hostile;
mod mtls;
mod names;
mod swap;
mod upgrades;

use crate::support::gateway;
use crate::support::gateway::Setup;
use crate::support::tls::Authority;
use crate::support::tls::Pair;
use crate::support::tls::Visitor;
use crate::support::upstream;
use crate::support::wait;

/// What the service behind knows of the connection.
const WHO: &str = r#"
route "GET /who" { function(req)
  local tls = req.tls or {}
  return { json = { scheme = req.scheme, version = tls.version, sni = tls.sni, alpn = tls.alpn, cert = tls.cert } }
end }
"#;

/// A gateway with these options, and files for each pair: `a.pem`, `a.key`, `b.pem` …
fn with(options: &str, pairs: &[&Pair]) -> Setup {
    let mut setup = gateway::script(&format!("gateway {{ {options} }} {WHO}"));
    for (pair, name) in pairs.iter().zip(["a", "b", "c"]) {
        setup = setup.file(&format!("{name}.pem"), &pair.cert).file(&format!("{name}.key"), &pair.key);
    }
    setup
}

const TLS: &str = r#"tls = { cert = "a.pem", key = "a.key" }"#;

#[test]
fn a_request_over_tls_is_https() {
    let authority = Authority::new("CA");
    let gateway = with(TLS, &[&authority.server(&["a.dev"])]).start();
    let mut client = Visitor::of(&authority).offering(&["http/1.1"]).connect(&gateway, "a.dev");
    for _ in 0..3 {
        let answer = client.get("/who").with(200);
        assert_eq!(answer.at("/scheme"), "https");
        assert_eq!(answer.at("/version"), "1.3");
        assert_eq!(answer.at("/sni"), "a.dev");
        assert_eq!(answer.at("/alpn"), "http/1.1");
        assert!(answer.at("/cert").is_null());
    }
    let old = Visitor::with(&authority, None, &[&rustls::version::TLS12]);
    let answer = old.connect(&gateway, "a.dev").get("/who").with(200);
    assert_eq!((answer.at("/version"), answer.at("/alpn").is_null()), ("1.2".into(), true));
    assert!(gateway.metric("moongate_tls_handshakes_total{result=\"ok\"}") >= 2.0);
}

#[test]
fn the_service_hears_of_it() {
    let authority = Authority::new("CA");
    let service = upstream::says("ok");
    let gateway = with(TLS, &[&authority.server(&["a.dev"])])
        .with("route \"GET /who\"", "route \"/pass\" { to = \"service\" } route \"GET /who\"")
        .service("service", &service)
        .start();
    let forged = [("x-forwarded-proto", "http"), ("client-cert", ":AAAA:")];
    Visitor::of(&authority).connect(&gateway, "a.dev").call("GET", "/pass", &forged, "").with(200);
    let seen = service.last();
    assert_eq!(seen.header("x-forwarded-proto"), Some("https"));
    assert_eq!(seen.header("x-forwarded-port"), Some("443"));
    assert_eq!(seen.header("client-cert"), None);
}

#[test]
fn the_end_is_announced_and_tunnels_pass() {
    let authority = Authority::new("CA");
    let service = upstream::serve(|conn| {
        conn.head();
        conn.send("HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: echo\r\n\r\n");
        while let Some(bytes) = conn.some() {
            conn.send(bytes);
        }
    });
    let gateway = with(TLS, &[&authority.server(&["a.dev"])])
        .with("route \"GET /who\"", "route \"/up\" { to = \"service\" } route \"GET /who\"")
        .service("service", &service)
        .start();
    let visitor = Visitor::of(&authority);
    let mut client = visitor.connect(&gateway, "a.dev");
    client.call("GET", "/who", &[("connection", "close")], "").with(200);
    assert_eq!(client.some(), None, "an end without close_notify is an error here");
    let mut client = visitor.connect(&gateway, "a.dev");
    client.send("GET /up HTTP/1.1\r\nhost: a.dev\r\nconnection: upgrade\r\nupgrade: echo\r\n\r\n");
    assert_eq!(client.head().0.status, 101);
    for text in ["ping", "pong"] {
        client.send(text);
        assert_eq!(client.exactly(4), text.as_bytes());
    }
}

#[test]
fn the_end_of_a_certificate_is_a_metric() {
    let authority = Authority::new("CA");
    let gateway = with(TLS, &[&authority.server(&["a.dev", "b.dev"])]).start();
    wait::until("it is there", || {
        gateway.metric("moongate_tls_certificate_not_after{name=\"a.dev\"}") > 1_700_000_000.0
    });
}

#[test]
fn large_bodies_pass_both_ways() {
    let authority = Authority::new("CA");
    let service = upstream::answers(|seen| upstream::ok(&seen.body));
    let gateway = with(TLS, &[&authority.server(&["a.dev"])])
        .with("route \"GET /who\"", "route \"/pass\" { to = \"service\" } route \"GET /who\"")
        .service("service", &service)
        .start();
    let body: Vec<u8> = (0..5_000_000_u32).map(|n| (n % 251) as u8).collect();
    let mut client = Visitor::of(&authority).connect(&gateway, "a.dev");
    for _ in 0..2 {
        let answer = client.call("POST", "/pass", &[], &body).with(200);
        assert!(answer.body == body, "{} bytes came back", answer.body.len());
    }
}

#[test]
fn events_arrive_over_tls_as_they_are_sent() {
    let authority = Authority::new("CA");
    let service = upstream::serve(|conn| {
        conn.request();
        conn.send("HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n");
        for n in 0..3 {
            conn.send(format!("9\r\ndata: {n}\n\n\r\n"));
            conn.hold();
        }
    });
    let gateway = with(TLS, &[&authority.server(&["a.dev"])])
        .with("route \"GET /who\"", "route \"/events\" { to = \"service\" } route \"GET /who\"")
        .service("service", &service)
        .start();
    let mut client = Visitor::of(&authority).connect(&gateway, "a.dev");
    client.send("GET /events HTTP/1.1\r\nhost: a.dev\r\n\r\n");
    let (mut answer, frame) = client.head();
    assert_eq!(client.piece(&mut answer, frame).unwrap(), b"data: 0\n\n", "before the next is sent");
    service.release();
    assert_eq!(client.piece(&mut answer, frame).unwrap(), b"data: 1\n\n");
}

#[test]
fn the_oldest_version_is_chosen_by_the_script() {
    let authority = Authority::new("CA");
    let gateway =
        with(r#"tls = { cert = "a.pem", key = "a.key", min = "1.3" }"#, &[&authority.server(&["a.dev"])]).start();
    let old = Visitor::with(&authority, None, &[&rustls::version::TLS12]);
    let error = old.try_connect(gateway.address(), "a.dev").err().unwrap();
    assert!(error.contains("ProtocolVersion"), "{error}");
    Visitor::of(&authority).connect(&gateway, "a.dev").get("/who").with(200);
}

#[test]
fn sessions_are_resumed_by_every_worker_and_after_a_reload() {
    let authority = Authority::new("CA");
    let gateway = with(TLS, &[&authority.server(&["a.dev"])]).workers(2).start();
    for versions in [&[&rustls::version::TLS13], &[&rustls::version::TLS12]] {
        let visitor = Visitor::with(&authority, None, versions);
        for round in 0..12 {
            let mut client = visitor.connect(&gateway, "a.dev");
            client.get("/who").with(200);
            let kind = client.session().handshake_kind();
            assert_eq!(kind == Some(rustls::HandshakeKind::Resumed), round > 0, "{round}: {kind:?}");
            if round % 4 == 0 {
                gateway.reload().unwrap();
            }
        }
    }
}

#[test]
fn a_listener_in_clear_text_sends_everybody_to_the_other() {
    let authority = Authority::new("CA");
    let port = free_port();
    let script = format!(
        r#"listen = {{ {{ "127.0.0.1:0", tls = false }}, "127.0.0.2:{port}" }}, tls = {{ cert = "a.pem", key = "a.key", redirect_http = true }}"#
    );
    let gateway = with(&script, &[&authority.server(&["a.dev"])]).listeners_of_the_script().start();
    let mut client = gateway.client().host("a.dev:8080");
    let answer = client.call("POST", "/who?x=%20y", &[], "abc").with(308);
    assert_eq!(answer.header("location"), Some(format!("https://a.dev:{port}/who?x=%20y").as_str()));
    assert_eq!(client.get("/").header("location"), Some(format!("https://a.dev:{port}/").as_str()));
    let secure = std::net::SocketAddr::from(([127, 0, 0, 2], port));
    Visitor::of(&authority).try_connect(secure, "a.dev").unwrap().get("/who").with(200);
}

#[test]
fn clear_text_at_a_port_of_tls_is_told_so() {
    let authority = Authority::new("CA");
    let gateway = with(TLS, &[&authority.server(&["a.dev"])]).start();
    gateway.get("/who").refused(400, "request.clear_text");
    let redirect = r#"tls = { cert = "a.pem", key = "a.key", redirect_http = true }"#;
    let gateway = with(redirect, &[&authority.server(&["a.dev"])]).start();
    let answer = gateway.client().host("a.dev:8443").get("/who?a=1").with(308);
    assert_eq!(answer.header("location"), Some("https://a.dev:8443/who?a=1"));
}

/// Free a moment ago.
fn free_port() -> u16 {
    std::net::TcpListener::bind("127.0.0.2:0").unwrap().local_addr().unwrap().port()
}
