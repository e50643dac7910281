//! Deadlines by the thousand, at the price of a store.

use std::cell::RefCell;
use std::rc::Rc;
use std::task::Context;
use std::task::Poll;
use std::task::Waker;
use std::time::Duration;

use slab::Slab;

use super::Clock;
use super::Moment;

/// Deadlines that are moved far more often than they are met: one list a worker, looked at every [`Alarms::TICK`].
///
/// Arming, moving and disarming cost a store; only an [`Alarm`] that is polled while nothing else happens leaves a waker.
#[derive(Clone, Default)]
pub struct Alarms(Rc<RefCell<Slab<Entry>>>);

struct Entry {
    due: Moment,
    waker: Option<Waker>,
}

impl Alarms {
    /// How often the list is looked at; an alarm is late by at most this.
    pub const TICK: Duration = Duration::from_millis(100);

    /// An alarm of its own, not armed.
    pub fn alarm(&self, clock: &Clock) -> Alarm {
        let key = self.0.borrow_mut().insert(Entry { due: Moment::NEVER, waker: None });
        Alarm { alarms: self.clone(), clock: clock.clone(), key }
    }

    /// Wakes whoever waits on an alarm that is due.
    pub fn tick(&self, now: Moment) {
        for (_, entry) in &mut *self.0.borrow_mut() {
            if entry.due <= now
                && let Some(waker) = entry.waker.take()
            {
                waker.wake();
            }
        }
    }

    /// When the next alarm is due that somebody waits for.
    pub fn next_due(&self) -> Option<Moment> {
        let alarms = self.0.borrow();
        let waited = alarms.iter().filter(|(_, entry)| entry.waker.is_some() && entry.due != Moment::NEVER);
        waited.map(|(_, entry)| entry.due).min()
    }
}

/// One deadline in a list of [`Alarms`].
pub struct Alarm {
    alarms: Alarms,
    clock: Clock,
    key: usize,
}

impl Alarm {
    /// Due at `due` from now on; [`Moment::NEVER`] disarms.
    #[inline]
    pub fn set(&self, due: Moment) {
        self.alarms.0.borrow_mut()[self.key].due = due;
    }

    /// Due `wait` from now.
    #[inline]
    pub fn set_after(&self, wait: Duration) {
        self.set(self.clock.turn().after(wait));
    }

    /// Due `wait` from now, unless it is armed already.
    #[inline]
    pub fn arm(&self, wait: Duration) {
        if self.alarms.0.borrow()[self.key].due == Moment::NEVER {
            self.set_after(wait);
        }
    }

    /// The clock it goes by.
    pub fn clock(&self) -> &Clock {
        &self.clock
    }

    /// Ready once the deadline has passed; leaves the waker otherwise.
    ///
    /// As long as a waker lies there, [`Alarms::tick`] has not found it due: the clock need not be asked.
    pub fn poll(&self, cx: &mut Context<'_>) -> Poll<()> {
        let entry = &mut self.alarms.0.borrow_mut()[self.key];
        match &mut entry.waker {
            Some(waker) => waker.clone_from(cx.waker()),
            empty if entry.due > self.clock.now() => *empty = Some(cx.waker().clone()),
            _ => return Poll::Ready(()),
        }
        Poll::Pending
    }

    /// Leaves the waker, to be woken when the deadline has passed: for one that was set just now, and so is not due.
    pub fn watch(&self, cx: &Context<'_>) {
        match &mut self.alarms.0.borrow_mut()[self.key].waker {
            Some(waker) => waker.clone_from(cx.waker()),
            empty => *empty = Some(cx.waker().clone()),
        }
    }
}

impl Drop for Alarm {
    fn drop(&mut self) {
        self.alarms.0.borrow_mut().remove(self.key);
    }
}
