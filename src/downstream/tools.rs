//! What every connection of one worker uses: time, deadlines, buffers, the date, and the word to leave.

use std::cell::Cell;
use std::cell::RefCell;
use std::ops::Range;
use std::rc::Rc;
use std::task::Context;
use std::task::Poll;
use std::task::Waker;
use std::time::Duration;

use bytes::Bytes;
use slab::Slab;

use crate::clock::Alarms;
use crate::clock::Clock;
use crate::clock::Moment;
use crate::downstream::tls::Handshakes;
use crate::http::Buffers;

/// One worker's tools, cheap to clone.
#[derive(Clone, Default)]
pub struct Tools {
    /// Time.
    pub clock: Clock,
    /// Deadlines.
    pub alarms: Alarms,
    /// Spare buffers.
    pub buffers: Buffers,
    /// Whether the worker is about to leave.
    pub drain: Drain,
    /// The `Date` field's value.
    pub date: DateCache,
    /// TLS handshakes take turns.
    pub handshakes: Handshakes,
}

/// The word to leave: announced, each answer is its connection's last; begun, idle connections close at once too.
#[derive(Clone, Default)]
pub struct Drain(Rc<Signal>);

#[derive(Default)]
struct Signal {
    announced: Cell<bool>,
    on: Cell<bool>,
    waiting: RefCell<Slab<Waker>>,
}

impl Drain {
    /// From now on answers close their connection; those that are idle may still ask once.
    pub fn announce(&self) {
        self.0.announced.set(true);
    }

    /// Gives the word; it is never taken back.
    pub fn begin(&self) {
        self.announce();
        self.0.on.set(true);
        for waker in self.0.waiting.borrow_mut().drain() {
            waker.wake();
        }
    }

    /// Whether answers close their connection.
    pub fn is_announced(&self) -> bool {
        self.0.announced.get()
    }

    /// Ready once the word is given; until then the waker is kept under `seat`.
    pub(crate) fn poll(&self, seat: &mut Seat, cx: &mut Context<'_>) -> Poll<()> {
        if self.0.on.get() {
            return Poll::Ready(());
        }
        let mut waiting = self.0.waiting.borrow_mut();
        match seat.key.and_then(|key| waiting.get_mut(key)) {
            Some(waker) => waker.clone_from(cx.waker()),
            None => *seat = Seat { key: Some(waiting.insert(cx.waker().clone())), drain: Some(self.clone()) },
        }
        Poll::Pending
    }
}

/// A connection's place among those that wait for the word.
#[derive(Default)]
pub(crate) struct Seat {
    key: Option<usize>,
    drain: Option<Drain>,
}

impl Drop for Seat {
    fn drop(&mut self) {
        if let (Some(key), Some(drain)) = (self.key, &self.drain) {
            drain.0.waiting.borrow_mut().try_remove(key);
        }
    }
}

/// The value of `Date` (RFC 9110 §6.6.1), made once a second.
#[derive(Clone, Default)]
pub struct DateCache(Rc<RefCell<Dated>>);

#[derive(Default)]
struct Dated {
    /// The second it holds for.
    while_in: Range<Moment>,
    value: Bytes,
}

impl DateCache {
    /// Appends the field line for the second that `clock` shows.
    pub(crate) fn write(&self, out: &mut Vec<u8>, clock: &Clock) {
        self.renew(clock);
        out.extend_from_slice(b"date: ");
        out.extend_from_slice(&self.0.borrow().value);
        out.extend_from_slice(b"\r\n");
    }

    /// The value for that second.
    pub(crate) fn value(&self, clock: &Clock) -> Bytes {
        self.renew(clock);
        self.0.borrow().value.clone()
    }

    fn renew(&self, clock: &Clock) {
        if self.0.borrow().while_in.contains(&clock.turn()) {
            return;
        }
        let (now, unix) = (clock.now(), clock.unix());
        let second = unix.as_secs();
        let time = i64::try_from(second).ok().and_then(|second| jiff::Timestamp::from_second(second).ok());
        let time = time.unwrap_or(jiff::Timestamp::UNIX_EPOCH);
        let rest = Duration::from_secs(1) - Duration::from_nanos(unix.subsec_nanos().into());
        *self.0.borrow_mut() = Dated {
            while_in: now..now.after(rest),
            value: Bytes::from(time.strftime("%a, %d %b %Y %H:%M:%S GMT").to_string()),
        };
    }
}
