//! A bounded number of connections, and the line of those who wait for one.

use std::cell::RefCell;
use std::rc::Rc;
use std::task::Context;
use std::task::Waker;
use std::time::Duration;

use tokio::sync::Notify;
use tokio::task::JoinHandle;

use crate::clock::Clock;
use crate::upstream::Outbound;
use crate::upstream::SendError;
use crate::upstream::Upstream;
use crate::upstream::tests::backend::Backend;
use crate::upstream::tests::backend::Gate;
use crate::upstream::tests::backend::OK;
use crate::upstream::tests::backend::get;
use crate::upstream::tests::backend::post;
use crate::upstream::tests::backend::run;
use crate::upstream::tests::backend::settle;
use crate::upstream::tests::backend::text;

/// A service that answers one request each time it is told to.
async fn on_demand() -> (Backend, Rc<Notify>) {
    let go = Rc::new(Notify::new());
    let told = Rc::clone(&go);
    let backend = Backend::start(move |mut talk| {
        let told = Rc::clone(&told);
        async move {
            while talk.request().await.is_some() {
                told.notified().await;
                talk.send(OK).await;
            }
        }
    })
    .await;
    (backend, go)
}

fn gate(backend: &Backend, max: u32) -> Gate {
    Gate::with(vec![backend.host()], Clock::fake(Duration::ZERO), |config| config.pool.max = max)
}

fn call(upstream: &Rc<Upstream>, outbound: Outbound) -> JoinHandle<Result<u16, SendError>> {
    let upstream = Rc::clone(upstream);
    tokio::task::spawn_local(async move {
        let answer = upstream.send(outbound).await.map_err(|failed| failed.error)?;
        Ok(text(answer).await.0)
    })
}

#[test]
fn no_more_connections_than_allowed_and_first_come_first_served() {
    run(async {
        let (backend, go) = on_demand().await;
        let gate = gate(&backend, 2);
        let order = Rc::new(RefCell::new(Vec::new()));
        let calls: Vec<_> = (0..6)
            .map(|n| {
                let (upstream, order) = (Rc::clone(&gate.upstream), Rc::clone(&order));
                tokio::task::spawn_local(async move {
                    text(upstream.send(get("/")).await.unwrap()).await;
                    order.borrow_mut().push(n);
                })
            })
            .collect();
        settle().await;
        assert_eq!((backend.connections(), backend.requests(), gate.in_flight()), (2, 2, 6));
        for _ in 0..6 {
            go.notify_one();
            settle().await;
        }
        for call in calls {
            call.await.unwrap();
        }
        assert_eq!((backend.connections(), backend.requests(), gate.in_flight()), (2, 6, 0));
        assert_eq!(*order.borrow(), [0, 1, 2, 3, 4, 5]);
    });
}

#[test]
fn a_wait_without_end_is_an_overload() {
    run(async {
        let (backend, _go) = on_demand().await;
        let gate = gate(&backend, 1);
        let first = call(&gate.upstream, get("/"));
        let second = call(&gate.upstream, get("/"));
        let deadline = gate.clock.now().after(Duration::from_millis(500));
        let third = call(&gate.upstream, Outbound { deadline, ..get("/") });
        gate.advance(Duration::from_millis(500)).await;
        let error = third.await.unwrap().err().unwrap();
        assert!(matches!(error, SendError::Timeout { phase: "free connection", .. }), "{error:?}");
        gate.advance(Duration::from_millis(500)).await;
        let error = second.await.unwrap().err().unwrap();
        assert!(matches!(error, SendError::Overload { .. }), "{error:?}");
        assert!(!first.is_finished());
        assert_eq!((backend.requests(), gate.in_flight()), (1, 1));
    });
}

#[test]
fn the_line_is_bounded() {
    run(async {
        let (backend, _go) = on_demand().await;
        let gate = gate(&backend, 1);
        let calls: Vec<_> = (0..1 + 1024 + 5).map(|_| call(&gate.upstream, get("/"))).collect();
        settle().await;
        let refused = calls.iter().filter(|call| call.is_finished()).count();
        assert_eq!((refused, backend.connections()), (5, 1));
    });
}

#[test]
fn whoever_leaves_the_line_holds_up_nobody() {
    run(async {
        let (backend, go) = on_demand().await;
        let gate = gate(&backend, 1);
        let calls: Vec<_> = (0..4).map(|_| call(&gate.upstream, get("/"))).collect();
        settle().await;
        calls[1].abort();
        calls[2].abort();
        settle().await;
        for _ in 0..2 {
            go.notify_one();
            settle().await;
        }
        assert!(calls[0].is_finished() && calls[3].is_finished());
        assert_eq!((backend.requests(), backend.connections(), gate.in_flight()), (2, 1, 0));
    });
}

#[test]
fn one_that_was_called_and_left_passes_its_turn_on() {
    run(async {
        let (backend, go) = on_demand().await;
        let gate = gate(&backend, 1);
        let first = call(&gate.upstream, get("/"));
        settle().await;
        let mut second = Box::pin(gate.upstream.send(get("/")));
        let polled = second.as_mut().poll(&mut Context::from_waker(Waker::noop()));
        assert!(polled.is_pending());
        let third = call(&gate.upstream, get("/"));
        settle().await;
        go.notify_one();
        settle().await;
        assert!(first.is_finished() && gate.pools.count() == (1, 1), "the connection waits for the second");
        drop(second);
        settle().await;
        go.notify_one();
        settle().await;
        assert!(third.is_finished());
        assert_eq!((backend.connections(), gate.in_flight()), (1, 0));
    });
}

#[test]
fn a_connection_that_dies_makes_room() {
    run(async {
        let backend = Backend::start(|mut talk| async move {
            talk.request().await;
            settle().await;
            talk.reset();
        })
        .await;
        let gate = gate(&backend, 1);
        let calls: Vec<_> = (0..3).map(|_| call(&gate.upstream, post("x"))).collect();
        for call in calls {
            assert!(matches!(call.await.unwrap(), Err(SendError::Reset { reused: false, .. })));
        }
        assert_eq!((backend.requests(), gate.pools.count(), gate.in_flight()), (3, (0, 0), 0));
    });
}

#[test]
fn an_unsettled_connection_makes_room_for_a_request_that_may_not_use_it() {
    run(async {
        let backend = Backend::answering(OK).await;
        let gate = gate(&backend, 1);
        for _ in 0..3 {
            assert_eq!(text(gate.send(post("x")).await.unwrap()).await.0, 200);
        }
        assert_eq!((backend.connections(), gate.pools.count()), (3, (1, 1)));
    });
}

#[test]
fn workers_share_what_a_host_may_have() {
    run(async {
        let (backend, _go) = on_demand().await;
        let gate = gate(&backend, 4);
        let buffers = crate::http::Buffers::default();
        let pools = crate::upstream::Pools::new(&gate.clock, &gate.alarms, &buffers, 2);
        let worker = Rc::new(Upstream::new(std::sync::Arc::clone(gate.upstream.shared()), pools));
        let calls: Vec<_> = (0..6).map(|_| call(&worker, get("/"))).collect();
        settle().await;
        assert_eq!(backend.connections(), 2);
        drop(calls);
    });
}
