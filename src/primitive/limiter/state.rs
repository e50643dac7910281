//! What is remembered of one key and one rate; it says what was used, not what is left, so that a rate may change.

use std::collections::VecDeque;
use std::time::Duration;

use super::Config;
use super::Decision;
use super::Now;
use super::Window;
use super::calendar;
use crate::clock::Moment;
use crate::primitive::rate::Rate;

#[derive(Clone, Debug, Default)]
pub(super) enum State {
    /// Nothing was used.
    #[default]
    Unused,
    /// What flows out of the bucket evenly: how much is in it, and since when that is so.
    Bucket { used: f64, since: Moment },
    /// Uses in the order made, near ones joined: (first, last, count).
    Sliding { uses: VecDeque<(Moment, Moment, u64)>, used: u64 },
    /// Uses since the window began.
    Fixed { begin: Moment, used: u64 },
    /// Uses in the window that begins and ends then.
    Calendar { begin: Duration, end: Duration, used: u64 },
}

impl State {
    /// Forgets what is over; becomes the state of another kind of window when the limit has changed.
    pub(super) fn settle(&mut self, rate: &Rate, config: &Config, now: Now) {
        self.become_kind(rate, config.window, now);
        let period = rate.period();
        match self {
            Self::Unused => {}
            Self::Bucket { used, since } => {
                let flown = now.moment.since(*since).as_secs_f64() * per_second(rate);
                (*used, *since) = ((*used - flown).max(0.0), now.moment.max(*since));
            }
            Self::Sliding { uses, used } => {
                while let Some((_, last, count)) = uses.front()
                    && now.moment.since(*last) >= period
                {
                    *used = used.saturating_sub(*count);
                    uses.pop_front();
                }
            }
            Self::Fixed { begin, .. } => {
                if now.moment.since(*begin) >= period {
                    *self = Self::Fixed { begin: now.moment, used: 0 };
                }
            }
            Self::Calendar { begin, used, .. } => {
                let (start, end) = calendar::window(rate, now.unix);
                // A clock set back does not give a window twice; one of another length holds what it overlaps.
                let used = if start > *begin { 0 } else { *used };
                *self = Self::Calendar { begin: start.max(*begin), end, used };
            }
        }
    }

    pub(super) fn charge(&mut self, rate: &Rate, cost: u64, now: Now) {
        match self {
            Self::Unused => {}
            Self::Bucket { used, .. } => *used += cost as f64,
            Self::Fixed { used, .. } | Self::Calendar { used, .. } => *used = used.saturating_add(cost),
            Self::Sliding { uses, used } if cost > 0 => {
                let near = rate.period() / GRAINS;
                match uses.back_mut() {
                    Some((first, last, count)) if now.moment.since(*first) < near => {
                        (*last, *count) = (now.moment, count.saturating_add(cost));
                    }
                    _ => uses.push_back((now.moment, now.moment, cost)),
                }
                *used = used.saturating_add(cost);
            }
            Self::Sliding { .. } => {}
        }
    }

    /// Whether there is room for `cost`; charges nothing.
    pub(super) fn decide(&self, rate: &Rate, config: &Config, cost: u64, now: Now) -> Decision {
        let limit = match config.window {
            Window::Bucket => config.burst.unwrap_or(rate.count).max(1),
            _ => rate.count,
        };
        let used = self.used();
        let ok = used <= limit && cost <= limit - used;
        let retry_after = if ok { Duration::ZERO } else { self.room_after(rate, limit, cost, now) };
        Decision { ok, limit, left: limit.saturating_sub(used), reset: self.empty_after(rate, now), retry_after }
    }

    /// Whole uses; a bucket that has begun to flow out holds the use still.
    fn used(&self) -> u64 {
        match self {
            Self::Unused => 0,
            Self::Bucket { used, .. } => (*used - DUST).max(0.0).ceil() as u64,
            Self::Sliding { used, .. } | Self::Fixed { used, .. } | Self::Calendar { used, .. } => *used,
        }
    }

    fn empty_after(&self, rate: &Rate, now: Now) -> Duration {
        match self {
            Self::Unused => Duration::ZERO,
            Self::Bucket { used, .. } => time_for(*used, rate),
            Self::Sliding { uses, .. } => uses.back().map_or(Duration::ZERO, |(_, last, _)| until(*last, rate, now)),
            Self::Fixed { used: 0, .. } | Self::Calendar { used: 0, .. } => Duration::ZERO,
            Self::Fixed { begin, .. } => until(*begin, rate, now),
            Self::Calendar { end, .. } => end.saturating_sub(now.unix),
        }
    }

    /// When `cost` would find room if nothing else came; a cost above the limit waits until all is there.
    fn room_after(&self, rate: &Rate, limit: u64, cost: u64, now: Now) -> Duration {
        let cost = cost.min(limit);
        match self {
            Self::Bucket { used, .. } => time_for(*used + cost as f64 - limit as f64, rate),
            Self::Sliding { uses, used } => {
                let mut over = (used.saturating_add(cost)).saturating_sub(limit);
                let leaving = uses.iter().find(|(_, _, count)| {
                    over = over.saturating_sub(*count);
                    over == 0
                });
                leaving.map_or(Duration::ZERO, |(_, last, _)| until(*last, rate, now))
            }
            _ => self.empty_after(rate, now),
        }
    }

    /// Takes over what was used when the kind of window was changed.
    fn become_kind(&mut self, rate: &Rate, window: Window, now: Now) {
        let same = matches!(
            (&*self, window),
            (Self::Bucket { .. }, Window::Bucket)
                | (Self::Sliding { .. }, Window::Sliding)
                | (Self::Fixed { .. }, Window::Fixed)
                | (Self::Calendar { .. }, Window::Calendar)
        );
        if same {
            return;
        }
        let used = self.used();
        *self = match window {
            Window::Bucket => Self::Bucket { used: used as f64, since: now.moment },
            Window::Sliding => {
                let uses = (used > 0).then_some((now.moment, now.moment, used));
                Self::Sliding { uses: uses.into_iter().collect(), used }
            }
            Window::Fixed => Self::Fixed { begin: now.moment, used },
            Window::Calendar => {
                let (begin, end) = calendar::window(rate, now.unix);
                Self::Calendar { begin, end, used }
            }
        };
    }
}

fn per_second(rate: &Rate) -> f64 {
    rate.count as f64 / rate.period().as_secs_f64()
}

/// How long `amount` takes to flow out; rounded up, so that whoever waits that long finds room.
fn time_for(amount: f64, rate: &Rate) -> Duration {
    Duration::from_nanos((amount.max(0.0) / per_second(rate) * 1e9).ceil() as u64)
}

fn until(last: Moment, rate: &Rate, now: Now) -> Duration {
    last.after(rate.period()).since(now.moment)
}

/// Uses nearer than a period over this are remembered as one, which leaves when its last does: never too early.
const GRAINS: u32 = 64;
/// What arithmetic on floats may leave over.
const DUST: f64 = 1e-6;
