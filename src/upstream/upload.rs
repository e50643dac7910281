//! A request's body on its way to a host, with what a repeat needs of it.

use std::task::Context;
use std::task::Poll;

use bytes::Bytes;

use crate::http::Body;
use crate::http::BodyError;
use crate::http::Headers;
use crate::http::h1::Framing;

/// The most of a streamed body that is kept for a repeat.
const KEPT: usize = 64 << 10;

/// The body of all attempts of one request.
pub(crate) struct Upload {
    /// What is not yet in memory.
    source: Body,
    /// The start of the body, in memory.
    memory: Memory,
    /// How far into the memory this attempt is.
    at: usize,
    /// Bytes of the source are put into memory as they come.
    keeping: bool,
    /// They are so for all of an attempt, not only until its first byte left.
    wanted: bool,
    /// Bytes went by that are in no memory.
    lossy: bool,
    /// How the end will be told.
    pub(crate) framing: Framing,
    /// Bytes the framing promised and that were not given yet.
    owed: u64,
}

enum Memory {
    Shared(Bytes),
    Owned(Vec<u8>),
}

impl Memory {
    fn bytes(&self) -> &[u8] {
        match self {
            Self::Shared(bytes) => bytes,
            Self::Owned(bytes) => bytes,
        }
    }
}

impl Upload {
    /// `keeping`: a repeat may be wanted after bytes went out.
    pub(crate) fn new(body: Body, keeping: bool) -> Self {
        let framing = match body.left() {
            Some(0) => Framing::None,
            Some(length) => Framing::Length(length),
            None => Framing::Chunked,
        };
        let (source, memory) = match body {
            Body::Full(bytes) => (Body::Empty, Memory::Shared(bytes)),
            body => (body, Memory::Owned(Vec::new())),
        };
        // chunks in a write buffer cannot be told from their framing again, so the first are kept in any case
        let first = keeping || framing == Framing::Chunked;
        Self { source, memory, at: 0, keeping: first, wanted: keeping, lossy: false, framing, owed: promised(framing) }
    }

    /// A host may hand all of it back untouched after it was sent: as much as there is room for is kept for another.
    pub(crate) fn keep(&mut self) {
        (self.keeping, self.wanted) = (!self.lossy, !self.lossy);
    }

    /// The first byte left: from now on only a repeat that is wanted needs a memory.
    pub(crate) fn left(&mut self) {
        self.keeping &= self.wanted;
    }

    /// Whether another attempt could send all of it.
    pub(crate) fn is_replayable(&self) -> bool {
        !self.lossy
    }

    /// Back to the start, for another attempt.
    pub(crate) fn rewind(&mut self) {
        self.at = 0;
        self.owed = promised(self.framing);
    }

    /// The next bytes; none is the end. More or less than was promised is an error, never passed on.
    pub(crate) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Result<&[u8], BodyError>> {
        let counted = matches!(self.framing, Framing::Length(_));
        if self.framing == Framing::None || (counted && self.owed == 0) {
            return Poll::Ready(Ok(&[]));
        }
        if self.at == self.memory.bytes().len() && self.keeping {
            match self.source.poll_fill(cx) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                Poll::Ready(Ok([])) => {}
                Poll::Ready(Ok(piece)) => {
                    let length = piece.len();
                    if let Memory::Owned(kept) = &mut self.memory
                        && kept.len() + length <= KEPT
                    {
                        kept.extend_from_slice(piece);
                        self.source.consume(length);
                    } else {
                        self.keeping = false;
                    }
                }
            }
        }
        let piece = if self.at < self.memory.bytes().len() {
            &self.memory.bytes()[self.at..]
        } else {
            match self.source.poll_fill(cx) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                Poll::Ready(Ok(piece)) => piece,
            }
        };
        if !counted {
            return Poll::Ready(Ok(piece));
        }
        let most = usize::try_from(self.owed).unwrap_or(usize::MAX);
        Poll::Ready(match piece.len() {
            0 => Err(BodyError::Cut),
            length if length > most => Err(BodyError::Malformed),
            _ => Ok(piece),
        })
    }

    /// `n` of the bytes shown were used.
    pub(crate) fn took(&mut self, n: usize) {
        self.owed = self.owed.saturating_sub(n as u64);
        if self.at < self.memory.bytes().len() {
            self.at += n;
        } else if n > 0 {
            self.source.consume(n);
            self.lossy = true;
        }
    }

    /// Whether the next `n` bytes are known to be the last.
    pub(crate) fn ends_with(&self, n: usize) -> bool {
        matches!(self.framing, Framing::Length(_)) && self.owed == n as u64
    }

    /// Bytes that were taken but never left come back to be the start again.
    pub(crate) fn untake(&mut self, bytes: &[u8]) {
        if self.lossy && self.memory.bytes().is_empty() && self.framing != Framing::Chunked {
            self.memory = Memory::Owned(bytes.to_vec());
            self.lossy = false;
        }
    }

    /// The fields after a chunked body, once its end was seen.
    pub(crate) fn trailers(&mut self) -> Option<Headers> {
        self.source.trailers()
    }
}

fn promised(framing: Framing) -> u64 {
    if let Framing::Length(length) = framing { length } else { 0 }
}
