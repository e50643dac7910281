//! `compress`: what the client takes, as it streams, and nothing that must stay as it is.

use std::io::Read as _;
use std::io::Write as _;

use crate::support::answer::Answer;
use crate::support::gateway;
use crate::support::upstream;
use crate::support::wait;

fn unfolded(answer: &Answer) -> String {
    let mut out = Vec::new();
    match answer.header("content-encoding") {
        Some("gzip") => drop(flate2::read::GzDecoder::new(&answer.body[..]).read_to_end(&mut out).unwrap()),
        Some("br") => drop(brotli::Decompressor::new(&answer.body[..], 4096).read_to_end(&mut out).unwrap()),
        Some("zstd") => out = zstd::decode_all(&answer.body[..]).unwrap(),
        None => out.clone_from(&answer.body),
        other => panic!("{other:?}"),
    }
    String::from_utf8(out).unwrap()
}

#[test]
fn answers_of_everyone_are_compressed_by_what_the_client_takes() {
    let text = "many words, many times over; ".repeat(400);
    let json = format!("{{\"text\":\"{text}\"}}");
    let service = upstream::answers({
        let json = json.clone();
        move |seen| match seen.target.as_str() {
            "/json" => upstream::answer(200, &[("content-type", "application/json"), ("etag", "\"a\"")], &json),
            "/png" => upstream::answer(200, &[("content-type", "image/png")], &json),
            "/small" => upstream::answer(200, &[("content-type", "text/plain")], "small"),
            "/fixed" => {
                upstream::answer(200, &[("content-type", "text/plain"), ("cache-control", "no-transform")], &json)
            }
            "/part" => {
                upstream::answer(206, &[("content-type", "text/plain"), ("content-range", "bytes 0-9/99")], &json)
            }
            "/coded" => upstream::answer(200, &[("content-type", "text/plain"), ("content-encoding", "br")], &json),
            "/sse" => upstream::answer(200, &[("content-type", "text/event-stream")], &json),
            "/304" => b"HTTP/1.1 304 No\r\netag: \"a\"\r\n\r\n".to_vec(),
            other => panic!("{other}"),
        }
    });
    let gateway = gateway::script(
        r#"
        gateway { compress {} }
        route "GET /step" { function() return { text = string.rep("word ", 1000) } end }
        route "GET /gzip" { compress { codings = { "gzip" }, levels = { gzip = 9 } }, function() return { text = string.rep("word ", 1000) } end }
        route "GET /dry" { skip = {}, function() return { text = string.rep("word ", 1000), headers = { ["content-encoding"] = "identity" } } end }
        route "GET /{what}" { to = "service" }
        "#,
    )
    .service("service", &service)
    .start();
    for (field, coding) in [
        ("gzip", Some("gzip")),
        ("br", Some("br")),
        ("gzip, deflate, br, zstd", Some("zstd")),
        ("gzip;q=0.9, zstd;q=0.1", Some("gzip")),
        ("gzip;q=0", None),
        ("identity", None),
        ("*", Some("zstd")),
    ] {
        let answer = gateway.call("GET", "/json", &[("accept-encoding", field)], "").with(200);
        assert_eq!(answer.header("content-encoding"), coding, "{field}");
        assert_eq!(answer.header("vary"), Some("Accept-Encoding"), "{field}");
        assert_eq!(answer.header("etag"), Some(if coding.is_some() { "W/\"a\"" } else { "\"a\"" }), "{field}");
        assert_eq!(unfolded(&answer), json, "{field}");
        assert!(coding.is_none() || answer.body.len() < 2000, "{field}: {}", answer.body.len());
    }
    let all = [("accept-encoding", "gzip, br, zstd")];
    for left in ["/png", "/small", "/fixed", "/part", "/sse"] {
        let answer = gateway.call("GET", left, &all, "");
        assert_eq!(answer.header("content-encoding"), None, "{left}");
    }
    assert_eq!(gateway.call("GET", "/coded", &all, "").header("content-encoding"), Some("br"));
    assert_eq!(gateway.get("/json").header("content-encoding"), None);
    let fixed = gateway.call("GET", "/json", &[("accept-encoding", "gzip"), ("cache-control", "no-transform")], "");
    assert_eq!(fixed.header("content-encoding"), None, "the client forbids it");
    assert_eq!(unfolded(&gateway.call("GET", "/step", &all, "")), "word ".repeat(1000));
    let inner = gateway.call("GET", "/gzip", &all, "");
    assert_eq!((inner.header("content-encoding"), unfolded(&inner)), (Some("gzip"), "word ".repeat(1000)));
    let head = gateway.call("HEAD", "/json", &all, "");
    assert_eq!((head.header("content-encoding"), head.header("vary")), (None, Some("Accept-Encoding")));
    let unchanged = gateway.call("GET", "/304", &all, "").with(304);
    assert_eq!((unchanged.header("etag"), unchanged.header("vary")), (Some("W/\"a\""), Some("Accept-Encoding")));
}

#[test]
fn a_stream_is_flushed_whenever_its_source_pauses() {
    let service = upstream::serve(|conn| {
        conn.request();
        conn.send("HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ntransfer-encoding: chunked\r\n\r\n");
        conn.send("6\r\nfirst \r\n");
        // The second piece only comes once the first was seen.
        if conn.request().is_none() {
            conn.send("6\r\nsecond\r\n0\r\n\r\n");
        }
    });
    let gateway = gateway::script(r#"route "GET /" { compress { min = 0 }, to = "service" }"#)
        .service("service", &service)
        .start();
    for coding in ["gzip", "br", "zstd"] {
        let mut client = gateway.client();
        client.send(format!("GET / HTTP/1.1\r\nhost: a\r\naccept-encoding: {coding}\r\n\r\n"));
        let (mut answer, frame) = client.head();
        assert_eq!(answer.header("content-encoding"), Some(coding));
        let mut seen = Vec::new();
        let first = loop {
            seen.extend(client.piece(&mut answer, frame).expect("more to come"));
            let text = decoded_so_far(coding, &seen);
            if text.len() >= 6 {
                break text;
            }
        };
        assert_eq!(first, b"first ", "{coding}");
    }
}

/// What a client can read of a stream that has not ended.
fn decoded_so_far(coding: &str, coded: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    match coding {
        "gzip" => {
            let mut decoder = flate2::write::GzDecoder::new(&mut out);
            let _ = decoder.write_all(coded);
            let _ = decoder.flush();
            drop(decoder);
        }
        "br" => {
            let mut decoder = brotli::DecompressorWriter::new(&mut out, 4096);
            let _ = decoder.write_all(coded);
            let _ = decoder.flush();
            let _ = decoder.into_inner();
        }
        _ => {
            let mut decoder = zstd::stream::write::Decoder::new(&mut out).unwrap();
            let _ = decoder.write_all(coded);
            let _ = decoder.flush();
        }
    }
    out
}

#[test]
fn an_endless_answer_and_a_client_that_leaves_cost_nobody_anything() {
    let service = upstream::serve(|conn| {
        conn.request();
        conn.send("HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ntransfer-encoding: chunked\r\n\r\n");
        let piece = format!("10000\r\n{}\r\n", "x".repeat(0x10000));
        while conn.send(&piece) {}
    });
    let gateway = gateway::script(
        r#"
        route "GET /endless" { compress {}, to = "service" }
        route "GET /other" { function() return 204 end }
        "#,
    )
    .service("service", &service)
    .start();
    let mut clients: Vec<_> = (0..3).map(|_| gateway.client()).collect();
    for client in &mut clients {
        client.send("GET /endless HTTP/1.1\r\nhost: a\r\naccept-encoding: zstd\r\n\r\n");
        let (mut answer, frame) = client.head();
        assert!(client.piece(&mut answer, frame).is_some());
    }
    let watch = wait::Stopwatch::start();
    gateway.get("/other").with(204);
    assert!(watch.elapsed() < wait::PATIENCE / 4, "others have their turn: {:?}", watch.elapsed());
    drop(clients);
    wait::until("the service is let go", || service.open() == 0);
}

#[test]
fn an_answer_that_breaks_off_is_not_passed_off_as_whole() {
    let service = upstream::serve(|conn| {
        conn.request();
        conn.send("HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ncontent-length: 100000\r\n\r\n");
        conn.send("x".repeat(5000));
    });
    let gateway =
        gateway::script(r#"route "GET /" { compress {}, to = "service" }"#).service("service", &service).start();
    let mut client = gateway.client();
    client.send("GET / HTTP/1.1\r\nhost: a\r\naccept-encoding: gzip\r\n\r\n");
    let rest = client.rest();
    assert!(rest.starts_with(b"HTTP/1.1 200") && !rest.ends_with(b"0\r\n\r\n"), "no last chunk");
}
