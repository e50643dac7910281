//! PROXY headers towards services (S-21): whose request comes on a connection, told before anything else.

use std::os::unix::net::UnixListener;
use std::time::Duration;

use moongate::clock::Clock;

use crate::support::gateway;
use crate::support::gateway::Setup;
use crate::support::temp::Dir;
use crate::support::tls::Authority;
use crate::support::upstream;
use crate::support::upstream::Upstream;
use crate::support::wait;

/// A service that takes a line and then requests, and answers with the line.
fn reads_lines() -> Upstream {
    upstream::serve(|conn| {
        let Some(line) = conn.until(b"\r\n") else { return };
        while conn.request().is_some() && conn.send(upstream::ok(&line)) {}
    })
}

fn before(service: &Upstream, options: &str) -> Setup {
    let script = r#"
        gateway { trust_proxies = { "127.0.0.0/8" } }
        upstream "s" { "$UP", proxy_protocol = $OPTIONS }
        route "/{rest*}" { to = "s" }
        route "GET /fetched" { function() return { text = fetch("s/x"):text() } end }
    "#;
    gateway::script(script).with("$UP", service.address()).with("$OPTIONS", options)
}

#[test]
fn every_request_has_a_connection_that_tells_its_client() {
    let service = reads_lines();
    let gateway = before(&service, "1").start();
    let client = gateway.client();
    let (here, there) = (client.writer().local_addr().unwrap().port(), gateway.address().port());
    let own = format!("PROXY TCP4 127.0.0.1 0.0.0.0 {here} {there}\r\n");
    let host = format!("127.0.0.1:{there}");
    let mut client = client.host(&host);
    assert_eq!(client.get("/").with(200).text(), own);
    // behind a proxy that is believed it is the client it told us of, on the same connection
    let told = |of: &str| [("x-forwarded-for", of.to_owned())];
    for (of, line) in [
        ("192.0.2.7", format!("PROXY TCP4 192.0.2.7 0.0.0.0 0 {there}\r\n")),
        ("2001:db8::7", format!("PROXY TCP6 2001:db8::7 :: 0 {there}\r\n")),
        ("127.0.0.1", own.clone()),
    ] {
        let fields = told(of);
        let fields: Vec<_> = fields.iter().map(|(name, value)| (*name, value.as_str())).collect();
        assert_eq!(client.call("GET", "/", &fields, "").with(200).text(), line);
    }
    assert_eq!(service.connections(), 4, "none carried two requests");
    assert_eq!(client.get("/fetched").with(200).text(), "PROXY UNKNOWN\r\n");
}

#[test]
fn another_attempt_tells_it_again() {
    let service = upstream::serve(|conn| {
        let line = conn.until(b"\r\n").unwrap();
        let first = conn.request().is_some_and(|seen| seen.connection == 0);
        conn.send(if first { upstream::answer(503, &[], "") } else { upstream::ok(line) });
    });
    let gateway = before(&service, r#"1, retry = { times = 1, backoff = "1ms..2ms" }"#).start();
    assert!(gateway.get("/").with(200).text().starts_with("PROXY TCP4 127.0.0.1 "));
    assert_eq!(service.connections(), 2);
}

#[test]
fn version_2_goes_before_tls_and_is_understood_by_another_gateway() {
    let authority = Authority::new("CA");
    let pair = authority.server(&["localhost"]);
    let inner = gateway::script(
        r#"
        gateway { listen = { { "127.0.0.1:0", tls = { cert = "a.pem", key = "a.key" }, proxy_protocol = { from = { "127.0.0.1" } } } } }
        route "GET /who" { function(req) return { text = `{req.ip} {req.port} {req.scheme}` } end }
        "#,
    )
    .listeners_of_the_script()
    .file("a.pem", &pair.cert)
    .file("a.key", &pair.key)
    .start();
    let outer = gateway::script(
        r#"
        gateway { trust_proxies = { "127.0.0.0/8" } }
        upstream "inner" { "https://localhost:$PORT", proxy_protocol = 2, tls = { ca = "ca.pem" } }
        route "/{rest*}" { to = "inner" }
        "#,
    )
    .with("$PORT", inner.address().port())
    .file("ca.pem", &authority.pem)
    .start();
    let mut client = outer.client();
    let port = client.writer().local_addr().unwrap().port();
    assert_eq!(client.get("/who").with(200).text(), format!("127.0.0.1 {port} https"));
    let six = client.call("GET", "/who", &[("x-forwarded-for", "2001:db8::7")], "");
    assert_eq!(six.with(200).text(), "2001:db8::7 0 https");
}

#[test]
fn it_goes_over_unix_sockets_too() {
    use std::io::BufRead as _;
    use std::io::BufReader;
    use std::io::Write as _;
    let dir = Dir::new();
    let path = dir.join("s.sock");
    let listener = UnixListener::bind(&path).unwrap();
    let service = std::thread::spawn(move || {
        let (stream, _) = listener.accept().unwrap();
        let mut reader = BufReader::new(&stream);
        let mut lines = Vec::new();
        loop {
            let mut line = String::new();
            reader.read_line(&mut line).unwrap();
            if line == "\r\n" {
                break;
            }
            lines.push(line);
        }
        (&stream).write_all(b"HTTP/1.1 204 No Content\r\n\r\n").unwrap();
        lines
    });
    let script = r#"upstream "s" { "unix:$PATH", proxy_protocol = 1 } route "/" { to = "s" }"#;
    let gateway = gateway::script(script).with("$PATH", path.display()).start();
    gateway.get("/").with(204);
    let lines = service.join().unwrap();
    assert!(lines[0].starts_with("PROXY TCP4 127.0.0.1 ") && lines[1].starts_with("GET / HTTP/1.1"), "{lines:?}");
}

#[test]
fn checks_speak_for_the_gateway_itself() {
    let clock = Clock::fake(Duration::from_secs(1_800_000_000));
    let service = upstream::serve(|conn| {
        let Some(header) = conn.exactly(16) else { return };
        assert_eq!(header, b"\r\n\r\n\0\r\nQUIT\n\x20\x00\x00\x00");
        if conn.request().is_some() {
            conn.send(upstream::ok(""));
        }
    });
    let gateway = before(&service, "2, health = {}").clock(&clock).start();
    wait::until("it is well", || {
        let state = gateway.admin().get("/state").with(200).json();
        state["upstreams"][0]["hosts"][0]["check"] == "ok"
    });
}

#[test]
fn a_reload_that_turns_it_on_or_off_leaves_no_connection_of_the_other_kind() {
    let service = upstream::serve(|conn| {
        // the first bytes say which kind it is
        let Some(start) = conn.exactly(5) else { return };
        let told = start == b"PROXY";
        let mut seen = 0;
        while conn.until(b"\r\n\r\n").is_some() {
            seen += 1;
            if !conn.send(upstream::ok(format!("{told} {seen}"))) {
                return;
            }
        }
    });
    let script = |options: &str| {
        format!(
            r#"
            upstream "s" {{ "{}"{options} }}
            route "/" {{ to = "s" }}"#,
            service.address()
        )
    };
    let gateway = gateway::script(&script("")).start();
    let mut client = gateway.client();
    assert_eq!(client.get("/").with(200).text(), "false 1");
    assert_eq!(client.get("/").with(200).text(), "false 2");
    gateway.edit(&script(", proxy_protocol = 1")).unwrap();
    assert_eq!(client.get("/").with(200).text(), "true 1");
    assert_eq!(client.get("/").with(200).text(), "true 1");
    gateway.edit(&script("")).unwrap();
    assert_eq!(client.get("/").with(200).text(), "false 1");
    assert_eq!(client.get("/").with(200).text(), "false 2");
}
