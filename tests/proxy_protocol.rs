//! The PROXY protocol on listeners that enable it (S-21): believed from listed peers alone, and required of them.

use std::io::Read as _;
use std::io::Write as _;
use std::os::unix::net::UnixStream;
use std::time::Duration;

use moongate::clock::Clock;

use crate::support::client::Client;
use crate::support::gateway;
use crate::support::gateway::Setup;
use crate::support::temp::Dir;
use crate::support::tls::Authority;
use crate::support::tls::Visitor;
use crate::support::upstream;
use crate::support::wait;

const WHO: &str = r#"route "GET /who" { function(req) return { text = `{req.ip} {req.port} {req.scheme}` } end }"#;

const V1: &str = "PROXY TCP4 192.0.2.1 203.0.113.9 56324 443\r\n";
const V2: &[u8] = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\x00\x0c\xc0\x00\x02\x01\xcb\x00\x71\x09\xdc\x04\x01\xbb";
const LOCAL: &[u8] = b"\r\n\r\n\0\r\nQUIT\n\x20\x00\x00\x00";

fn setup(from: &str, more: &str) -> Setup {
    let listen = format!(r#"listen = {{ {{ "127.0.0.1:0", proxy_protocol = {{ from = {{ "{from}" }} }} }} }}"#);
    gateway::script(&format!("gateway {{ {listen}{more} }} {WHO}")).listeners_of_the_script()
}

#[test]
fn a_listed_proxy_says_who_calls() {
    let service = upstream::says("ok");
    let gateway = setup("127.0.0.0/8", "")
        .with("route \"GET /who\"", "route \"GET /pass\" { to = \"service\" } route \"GET /who\"")
        .service("service", &service)
        .start();
    for header in [V1.as_bytes(), V2] {
        let mut client = gateway.client();
        client.send(header);
        for _ in 0..2 {
            assert_eq!(client.get("/who").with(200).text(), "192.0.2.1 56324 http");
        }
        client.call("GET", "/pass", &[("x-forwarded-for", "6.6.6.6")], "").with(200);
        assert_eq!(service.last().header("x-forwarded-for"), Some("192.0.2.1"));
    }
    for header in [&b"PROXY UNKNOWN\r\n"[..], LOCAL] {
        let mut client = gateway.client();
        client.send(header);
        assert!(client.get("/who").with(200).text().starts_with("127.0.0.1 "));
    }
}

#[test]
fn header_and_request_may_come_together_or_in_crumbs() {
    let gateway = setup("127.0.0.1", "").start();
    let mut client = gateway.client();
    client.send([V1.as_bytes(), b"GET /who HTTP/1.1\r\nhost: x\r\n\r\n"].concat());
    assert_eq!(client.answer().text(), "192.0.2.1 56324 http");
    for header in [V1.as_bytes(), V2] {
        let mut client = gateway.client();
        for byte in header {
            client.send([*byte]);
        }
        assert_eq!(client.get("/who").text(), "192.0.2.1 56324 http");
    }
}

#[test]
fn tls_follows_the_header() {
    let authority = Authority::new("CA");
    let pair = authority.server(&["a.dev"]);
    let gateway = setup("127.0.0.1", r#", tls = { cert = "a.pem", key = "a.key" }"#)
        .file("a.pem", &pair.cert)
        .file("a.key", &pair.key)
        .start();
    for header in [V1.as_bytes(), V2] {
        let mut client = Client::connect(gateway.address());
        client.send(header);
        let mut client = Visitor::of(&authority).over(client, "a.dev").unwrap();
        assert_eq!(client.get("/who").with(200).text(), "192.0.2.1 56324 https");
    }
}

#[test]
fn strangers_and_bare_clients_are_closed() {
    let gateway = setup("10.0.0.0/8", "").start();
    let mut stranger = gateway.client();
    stranger.try_send(V1);
    assert!(stranger.closed());
    let gateway = setup("127.0.0.1", "").start();
    for bytes in [
        "GET /who HTTP/1.1\r\nhost: x\r\n\r\n",
        "PROXY TCP4 192.0.2.1 203.0.113.9 99999 443\r\nGET /who HTTP/1.1\r\nhost: x\r\n\r\n",
        "PROXY TCP4 192.0.2.1\r\nGET /who HTTP/1.1\r\nhost: x\r\n\r\n",
    ] {
        let mut client = gateway.client();
        client.try_send(bytes);
        assert_eq!(client.rest(), b"", "{bytes}");
    }
    // A second header is no request.
    let mut client = gateway.client();
    client.send([V1, V1].concat());
    assert!(matches!(client.answer().status, 400 | 505));
    assert_eq!(gateway.metric("moongate_tls_handshakes_total{result=\"proxy_header\"}"), 3.0);
}

#[test]
fn who_waits_with_its_header_is_closed_in_time() {
    let clock = Clock::fake(Duration::from_secs(1_750_000_000));
    let gateway = setup("127.0.0.1", ", header_timeout = \"2s\"").clock(&clock).start();
    let mut client = gateway.client();
    client.send("PROXY TCP4 ");
    assert!(client.silent(Duration::from_millis(50)));
    wait::until("it is closed", || {
        clock.advance(Duration::from_millis(200));
        gateway.metric("moongate_tls_handshakes_total{result=\"timeout\"}") == 1.0
    });
    assert!(client.closed());
}

#[test]
fn proxies_behind_the_announced_one_are_trusted_as_told() {
    let gateway = setup("127.0.0.1", r#", trust_proxies = { "192.0.2.0/24" }"#).start();
    let mut client = gateway.client();
    client.send(V1);
    let answer = client.call("GET", "/who", &[("x-forwarded-for", "5.6.7.8")], "");
    assert!(answer.text().starts_with("5.6.7.8 "), "{}", answer.text());
    let mut client = gateway.client();
    client.send(V1.replace("192.0.2.1", "192.0.3.1"));
    let answer = client.call("GET", "/who", &[("x-forwarded-for", "5.6.7.8")], "");
    assert!(answer.text().starts_with("192.0.3.1 "), "{}", answer.text());
}

#[test]
fn a_unix_socket_takes_headers_too() {
    let dir = Dir::new();
    let path = dir.join("p.sock");
    let script =
        format!(r#"gateway {{ listen = {{ {{ "unix:{}", proxy_protocol = {{}} }} }} }} {WHO}"#, path.display());
    let _gateway = gateway::script(&script).listeners_of_the_script().start();
    let mut stream = UnixStream::connect(&path).unwrap();
    stream.write_all(V2).unwrap();
    stream.write_all(b"GET /who HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    assert!(text.ends_with("192.0.2.1 56324 http"), "{text}");
}
