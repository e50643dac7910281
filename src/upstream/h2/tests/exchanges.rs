//! What a request and its answer look like over HTTP/2.

use std::task::Context;
use std::task::Poll;
use std::time::Duration;

use bytes::Bytes;

use crate::clock::Clock;
use crate::http::Body;
use crate::http::BodyError;
use crate::http::Headers;
use crate::http::Method;
use crate::http::Source;
use crate::upstream::Outbound;
use crate::upstream::Protocol;
use crate::upstream::h2::tests::server::Server;
use crate::upstream::h2::tests::server::gate;
use crate::upstream::h2::tests::server::together;
use crate::upstream::tests::backend::get;
use crate::upstream::tests::backend::post;
use crate::upstream::tests::backend::run;
use crate::upstream::tests::backend::text;

/// A body of pieces, with trailers at its end.
pub(super) struct Pieces(pub(super) Vec<Bytes>, pub(super) Option<Headers>);

impl Source for Pieces {
    fn poll_fill(&mut self, _: &mut Context<'_>) -> Poll<Result<&[u8], BodyError>> {
        Poll::Ready(Ok(self.0.first().map_or(&[], |piece| piece)))
    }

    fn consume(&mut self, n: usize) {
        let piece = &mut self.0[0];
        drop(piece.split_to(n));
        if piece.is_empty() {
            self.0.remove(0);
        }
    }

    fn trailers(&mut self) -> Option<Headers> {
        self.1.take()
    }
}

#[test]
fn requests_share_a_connection_and_say_what_http2_asks() {
    run(async {
        let server = Server::start(|mut call| async move {
            let (body, _) = call.read().await;
            let uri = call.head.uri();
            let seen = format!(
                "{} {} {} {} {:?} {:?} {:?} {}",
                call.head.method(),
                uri.scheme_str().unwrap(),
                uri.authority().unwrap(),
                uri.path_and_query().unwrap(),
                call.header("content-length"),
                call.header("x-one"),
                call.header("te"),
                body.len(),
            );
            call.begin(200).send_data(seen.into(), true).unwrap();
        })
        .await;
        let gate = gate(vec![server.host()], Clock::real(), |_| {});
        let fields = b"X-One: 1\r\nConnection: x\r\nTE: gzip\r\nKeep-Alive: 1\r\n".to_vec();
        let named = Outbound { host: Some("shop.example".into()), fields, ..get("/a/b?c=d|e\"") };
        let (one, two) = together(gate.send(named), gate.send(post("12345"))).await;
        assert_eq!(one.as_ref().unwrap().response.status, 200);
        assert_eq!(text(one.unwrap()).await.1, "GET http shop.example /a/b?c=d|e%22 None Some(\"1\") None 0");
        let own = server.address;
        assert_eq!(text(two.unwrap()).await.1, format!("POST http {own} / Some(\"5\") None None 5"));
        assert_eq!((server.connections.get(), server.requests.get()), (1, 2));
        assert_eq!(gate.in_flight(), 0);
    });
}

#[test]
fn trailers_pass_both_ways_and_grpc_hosts_hear_that_they_are_welcome() {
    run(async {
        let server = Server::start(|mut call| async move {
            assert_eq!(call.header("te"), Some("trailers"));
            let (body, trailers) = call.read().await;
            let mut stream = call.begin(200);
            stream.send_data(body.into(), false).unwrap();
            stream.send_trailers(trailers.unwrap()).unwrap();
        })
        .await;
        let gate = gate(vec![server.host()], Clock::real(), |config| config.protocol = Protocol::Grpc);
        let pieces = vec![Bytes::from_static(b"one"), Bytes::from_static(b"two")];
        let body = Body::stream(Pieces(pieces, Some(Headers::of(&[("grpc-status", "0"), ("x-sum", "6")]))));
        let mut answer = gate.send(Outbound { body, ..post("") }).await.unwrap();
        assert_eq!(answer.response.body.collect(100).await.unwrap(), "onetwo");
        let trailers = answer.response.body.trailers().unwrap();
        assert_eq!((trailers.text("grpc-status"), trailers.text("x-sum")), (Some("0"), Some("6")));
    });
}

#[test]
fn an_answer_of_trailers_alone_and_one_to_head_have_no_body() {
    run(async {
        let server = Server::start(|mut call| async move {
            let head = http::Response::builder().header("content-length", "7").header("grpc-status", "5");
            let head = if call.head.method() == "HEAD" { head } else { http::Response::builder().status(204) };
            call.respond.send_response(head.body(()).unwrap(), true).unwrap();
        })
        .await;
        let gate = gate(vec![server.host()], Clock::real(), |_| {});
        let head = gate.send(Outbound { method: Method::Head, ..get("/") }).await.unwrap();
        assert_eq!(head.response.headers.text("content-length"), Some("7"));
        assert!(matches!(head.response.body, Body::Empty));
        let none = gate.get().await.unwrap();
        assert_eq!((none.response.status, none.response.body.left()), (204, Some(0)));
    });
}

#[test]
fn both_directions_stream_at_the_same_time() {
    run(async {
        let server = Server::start(|mut call| async move {
            let mut stream = call.begin(200);
            while let Some(Ok(piece)) = call.body.data().await {
                call.body.flow_control().release_capacity(piece.len()).unwrap();
                stream.send_data(piece, false).unwrap();
            }
            stream.send_data(Bytes::new(), true).unwrap();
        })
        .await;
        let gate = gate(vec![server.host()], Clock::real(), |_| {});
        let (sender, receiver) = tokio::sync::mpsc::unbounded_channel::<Bytes>();
        let body = Body::stream(Talk { receiver, piece: Bytes::new() });
        sender.send(Bytes::from_static(b"hello")).unwrap();
        let mut answer = gate.send(Outbound { body, ..post("") }).await.unwrap();
        assert_eq!(answer.response.body.chunk().await.unwrap().unwrap(), "hello");
        sender.send(Bytes::from_static(b"again")).unwrap();
        assert_eq!(answer.response.body.chunk().await.unwrap().unwrap(), "again");
        drop(sender);
        assert!(answer.response.body.chunk().await.is_none());
    });
}

/// A body that is written while it is sent.
pub(super) struct Talk {
    pub(super) receiver: tokio::sync::mpsc::UnboundedReceiver<Bytes>,
    pub(super) piece: Bytes,
}

impl Source for Talk {
    fn poll_fill(&mut self, cx: &mut Context<'_>) -> Poll<Result<&[u8], BodyError>> {
        if self.piece.is_empty() {
            self.piece = std::task::ready!(self.receiver.poll_recv(cx)).unwrap_or_default();
        }
        Poll::Ready(Ok(&self.piece))
    }

    fn consume(&mut self, n: usize) {
        drop(self.piece.split_to(n));
    }
}

#[test]
fn a_longer_body_than_any_window_arrives_whole() {
    run(async {
        let server = Server::start(|mut call| async move {
            let (body, _) = call.read().await;
            let mut stream = call.begin(200);
            for piece in body.chunks(50_000) {
                stream.reserve_capacity(piece.len());
                let mut rest = Bytes::copy_from_slice(piece);
                while !rest.is_empty() {
                    let room = match stream.capacity() {
                        0 => match std::future::poll_fn(|cx| stream.poll_capacity(cx)).await {
                            Some(Ok(room)) => room,
                            _ => return,
                        },
                        room => room,
                    };
                    stream.send_data(rest.split_to(room.min(rest.len())), false).unwrap();
                }
            }
            stream.send_data(Bytes::new(), true).unwrap();
        })
        .await;
        let gate = gate(vec![server.host()], Clock::real(), |_| {});
        let body: Vec<u8> = (0..3_000_000_u32).map(|index| index.to_le_bytes()[1]).collect();
        let mut answer = gate.send(post(body.clone())).await.unwrap();
        assert_eq!(answer.response.body.collect(1 << 24).await.unwrap(), body);
    });
}

#[test]
fn a_connection_past_its_age_takes_no_more_requests() {
    run(async {
        let server = Server::start(|mut call| async move {
            call.answer(200, "ok");
        })
        .await;
        let gate = gate(vec![server.host()], Clock::fake(Duration::ZERO), |config| {
            config.pool.max_age = Duration::from_secs(60);
            config.pool.idle = Duration::from_secs(3600);
        });
        for wait in [0, 50, 20] {
            gate.advance(Duration::from_secs(wait)).await;
            assert_eq!(gate.text().await, (200, "ok".into()));
        }
        assert_eq!(server.connections.get(), 2);
        gate.pools.sweep();
        crate::upstream::tests::backend::settle().await;
        assert_eq!(server.closed.get(), 1, "the old one is closed in an orderly way");
    });
}
