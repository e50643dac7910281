//! A body that is coded while it passes: flushed whenever its source has nothing, bounded in memory.

use std::task::Context;
use std::task::Poll;

use super::Coder;
use crate::http::Body;
use crate::http::BodyError;
use crate::transform::recoded::Progress;
use crate::transform::recoded::Recode;
use crate::transform::recoded::Recoded;

/// A body being coded.
pub(super) struct Compressing {
    coder: Coder,
    /// The coder holds bytes that the client has not seen.
    held: bool,
    /// Pieces coded since others had a turn.
    turns: usize,
}

impl Compressing {
    pub(super) fn body(inner: Body, coder: Coder) -> Body {
        Recoded::body(inner, Self { coder, held: false, turns: 0 })
    }
}

impl Recode for Compressing {
    fn poll_step(
        &mut self,
        inner: &mut Body,
        out: &mut Vec<u8>,
        cx: &mut Context<'_>,
    ) -> Poll<Result<Progress, BodyError>> {
        loop {
            if self.turns == TURNS {
                // A source that always has more, and shrinks to nothing, lets others have a turn.
                self.turns = 0;
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
            let data = match inner.poll_fill(cx) {
                Poll::Pending if self.held => {
                    // Somebody may be waiting for just these bytes (U-60).
                    self.held = false;
                    self.coder.flush(out).map_err(|_| BodyError::Coding)?;
                    if out.is_empty() {
                        return Poll::Pending;
                    }
                    return Poll::Ready(Ok(Progress::More));
                }
                Poll::Pending => return Poll::Pending,
                // A body that broke off must not look complete: no end is written.
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                Poll::Ready(Ok([])) => {
                    self.coder.finish(out).map_err(|_| BodyError::Coding)?;
                    return Poll::Ready(Ok(Progress::End));
                }
                Poll::Ready(Ok(data)) => data,
            };
            let taken = data.len().min(PIECE);
            let written = self.coder.write(&data[..taken], out);
            inner.consume(taken);
            written.map_err(|_| BodyError::Coding)?;
            self.held = true;
            self.turns += 1;
            if !out.is_empty() {
                return Poll::Ready(Ok(Progress::More));
            }
        }
    }
}

/// Bytes coded at a time: bounds what is made before anybody takes it.
const PIECE: usize = 16 << 10;
/// Pieces coded before others have a turn.
const TURNS: usize = 16;
