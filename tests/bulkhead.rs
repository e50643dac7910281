//! A bound on what a service is asked at a time: `limit` of an upstream, over all workers.

use std::thread::JoinHandle;

use crate::support::answer::Answer;
use crate::support::gateway;
use crate::support::gateway::Gateway;
use crate::support::upstream;
use crate::support::wait;

fn ask(gateway: &Gateway) -> JoinHandle<Answer> {
    let mut client = gateway.client();
    std::thread::spawn(move || client.get("/"))
}

#[test]
fn what_is_beyond_the_bound_and_the_line_is_refused_at_once() {
    let service = upstream::serve(|conn| {
        while conn.request().is_some() {
            conn.hold();
            conn.send(upstream::ok("done"));
        }
    });
    let gateway = gateway::script(
        r#"
        upstream "service" { "$UP", limit = { inflight = 2, queue = 1, max_wait = "1h" } }
        route "/" { to = "service" }
        "#,
    )
    .with("$UP", service.address())
    .workers(2)
    .start();
    let inside: Vec<_> = (0..2).map(|_| ask(&gateway)).collect();
    wait::until("two are inside", || service.calls() == 2);
    // of those that follow one waits in line, whichever comes first, and all others are refused
    let more: Vec<_> = (0..4).map(|_| ask(&gateway)).collect();
    wait::until("three are refused", || more.iter().filter(|call| call.is_finished()).count() == 3);
    assert_eq!(service.calls(), 2);
    service.release();
    let answers: Vec<_> = inside.into_iter().chain(more).map(|call| call.join().unwrap()).collect();
    let refused: Vec<_> = answers.iter().filter(|answer| answer.status == 503).collect();
    assert_eq!((answers.iter().filter(|answer| answer.status == 200).count(), refused.len()), (3, 3));
    for answer in refused {
        answer.refused(503, "upstream.overload");
        assert_eq!(answer.header("retry-after"), Some("1"));
    }
    assert_eq!(gateway.get("/").with(200).text(), "done");
}

#[test]
fn a_place_is_held_to_the_last_byte_and_a_wait_has_an_end() {
    let service = upstream::serve(|conn| {
        if conn.request().is_some() {
            conn.send("HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nha");
            conn.hold();
            conn.send("lf");
        }
        while conn.request().is_some() && conn.send(upstream::ok("next")) {}
    });
    let gateway = gateway::script(
        r#"
        upstream "service" { "$UP", limit = { inflight = 1, queue = 5, max_wait = "50ms" } }
        route "/" { to = "service" }
        "#,
    )
    .with("$UP", service.address())
    .start();
    let mut first = gateway.client();
    first.send("GET / HTTP/1.1\r\nhost: x\r\n\r\n");
    let (mut answer, frame) = first.head();
    gateway.get("/").refused(503, "upstream.overload");
    service.release();
    while answer.body.len() < 4 {
        let piece = first.piece(&mut answer, frame).unwrap();
        answer.body.extend(piece);
    }
    assert_eq!(answer.text(), "half");
    assert_eq!(gateway.get("/").with(200).text(), "next");
    assert_eq!(service.calls(), 2);
}

#[test]
fn a_client_that_leaves_gives_its_place_back() {
    let service = upstream::serve(|conn| {
        while conn.request().is_some() {
            conn.hold();
            conn.send(upstream::ok("done"));
        }
    });
    let gateway = gateway::script(
        r#"
        upstream "service" { "$UP", limit = { inflight = 1, queue = 1, max_wait = "1h" } }
        route "/" { to = "service" }
        "#,
    )
    .with("$UP", service.address())
    .start();
    let mut leaving = gateway.client();
    leaving.send("GET / HTTP/1.1\r\nhost: x\r\n\r\n");
    wait::until("it is inside", || service.calls() == 1);
    let waiting = ask(&gateway);
    leaving.reset();
    service.release();
    assert_eq!(waiting.join().unwrap().with(200).text(), "done");
}
