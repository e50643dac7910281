//! Rate limits: how often something may happen per key, counted exactly, in bounded memory.

mod calendar;
mod decide;
mod key;
mod log;
pub mod name;
mod save;
mod shard;
mod state;
mod terms;

use std::net::IpAddr;
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use parking_lot::Mutex;
use serde::Deserialize;
use serde::Serialize;

use crate::clock::Clock;
use crate::clock::Moment;
use crate::primitive::rate::Rate;
pub use decide::Ask;
pub use decide::Verdict;
pub use decide::check;
pub use key::Key;
use key::Secret;
pub use save::Saved;
use shard::Shard;
pub use terms::Count;

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
    shards: Box<[Mutex<Shard>]>,
    secret: Secret,
}

impl Default for Config {
    fn default() -> Self {
        Self { rates: Vec::new(), window: Window::default(), burst: None, keys: 1_000_000 }
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
        Self::with_secret(config, key::secret())
    }

    /// The same with the secret of counters that were kept.
    pub fn with_secret(config: Config, secret: [u64; 2]) -> Self {
        let shards = if config.keys >= 64 * SHARDS { SHARDS } else { 1 };
        let rates = config.rates.len();
        Self {
            config: ArcSwap::from_pointee(config),
            shards: (0..shards).map(|_| Mutex::new(Shard::new(rates))).collect(),
            secret,
        }
    }

    /// Other rates from now on; what was used stays used.
    pub fn configure(&self, config: Config) {
        let rates = config.rates.len();
        self.config.store(Arc::new(config));
        self.shards.iter().for_each(|shard| shard.lock().reshape(rates));
    }

    /// Its rates now.
    pub fn config(&self) -> Arc<Config> {
        self.config.load_full()
    }

    /// The key that a text stands for. A text that is an address stands for the client there.
    pub fn key(&self, name: &[u8]) -> Key {
        match address(name) {
            Some(address) => self.client(address),
            None => self.value(name),
        }
    }

    /// The key of some value of a request, which a client may have chosen: it never meets an address.
    pub fn value(&self, name: &[u8]) -> Key {
        Key::of(&self.secret, 0, name)
    }

    /// The key of a client: its address, of IPv6 the first 64 bits.
    pub fn client(&self, address: IpAddr) -> Key {
        match address.to_canonical() {
            IpAddr::V4(address) => Key::of(&self.secret, CLIENT, &address.octets()),
            IpAddr::V6(address) => Key::of(&self.secret, CLIENT, &address.octets()[..8]),
        }
    }

    /// The key of clients without an address, those of a Unix socket.
    pub fn nobody(&self) -> Key {
        self.client(Ipv4Addr::UNSPECIFIED.into())
    }

    /// Charges `cost` to `key` if every rate has room for it, else nothing.
    pub fn check(&self, key: &str, cost: u64, now: Now) -> Decision {
        check(&[self.ask(key, cost)], now).tightest()
    }

    /// What [`Limiter::check`] would say, charging nothing.
    pub fn peek(&self, key: &str, cost: u64, now: Now) -> Decision {
        decide::peek(&self.ask(key, cost), now).tightest()
    }

    /// Charges `cost` whether there is room or not: what is known only afterwards.
    pub fn debit(&self, key: &str, cost: u64, now: Now) -> Decision {
        decide::debit(&self.ask(key, cost), now).tightest()
    }

    fn ask(&self, key: &str, cost: u64) -> Ask<'_> {
        Ask { limiter: self, key: self.key(key.as_bytes()), cost, need: cost, config: None }
    }

    /// Forgets what was charged to `key`.
    pub fn reset(&self, key: &str) {
        self.forget(self.key(key.as_bytes()));
    }

    /// The same of a key.
    pub fn forget(&self, key: Key) {
        self.shard(key).lock().remove(key);
    }

    /// At least so much of each rate (of `config`, else its own) is used: others did it.
    pub fn learn(&self, key: Key, used: &[u64], config: Option<&Config>, now: Now) {
        decide::learn(&Ask { limiter: self, key, cost: 0, need: 0, config }, used, now);
    }

    /// How many keys are remembered, for metrics.
    pub fn len(&self) -> usize {
        self.shards.iter().map(|shard| shard.lock().len()).sum()
    }

    /// Whether no key is remembered.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    #[allow(clippy::cast_possible_truncation, reason = "any bits of the key will do")]
    fn shard(&self, key: Key) -> &Mutex<Shard> {
        &self.shards[key.0 as usize % self.shards.len()]
    }
}

const SHARDS: usize = 64;
/// The kind of keys that are addresses.
const CLIENT: u64 = 1;

/// The address that a text is, if it is one.
fn address(text: &[u8]) -> Option<IpAddr> {
    let may_be = text.len() <= 45 && text.iter().all(|byte| byte.is_ascii_hexdigit() || matches!(byte, b'.' | b':'));
    if may_be { std::str::from_utf8(text).ok()?.parse().ok() } else { None }
}

#[cfg(test)]
mod tests;
