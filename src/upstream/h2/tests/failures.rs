//! Hosts that say goodbye, refuse, break off, fall silent or do not speak HTTP/2 at all.

use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

use h2::Reason;

use crate::clock::Clock;
use crate::http::BodyError;
use crate::upstream::SendError;
use crate::upstream::h2::tests::server::DATA;
use crate::upstream::h2::tests::server::GOAWAY;
use crate::upstream::h2::tests::server::HEADERS;
use crate::upstream::h2::tests::server::PING;
use crate::upstream::h2::tests::server::RESET;
use crate::upstream::h2::tests::server::Raw;
use crate::upstream::h2::tests::server::STATUS_200;
use crate::upstream::h2::tests::server::Server;
use crate::upstream::h2::tests::server::gate;
use crate::upstream::h2::tests::server::together;
use crate::upstream::tests::backend::Backend;
use crate::upstream::tests::backend::get;
use crate::upstream::tests::backend::nobody;
use crate::upstream::tests::backend::post;
use crate::upstream::tests::backend::run;
use crate::upstream::tests::backend::settle;
use crate::upstream::tests::backend::text;

#[test]
fn what_a_goaway_says_was_not_looked_at_goes_out_again_whatever_its_method() {
    run(async {
        let host = Raw::start(|mut raw, number| async move {
            let id = raw.head().await.unwrap();
            if number == 1 {
                raw.send(GOAWAY, 0, 0, &[0; 8]).await;
            } else {
                raw.ok(id).await;
            }
            raw.head().await;
        })
        .await;
        let gate = gate(vec![host], Clock::real(), |_| {});
        let answer = gate.send(post("once")).await.unwrap();
        assert_eq!(answer.attempts, 2);
        assert_eq!(text(answer).await, (200, "ok".into()));
    });
}

#[test]
fn what_a_goaway_lets_pass_is_answered_and_new_requests_go_elsewhere() {
    run(async {
        let host = Raw::start(|mut raw, number| async move {
            let id = raw.head().await.unwrap();
            raw.send(HEADERS, 4, id, STATUS_200).await;
            raw.send(GOAWAY, 0, 0, &[0, 0, 0, 1, 0, 0, 0, 0]).await;
            raw.send(DATA, 1, id, if number == 1 { b"one" } else { b"two" }).await;
            assert!(raw.head().await.is_none(), "a request after the goodbye");
        })
        .await;
        let gate = gate(vec![host], Clock::real(), |_| {});
        assert_eq!(gate.text().await, (200, "one".into()));
        settle().await;
        let answer = gate.send(post("x")).await.unwrap();
        assert_eq!(answer.attempts, 1, "a connection that said goodbye is not tried");
        assert_eq!(text(answer).await, (200, "two".into()));
    });
}

#[test]
fn a_refused_stream_goes_out_again_whatever_its_method() {
    run(async {
        let count = Rc::new(Cell::new(0));
        let seen = Rc::clone(&count);
        let server = Server::start(move |mut call| {
            let number = seen.replace(seen.get() + 1);
            async move {
                if number == 0 {
                    return call.respond.send_reset(Reason::REFUSED_STREAM);
                }
                let (body, _) = call.read().await;
                call.begin(200).send_data(body.into(), true).unwrap();
            }
        })
        .await;
        let gate = gate(vec![server.host()], Clock::real(), |_| {});
        let answer = gate.send(post("data")).await.unwrap();
        assert_eq!(answer.attempts, 2);
        assert_eq!(text(answer).await, (200, "data".into()));
        assert_eq!(server.connections.get(), 1);
    });
}

#[test]
fn a_stream_that_is_reset_ends_alone_and_a_post_on_it_is_not_repeated() {
    run(async {
        let server = Server::start(|mut call| async move {
            match call.head.uri().path() {
                "/reset" => call.respond.send_reset(Reason::INTERNAL_ERROR),
                "/cut" => {
                    let mut stream = call.begin(200);
                    stream.send_data("part".into(), false).unwrap();
                    tokio::task::yield_now().await;
                    stream.send_reset(Reason::CANCEL);
                }
                _ => call.answer(200, "ok"),
            }
        })
        .await;
        let gate = gate(vec![server.host()], Clock::real(), |_| {});
        let reset = crate::upstream::Outbound { target: "/reset".into(), ..post("x") };
        let ((reset, cut), fine) = together(together(gate.send(reset), gate.send(get("/cut"))), gate.text()).await;
        assert!(matches!(reset.err(), Some(SendError::Reset { reused: false, .. })));
        let mut cut = cut.unwrap();
        assert_eq!(cut.response.body.collect(100).await, Err(BodyError::Cut));
        assert_eq!(fine, (200, "ok".into()));
        assert_eq!(gate.text().await.0, 200);
        assert_eq!((server.connections.get(), server.requests.get()), (1, 4));
    });
}

#[test]
fn a_client_that_leaves_resets_its_stream() {
    run(async {
        let (begun, reset) = (Rc::new(Cell::new(0)), Rc::new(Cell::new(0)));
        let counts = (Rc::clone(&begun), Rc::clone(&reset));
        let server = Server::start(move |mut call| {
            let (begun, reset) = counts.clone();
            async move {
                let mut stream = (call.head.uri().path() == "/body").then(|| call.begin(200));
                begun.set(begun.get() + 1);
                let reason = match &mut stream {
                    Some(stream) => std::future::poll_fn(|cx| stream.poll_reset(cx)).await,
                    None => std::future::poll_fn(|cx| call.respond.poll_reset(cx)).await,
                };
                assert_eq!(reason.unwrap(), Reason::CANCEL);
                reset.set(reset.get() + 1);
            }
        })
        .await;
        let gate = gate(vec![server.host()], Clock::real(), |_| {});
        let upstream = Rc::clone(&gate.upstream);
        let before_the_head = tokio::task::spawn_local(async move { upstream.send(get("/")).await.is_ok() });
        let within_the_body = gate.send(get("/body")).await.unwrap();
        while begun.get() < 2 {
            tokio::task::yield_now().await;
        }
        before_the_head.abort();
        drop(within_the_body);
        while reset.get() < 2 {
            tokio::task::yield_now().await;
        }
        assert_eq!((server.connections.get(), gate.in_flight()), (1, 0));
    });
}

#[test]
fn a_connection_on_which_time_ran_out_in_silence_takes_no_more_requests() {
    run(async {
        let host = Raw::start(|mut raw, number| async move {
            let id = raw.head().await.unwrap();
            if number > 1 {
                raw.ok(id).await;
            }
            assert!(raw.head().await.is_none(), "number {number} was asked again");
        })
        .await;
        let gate = gate(vec![host], Clock::fake(Duration::ZERO), |config| {
            config.timeout.response = Duration::from_secs(5);
        });
        let upstream = Rc::clone(&gate.upstream);
        let late = tokio::task::spawn_local(async move { upstream.send(get("/")).await.err() });
        gate.advance(Duration::from_secs(5)).await;
        assert!(matches!(
            late.await.unwrap().map(|failed| failed.error),
            Some(SendError::Timeout { phase: "answer", .. })
        ));
        assert_eq!(gate.text().await, (200, "ok".into()));
    });
}

#[test]
fn a_host_without_a_sign_of_life_is_given_up() {
    run(async {
        let pings = Rc::new(Cell::new(0));
        let seen = Rc::clone(&pings);
        let host = Raw::start(move |mut raw, _| {
            let seen = Rc::clone(&seen);
            async move {
                let id = raw.head().await.unwrap();
                raw.send(HEADERS, 4, id, STATUS_200).await;
                // the first ping is answered, the second not
                let ping = raw.next(PING).await.unwrap();
                raw.send(PING, 1, 0, &ping.payload).await;
                seen.set(1);
                raw.next(PING).await.unwrap();
                seen.set(2);
                raw.next(RESET).await;
            }
        })
        .await;
        let gate = gate(vec![host], Clock::fake(Duration::ZERO), |config| {
            config.timeout.idle = Duration::from_secs(1000);
        });
        let mut answer = gate.get().await.unwrap();
        let body = tokio::task::spawn_local(async move { answer.response.body.collect(100).await });
        for (wait, seen) in [(20, 1), (40, 2)] {
            gate.advance(Duration::from_secs(wait)).await;
            assert_eq!(pings.get(), seen);
            assert!(!body.is_finished());
        }
        gate.advance(Duration::from_secs(20)).await;
        assert_eq!(body.await.unwrap(), Err(BodyError::Cut));
    });
}

#[test]
fn a_body_that_falls_silent_stalls() {
    run(async {
        let host = Raw::start(|mut raw, _| async move {
            let id = raw.head().await.unwrap();
            raw.send(HEADERS, 4, id, STATUS_200).await;
            raw.send(DATA, 0, id, b"part").await;
            raw.next(RESET).await;
        })
        .await;
        let gate = gate(vec![host], Clock::fake(Duration::ZERO), |config| {
            config.timeout.idle = Duration::from_secs(5);
        });
        let mut answer = gate.get().await.unwrap();
        let body = tokio::task::spawn_local(async move { answer.response.body.collect(100).await });
        for _ in 0..2 {
            gate.advance(Duration::from_secs(5)).await;
        }
        assert_eq!(body.await.unwrap(), Err(BodyError::Stalled));
        assert_eq!(gate.in_flight(), 0);
    });
}

#[test]
fn a_connection_that_dies_under_its_second_request_repeats_what_may_be() {
    run(async {
        let host = Raw::start(|mut raw, number| async move {
            let id = raw.head().await.unwrap();
            raw.ok(id).await;
            if raw.head().await.is_some() && number > 2 {
                panic!("more connections than deaths");
            }
        })
        .await;
        let gate = gate(vec![host], Clock::real(), |_| {});
        gate.text().await;
        let answer = gate.get().await.unwrap();
        assert_eq!((answer.response.status, answer.attempts), (200, 2));
        drop(answer);
        let error = gate.send(post("x")).await.err();
        assert!(matches!(error, Some(SendError::Reset { reused: true, .. })), "{error:?}");
    });
}

#[test]
fn a_host_of_http1_and_one_that_refuses_are_told_apart() {
    run(async {
        let old = Backend::start(|mut talk| async move {
            talk.read().await;
            talk.send("HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\nconnection: close\r\n\r\n").await;
        })
        .await;
        let gate_old = gate(vec![old.host()], Clock::real(), |_| {});
        assert!(matches!(gate_old.get().await.err(), Some(SendError::Protocol { .. })));
        let gate_nobody = gate(vec![nobody()], Clock::real(), |config| config.retry.times = 0);
        assert!(matches!(gate_nobody.get().await.err(), Some(SendError::Connect { .. })));
        let server = Server::start(|mut call| async move { call.answer(200, "ok") }).await;
        let both = gate(vec![nobody(), server.host()], Clock::real(), |_| {});
        assert_eq!(both.send(post("x")).await.unwrap().attempts, 2);
    });
}
