//! What is remembered of one key and one rate; it says what was used, not what is left, so that a rate may change.

use std::time::Duration;

use super::Config;
use super::Decision;
use super::Now;
use super::Window;
use super::calendar;
use super::log::Log;
use crate::primitive::rate::Rate;

/// Times are nanoseconds of the clock, in calendars of the wall.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) enum State {
    /// Nothing was used.
    #[default]
    Unused,
    /// What flows out of the bucket evenly: how much is in it, and since when that is so.
    Bucket { used: f64, since: u64 },
    /// A sliding window with uses of one instant.
    Once { at: u64, used: u64 },
    /// A sliding window with more.
    Sliding(Log),
    /// Uses since the window began.
    Fixed { begin: u64, used: u64 },
    /// Uses in the window that began then.
    Calendar { begin: u64, used: u64 },
}

/// One rate, now.
pub(super) struct Terms {
    window: Window,
    /// The count, or the burst of a bucket.
    pub(super) limit: u64,
    /// Nanoseconds.
    period: u64,
    /// Uses a nanosecond.
    flow: f64,
    now: u64,
    unix: u64,
    /// The calendar's window.
    begin: u64,
    end: u64,
}

impl Terms {
    pub(super) fn of(rate: &Rate, config: &Config, now: Now) -> Self {
        let (begin, end) = match config.window {
            Window::Calendar => calendar::window(rate, now.unix),
            _ => (Duration::ZERO, Duration::ZERO),
        };
        let period = nanos(rate.period());
        Self {
            window: config.window,
            limit: if config.window == Window::Bucket { config.burst.unwrap_or(rate.count).max(1) } else { rate.count },
            flow: rate.count as f64 / period as f64,
            period,
            now: now.moment.0,
            unix: nanos(now.unix),
            begin: nanos(begin),
            end: nanos(end),
        }
    }

    /// Until all of a limit that was used up is there again: what a policy's `w` says.
    pub(super) fn span(&self) -> Duration {
        match self.window {
            Window::Bucket => self.time_for(self.limit as f64),
            Window::Calendar => Duration::from_nanos(self.end.saturating_sub(self.begin)),
            Window::Sliding | Window::Fixed => Duration::from_nanos(self.period),
        }
    }

    /// How long `amount` takes to flow out; rounded up, so that whoever waits that long finds room.
    fn time_for(&self, amount: f64) -> Duration {
        Duration::from_nanos((amount.max(0.0) / self.flow).ceil() as u64)
    }

    fn until(&self, at: u64) -> Duration {
        Duration::from_nanos(at.saturating_sub(self.now))
    }
}

impl State {
    /// Forgets what is over; becomes the state of another kind of window when the limit has changed.
    pub(super) fn settle(&mut self, terms: &Terms) {
        let now = terms.now;
        match (&mut *self, terms.window) {
            (Self::Bucket { used, since }, Window::Bucket) => {
                let flown = now.saturating_sub(*since) as f64 * terms.flow;
                (*used, *since) = ((*used - flown).max(0.0), now.max(*since));
            }
            (Self::Once { at, used }, Window::Sliding) => {
                if now.saturating_sub(*at) >= terms.period {
                    *used = 0;
                }
            }
            (Self::Sliding(log), Window::Sliding) => {
                log.settle(now, terms.period);
                if let [(at, used)] = *log.uses() {
                    *self = Self::Once { at, used };
                } else if log.len() == 0 {
                    *self = Self::Once { at: now, used: 0 };
                }
            }
            (Self::Fixed { begin, used }, Window::Fixed) => {
                if now.saturating_sub(*begin) >= terms.period {
                    (*begin, *used) = (now, 0);
                }
            }
            (Self::Calendar { begin, used }, Window::Calendar) => {
                // A clock set back does not give a window twice; one of another length holds what it overlaps.
                if terms.begin > *begin {
                    (*begin, *used) = (terms.begin, 0);
                }
            }
            (_, window) => {
                let used = self.used();
                *self = match window {
                    Window::Bucket => Self::Bucket { used: used as f64, since: now },
                    Window::Sliding => Self::Once { at: now, used },
                    Window::Fixed => Self::Fixed { begin: now, used },
                    Window::Calendar => Self::Calendar { begin: terms.begin, used },
                };
            }
        }
    }

    /// `room`: how many uses of a sliding window are told apart.
    pub(super) fn charge(&mut self, terms: &Terms, cost: u64, room: usize) {
        if cost == 0 {
            return;
        }
        match self {
            Self::Unused => {}
            Self::Bucket { used, .. } => *used += cost as f64,
            Self::Fixed { used, .. } | Self::Calendar { used, .. } => *used = used.saturating_add(cost),
            Self::Once { at, used } if *used == 0 || *at >= terms.now => {
                (*at, *used) = (terms.now.max(*at), used.saturating_add(cost));
            }
            Self::Once { at, used } => {
                let mut log = Log::with([(*at, *used)]);
                log.push(terms.now, cost, terms.period, room);
                *self = Self::Sliding(log);
            }
            Self::Sliding(log) => log.push(terms.now, cost, terms.period, room),
        }
    }

    /// How many uses it tells apart beyond the first.
    pub(super) fn entries(&self) -> usize {
        if let Self::Sliding(log) = self { log.len() } else { 0 }
    }

    /// Whether there is room for `cost`; charges nothing.
    pub(super) fn decide(&self, terms: &Terms, cost: u64) -> Decision {
        let (limit, used) = (terms.limit, self.used());
        let ok = used <= limit && cost <= limit - used;
        let retry_after = if ok { Duration::ZERO } else { self.room_after(terms, cost) };
        Decision { ok, limit, left: limit.saturating_sub(used), reset: self.empty_after(terms), retry_after }
    }

    /// Whole uses; a bucket that has begun to flow out holds the use still.
    pub(super) fn used(&self) -> u64 {
        match self {
            Self::Unused => 0,
            Self::Bucket { used, .. } => (*used - DUST).max(0.0).ceil() as u64,
            Self::Sliding(log) => log.total(),
            Self::Once { used, .. } | Self::Fixed { used, .. } | Self::Calendar { used, .. } => *used,
        }
    }

    fn empty_after(&self, terms: &Terms) -> Duration {
        match self {
            Self::Bucket { used, .. } => terms.time_for(*used),
            Self::Sliding(log) => terms.until(log.gone_at(u64::MAX, terms.period)),
            Self::Unused
            | Self::Once { used: 0, .. }
            | Self::Fixed { used: 0, .. }
            | Self::Calendar { used: 0, .. } => Duration::ZERO,
            Self::Once { at: begin, .. } | Self::Fixed { begin, .. } => terms.until(begin.saturating_add(terms.period)),
            // Of a window ahead, seen by a clock that was set back, the end of the present one is the nearest guess.
            Self::Calendar { .. } => Duration::from_nanos(terms.end.saturating_sub(terms.unix)),
        }
    }

    /// When `cost` would find room if nothing else came; a cost above the limit waits until all is there.
    fn room_after(&self, terms: &Terms, cost: u64) -> Duration {
        let cost = cost.min(terms.limit);
        match self {
            Self::Bucket { used, .. } => terms.time_for(*used + cost as f64 - terms.limit as f64),
            Self::Sliding(log) => {
                let over = log.total().saturating_add(cost).saturating_sub(terms.limit);
                terms.until(log.gone_at(over, terms.period))
            }
            _ => self.empty_after(terms),
        }
    }
}

fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

/// What arithmetic on floats may leave over.
const DUST: f64 = 1e-6;

const _: () = assert!(size_of::<State>() == 24, "a million keys must fit");
