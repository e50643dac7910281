//! An answer's body as it arrives; the host may send ahead of its reader by one window.

use std::task::Context;
use std::task::Poll;
use std::task::ready;
use std::time::Duration;

use bytes::Buf;
use bytes::Bytes;
use h2::Reason;
use h2::RecvStream;

use crate::clock::Alarm;
use crate::clock::Moment;
use crate::http::BodyError;
use crate::http::Headers;
use crate::http::Source;
use crate::http::h2::trailers;
use crate::upstream::h2::outgoing::Fault;
use crate::upstream::h2::outgoing::Outgoing;
use crate::upstream::h2::trunks::Lease;
use crate::upstream::host::InFlight;

/// The body of an answer; dropping it before its end resets the stream.
pub(super) struct Incoming {
    stream: RecvStream,
    /// Read and not yet taken.
    piece: Bytes,
    /// What is left of the announced length.
    left: Option<u64>,
    trailers: Option<Headers>,
    end: Option<Result<(), BodyError>>,
    /// The answer came before all of the request was sent.
    early: bool,
    held: Option<Held>,
}

/// What an exchange holds until its answer is read.
pub(super) struct Held {
    /// The request's body, when the answer came before all of it was sent.
    pub(super) outgoing: Option<Box<Outgoing>>,
    pub(super) alarm: Alarm,
    /// Longest wait between two reads.
    pub(super) idle: Duration,
    pub(super) lease: Lease,
    #[allow(dead_code, reason = "held to be dropped")]
    pub(super) guard: InFlight,
}

impl Incoming {
    pub(super) fn new(stream: RecvStream, length: Option<u64>, early: bool, held: Held) -> Self {
        held.alarm.set(Moment::NEVER);
        Self { stream, piece: Bytes::new(), left: length, trailers: None, end: None, early, held: Some(held) }
    }

    /// Goes on sending the request's body, if some of it is left.
    fn send_on(&mut self, cx: &mut Context<'_>) -> Result<(), BodyError> {
        let Some(held) = &mut self.held else { return Ok(()) };
        let Some(outgoing) = &mut held.outgoing else { return Ok(()) };
        let sent = outgoing.poll(cx);
        if std::mem::take(&mut outgoing.progress) {
            held.alarm.set(Moment::NEVER);
        }
        match sent {
            Poll::Pending => Ok(()),
            Poll::Ready(Ok(()) | Err(Fault::Refused)) => {
                held.outgoing = None;
                Ok(())
            }
            Poll::Ready(Err(Fault::Body(_))) => Err(BodyError::Request),
        }
    }

    /// Waits for a piece or the end.
    fn poll_piece(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BodyError>> {
        self.send_on(cx)?;
        while self.piece.is_empty() {
            match self.stream.poll_data(cx) {
                Poll::Ready(Some(Ok(piece))) => self.piece = piece,
                Poll::Ready(Some(Err(error))) => return Poll::Ready(self.broken(&error)),
                Poll::Ready(None) => return self.poll_end(cx),
                Poll::Pending => return self.stall(cx),
            }
            if let Some(held) = &self.held {
                held.alarm.set(Moment::NEVER);
            }
        }
        Poll::Ready(Ok(()))
    }

    /// A host that has answered in full asks in this way to be spared the rest of the request (RFC 9113 §8.1). Where
    /// nothing of the request is left it can only be a body that breaks off.
    fn broken(&mut self, error: &h2::Error) -> Result<(), BodyError> {
        let spared = self.early && error.is_remote() && error.reason() == Some(Reason::NO_ERROR);
        if !spared || self.left.is_some_and(|left| left > 0) {
            return Err(BodyError::Cut);
        }
        (self.end, self.held) = (Some(Ok(())), None);
        Ok(())
    }

    fn poll_end(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BodyError>> {
        match self.stream.poll_trailers(cx) {
            Poll::Ready(Ok(fields)) => {
                self.trailers = fields.as_ref().and_then(trailers);
                (self.end, self.held) = (Some(Ok(())), None);
                Poll::Ready(Ok(()))
            }
            Poll::Ready(Err(_)) => Poll::Ready(Err(BodyError::Cut)),
            Poll::Pending => self.stall(cx),
        }
    }

    /// Nothing came: for how long already.
    fn stall(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BodyError>> {
        let Some(held) = &self.held else { return Poll::Ready(Err(BodyError::Cut)) };
        held.alarm.arm(held.idle);
        ready!(held.alarm.poll(cx));
        held.lease.suspect(held.idle / 2);
        Poll::Ready(Err(BodyError::Stalled))
    }
}

impl Source for Incoming {
    fn poll_fill(&mut self, cx: &mut Context<'_>) -> Poll<Result<&[u8], BodyError>> {
        match self.end {
            Some(Err(error)) => return Poll::Ready(Err(error)),
            Some(Ok(())) => return Poll::Ready(Ok(&[])),
            None => {}
        }
        if let Err(error) = ready!(self.poll_piece(cx)) {
            (self.end, self.held) = (Some(Err(error)), None);
            return Poll::Ready(Err(error));
        }
        Poll::Ready(Ok(&self.piece))
    }

    fn consume(&mut self, n: usize) {
        let n = n.min(self.piece.len());
        self.piece.advance(n);
        self.left = self.left.map(|left| left.saturating_sub(n as u64));
        // only now may the host send as much again; on a stream that is over it makes no difference
        let _ = self.stream.flow_control().release_capacity(n);
    }

    fn left(&self) -> Option<u64> {
        self.left.filter(|_| !matches!(self.end, Some(Err(_))))
    }

    fn trailers(&mut self) -> Option<Headers> {
        self.trailers.take()
    }
}
