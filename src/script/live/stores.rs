//! Stores by identity and place, and the lines to servers that hold them.

use std::collections::BTreeMap;
use std::collections::HashMap;
use std::collections::HashSet;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::Weak;

use parking_lot::Mutex;

use super::STORE;
use crate::clock::Clock;
use crate::store::Config;
use crate::store::Memory;
use crate::store::Remote;
use crate::store::Store;
use crate::store::file::Filed;
use crate::store::redis::Address;
use crate::store::redis::Line;
use crate::telemetry::log;

/// Stores of every generation that runs.
#[derive(Default)]
pub(super) struct Stores {
    /// By identity and place: a store that moves is another one, and the old generation keeps the old one.
    open: Mutex<HashMap<String, Store>>,
    /// Stores of one server share a connection.
    lines: Mutex<HashMap<Address, Weak<Line>>>,
    /// Files by path: whatever names one, its values are the same.
    files: Mutex<HashMap<PathBuf, Arc<Filed>>>,
    /// Where files are.
    state: Option<PathBuf>,
    /// Everything is in memory, whatever is declared.
    near: bool,
}

impl Stores {
    /// Stores that are in memory whatever is declared.
    pub(super) fn near() -> Self {
        Self { near: true, ..Self::default() }
    }

    /// Stores whose files are in `state`.
    pub(super) fn kept_in(state: Option<PathBuf>) -> Self {
        Self { state, ..Self::default() }
    }

    /// The store of this identity, made with `config` when there is none yet.
    pub(super) fn get(&self, identity: &str, config: &Config, clock: &Clock) -> Store {
        let slot = self.slot(identity, config);
        if let Some(store) = self.open.lock().get(&slot) {
            return store.clone();
        }
        let made = match (&config.redis, &config.file) {
            (Some(address), _) if !self.near => {
                let name = identity.strip_prefix(STORE).unwrap_or(identity);
                Store::Redis(Arc::new(Remote::new(self.line(address, clock), name, config.ttl)))
            }
            (_, Some(place)) if !self.near => {
                Store::Memory(self.file(&place.path(self.state.as_deref()), config, clock))
            }
            _ => Store::Memory(Arc::new(Memory::new(config.clone()))),
        };
        self.open.lock().entry(slot).or_insert(made).clone()
    }

    /// What these objects declare is changed in place; what they do not declare, or at another place, is let go.
    pub(super) fn commit(&self, objects: &BTreeMap<String, String>) {
        let declared: HashMap<String, Config> =
            declared(objects).map(|(identity, config)| (self.slot(identity, &config), config)).collect();
        self.open.lock().retain(|slot, store| {
            let Some(config) = declared.get(slot) else { return false };
            match store {
                Store::Memory(memory) => memory.configure(config.clone()),
                Store::Redis(remote) => remote.configure(config.ttl),
            }
            true
        });
        let places = declared.values().filter_map(|config| config.file.as_ref());
        let paths: HashSet<PathBuf> = places.map(|place| place.path(self.state.as_deref())).collect();
        self.files.lock().retain(|path, _| paths.contains(path));
    }

    /// Writes what is only in memory and belongs into a file.
    pub(super) fn flush(&self) {
        let files: Vec<_> = self.files.lock().values().cloned().collect();
        files.iter().for_each(|file| file.flush());
    }

    fn slot(&self, identity: &str, config: &Config) -> String {
        match (&config.redis, &config.file) {
            (Some(address), _) if !self.near => format!("{identity} {address}"),
            (_, Some(place)) if !self.near => format!("{identity} {}", place.path(self.state.as_deref()).display()),
            _ => identity.to_owned(),
        }
    }

    /// The values of a file; of one that cannot be used, none, and that is told.
    fn file(&self, path: &Path, config: &Config, clock: &Clock) -> Arc<Memory> {
        let mut files = self.files.lock();
        if let Some(known) = files.get(path) {
            return Arc::clone(known.memory());
        }
        match Filed::open(path, config.clone(), clock) {
            Ok(filed) => {
                let memory = Arc::clone(filed.memory());
                files.insert(path.to_owned(), filed);
                memory
            }
            Err(error) => {
                let fields: [(&str, &dyn std::fmt::Display); 2] = [("file", &path.display()), ("cause", &error)];
                log::error("a store is kept in memory only", &fields);
                Arc::new(Memory::new(config.clone()))
            }
        }
    }

    fn line(&self, address: &Address, clock: &Clock) -> Arc<Line> {
        let mut lines = self.lines.lock();
        lines.retain(|_, line| line.strong_count() > 0);
        if let Some(line) = lines.get(address).and_then(Weak::upgrade) {
            return line;
        }
        let line = Line::open(address.clone(), clock);
        lines.insert(address.clone(), Arc::downgrade(&line));
        line
    }
}

/// Every store among the objects of a plan.
pub(super) fn declared(objects: &BTreeMap<String, String>) -> impl Iterator<Item = (&str, Config)> {
    let stores = objects.iter().filter(|(identity, _)| identity.starts_with(STORE));
    stores.filter_map(|(identity, text)| Some((identity.as_str(), serde_json::from_str(text).ok()?)))
}
