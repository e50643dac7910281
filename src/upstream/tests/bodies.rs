//! Answers in all their framings, interim ones, trailers, upgrades, and what is left out of a head.

use bytes::Bytes;
use tokio::io::AsyncReadExt;
use tokio::io::AsyncWriteExt;

use crate::http::message::Origin;
use crate::upstream::Outbound;
use crate::upstream::tests::backend::Backend;
use crate::upstream::tests::backend::Gate;
use crate::upstream::tests::backend::get;
use crate::upstream::tests::backend::run;
use crate::upstream::tests::backend::settle;
use crate::upstream::tests::backend::text;

#[test]
fn an_answer_tells_who_made_it_and_loses_what_concerns_the_connection() {
    run(async {
        let answer = "HTTP/1.1 201 Created\r\nConnection: keep-alive, X-Hop\r\nX-Hop: 1\r\nKeep-Alive: timeout=5\r\n\
                      Transfer-Encoding: chunked\r\nX-Kept: yes\r\nSet-Cookie: a=1\r\nSet-Cookie: b=2\r\n\r\n0\r\n\r\n";
        let backend = Backend::answering(answer).await;
        let gate = Gate::to(vec![backend.host()]);
        let answer = gate.get().await.unwrap();
        assert_eq!((answer.response.status, answer.attempts), (201, 1));
        assert_eq!(answer.response.origin, Origin::Upstream);
        assert_eq!(answer.response.upstream.as_deref(), Some("service"));
        assert_eq!(answer.response.host.as_deref(), Some(&*backend.address.to_string()));
        let names: Vec<_> =
            answer.response.headers.iter().map(|(_, name, _)| String::from_utf8_lossy(name).into_owned()).collect();
        assert_eq!(names, ["X-Kept", "Set-Cookie", "Set-Cookie"]);
    });
}

#[test]
fn interim_answers_are_passed_over() {
    run(async {
        let backend = Backend::answering(
            "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n\
             HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok",
        )
        .await;
        let gate = Gate::to(vec![backend.host()]);
        assert_eq!(gate.text().await, (200, "ok".into()));
        assert_eq!(gate.text().await, (200, "ok".into()));
        assert_eq!(backend.connections(), 1);
    });
}

#[test]
fn an_answer_in_single_bytes_is_the_same_answer() {
    run(async {
        let backend = Backend::start(|mut talk| async move {
            talk.request().await;
            let answer =
                "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n4;x=y\r\nhalf\r\n5\r\n done\r\n0\r\n\r\n";
            for byte in answer.bytes() {
                talk.send([byte]).await;
                settle().await;
            }
            talk.head().await;
        })
        .await;
        let gate = Gate::to(vec![backend.host()]);
        assert_eq!(gate.text().await, (200, "half done".into()));
        assert_eq!(gate.pools.count(), (1, 1));
    });
}

#[test]
fn trailers_come_after_the_body() {
    run(async {
        let backend = Backend::answering(
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nx-sum: 42\r\ncontent-length: 9\r\n\r\n",
        )
        .await;
        let gate = Gate::to(vec![backend.host()]);
        let mut body = gate.get().await.unwrap().response.body;
        assert!(body.trailers().is_none());
        assert_eq!(body.collect(100).await.unwrap(), "ok");
        let trailers = body.trailers().unwrap();
        assert_eq!((trailers.text("x-sum"), trailers.len()), (Some("42"), 1));
        assert_eq!(gate.pools.count(), (1, 1));
    });
}

#[test]
fn a_large_answer_arrives_whole_in_either_framing() {
    run(async {
        let whole: Bytes = (0..2_000_000_u32).map(|n| b'a' + (n % 23) as u8).collect();
        for chunked in [false, true] {
            let sent = whole.clone();
            let backend = Backend::start(move |mut talk| {
                let sent = sent.clone();
                async move {
                    while talk.request().await.is_some() {
                        if !chunked {
                            talk.send(format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", sent.len())).await;
                            talk.send(&sent).await;
                            continue;
                        }
                        talk.send("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n").await;
                        for piece in sent.chunks(33_333) {
                            talk.send(format!("{:x}\r\n", piece.len())).await;
                            talk.send(piece).await;
                            talk.send("\r\n").await;
                        }
                        talk.send("0\r\n\r\n").await;
                    }
                }
            })
            .await;
            let gate = Gate::to(vec![backend.host()]);
            for _ in 0..2 {
                let mut answer = gate.get().await.unwrap();
                let length = answer.response.body.left();
                assert_eq!(length, (!chunked).then_some(2_000_000));
                assert!(answer.response.body.collect(1 << 24).await.unwrap() == whole);
            }
            assert_eq!((backend.connections(), gate.pools.count(), gate.in_flight()), (1, (1, 1), 0));
        }
    });
}

#[test]
fn nothing_is_read_ahead_of_a_slow_reader() {
    run(async {
        let backend = Backend::start(|mut talk| async move {
            talk.request().await;
            talk.send("HTTP/1.1 200 OK\r\ncontent-length: 100000000\r\n\r\n").await;
            let piece = vec![0; 1 << 20];
            for _ in 0..95 {
                talk.send(&piece).await;
                talk.count();
            }
        })
        .await;
        let gate = Gate::to(vec![backend.host()]);
        let _answer = gate.get().await.unwrap();
        for _ in 0..20 {
            settle().await;
        }
        assert!(backend.requests() < 20, "{} MB went into buffers", backend.requests());
    });
}

#[test]
fn an_upgrade_that_was_asked_for_is_a_tunnel() {
    run(async {
        let backend = Backend::start(|mut talk| async move {
            let head = talk.request().await.unwrap();
            assert!(head.contains("connection: upgrade\r\nupgrade: websocket\r\n"), "{head}");
            talk.send(
                "HTTP/1.1 101 Switching Protocols\r\nconnection: Upgrade\r\nupgrade: WebSocket\r\nx-a: b\r\n\r\nhello",
            )
            .await;
            let bytes = talk.until(b"ping").await.unwrap();
            talk.send(bytes).await;
        })
        .await;
        let gate = Gate::to(vec![backend.host()]);
        let answer = gate.send(Outbound { upgrade: Some("websocket".into()), ..get("/") }).await.unwrap();
        assert_eq!((answer.response.status, answer.response.headers.text("x-a")), (101, Some("b")));
        let mut tunnel = answer.response.tunnel.unwrap();
        let mut buffer = [0; 5];
        tunnel.read_exact(&mut buffer).await.unwrap();
        assert_eq!(&buffer, b"hello");
        tunnel.write_all(b"ping").await.unwrap();
        let mut rest = String::new();
        tunnel.read_to_string(&mut rest).await.unwrap();
        assert_eq!(rest, "ping");
        assert_eq!((gate.in_flight(), gate.pools.count()), (1, (0, 1)));
        drop(tunnel);
        assert_eq!((gate.in_flight(), gate.pools.count()), (0, (0, 0)));
    });
}

#[test]
fn an_upgrade_that_was_declined_is_an_ordinary_answer() {
    run(async {
        let backend = Backend::answering("HTTP/1.1 403 Forbidden\r\ncontent-length: 2\r\n\r\nno").await;
        let gate = Gate::to(vec![backend.host()]);
        let answer = gate.send(Outbound { upgrade: Some("websocket".into()), ..get("/") }).await.unwrap();
        assert!(answer.response.tunnel.is_none());
        assert_eq!(text(answer).await, (403, "no".into()));
        assert_eq!(gate.pools.count(), (1, 1));
    });
}
