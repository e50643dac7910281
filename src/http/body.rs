//! A message body: nothing, bytes at hand, or a source that yields them as they arrive.

use std::future::poll_fn;
use std::task::Context;
use std::task::Poll;

use bytes::Bytes;
use bytes::BytesMut;

use crate::http::Headers;

/// Where a streamed body comes from: a connection, a decoder, a script.
pub trait Source {
    /// The bytes at hand, waiting for some if there are none; an empty slice is the end of the body.
    fn poll_fill(&mut self, cx: &mut Context<'_>) -> Poll<Result<&[u8], BodyError>>;

    /// Marks the first `n` bytes of what [`Source::poll_fill`] showed as taken.
    fn consume(&mut self, n: usize);

    /// How many bytes are still to come, when that is known for certain.
    fn left(&self) -> Option<u64> {
        None
    }

    /// The fields after the body; known once the end was seen.
    fn trailers(&mut self) -> Option<Headers> {
        None
    }

    /// Many bodies are read beside this one, each a piece at a time: little is to be read ahead.
    fn be_modest(&mut self) {}
}

/// A body that is read once, from front to back.
#[derive(Default)]
pub enum Body {
    /// No body, or one that was read to its end.
    #[default]
    Empty,
    /// All of it, in memory.
    Full(Bytes),
    /// As it arrives.
    Stream(Box<dyn Source>),
}

impl Body {
    /// A body that `source` yields.
    pub fn stream(source: impl Source + 'static) -> Self {
        Self::Stream(Box::new(source))
    }

    /// As [`Source::poll_fill`].
    pub fn poll_fill(&mut self, cx: &mut Context<'_>) -> Poll<Result<&[u8], BodyError>> {
        match self {
            Self::Empty => Poll::Ready(Ok(&[])),
            Self::Full(bytes) => Poll::Ready(Ok(bytes)),
            Self::Stream(source) => source.poll_fill(cx),
        }
    }

    /// As [`Source::consume`].
    pub fn consume(&mut self, n: usize) {
        match self {
            Self::Empty => {}
            Self::Full(bytes) => drop(bytes.split_to(n.min(bytes.len()))),
            Self::Stream(source) => source.consume(n),
        }
    }

    /// The exact number of bytes to come, when known.
    pub fn left(&self) -> Option<u64> {
        match self {
            Self::Empty => Some(0),
            Self::Full(bytes) => Some(bytes.len() as u64),
            Self::Stream(source) => source.left(),
        }
    }

    /// All of the body, when it is in memory.
    pub fn at_hand(&self) -> Option<&Bytes> {
        match self {
            Self::Full(bytes) => Some(bytes),
            _ => None,
        }
    }

    /// The trailer fields, once the end was seen.
    pub fn trailers(&mut self) -> Option<Headers> {
        match self {
            Self::Stream(source) => source.trailers(),
            _ => None,
        }
    }

    /// As [`Source::be_modest`].
    pub fn be_modest(&mut self) {
        if let Self::Stream(source) = self {
            source.be_modest();
        }
    }

    /// The next piece as it arrives, copied out; `None` at the end.
    pub async fn chunk(&mut self) -> Option<Result<Bytes, BodyError>> {
        if let Self::Full(bytes) = self {
            let all = std::mem::take(bytes);
            *self = Self::Empty;
            return (!all.is_empty()).then_some(Ok(all));
        }
        poll_fn(|cx| {
            let piece = match self.poll_fill(cx) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(Err(error)) => return Poll::Ready(Some(Err(error))),
                Poll::Ready(Ok([])) => return Poll::Ready(None),
                Poll::Ready(Ok(data)) => Bytes::copy_from_slice(data),
            };
            self.consume(piece.len());
            Poll::Ready(Some(Ok(piece)))
        })
        .await
    }

    /// The whole body in memory, refused above `limit` bytes.
    pub async fn collect(&mut self, limit: usize) -> Result<Bytes, BodyError> {
        if self.left().is_some_and(|left| left > limit as u64) {
            return Err(BodyError::TooLarge);
        }
        if let Self::Full(bytes) = self {
            return Ok(std::mem::take(bytes));
        }
        let mut whole = BytesMut::new();
        while let Some(piece) = self.chunk().await {
            let piece = piece?;
            if whole.len() + piece.len() > limit {
                return Err(BodyError::TooLarge);
            }
            whole.extend_from_slice(&piece);
        }
        Ok(whole.freeze())
    }
}

impl From<Bytes> for Body {
    fn from(bytes: Bytes) -> Self {
        if bytes.is_empty() { Self::Empty } else { Self::Full(bytes) }
    }
}

impl From<String> for Body {
    fn from(text: String) -> Self {
        Bytes::from(text).into()
    }
}

/// Why a body broke off. Never passed off as its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BodyError {
    /// The peer closed or reset the connection before the end.
    #[error("the body was cut off")]
    Cut,
    /// The framing could not be understood.
    #[error("the body's framing is malformed")]
    Malformed,
    /// More bytes than the limit in force.
    #[error("the body is larger than allowed")]
    TooLarge,
    /// No byte came for as long as we wait.
    #[error("the body stalled")]
    Stalled,
    /// A content coding that could not be decoded.
    #[error("the body's content coding is corrupt")]
    Coding,
    /// It is an answer's, and the request's own body, still on its way, broke off.
    #[error("the request's body broke off")]
    Request,
    /// A script function on the stream ended it.
    #[error("a function cut the stream")]
    Script,
}
