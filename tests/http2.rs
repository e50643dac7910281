//! HTTP/2 on listeners: over TLS by ALPN, in clear text where a listener says so; a request lives as over HTTP/1.1.

mod bodies;
mod clients;
mod ends;
mod floods;
mod grpc;
mod memory;
mod smuggling;
mod upgrades;

use crate::support::gateway;
use crate::support::gateway::Gateway;
use crate::support::gateway::Setup;
use crate::support::h2::Client;
use crate::support::tls::Authority;
use crate::support::tls::Visitor;
use crate::support::upstream;

/// What a function sees of a request.
const WHO: &str = r#"
route "GET /who" { function(req)
  return { json = { version = req.version, scheme = req.scheme, host = req.host, tls = req.tls, cookie = req.headers.cookie } }
end }
"#;

/// A gateway that speaks HTTP/2 in clear text.
fn clear(script: &str) -> Setup {
    with("", script)
}

/// The same with further options.
fn with(options: &str, script: &str) -> Setup {
    let listen = r#"listen = { { "127.0.0.1:0", http2 = true } }"#;
    gateway::script(&format!("gateway {{ {listen}, {options} }} {script}")).listeners_of_the_script()
}

/// A gateway over TLS for `a.dev`.
fn secure(authority: &Authority, script: &str) -> Setup {
    let pair = authority.server(&["a.dev"]);
    gateway::script(&format!("gateway {{ tls = {{ cert = \"a.pem\", key = \"a.key\" }} }} {script}"))
        .file("a.pem", &pair.cert)
        .file("a.key", &pair.key)
}

fn client(gateway: &Gateway) -> Client {
    Client::connect(gateway.address())
}

#[test]
fn it_is_agreed_on_by_alpn() {
    let authority = Authority::new("CA");
    let gateway = secure(&authority, WHO).start();
    let mut client = Client::secure(&Visitor::of(&authority), &gateway, "a.dev");
    for _ in 0..3 {
        let answer = client.get("/who").with(200);
        assert_eq!((answer.at("/version"), answer.at("/scheme")), ("2".into(), "https".into()));
        assert_eq!((answer.at("/host"), answer.at("/tls/alpn")), ("a.dev".into(), "h2".into()));
        assert!(answer.header("date").is_some() && answer.header("via") == Some("2 moongate"), "{answer:?}");
    }
    let mut old = Visitor::of(&authority).offering(&["http/1.1"]).connect(&gateway, "a.dev");
    assert_eq!(old.get("/who").at("/version"), "1.1");
}

#[test]
fn a_listener_may_do_without() {
    let authority = Authority::new("CA");
    let pair = authority.server(&["a.dev"]);
    let script = format!(
        r#"gateway {{ listen = {{ {{ "127.0.0.1:0", http2 = false, tls = {{ cert = "a.pem", key = "a.key" }} }} }} }} {WHO}"#
    );
    let setup = gateway::script(&script).listeners_of_the_script();
    let gateway = setup.file("a.pem", &pair.cert).file("a.key", &pair.key).start();
    let visitor = Visitor::of(&authority).offering(&["h2", "http/1.1"]);
    assert_eq!(visitor.connect(&gateway, "a.dev").get("/who").at("/tls/alpn"), "http/1.1");
    assert!(Visitor::of(&authority).offering(&["h2"]).try_connect(gateway.address(), "a.dev").is_err());
}

#[test]
fn in_clear_text_it_is_spoken_where_a_listener_says_so_beside_http_1() {
    let gateway = clear(WHO).start();
    let answer = client(&gateway).get("/who").with(200);
    assert_eq!((answer.at("/version"), answer.at("/scheme")), ("2".into(), "http".into()));
    assert_eq!(gateway.get("/who").with(200).at("/version"), "1.1");
    // Bytes that come one by one are read all the same.
    let mut slow = gateway.client();
    for byte in "GET /who HTTP/1.1\r\nhost: x\r\n\r\n".bytes() {
        slow.send([byte]);
    }
    slow.answer().with(200);
}

#[test]
fn elsewhere_clear_text_is_http_1() {
    let gateway = gateway::script(WHO).start();
    gateway.raw("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").refused(505, "request.version");
    let answer = gateway.raw(
        "GET /who HTTP/1.1\r\nhost: x\r\nconnection: upgrade, http2-settings\r\nupgrade: h2c\r\nhttp2-settings: AAMAAABk\r\n\r\n",
    );
    assert_eq!((answer.status, answer.at("/version")), (200, "1.1".into()));
}

#[test]
fn requests_on_one_connection_do_not_wait_for_each_other() {
    let service = upstream::serve(|conn| {
        if conn.request().is_some_and(|seen| seen.target == "/slow") {
            conn.hold();
        }
        conn.send(upstream::ok("done"));
    });
    let gateway = clear(r#"route "/{rest*}" { to = "service" }"#).service("service", &service).start();
    let mut client = client(&gateway);
    let mut slow: Vec<_> = (0..20).map(|_| client.start("GET", "/slow", &[], true)).collect();
    for _ in 0..20 {
        assert_eq!(client.get("/quick").with(200).text(), "done");
    }
    service.release();
    for call in &mut slow {
        assert_eq!(client.answer(call).unwrap().with(200).text(), "done");
    }
    assert_eq!(service.last().header("via"), Some("2.0 moongate"));
}

#[test]
fn pieces_of_a_cookie_are_joined() {
    let gateway = clear(WHO).start();
    let answer = client(&gateway).call("GET", "/who", &[("cookie", "a=1"), ("cookie", "b=2; c=3")], "");
    assert_eq!(answer.with(200).at("/cookie"), "a=1; b=2; c=3");
}
