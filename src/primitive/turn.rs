//! A place in a line: who waits there is woken when it moves, and leaves it by being dropped.

use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;
use std::task::Waker;

use parking_lot::Mutex;

/// One place; shared by who waits and by who moves the line.
#[derive(Default)]
pub(super) struct Turn {
    /// What the line says: a time, or whether it is granted.
    says: AtomicU64,
    waker: Mutex<Option<Waker>>,
}

impl Turn {
    pub(super) fn new(says: u64) -> Self {
        Self { says: AtomicU64::new(says), waker: Mutex::default() }
    }

    pub(super) fn says(&self) -> u64 {
        self.says.load(Ordering::Acquire)
    }

    /// Says something else, and wakes who waits.
    pub(super) fn say(&self, says: u64) {
        self.says.store(says, Ordering::Release);
        if let Some(waker) = self.waker.lock().take() {
            waker.wake();
        }
    }

    /// Leaves a waker; what is said after this wakes it.
    pub(super) fn watch(&self, waker: &Waker) {
        *self.waker.lock() = Some(waker.clone());
    }
}
