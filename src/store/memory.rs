//! A store in memory: sharded, bounded in bytes, each value with its time to live.

use std::collections::HashSet;
use std::hash::BuildHasher;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;
use std::time::Duration;

use arc_swap::ArcSwap;
use foldhash::quality::RandomState;
use parking_lot::Mutex;

use crate::clock::Moment;
use crate::lru::Lru;
use crate::store::Config;
use crate::store::Hub;
use crate::store::Value;
use crate::store::redis::Fault;

/// A store that all workers share.
pub struct Memory {
    config: ArcSwap<Config>,
    shards: Box<[Mutex<Shard>]>,
    hasher: RandomState,
    versions: AtomicU64,
    hub: Hub,
}

#[derive(Default)]
struct Shard {
    entries: Lru<Entry>,
    bytes: usize,
    /// Keys that changed since they were saved; `None` when nobody saves them.
    changed: Option<HashSet<String>>,
}

struct Entry {
    value: Value,
    /// [`Moment::NEVER`]: until it is evicted.
    due: Moment,
    /// Different after each change.
    version: u64,
}

/// What a store cannot do.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// The value does not fit.
    #[error("a value of {size} bytes does not fit; this store takes values of up to {most} bytes")]
    TooLarge {
        /// Its size, with key and overhead.
        size: usize,
        /// The largest that fits.
        most: usize,
    },
    /// `incr` of something that is no number.
    #[error("the value of `{0}` is no number")]
    NotANumber(String),
    /// `update` lost against others again and again.
    #[error("`{0}` is changed by others all the time")]
    Contended(String),
    /// The store is outside the process, and was not reached.
    #[error(transparent)]
    Remote(#[from] Fault),
}

/// What a function of [`Memory::update`] makes of a value.
#[derive(Clone, Debug, PartialEq)]
pub enum Change {
    /// Leave it.
    Keep,
    /// Put this.
    Set(Value),
    /// Take it out.
    Delete,
}

impl Memory {
    /// A store without values.
    pub fn new(config: Config) -> Self {
        let shards = (config.max / SHARD).clamp(1, MOST_SHARDS);
        Self {
            config: ArcSwap::from_pointee(config),
            shards: (0..shards).map(|_| Mutex::default()).collect(),
            hasher: RandomState::default(),
            versions: AtomicU64::new(1),
            hub: Hub::default(),
        }
    }

    /// Another bound or time to live; the values stay, as far as they fit.
    pub fn configure(&self, config: Config) {
        self.config.store(Arc::new(config));
        let most = self.most();
        for shard in &self.shards {
            shard.lock().shrink(most, Moment::default());
        }
    }

    /// The value of `key`.
    pub fn get(&self, key: &str, now: Moment) -> Option<Value> {
        self.read(key, now).map(|(value, _)| value)
    }

    /// Puts a value; `ttl` instead of the store's.
    pub fn set(&self, key: &str, value: Value, ttl: Option<Duration>, now: Moment) -> Result<(), StoreError> {
        self.put(&mut self.shard(key).lock(), key, value, self.due(ttl, now), now)
    }

    /// Adds to a number, 0 when there is none, and returns the sum. `ttl` counts from when the number began.
    pub fn incr(&self, key: &str, by: &Value, ttl: Option<Duration>, now: Moment) -> Result<Value, StoreError> {
        let mut shard = self.shard(key).lock();
        let (value, due) = match shard.live(key, now) {
            Some(entry) => (entry.value.plus(by), entry.due),
            None => (Value::Int(0).plus(by), self.due(ttl, now)),
        };
        let sum = value.ok_or_else(|| StoreError::NotANumber(key.to_owned()))?;
        self.put(&mut shard, key, sum.clone(), due, now)?;
        Ok(sum)
    }

    /// The value and its version, for [`Memory::swap`].
    pub fn read(&self, key: &str, now: Moment) -> Option<(Value, u64)> {
        let mut shard = self.shard(key).lock();
        shard.live(key, now).map(|entry| (entry.value.clone(), entry.version))
    }

    /// Makes `change` if the value still has this version (`None`: if there still is none); whether it was made.
    pub fn swap(
        &self,
        key: &str,
        version: Option<u64>,
        change: Change,
        ttl: Option<Duration>,
        now: Moment,
    ) -> Result<bool, StoreError> {
        let mut shard = self.shard(key).lock();
        if shard.live(key, now).map(|entry| entry.version) != version {
            return Ok(false);
        }
        match change {
            Change::Keep => {}
            Change::Set(value) => self.put(&mut shard, key, value, self.due(ttl, now), now)?,
            Change::Delete => drop(shard.remove(key)),
        }
        Ok(true)
    }

    /// Lets `change` make a new value of the old one, without a lock: it runs again when someone else was quicker.
    pub fn update<E: From<StoreError>>(
        &self,
        key: &str,
        ttl: Option<Duration>,
        now: Moment,
        mut change: impl FnMut(Option<&Value>) -> Result<Change, E>,
    ) -> Result<Option<Value>, E> {
        for _ in 0..MOST_TRIES {
            let (old, version) = self.read(key, now).unzip();
            let change = change(old.as_ref())?;
            if self.swap(key, version, change.clone(), ttl, now)? {
                return Ok(match change {
                    Change::Keep => old,
                    Change::Set(value) => Some(value),
                    Change::Delete => None,
                });
            }
        }
        Err(StoreError::Contended(key.to_owned()).into())
    }

    /// Takes a value out; whether there was one.
    pub fn delete(&self, key: &str, now: Moment) -> bool {
        let mut shard = self.shard(key).lock();
        let lived = shard.live(key, now).is_some();
        shard.remove(key);
        lived
    }

    /// The keys that begin with `prefix`, sorted, `most` at most.
    pub fn keys(&self, prefix: &str, most: usize, now: Moment) -> Vec<String> {
        let mut keys = Vec::new();
        for shard in &self.shards {
            let shard = shard.lock();
            let live = shard.entries.iter().filter(|(key, entry)| key.starts_with(prefix) && entry.due > now);
            keys.extend(live.map(|(key, _)| key.to_owned()));
        }
        keys.sort_unstable();
        keys.truncate(most);
        keys
    }

    /// Notes from now on which values change, for [`Memory::changed`].
    pub(super) fn remember_changes(&self) {
        for shard in &self.shards {
            shard.lock().changed.get_or_insert_default();
        }
    }

    /// What changed since this was last asked: the value and when it is over, nothing for one that is gone.
    pub(super) fn changed(&self, now: Moment) -> Vec<(String, Option<(Value, Moment)>)> {
        let mut all = Vec::new();
        for shard in &self.shards {
            let mut shard = shard.lock();
            let changed = shard.changed.as_mut().map(std::mem::take).unwrap_or_default();
            all.extend(changed.into_iter().map(|key| {
                let entry = shard.entries.peek(&key).filter(|entry| entry.due > now);
                let held = entry.map(|entry| (entry.value.clone(), entry.due));
                (key, held)
            }));
        }
        all
    }

    /// Every value, and when it is over.
    pub(super) fn all(&self, now: Moment) -> Vec<(String, (Value, Moment))> {
        let mut all = Vec::new();
        for shard in &self.shards {
            let shard = shard.lock();
            let live = shard.entries.iter().filter(|(_, entry)| entry.due > now);
            all.extend(live.map(|(key, entry)| (key.to_owned(), (entry.value.clone(), entry.due))));
        }
        all
    }

    /// Puts back a value that was saved, if it fits.
    pub(super) fn restore(&self, key: &str, value: Value, due: Moment, now: Moment) {
        // What does not fit any longer is let go.
        let _ = self.put(&mut self.shard(key).lock(), key, value, due, now);
    }

    /// Messages of this store.
    pub fn hub(&self) -> &Hub {
        &self.hub
    }

    /// Values and bytes held, for metrics.
    pub fn size(&self) -> (usize, usize) {
        self.shards.iter().fold((0, 0), |(count, bytes), shard| {
            let shard = shard.lock();
            (count + shard.entries.len(), bytes + shard.bytes)
        })
    }

    #[allow(clippy::cast_possible_truncation, reason = "any bits of the hash will do")]
    fn shard(&self, key: &str) -> &Mutex<Shard> {
        &self.shards[self.hasher.hash_one(key) as usize % self.shards.len()]
    }

    fn due(&self, ttl: Option<Duration>, now: Moment) -> Moment {
        ttl.or(self.config.load().ttl).map_or(Moment::NEVER, |ttl| now.after(ttl))
    }

    /// Bytes of one shard.
    fn most(&self) -> usize {
        self.config.load().max / self.shards.len()
    }

    fn put(&self, shard: &mut Shard, key: &str, value: Value, due: Moment, now: Moment) -> Result<(), StoreError> {
        let (size, most) = (cost(key, &value), self.most());
        if size > most {
            return Err(StoreError::TooLarge { size, most });
        }
        let version = self.versions.fetch_add(1, Ordering::Relaxed);
        shard.note(key);
        shard.bytes += size;
        if let Some(old) = shard.entries.insert(key, Entry { value, due, version }) {
            shard.bytes -= cost(key, &old.value);
        }
        shard.shrink(most, now);
        Ok(())
    }
}

impl Shard {
    /// The entry of `key` while it lives, used by this.
    fn live(&mut self, key: &str, now: Moment) -> Option<&Entry> {
        if self.entries.peek(key)?.due <= now {
            self.remove(key);
            return None;
        }
        self.entries.get(key).map(|entry| &*entry)
    }

    fn note(&mut self, key: &str) {
        if let Some(changed) = &mut self.changed {
            changed.insert(key.to_owned());
        }
    }

    fn remove(&mut self, key: &str) -> Option<Entry> {
        let entry = self.entries.remove(key)?;
        self.note(key);
        self.bytes -= cost(key, &entry.value);
        Some(entry)
    }

    /// Until it fits: the least recently used go. What is over by then goes with them, oldest first.
    fn shrink(&mut self, most: usize, now: Moment) {
        while self.bytes > most || self.entries.oldest().is_some_and(|(_, entry)| entry.due <= now) {
            let Some((key, entry)) = self.entries.pop_oldest() else { return };
            self.note(&key);
            self.bytes -= cost(&key, &entry.value);
        }
    }
}

/// Bytes an entry is counted with.
fn cost(key: &str, value: &Value) -> usize {
    key.len() + value.size() + OVERHEAD
}

/// A shard holds about this much, so that a value may be large.
const SHARD: usize = 4 << 20;
const MOST_SHARDS: usize = 64;
/// Links, hash table and allocator, roughly.
const OVERHEAD: usize = 96;
/// Far beyond what honest contention needs.
const MOST_TRIES: usize = 1000;

#[cfg(test)]
mod tests;
