//! What a stand-in answers, on its way.

use std::collections::VecDeque;
use std::future::Future;
use std::pin::Pin;
use std::task::Context;
use std::task::Poll;
use std::task::ready;
use std::time::Duration;

use bytes::Bytes;

use crate::clock::Clock;
use crate::clock::Sleep;
use crate::http::Body;
use crate::http::BodyError;
use crate::http::Response;
use crate::http::Source;
use crate::script::suite::Fault;
use crate::script::suite::Reply;

/// The answer as a service sends it.
pub(super) fn response(reply: Reply, clock: &Clock) -> Response {
    let mut response = Response::new(reply.status);
    for (name, value) in &reply.headers {
        response.headers.add(name, value);
    }
    let cut = reply.fault == Some(Fault::Cut);
    if let [only] = &reply.pieces[..]
        && !cut
    {
        response.body = Body::from(only.clone());
    } else if !reply.pieces.is_empty() || cut {
        let pieces = Pieces { left: reply.pieces.into(), every: reply.every, wait: None, cut, clock: clock.clone() };
        response.body = Body::stream(pieces);
    }
    response
}

/// A body that comes in pieces, with time between them, and may break off instead of ending.
struct Pieces {
    left: VecDeque<Bytes>,
    every: Duration,
    wait: Option<Sleep>,
    cut: bool,
    clock: Clock,
}

impl Source for Pieces {
    fn poll_fill(&mut self, cx: &mut Context<'_>) -> Poll<Result<&[u8], BodyError>> {
        if let Some(wait) = &mut self.wait {
            ready!(Pin::new(wait).poll(cx));
            self.wait = None;
        }
        match self.left.front() {
            Some(piece) => Poll::Ready(Ok(piece)),
            None if self.cut => Poll::Ready(Err(BodyError::Cut)),
            None => Poll::Ready(Ok(&[])),
        }
    }

    fn consume(&mut self, n: usize) {
        let Some(piece) = self.left.front_mut() else { return };
        drop(piece.split_to(n.min(piece.len())));
        if piece.is_empty() {
            self.left.pop_front();
            if !self.every.is_zero() && !self.left.is_empty() {
                self.wait = Some(self.clock.sleep(self.every));
            }
        }
    }
}
