//! How a host is, as far as the gateway knows: seen by all workers, kept for as long as the host itself.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;
use std::time::Duration;

use parking_lot::Mutex;
use serde::Serialize;

use crate::clock::Moment;
use crate::upstream::balance::Latency;
use crate::upstream::eject::Tally;
use crate::upstream::health::Record;

/// Whether a host may be asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Standing {
    /// It may.
    Up,
    /// Its checks say no.
    Down,
    /// It failed too often, and is left alone for a while.
    Ejected,
    /// The while is over: one request may find out.
    HalfOpen,
    /// Taken out by hand; it finishes what it has.
    Drained,
}

/// What is known of one host.
#[derive(Debug, Default)]
pub struct Vitals {
    /// What its answers took.
    pub(crate) latency: Latency,
    /// Its errors of late.
    pub(crate) tally: Tally,
    /// How its checks went.
    pub(crate) record: Mutex<Record>,
    down: AtomicBool,
    drained: AtomicBool,
    /// When it was ejected, and until when it is not asked; 0: it is not.
    ejected: AtomicU64,
    until: AtomicU64,
    /// Since when it takes part, for `slow_start`; 0: from the beginning.
    since: AtomicU64,
    /// Why it is down or ejected.
    reason: Mutex<Option<Arc<str>>>,
}

/// In [`Vitals::since`]: from the next look on.
const FRESH: u64 = u64::MAX;

impl Vitals {
    /// Of a host that joins others which are at work already.
    pub(crate) fn newcomer(&self) {
        self.since.store(FRESH, Ordering::Relaxed);
    }

    /// Whether it may be asked at `now`.
    pub fn standing(&self, now: Moment) -> Standing {
        match self.until.load(Ordering::Acquire) {
            _ if self.drained.load(Ordering::Relaxed) => Standing::Drained,
            _ if self.down.load(Ordering::Relaxed) => Standing::Down,
            0 => Standing::Up,
            until if now < Moment(until) => Standing::Ejected,
            _ => Standing::HalfOpen,
        }
    }

    /// Why it is down or ejected.
    pub fn reason(&self) -> Option<Arc<str>> {
        self.reason.lock().clone().filter(|_| !self.is_well())
    }

    /// When it may be tried again, while it is ejected.
    pub fn until(&self) -> Option<Moment> {
        Some(self.until.load(Ordering::Acquire)).filter(|until| *until > 0).map(Moment)
    }

    /// Neither down nor ejected.
    pub(crate) fn is_well(&self) -> bool {
        !self.down.load(Ordering::Relaxed) && !self.is_ejected()
    }

    pub(crate) fn is_ejected(&self) -> bool {
        self.until.load(Ordering::Acquire) > 0
    }

    pub(crate) fn is_down(&self) -> bool {
        self.down.load(Ordering::Relaxed)
    }

    pub(crate) fn is_drained(&self) -> bool {
        self.drained.load(Ordering::Relaxed)
    }

    /// Whether an attempt begun at `start` began after the host was ejected: what it comes to says how it is now.
    pub(crate) fn is_trial(&self, start: Moment) -> bool {
        self.is_ejected() && start > Moment(self.ejected.load(Ordering::Relaxed))
    }

    /// Leave to try a host whose `cooldown` is over. Who has it holds off everyone else for another one: a trial that
    /// never ends is followed by the next, and never by a crowd.
    pub(crate) fn claim(&self, now: Moment, cooldown: Duration) -> bool {
        let until = self.until.load(Ordering::Acquire);
        let again = now.after(cooldown).0;
        let due = until > 0 && Moment(until) <= now;
        due && self.until.compare_exchange(until, again, Ordering::AcqRel, Ordering::Relaxed).is_ok()
    }

    pub(crate) fn eject(&self, now: Moment, cooldown: Duration, reason: &str) {
        if !self.is_ejected() {
            self.ejected.store(now.0, Ordering::Relaxed);
        }
        self.until.store(now.after(cooldown).0.max(1), Ordering::Release);
        self.explain(reason);
    }

    pub(crate) fn forgive(&self, now: Moment) {
        self.tally.clear();
        self.join(now);
        self.until.store(0, Ordering::Release);
    }

    pub(crate) fn set_down(&self, down: bool, now: Moment, reason: &str) {
        if !down {
            self.join(now);
        }
        self.down.store(down, Ordering::Relaxed);
        self.explain(reason);
    }

    pub(crate) fn set_drained(&self, drained: bool, now: Moment) {
        if !drained {
            self.join(now);
        }
        self.drained.store(drained, Ordering::Relaxed);
    }

    /// How far it has come in, of `slow_start`: from 10 to 100 percent; and when that changes.
    pub(crate) fn ramp(&self, now: Moment, slow_start: Duration) -> (u32, Moment) {
        if self.since.load(Ordering::Relaxed) == FRESH {
            self.join(now);
        }
        let since = self.since.load(Ordering::Relaxed);
        let step = slow_start / STEPS;
        if since == 0 || step.is_zero() {
            return (100, Moment::NEVER);
        }
        let steps = now.since(Moment(since)).as_nanos() / step.as_nanos();
        match u32::try_from(steps) {
            Ok(steps) if steps < STEPS => ((steps + 1) * 100 / STEPS, Moment(since).after(step * (steps + 1))),
            _ => (100, Moment::NEVER),
        }
    }

    /// It takes part from now on.
    fn join(&self, now: Moment) {
        self.since.store(now.0.max(1), Ordering::Relaxed);
    }

    fn explain(&self, reason: &str) {
        *self.reason.lock() = Some(reason.into());
    }
}

/// In how many steps `slow_start` raises the weight.
const STEPS: u32 = 10;
