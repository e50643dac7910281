//! Which failures reach the caller, which are mended on the way, and how often a service is called for it.

use std::cell::Cell;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use crate::clock::Clock;
use crate::http::Body;
use crate::http::Method;
use crate::upstream::HostConfig;
use crate::upstream::Outbound;
use crate::upstream::SendError;
use crate::upstream::tests::backend::Backend;
use crate::upstream::tests::backend::Gate;
use crate::upstream::tests::backend::OK;
use crate::upstream::tests::backend::get;
use crate::upstream::tests::backend::nobody;
use crate::upstream::tests::backend::post;
use crate::upstream::tests::backend::run;
use crate::upstream::tests::backend::settle;
use crate::upstream::tests::backend::text;

const BUSY: &str = "HTTP/1.1 503 Service Unavailable\r\ncontent-length: 4\r\n\r\nbusy";

/// Answers the first request of each connection and resets the connection when the second has arrived.
async fn treacherous() -> Backend {
    Backend::start(|mut talk| async move {
        talk.request().await;
        talk.send(OK).await;
        if talk.request().await.is_some() {
            talk.reset();
        }
    })
    .await
}

fn put(body: &str) -> Outbound {
    Outbound { method: Method::Put, body: Body::from(body.to_owned()), ..get("/") }
}

#[test]
fn a_refused_connection_is_tried_at_another_host_for_any_method() {
    run(async {
        let backend = Backend::answering(OK).await;
        let gate = Gate::to(vec![nobody(), backend.host()]);
        for outbound in [get("/"), post("data")] {
            let answer = gate.send(outbound).await.unwrap();
            assert_eq!((answer.response.status, answer.attempts), (200, 2));
            assert_eq!(answer.response.host.as_deref(), Some(&*backend.address.to_string()));
        }
        assert_eq!(backend.requests(), 2);
    });
}

#[test]
fn a_backup_takes_over_when_the_others_refuse() {
    run(async {
        let (main, backup) = (Backend::answering(OK).await, Backend::answering(OK).await);
        let spare = HostConfig { backup: true, ..backup.host() };
        let gate = Gate::to(vec![spare.clone(), main.host()]);
        gate.text().await;
        assert_eq!((main.requests(), backup.requests()), (1, 0));
        let gate = Gate::to(vec![spare, nobody()]);
        assert_eq!(gate.text().await.0, 200);
        assert_eq!(backup.requests(), 1);
    });
}

#[test]
fn without_retries_a_refused_connection_is_the_answer() {
    run(async {
        let backend = Backend::answering(OK).await;
        let gate = Gate::with(vec![nobody(), backend.host()], Clock::real(), |config| config.retry.times = 0);
        assert!(matches!(gate.get().await.err(), Some(SendError::Connect { .. })));
        let own = Outbound { retry: Some(Arc::default()), ..get("/") };
        assert_eq!(gate.send(own).await.unwrap().attempts, 2, "the request's own policy rules");
    });
}

#[test]
fn a_reset_on_a_reused_connection_repeats_what_may_be_repeated() {
    run(async {
        let backend = treacherous().await;
        let gate = Gate::to(vec![backend.host()]);
        gate.text().await;
        let answer = gate.get().await.unwrap();
        assert_eq!((answer.response.status, answer.attempts), (200, 2));
        assert_eq!((backend.requests(), backend.connections()), (3, 2));
        let answer = gate.send(put("body")).await.unwrap();
        assert_eq!((answer.response.status, answer.attempts), (200, 2));
        assert_eq!((backend.requests(), backend.connections()), (5, 3));
    });
}

#[test]
fn a_post_is_never_sent_twice() {
    run(async {
        let backend = treacherous().await;
        let gate = Gate::with(vec![backend.host()], Clock::fake(Duration::ZERO), |config| config.retry.times = 5);
        gate.text().await;
        gate.clock.advance(Duration::from_millis(1));
        let error = gate.send(post("data")).await.err().unwrap();
        assert!(matches!(error, SendError::Reset { reused: true, .. }), "{error:?}");
        assert_eq!((backend.requests(), backend.connections()), (2, 1));
    });
}

#[test]
fn with_unsafe_a_post_is_sent_again_after_a_reset_on_a_reused_connection_only() {
    run(async {
        let backend = treacherous().await;
        let gate = Gate::with(vec![backend.host()], Clock::real(), |config| config.retry.is_unsafe = true);
        gate.text().await;
        let answer = gate.send(post("data")).await.unwrap();
        assert_eq!((answer.response.status, answer.attempts), (200, 2));
        assert_eq!(backend.requests(), 3);

        let backend = Backend::start(|mut talk| async move {
            talk.request().await;
            talk.reset();
        })
        .await;
        let gate = Gate::with(vec![backend.host()], Clock::real(), |config| config.retry.is_unsafe = true);
        let error = gate.send(post("data")).await.err().unwrap();
        assert!(matches!(error, SendError::Reset { reused: false, .. }), "{error:?}");
        assert_eq!(backend.requests(), 1);
    });
}

#[test]
fn nothing_is_sent_again_once_a_byte_of_an_answer_came() {
    run(async {
        for start in ["H", "HTTP/1.1 200 OK\r\ncontent-le", "HTTP/1.1 100 Continue\r\n\r\n"] {
            let backend = Backend::start(move |mut talk| async move {
                talk.request().await;
                talk.send(OK).await;
                if talk.request().await.is_some() {
                    talk.send(start).await;
                }
            })
            .await;
            let gate = Gate::to(vec![backend.host()]);
            gate.text().await;
            let error = gate.get().await.err().unwrap();
            assert!(matches!(error, SendError::Reset { reused: false, .. }), "{error:?}");
            assert_eq!((backend.requests(), backend.connections()), (2, 1), "{start}");
        }
    });
}

#[test]
fn a_listed_status_is_asked_of_another_host() {
    run(async {
        let (busy, ready) = (Backend::answering(BUSY).await, Backend::answering(OK).await);
        let gate = Gate::to(vec![busy.host(), ready.host()]);
        let answer = gate.send(put("body")).await.unwrap();
        assert_eq!(answer.attempts, 2);
        assert_eq!(text(answer).await, (200, "ok".into()));
        assert_eq!((busy.requests(), ready.requests()), (1, 1));
        assert_eq!(gate.text().await.0, 200);
        assert_eq!(busy.connections(), 1, "an answer that is dropped whole costs no connection");
        let answer = gate.send(post("body")).await.unwrap();
        assert_eq!(text(answer).await, (503, "busy".into()));
        assert_eq!((busy.requests(), ready.requests()), (3, 2));
    });
}

#[test]
fn the_last_answer_is_passed_on_when_all_are_busy() {
    run(async {
        let busy = Backend::answering(BUSY).await;
        let gate = Gate::with(vec![busy.host()], Clock::fake(Duration::ZERO), |config| config.retry.times = 2);
        let upstream = Rc::clone(&gate.upstream);
        let call = tokio::task::spawn_local(async move { upstream.send(get("/")).await.unwrap() });
        settle().await;
        assert_eq!(busy.requests(), 1, "the only host is asked again after a wait");
        gate.advance(Duration::from_millis(25)).await;
        assert_eq!(busy.requests(), 2);
        gate.advance(Duration::from_millis(50)).await;
        let answer = call.await.unwrap();
        assert_eq!((answer.attempts, busy.requests()), (3, 3));
        assert_eq!(text(answer).await, (503, "busy".into()));
    });
}

#[test]
fn a_wait_that_would_pass_the_deadline_is_not_begun() {
    run(async {
        let busy = Backend::answering(BUSY).await;
        let gate = Gate::with(vec![busy.host()], Clock::fake(Duration::ZERO), |_| {});
        let deadline = gate.clock.now().after(Duration::from_millis(5));
        let answer = gate.send(Outbound { deadline, ..get("/") }).await.unwrap();
        assert_eq!((answer.response.status, answer.attempts, busy.requests()), (503, 1, 1));
    });
}

#[test]
fn retries_stay_a_share_of_the_requests() {
    run(async {
        let (busy, ready) = (Backend::answering(BUSY).await, Backend::answering(OK).await);
        let gate = Gate::to(vec![busy.host(), ready.host()]);
        for _ in 0..200 {
            gate.text().await;
        }
        assert_eq!(busy.requests(), 200);
        assert!((40..=51).contains(&ready.requests()), "{}", ready.requests());
    });
}

#[test]
fn a_streamed_body_is_repeated_as_far_as_it_was_kept() {
    run(async {
        let busy = Backend::answering(BUSY).await;
        let whole = Rc::new(Cell::new(0));
        let seen = Rc::clone(&whole);
        let ready = Backend::start(move |mut talk| {
            let seen = Rc::clone(&seen);
            async move {
                talk.head().await;
                let body = talk.until(b"0\r\n\r\n").await.unwrap();
                seen.set(body.iter().filter(|&&byte| byte == b'z').count());
                talk.send(OK).await;
            }
        })
        .await;
        for (size, status) in [(10_000, 200), (60_000, 200), (70_000, 503)] {
            let gate = Gate::to(vec![busy.host(), ready.host()]);
            let pieces = vec![Bytes::from(vec![b'z'; 5_000]); size / 5_000];
            let body = Body::stream(super::upload::Pieces::new(pieces));
            // the busy one reads nothing but the head: its answer comes when it comes
            let answer = gate.send(Outbound { method: Method::Put, body, ..get("/") }).await.unwrap();
            if status == 200 && answer.response.status == 200 {
                assert_eq!(whole.get(), size);
            }
            assert!(answer.response.status == status || answer.response.status == 503, "{size}");
        }
    });
}

#[test]
fn a_dead_connection_is_no_attempt_of_the_request() {
    run(async {
        // the reset arrives while the connection is idle, and the pool has not looked since
        let backend = Backend::start(|mut talk| async move {
            talk.request().await;
            talk.send(OK).await;
            talk.reset();
        })
        .await;
        let gate = Gate::with(vec![backend.host()], Clock::real(), |config| config.retry.times = 0);
        for _ in 0..20 {
            assert_eq!(gate.text().await.0, 200);
            settle().await;
        }
        assert_eq!(backend.requests(), 20);
    });
}

#[test]
fn what_never_left_is_sent_again_even_without_retries() {
    run(async {
        // the first connection is reset while this thread does not look: only the write finds out
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let (reset, is_reset) = std::sync::mpsc::channel();
        let (go, on) = std::sync::mpsc::channel();
        let service = std::thread::spawn(move || {
            use std::io::Read;
            use std::io::Write;
            let mut bodies = Vec::new();
            for number in 0..2 {
                let (mut stream, _) = listener.accept().unwrap();
                let mut buffer = [0; 4096];
                let length = stream.read(&mut buffer).unwrap();
                bodies.push(String::from_utf8_lossy(&buffer[..length]).ends_with("body"));
                stream.write_all(OK.as_bytes()).unwrap();
                if number == 0 {
                    on.recv().unwrap();
                    socket2::SockRef::from(&stream).set_linger(Some(Duration::ZERO)).unwrap();
                    drop(stream);
                    reset.send(()).unwrap();
                }
            }
            bodies
        });
        let host = super::backend::host(address);
        let gate = Gate::with(vec![host], Clock::real(), |config| config.retry.times = 0);
        assert_eq!(text(gate.send(put("body")).await.unwrap()).await.0, 200);
        go.send(()).unwrap();
        is_reset.recv().unwrap();
        let answer = gate.send(put("body")).await.unwrap();
        assert_eq!((answer.response.status, answer.attempts), (200, 2));
        assert_eq!(service.join().unwrap(), [true, true]);
    });
}
