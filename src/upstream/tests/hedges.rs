//! A second attempt beside a slow first one.

use std::rc::Rc;
use std::time::Duration;

use tokio::sync::Notify;
use tokio::task::JoinHandle;

use crate::clock::Clock;
use crate::clock::Moment;
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

const WAIT: Duration = Duration::from_millis(50);
const SLOW: &str = "HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nslow";
const BUSY: &str = "HTTP/1.1 503 Busy\r\ncontent-length: 0\r\n\r\n";

/// Gives `answer` each time it is told to.
async fn told(answer: &'static str) -> (Backend, Rc<Notify>) {
    let go = Rc::new(Notify::new());
    let waits = Rc::clone(&go);
    let backend = Backend::start(move |mut talk| {
        let waits = Rc::clone(&waits);
        async move {
            while talk.request().await.is_some() {
                waits.notified().await;
                talk.send(answer).await;
            }
        }
    })
    .await;
    (backend, go)
}

fn gate(hosts: &[&Backend]) -> Gate {
    Gate::with(hosts.iter().map(|host| host.host()).collect(), Clock::fake(Duration::ZERO), |_| {})
}

fn ask(gate: &Gate, mut outbound: Outbound) -> JoinHandle<Result<(u32, u16, String), SendError>> {
    let upstream = Rc::clone(&gate.upstream);
    tokio::task::spawn_local(async move {
        let answer = upstream.send_hedged(&mut outbound, WAIT).await.map_err(|failed| failed.error)?;
        let attempts = answer.attempts;
        let (status, body) = text(answer).await;
        Ok((attempts, status, body))
    })
}

#[test]
fn an_answer_in_time_is_asked_for_once() {
    run(async {
        let (one, two) = (Backend::answering(OK).await, Backend::answering(OK).await);
        let gate = gate(&[&one, &two]);
        assert_eq!(ask(&gate, get("/")).await.unwrap().unwrap(), (1, 200, "ok".into()));
        assert_eq!((one.requests(), two.requests()), (1, 0));
    });
}

#[test]
fn a_slow_host_is_overtaken_and_its_request_cancelled() {
    run(async {
        let ((slow, _), fast) = (told(SLOW).await, Backend::answering(OK).await);
        let gate = gate(&[&slow, &fast]);
        let call = ask(&gate, get("/"));
        settle().await;
        assert_eq!((slow.requests(), fast.requests()), (1, 0));
        gate.advance(WAIT).await;
        assert_eq!(call.await.unwrap().unwrap(), (2, 200, "ok".into()));
        settle().await;
        assert_eq!((slow.requests(), fast.requests(), gate.in_flight()), (1, 1, 0));
        assert_eq!(gate.pools.count().1, 1, "the connection of the loser is closed");
    });
}

#[test]
fn the_first_may_still_win_and_a_bad_answer_does_not() {
    run(async {
        let ((slow, go), (busy, busy_go)) = (told(SLOW).await, told(BUSY).await);
        let gate = gate(&[&slow, &busy]);
        let call = ask(&gate, get("/"));
        gate.advance(WAIT).await;
        busy_go.notify_one();
        settle().await;
        assert!(!call.is_finished(), "a 503 of the second is no reason to stop waiting for the first");
        go.notify_one();
        assert_eq!(call.await.unwrap().unwrap(), (2, 200, "slow".into()));
        assert_eq!((slow.requests(), busy.requests()), (1, 1));
    });
}

#[test]
fn nothing_is_asked_twice_that_may_not_be_or_when_there_is_nobody_else() {
    run(async {
        let ((slow, go), other) = (told(SLOW).await, Backend::answering(OK).await);
        for (hosts, outbound) in [(vec![&slow, &other], post("x")), (vec![&slow], get("/"))] {
            let gate = gate(&hosts);
            let call = ask(&gate, outbound);
            gate.advance(WAIT * 4).await;
            go.notify_one();
            assert_eq!(call.await.unwrap().unwrap(), (1, 200, "slow".into()));
        }
        assert_eq!((slow.requests(), other.requests()), (2, 0));
    });
}

#[test]
fn a_host_that_is_drained_is_nobody_else() {
    run(async {
        let ((slow, go), other) = (told(SLOW).await, Backend::answering(OK).await);
        let gate = gate(&[&slow, &other]);
        let label = gate.upstream.shared().members()[1].host.label().to_string();
        assert_eq!(gate.upstream.shared().drain(&label, true, Moment(0)), 1);
        let call = ask(&gate, get("/"));
        gate.advance(WAIT).await;
        go.notify_one();
        assert_eq!(call.await.unwrap().unwrap(), (1, 200, "slow".into()));
        assert_eq!((slow.requests(), other.requests()), (1, 0));
    });
}

#[test]
fn second_attempts_stay_a_share_of_the_requests() {
    run(async {
        let ((slow, go), fast) = (told(SLOW).await, Backend::answering(OK).await);
        let gate = gate(&[&slow, &fast]);
        for _ in 0..60 {
            let call = ask(&gate, get("/"));
            gate.advance(WAIT).await;
            go.notify_one();
            let _ = call.await.unwrap();
            // a cancelled request leaves its permission behind
            settle().await;
        }
        assert!((10..=23).contains(&fast.requests()), "{}", fast.requests());
    });
}
