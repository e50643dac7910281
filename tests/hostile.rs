//! Services that never come to an end: what they pour out is bounded, and so is the time it takes.

use std::time::Duration;

use crate::support::binary;
use crate::support::gateway;
use crate::support::upstream;
use crate::support::upstream::Upstream;
use crate::support::wait::Stopwatch;

/// A service that pours `piece` out for ever after `start`.
fn pours(start: &'static str, piece: &'static str) -> Upstream {
    upstream::serve(move |conn| {
        conn.request();
        conn.send(start);
        let pieces = piece.repeat(1000);
        let mut sent = 0;
        while conn.send(&pieces) && sent < 64 << 20 {
            sent += pieces.len();
        }
        assert!(sent < 64 << 20, "64 MB of {piece:?} were taken");
    })
}

#[test]
fn a_head_without_end_is_a_502() {
    for (start, piece) in [
        ("HTTP/1.1 200 ", "OK"),
        ("HTTP/1.1 200 OK\r\n", "x-a: b\r\n"),
        ("HTTP/1.1 200 OK\r\nx-a: ", "bbbbbbbb"),
        ("", "HTTP/1.1 100 Continue\r\n\r\n"),
        ("", "HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n"),
    ] {
        let service = pours(start, piece);
        let gateway = gateway::before(&service);
        let watch = Stopwatch::start();
        let answer = gateway.get("/");
        assert_eq!(answer.status, 502, "{start:?} {piece:?}: {answer:?}");
        assert!(watch.elapsed() < Duration::from_secs(10), "{start:?} {piece:?} took {:?}", watch.elapsed());
    }
}

#[test]
fn framing_without_end_cuts_the_body() {
    for (start, piece) in [
        ("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n1;", "extension"),
        ("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n", "0000000000"),
        ("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n0\r\n", "x-a: b\r\n"),
        ("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n0\r\nx-a: ", "bbbbbbbb"),
    ] {
        let service = pours(start, piece);
        let gateway = gateway::before(&service);
        let mut client = gateway.client();
        client.send("GET / HTTP/1.1\r\nhost: x\r\n\r\n");
        let text = String::from_utf8_lossy(&client.rest()).into_owned();
        let cut = text.starts_with("HTTP/1.1 502") || !text.ends_with("0\r\n\r\n");
        assert!(cut, "{start:?} {piece:?} was passed off as whole: {}", &text[..text.len().min(300)]);
    }
}

#[test]
fn empty_and_tiny_chunks_are_no_way_to_hold_a_worker() {
    let service = upstream::serve(|conn| {
        conn.request();
        conn.send("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n");
        let pieces = "1\r\nx\r\n".repeat(10_000);
        for _ in 0..20 {
            if !conn.send(&pieces) {
                return;
            }
        }
        conn.send("0\r\n\r\n");
    });
    let quick = upstream::says("quick");
    let gateway = gateway::script(r#"route "GET /tiny" { to = "tiny" } route "GET /quick" { to = "quick" }"#)
        .service("tiny", &service)
        .service("quick", &quick)
        .start();
    let mut client = gateway.client();
    client.send("GET /tiny HTTP/1.1\r\nhost: x\r\n\r\n");
    let watch = Stopwatch::start();
    assert_eq!(gateway.get("/quick").text(), "quick");
    assert!(watch.elapsed() < Duration::from_secs(3), "{:?}", watch.elapsed());
    assert_eq!(client.answer().body.len(), 200_000);
}

#[test]
fn clients_that_connect_and_vanish_leave_no_memory_behind() {
    let gateway = binary::script(r#"route "/{rest*}" { function(req) return { text = req:text() } end }"#).start();
    let turn = |times: usize| {
        for n in 0..times {
            let mut client = gateway.client();
            match n % 4 {
                0 => drop(client.try_send("GET / HT")),
                1 => drop(client.try_send("POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 100000\r\n\r\nsome")),
                2 => drop(client.try_send("GET / HTTP/1.1\r\nhost: x\r\n\r\n".repeat(20))),
                _ => {}
            }
            if n % 3 == 0 {
                client.reset();
            }
        }
    };
    turn(500);
    let before = gateway.memory();
    turn(3_000);
    let grown = gateway.memory().saturating_sub(before);
    assert!(grown < 12 << 20, "{} KB after 3000 vanished clients", grown >> 10);
    gateway.client().get("/").with(200);
}

#[test]
fn a_compressed_request_body_is_bounded_when_a_step_reads_it() {
    use std::io::Write as _;
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    gzip.write_all(&vec![b' '; 64 << 20]).unwrap();
    let bomb = gzip.finish().unwrap();
    let gateway =
        gateway::script(r#"route "POST /" { function(req) return { text = tostring(#req:text()) } end }"#).start();
    let headers = [("content-encoding", "gzip"), ("content-type", "application/json")];
    let answer = gateway.call("POST", "/", &headers, bomb);
    assert!(answer.status == 413 || answer.text().parse::<usize>().is_ok_and(|size| size < 1 << 20), "{answer:?}");
}
