//! A request body that can be sent again: what passed is kept, bounded, for a second `next()`.

use std::any::Any;
use std::cell::Cell;
use std::cell::RefCell;
use std::rc::Rc;
use std::task::Context;
use std::task::Poll;
use std::task::ready;

use bytes::Bytes;

use crate::http::Body;
use crate::http::BodyError;
use crate::http::Source;
use crate::proxy::Code;
use crate::proxy::Exchange;
use crate::proxy::Failure;
use crate::script::handle;

/// A body and what passed of it.
struct Tape {
    body: RefCell<Body>,
    seen: RefCell<Vec<u8>>,
    limit: usize,
    /// More passed than may be kept: it cannot be played again.
    torn: Cell<bool>,
}

/// Before what follows the step before `at` runs: the first time the body goes onto a tape, later it is played again.
pub(super) fn play(exchange: &Rc<Exchange>, at: usize, limit: usize) -> Result<(), Failure> {
    if let Some(kept) = handle::stashed(exchange, at) {
        let Ok(kept) = kept.downcast::<Kept>() else { return Ok(()) };
        let body = match &*kept {
            Kept::Whole(bytes) => Body::from(bytes.clone()),
            Kept::Tape(tape) if tape.torn.get() => {
                let detail = "the body is too large to be sent again";
                return Err(Failure::new(Code::BodyTooLarge, detail));
            }
            Kept::Tape(tape) => Body::stream(Playing { tape: Rc::clone(tape), at: 0, piece: Bytes::new() }),
        };
        exchange.request.borrow_mut().body = body;
        return Ok(());
    }
    let mut request = exchange.request.borrow_mut();
    let kept = match &mut request.body {
        Body::Empty => Kept::Whole(Bytes::new()),
        Body::Full(bytes) => Kept::Whole(bytes.clone()),
        Body::Stream(_) => {
            let body = std::mem::take(&mut request.body);
            let tape = Rc::new(Tape { body: body.into(), seen: RefCell::default(), limit, torn: Cell::new(false) });
            request.body = Body::stream(Playing { tape: Rc::clone(&tape), at: 0, piece: Bytes::new() });
            Kept::Tape(tape)
        }
    };
    drop(request);
    let kept: Rc<dyn Any> = Rc::new(kept);
    handle::stash(exchange, at, kept);
    Ok(())
}

enum Kept {
    Whole(Bytes),
    Tape(Rc<Tape>),
}

/// A tape from its beginning, then on with the body itself.
struct Playing {
    tape: Rc<Tape>,
    at: usize,
    piece: Bytes,
}

impl Playing {
    fn fill(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BodyError>> {
        {
            let seen = self.tape.seen.borrow();
            if let Some(rest) = seen.get(self.at..)
                && !rest.is_empty()
            {
                self.piece = Bytes::copy_from_slice(rest);
                self.at += rest.len();
                return Poll::Ready(Ok(()));
            }
        }
        let mut body = self.tape.body.borrow_mut();
        let data = ready!(body.poll_fill(cx))?;
        self.piece = Bytes::copy_from_slice(data);
        let length = data.len();
        body.consume(length);
        self.at += length;
        if !self.tape.torn.get() {
            let mut seen = self.tape.seen.borrow_mut();
            if seen.len() + length > self.tape.limit {
                self.tape.torn.set(true);
                *seen = Vec::new();
            } else {
                seen.extend_from_slice(&self.piece);
            }
        }
        Poll::Ready(Ok(()))
    }
}

impl Source for Playing {
    fn poll_fill(&mut self, cx: &mut Context<'_>) -> Poll<Result<&[u8], BodyError>> {
        if self.piece.is_empty() {
            ready!(self.fill(cx))?;
        }
        Poll::Ready(Ok(&self.piece))
    }

    fn consume(&mut self, n: usize) {
        drop(self.piece.split_to(n.min(self.piece.len())));
    }

    fn left(&self) -> Option<u64> {
        let seen = self.tape.seen.borrow().len();
        let behind = if self.tape.torn.get() { 0 } else { seen.saturating_sub(self.at) };
        let ahead = self.tape.body.borrow().left()?;
        Some(ahead + behind as u64 + self.piece.len() as u64)
    }

    fn trailers(&mut self) -> Option<crate::http::Headers> {
        self.tape.body.borrow_mut().trailers()
    }
}
