//! Passive ejection: a host that fails the requests themselves is left alone for a while.

use std::sync::atomic::AtomicU32;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;
use std::time::Duration;

use serde::Deserialize;
use serde::Serialize;

use crate::clock::Moment;
use crate::upstream::SendError;
use crate::upstream::Timeouts;

/// When a host is ejected, and for how long.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Eject {
    /// After so many errors in a row, none longer ago than `within`; default 5.
    pub errors: Option<u32>,
    /// After this share of errors, 0..=1, among the requests of `within`.
    pub ratio: Option<f64>,
    /// Fewest requests that `ratio` is judged by; default 20.
    pub sample: u32,
    /// How far back errors count; default 10 s.
    pub within: Duration,
    /// How long it is left alone before one request tries it again; default 30 s.
    pub cooldown: Duration,
    /// Most hosts that are ejected at a time, as a share of all; default 0.5. One may always be.
    pub most: f64,
}

impl Default for Eject {
    fn default() -> Self {
        Self {
            errors: Some(5),
            ratio: None,
            sample: 20,
            within: Duration::from_secs(10),
            cooldown: Duration::from_secs(30),
            most: 0.5,
        }
    }
}

impl Eject {
    /// How many of `hosts` may be ejected at a time.
    pub(crate) fn most_of(&self, hosts: usize) -> usize {
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a share of a count")]
        let share = (self.most * hosts as f64 + 1e-9).floor() as usize;
        share.max(1)
    }
}

/// What an attempt says about its host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Said {
    /// It works.
    Well,
    /// It does not.
    Ill,
}

/// A host that had less time than this is not judged by being late.
const FAIR: Duration = Duration::from_secs(1);

impl Said {
    /// What a failed attempt counts for where hosts are chosen by how long they take.
    pub(crate) const PRICE: Duration = Duration::from_secs(1);

    /// By an answer's status: the host's own failures and those of what stands behind it.
    pub(crate) fn status(status: u16) -> Self {
        if matches!(status, 500 | 502..=504) { Self::Ill } else { Self::Well }
    }

    /// By the failure of an attempt that had lasted `took`. What is our own doing or the client's says nothing, and so
    /// does a connection that was closed while idle.
    pub(crate) fn error(error: &SendError, took: Duration, timeouts: &Timeouts) -> Option<Self> {
        let late = |limit: Duration| (took >= limit.min(FAIR)).then_some(Self::Ill);
        match error {
            SendError::Connect { .. } | SendError::Tls { .. } | SendError::Protocol { .. } => Some(Self::Ill),
            SendError::Reset { reused, .. } => (!reused).then_some(Self::Ill),
            SendError::Timeout { phase: "connection", .. } => late(timeouts.connect),
            SendError::Timeout { phase: "answer", .. } => late(timeouts.response),
            _ => None,
        }
    }
}

/// A host's errors of late, counted by all workers without a lock: at the turn of a window a few may be lost.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    row: AtomicU32,
    row_began: AtomicU64,
    window_began: AtomicU64,
    all: AtomicU32,
    ill: AtomicU32,
}

impl Tally {
    /// Counts an attempt; the reason to eject the host, if there is one now.
    pub(crate) fn count(&self, rule: &Eject, said: Said, now: Moment) -> Option<String> {
        let row = rule.errors.and_then(|most| self.in_a_row(most, rule.within, said, now));
        let share = rule.ratio.and_then(|most| self.share(most, rule, said, now));
        row.or(share)
    }

    pub(crate) fn clear(&self) {
        for count in [&self.row, &self.all, &self.ill] {
            count.store(0, Ordering::Relaxed);
        }
    }

    fn in_a_row(&self, most: u32, within: Duration, said: Said, now: Moment) -> Option<String> {
        let before = self.row.load(Ordering::Relaxed);
        if said == Said::Well {
            // in good times nothing is written
            if before > 0 {
                self.row.store(0, Ordering::Relaxed);
            }
            return None;
        }
        let began = Moment(self.row_began.load(Ordering::Relaxed));
        let row = if before == 0 || now.since(began) > within {
            self.row_began.store(now.0, Ordering::Relaxed);
            self.row.store(1, Ordering::Relaxed);
            1
        } else {
            self.row.fetch_add(1, Ordering::Relaxed) + 1
        };
        (row >= most).then(|| if row == 1 { "an error".to_owned() } else { format!("{row} errors in a row") })
    }

    fn share(&self, most: f64, rule: &Eject, said: Said, now: Moment) -> Option<String> {
        if now.since(Moment(self.window_began.load(Ordering::Relaxed))) >= rule.within {
            self.window_began.store(now.0, Ordering::Relaxed);
            self.all.store(0, Ordering::Relaxed);
            self.ill.store(0, Ordering::Relaxed);
        }
        let all = self.all.fetch_add(1, Ordering::Relaxed) + 1;
        if said == Said::Well {
            return None;
        }
        let ill = self.ill.fetch_add(1, Ordering::Relaxed) + 1;
        let over = all >= rule.sample && f64::from(ill) >= most * f64::from(all);
        over.then(|| format!("{ill} of {all} requests failed"))
    }
}

#[cfg(test)]
mod tests;
