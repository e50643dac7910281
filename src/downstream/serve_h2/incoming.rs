//! A request's body as it arrives in a stream. What is not taken keeps the client from sending more.

use std::rc::Rc;
use std::task::Context;
use std::task::Poll;
use std::task::ready;
use std::time::Duration;

use bytes::Buf;
use bytes::Bytes;
use h2::RecvStream;

use crate::clock::Alarm;
use crate::downstream::patience::Patience;
use crate::downstream::serve_h2::reply::Line;
use crate::http::BodyError;
use crate::http::Headers;
use crate::http::Source;
use crate::http::h2::trailers;

/// Reads a body; dropped before its end, the rest is not wanted.
pub(super) struct Incoming {
    line: Rc<Line>,
    stream: RecvStream,
    /// Arrived and not taken yet.
    piece: Bytes,
    /// What is left of the announced length, which the codec holds the client to.
    left: Option<u64>,
    /// Bytes that may still come before the body is too large.
    room: u64,
    patience: Patience,
    alarm: Alarm,
    end: Option<Result<(), BodyError>>,
    trailers: Option<Headers>,
}

impl Incoming {
    pub(super) fn new(
        line: &Rc<Line>,
        stream: RecvStream,
        length: Option<u64>,
        limit: u64,
        timeout: Duration,
        alarm: Alarm,
    ) -> Self {
        Self {
            line: Rc::clone(line),
            stream,
            piece: Bytes::new(),
            left: length,
            room: limit,
            patience: Patience::new(timeout),
            alarm,
            end: None,
            trailers: None,
        }
    }

    /// Waits for a piece, or the end.
    fn poll_piece(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BodyError>> {
        while self.piece.is_empty() && self.end.is_none() {
            match self.stream.poll_data(cx) {
                Poll::Ready(Some(Ok(piece))) if piece.len() as u64 > self.room => {
                    return Poll::Ready(Err(BodyError::TooLarge));
                }
                Poll::Ready(Some(Ok(piece))) => {
                    self.piece = piece;
                    self.patience.arrived(self.alarm.clock());
                }
                Poll::Ready(Some(Err(error))) => return Poll::Ready(Err(why(&error))),
                Poll::Ready(None) => return self.poll_trailers(cx),
                Poll::Pending => return self.wait(cx),
            }
        }
        Poll::Ready(Ok(()))
    }

    fn poll_trailers(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BodyError>> {
        match self.stream.poll_trailers(cx) {
            Poll::Ready(Ok(fields)) => {
                self.trailers = fields.as_ref().and_then(trailers);
                self.end = Some(Ok(()));
                Poll::Ready(Ok(()))
            }
            Poll::Ready(Err(error)) => Poll::Ready(Err(why(&error))),
            Poll::Pending => self.wait(cx),
        }
    }

    /// Nothing came: the client may wait to be asked; it may also have let us wait too long.
    fn wait(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BodyError>> {
        self.line.go_on();
        self.patience.poll_late(cx, &self.alarm, self.line.received()).map(|()| Err(BodyError::Stalled))
    }
}

/// A stream that was reset by the codec broke its rules; any other was ended by the client.
fn why(error: &h2::Error) -> BodyError {
    if error.is_library() && error.is_reset() { BodyError::Malformed } else { BodyError::Cut }
}

impl Source for Incoming {
    fn poll_fill(&mut self, cx: &mut Context<'_>) -> Poll<Result<&[u8], BodyError>> {
        if let Some(Err(error)) = self.end {
            return Poll::Ready(Err(error));
        }
        if let Err(error) = ready!(self.poll_piece(cx)) {
            self.end = Some(Err(error));
            return Poll::Ready(Err(error));
        }
        Poll::Ready(Ok(&self.piece))
    }

    fn consume(&mut self, n: usize) {
        let n = n.min(self.piece.len());
        self.piece.advance(n);
        self.room = self.room.saturating_sub(n as u64);
        self.left = self.left.map(|left| left.saturating_sub(n as u64));
        self.line.count(n);
        // Only now may the client send as much again; on a stream that is over it makes no difference.
        let _ = self.stream.flow_control().release_capacity(n);
    }

    fn left(&self) -> Option<u64> {
        if let Some(Ok(())) = self.end { Some(self.piece.len() as u64) } else { self.left }
    }

    fn trailers(&mut self) -> Option<Headers> {
        self.trailers.take()
    }
}
