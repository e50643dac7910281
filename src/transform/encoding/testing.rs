//! Bodies in pieces, for tests of what wraps them.

use std::collections::VecDeque;
use std::task::Context;
use std::task::Poll;
use std::task::Waker;

use crate::http::Body;
use crate::http::BodyError;
use crate::http::Source;

/// Yields pieces, with a pause before each.
pub(crate) struct Pieces {
    pieces: VecDeque<Vec<u8>>,
    paused: bool,
    end: Result<(), BodyError>,
}

impl Pieces {
    pub(crate) fn body(pieces: &[&[u8]]) -> Body {
        Body::stream(Self { pieces: owned(pieces), paused: false, end: Ok(()) })
    }

    pub(crate) fn cut(pieces: &[&[u8]]) -> Body {
        Body::stream(Self { pieces: owned(pieces), paused: false, end: Err(BodyError::Cut) })
    }
}

fn owned(pieces: &[&[u8]]) -> VecDeque<Vec<u8>> {
    pieces.iter().map(|piece| piece.to_vec()).filter(|piece| !piece.is_empty()).collect()
}

impl Source for Pieces {
    fn poll_fill(&mut self, _cx: &mut Context<'_>) -> Poll<Result<&[u8], BodyError>> {
        self.paused = !self.paused;
        if self.paused {
            return Poll::Pending;
        }
        self.paused = true;
        match self.pieces.front() {
            Some(piece) => Poll::Ready(Ok(piece)),
            None => Poll::Ready(self.end.map(|()| &[][..])),
        }
    }

    fn consume(&mut self, n: usize) {
        let Some(piece) = self.pieces.front_mut() else { return };
        piece.drain(..n);
        if piece.is_empty() {
            self.pieces.pop_front();
            self.paused = false;
        }
    }
}

/// Everything a body yields, and how it broke off. Takes odd numbers of bytes at a time.
pub(crate) fn drain(mut body: Body) -> (Vec<u8>, Option<BodyError>) {
    let (mut whole, mut cx) = (Vec::new(), Context::from_waker(Waker::noop()));
    loop {
        let taken = match body.poll_fill(&mut cx) {
            Poll::Pending => continue,
            Poll::Ready(Err(error)) => return (whole, Some(error)),
            Poll::Ready(Ok([])) => return (whole, None),
            Poll::Ready(Ok(data)) => {
                let taken = data.len().min(4099);
                whole.extend_from_slice(&data[..taken]);
                taken
            }
        };
        body.consume(taken);
    }
}
