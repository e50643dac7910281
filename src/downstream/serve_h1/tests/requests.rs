//! Requests in: pipelined, split, refused, limited.

use super::rig::bodies;
use super::rig::fake;
use super::rig::rig;
use super::rig::run;
use super::rig::settle;
use super::rig::usual;
use crate::downstream::Limits;

#[test]
fn a_request_is_answered_in_full() {
    run(async {
        let text = usual().await.ask("GET /a/../b?c=%20 HTTP/1.1\r\nHost: Example.org\r\n\r\n").await;
        assert_eq!(
            text,
            "HTTP/1.1 200 OK\r\ndate: Sun, 06 Nov 1994 08:49:37 GMT\r\ncontent-length: 26\r\n\r\nGET /b c=%20 example.org []"
                .replace("26", "27")
        );
    });
}

#[test]
fn pipelined_requests_are_answered_in_order() {
    run(async {
        let text = usual()
            .await
            .ask(concat!(
                "GET /1 HTTP/1.1\r\nHost: a\r\n\r\n",
                "POST /2 HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc",
                "POST /3 HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nde\r\n0\r\n\r\n",
                "\r\nHEAD /4 HTTP/1.1\r\nHost: a\r\n\r\n",
                "GET /5 HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
                "GET /6 HTTP/1.1\r\nHost: a\r\n\r\n",
            ))
            .await;
        assert_eq!(bodies(&text), ["GET /1 - a []", "POST /2 - a [abc]", "POST /3 - a [de]", "", "GET /5 - a []"]);
        assert_eq!(text.matches("connection: close").count(), 1);
    });
}

#[test]
fn a_stream_of_requests_split_at_each_byte_reads_the_same() {
    let stream = concat!(
        "POST /1?x HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc",
        "POST /2 HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n2;x=y\r\nde\r\n1\r\nf\r\n0\r\nT: u\r\n\r\n",
        "GET /3 HTTP/1.1\r\nHost: a\r\n\r\n"
    );
    run(async {
        let whole = usual().await.ask(stream).await;
        assert_eq!(bodies(&whole), ["POST /1 x a [abc]", "POST /2 - a [def]", "GET /3 - a []"]);
        for at in 1..stream.len() {
            let mut rig = usual().await;
            rig.send(&stream[..at]).await;
            for _ in 0..3 {
                tokio::task::yield_now().await;
            }
            assert_eq!(rig.ask(&stream[at..]).await, whole, "split at {at}");
        }
    });
}

#[test]
fn byte_by_byte() {
    run(async {
        let mut rig = usual().await;
        for byte in b"POST /1 HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nde\r\n0\r\n\r\n" {
            rig.send([*byte]).await;
            tokio::task::yield_now().await;
        }
        assert!(rig.until("[de]").await.starts_with("HTTP/1.1 200 OK"));
    });
}

#[test]
fn what_is_refused_ends_the_connection() {
    for (head, why) in [
        ("GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n", "Malformed"),
        ("GET / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n", "Malformed"),
        ("GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\n", "Malformed"),
        ("GET / HTTP/1.1\r\nHost: a\nX: y\r\n\r\n", "Malformed"),
        ("GET / HTTP/1.1\r\n\r\n", "Malformed"),
        ("GET /a%2fb HTTP/1.1\r\nHost: a\r\n\r\n", "Path"),
        ("GET /a/..;/b HTTP/1.1\r\nHost: a\r\n\r\n", "Path"),
        ("GET / HTTP/3.0\r\nHost: a\r\n\r\n", "Version"),
        ("TRACE / HTTP/1.1\r\nHost: a\r\n\r\n", "Method"),
        ("GET / HTTP/1.1\r\nHost: a\r\nExpect: x\r\n\r\n", "Expectation"),
        ("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 104857601\r\n\r\n", "BodyTooLarge"),
        ("\x16\x03\x01\x02\x00\x01\x00\x01\x00\x03\x03", "Malformed"),
    ] {
        run(async {
            let text = usual().await.ask(format!("{head}GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n")).await;
            assert_eq!(bodies(&text).len(), 1, "{head:?}: {text}");
            assert!(bodies(&text)[0].starts_with(why), "{head:?}: {text}");
            assert!(text.contains("connection: close\r\n"), "{text}");
        });
    }
}

#[test]
fn heads_beyond_the_limits_are_refused_before_they_end() {
    let limits = Limits { headers: 4000, header_count: 20, uri: 1000, ..Limits::default() };
    for (head, why) in [
        (format!("GET /{}", "a".repeat(2000)), "UriTooLong"),
        (format!("GET / HTTP/1.1\r\nHost: a\r\nX-Fat: {}", "b".repeat(5000)), "HeadersTooLarge(\"X-Fat\")"),
        (format!("GET / HTTP/1.1\r\nHost: a\r\n{}\r\n", "X-N: 1\r\n".repeat(25)), "HeadersTooLarge(\"X-N\")"),
    ] {
        let limits = limits.clone();
        run(async move {
            let mut rig = rig(limits, fake()).await;
            rig.send(head).await;
            let text = rig.until(why).await;
            assert!(text.contains("connection: close"));
        });
    }
}

#[test]
fn a_head_of_the_largest_size_arrives_in_many_reads() {
    run(async {
        let mut rig = usual().await;
        let head = format!("GET / HTTP/1.1\r\nHost: a\r\nX-Fat: {}\r\n\r\n", "b".repeat(60_000));
        for part in head.as_bytes().chunks(7000) {
            rig.send(part).await;
            settle().await;
        }
        assert!(rig.until("GET / - a []").await.starts_with("HTTP/1.1 200"));
    });
}

#[test]
fn http_1_0_closes_unless_asked_to_stay() {
    run(async {
        let text = usual().await.ask("GET / HTTP/1.0\r\n\r\nGET / HTTP/1.0\r\n\r\n").await;
        assert_eq!(bodies(&text), ["GET / -  []"]);
        assert!(text.contains("connection: close\r\n"));
        let text = usual()
            .await
            .ask("GET /1 HTTP/1.0\r\nConnection: Keep-Alive\r\nHost: a\r\n\r\nGET /2 HTTP/1.0\r\nHost: a\r\n\r\n")
            .await;
        assert_eq!(bodies(&text), ["GET /1 - a []", "GET /2 - a []"]);
        assert_eq!(text.matches("connection: keep-alive\r\n").count(), 1);
    });
}

#[test]
fn answers_without_a_body_say_so_in_their_own_way() {
    run(async {
        let text = usual()
            .await
            .ask(concat!(
                "GET /204 HTTP/1.1\r\nHost: a\r\n\r\n",
                "GET /304 HTTP/1.1\r\nHost: a\r\n\r\n",
                "GET /empty HTTP/1.1\r\nHost: a\r\n\r\n",
                "HEAD /ignore HTTP/1.1\r\nHost: a\r\n\r\n",
                "HEAD /pieces HTTP/1.1\r\nHost: a\r\n\r\n",
                "GET /last HTTP/1.1\r\nHost: a\r\n\r\n",
            ))
            .await;
        let answers: Vec<_> = text.split("HTTP/1.1 ").skip(1).collect();
        assert_eq!(bodies(&text), ["", "", "", "", "", "GET /last - a []"]);
        assert!(!answers[0].contains("content-length") && !answers[0].contains("transfer-encoding"));
        assert!(answers[1].contains("content-length: 9"));
        assert!(answers[2].contains("content-length: 0"));
        assert!(answers[3].contains("content-length: 7"));
    });
}
