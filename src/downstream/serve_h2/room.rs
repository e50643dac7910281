//! How much of all answers of one connection may wait to be sent: a client that asks for many and takes none costs no more
//! than this, whatever its windows say.
//!
//! What a stream hands to the codec fits the windows and leaves as soon as the socket takes it, so a stream that waits here
//! never waits for another one to be read. First come, first served.

use std::cell::Cell;
use std::cell::RefCell;
use std::collections::VecDeque;
use std::rc::Rc;
use std::task::Context;
use std::task::Poll;
use std::task::Waker;

use bytes::Buf;
use bytes::Bytes;

/// The room of one connection.
pub(super) struct Room {
    free: Cell<usize>,
    line: RefCell<VecDeque<Rc<Ticket>>>,
}

/// A piece that waits for room.
struct Ticket {
    size: usize,
    granted: Cell<bool>,
    waker: Cell<Option<Waker>>,
}

/// A stream's place in the line; dropped, others move up.
pub(super) struct Turn {
    room: Rc<Room>,
    ticket: Rc<Ticket>,
    taken: bool,
}

/// Room for a piece, given back when dropped.
pub(super) struct Grant {
    room: Rc<Room>,
    size: usize,
}

/// Bytes on their way to the socket, which take up room until they are there or will never be.
pub(super) struct Piece {
    bytes: Bytes,
    #[allow(dead_code, reason = "held to be dropped")]
    grant: Option<Grant>,
}

impl Room {
    pub(super) fn new() -> Rc<Self> {
        Rc::new(Self { free: Cell::new(MOST), line: RefCell::default() })
    }

    /// Ready when there is room for `n` bytes; `turn` is the stream's place in the line until then.
    pub(super) fn poll(self: &Rc<Self>, turn: &mut Option<Turn>, cx: &mut Context<'_>, n: usize) -> Poll<Grant> {
        let size = n + EXTRA;
        if turn.is_none() && self.line.borrow().is_empty() && self.free.get() >= size {
            self.free.set(self.free.get() - size);
            return Poll::Ready(Grant { room: Rc::clone(self), size });
        }
        let place = turn.get_or_insert_with(|| self.queue(size));
        if !place.ticket.granted.get() {
            place.ticket.waker.set(Some(cx.waker().clone()));
            return Poll::Pending;
        }
        place.taken = true;
        let size = place.ticket.size;
        *turn = None;
        Poll::Ready(Grant { room: Rc::clone(self), size })
    }

    fn queue(self: &Rc<Self>, size: usize) -> Turn {
        let ticket = Rc::new(Ticket { size, granted: Cell::default(), waker: Cell::default() });
        self.line.borrow_mut().push_back(Rc::clone(&ticket));
        Turn { room: Rc::clone(self), ticket, taken: false }
    }

    fn give(&self, size: usize) {
        self.free.set(self.free.get() + size);
        let mut line = self.line.borrow_mut();
        while let Some(ticket) = line.pop_front_if(|ticket| ticket.size <= self.free.get()) {
            self.free.set(self.free.get() - ticket.size);
            ticket.granted.set(true);
            if let Some(waker) = ticket.waker.take() {
                waker.wake();
            }
        }
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        match self.ticket.granted.get() {
            _ if self.taken => {}
            true => self.room.give(self.ticket.size),
            false => {
                self.room.line.borrow_mut().retain(|ticket| !Rc::ptr_eq(ticket, &self.ticket));
                // Whoever stood behind may need less.
                self.room.give(0);
            }
        }
    }
}

impl Grant {
    /// For how many bytes.
    pub(super) fn bytes(&self) -> usize {
        self.size - EXTRA
    }

    /// `bytes`, which are no more than that, as a piece.
    pub(super) fn piece(mut self, bytes: Bytes) -> Piece {
        let spare = self.bytes().saturating_sub(bytes.len());
        self.size -= spare;
        self.room.give(spare);
        Piece { bytes, grant: Some(self) }
    }
}

impl Drop for Grant {
    fn drop(&mut self) {
        self.room.give(self.size);
    }
}

impl Piece {
    /// Nothing, where an end is to be told.
    pub(super) fn empty() -> Self {
        Self { bytes: Bytes::new(), grant: None }
    }
}

impl Buf for Piece {
    fn remaining(&self) -> usize {
        self.bytes.len()
    }

    fn chunk(&self) -> &[u8] {
        &self.bytes
    }

    fn advance(&mut self, n: usize) {
        self.bytes.advance(n);
    }
}

/// More than sockets take at once, so that it slows nobody down who reads.
const MOST: usize = 256 << 10;
/// What the codec keeps beside the bytes of each piece: a flood of tiny ones is bounded as well.
const EXTRA: usize = 256;

#[cfg(test)]
mod tests {
    use super::*;

    const LARGE: usize = (MOST >> 2) - EXTRA;

    fn poll(room: &Rc<Room>, turn: &mut Option<Turn>, n: usize) -> Option<Grant> {
        match room.poll(turn, &mut Context::from_waker(Waker::noop()), n) {
            Poll::Ready(grant) => Some(grant),
            Poll::Pending => None,
        }
    }

    #[test]
    fn what_is_sent_makes_room_for_those_who_wait_in_their_order() {
        let room = Room::new();
        let mut pieces: Vec<_> =
            (0..4).map(|_| poll(&room, &mut None, LARGE).unwrap().piece(vec![0; LARGE].into())).collect();
        let mut turns = [None, None, None];
        for turn in &mut turns {
            assert!(poll(&room, turn, LARGE).is_none());
        }
        pieces.pop();
        assert!(
            poll(&room, &mut turns[1], LARGE).is_none() && poll(&room, &mut None, 1).is_none(),
            "not before the first"
        );
        let first = poll(&room, &mut turns[0], LARGE).unwrap();
        turns[1] = None;
        drop(first);
        assert!(poll(&room, &mut turns[2], LARGE).is_some(), "one that left holds nobody up");
        drop(pieces);
        assert_eq!(room.free.get(), MOST);
    }

    #[test]
    fn what_was_granted_and_not_used_is_given_back() {
        let room = Room::new();
        drop(poll(&room, &mut None, LARGE).unwrap().piece(Bytes::from_static(b"few")));
        let all: Vec<_> = (0..4).map(|_| poll(&room, &mut None, LARGE).unwrap()).collect();
        let mut turn = None;
        assert!(poll(&room, &mut turn, LARGE).is_none());
        drop(all);
        assert_eq!(room.free.get(), MOST - LARGE - EXTRA);
        drop(turn);
        assert_eq!(room.free.get(), MOST);
    }

    #[test]
    fn tiny_pieces_are_bounded_as_well() {
        let room = Room::new();
        let grants: Vec<_> = std::iter::from_fn(|| poll(&room, &mut None, 1)).collect();
        assert!(grants.len() < 1100, "{}", grants.len());
    }
}
