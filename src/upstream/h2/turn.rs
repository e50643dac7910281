//! The line of requests that wait for a stream.

use std::cell::Cell;
use std::cell::RefCell;
use std::collections::VecDeque;
use std::rc::Rc;
use std::task::Context;
use std::task::Poll;
use std::task::Waker;

use crate::upstream::connect::Failed;

/// Most requests that wait for a stream to one host, on one worker.
const LONGEST: usize = 1024;

/// What a waiting request is told.
#[derive(Debug)]
pub(super) enum Word {
    /// There may be a stream, or leave to open a connection.
    Try,
    /// The host chose HTTP/1.1.
    Http1,
    /// The connection that was waited for did not come about.
    Failed(Failed),
}

/// The line, first come first served.
#[derive(Clone, Default)]
pub(super) struct Line(Rc<RefCell<VecDeque<Rc<Ticket>>>>);

#[derive(Default)]
struct Ticket {
    word: Cell<Option<Word>>,
    waker: Cell<Option<Waker>>,
}

impl Line {
    pub(super) fn len(&self) -> usize {
        self.0.borrow().len()
    }

    /// A place at the end, unless the line is too long.
    pub(super) fn queue(&self) -> Option<Turn> {
        let mut line = self.0.borrow_mut();
        if line.len() >= LONGEST {
            return None;
        }
        let ticket = Rc::new(Ticket::default());
        line.push_back(Rc::clone(&ticket));
        drop(line);
        Some(Turn { line: self.clone(), ticket })
    }

    /// Lets the first `most` try.
    pub(super) fn call(&self, most: usize) {
        for _ in 0..most {
            let Some(ticket) = self.0.borrow_mut().pop_front() else { return };
            ticket.tell(Word::Try);
        }
    }

    /// Tells everyone.
    pub(super) fn tell_all(&self, word: impl Fn() -> Word) {
        let all = std::mem::take(&mut *self.0.borrow_mut());
        all.iter().for_each(|ticket| ticket.tell(word()));
    }
}

impl Ticket {
    fn tell(&self, word: Word) {
        self.word.set(Some(word));
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }
}

/// A place in the line.
pub(super) struct Turn {
    line: Line,
    ticket: Rc<Ticket>,
}

impl Turn {
    /// What it was told.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Word> {
        match self.ticket.word.take() {
            Some(word) => Poll::Ready(word),
            None => {
                self.ticket.waker.set(Some(cx.waker().clone()));
                Poll::Pending
            }
        }
    }

    /// It tried in vain: first in line again.
    pub(super) fn again(&mut self) {
        self.line.0.borrow_mut().push_front(Rc::clone(&self.ticket));
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        self.line.0.borrow_mut().retain(|ticket| !Rc::ptr_eq(ticket, &self.ticket));
        // a call that was not heard goes to the next
        if let Some(Word::Try) = self.ticket.word.take() {
            self.line.call(1);
        }
    }
}
