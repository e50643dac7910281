//! When a connection is used again, and when it must not be.

use std::time::Duration;

use crate::clock::Clock;
use crate::http::Body;
use crate::upstream::SendError;
use crate::upstream::Shared;
use crate::upstream::Upstream;
use crate::upstream::tests::backend::Backend;
use crate::upstream::tests::backend::Gate;
use crate::upstream::tests::backend::OK;
use crate::upstream::tests::backend::config;
use crate::upstream::tests::backend::get;
use crate::upstream::tests::backend::post;
use crate::upstream::tests::backend::run;
use crate::upstream::tests::backend::settle;
use crate::upstream::tests::backend::text;

#[test]
fn a_connection_serves_one_request_after_another() {
    run(async {
        let backend = Backend::answering(OK).await;
        let gate = Gate::to(vec![backend.host()]);
        for _ in 0..10 {
            assert_eq!(gate.text().await, (200, "ok".into()));
        }
        assert_eq!((backend.requests(), backend.connections(), gate.pools.count()), (10, 1, (1, 1)));
    });
}

#[test]
fn the_connection_is_free_before_the_body_was_taken_once_it_was_read() {
    run(async {
        let backend = Backend::answering(OK).await;
        let gate = Gate::to(vec![backend.host()]);
        let first = gate.get().await.unwrap();
        assert_eq!((gate.pools.count(), gate.in_flight()), ((1, 1), 0));
        let second = gate.get().await.unwrap();
        assert_eq!((text(first).await.1, text(second).await.1), ("ok".into(), "ok".into()));
        assert_eq!(backend.connections(), 1);
    });
}

#[test]
fn every_framing_that_has_an_end_leaves_the_connection_usable() {
    let answers = [
        "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n",
        "HTTP/1.1 204 No Content\r\n\r\n",
        "HTTP/1.1 304 Not Modified\r\ncontent-length: 99\r\n\r\n",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n0\r\nx-sum: 1\r\n\r\n",
        "HTTP/1.0 200 OK\r\nconnection: keep-alive\r\ncontent-length: 2\r\n\r\nok",
    ];
    run(async move {
        for answer in answers {
            let backend = Backend::answering(answer).await;
            let gate = Gate::to(vec![backend.host()]);
            for _ in 0..3 {
                gate.text().await;
            }
            assert_eq!((backend.requests(), backend.connections()), (3, 1), "{answer}");
        }
    });
}

#[test]
fn a_connection_is_not_used_again_when_the_service_says_so_or_framing_leaves_no_way() {
    let answers = [
        "HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 2\r\n\r\nok",
        "HTTP/1.0 200 OK\r\ncontent-length: 2\r\n\r\nok",
        // one second or less: no time is left to use it safely
        "HTTP/1.1 200 OK\r\nkeep-alive: timeout=1\r\ncontent-length: 2\r\n\r\nok",
        // bytes behind the answer would be taken for the next one
        "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nokHTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nevil",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\nHTTP/1.1 200 OK\r\n\r\n",
    ];
    run(async move {
        for answer in answers {
            let backend = Backend::answering(answer).await;
            let gate = Gate::to(vec![backend.host()]);
            for _ in 0..3 {
                assert_eq!(gate.text().await, (200, "ok".into()), "{answer}");
            }
            assert_eq!((backend.requests(), backend.connections()), (3, 3), "{answer}");
            assert_eq!(gate.pools.count(), (0, 0), "{answer}");
        }
    });
}

#[test]
fn a_body_without_an_end_of_its_own_ends_with_the_connection() {
    run(async {
        let backend = Backend::start(|mut talk| async move {
            talk.request().await;
            talk.send("HTTP/1.1 200 OK\r\n\r\nall of it").await;
        })
        .await;
        let gate = Gate::to(vec![backend.host()]);
        for _ in 0..2 {
            assert_eq!(gate.text().await, (200, "all of it".into()));
        }
        assert_eq!((backend.connections(), gate.pools.count()), (2, (0, 0)));
    });
}

#[test]
fn a_second_answer_that_comes_while_idle_reaches_nobody() {
    run(async {
        let backend = Backend::start(|mut talk| async move {
            while talk.request().await.is_some() {
                talk.send(OK).await;
                settle().await;
                talk.send("HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nevil").await;
            }
        })
        .await;
        let gate = Gate::to(vec![backend.host()]);
        for _ in 0..3 {
            assert_eq!(gate.text().await, (200, "ok".into()));
            settle().await;
            settle().await;
        }
        assert_eq!(backend.connections(), 3);
    });
}

#[test]
fn a_connection_closed_while_idle_is_not_used() {
    run(async {
        let backend = Backend::start(|mut talk| async move {
            talk.request().await;
            talk.send(OK).await;
        })
        .await;
        let gate = Gate::to(vec![backend.host()]);
        for _ in 0..5 {
            assert_eq!(gate.text().await.0, 200);
            settle().await;
        }
        assert_eq!((backend.requests(), backend.connections()), (5, 5));
    });
}

#[test]
fn idle_connections_end_after_their_time() {
    run(async {
        let backend = Backend::answering(OK).await;
        let gate = Gate::with(vec![backend.host()], Clock::fake(Duration::ZERO), |_| {});
        gate.text().await;
        gate.clock.advance(Duration::from_millis(3_900));
        gate.pools.sweep();
        assert_eq!(gate.pools.count(), (1, 1));
        gate.clock.advance(Duration::from_millis(200));
        gate.pools.sweep();
        assert_eq!(gate.pools.count(), (0, 0));
    });
}

#[test]
fn a_time_the_service_tells_is_honoured_a_second_early() {
    run(async {
        let answer = "HTTP/1.1 200 OK\r\nkeep-alive: timeout=3, max=9\r\ncontent-length: 2\r\n\r\nok";
        let backend = Backend::answering(answer).await;
        let gate = Gate::with(vec![backend.host()], Clock::fake(Duration::ZERO), |_| {});
        for (wait, connections) in [(0, 1), (1_900, 1), (2_000, 2)] {
            gate.clock.advance(Duration::from_millis(wait));
            gate.text().await;
            assert_eq!(backend.connections(), connections, "after {wait} ms");
        }
    });
}

#[test]
fn connections_end_with_their_age_though_never_idle() {
    run(async {
        let backend = Backend::answering(OK).await;
        let gate = Gate::with(vec![backend.host()], Clock::fake(Duration::ZERO), |config| {
            config.pool.max_age = Duration::from_secs(100);
        });
        for _ in 0..89 {
            gate.text().await;
            gate.clock.advance(Duration::from_secs(1));
        }
        assert_eq!(backend.connections(), 1, "not before nine tenths");
        for _ in 0..12 {
            gate.text().await;
            gate.clock.advance(Duration::from_secs(1));
        }
        assert_eq!(backend.connections(), 2, "not after its age");
    });
}

#[test]
fn the_newest_idle_connection_is_used_first() {
    run(async {
        let backend = Backend::start(|mut talk| async move {
            let answer = format!("HTTP/1.1 200 OK\r\ncontent-length: 1\r\n\r\n{}", talk.number);
            while talk.request().await.is_some() {
                talk.send(&answer).await;
            }
        })
        .await;
        let gate = Gate::with(vec![backend.host()], Clock::fake(Duration::ZERO), |_| {});
        let two = [gate.upstream.send(get("/")), gate.upstream.send(get("/"))];
        let [first, second] = two.map(Box::pin);
        let (first, second) = join(first, second).await;
        let (first, second) = (text(first.unwrap()).await.1, text(second.unwrap()).await.1);
        assert_ne!(first, second);
        let newest = gate.text().await.1;
        for _ in 0..5 {
            assert_eq!(gate.text().await.1, newest);
        }
        gate.clock.advance(Duration::from_millis(3_900));
        assert_eq!(gate.text().await.1, newest);
        gate.clock.advance(Duration::from_millis(200));
        gate.pools.sweep();
        assert_eq!(gate.pools.count(), (1, 1), "the unused one went");
    });
}

#[test]
fn a_request_that_may_not_be_repeated_takes_only_a_settled_connection() {
    run(async {
        let backend = Backend::answering(OK).await;
        let gate = Gate::with(vec![backend.host()], Clock::fake(Duration::ZERO), |_| {});
        let call = async || text(gate.send(post("x")).await.unwrap()).await;
        call().await;
        call().await;
        assert_eq!(backend.connections(), 2, "the first was idle for less than a millisecond");
        gate.clock.advance(Duration::from_millis(1));
        call().await;
        call().await;
        assert_eq!(backend.connections(), 2, "both were quiet for a millisecond");
        gate.text().await;
        assert_eq!(backend.connections(), 2, "a GET takes what is there");
    });
}

#[test]
fn a_host_that_closes_after_an_answer_gets_more_time_for_it_until_it_keeps_one_open() {
    run(async {
        let backend = Backend::start(|mut talk| async move {
            while talk.request().await.is_some() {
                talk.send(OK).await;
                if talk.number == 1 {
                    return;
                }
            }
        })
        .await;
        let gate = Gate::with(vec![backend.host()], Clock::fake(Duration::ZERO), |_| {});
        let call = async |wait: u64| {
            for _ in 0..100 {
                tokio::task::yield_now().await;
            }
            gate.clock.advance(Duration::from_millis(wait));
            text(gate.send(post("x")).await.unwrap()).await;
            backend.connections()
        };
        assert_eq!((call(0).await, call(1).await), (1, 2), "the first connection was closed");
        assert_eq!(call(1).await, 3, "from now on a millisecond is too short");
        assert_eq!(call(2).await, 3, "two are enough, and the host is trusted again");
        assert_eq!(call(1).await, 3);
    });
}

#[test]
fn pools_and_counts_survive_a_reload() {
    run(async {
        let backend = Backend::answering(OK).await;
        let gate = Gate::to(vec![backend.host()]);
        gate.text().await;
        let mut changed = config(vec![backend.host()]);
        changed.retry.times = 3;
        let next = Shared::new(changed, Some(gate.upstream.shared())).unwrap();
        let next = Upstream::new(next, std::rc::Rc::clone(&gate.pools));
        assert_eq!(text(next.send(get("/")).await.unwrap()).await.0, 200);
        assert_eq!(backend.connections(), 1);
        let mut other = config(vec![backend.host()]);
        other.tls.verify = false;
        let other = Shared::new(other, Some(next.shared())).unwrap();
        let other = Upstream::new(other, std::rc::Rc::clone(&gate.pools));
        assert_eq!(text(other.send(get("/")).await.unwrap()).await.0, 200);
        assert_eq!(backend.connections(), 2, "another TLS identity shares no connection");
    });
}

#[test]
fn connections_of_a_host_that_left_close() {
    run(async {
        let backend = Backend::answering(OK).await;
        let mut host = backend.host();
        host.address =
            crate::upstream::Address::Tcp { host: "service.test".into(), port: backend.address.port(), tls: false };
        let gate = Gate::to(vec![host]);
        let error = gate.get().await.err().unwrap();
        assert!(matches!(error, SendError::Connect { .. }), "{error:?}");
        let shared = gate.upstream.shared();
        shared.resolve(0, vec![backend.address]);
        let held = gate.get().await.unwrap();
        assert_eq!((gate.text().await.0, gate.pools.count().0), (200, 1));
        shared.resolve(0, vec![([127, 0, 0, 2], 9).into()]);
        gate.pools.sweep();
        assert_eq!(gate.pools.count(), (0, 0));
        assert_eq!(text(held).await.1, "ok");
        shared.resolve(0, vec![backend.address]);
        assert_eq!((gate.text().await.0, backend.connections()), (200, 2));
    });
}

#[test]
fn head_answers_have_no_body_whatever_they_say() {
    run(async {
        let backend = Backend::answering("HTTP/1.1 200 OK\r\ncontent-length: 5000\r\n\r\n").await;
        let gate = Gate::to(vec![backend.host()]);
        for _ in 0..2 {
            let head = crate::upstream::Outbound { method: crate::http::Method::Head, ..get("/") };
            let answer = gate.send(head).await.unwrap();
            assert!(matches!(answer.response.body, Body::Empty));
            assert_eq!(answer.response.headers.text("content-length"), Some("5000"));
        }
        assert_eq!(backend.connections(), 1);
    });
}

/// Both, side by side.
async fn join<A: Future + Unpin, B: Future + Unpin>(mut a: A, mut b: B) -> (A::Output, B::Output) {
    let (mut first, mut second) = (None, None);
    std::future::poll_fn(move |cx| {
        use std::pin::Pin;
        use std::task::Poll;
        if first.is_none()
            && let Poll::Ready(output) = Pin::new(&mut a).poll(cx)
        {
            first = Some(output);
        }
        if second.is_none()
            && let Poll::Ready(output) = Pin::new(&mut b).poll(cx)
        {
            second = Some(output);
        }
        match (first.take(), second.take()) {
            (Some(one), Some(two)) => Poll::Ready((one, two)),
            (one, two) => {
                (first, second) = (one, two);
                Poll::Pending
            }
        }
    })
    .await
}
