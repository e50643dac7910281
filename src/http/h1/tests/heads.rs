//! Heads: what is taken, what is refused and by which name.

use crate::http::Method;
use crate::http::Version;
use crate::http::h1::Fault;
use crate::http::h1::Framing;
use crate::http::h1::HeadLimits;
use crate::http::h1::RequestHead;
use crate::http::h1::ResponseHead;
use crate::http::h1::Scan;
use crate::http::h1::request;
use crate::http::h1::response;

fn ask(head: &str) -> Result<RequestHead, Fault> {
    ask_bytes(head.as_bytes())
}

fn ask_bytes(head: &[u8]) -> Result<RequestHead, Fault> {
    request(head, HeadLimits::default(), &mut Scan::default()).map(|done| done.expect("complete").0)
}

fn answer(head: &str, to_head: bool) -> Result<ResponseHead, Fault> {
    let done = response(head.as_bytes(), HeadLimits::default(), &mut Scan::default(), to_head, None);
    done.map(|done| done.expect("complete").0)
}

fn names(head: &RequestHead) -> Vec<String> {
    head.headers.iter().map(|(_, name, _)| String::from_utf8_lossy(name).into_owned()).collect()
}

#[test]
fn an_ordinary_request() {
    let head =
        ask("GET /a/b?c=d?e HTTP/1.1\r\nHost: Example.COM:8080\r\nAccept:  */* \r\nX-Empty:\r\n\r\n").expect("fine");
    assert_eq!(head.method, Method::Get);
    assert_eq!((head.target.as_str(), head.path_end), ("/a/b?c=d?e", 4));
    assert_eq!(&*head.host, "example.com:8080");
    assert_eq!(head.version, Version::Http11);
    assert_eq!(head.framing, Framing::None);
    assert!(head.keep_alive);
    assert_eq!(names(&head), ["Accept", "X-Empty"]);
    assert_eq!(head.headers.get("accept"), Some(&b"*/*"[..]));
    assert_eq!(head.headers.get("x-empty"), Some(&b""[..]));
}

#[test]
fn ambiguous_or_malformed_requests_are_refused() {
    let hostile = [
        "GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nContent-Length: 3\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 3, 3\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nContent-Length: +3\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nContent-Length: -3\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 0x3\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 3 3\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nContent-Length:\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 99999999999999999999\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nContent_Length: 3\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked, identity\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: x\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: xchunked\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: \"chunked\"\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding:\x0bchunked\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding:\r\n\r\n",
        "GET / HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding : chunked\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\n Transfer-Encoding: chunked\r\n\r\n",
        "GET / HTTP/1.1\r\n Host: a\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nX: b\r\n c\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nX:\r\n\tc\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nX y: b\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\n: b\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nX\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nX: a\0b\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nX: a\rb\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nX: a\x01\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nX: a\x7f\r\n\r\n",
        "GET / HTTP/1.1\nHost: a\n\n",
        "GET / HTTP/1.1\r\nHost: a\nX: b\r\n\r\n",
        "GET / HTTP/1.1\r\nHost:\nX: b\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nX: b\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nX: b\r\n\n",
        "GET / HTTP/1.1\nHost: a\r\n\r\n",
        "\nGET / HTTP/1.1\r\nHost: a\r\n\r\n",
        "\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n",
        " GET / HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET  / HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET /  HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET / HTTP/1.1 \r\nHost: a\r\n\r\n",
        "GET\t/ HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET /\r\nHost: a\r\n\r\n",
        "GET / http/1.1\r\nHost: a\r\n\r\n",
        "GET / HTTP/1.1x\r\nHost: a\r\n\r\n",
        "GET / HTTP/11\r\nHost: a\r\n\r\n",
        "G@T / HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET a HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET * HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET ftp://a/ HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET http:///x HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET http://u@a/x HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET http://a:99999/x HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET http://a/x HTTP/1.1\r\n\r\n",
        "GET /a#b HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET /ä HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET / HTTP/1.1\r\n\r\n",
        "GET / HTTP/1.1\r\nHost:\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a b\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a, b\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a/b\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: u@a\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a:b\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a:80:80\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a:70000\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: [::1\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: [::1%eth0]\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: [x]\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: ::1\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a%00\r\n\r\n",
    ];
    for head in hostile {
        match ask(head) {
            Err(Fault::Malformed(_)) => {}
            Err(other) => panic!("{head:?}: {other:?}"),
            Ok(_) => panic!("{head:?} was taken"),
        }
    }
    assert!(matches!(ask_bytes(b"GET /\xe4 HTTP/1.1\r\nHost: a\r\n\r\n"), Err(Fault::Malformed(_))));
}

#[test]
fn refusals_with_a_name_of_their_own() {
    for version in ["HTTP/2.0", "HTTP/1.2", "HTTP/0.9", "HTTP/3", "HTTP/2"] {
        assert_eq!(ask(&format!("GET / {version}\r\nHost: a\r\n\r\n")).err(), Some(Fault::Version), "{version}");
    }
    assert_eq!(ask("PRI * HTTP/2.0\r\n\r\n").err(), Some(Fault::Version));
    assert_eq!(ask("CONNECT a:1 HTTP/1.1\r\nHost: a:1\r\n\r\n").err(), Some(Fault::Method));
    assert_eq!(ask("TRACE / HTTP/1.1\r\nHost: a\r\n\r\n").err(), Some(Fault::Method));
    assert_eq!(ask("GET / HTTP/1.1\r\nHost: a\r\nExpect: tea\r\n\r\n").err(), Some(Fault::Expectation));
}

#[test]
fn limits_are_kept_before_and_after_the_head_is_complete() {
    let limits = HeadLimits { bytes: 200, count: 3, uri: 50 };
    let ask = |head: &str| request(head.as_bytes(), limits, &mut Scan::default()).map(|done| done.is_some());
    let long = "x".repeat(51);
    assert_eq!(ask(&format!("GET /{long}")), Err(Fault::UriTooLong));
    assert_eq!(ask(&format!("GET /{long} HTTP/1.1\r\nHost: a\r\n\r\n")), Err(Fault::UriTooLong));
    let fat = format!("GET / HTTP/1.1\r\nHost: a\r\nX-Fat: {}", "x".repeat(200));
    assert_eq!(ask(&fat), Err(Fault::HeadersTooLarge("X-Fat".into())));
    assert_eq!(ask(&format!("{fat}\r\n\r\n")), Err(Fault::HeadersTooLarge("X-Fat".into())));
    let many = "GET / HTTP/1.1\r\nHost: a\r\nA: 1\r\nB: 2\r\nC: 3\r\n\r\n";
    assert_eq!(ask(many), Err(Fault::HeadersTooLarge("C".into())));
    assert_eq!(ask("GET / HTTP/1.1\r\nHost: a\r\nA: 1\r\nB: 2\r\n\r\n"), Ok(true));
    let many: String = (0..150).map(|n| format!("X-{n}: {n}\r\n")).collect();
    let many = format!("GET / HTTP/1.1\r\nHost: a\r\n{many}\r\n");
    let wide = HeadLimits { count: 200, ..HeadLimits::default() };
    let (head, _) = request(many.as_bytes(), wide, &mut Scan::default()).expect("fine").expect("complete");
    assert_eq!(head.headers.len(), 150);
}

#[test]
fn hop_by_hop_fields_end_here() {
    let head = ask(concat!(
        "GET / HTTP/1.1\r\nHost: a\r\nConnection: keep-alive, X-Mine, x-forwarded-for\r\nConnection: close\r\nX-Mine: 1\r\n",
        "X-Forwarded-For: 1.2.3.4\r\nKeep-Alive: timeout=5\r\nProxy-Connection: x\r\nTE: gzip, trailers;q=0.5\r\n",
        "Proxy-Authorization: x\r\nHTTP2-Settings: x\r\nUpgrade: h2c\r\nX-Other: 2\r\n\r\n"
    ))
    .expect("fine");
    assert_eq!(names(&head), ["X-Forwarded-For", "X-Other"]);
    assert!(!head.keep_alive);
    assert!(head.trailers);
    assert_eq!(head.upgrade, None);
}

#[test]
fn an_upgrade_needs_both_fields_and_no_body() {
    let ask =
        |more: &str| ask(&format!("GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\n{more}\r\n")).expect("fine");
    assert_eq!(ask("Connection: Upgrade\r\n").upgrade.as_deref(), Some("websocket"));
    assert_eq!(ask("").upgrade, None);
    assert_eq!(ask("Connection: Upgrade\r\nContent-Length: 5\r\n").upgrade, None);
}

#[test]
fn framing_of_requests() {
    let framing = |more: &str| ask(&format!("POST / HTTP/1.1\r\nHost: a\r\n{more}\r\n")).expect("fine").framing;
    assert_eq!(framing(""), Framing::None);
    assert_eq!(framing("Content-Length: 0\r\n"), Framing::None);
    assert_eq!(framing("Content-Length: 007\r\n"), Framing::Length(7));
    assert_eq!(framing("Transfer-Encoding: CHUNKED\r\n"), Framing::Chunked);
    let head = ask("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 7\r\nExpect: 100-Continue\r\n\r\n").expect("fine");
    assert!(head.expects_continue && !head.headers.has("expect"));
    let old = ask("POST / HTTP/1.0\r\nContent-Length: 7\r\nExpect: 100-continue\r\n\r\n").expect("fine");
    assert!(!old.expects_continue && !old.keep_alive && old.host.is_empty());
}

#[test]
fn targets() {
    let target = |line: &str| {
        let head = ask(&format!("{line} HTTP/1.1\r\nHost: b\r\n\r\n")).expect("fine");
        (head.host, head.target, head.path_end)
    };
    assert_eq!(target("GET http://A:81/x?y"), ("a:81".into(), "/x?y".into(), 2));
    assert_eq!(target("GET HTTP://a"), ("a".into(), "/".into(), 1));
    assert_eq!(target("GET http://a?y"), ("a".into(), "/?y".into(), 1));
    assert_eq!(target("OPTIONS http://a"), ("a".into(), "*".into(), 1));
    assert_eq!(target("OPTIONS *"), ("b".into(), "*".into(), 1));
    assert_eq!(target("GET //x"), ("b".into(), "//x".into(), 3));
}

#[test]
fn framing_of_answers() {
    let framing = |text: &str, to_head| answer(text, to_head).map(|head| (head.framing, head.keep_alive)).ok();
    assert_eq!(framing("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", false), Some((Framing::Length(5), true)));
    assert_eq!(framing("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", true), Some((Framing::None, true)));
    assert_eq!(framing("HTTP/1.1 200\r\nTransfer-Encoding: chunked\r\n\r\n", false), Some((Framing::Chunked, true)));
    assert_eq!(framing("HTTP/1.1 200 OK\r\n\r\n", false), Some((Framing::Close, false)));
    assert_eq!(framing("HTTP/1.0 200 OK\r\nContent-Length: 5\r\n\r\n", false), Some((Framing::Length(5), false)));
    for status in [100, 101, 103, 204, 304] {
        let text = format!("HTTP/1.1 {status} x\r\nContent-Length: 5\r\n\r\n");
        assert_eq!(framing(&text, false), Some((Framing::None, true)), "{status}");
    }
    let head = answer("HTTP/1.1 304 x\r\nContent-Length: 5\r\nETag: a\r\n\r\n", false).expect("fine");
    assert_eq!(head.headers.get("content-length"), Some(&b"5"[..]));
    let head =
        answer("HTTP/1.1 200 x\r\nContent-Length: 5\r\nKeep-Alive: max=3, timeout=7\r\n\r\n", false).expect("fine");
    assert!(!head.headers.has("content-length"));
    assert_eq!(head.idle, Some(std::time::Duration::from_secs(7)));
}

#[test]
fn ambiguous_answers_are_refused() {
    for head in [
        "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 5, 5\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n",
        "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
        "HTTP/1.1 200 OK\r\nA: b\r\n c\r\n\r\n",
        "HTTP/1.1 200 OK\r\nA : b\r\n\r\n",
        "HTTP/1.1 200 OK\nA: b\n\n",
        "HTTP/1.1 200 OK\r\nA: b\n\r\n",
        "HTTP/1.1 099 OK\r\n\r\n",
        "HTTP/1.1 600 OK\r\n\r\n",
        "HTTP/1.1 2x0 OK\r\n\r\n",
        "HTTP/2 200 OK\r\n\r\n",
        "ICY 200 OK\r\n\r\n",
        "\r\nHTTP/1.1 200 OK\r\n\r\n",
    ] {
        assert!(matches!(answer(head, false), Err(Fault::Malformed(_))), "{head:?}");
    }
    let twice = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 5\r\n\r\n";
    assert_eq!(answer(twice, false).map(|head| head.framing), Ok(Framing::Length(5)));
}
