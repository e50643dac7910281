//! Counters that outlive the process: one file, written by a thread of its own once a second.

use std::collections::HashMap;
use std::io;
use std::path::Path;
use std::sync::Arc;

use parking_lot::Mutex;

use crate::clock::Clock;
use crate::primitive::limiter::Config;
use crate::primitive::limiter::Key;
use crate::primitive::limiter::Limiter;
use crate::primitive::limiter::Now;
use crate::store::journal;
use crate::store::journal::Journal;
use crate::store::journal::Record;
use crate::telemetry::log;

/// One file of counters.
pub struct Keeper(Mutex<Inner>);

struct Inner {
    journal: Journal,
    clock: Clock,
    /// What the file holds for limiters that nobody has asked for yet.
    waiting: HashMap<Vec<u8>, Vec<u8>>,
    secret: [u64; 2],
    kept: Vec<(String, Arc<Limiter>)>,
}

/// What its files begin with.
const MAGIC: &[u8] = b"moongate journal 1\n";
/// The key under which a file keeps its secret.
const SECRET: &[u8] = b"secret";

impl Keeper {
    /// Opens the file, and starts its thread.
    pub(super) fn open(path: &Path, clock: &Clock) -> io::Result<Arc<Self>> {
        let (mut journal, mut waiting) = Journal::open(path, MAGIC)?;
        let secret = match waiting.remove(SECRET).as_deref().and_then(halves) {
            Some(secret) => secret,
            None => {
                let secret = Limiter::new(Config::default()).secret();
                journal.append(&[hidden(secret)])?;
                secret
            }
        };
        let inner = Inner { journal, clock: clock.clone(), waiting, secret, kept: Vec::new() };
        let keeper = Arc::new(Self(Mutex::new(inner)));
        journal::each_second("counters", Arc::downgrade(&keeper), Self::flush)?;
        Ok(keeper)
    }

    /// A limiter whose counters are kept under `name`, with those the file has.
    pub fn limiter(&self, name: &str, config: Config) -> Arc<Limiter> {
        let mut inner = self.0.lock();
        if let Some((_, known)) = inner.kept.iter().find(|(known, _)| known == name) {
            known.configure(config);
            return Arc::clone(known);
        }
        let limiter = Arc::new(Limiter::with_secret(config, inner.secret));
        let (now, prefix) = (Now::of(&inner.clock), prefix(name));
        inner.waiting.retain(|key, value| {
            let Some(own) = key.strip_prefix(prefix.as_slice()).and_then(halves) else { return true };
            limiter.restore(Key(own[0], own[1]), value, now);
            false
        });
        limiter.remember_changes();
        inner.kept.push((name.to_owned(), Arc::clone(&limiter)));
        limiter
    }

    /// Writes what has changed.
    pub fn flush(&self) {
        let mut inner = self.0.lock();
        let Inner { journal, clock, waiting, secret, kept } = &mut *inner;
        let now = Now::of(clock);
        let records = |name: &str, saved: Vec<(Key, Vec<u8>)>| -> Vec<Record> {
            let prefix = prefix(name);
            saved
                .into_iter()
                .map(|(key, value)| ([prefix.as_slice(), &bytes([key.0, key.1])].concat(), value))
                .collect()
        };
        let changed: Vec<Record> =
            kept.iter().flat_map(|(name, limiter)| records(name, limiter.changed(now))).collect();
        let all = || {
            let mut all = vec![hidden(*secret)];
            all.extend(waiting.iter().map(|(key, value)| (key.clone(), value.clone())));
            all.extend(kept.iter().flat_map(|(name, limiter)| records(name, limiter.all(now))));
            all
        };
        if let Some(error) = journal.keep(&changed, all) {
            log::error("counters cannot be written, and are kept in memory meanwhile", &[("cause", &error)]);
        }
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        self.flush();
    }
}

fn prefix(name: &str) -> Vec<u8> {
    [name.as_bytes(), &[0]].concat()
}

fn hidden(secret: [u64; 2]) -> Record {
    (SECRET.to_vec(), bytes(secret).to_vec())
}

fn bytes([a, b]: [u64; 2]) -> [u8; 16] {
    let mut bytes = [0; 16];
    bytes[..8].copy_from_slice(&a.to_le_bytes());
    bytes[8..].copy_from_slice(&b.to_le_bytes());
    bytes
}

fn halves(bytes: &[u8]) -> Option<[u64; 2]> {
    let (a, b) = bytes.split_at_checked(8)?;
    Some([u64::from_le_bytes(a.try_into().ok()?), u64::from_le_bytes(b.try_into().ok()?)])
}
