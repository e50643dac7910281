//! Request bodies: in how many pieces they arrive, and what happens when the answer does not wait for them.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::rc::Rc;
use std::task::Context;
use std::task::Poll;
use std::time::Duration;

use bytes::Bytes;

use crate::clock::Clock;
use crate::http::Body;
use crate::http::BodyError;
use crate::http::Headers;
use crate::http::Source;
use crate::upstream::Outbound;
use crate::upstream::SendError;
use crate::upstream::tests::backend::Backend;
use crate::upstream::tests::backend::Gate;
use crate::upstream::tests::backend::OK;
use crate::upstream::tests::backend::get;
use crate::upstream::tests::backend::post;
use crate::upstream::tests::backend::run;
use crate::upstream::tests::backend::settle;
use crate::upstream::tests::backend::text;

/// A body in pieces, each there at once; then its end, an error, or nothing more.
pub(super) struct Pieces {
    pieces: VecDeque<Bytes>,
    end: Poll<Option<BodyError>>,
    length: Option<u64>,
    trailers: Option<Headers>,
}

impl Pieces {
    pub(super) fn new(pieces: Vec<Bytes>) -> Self {
        Self { pieces: pieces.into(), end: Poll::Ready(None), length: None, trailers: None }
    }
}

impl Source for Pieces {
    fn poll_fill(&mut self, _: &mut Context<'_>) -> Poll<Result<&[u8], BodyError>> {
        match (self.pieces.front(), self.end) {
            (Some(piece), _) => Poll::Ready(Ok(piece)),
            (None, Poll::Ready(None)) => Poll::Ready(Ok(&[])),
            (None, Poll::Ready(Some(error))) => Poll::Ready(Err(error)),
            (None, Poll::Pending) => Poll::Pending,
        }
    }

    fn consume(&mut self, n: usize) {
        let piece = self.pieces.front_mut().expect("no more is taken than was shown");
        drop(piece.split_to(n));
        if piece.is_empty() {
            self.pieces.pop_front();
        }
        if let Some(length) = &mut self.length {
            *length -= n as u64;
        }
    }

    fn left(&self) -> Option<u64> {
        self.length
    }

    fn trailers(&mut self) -> Option<Headers> {
        self.trailers.take()
    }
}

fn stream(pieces: Pieces) -> Outbound {
    Outbound { body: Body::stream(pieces), ..post("") }
}

/// A service that notes all it reads, up to `end`, and answers.
async fn recorder(end: &'static [u8]) -> (Backend, Rc<RefCell<Vec<String>>>) {
    let log = Rc::new(RefCell::new(Vec::new()));
    let seen = Rc::clone(&log);
    let backend = Backend::start(move |mut talk| {
        let seen = Rc::clone(&seen);
        async move {
            while let Some(bytes) = talk.until(end).await {
                seen.borrow_mut().push(String::from_utf8(bytes).unwrap());
                talk.send(OK).await;
            }
        }
    })
    .await;
    (backend, log)
}

#[test]
fn a_request_on_the_wire() {
    run(async {
        let (backend, log) = recorder(b"\r\n\r\n").await;
        let gate = Gate::to(vec![backend.host()]);
        gate.send(get("/a?b=c")).await.unwrap();
        gate.send(Outbound { host: Some("users.dev".into()), ..post("") }).await.unwrap();
        let host = backend.address;
        let log = log.borrow();
        assert_eq!(log[0], format!("GET /a?b=c HTTP/1.1\r\nhost: {host}\r\naccept: */*\r\n\r\n"));
        assert_eq!(log[1], "POST / HTTP/1.1\r\nhost: users.dev\r\naccept: */*\r\ncontent-length: 0\r\n\r\n");
    });
}

#[test]
fn nothing_ends_the_line_it_stands_in() {
    run(async {
        let (backend, log) = recorder(b"\r\n\r\n").await;
        let gate = Gate::to(vec![backend.host()]);
        let host = Some("a\r\nx: y".into());
        gate.send(Outbound { host, ..get("/a b\r\nx: y\r\n\r\nGET /\u{e9}\u{7f}") }).await.unwrap();
        let log = log.borrow();
        let sent =
            "GET /a%20b%0D%0Ax:%20y%0D%0A%0D%0AGET%20/%C3%A9%7F HTTP/1.1\r\nhost: a%0D%0Ax:%20y\r\naccept: */*\r\n\r\n";
        assert_eq!(*log, [sent]);
    });
}

#[test]
fn a_body_of_known_length_keeps_it_and_others_are_chunked() {
    run(async {
        let (backend, log) = recorder(b"end").await;
        let gate = Gate::to(vec![backend.host()]);
        gate.send(post("the end")).await.unwrap();
        let pieces = Pieces { length: Some(7), ..Pieces::new(vec!["the ".into(), "end".into()]) };
        gate.send(stream(pieces)).await.unwrap();
        for request in &*log.borrow() {
            assert!(request.ends_with("content-length: 7\r\n\r\nthe end"), "{request}");
        }

        let (backend, log) = recorder(b"\r\n\r\n").await;
        let gate = Gate::to(vec![backend.host()]);
        let mut pieces = Pieces::new(vec!["the ".into(), "end".into()]);
        let mut trailers = Headers::default();
        trailers.add("x-sum", "42");
        pieces.trailers = Some(trailers);
        gate.send(stream(pieces)).await.unwrap();
        let sent = log.borrow().concat();
        let body = "transfer-encoding: chunked\r\n\r\n4\r\nthe \r\n3\r\nend\r\n0\r\nx-sum: 42\r\n\r\n";
        assert!(sent.ends_with(body), "{sent}");
    });
}

#[test]
fn a_large_body_arrives_whole() {
    run(async {
        let large = vec![b'z'; 3_000_000];
        let backend = Backend::start(|mut talk| async move {
            while talk.request().await.is_some() {
                talk.send(OK).await;
            }
        })
        .await;
        let gate = Gate::to(vec![backend.host()]);
        let answer = gate.send(post(large.clone())).await.unwrap();
        assert_eq!(text(answer).await.0, 200);
        let pieces = large.chunks(70_000).map(Bytes::copy_from_slice).collect();
        let pieces = Pieces { length: Some(3_000_000), ..Pieces::new(pieces) };
        assert_eq!(text(gate.send(stream(pieces)).await.unwrap()).await.0, 200);
        assert_eq!(backend.requests(), 2);
    });
}

#[test]
fn a_body_that_breaks_off_is_the_clients_fault_and_reaches_nobody_as_complete() {
    run(async {
        let cut = |error, length| Pieces { end: Poll::Ready(error), length, ..Pieces::new(vec!["half".into()]) };
        let cases = [
            (cut(Some(BodyError::Cut), Some(8)), BodyError::Cut),
            (cut(Some(BodyError::Malformed), None), BodyError::Malformed),
            (cut(None, Some(8)), BodyError::Cut),
            (cut(None, Some(3)), BodyError::Malformed),
        ];
        for (pieces, wanted) in cases {
            let backend = Backend::answering(OK).await;
            let gate = Gate::to(vec![backend.host()]);
            let error = gate.send(stream(pieces)).await.err().unwrap();
            assert_eq!(error, SendError::Body(wanted));
            settle().await;
            assert_eq!((backend.requests(), gate.pools.count(), gate.in_flight()), (0, (0, 0), 0));
        }
    });
}

#[test]
fn an_early_answer_during_a_big_upload_is_passed_on_and_the_connection_closed() {
    run(async {
        let refusal = "HTTP/1.1 413 Content Too Large\r\ncontent-length: 3\r\n\r\nbig";
        let backend = Backend::start(move |mut talk| async move {
            talk.head().await;
            talk.send(refusal).await;
            // it neither reads on nor closes
            std::future::pending::<()>().await;
        })
        .await;
        let gate = Gate::to(vec![backend.host()]);
        let answer = gate.send(post(vec![b'z'; 20_000_000])).await.unwrap();
        assert_eq!(text(answer).await, (413, "big".into()));
        assert_eq!((gate.pools.count(), gate.in_flight()), ((0, 0), 0));
    });
}

#[test]
fn an_early_answer_from_a_service_that_closes_is_still_read() {
    run(async {
        let refusal = "HTTP/1.1 401 Unauthorized\r\nconnection: close\r\ncontent-length: 2\r\n\r\nno";
        let backend = Backend::start(move |mut talk| async move {
            talk.head().await;
            talk.send(refusal).await;
            use tokio::io::AsyncWriteExt;
            talk.stream.shutdown().await.unwrap();
            while talk.read().await.is_some() {}
        })
        .await;
        let gate = Gate::to(vec![backend.host()]);
        let answer = gate.send(post(vec![b'z'; 5_000_000])).await.unwrap();
        assert_eq!(text(answer).await, (401, "no".into()));
        assert_eq!(gate.pools.count(), (0, 0));
    });
}

#[test]
fn the_upload_goes_on_while_the_answer_is_read() {
    run(async {
        // a service that answers with what it reads, as it reads
        let backend = Backend::start(|mut talk| async move {
            talk.head().await;
            talk.send("HTTP/1.1 200 OK\r\ncontent-length: 4000000\r\n\r\n").await;
            loop {
                let mut buffer = vec![0; 10_000];
                use tokio::io::AsyncReadExt;
                match talk.stream.read(&mut buffer).await {
                    Ok(length) if length > 0 => talk.send(&buffer[..length]).await,
                    _ => return,
                }
            }
        })
        .await;
        let gate = Gate::to(vec![backend.host()]);
        let pieces = vec![Bytes::from(vec![b'y'; 40_000]); 100];
        let pieces = Pieces { length: Some(4_000_000), ..Pieces::new(pieces) };
        // a body at hand with the head would be lost on this service, which reads a head alone first
        let mut answer = gate.send(stream(pieces)).await.unwrap();
        let mut total = 0;
        while let Some(piece) = answer.response.body.chunk().await {
            total += piece.unwrap().len();
            if total > 3_900_000 {
                break;
            }
        }
        assert!(total > 3_900_000);
        drop(answer);
        assert_eq!((gate.pools.count().1, gate.in_flight()), (0, 0));
    });
}

#[test]
fn a_slow_client_is_not_taken_for_a_slow_service() {
    run(async {
        let backend = Backend::answering(OK).await;
        let gate = Gate::with(vec![backend.host()], Clock::fake(Duration::ZERO), |_| {});
        let upstream = Rc::clone(&gate.upstream);
        let pieces = Pieces { end: Poll::Pending, length: Some(8), ..Pieces::new(vec!["half".into()]) };
        let call = tokio::task::spawn_local(async move { upstream.send(stream(pieces)).await.err() });
        gate.advance(Duration::from_secs(300)).await;
        assert!(!call.is_finished());
        call.abort();
        settle().await;
        assert_eq!((gate.pools.count(), gate.in_flight()), ((0, 0), 0));
    });
}

#[test]
fn a_service_that_stops_reading_is_given_up_after_its_time() {
    run(async {
        let backend = Backend::start(|talk| async move {
            std::future::pending::<()>().await;
            drop(talk);
        })
        .await;
        let gate = Gate::with(vec![backend.host()], Clock::fake(Duration::ZERO), |_| {});
        let upstream = Rc::clone(&gate.upstream);
        let call = tokio::task::spawn_local(async move { upstream.send(post(vec![b'z'; 20_000_000])).await.err() });
        gate.advance(Duration::from_secs(29)).await;
        assert!(!call.is_finished());
        gate.advance(Duration::from_secs(2)).await;
        let error = call.await.unwrap().unwrap();
        assert!(matches!(error.error, SendError::Timeout { phase: "answer", .. }), "{error:?}");
    });
}
