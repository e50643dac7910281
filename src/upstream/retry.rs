//! Whether a request that failed is sent again: pure, with chance as a parameter.

use std::sync::atomic::AtomicU32;
use std::sync::atomic::Ordering;
use std::time::Duration;

use crate::http::Headers;
use crate::http::date;
use crate::upstream::Retry;
use crate::upstream::balance::fraction;

/// What went wrong with an attempt, as far as another one is concerned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Setback {
    /// No connection: no byte of the request left.
    Connect,
    /// The connection was dead before any byte was accepted; it had been used before.
    Unsent,
    /// A connection used before died before any byte of the answer.
    Reset,
    /// A fresh one did, perhaps of the request.
    Died,
    /// There was no answer in time.
    Late,
    /// The answer has a status that asks for another attempt.
    Status(u16),
}

/// What a request allows.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Standing {
    /// Sending it twice has the effect of sending it once.
    pub(crate) repeatable: bool,
    /// All of its body that was used is still at hand.
    pub(crate) replayable: bool,
    /// Attempts that count against `retry.times`, the failed one included.
    pub(crate) spent: u32,
    /// A transparent repeat was used already.
    pub(crate) resent: bool,
}

/// What comes next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Next {
    /// The failure or the answer stands.
    Stop,
    /// On a fresh connection, at once and free: the request never left.
    Resend,
    /// Another attempt, at another host if there is one.
    Elsewhere {
        /// It puts load on services and is paid from the budget.
        paid: bool,
    },
    /// Another attempt on a fresh connection, at another host if there is one; at once in any case.
    Again,
    /// Another attempt at another host, or none: what may have killed or stalled a host is not sent to it again.
    Aside,
}

/// The rule: what never left goes to anyone; what may have arrived is repeated only when that is harmless or allowed.
pub(crate) fn next(policy: &Retry, setback: Setback, standing: Standing) -> Next {
    let more = standing.spent <= policy.times && standing.replayable;
    match setback {
        Setback::Unsent if standing.replayable && !standing.resent => Next::Resend,
        Setback::Connect if more && policy.on_connect => Next::Elsewhere { paid: false },
        Setback::Unsent if more && policy.on_connect => Next::Elsewhere { paid: false },
        Setback::Reset if more && policy.on_reset && (standing.repeatable || policy.is_unsafe) => Next::Again,
        Setback::Died if more && policy.on_reset && standing.repeatable => Next::Aside,
        Setback::Late if more && policy.on_timeout && standing.repeatable => Next::Aside,
        Setback::Status(status) if more && standing.repeatable && policy.on_status.contains(&status) => {
            Next::Elsewhere { paid: true }
        }
        _ => Next::Stop,
    }
}

/// For how many seconds a host wants to be left alone (`Retry-After`, RFC 9110 §10.2.3: seconds or a date); 0 where it
/// says nothing sensible.
pub(crate) fn retry_after(headers: &Headers, unix: impl FnOnce() -> Duration) -> u32 {
    let Some(value) = headers.get("retry-after") else { return 0 };
    if let Some(seconds) = std::str::from_utf8(value).ok().and_then(|text| text.trim().parse().ok()) {
        return seconds;
    }
    let now = unix().as_secs();
    let wait = date::parse(value, now).map_or(0, |then| then.saturating_sub(now));
    u32::try_from(wait).unwrap_or(u32::MAX)
}

/// The wait before the `nth` retry, from 1: doubled each time up to the largest, and jittered down to half.
pub(crate) fn backoff(policy: &Retry, nth: u32, chance: u64) -> Duration {
    let (least, most) = policy.backoff;
    let doubled = least.saturating_mul(1 << nth.saturating_sub(1).min(16)).min(most);
    doubled / 2 + (doubled / 2).mul_f64(fraction(chance))
}

/// Retries as a share of requests: each request earns a part of a retry, up to a bound, so that a service in trouble is
/// not asked much more often than in good times. One for all workers, in thousandths of a retry.
#[derive(Debug)]
pub(crate) struct Budget(AtomicU32);

impl Budget {
    /// What a quiet upstream may spend at once.
    const RESERVE: u32 = 10 * ONE;
    /// The most that is saved up.
    const MOST: u32 = 100 * ONE;

    pub(crate) fn new() -> Self {
        Self(AtomicU32::new(Self::RESERVE))
    }

    /// A request came. In good times the account is full, and nothing is written.
    pub(crate) fn earn(&self, share: f64) {
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a share lies between 0 and 1")]
        let earned = (share * f64::from(ONE)) as u32;
        let saved = self.0.load(Ordering::Relaxed);
        if saved < Self::MOST {
            // A request of another worker that is lost in between is made up for by the next.
            let full = (saved + earned).min(Self::MOST);
            let _ = self.0.compare_exchange(saved, full, Ordering::Relaxed, Ordering::Relaxed);
        }
    }

    /// Pays for a retry, if there is enough.
    pub(crate) fn spend(&self) -> bool {
        self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |saved| saved.checked_sub(ONE)).is_ok()
    }
}

/// A whole retry.
const ONE: u32 = 1000;

#[cfg(test)]
mod tests;
