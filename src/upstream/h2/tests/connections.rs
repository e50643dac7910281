//! How many connections there are, and who gets which.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use h2::server::Builder;

use crate::clock::Clock;
use crate::upstream::SendError;
use crate::upstream::h2::tests::server::Call;
use crate::upstream::h2::tests::server::HEADERS;
use crate::upstream::h2::tests::server::Raw;
use crate::upstream::h2::tests::server::SETTINGS;
use crate::upstream::h2::tests::server::STATUS_200;
use crate::upstream::h2::tests::server::Server;
use crate::upstream::h2::tests::server::gate;
use crate::upstream::tests::backend::Gate;
use crate::upstream::tests::backend::get;
use crate::upstream::tests::backend::run;
use crate::upstream::tests::backend::settle;

/// A service that takes `most` requests at a time on a connection and answers none until told.
async fn patient(most: u32) -> (Server, Rc<RefCell<Vec<Call>>>) {
    let held: Rc<RefCell<Vec<Call>>> = Rc::default();
    let holds = Rc::clone(&held);
    let mut terms = Builder::new();
    terms.max_concurrent_streams(most);
    let server = Server::with(terms, move |call| {
        holds.borrow_mut().push(call);
        async {}
    })
    .await;
    (server, held)
}

/// Sends `GET /` and leaves its status in the list.
fn ask(gate: &Gate, answers: &Rc<RefCell<Vec<Result<u16, SendError>>>>) -> tokio::task::JoinHandle<()> {
    let (upstream, answers) = (Rc::clone(&gate.upstream), Rc::clone(answers));
    tokio::task::spawn_local(async move {
        let answer = upstream.send(get("/")).await.map(|answer| answer.response.status);
        answers.borrow_mut().push(answer.map_err(|failed| failed.error));
    })
}

#[test]
fn streams_beyond_what_a_connection_takes_open_another_up_to_the_bound() {
    run(async {
        let (server, held) = patient(2).await;
        let gate = gate(vec![server.host()], Clock::fake(Duration::ZERO), |config| config.pool.max = 3);
        let answers = Rc::default();
        // one at first, so that the host has said how many it takes
        let mut calls = vec![ask(&gate, &answers)];
        settle().await;
        calls.extend((1..6).map(|_| ask(&gate, &answers)));
        settle().await;
        assert_eq!((server.connections.get(), server.requests.get()), (3, 6));
        let on = |number| held.borrow().iter().filter(|call| call.connection == number).count();
        assert_eq!((on(1), on(2), on(3)), (2, 2, 2));
        // the seventh waits: for a stream that comes free, or in vain
        let seventh = ask(&gate, &answers);
        settle().await;
        assert_eq!((server.connections.get(), server.requests.get()), (3, 6));
        held.borrow_mut().remove(0).answer(200, "");
        settle().await;
        assert_eq!(server.requests.get(), 7);
        let eighth = ask(&gate, &answers);
        gate.advance(Duration::from_secs(1)).await;
        let _ = eighth.await;
        assert!(matches!(answers.borrow()[1], Err(SendError::Overload { .. })), "{answers:?}");
        held.borrow_mut().drain(..).for_each(|mut call| call.answer(200, ""));
        for call in calls.into_iter().chain([seventh]) {
            call.await.unwrap();
        }
        let good = answers.borrow().iter().filter(|answer| matches!(answer, Ok(200))).count();
        assert_eq!((good, gate.in_flight()), (7, 0));
    });
}

#[test]
fn a_burst_at_a_cold_start_makes_few_connections() {
    run(async {
        let (server, held) = patient(100).await;
        let gate = gate(vec![server.host()], Clock::real(), |_| {});
        let answers = Rc::default();
        let calls: Vec<_> = (0..60).map(|_| ask(&gate, &answers)).collect();
        while server.requests.get() < 60 {
            tokio::task::yield_now().await;
        }
        assert!(server.connections.get() <= 4, "{}", server.connections.get());
        held.borrow_mut().drain(..).for_each(|mut call| call.answer(200, ""));
        for call in calls {
            call.await.unwrap();
        }
    });
}

#[test]
fn a_request_that_leaves_while_the_connection_is_made_leaves_it_to_those_behind() {
    run(async {
        let server = Server::start(|mut call| async move { call.answer(200, "ok") }).await;
        let gate = gate(vec![server.host()], Clock::real(), |_| {});
        let answers = Rc::default();
        let (first, second) = (ask(&gate, &answers), ask(&gate, &answers));
        tokio::task::yield_now().await;
        first.abort();
        second.await.unwrap();
        assert_eq!(*answers.borrow(), [Ok(200)]);
        assert_eq!((server.connections.get(), gate.in_flight()), (1, 0));
    });
}

#[test]
fn idle_connections_are_closed_after_a_while() {
    run(async {
        let server = Server::start(|mut call| async move { call.answer(200, "ok") }).await;
        let gate = gate(vec![server.host()], Clock::fake(Duration::ZERO), |_| {});
        gate.text().await;
        assert_eq!(gate.pools.count(), (1, 1));
        gate.advance(Duration::from_secs(3)).await;
        gate.pools.sweep();
        settle().await;
        assert_eq!(gate.pools.count(), (1, 1));
        gate.advance(Duration::from_secs(1)).await;
        gate.pools.sweep();
        settle().await;
        assert_eq!((gate.pools.count(), server.closed.get()), ((0, 0), 1));
    });
}

#[test]
fn a_host_that_takes_more_later_gets_more_on_the_same_connection() {
    run(async {
        let host = Raw::start(|mut raw, _| async move {
            // MAX_CONCURRENT_STREAMS is 1, and 2 as soon as a request is there
            raw.send(SETTINGS, 0, 0, &[0, 3, 0, 0, 0, 1]).await;
            let first = raw.head().await.unwrap();
            raw.send(SETTINGS, 0, 0, &[0, 3, 0, 0, 0, 2]).await;
            let second = raw.head().await.unwrap();
            raw.send(HEADERS, 5, second, STATUS_200).await;
            raw.send(HEADERS, 5, first, STATUS_200).await;
            raw.head().await;
        })
        .await;
        let gate = gate(vec![host], Clock::real(), |config| config.pool.max = 1);
        let answers = Rc::default();
        let first = ask(&gate, &answers);
        settle().await;
        let second = ask(&gate, &answers);
        first.await.unwrap();
        second.await.unwrap();
        assert_eq!(*answers.borrow(), [Ok(200), Ok(200)]);
    });
}
