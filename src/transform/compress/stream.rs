//! A body that is coded while it passes: flushed whenever its source has nothing, bounded in memory.

use std::task::Context;
use std::task::Poll;

use super::Coder;
use crate::http::Body;
use crate::http::BodyError;
use crate::http::Headers;
use crate::http::Source;

/// A body being coded.
pub(super) struct Compressing {
    inner: Body,
    coder: Coder,
    /// Coded bytes that nobody took yet begin at `at`.
    out: Vec<u8>,
    at: usize,
    /// The coder holds bytes that the client has not seen.
    held: bool,
    /// Pieces coded since others had a turn.
    turns: usize,
    end: Option<Result<(), BodyError>>,
}

impl Compressing {
    pub(super) fn new(inner: Body, coder: Coder) -> Self {
        Self { inner, coder, out: Vec::new(), at: 0, held: false, turns: 0, end: None }
    }

    /// Codes until there is something to show or the end is known.
    fn poll_step(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BodyError>> {
        loop {
            if self.turns == TURNS {
                // A source that always has more, and shrinks to nothing, lets others have a turn.
                self.turns = 0;
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
            let data = match self.inner.poll_fill(cx) {
                Poll::Pending if self.held => {
                    // Somebody may be waiting for just these bytes (U-60).
                    self.held = false;
                    self.coder.flush(&mut self.out).map_err(|_| BodyError::Coding)?;
                    if self.out.is_empty() {
                        return Poll::Pending;
                    }
                    return Poll::Ready(Ok(()));
                }
                Poll::Pending => return Poll::Pending,
                // A body that broke off must not look complete: no end is written.
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                Poll::Ready(Ok([])) => {
                    self.coder.finish(&mut self.out).map_err(|_| BodyError::Coding)?;
                    self.end = Some(Ok(()));
                    return Poll::Ready(Ok(()));
                }
                Poll::Ready(Ok(data)) => data,
            };
            let taken = data.len().min(PIECE);
            let written = self.coder.write(&data[..taken], &mut self.out);
            self.inner.consume(taken);
            written.map_err(|_| BodyError::Coding)?;
            self.held = true;
            self.turns += 1;
            if !self.out.is_empty() {
                return Poll::Ready(Ok(()));
            }
        }
    }
}

impl Source for Compressing {
    fn poll_fill(&mut self, cx: &mut Context<'_>) -> Poll<Result<&[u8], BodyError>> {
        if self.at == self.out.len() && self.end.is_none() {
            self.out.clear();
            self.at = 0;
            match self.poll_step(cx) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(Ok(())) => {}
                Poll::Ready(Err(error)) => self.end = Some(Err(error)),
            }
        }
        match self.end {
            Some(Err(error)) if self.at == self.out.len() => Poll::Ready(Err(error)),
            _ => Poll::Ready(Ok(&self.out[self.at..])),
        }
    }

    fn consume(&mut self, n: usize) {
        self.at = (self.at + n).min(self.out.len());
    }

    fn trailers(&mut self) -> Option<Headers> {
        self.inner.trailers()
    }
}

/// Bytes coded at a time: bounds what is made before anybody takes it.
const PIECE: usize = 16 << 10;
/// Pieces coded before others have a turn.
const TURNS: usize = 16;
