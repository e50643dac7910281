//! Bodies and trailers both ways, their limits and times, and who waits for whom.

use std::time::Duration;

use h2::Reason;
use h2::client::Builder;
use moongate::clock::Clock;

use super::clear;
use super::client;
use super::with;
use crate::support::gateway::Gateway;
use crate::support::h2::Client;
use crate::support::upstream;
use crate::support::upstream::Upstream;
use crate::support::wait;
use crate::support::wire::Wire;
use crate::support::wire::get;

const PASS: &str = r#"route "/{rest*}" { to = "service" }"#;

fn before(service: &Upstream) -> Gateway {
    clear(PASS).service("service", service).start()
}

#[test]
fn large_bodies_pass_both_ways_in_the_framing_that_is_known() {
    let service = upstream::answers(|seen| upstream::ok(&seen.body));
    let gateway = before(&service);
    let body: Vec<u8> = (0..3_000_000_u32).map(|n| (n % 251) as u8).collect();
    let length = body.len().to_string();
    let mut client = client(&gateway);
    for fields in [&[][..], &[("content-length", length.as_str())]] {
        let answer = client.call("POST", "/", fields, &body).with(200);
        assert!(answer.body == body, "{} bytes came back", answer.body.len());
        assert_eq!(answer.header("content-length"), Some(length.as_str()));
        let seen = service.last();
        assert_eq!(seen.header("content-length").is_some(), !fields.is_empty());
        assert_eq!(seen.header("transfer-encoding").is_some(), fields.is_empty());
    }
}

#[test]
fn trailers_pass_both_ways() {
    let service = upstream::answers(|seen| {
        let sum = seen.trailers.iter().find(|(name, _)| name == "x-sum").map_or("none", |(_, value)| value);
        assert!(!seen.trailers.iter().any(|(name, _)| name == "authorization"), "{:?}", seen.trailers);
        let head = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\ntrailer: x-sum\r\n\r\n4\r\nbody\r\n0\r\n";
        format!("{head}x-sum: {sum}\r\n\r\n").into_bytes()
    });
    let gateway = before(&service);
    let mut client = client(&gateway);
    let mut call = client.start("POST", "/", &[("te", "trailers")], false);
    client.send(&mut call, b"body", false);
    let mut trailers = http::HeaderMap::new();
    trailers.insert("x-sum", "42".parse().unwrap());
    trailers.insert("authorization", "Bearer x".parse().unwrap());
    call.body.send_trailers(trailers).unwrap();
    let answer = client.answer(&mut call).unwrap().with(200);
    assert_eq!(answer.text(), "body");
    assert_eq!(answer.trailers, [("x-sum".to_owned(), "42".to_owned())]);
    assert_eq!(service.last().header("te"), None);
}

#[test]
fn answers_without_a_body_end_with_their_head() {
    let service = upstream::serve(|conn| {
        while let Some(seen) = conn.request() {
            conn.send(match (seen.method.as_str(), seen.target.as_str()) {
                ("HEAD", _) => b"HTTP/1.1 200 OK\r\ncontent-length: 7\r\n\r\n".to_vec(),
                (_, "/none") => b"HTTP/1.1 204 No Content\r\n\r\n".to_vec(),
                (_, "/same") => b"HTTP/1.1 304 Not Modified\r\netag: \"a\"\r\n\r\n".to_vec(),
                _ => upstream::ok(""),
            });
        }
    });
    let gateway = before(&service);
    let mut client = client(&gateway);
    let head = client.call("HEAD", "/", &[], "").with(200);
    assert_eq!((head.header("content-length"), head.body.len()), (Some("7"), 0));
    for (target, status, length) in [("/none", 204, None), ("/same", 304, None), ("/", 200, Some("0"))] {
        let answer = client.get(target).with(status);
        assert_eq!((answer.header("content-length"), answer.body.len()), (length, 0), "{target}");
    }
}

#[test]
fn a_length_that_the_frames_contradict_ends_the_request() {
    let service = upstream::serve(|conn| while conn.request().is_some() {});
    let gateway = before(&service);
    for (length, body, last) in [("10", "12345", true), ("3", "12345", false)] {
        let mut client = client(&gateway);
        let mut call = client.start("POST", "/", &[("content-length", length)], false);
        client.send(&mut call, body.as_bytes(), last);
        let error = client.answer(&mut call).unwrap_err();
        assert_eq!(error.reason(), Some(Reason::PROTOCOL_ERROR), "{length}: {error}");
        assert!(client.start("GET", "/", &[], true).body.stream_id().as_u32() > 1, "the connection goes on");
    }
    wait::until("no call is left", || service.open() == 0 || service.calls() >= 2);
    assert!(service.seen().iter().all(|seen| seen.method == "GET"), "{:?}", service.seen());
}

#[test]
fn a_body_that_is_too_large_is_refused_announced_or_not() {
    let service = upstream::serve(|conn| while conn.request().is_some() {});
    let gateway = with(r#"limits = { body = "1KB" }"#, PASS).service("service", &service).start();
    let mut client = client(&gateway);
    let mut call = client.start("POST", "/", &[("content-length", "1025")], false);
    client.answer(&mut call).unwrap().refused(413, "body.too_large");
    let mut call = client.start("POST", "/", &[], false);
    client.send(&mut call, &[b'x'; 2000], false);
    client.answer(&mut call).unwrap().refused(413, "body.too_large");
    let mut call = client.start("GET", "/x", &[("content-length", "3000000")], false);
    client.answer(&mut call).unwrap().refused(413, "body.too_large");
}

#[test]
fn an_answer_that_comes_early_stands_and_the_connection_goes_on() {
    let gateway = clear(r#"route "POST /" { function() return { status = 403, text = "no" } end }"#).start();
    let mut client = client(&gateway);
    for _ in 0..5 {
        let mut call = client.start("POST", "/", &[], false);
        client.send(&mut call, &[b'x'; 50_000], false);
        assert_eq!(client.answer(&mut call).unwrap().with(403).text(), "no");
        // Whoever still sends is told that nobody listens, in a way that is no error.
        let told = client.block_on(std::future::poll_fn(|cx| call.body.poll_reset(cx)));
        assert_eq!(told.unwrap(), Reason::NO_ERROR);
    }
}

#[test]
fn a_body_is_asked_for_by_whoever_reads_it() {
    let service = upstream::answers(|seen| upstream::ok(&seen.body));
    let gateway = clear(&format!("route \"/no\" {{ function() return 403 end }} {PASS}")).service("service", &service);
    let gateway = gateway.start();
    let mut client = client(&gateway);
    let expect = [("expect", "100-continue")];
    let mut call = client.start("POST", "/", &expect, false);
    assert_eq!(client.interim(&mut call), Some(100));
    client.send(&mut call, b"asked for", true);
    assert_eq!(client.answer(&mut call).unwrap().with(200).text(), "asked for");
    assert_eq!(service.last().header("expect"), None);
    let mut call = client.start("POST", "/no", &expect, false);
    assert_eq!(client.interim(&mut call), None);
    client.answer(&mut call).unwrap().with(403);
    client.call("POST", "/", &[("expect", "tea")], "").refused(417, "request.expectation");
}

#[test]
fn bodies_that_nobody_reads_hold_up_nobody_else() {
    let service = upstream::serve(|conn| {
        while let Some(seen) = conn.head() {
            if seen.target == "/stuck" {
                return conn.hold();
            }
            conn.exactly(100_000);
            conn.send(upstream::ok("read"));
        }
    });
    let gateway = before(&service);
    let mut client = client(&gateway);
    let mut stuck = Vec::new();
    for _ in 0..30 {
        let mut call = client.start("POST", "/stuck", &[("content-length", "10000000")], false);
        // As much as the windows take: the service reads none of it.
        client.fill(&mut call);
        stuck.push(call);
    }
    for _ in 0..3 {
        let answer = client.call("POST", "/read", &[("content-length", "100000")], [b'x'; 100_000]);
        assert_eq!(answer.with(200).text(), "read");
    }
    drop(stuck);
    service.release();
}

#[test]
fn a_slow_body_ends_in_408() {
    let clock = Clock::fake(Duration::from_secs(1_800_000_000));
    let service = upstream::serve(|conn| while conn.request().is_some() {});
    let gateway = with(r#"body_timeout = "5s""#, PASS).clock(&clock).service("service", &service).start();
    let mut client = client(&gateway);
    let mut call = client.start("POST", "/", &[], false);
    client.send(&mut call, b"x", false);
    let answer = ticking(&clock, Duration::from_secs(1), || client.answer(&mut call).unwrap());
    answer.refused(408, "request.timeout");
}

#[test]
fn an_answer_that_is_not_taken_is_given_up_and_said_so() {
    let service = upstream::serve(|conn| {
        while conn.request().is_some() {
            conn.send(upstream::ok(vec![b'x'; 1_000_000]));
        }
    });
    let gateway = with(r#"body_timeout = "300ms""#, PASS).service("service", &service).start();
    let mut client = Client::with(gateway.address(), Builder::new().initial_window_size(1000), None);
    let mut call = client.start("GET", "/", &[], true);
    let mut streaming = client.head(&mut call).unwrap();
    let taken = client.block_on(streaming.body.data()).unwrap().unwrap();
    assert_eq!(taken.len(), 1000);
    let broken = client.block_on(streaming.body.data()).unwrap().unwrap_err();
    assert!(broken.is_reset() && broken.is_remote(), "{broken}");
    wait::until("it is counted", || gateway.metric("moongate_failures_total{code=\"client.slow\"}") == 1.0);
    wait::until("the service is let go", || service.open() == 0);
}

#[test]
fn an_answer_that_breaks_off_does_not_look_whole() {
    let service = upstream::serve(|conn| {
        conn.request();
        conn.send("HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhalf");
    });
    let gateway = before(&service);
    let mut client = client(&gateway);
    let mut call = client.start("GET", "/", &[], true);
    let error = client.answer(&mut call).unwrap_err();
    assert_eq!(error.reason(), Some(Reason::INTERNAL_ERROR), "{error}");
}

#[test]
fn a_request_that_is_taken_back_is_cancelled_upstream() {
    let service = upstream::serve(|conn| {
        if conn.request().is_some() {
            conn.linger();
        }
    });
    let gateway = before(&service);
    let mut client = client(&gateway);
    let mut call = client.start("GET", "/", &[], true);
    wait::until("the call is under way", || service.open() == 1 && service.calls() == 1);
    call.body.send_reset(Reason::CANCEL);
    wait::until("the call is cancelled", || service.open() == 0);
    wait::until("it is counted", || gateway.metric("moongate_failures_total{code=\"client.gone\"}") == 1.0);
    // The same when the whole connection goes.
    let mut wire = Wire::open(gateway.address(), &[]);
    wire.send(get(1, "/"));
    wait::until("another is under way", || service.open() == 1);
    drop(wire);
    wait::until("it is cancelled too", || service.open() == 0);
}

/// Turns the clock by `step` again and again while `work` is under way.
fn ticking<T: Send>(clock: &Clock, step: Duration, work: impl FnOnce() -> T + Send) -> T {
    std::thread::scope(|scope| {
        let work = scope.spawn(work);
        wait::until("it is over", || {
            clock.advance(step);
            work.is_finished()
        });
        work.join().unwrap()
    })
}
