//! What a second host is asked for when the first dies of a request, stalls or wants to be left alone.

use std::time::Duration;

use crate::clock::Clock;
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

/// Dies of every request, before a byte of an answer.
async fn mortal() -> Backend {
    Backend::start(|mut talk| async move {
        talk.request().await;
        talk.reset();
    })
    .await
}

#[test]
fn what_a_host_died_of_goes_to_one_other_host_and_no_further() {
    run(async {
        let (one, two, sound) = (mortal().await, mortal().await, Backend::answering(OK).await);
        let gate = Gate::to(vec![one.host(), sound.host()]);
        assert_eq!(gate.text().await, (200, "ok".into()));
        assert!(matches!(gate.send(post("x")).await.err(), Some(SendError::Reset { reused: false, .. })));
        assert_eq!((one.requests(), sound.requests()), (2, 1), "a POST is not repeated");
        let gate = Gate::to(vec![one.host(), two.host(), sound.host()]);
        assert!(matches!(gate.get().await.err(), Some(SendError::Reset { .. })));
        assert_eq!((one.requests(), two.requests(), sound.requests()), (3, 1, 1));
    });
}

#[test]
fn a_stalled_host_is_passed_over_where_that_is_asked_for() {
    run(async {
        let stalled = Backend::start(|mut talk| async move { while talk.request().await.is_some() {} }).await;
        let sound = Backend::answering(OK).await;
        for (on_timeout, idempotent, status) in [(true, true, Some(200)), (true, false, None), (false, true, None)] {
            let gate = Gate::with(vec![stalled.host(), sound.host()], Clock::fake(Duration::ZERO), |config| {
                config.retry.on_timeout = on_timeout;
                config.timeout.response = Duration::from_secs(1);
            });
            let upstream = std::rc::Rc::clone(&gate.upstream);
            let outbound = if idempotent { get("/") } else { post("x") };
            let call = tokio::task::spawn_local(async move { upstream.send(outbound).await });
            gate.advance(Duration::from_secs(1)).await;
            let answer = call.await.unwrap();
            assert_eq!(answer.ok().map(|answer| answer.response.status), status);
        }
        assert_eq!(sound.requests(), 1);
    });
}

#[test]
fn the_time_for_all_attempts_bounds_those_that_follow() {
    run(async {
        let stalled = || Backend::start(|mut talk| async move { while talk.request().await.is_some() {} });
        let (one, two) = (stalled().await, stalled().await);
        let gate = Gate::with(vec![one.host(), two.host()], Clock::fake(Duration::ZERO), |config| {
            config.retry.on_timeout = true;
            config.timeout.response = Duration::from_secs(2);
        });
        let deadline = gate.clock.now().after(Duration::from_secs(3));
        let upstream = std::rc::Rc::clone(&gate.upstream);
        let call = tokio::task::spawn_local(async move { upstream.send(Outbound { deadline, ..get("/") }).await });
        gate.advance(Duration::from_secs(2)).await;
        assert_eq!((one.requests(), two.requests()), (1, 1));
        gate.advance(Duration::from_secs(1)).await;
        let failed = call.await.unwrap().err().unwrap();
        assert!(matches!(failed.error, SendError::Timeout { phase: "answer", .. }));
        assert_eq!((failed.attempts, failed.error.host()), (2, Some(two.address.to_string().as_str())));
    });
}

const LATER: &str = "HTTP/1.1 503 Busy\r\nretry-after: 2\r\ncontent-length: 4\r\n\r\nbusy";

#[test]
fn a_host_that_wants_to_be_left_alone_is() {
    run(async {
        let (busy, sound) = (Backend::answering(LATER).await, Backend::answering(OK).await);
        let gate = Gate::to(vec![busy.host(), sound.host()]);
        assert_eq!(gate.text().await, (200, "ok".into()), "another host is asked at once");
        let gate = Gate::to(vec![busy.host()]);
        let answer = gate.get().await.unwrap();
        assert_eq!((answer.response.status, answer.attempts), (503, 1));
        assert_eq!(answer.response.headers.text("retry-after"), Some("2"), "the client is told");
        assert_eq!(text(answer).await.1, "busy");
        assert_eq!(busy.requests(), 2);
    });
}

#[test]
fn where_waits_may_be_that_long_it_is_asked_again_after_its_time() {
    run(async {
        let busy = Backend::answering(LATER).await;
        let gate = Gate::with(vec![busy.host()], Clock::fake(Duration::ZERO), |config| {
            config.retry.backoff.1 = Duration::from_secs(5);
        });
        let upstream = std::rc::Rc::clone(&gate.upstream);
        let call = tokio::task::spawn_local(async move { upstream.send(get("/")).await.unwrap().attempts });
        gate.advance(Duration::from_millis(1999)).await;
        assert_eq!(busy.requests(), 1);
        gate.advance(Duration::from_millis(1)).await;
        settle().await;
        assert_eq!((call.await.unwrap(), busy.requests()), (2, 2));
    });
}
