//! Bodies both ways: framing, trailers, `100-continue`, back-pressure, early answers.

use std::time::Duration;

use tokio::io::AsyncReadExt;
use tokio::io::AsyncWriteExt;

use super::rig::bodies;
use super::rig::fake;
use super::rig::rig;
use super::rig::run;
use super::rig::settle;
use super::rig::usual;
use crate::downstream::Limits;
use crate::downstream::serve_h1::Broke;
use crate::http::BodyError;
use crate::http::h1::Chunked;
use crate::http::h1::Piece;

#[test]
fn an_echo_streams_with_length_and_chunked() {
    run(async {
        let text = usual()
            .await
            .ask(concat!(
                "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello",
                "POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n1\r\n!\r\n0\r\n\r\n",
            ))
            .await;
        assert!(text.contains("content-length: 5\r\n\r\nhello"), "{text}");
        assert!(text.contains("transfer-encoding: chunked\r\n\r\n5\r\nhello\r\n1\r\n!\r\n0\r\n\r\n"), "{text}");
    });
}

#[test]
fn trailers_go_to_those_who_asked_for_them() {
    let ask = |te: &str| {
        format!(
            "POST /echo HTTP/1.1\r\nHost: a\r\n{te}Transfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\nX-Sum: 9\r\nContent-Length: 7\r\n\r\n"
        )
    };
    run(async {
        let text = usual().await.ask(ask("TE: trailers\r\n")).await;
        assert!(text.ends_with("1\r\nx\r\n0\r\nX-Sum: 9\r\n\r\n"), "{text}");
        let text = usual().await.ask(ask("")).await;
        assert!(text.ends_with("1\r\nx\r\n0\r\n\r\n"), "{text}");
    });
}

#[test]
fn continue_is_said_when_the_body_is_wanted_and_only_then() {
    run(async {
        let head = "POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n";
        let mut rig = usual().await;
        rig.send(head).await;
        assert_eq!(rig.until("\r\n\r\n").await, "HTTP/1.1 100 Continue\r\n\r\n");
        rig.send("ab").await;
        assert!(rig.until("[ab]").await.starts_with("HTTP/1.1 200 OK"));
        // the connection goes on
        rig.send("GET /y HTTP/1.1\r\nHost: a\r\n\r\n").await;
        rig.until("GET /y - a []").await;

        // a client that did not wait is not told
        let text = usual().await.ask(format!("{head}ab")).await;
        assert_eq!(bodies(&text), ["POST /x - a [ab]"]);

        // nobody wanted the body: no 100, and no guess about what follows
        let mut rig = usual().await;
        rig.send(head.replace("/x", "/ignore")).await;
        let text = rig.until("ignored").await;
        assert!(text.starts_with("HTTP/1.1 200") && text.contains("connection: close"), "{text}");
        rig.client.shutdown().await.expect("half-closed");
        assert_eq!(rig.rest().await, "");
    });
}

#[test]
fn after_an_early_answer_a_short_body_is_passed_over_and_a_long_one_ends_the_connection() {
    run(async {
        let short = "POST /ignore HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc";
        let chunked = "POST /ignore HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n";
        let text = usual().await.ask(format!("{short}{chunked}GET /y HTTP/1.1\r\nHost: a\r\n\r\n")).await;
        assert_eq!(bodies(&text), ["ignored", "ignored", "GET /y - a []"]);

        let mut rig = usual().await;
        rig.send("POST /ignore HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\n").await;
        let answer = rig.until("ignored").await;
        assert!(answer.contains("connection: close"));
        // the client goes on sending and is not reset before it has read: the end is an orderly one
        rig.send("x".repeat(1_000_000)).await;
        rig.client.shutdown().await.expect("half-closed");
        let mut rest = Vec::new();
        assert_eq!(rig.client.read_to_end(&mut rest).await.expect("no reset"), 0);
        assert!(rig.is_over().await);
    });
}

#[test]
fn a_body_held_beyond_the_answer_ends_the_connection() {
    run(async {
        let text = usual()
            .await
            .ask("POST /late HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\n\r\nabcGET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n")
            .await;
        assert!(text.ends_with("4\r\nlate\r\n0\r\n\r\n"), "{text}");
    });
}

#[test]
fn broken_bodies_are_told_and_end_the_connection() {
    for (body, error) in [
        ("Transfer-Encoding: chunked\r\n\r\n3\r\nabcd\r\n0\r\n\r\n", BodyError::Malformed),
        ("Transfer-Encoding: chunked\r\n\r\nxyz\r\n", BodyError::Malformed),
        ("Transfer-Encoding: chunked\r\n\r\n3\r\nab", BodyError::Cut),
        ("Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n", BodyError::Cut),
        ("Content-Length: 5\r\n\r\nabc", BodyError::Cut),
        ("Transfer-Encoding: chunked\r\n\r\n0\r\nX: a\nb\r\n\r\n", BodyError::Malformed),
    ] {
        run(async {
            let rig = usual().await;
            let seen = std::rc::Rc::clone(&rig.seen);
            let text = rig.ask(format!("POST /x HTTP/1.1\r\nHost: a\r\n{body}")).await;
            assert_eq!(seen.body.get(), Some(error), "{body:?}");
            assert_eq!(bodies(&text).len(), 1);
        });
    }
}

#[test]
fn a_chunked_body_beyond_the_limit_is_told_while_it_streams() {
    run(async {
        let mut rig = rig(Limits { body: 10, ..Limits::default() }, fake()).await;
        rig.send("POST /x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n6\r\nabcdef\r\n6\r\nabcdef\r\n")
            .await;
        let text = rig.until("[TooLarge]").await;
        assert!(text.contains("connection: close"), "{text}");
    });
}

#[test]
fn pieces_small_and_large_arrive_whole_in_chunks() {
    run(async {
        let mut rig = usual().await;
        rig.send("GET /pieces HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").await;
        let mut bytes = Vec::new();
        rig.client.read_to_end(&mut bytes).await.expect("an orderly end");
        let head = bytes.windows(4).position(|window| window == b"\r\n\r\n").expect("a head") + 4;
        let (mut rest, mut chunked, mut data) = (&bytes[head..], Chunked::new(), Vec::new());
        loop {
            let (framing, piece) = chunked.next(rest).expect("sound framing");
            rest = &rest[framing..];
            match piece {
                Piece::Data(n) => {
                    data.extend_from_slice(&rest[..n]);
                    chunked.took(n);
                    rest = &rest[n..];
                }
                Piece::End => break,
                Piece::More => panic!("cut"),
            }
        }
        assert!(rest.is_empty());
        assert_eq!(data.len(), 1 + 5000 + 3 + 70_000 + 4096 + 4097);
        assert!(data.iter().enumerate().all(|(at, byte)| usize::from(*byte) == at % 251));
    });
}

#[test]
fn old_clients_get_a_body_that_ends_with_the_connection() {
    run(async {
        let mut rig = usual().await;
        rig.send("GET /pieces HTTP/1.0\r\nConnection: keep-alive\r\n\r\n").await;
        rig.client.shutdown().await.expect("half-closed");
        let mut bytes = Vec::new();
        rig.client.read_to_end(&mut bytes).await.expect("an orderly end");
        let text = String::from_utf8_lossy(&bytes);
        assert!(text.contains("connection: close\r\n") && !text.contains("transfer-encoding"), "{}", &text[..200]);
        assert_eq!(bytes.len() - bytes.windows(4).position(|w| w == b"\r\n\r\n").expect("a head") - 4, 83_197);
    });
}

#[test]
fn a_body_that_breaks_off_never_looks_complete() {
    run(async {
        // chunked: no last chunk
        let text = usual().await.ask("GET /cut HTTP/1.1\r\nHost: a\r\n\r\n").await;
        assert!(text.len() > 90_000 && !text.ends_with("0\r\n\r\n"));
        // with a length: fewer bytes than announced
        let rig = usual().await;
        let seen = std::rc::Rc::clone(&rig.seen);
        let text = rig.ask("GET /short HTTP/1.1\r\nHost: a\r\n\r\n").await;
        assert!(text.contains("content-length: 10") && text.ends_with("four"), "{text}");
        assert_eq!(seen.gone.get().map(|gone| gone.why), Some(Broke::Body(BodyError::Cut)));
        // until the end of the connection: that end is a reset
        let mut rig = usual().await;
        rig.send("GET /cut HTTP/1.0\r\n\r\n").await;
        let mut bytes = Vec::new();
        assert!(rig.client.read_to_end(&mut bytes).await.is_err(), "an orderly end after {}", bytes.len());
    });
}

#[test]
fn a_reader_that_stops_stops_the_source() {
    run(async {
        let mut rig = usual().await;
        rig.send("GET /endless HTTP/1.1\r\nHost: a\r\n\r\n").await;
        let mut before = usize::MAX;
        while rig.seen.produced.get() != before {
            before = rig.seen.produced.get();
            settle().await;
        }
        assert!(before < 16 << 20, "{before} bytes went nowhere");
        assert!(!rig.is_over().await);
        // it reads again: more comes
        let mut part = vec![0; 1 << 20];
        for _ in 0..8 {
            rig.client.read_exact(&mut part).await.expect("more");
        }
        settle().await;
        assert!(rig.seen.produced.get() > before);
        // and when it never reads again, it is given up
        settle().await;
        rig.advance(Duration::from_secs(31)).await;
        assert!(rig.is_over().await);
        assert_eq!(rig.seen.gone.get().map(|gone| gone.why), Some(Broke::Slow));
    });
}

#[test]
fn a_large_answer_arrives_whole() {
    run(async {
        let text = usual().await.ask("GET /large HTTP/1.1\r\nHost: a\r\n\r\n").await;
        assert_eq!(bodies(&text)[0].len(), 5_000_000);
    });
}
