//! Deadlines, by a clock that is turned by hand.

use std::time::Duration;

use super::rig::fake;
use super::rig::rig;
use super::rig::run;
use super::rig::settle;
use super::rig::usual;
use crate::downstream::Limits;
use crate::http::BodyError;

const fn seconds(n: u64) -> Duration {
    Duration::from_secs(n)
}

#[test]
fn a_silent_connection_is_closed_without_a_word() {
    run(async {
        let mut rig = usual().await;
        rig.advance(seconds(9)).await;
        assert!(!rig.is_over().await);
        rig.advance(seconds(2)).await;
        assert!(rig.is_over().await);
        assert_eq!(rig.rest().await, "");
    });
}

#[test]
fn a_slow_head_is_answered_408_however_steadily_it_drips() {
    run(async {
        let mut rig = usual().await;
        rig.send("GET / HTTP/1.1\r\n").await;
        for _ in 0..3 {
            rig.advance(seconds(3)).await;
            rig.send("X: y\r\n").await;
        }
        assert_eq!(rig.seen.requests.get(), 0);
        rig.advance(seconds(2)).await;
        assert!(rig.until("Timeout").await.contains("connection: close"));
    });
}

#[test]
fn the_second_head_has_its_own_time_from_its_first_byte() {
    run(async {
        let mut rig = usual().await;
        rig.send("GET /1 HTTP/1.1\r\nHost: a\r\n\r\n").await;
        rig.until("GET /1 - a []").await;
        rig.advance(seconds(60)).await;
        rig.send("GET /2 HTTP/1.1\r\nHo").await;
        rig.advance(seconds(9)).await;
        rig.send("st: a\r\n\r\n").await;
        rig.until("GET /2 - a []").await;
        rig.send("GET /3 HTTP/1.1\r\nHo").await;
        rig.advance(seconds(11)).await;
        rig.until("Timeout").await;
    });
}

#[test]
fn an_idle_connection_is_kept_for_a_while_and_then_closed() {
    run(async {
        let mut rig = usual().await;
        rig.send("GET /1 HTTP/1.1\r\nHost: a\r\n\r\n").await;
        rig.until("GET /1 - a []").await;
        rig.advance(seconds(74)).await;
        assert!(!rig.is_over().await);
        rig.advance(seconds(2)).await;
        assert!(rig.is_over().await);
        assert_eq!(rig.rest().await, "");
    });
}

#[test]
fn a_body_that_stalls_is_given_up() {
    run(async {
        let mut rig = usual().await;
        rig.send("POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\nabc").await;
        rig.advance(seconds(29)).await;
        rig.send("d").await;
        rig.advance(seconds(5)).await;
        assert_eq!(rig.seen.body.get(), None);
        rig.advance(seconds(30)).await;
        assert_eq!(rig.seen.body.get(), Some(BodyError::Stalled));
        assert!(rig.until("[Stalled]").await.contains("connection: close"));
    });
}

#[test]
fn a_body_that_drips_is_given_up_too() {
    run(async {
        let mut rig = usual().await;
        rig.send("POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\n").await;
        for _ in 0..4 {
            rig.send("d").await;
            rig.advance(seconds(20)).await;
        }
        assert_eq!(rig.seen.body.get(), Some(BodyError::Stalled));
    });
}

#[test]
fn a_slow_but_steady_body_is_taken() {
    run(async {
        let mut rig = usual().await;
        rig.send("POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 10000\r\n\r\n").await;
        for _ in 0..10 {
            rig.advance(seconds(20)).await;
            rig.send("d".repeat(1000)).await;
        }
        rig.until("d]").await;
    });
}

#[test]
fn time_in_which_nobody_reads_is_not_the_clients_fault() {
    run(async {
        let mut rig = rig(Limits::default(), fake()).await;
        // an echo to a client that does not read for a long time, then does
        rig.send("POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n").await;
        rig.until("1\r\na\r\n").await;
        rig.send("1\r\nb\r\n").await;
        settle().await;
        rig.advance(seconds(29)).await;
        rig.send("0\r\n\r\n").await;
        rig.until("0\r\n\r\n").await;
    });
}

#[test]
fn a_client_that_neither_reads_nor_closes_cannot_hold_a_closing_connection() {
    run(async {
        let mut rig = usual().await;
        rig.send("GET / HTTP/1.1\r\nHost: a b\r\n\r\n").await;
        settle().await;
        assert!(!rig.is_over().await, "lingers");
        rig.advance(seconds(6)).await;
        assert!(rig.is_over().await);
    });
}
