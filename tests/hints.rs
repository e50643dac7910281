//! Early hints (103, RFC 8297): who is told them, and when.

use crate::support::gateway;
use crate::support::gateway::Gateway;
use crate::support::h2::Client;
use crate::support::h2_service;
use crate::support::upstream;
use crate::support::upstream::Upstream;

/// What marks a browser, and who passes on what one says.
const BROWSER: (&str, &str) = ("sec-fetch-mode", "navigate");

const HINTS: &str = "HTTP/1.1 103 Early Hints\r\nlink: </a.css>; rel=preload\r\nconnection: x-hop\r\nx-hop: 1\r\ncontent-length: 5\r\n\r\n";

/// Hints, and answers when it is told to.
fn thinking() -> Upstream {
    upstream::serve(|conn| {
        while conn.request().is_some() {
            conn.send("HTTP/1.1 100 Continue\r\n\r\n");
            conn.send(HINTS);
            conn.hold();
            conn.send(upstream::ok("done"));
        }
    })
}

/// In clear text, for both protocols.
fn before(service: &Upstream) -> Gateway {
    gateway::script(r#"gateway { listen = { { "127.0.0.1:0", http2 = true } } } route "/{rest*}" { to = "service" }"#)
        .listeners_of_the_script()
        .service("service", service)
        .start()
}

#[test]
fn a_browser_is_told_before_the_service_has_made_up_its_mind() {
    let service = thinking();
    let gateway = before(&service);
    let mut client = gateway.client();
    client.send("GET / HTTP/1.1\r\nhost: x\r\nsec-fetch-mode: navigate\r\n\r\n");
    let hints = String::from_utf8(client.until(b"\r\n\r\n")).unwrap();
    assert_eq!(hints, "HTTP/1.1 103 Early Hints\r\nlink: </a.css>; rel=preload\r\n\r\n");
    service.release();
    assert_eq!(client.answer().with(200).text(), "done");
    let again = client.call("GET", "/", &[BROWSER], "");
    assert_eq!((again.text(), again.interim.as_slice()), ("done", &[103][..]));
}

#[test]
fn over_http_2_everybody_is() {
    let service = thinking();
    let gateway = before(&service);
    let mut client = Client::connect(gateway.address());
    let mut call = client.start("GET", "/", &[], true);
    assert_eq!(client.interim(&mut call), Some(103));
    service.release();
    assert_eq!(client.interim(&mut call), None);
    assert_eq!(client.answer(&mut call).unwrap().with(200).text(), "done");
}

#[test]
fn who_could_take_them_for_the_answer_is_not() {
    let service = thinking();
    let gateway = before(&service);
    service.release();
    let answer = gateway.get("/");
    assert_eq!((answer.text(), answer.interim.len()), ("done", 0));
    let mut old = gateway.client();
    old.send("GET / HTTP/1.0\r\nhost: x\r\nsec-fetch-mode: navigate\r\n\r\n");
    assert!(old.rest().starts_with(b"HTTP/1.1 200"));
}

#[test]
fn continue_is_said_once_and_ahead_of_hints_of_a_service_that_wants_the_body() {
    let service = upstream::serve(|conn| {
        conn.head();
        conn.send(HINTS);
        conn.exactly(4);
        conn.send(format!("HTTP/1.1 100 Continue\r\n\r\n{HINTS}"));
        conn.send(upstream::ok("done"));
    });
    let gateway = before(&service);
    let mut client = gateway.client();
    client.send(
        "POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 4\r\nexpect: 100-continue\r\nsec-fetch-mode: cors\r\n\r\n",
    );
    assert_eq!(client.until(b"\r\n\r\n"), b"HTTP/1.1 100 Continue\r\n\r\n");
    assert!(client.until(b"\r\n\r\n").starts_with(b"HTTP/1.1 103 "));
    client.send("body");
    let answer = client.answer();
    assert_eq!((answer.text(), answer.interim.as_slice()), ("done", &[103][..]));
}

#[test]
fn services_that_speak_http_2_are_heard_as_well() {
    let service = h2_service::hinting(&[("link", "</a.css>; rel=preload")]);
    let gateway = gateway::script(r#"upstream "s" { "$UP", protocol = "h2" } route "/{rest*}" { to = "s" }"#)
        .with("$UP", service.address())
        .start();
    let answer = gateway.call("GET", "/", &[BROWSER], "");
    assert_eq!((answer.status, answer.interim.as_slice()), (200, &[103][..]));
    assert_eq!(gateway.get("/").interim.len(), 0);
}

#[test]
fn what_is_fetched_for_everybody_tells_nobody() {
    let service = thinking();
    service.release();
    let gateway =
        gateway::script(r#"route "/{rest*}" { cache "1m", to = "service" }"#).service("service", &service).start();
    for _ in 0..2 {
        let answer = gateway.call("GET", "/", &[BROWSER], "");
        assert_eq!((answer.text(), answer.interim.len()), ("done", 0));
    }
}

#[test]
fn a_client_that_takes_nothing_holds_up_nothing() {
    let service = upstream::serve(|conn| {
        let hint = format!("HTTP/1.1 103 Early Hints\r\nlink: <{}>\r\n\r\n", "x".repeat(30_000));
        while conn.request().is_some() {
            for _ in 0..16 {
                conn.send(&hint);
            }
            conn.send(upstream::ok(vec![b'x'; 4 << 20]));
        }
    });
    let gateway = before(&service);
    let mut client = gateway.client();
    client.send("GET / HTTP/1.1\r\nhost: x\r\nsec-fetch-mode: navigate\r\n\r\n");
    assert_eq!(gateway.get("/").status, 200);
    let answer = client.answer();
    assert_eq!((answer.status, answer.body.len(), answer.interim.len()), (200, 4 << 20, 16));
}
