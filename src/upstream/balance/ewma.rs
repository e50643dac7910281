//! Peak EWMA: what a host's answers took of late. A slow answer counts at once and in full, and fades.

use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;
use std::time::Duration;

use crate::clock::Moment;
use crate::upstream::balance::Candidate;

/// How long it takes a memory to fade to about a third.
const FADE: f64 = 10e9;

/// A host that is busy and has never answered: asked again only when nobody else is free.
const UNKNOWN: f64 = 1e15;

/// What one host's answers took, shared by all workers without a lock: two that answer at the same instant may cost each
/// other a sample.
#[derive(Debug, Default)]
pub struct Latency {
    /// The bits of the average in nanoseconds; 0 before the first answer.
    average: AtomicU64,
    /// When it was noted.
    at: AtomicU64,
}

impl Latency {
    /// An answer took `took`.
    pub fn observe(&self, took: Duration, now: Moment) {
        let took = took.as_nanos() as f64;
        let average = f64::from_bits(self.average.load(Ordering::Relaxed));
        let fade = self.fade(now);
        let next = if took > average * fade { took } else { average * fade + took * (1.0 - fade) };
        self.average.store(next.max(1.0).to_bits(), Ordering::Relaxed);
        self.at.store(now.0, Ordering::Relaxed);
    }

    /// The average now, in nanoseconds: a host that is not asked is forgiven with time. 0 when nothing is known.
    pub fn at(&self, now: Moment) -> f64 {
        let average = f64::from_bits(self.average.load(Ordering::Relaxed));
        if average == 0.0 { 0.0 } else { average * self.fade(now) }
    }

    fn fade(&self, now: Moment) -> f64 {
        let age = now.since(Moment(self.at.load(Ordering::Relaxed)));
        (-(age.as_nanos() as f64) / FADE).exp()
    }
}

/// How long a request to `host` would have to wait: for what is there already, and for itself.
pub(super) fn cost(host: &impl Candidate, now: Moment) -> f64 {
    let (latency, load) = (host.latency(now), f64::from(host.load()));
    if latency == 0.0 && load > 0.0 { UNKNOWN + load } else { latency * (load + 1.0) }
}
