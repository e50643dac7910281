//! What the caller gets when a service refuses, resets, stalls or answers nonsense, and how often it was called.

use std::time::Duration;

use crate::clock::Clock;
use crate::http::BodyError;
use crate::upstream::SendError;
use crate::upstream::tests::backend::Backend;
use crate::upstream::tests::backend::Gate;
use crate::upstream::tests::backend::OK;
use crate::upstream::tests::backend::Talk;
use crate::upstream::tests::backend::get;
use crate::upstream::tests::backend::nobody;
use crate::upstream::tests::backend::post;
use crate::upstream::tests::backend::run;
use crate::upstream::tests::backend::settle;
use crate::upstream::tests::backend::text;

/// The error of a `GET` to a service that answers every request with `bytes` and closes.
async fn refusal(bytes: &'static [u8]) -> (SendError, u32) {
    let backend = Backend::start(move |mut talk| async move {
        talk.request().await;
        talk.send(bytes).await;
    })
    .await;
    let error = Gate::to(vec![backend.host()]).get().await.err().expect("an answer that must be refused");
    (error, backend.requests())
}

#[test]
fn a_port_nobody_listens_on_is_a_failed_connection() {
    run(async {
        let gate = Gate::to(vec![nobody()]);
        let error = gate.get().await.err().unwrap();
        assert!(matches!(&error, SendError::Connect { cause, .. } if cause.contains("refused")), "{error:?}");
        assert_eq!(gate.in_flight(), 0);
    });
}

#[test]
fn a_reset_instead_of_an_answer_is_not_repeated_on_a_fresh_connection() {
    run(async {
        let backend = Backend::start(|mut talk| async move {
            talk.request().await;
            talk.reset();
        })
        .await;
        let gate = Gate::to(vec![backend.host()]);
        let error = gate.get().await.err().unwrap();
        assert!(matches!(error, SendError::Reset { reused: false, .. }), "{error:?}");
        assert_eq!((backend.requests(), gate.in_flight()), (1, 0));
    });
}

#[test]
fn a_connection_closed_within_the_head_is_a_reset() {
    run(async {
        let (error, requests) = refusal(b"HTTP/1.1 200 OK\r\ncontent-le").await;
        assert!(matches!(error, SendError::Reset { reused: false, .. }), "{error:?}");
        assert_eq!(requests, 1);
    });
}

#[test]
fn what_is_not_an_answer_is_a_protocol_error() {
    let flood: &'static [u8] = {
        let mut flood = b"HTTP/1.1 200 OK\r\n".to_vec();
        (0..200).for_each(|n| flood.extend_from_slice(format!("x-{n}: {n}\r\n").as_bytes()));
        flood.extend_from_slice(b"content-length: 0\r\n\r\n");
        flood.leak()
    };
    let endless: &'static [u8] = [b"HTTP/1.1 200 OK\r\nx: ".as_slice(), &vec![b'y'; 100_000]].concat().leak();
    let hostile: &[&'static [u8]] = &[
        b"SSH-2.0-OpenSSH_9.2\r\n",
        b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\ncontent-length: 3\r\n\r\nok!",
        b"HTTP/1.1 200 OK\r\ncontent-length: +2\r\n\r\nok",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\nContent-Length: 2\n\nok",
        b"HTTP/1.1 200 OK\r\nx : y\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nx: a\r\n b\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nx: a\0b\r\n\r\n",
        b"HTTP/1.1 999 What\r\n\r\n",
        b"HTTP/2.0 200 OK\r\n\r\n",
        b"HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n",
        flood,
        endless,
    ];
    run(async move {
        for bytes in hostile {
            let (error, requests) = refusal(bytes).await;
            let shown = String::from_utf8_lossy(&bytes[..bytes.len().min(80)]);
            assert!(matches!(error, SendError::Protocol { .. }), "{error:?} for {shown}");
            assert_eq!(requests, 1, "{shown}");
        }
    });
}

#[test]
fn endless_interim_answers_are_a_protocol_error() {
    run(async {
        let backend = Backend::start(|mut talk| async move {
            talk.request().await;
            loop {
                talk.send("HTTP/1.1 102 Processing\r\n\r\n").await;
                tokio::task::yield_now().await;
            }
        })
        .await;
        let error = Gate::to(vec![backend.host()]).get().await.err().unwrap();
        assert!(matches!(error, SendError::Protocol { .. }), "{error:?}");
    });
}

#[test]
fn a_service_that_says_nothing_is_given_up_after_its_time() {
    run(async {
        let backend = Backend::start(|mut talk| async move {
            talk.request().await;
            std::future::pending::<()>().await;
        })
        .await;
        let gate = Gate::with(vec![backend.host()], Clock::fake(Duration::ZERO), |config| {
            config.timeout.response = Duration::from_secs(5);
        });
        let upstream = std::rc::Rc::clone(&gate.upstream);
        let answer = tokio::task::spawn_local(async move { upstream.send(get("/")).await.err() });
        gate.advance(Duration::from_millis(4_900)).await;
        assert!(!answer.is_finished() && gate.in_flight() == 1);
        gate.advance(Duration::from_millis(200)).await;
        let error = answer.await.unwrap().unwrap();
        assert!(matches!(error.error, SendError::Timeout { phase: "answer", .. }), "{error:?}");
        assert_eq!((backend.requests(), gate.in_flight(), gate.pools.count()), (1, 0, (0, 0)));
    });
}

#[test]
fn the_requests_own_deadline_ends_the_wait_too() {
    run(async {
        let backend = Backend::start(|mut talk| async move {
            talk.request().await;
            std::future::pending::<()>().await;
        })
        .await;
        let gate = Gate::with(vec![backend.host()], Clock::fake(Duration::ZERO), |_| {});
        let upstream = std::rc::Rc::clone(&gate.upstream);
        let deadline = gate.clock.now().after(Duration::from_secs(2));
        let outbound = crate::upstream::Outbound { deadline, ..get("/") };
        let answer = tokio::task::spawn_local(async move { upstream.send(outbound).await.err() });
        gate.advance(Duration::from_secs(2)).await;
        let error = answer.await.unwrap().unwrap();
        assert!(matches!(error.error, SendError::Timeout { phase: "answer", .. }), "{error:?}");
    });
}

#[test]
fn a_body_that_stalls_is_told_from_its_end() {
    run(async {
        let backend = Backend::start(|mut talk| async move {
            talk.request().await;
            talk.send("HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhalf").await;
            std::future::pending::<()>().await;
        })
        .await;
        let gate = Gate::with(vec![backend.host()], Clock::fake(Duration::ZERO), |_| {});
        let mut answer = gate.get().await.unwrap();
        assert_eq!(answer.response.body.chunk().await.unwrap().unwrap(), "half");
        let body = tokio::task::spawn_local(async move { answer.response.body.chunk().await });
        gate.advance(Duration::from_secs(59)).await;
        assert!(!body.is_finished());
        gate.advance(Duration::from_secs(2)).await;
        assert_eq!(body.await.unwrap(), Some(Err(BodyError::Stalled)));
        assert_eq!((gate.in_flight(), gate.pools.count()), (0, (0, 0)));
    });
}

#[test]
fn a_cut_body_is_never_passed_off_as_complete() {
    let cut: &[(&str, &str)] = &[
        ("HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhalf", "half"),
        ("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n4\r\nhalf\r\n", "half"),
        ("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n8\r\nhalf", "half"),
        ("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n4\r\nhalf\r\n0\r\n", "half"),
        ("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n4\r\nhalf\r\n0\r\nx: y\r\n", "half"),
    ];
    run(async move {
        for (bytes, wanted) in cut {
            let backend = Backend::start(move |mut talk: Talk| async move {
                talk.request().await;
                talk.send(bytes).await;
            })
            .await;
            let gate = Gate::to(vec![backend.host()]);
            let mut body = gate.get().await.unwrap().response.body;
            let mut got = Vec::new();
            let end = loop {
                match body.chunk().await {
                    Some(Ok(piece)) => got.extend_from_slice(&piece),
                    end => break end,
                }
            };
            assert_eq!(end, Some(Err(BodyError::Cut)), "{bytes}");
            assert_eq!(String::from_utf8_lossy(&got), *wanted);
            assert_eq!((backend.requests(), gate.in_flight(), gate.pools.count()), (1, 0, (0, 0)));
        }
    });
}

#[test]
fn broken_chunks_are_malformed() {
    run(async {
        for chunk in ["zz\r\n", "-1\r\n", "4\nhalf\r\n", "4\r\nhalfx\r\n", "11111111111111111\r\n", "0x4\r\nhalf\r\n"] {
            let backend = Backend::start(move |mut talk: Talk| async move {
                talk.request().await;
                talk.send("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n").await;
                talk.send(chunk).await;
            })
            .await;
            let mut body = Gate::to(vec![backend.host()]).get().await.unwrap().response.body;
            let mut end = body.chunk().await;
            while let Some(Ok(_)) = end {
                end = body.chunk().await;
            }
            assert_eq!(end, Some(Err(BodyError::Malformed)), "{chunk}");
            assert_eq!(body.chunk().await, Some(Err(BodyError::Malformed)), "an error stays one");
        }
    });
}

#[test]
fn a_caller_that_leaves_closes_the_connection() {
    run(async {
        let backend = Backend::start(|mut talk| async move {
            talk.request().await;
            talk.send("HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhalf").await;
            talk.head().await;
        })
        .await;
        let gate = Gate::to(vec![backend.host()]);
        let answer = gate.get().await.unwrap();
        assert_eq!(gate.in_flight(), 1);
        drop(answer);
        assert_eq!((gate.in_flight(), gate.pools.count()), (0, (0, 0)));
        settle().await;
        assert_eq!(backend.closed(), 1);
    });
}

#[test]
fn a_caller_that_leaves_before_the_answer_closes_the_connection() {
    run(async {
        let backend = Backend::start(|mut talk| async move {
            talk.request().await;
            talk.head().await;
        })
        .await;
        let gate = Gate::to(vec![backend.host()]);
        let upstream = std::rc::Rc::clone(&gate.upstream);
        let call = tokio::task::spawn_local(async move { upstream.send(post("data")).await.err() });
        settle().await;
        assert_eq!((backend.requests(), gate.in_flight()), (1, 1));
        call.abort();
        settle().await;
        assert_eq!((backend.closed(), gate.in_flight(), gate.pools.count()), (1, 0, (0, 0)));
    });
}

#[test]
fn an_answer_before_the_connection_is_reset_still_counts() {
    run(async {
        let backend = Backend::start(|mut talk| async move {
            talk.request().await;
            talk.send(OK).await;
            settle().await;
            talk.reset();
        })
        .await;
        let answer = Gate::to(vec![backend.host()]).get().await.unwrap();
        assert_eq!(text(answer).await, (200, "ok".into()));
    });
}
