//! What is to be said on one socket, in the order it was said: filled by functions, emptied by the conversation.

use std::cell::Cell;
use std::cell::RefCell;
use std::collections::VecDeque;
use std::task::Context;
use std::task::Poll;
use std::task::Waker;

use super::Close;
use super::Message;
use super::Side;

/// Who speaks waits when this much is not yet on its way.
const AHEAD: usize = 64 << 10;
/// So does who has said this many small messages.
const MANY: usize = 256;

/// The socket is closed, or about to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shut;

/// One socket, as those see it who speak on it.
#[derive(Default)]
pub struct Line {
    client: RefCell<Queue>,
    service: RefCell<Queue>,
    /// How it ends, once that is known: the first word counts.
    close: RefCell<Option<Close>>,
    over: Cell<bool>,
    /// The conversation, when it sleeps.
    reader: Cell<Option<Waker>>,
    /// Those who wait for room.
    writers: RefCell<Vec<Waker>>,
}

#[derive(Default)]
struct Queue {
    messages: VecDeque<Message>,
    bytes: usize,
}

impl Line {
    fn queue(&self, to: Side) -> &RefCell<Queue> {
        match to {
            Side::Client => &self.client,
            Side::Service => &self.service,
        }
    }

    /// Says `message` to `to`; [`Line::poll_room`] says when to say more.
    pub fn say(&self, to: Side, message: Message) -> Result<(), Shut> {
        if self.is_shut() {
            return Err(Shut);
        }
        let mut queue = self.queue(to).borrow_mut();
        queue.bytes += message.data.len();
        queue.messages.push_back(message);
        drop(queue);
        self.wake();
        Ok(())
    }

    /// Ready when there is room for more, or nothing more can be said.
    pub fn poll_room(&self, to: Side, cx: &Context<'_>) -> Poll<Result<(), Shut>> {
        if self.is_shut() {
            return Poll::Ready(Err(Shut));
        }
        if self.has_room(to) {
            return Poll::Ready(Ok(()));
        }
        let mut writers = self.writers.borrow_mut();
        if !writers.iter().any(|waker| waker.will_wake(cx.waker())) {
            writers.push(cx.waker().clone());
        }
        Poll::Pending
    }

    /// Ends the socket, after what was said before. Whoever came first decides how.
    pub fn close(&self, close: Close) -> Result<(), Shut> {
        if self.is_shut() {
            return Err(Shut);
        }
        *self.close.borrow_mut() = Some(close);
        self.wake();
        self.wake_writers();
        Ok(())
    }

    /// Whether nothing more can be said.
    pub fn is_shut(&self) -> bool {
        self.over.get() || self.close.borrow().is_some()
    }

    pub(super) fn has_room(&self, to: Side) -> bool {
        let queue = self.queue(to).borrow();
        queue.bytes < AHEAD && queue.messages.len() < MANY
    }

    /// How it ends, if that is known.
    pub(super) fn ending(&self) -> Option<Close> {
        self.close.borrow().clone()
    }

    /// The next to be sent to `to`.
    pub(super) fn next(&self, to: Side) -> Option<Message> {
        let mut queue = self.queue(to).borrow_mut();
        let message = queue.messages.pop_front()?;
        queue.bytes -= message.data.len();
        drop(queue);
        if self.has_room(to) {
            self.wake_writers();
        }
        Some(message)
    }

    /// Has the conversation woken when something is said.
    pub(super) fn watch(&self, cx: &Context<'_>) {
        self.reader.set(Some(cx.waker().clone()));
    }

    /// Nobody is there any more.
    pub(super) fn hang_up(&self) {
        self.over.set(true);
        *self.client.borrow_mut() = Queue::default();
        *self.service.borrow_mut() = Queue::default();
        self.wake_writers();
    }

    fn wake(&self) {
        if let Some(waker) = self.reader.take() {
            waker.wake();
        }
    }

    fn wake_writers(&self) {
        for waker in self.writers.borrow_mut().drain(..) {
            waker.wake();
        }
    }
}
