//! How connections end: half-closed, reset, drained, kept small.

use std::time::Duration;

use tokio::io::AsyncReadExt;
use tokio::io::AsyncWriteExt;

use super::rig::run;
use super::rig::settle;
use super::rig::usual;
use crate::downstream::serve_h1::Broke;
use crate::http::Buffers;

#[test]
fn a_client_that_only_ends_its_sending_side_is_still_answered() {
    run(async {
        let mut rig = usual().await;
        rig.send("GET /pieces HTTP/1.1\r\nHost: a\r\n\r\n").await;
        rig.client.shutdown().await.expect("half-closed");
        assert!(rig.rest().await.ends_with("0\r\n\r\n"));
        assert!(rig.is_over().await);
    });
}

#[test]
fn half_a_request_and_an_end_is_no_request() {
    run(async {
        for part in ["", "G", "GET / HTTP/1.1\r\nHost: a\r\n", "\r\n"] {
            assert_eq!(usual().await.ask(part).await, "");
        }
    });
}

#[test]
fn a_reset_is_noticed_while_the_answer_is_awaited_and_a_half_close_is_not_taken_for_one() {
    run(async {
        let mut rig = usual().await;
        rig.send("GET /wait HTTP/1.1\r\nHost: a\r\n\r\n").await;
        settle().await;
        socket2::SockRef::from(&rig.client).set_linger(Some(Duration::ZERO)).expect("a socket");
        drop(rig.client);
        rig.server.await.expect("no panic");
        assert!(rig.seen.reset.get());

        let mut rig = usual().await;
        rig.send("GET /wait HTTP/1.1\r\nHost: a\r\n\r\nGET /pipelined HTTP/1.1\r\nHost: a\r\n\r\n").await;
        rig.client.shutdown().await.expect("half-closed");
        settle().await;
        rig.advance(Duration::from_secs(2)).await;
        assert!(!rig.seen.reset.get());
        socket2::SockRef::from(&rig.client).set_linger(Some(Duration::ZERO)).expect("a socket");
        drop(rig.client);
        settle().await;
        rig.tools.clock.advance(Duration::from_secs(2));
        rig.tools.alarms.tick(rig.tools.clock.now());
        rig.server.await.expect("no panic");
        assert!(rig.seen.reset.get());
    });
}

#[test]
fn a_client_that_leaves_while_an_answer_streams_ends_it() {
    run(async {
        let mut rig = usual().await;
        rig.send("GET /endless HTTP/1.1\r\nHost: a\r\n\r\n").await;
        rig.client.read_exact(&mut [0; 1000]).await.expect("a beginning");
        drop(rig.client);
        rig.server.await.expect("no panic");
        assert_eq!(rig.seen.gone.get().map(|gone| gone.why), Some(Broke::Client));
    });
}

#[test]
fn a_drain_closes_idle_connections_at_once() {
    run(async {
        let mut rig = usual().await;
        rig.send("GET /1 HTTP/1.1\r\nHost: a\r\n\r\n").await;
        rig.until("GET /1 - a []").await;
        settle().await;
        rig.tools.drain.begin();
        assert!(rig.is_over().await);
        assert_eq!(rig.rest().await, "");
    });
}

#[test]
fn a_drain_lets_requests_end_and_says_close() {
    run(async {
        let mut rig = usual().await;
        rig.send("POST /1 HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\na").await;
        settle().await;
        rig.tools.drain.begin();
        settle().await;
        rig.send("bc").await;
        assert!(rig.until("[abc]").await.contains("connection: close"));
    });
}

#[test]
fn a_connection_opened_just_before_a_drain_may_still_ask_once() {
    run(async {
        let mut rig = usual().await;
        settle().await;
        rig.tools.drain.begin();
        settle().await;
        rig.send("GET /1 HTTP/1.1\r\nHost: a\r\n\r\n").await;
        assert!(rig.until("GET /1 - a []").await.contains("connection: close"));

        let mut rig = usual().await;
        rig.tools.drain.begin();
        rig.advance(Duration::from_secs(2)).await;
        assert!(rig.is_over().await);
    });
}

#[test]
fn an_idle_connection_holds_no_buffer() {
    run(async {
        let mut rig = usual().await;
        for _ in 0..3 {
            rig.tools.buffers.give(Vec::with_capacity(Buffers::SIZE));
        }
        rig.send("POST /1 HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc").await;
        rig.until("[abc]").await;
        settle().await;
        assert_eq!(rig.tools.buffers.spare(), 3);
    });
}
