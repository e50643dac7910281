//! Rate limits: how often something may happen per key, counted exactly, in bounded memory.

mod calendar;
mod state;

use std::hash::BuildHasher;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use foldhash::quality::RandomState;
use parking_lot::Mutex;
use serde::Deserialize;
use serde::Serialize;

use crate::clock::Clock;
use crate::clock::Moment;
use crate::lru::Lru;
use crate::primitive::rate::Rate;
use state::State;

/// A limit as declared.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Every one of them must have room.
    pub rates: Vec<Rate>,
    /// How time is counted.
    pub window: Window,
    /// Most at one instant, token bucket only; `None`: the rate's count.
    pub burst: Option<u64>,
    /// Most keys remembered; the least recently used are forgotten.
    pub keys: usize,
}

/// How a limit counts time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Window {
    /// A bucket that fills evenly: the rate holds on average, a burst at once.
    #[default]
    Bucket,
    /// Never more than the count in any stretch of the rate's length.
    Sliding,
    /// A window begins with a key's first use.
    Fixed,
    /// Windows are hours, days, months … of UTC.
    Calendar,
}

/// The time a limit counts with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Now {
    /// Monotonic.
    pub moment: Moment,
    /// Since the Unix epoch, for calendars.
    pub unix: Duration,
}

/// What a limit says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Decision {
    /// Whether there was room.
    pub ok: bool,
    /// The count of the rate this is about (the burst of a bucket): the one exhausted, else the one with least left.
    pub limit: u64,
    /// How many are left of it.
    pub left: u64,
    /// Until all of it is there again.
    pub reset: Duration,
    /// Until there would be room; zero when there was.
    pub retry_after: Duration,
}

/// A limit in force, shared by all workers.
pub struct Limiter {
    config: ArcSwap<Config>,
    shards: Box<[Mutex<Lru<Counters>>]>,
    hasher: RandomState,
}

/// What is known of one key: a state for each rate.
type Counters = Vec<State>;

impl Default for Config {
    fn default() -> Self {
        Self { rates: Vec::new(), window: Window::default(), burst: None, keys: 200_000 }
    }
}

impl Now {
    /// What `clock` shows.
    pub fn of(clock: &Clock) -> Self {
        Self { moment: clock.now(), unix: clock.unix() }
    }
}

impl Limiter {
    /// A limit that nothing was charged to.
    pub fn new(config: Config) -> Self {
        let shards = if config.keys >= 64 * SHARDS { SHARDS } else { 1 };
        Self {
            config: ArcSwap::from_pointee(config),
            shards: (0..shards).map(|_| Mutex::default()).collect(),
            hasher: RandomState::default(),
        }
    }

    /// Other rates from now on; what was used stays used.
    pub fn configure(&self, config: Config) {
        self.config.store(Arc::new(config));
    }

    /// Charges `cost` to `key` if every rate has room for it, else nothing.
    pub fn check(&self, key: &str, cost: u64, now: Now) -> Decision {
        self.with(key, now, |config, counters| {
            let decision = decide(config, counters, cost, now);
            if decision.ok {
                charge(config, counters, cost, now);
                return Decision { ok: true, retry_after: Duration::ZERO, ..decide(config, counters, 0, now) };
            }
            decision
        })
    }

    /// What [`Limiter::check`] would say, charging nothing.
    pub fn peek(&self, key: &str, cost: u64, now: Now) -> Decision {
        let config = self.config.load();
        let shard = self.shard(key).lock();
        let mut counters = shard.peek(key).cloned().unwrap_or_default();
        settle(&config, &mut counters, now);
        decide(&config, &counters, cost, now)
    }

    /// Charges `cost` whether there is room or not: what is known only afterwards.
    pub fn debit(&self, key: &str, cost: u64, now: Now) -> Decision {
        self.with(key, now, |config, counters| {
            charge(config, counters, cost, now);
            decide(config, counters, 0, now)
        })
    }

    /// Forgets what was charged to `key`.
    pub fn reset(&self, key: &str) {
        self.shard(key).lock().remove(key);
    }

    /// How many keys are remembered, for metrics.
    pub fn len(&self) -> usize {
        self.shards.iter().map(|shard| shard.lock().len()).sum()
    }

    /// Whether no key is remembered.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn with<T>(&self, key: &str, now: Now, work: impl FnOnce(&Config, &mut Counters) -> T) -> T {
        let config = self.config.load();
        let mut shard = self.shard(key).lock();
        let counters = shard.get_or_insert_with(key, Counters::new);
        settle(&config, counters, now);
        let result = work(&config, counters);
        // This key is the newest: it stays.
        while shard.len() > (config.keys / self.shards.len()).max(1) {
            shard.pop_oldest();
        }
        result
    }

    #[allow(clippy::cast_possible_truncation, reason = "any bits of the hash will do")]
    fn shard(&self, key: &str) -> &Mutex<Lru<Counters>> {
        &self.shards[self.hasher.hash_one(key) as usize % self.shards.len()]
    }
}

/// Brings a key's states up to date: one for each rate, what is over forgotten.
fn settle(config: &Config, counters: &mut Counters, now: Now) {
    counters.resize_with(config.rates.len(), State::default);
    for (rate, state) in config.rates.iter().zip(counters) {
        state.settle(rate, config, now);
    }
}

fn charge(config: &Config, counters: &mut Counters, cost: u64, now: Now) {
    for (rate, state) in config.rates.iter().zip(counters) {
        state.charge(rate, cost, now);
    }
}

/// The first rate without room speaks, else the one with the smallest share left.
fn decide(config: &Config, counters: &Counters, cost: u64, now: Now) -> Decision {
    let mut tightest: Option<Decision> = None;
    for (rate, state) in config.rates.iter().zip(counters) {
        let decision = state.decide(rate, config, cost, now);
        if !decision.ok {
            return decision;
        }
        let share = |decision: &Decision| (decision.left as f64) / (decision.limit as f64);
        if tightest.as_ref().is_none_or(|known| share(&decision) < share(known)) {
            tightest = Some(decision);
        }
    }
    let unlimited =
        Decision { ok: true, limit: u64::MAX, left: u64::MAX, reset: Duration::ZERO, retry_after: Duration::ZERO };
    tightest.unwrap_or(unlimited)
}

const SHARDS: usize = 64;

#[cfg(test)]
mod tests;
