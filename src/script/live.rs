//! What lives across reloads, for the whole process: stores, limiters and flags, found by identity, and the event bus.

mod bus;
mod keeper;
mod keyring;
mod keyset;
mod objects;
pub(crate) mod shared;
mod stores;

use std::collections::BTreeMap;
use std::collections::HashMap;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;

use arc_swap::ArcSwapOption;
use parking_lot::Mutex;

pub use bus::Bus;
pub use bus::Ears;
pub use bus::Event;
pub use keeper::Keeper;
pub use keyring::KeyRing;
pub use keyset::Ask;
pub use keyset::KeySet;
pub use keyset::Source;
pub use objects::Kept;

use shared::Place;
use shared::Shared;

use crate::cache::Space;
use crate::clock::Clock;
use crate::primitive::limiter;
use crate::primitive::limiter::Limiter;
use crate::store;
use crate::store::Store;
use crate::telemetry::log;
use crate::telemetry::metrics::Registry;

/// Stores, limiters and flags of the process. Machines of every generation and worker share them.
#[derive(Default)]
pub struct Live {
    stores: stores::Stores,
    limiters: Mutex<HashMap<String, Arc<Limiter>>>,
    flags: Mutex<HashMap<String, Arc<Flag>>>,
    spaces: Mutex<HashMap<String, Arc<Space>>>,
    objects: objects::Objects,
    ring: KeyRing,
    /// Limits that are counted elsewhere, by identity and place.
    shared: Mutex<HashMap<String, Arc<Shared>>>,
    state: Option<PathBuf>,
    /// Nothing outlives the process, whatever is declared.
    forgets: bool,
    keepers: Mutex<HashMap<PathBuf, Arc<Keeper>>>,
    metrics: Mutex<BTreeMap<String, String>>,
    bus: Bus,
    starts: AtomicU64,
}

/// What a function of `every` returned last; plain data, seen by all workers.
#[derive(Default)]
pub struct Flag {
    value: ArcSwapOption<store::Value>,
    version: AtomicU64,
}

impl Flag {
    /// Replaces the value.
    pub fn publish(&self, value: Option<store::Value>) {
        self.value.store(value.map(Arc::new));
        self.version.fetch_add(1, Ordering::Release);
    }

    /// The value now.
    pub fn value(&self) -> Option<Arc<store::Value>> {
        self.value.load_full()
    }

    /// Different after each publication.
    pub fn version(&self) -> u64 {
        self.version.load(Ordering::Acquire)
    }
}

impl Live {
    /// Of a gateway that keeps what outlives it in `state`.
    pub fn in_folder(state: Option<PathBuf>) -> Self {
        Self { stores: stores::Stores::kept_in(state.clone()), state, ..Self::default() }
    }

    /// Of a gateway that leaves nothing behind.
    pub fn offline() -> Self {
        Self { forgets: true, stores: stores::Stores::near(), ..Self::default() }
    }

    /// Who keeps counters in `file`: by that name in the state folder, else beside the script; without a name in the
    /// state folder alone. `None`: nobody, which is told.
    pub fn keeper(&self, file: &str, root: &Path, clock: &Clock) -> Option<Arc<Keeper>> {
        if self.forgets {
            return None;
        }
        let path = match (&self.state, file) {
            (Some(state), "") => state.join("quota.journal"),
            (None, "") => {
                log::warn("quotas are kept in memory only; `moongate run --state DIR` keeps them across restarts", &[]);
                return None;
            }
            (state, file) => state.as_deref().unwrap_or(root).join(file),
        };
        let mut keepers = self.keepers.lock();
        if let Some(keeper) = keepers.get(&path) {
            return Some(Arc::clone(keeper));
        }
        match Keeper::open(&path, clock) {
            Ok(keeper) => {
                keepers.insert(path, Arc::clone(&keeper));
                Some(keeper)
            }
            Err(error) => {
                let fields: [(&str, &dyn std::fmt::Display); 2] = [("file", &path.display()), ("cause", &error)];
                log::error("quotas are kept in memory only", &fields);
                None
            }
        }
    }

    /// Writes what is only in memory and should outlive the process.
    pub fn flush(&self) {
        let keepers: Vec<_> = self.keepers.lock().values().cloned().collect();
        keepers.iter().for_each(|keeper| keeper.flush());
        self.stores.flush();
    }

    /// The store of this identity, made with `config` when there is none yet.
    pub fn store(&self, identity: &str, config: &store::Config, clock: &Clock) -> Store {
        self.stores.get(identity, config, clock)
    }

    /// A generation with these objects is about to be in force: what is outside the process is opened now, so that
    /// the first request finds it.
    pub fn connect(&self, objects: &BTreeMap<String, String>, clock: &Clock) {
        for (identity, config) in
            stores::declared(objects).filter(|(_, config)| config.redis.is_some() || config.file.is_some())
        {
            self.stores.get(identity, &config, clock);
        }
    }

    /// The counters of the limit of this identity, which are at `place`; `None`: they are in this process.
    pub(crate) fn shared(
        &self,
        identity: &str,
        place: &Place,
        store: &Store,
        metrics: &Registry,
    ) -> Option<Arc<Shared>> {
        let Store::Redis(remote) = store else { return None };
        let line = remote.line();
        let slot = format!("{identity} {place:?} {}", line.address());
        let open = || {
            let help = "Decisions of limits without the store that they are counted in.";
            let degraded = metrics.counter("moongate_limiter_degraded_total", help, &[("limiter", identity)]);
            Shared::open(Arc::clone(line), place.clone(), degraded)
        };
        Some(Arc::clone(self.shared.lock().entry(slot).or_insert_with(open)))
    }

    /// The limiter of this identity, made with `config` when there is none yet.
    pub fn limiter(&self, identity: &str, config: &limiter::Config) -> Arc<Limiter> {
        let mut limiters = self.limiters.lock();
        let limiter = limiters.entry(identity.to_owned()).or_insert_with(|| Arc::new(Limiter::new(config.clone())));
        Arc::clone(limiter)
    }

    /// The flag of this identity.
    pub fn flag(&self, identity: &str) -> Arc<Flag> {
        Arc::clone(self.flags.lock().entry(identity.to_owned()).or_default())
    }

    /// The cache space of this name, made with room for `bytes` when there is none yet.
    pub fn space(&self, name: &str, bytes: u64) -> Arc<Space> {
        let mut spaces = self.spaces.lock();
        Arc::clone(spaces.entry(name.to_owned()).or_insert_with(|| Space::new(bytes)))
    }

    /// Key sets that no file declares.
    pub fn ring(&self) -> &KeyRing {
        &self.ring
    }

    /// Every cache space, by name.
    pub fn spaces(&self) -> BTreeMap<String, Arc<Space>> {
        self.spaces.lock().iter().map(|(name, space)| (name.clone(), Arc::clone(space))).collect()
    }

    /// What a policy keeps, by its identity, made with `config` when there is none yet; `None` when that cannot be read.
    pub fn object<T: Kept>(&self, identity: &str, config: &str) -> Option<Arc<T>> {
        self.objects.get(identity, config)
    }

    /// Where events go.
    pub fn bus(&self) -> &Bus {
        &self.bus
    }

    /// The new generation is in force: `objects` is its plan's. What it declares differently is changed in place, what
    /// it does not declare any more is let go; handles of the old generation keep theirs until it ends.
    pub fn commit(&self, objects: &BTreeMap<String, String>, metrics: &Registry) {
        self.stores.commit(objects);
        self.shared.lock().retain(|_, shared| shared.is_asked());
        self.limiters.lock().retain(|identity, limiter| {
            let config = objects.get(identity).and_then(|text| serde_json::from_str(text).ok());
            config.inspect(|config: &limiter::Config| limiter.configure(config.clone())).is_some()
        });
        self.spaces.lock().retain(|name, space| {
            let bytes = objects.get(&format!("{SPACE}{name}")).and_then(|text| text.parse().ok());
            let bytes = if name == MAIN { Some(bytes.unwrap_or(MAIN_BYTES)) } else { bytes };
            bytes.inspect(|bytes| space.resize(*bytes)).is_some()
        });
        // those that are declared are there to be seen before anybody uses them
        for (identity, bytes) in objects.iter().filter(|(identity, _)| identity.starts_with(SPACE)) {
            if let Ok(bytes) = bytes.parse() {
                self.space(&identity[SPACE.len()..], bytes);
            }
        }
        self.objects.commit(objects);
        self.flags.lock().retain(|identity, _| objects.contains_key(identity));
        let declared = objects.iter().filter(|(identity, _)| identity.starts_with(METRIC));
        let declared: BTreeMap<_, _> = declared.map(|(name, text)| (name.clone(), text.clone())).collect();
        let mut known = self.metrics.lock();
        for (identity, _) in known.iter().filter(|(identity, text)| declared.get(*identity) != Some(*text)) {
            metrics.forget(&identity[METRIC.len()..]);
        }
        *known = declared;
    }

    /// How many control machines have started: the first hears `start`, later ones `reload`.
    pub(crate) fn started(&self) -> u64 {
        self.starts.fetch_add(1, Ordering::Relaxed)
    }
}

/// Before the name in a store's identity.
pub const STORE: &str = "store:";
/// Before the name in a limiter's identity.
pub const LIMITER: &str = "limiter:";
/// Before the name in a cache space's identity.
pub const SPACE: &str = "space:";
/// The cache space of whoever names none.
pub const MAIN: &str = "main";
/// Its size unless it is declared otherwise.
pub const MAIN_BYTES: u64 = 128 << 20;
/// Before the name in a metric's identity.
pub const METRIC: &str = "metric:";

#[cfg(test)]
mod tests;
