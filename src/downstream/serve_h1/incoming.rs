//! A request's body as it arrives.

use std::rc::Rc;
use std::task::Context;
use std::task::Poll;
use std::time::Duration;

use crate::downstream::patience::Patience;
use crate::downstream::wire::Coding;
use crate::downstream::wire::Input;
use crate::downstream::wire::Wire;
use crate::http::BodyError;
use crate::http::Headers;
use crate::http::Source;
use crate::http::h1::Piece;

const CONTINUE: &[u8] = b"HTTP/1.1 100 Continue\r\n\r\n";

/// Reads a body from a connection's input, which it holds until the end or until it is dropped.
pub(super) struct Incoming {
    wire: Rc<Wire>,
    input: Input,
    coding: Coding,
    state: State,
    /// Bytes that may still come before the body is too large.
    room: u64,
    patience: Patience,
    trailers: Option<Headers>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Open,
    Done,
    Failed(BodyError),
}

impl Incoming {
    pub(super) fn new(wire: &Rc<Wire>, coding: Coding, limit: u64, timeout: Duration) -> Self {
        wire.held.set(true);
        Self {
            input: std::mem::take(&mut *wire.input.borrow_mut()),
            wire: Rc::clone(wire),
            coding,
            state: State::Open,
            room: limit,
            patience: Patience::new(timeout),
            trailers: None,
        }
    }

    /// How many bytes of data are at the front of the input; `None` at the end.
    fn at_hand(&mut self) -> Result<Option<usize>, BodyError> {
        match &mut self.coding {
            Coding::Length(left) => Ok(Some(usize::try_from(*left).unwrap_or(usize::MAX).min(self.input.len()))),
            Coding::Chunked(chunked) => {
                let (framing, piece) = chunked.next(self.input.rest()).map_err(|_| BodyError::Malformed)?;
                self.input.consume(framing);
                match piece {
                    Piece::Data(n) if n as u64 > self.room => Err(BodyError::TooLarge),
                    Piece::Data(n) => Ok(Some(n)),
                    Piece::More => Ok(Some(0)),
                    Piece::End => {
                        self.trailers = chunked.trailers();
                        Ok(None)
                    }
                }
            }
        }
    }

    /// Until there is something to look at: the number of bytes, or `None` at the end.
    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<usize>, BodyError>> {
        loop {
            match self.at_hand()? {
                Some(0) => {}
                ready => return Poll::Ready(Ok(ready)),
            }
            if self.wire.is_owed() && self.poll_continue(cx)?.is_pending() {
                return Poll::Pending;
            }
            match self.wire.poll_read(cx, &mut self.input) {
                Poll::Ready(Ok(0) | Err(_)) => return Poll::Ready(Err(BodyError::Cut)),
                Poll::Ready(Ok(_)) => self.arrived(),
                Poll::Pending => return self.poll_late(cx).map(|()| Err(BodyError::Stalled)),
            }
        }
    }

    /// Tells a client that waits to be asked that its body is wanted, unless it was answered already.
    fn poll_continue(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BodyError>> {
        if self.wire.expects.replace(false) && !self.wire.answered.get() {
            self.wire.interim.borrow_mut().extend_from_slice(CONTINUE);
        }
        self.wire.poll_interim(cx).map_err(|_| BodyError::Cut)
    }

    fn arrived(&mut self) {
        self.wire.expects.set(false);
        self.patience.arrived(&self.wire.tools.clock);
    }

    /// Ready when the client has let us wait too long, at once or over all.
    fn poll_late(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        self.patience.poll_late(cx, &self.wire.alarm, self.wire.received.get())
    }

    /// The input goes back to the connection, which may be used for another request.
    fn finish(&mut self) {
        self.state = State::Done;
        self.wire.expects.set(false);
        self.wire.give_back(std::mem::take(&mut self.input), None);
    }
}

impl Source for Incoming {
    fn poll_fill(&mut self, cx: &mut Context<'_>) -> Poll<Result<&[u8], BodyError>> {
        match self.state {
            State::Done => return Poll::Ready(Ok(&[])),
            State::Failed(error) => return Poll::Ready(Err(error)),
            State::Open => {}
        }
        match self.poll_ready(cx) {
            Poll::Pending => Poll::Pending,
            Poll::Ready(Ok(Some(n))) => Poll::Ready(Ok(&self.input.rest()[..n])),
            Poll::Ready(Ok(None)) => {
                self.finish();
                Poll::Ready(Ok(&[]))
            }
            Poll::Ready(Err(error)) => {
                self.state = State::Failed(error);
                Poll::Ready(Err(error))
            }
        }
    }

    fn consume(&mut self, n: usize) {
        if self.state != State::Open || n == 0 {
            return;
        }
        self.input.consume(n);
        self.room = self.room.saturating_sub(n as u64);
        self.wire.received.set(self.wire.received.get() + n as u64);
        match &mut self.coding {
            Coding::Chunked(chunked) => chunked.took(n),
            Coding::Length(left) => {
                *left -= n as u64;
                if *left == 0 {
                    self.finish();
                }
            }
        }
    }

    fn left(&self) -> Option<u64> {
        match (self.state, &self.coding) {
            (State::Done, _) => Some(0),
            (_, Coding::Length(left)) => Some(*left),
            (_, Coding::Chunked(_)) => None,
        }
    }

    fn trailers(&mut self) -> Option<Headers> {
        self.trailers.take()
    }
}

impl Drop for Incoming {
    fn drop(&mut self) {
        if self.state == State::Done {
            return;
        }
        let coding = std::mem::replace(&mut self.coding, Coding::Length(0));
        // after a failure there is no telling where the next request begins
        let unread = if self.state == State::Open { coding } else { Coding::Length(u64::MAX) };
        self.wire.give_back(std::mem::take(&mut self.input), Some(unread));
    }
}
