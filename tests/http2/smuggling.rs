//! What would be two things to two readers once it goes on over HTTP/1.1 never gets there (RFC 9113 §10.3).

use super::clear;
use crate::support::upstream;
use crate::support::wire::*;

#[test]
fn malformed_requests_never_reach_a_service() {
    let service = upstream::says("reached");
    let gateway = clear(r#"route "/{rest*}" { to = "service" }"#).service("service", &service).start();
    let plain = [(":method", "GET"), (":scheme", "http"), (":authority", "x"), (":path", "/")];
    let with = |fields: &[(&str, &str)]| block(&[&plain, fields].concat());
    let cases: Vec<(&str, Vec<u8>)> = vec![
        ("a line in a value", with(&[("x-a", "b\r\ntransfer-encoding: chunked")])),
        ("a line in a name", with(&[("x-a: b\r\nx-c", "d")])),
        ("LF in a value", with(&[("x-a", "b\nc")])),
        ("NUL in a value", with(&[("x-a", "b\0c")])),
        ("a colon in a name", with(&[("x-a:", "b")])),
        ("a space in a name", with(&[("x a", "b")])),
        ("an upper-case name", with(&[("X-A", "b")])),
        ("an empty name", with(&[("", "b")])),
        ("white space around a value", with(&[("x-a", " b")])),
        ("an underscore", with(&[("x_a", "b")])),
        ("transfer-encoding", with(&[("transfer-encoding", "chunked")])),
        ("connection", with(&[("connection", "close")])),
        ("keep-alive", with(&[("keep-alive", "5")])),
        ("proxy-connection", with(&[("proxy-connection", "close")])),
        ("upgrade", with(&[("upgrade", "h2c")])),
        ("te", with(&[("te", "gzip")])),
        ("a pseudo-field after fields", with(&[("x-a", "b"), (":path", "/other")])),
        ("a pseudo-field twice", with(&[(":path", "/other")])),
        ("an unknown pseudo-field", with(&[(":other", "x")])),
        ("a status", with(&[(":status", "200")])),
        ("a protocol without CONNECT", with(&[(":protocol", "websocket")])),
        ("two hosts", with(&[("host", "y")])),
        ("Host twice", with(&[("host", "x"), ("host", "x")])),
        ("a length that is none", with(&[("content-length", "1, 1")])),
        ("two lengths", with(&[("content-length", "0"), ("content-length", "1")])),
        ("a length without a body", with(&[("content-length", "5")])),
        ("no method", block(&plain[1..])),
        ("no path", block(&plain[..3])),
        ("no scheme", block(&[plain[0], plain[2], plain[3]])),
        ("no authority", block(&[plain[0], plain[1], plain[3]])),
        ("an empty path", head("GET", "", &[])),
        ("a path that is none", head("GET", "x", &[])),
        ("an absolute path", head("GET", "http://y/", &[])),
        ("a star", head("GET", "*", &[])),
        ("a space in the path", head("GET", "/a HTTP/1.1\r\nx: y", &[])),
        ("bytes in the path", head("GET", "/\u{e9}", &[])),
        ("a method with a space", head("GET /x HTTP/1.1\r\nhost: y\r\n\r\nGET", "/", &[])),
        ("a user in the authority", block(&[plain[0], plain[1], (":authority", "u@x"), plain[3]])),
        ("a path in the authority", block(&[plain[0], plain[1], (":authority", "x/y"), plain[3]])),
        ("another scheme", block(&[plain[0], (":scheme", "ftp"), plain[2], plain[3]])),
        ("dots that climb out are taken out", head("GET", "/a%2f..%2f", &[])),
        ("TRACE", head("TRACE", "/", &[])),
        ("CONNECT", block(&[(":method", "CONNECT"), (":authority", "x:80")])),
    ];
    for (what, block) in cases {
        let mut wire = Wire::open(gateway.address(), &[]);
        wire.send(frame(HEADERS, END_STREAM | END_HEADERS, 1, block));
        match wire.fate(1) {
            Err(code) => assert_eq!(code, PROTOCOL_ERROR, "{what}"),
            Ok(body) => assert!(body.contains("\"code\":\"request."), "{what}: {body}"),
        }
    }
    assert_eq!(service.calls(), 0, "{:?}", service.seen());
    let mut wire = Wire::open(gateway.address(), &[]);
    wire.send(get(1, "/"));
    assert_eq!(wire.fate(1).unwrap(), "reached");
}

#[test]
fn a_body_ends_where_its_frames_say() {
    let service = upstream::answers(|seen| upstream::ok(&seen.body));
    let gateway = clear(r#"route "/{rest*}" { to = "service" }"#).service("service", &service).start();
    let mut wire = Wire::open(gateway.address(), &[]);
    // What looks like a chunk's end and another request is data.
    let data = "0\r\n\r\nGET /smuggled HTTP/1.1\r\nhost: x\r\n\r\n";
    wire.send(frame(HEADERS, END_HEADERS, 1, head("POST", "/", &[]))).send(frame(DATA, END_STREAM, 1, data));
    assert_eq!(wire.fate(1).unwrap(), data);
    // A length that the frames exceed.
    wire.send(frame(HEADERS, END_HEADERS, 3, head("POST", "/", &[("content-length", "5")])));
    wire.send(frame(DATA, END_STREAM, 3, data));
    assert_eq!(wire.fate(3), Err(PROTOCOL_ERROR));
    wire.send(get(5, "/after"));
    wire.fate(5).unwrap();
    let targets: Vec<_> = service.seen().into_iter().map(|seen| seen.target).collect();
    assert_eq!(targets, ["/", "/after"]);
}
