//! Windows: who is slow holds up nobody but himself, and memory stays bounded.

use std::cell::Cell;
use std::rc::Rc;
use std::task::Context;
use std::task::Poll;

use bytes::Bytes;

use crate::clock::Clock;
use crate::http::Body;
use crate::http::BodyError;
use crate::http::Source;
use crate::upstream::Outbound;
use crate::upstream::h2::STREAM_WINDOW;
use crate::upstream::h2::tests::server::Server;
use crate::upstream::h2::tests::server::gate;
use crate::upstream::tests::backend::get;
use crate::upstream::tests::backend::post;
use crate::upstream::tests::backend::run;
use crate::upstream::tests::backend::settle;

#[test]
fn readers_that_stop_hold_up_no_sibling_and_are_sent_one_window() {
    run(async {
        let sent = Rc::new(Cell::new(0));
        let count = Rc::clone(&sent);
        let server = Server::start(move |mut call| {
            let count = Rc::clone(&count);
            async move {
                if call.head.uri().path() == "/" {
                    return call.answer(200, "ok");
                }
                let mut stream = call.begin(200);
                loop {
                    stream.reserve_capacity(16_000);
                    let Some(Ok(room)) = std::future::poll_fn(|cx| stream.poll_capacity(cx)).await else { return };
                    let room = room.min(16_000);
                    if stream.send_data(Bytes::from(vec![b'x'; room]), false).is_err() {
                        return;
                    }
                    count.set(count.get() + room);
                }
            }
        })
        .await;
        let gate = gate(vec![server.host()], Clock::real(), |_| {});
        gate.text().await;
        let mut unread = Vec::new();
        for _ in 0..40 {
            unread.push(gate.send(get("/endless")).await.unwrap());
        }
        while sent.get() < 40 * STREAM_WINDOW as usize {
            tokio::task::yield_now().await;
        }
        assert_eq!(gate.text().await, (200, "ok".into()));
        assert_eq!(server.connections.get(), 1);
        settle().await;
        assert_eq!(sent.get(), 40 * STREAM_WINDOW as usize);
        let piece = unread[0].response.body.chunk().await.unwrap().unwrap().len();
        while sent.get() < 40 * STREAM_WINDOW as usize + piece {
            let more = unread[0].response.body.chunk().await.unwrap().unwrap().len();
            assert!(more > 0);
            settle().await;
        }
    });
}

/// A body without end that counts what was taken of it.
struct Endless(Rc<Cell<usize>>);

impl Source for Endless {
    fn poll_fill(&mut self, _: &mut Context<'_>) -> Poll<Result<&[u8], BodyError>> {
        Poll::Ready(Ok(&[b'x'; 4096]))
    }

    fn consume(&mut self, n: usize) {
        self.0.set(self.0.get() + n);
    }
}

#[test]
fn a_service_that_does_not_read_stops_the_upload() {
    run(async {
        let server = Server::start(|mut call| async move {
            let mut stream = call.begin(200);
            // unread: what arrives is held back by the window
            std::future::poll_fn(|cx| stream.poll_reset(cx)).await.unwrap();
            drop(call);
        })
        .await;
        let gate = gate(vec![server.host()], Clock::real(), |_| {});
        let taken = Rc::new(Cell::new(0));
        let body = Body::stream(Endless(Rc::clone(&taken)));
        let mut answer = gate.send(Outbound { body, ..post("") }).await.unwrap();
        let waiting = tokio::task::spawn_local(async move { answer.response.body.chunk().await });
        for _ in 0..20 {
            settle().await;
        }
        let most = taken.get();
        assert!(most <= 65_535 + 64 * 1024, "{most} bytes were read of a body nobody takes");
        settle().await;
        assert_eq!(taken.get(), most);
        waiting.abort();
    });
}

#[test]
fn an_answer_in_the_middle_of_an_upload_comes_through() {
    run(async {
        let server = Server::start(|mut call| async move { call.answer(413, "too much") }).await;
        let gate = gate(vec![server.host()], Clock::real(), |_| {});
        let body = Body::stream(Endless(Rc::default()));
        let mut answer = gate.send(Outbound { body, ..post("") }).await.unwrap();
        assert_eq!(answer.response.status, 413);
        assert_eq!(answer.response.body.collect(100).await.unwrap(), "too much");
        assert_eq!(gate.text().await.0, 413);
        assert_eq!(server.connections.get(), 1);
    });
}
