//! Bodies pass as they come, both ways, with back-pressure; a cut body is never passed off as whole.

use std::io::Write as _;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering;
use std::time::Duration;

use crate::support::gateway;
use crate::support::upstream;
use crate::support::wait;

#[test]
fn each_chunk_of_an_answer_arrives_before_the_next_is_sent() {
    let service = upstream::serve(|conn| {
        conn.request();
        conn.send("HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n");
        conn.send("8\r\ndata:1\n\n\r\n");
        conn.hold();
        conn.send("8\r\ndata:2\n\n\r\n0\r\n\r\n");
    });
    let gateway = gateway::before(&service);
    let mut client = gateway.client();
    client.send("GET /events HTTP/1.1\r\nhost: x\r\n\r\n");
    let (mut answer, frame) = client.head();
    assert_eq!(client.piece(&mut answer, frame).unwrap(), b"data:1\n\n");
    service.release();
    assert_eq!(client.piece(&mut answer, frame).unwrap(), b"data:2\n\n");
    assert_eq!(client.piece(&mut answer, frame), None);
}

#[test]
fn an_upload_streams_while_it_is_being_sent() {
    let service = upstream::serve(|conn| {
        conn.head();
        let mut got = Vec::new();
        while !got.ends_with(b"one\r\n") {
            got.extend(conn.some().unwrap());
        }
        conn.send("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\none\r\n");
        while !got.ends_with(b"0\r\n\r\n") {
            got.extend(conn.some().unwrap());
        }
        conn.send("3\r\nend\r\n0\r\n\r\n");
    });
    let gateway = gateway::before(&service);
    let mut client = gateway.client();
    client.send("POST /up HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n3\r\none\r\n");
    let (mut answer, frame) = client.head();
    assert_eq!(client.piece(&mut answer, frame).unwrap(), b"one");
    client.send("3\r\ntwo\r\n0\r\n\r\n");
    assert_eq!(client.piece(&mut answer, frame).unwrap(), b"end");
    assert_eq!(client.piece(&mut answer, frame), None);
}

#[test]
fn a_slow_reader_holds_the_upstream_back() {
    let sent = Arc::new(AtomicUsize::new(0));
    let service = upstream::serve({
        let sent = Arc::clone(&sent);
        move |conn| {
            conn.request();
            conn.send(format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", 256 << 20));
            let piece = vec![b'x'; 64 << 10];
            while conn.send(&piece) {
                sent.fetch_add(piece.len(), Ordering::SeqCst);
            }
        }
    });
    let gateway = gateway::before(&service);
    let mut client = gateway.client();
    client.send("GET /big HTTP/1.1\r\nhost: x\r\n\r\n");
    client.head();
    let stalled = stalls(&sent);
    assert!(stalled < 32 << 20, "{stalled} bytes were taken though nobody reads");
    client.exactly(8 << 20);
    wait::until("the stream goes on", || sent.load(Ordering::SeqCst) > stalled);
}

#[test]
fn a_slow_upstream_holds_the_client_back() {
    let service = upstream::serve(|conn| {
        conn.head();
        std::thread::park_timeout(Duration::from_millis(700));
        conn.linger();
    });
    let gateway = gateway::before(&service);
    let client = gateway.client();
    let mut writer = client.writer();
    let sent = Arc::new(AtomicUsize::new(0));
    let upload = std::thread::spawn({
        let sent = Arc::clone(&sent);
        move || {
            let _ = writer
                .write_all(format!("POST / HTTP/1.1\r\nhost: x\r\ncontent-length: {}\r\n\r\n", 90 << 20).as_bytes());
            let piece = vec![b'x'; 64 << 10];
            while writer.write_all(&piece).is_ok() {
                sent.fetch_add(piece.len(), Ordering::SeqCst);
            }
        }
    });
    let stalled = stalls(&sent);
    assert!(stalled < 32 << 20, "{stalled} bytes were taken though nobody reads");
    client.reset();
    upload.join().unwrap();
}

/// Where a counter comes to rest.
fn stalls(count: &AtomicUsize) -> usize {
    let mut last = (0, 0);
    wait::until("the sender stalls", || {
        let now = count.load(Ordering::SeqCst);
        last = if now == last.0 && now > 0 { (now, last.1 + 1) } else { (now, 0) };
        last.1 > 60
    });
    last.0
}

#[test]
fn a_body_cut_by_the_upstream_is_cut_for_the_client() {
    let service = upstream::serve(|conn| {
        let Some(seen) = conn.request() else { return };
        match seen.target.as_str() {
            "/length" => conn.send("HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhalf"),
            "/chunk" => conn.send("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n4\r\nhalf\r\n"),
            "/inside" => conn.send("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\na\r\nhalf"),
            "/size" => {
                conn.send("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n4\r\nhalf\r\nxyz\r\nmore\r\n0\r\n\r\n")
            }
            _ => conn.send("HTTP/1.1 200 OK\r\n\r\nuntil the close"),
        };
        if seen.target == "/reset" {
            conn.reset();
        }
    });
    let gateway = gateway::before(&service);
    for target in ["/length", "/chunk", "/inside", "/size"] {
        let mut client = gateway.client();
        client.send(format!("GET {target} HTTP/1.1\r\nhost: x\r\n\r\n"));
        let raw = String::from_utf8(client.rest()).unwrap();
        let whole = raw.ends_with("0\r\n\r\n") || raw.contains("content-length: 4\r\n");
        assert!(!whole, "{target} was passed off as whole: {raw:?}");
        assert!(raw.starts_with("HTTP/1.1 502") || raw.contains("half"), "{target}: {raw:?}");
    }
    assert_eq!(gateway.get("/close").text(), "until the close");
}

#[test]
fn a_body_cut_by_the_client_never_reaches_the_upstream_as_whole() {
    let service = upstream::serve(|conn| while conn.request().is_some() && conn.send(upstream::ok("")) {});
    let gateway = gateway::before(&service);
    for framing in ["content-length: 10\r\n\r\nhalf", "transfer-encoding: chunked\r\n\r\n4\r\nhalf\r\n"] {
        let mut client = gateway.client();
        client.send(format!("POST / HTTP/1.1\r\nhost: x\r\n{framing}"));
        client.half_close();
        let raw = String::from_utf8(client.rest()).unwrap();
        assert!(raw.is_empty() || raw.starts_with("HTTP/1.1 400"), "{raw:?}");
    }
    assert_eq!(service.calls(), 0, "a cut upload was taken for a whole one");
    wait::until("the upstream connections are gone", || service.open() == 0);
}

#[test]
fn trailers_pass_and_expect_continue_is_honoured() {
    let service = upstream::answers(|seen| {
        let sum = seen.trailers.iter().find(|(name, _)| name == "x-sum").map(|(_, value)| value.clone());
        let body = "2\r\nok\r\n0\r\nx-end: ";
        let head = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\ntrailer: x-end\r\n\r\n";
        format!("{head}{body}{}\r\n\r\n", sum.unwrap_or_default()).into()
    });
    let gateway = gateway::before(&service);
    let mut client = gateway.client();
    client.send("POST /t HTTP/1.1\r\nhost: x\r\nte: trailers\r\ntrailer: x-sum\r\ntransfer-encoding: chunked\r\nexpect: 100-continue\r\n\r\n");
    assert_eq!(client.until(b"\r\n\r\n"), b"HTTP/1.1 100 Continue\r\n\r\n");
    client.send("3\r\nabc\r\n0\r\nx-sum: 7\r\n\r\n");
    let answer = client.answer();
    assert_eq!(answer.text(), "ok");
    assert_eq!(answer.trailers, [("x-end".to_owned(), "7".to_owned())]);
}

#[test]
fn continue_is_not_said_when_the_answer_is_a_refusal() {
    let gateway = gateway::script(r#"route "POST /" { function() return 403 end }"#).start();
    let mut client = gateway.client();
    client.send("POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 3\r\nexpect: 100-continue\r\n\r\n");
    let answer = client.answer();
    assert_eq!((answer.status, answer.interim.len()), (403, 0));
    assert!(
        answer.header("connection") == Some("close")
            || !client.silent(Duration::from_millis(1))
            || client.get("/").status == 405
    );
}

#[test]
fn a_script_may_map_a_stream_line_by_line_without_gathering_it() {
    let service = upstream::serve(|conn| {
        conn.request();
        conn.send("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n6\r\na\nb\nc1\r\n");
        conn.some();
    });
    let gateway = gateway::script(
        r#"
        route "GET /" { function(req, next)
          next():lines(function(line) if line == "b" then return nil end return line:upper() end)
        end, to = "service" }
        "#,
    )
    .service("service", &service)
    .start();
    let mut client = gateway.client();
    client.send("GET / HTTP/1.1\r\nhost: x\r\n\r\n");
    let (mut answer, frame) = client.head();
    assert!(answer.header("content-length").is_none());
    let first = client.piece(&mut answer, frame).unwrap();
    assert_eq!(first, b"A\n");
}

#[test]
fn early_hints_and_other_interim_answers_do_not_disturb_the_final_one() {
    let service = upstream::answers(|_| {
        b"HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\nHTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok".to_vec()
    });
    let gateway = gateway::before(&service);
    let mut client = gateway.client();
    for _ in 0..2 {
        let answer = client.get("/");
        assert_eq!((answer.text(), answer.interim.len()), ("ok", 0));
    }
}
