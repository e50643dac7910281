//! A space of stored answers, bounded in bytes and shared by all workers: what is stored, what is on its way, and what
//! turned out not to be worth waiting for.

use std::collections::HashMap;
use std::hash::BuildHasher;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;
use std::time::Duration;

use arc_swap::ArcSwap;
use foldhash::quality::RandomState;
use moka::sync::Cache;
use parking_lot::Mutex;
use tokio::sync::watch;

use crate::cache::entry::Entry;
use crate::cache::key::Key;
use crate::cache::purge::Purges;
use crate::cache::purge::State;
use crate::cache::value::Loaded;
use crate::cache::value::Valued;
use crate::clock::Moment;
use crate::http::Headers;
use crate::lru::Lru;
use crate::questions::Questions;

/// A space of stored answers.
pub struct Space {
    stored: ArcSwap<Stored>,
    bytes: AtomicU64,
    flights: Mutex<HashMap<Box<[u8]>, Arc<Flight>, RandomState>>,
    /// Keys whose answers were not storable, and until when nobody waits for another's. Those asked for with credentials
    /// stand beside those without: what is for one caller only may still be for everybody where nobody says who they are.
    passes: Mutex<Lru<Moment>>,
    hasher: RandomState,
    purges: Purges,
    /// Values of scripts on their way.
    pub(super) loads: Arc<Questions<Loaded>>,
}

/// Keys to what stands under them.
pub(super) type Stored = Cache<Box<[u8]>, Slot, RandomState>;

fn stored(bytes: u64) -> Stored {
    #[allow(clippy::borrowed_box, reason = "the map hands out its keys so")]
    let weigh = |key: &Box<[u8]>, slot: &Slot| {
        let size = match slot {
            Slot::Vary(names, _) => names.iter().map(|name| name.len() + 16).sum::<usize>() + 64,
            Slot::Entry(entry) => entry.weight(),
            Slot::Value(value) => value.weight(),
        };
        u32::try_from(key.len() + size).unwrap_or(u32::MAX)
    };
    Cache::builder().max_capacity(bytes).weigher(weigh).build_with_hasher(RandomState::default())
}

/// What stands under a key.
#[derive(Clone)]
pub(super) enum Slot {
    /// Answers vary by these fields; those asked for before this count of purges are forgotten.
    Vary(Arc<[Box<str>]>, u64),
    /// This one.
    Entry(Arc<Entry>),
    /// A value of a script.
    Value(Arc<Valued>),
}

/// What a look into a space finds.
pub enum Found {
    /// A stored answer, and what became of it through purges.
    Stored(Arc<Entry>, State),
    /// Nothing.
    Nothing,
}

/// What those who wait for an answer get.
#[derive(Clone)]
pub enum Arrived {
    /// It is stored, or about to be: its head is there, its body arrives.
    Entry(Arc<Entry>),
    /// It is for its own client only, or did not come: everybody asks for themselves.
    Pass,
}

/// An answer on its way.
pub struct Flight {
    /// The count of purges when it began.
    born: u64,
    head: watch::Sender<Option<Arrived>>,
}

/// Whose turn it is to ask.
pub enum Turn {
    /// This request's; it tells the others by the flight.
    Lead(Lead),
    /// Another's: wait for it.
    Follow(Arc<Flight>),
}

/// The right and duty to bring an answer. Dropped without one, those who wait go on by themselves.
pub struct Lead {
    space: Arc<Space>,
    key: Key,
    /// It is known who asks.
    pub identified: bool,
    /// Under which keys the flight is known.
    aliases: Vec<Box<[u8]>>,
    flight: Arc<Flight>,
    /// The count of purges when it began.
    pub born: u64,
}

impl Space {
    /// A space of at most `bytes`.
    pub fn new(bytes: u64) -> Arc<Self> {
        Arc::new(Self {
            stored: ArcSwap::from_pointee(stored(bytes)),
            bytes: AtomicU64::new(bytes),
            flights: Mutex::default(),
            passes: Mutex::default(),
            hasher: RandomState::default(),
            purges: Purges::default(),
            loads: Arc::default(),
        })
    }

    /// Another bound from now on; what is stored stays, as far as it fits.
    pub fn resize(&self, bytes: u64) {
        if self.bytes.swap(bytes, Ordering::AcqRel) == bytes {
            return;
        }
        let next = stored(bytes);
        for (key, slot) in self.stored.load().iter() {
            next.insert((*key).clone(), slot);
        }
        self.stored.store(Arc::new(next));
    }

    pub(super) fn stored(&self) -> Arc<Stored> {
        self.stored.load_full()
    }

    /// What was purged here.
    pub fn purges(&self) -> &Purges {
        &self.purges
    }

    /// Looks for an answer; `key` becomes that of the variant that fits `headers`.
    pub fn find(&self, key: &mut Key, headers: &Headers) -> Found {
        let stored = self.stored.load();
        let (slot, since) = match stored.get(key.primary()) {
            Some(Slot::Vary(names, since)) => {
                key.vary(&names, headers);
                (stored.get(key.bytes()), since)
            }
            slot => (slot, 0),
        };
        match slot {
            Some(Slot::Entry(entry)) if entry.born >= since => {
                let tags = entry.tags.iter().map(|tag| &**tag);
                let state = self.purges.state(entry.born, tags, &entry.path);
                if state == State::Gone {
                    stored.invalidate(key.bytes());
                    return Found::Nothing;
                }
                Found::Stored(entry, state)
            }
            _ => Found::Nothing,
        }
    }

    /// Asks for the answer of `key`, or waits for who does so already. `identified`: it is known who asks.
    pub fn board(self: &Arc<Self>, key: &Key, identified: bool) -> Turn {
        let mut flights = self.flights.lock();
        // What was asked for before a purge is not for those who come after it.
        if let Some(flight) = flights.get(key.bytes()).filter(|flight| flight.born == self.purges.now()) {
            return Turn::Follow(Arc::clone(flight));
        }
        let flight = Arc::new(Flight { born: self.purges.now(), head: watch::Sender::new(None) });
        flights.insert(key.bytes().into(), Arc::clone(&flight));
        let aliases = vec![key.bytes().into()];
        let (space, key, born) = (Arc::clone(self), key.clone(), self.purges.now());
        Turn::Lead(Lead { space, key, identified, aliases, flight, born })
    }

    /// Whether somebody brings the answer of `key` right now.
    pub fn is_coming(&self, key: &Key) -> bool {
        self.flights.lock().contains_key(key.bytes())
    }

    /// Whether answers of `key` were found not to be storable a while ago, for those who are (or are not) `identified`.
    pub fn passes(&self, key: &Key, identified: bool, now: Moment) -> bool {
        let name = self.name(key, identified);
        let mut passes = self.passes.lock();
        match passes.peek(&name) {
            Some(until) if *until > now => true,
            Some(_) => {
                passes.remove(&name);
                false
            }
            None => false,
        }
    }

    /// Nobody waits for another's answer of `key` until `until`.
    fn pass(&self, key: &Key, identified: bool, until: Moment) {
        let mut passes = self.passes.lock();
        passes.insert(&self.name(key, identified), until);
        while passes.len() > MOST_PASSES {
            passes.pop_oldest();
        }
    }

    /// A short name for what a key is about: keys are as long as clients make them, and many may be remembered. Two that
    /// share one only miss a chance to wait for one another.
    fn name(&self, key: &Key, identified: bool) -> String {
        format!("{:016x}", self.hasher.hash_one((key.primary(), identified)))
    }

    /// Puts an entry in the place of the one that was freshened.
    pub fn renew(&self, key: &Key, entry: Arc<Entry>) {
        self.stored.load().insert(key.bytes().into(), Slot::Entry(entry));
    }

    /// Forgets the answer of this key, and all its variants.
    pub fn forget(&self, key: &Key) {
        self.purges.tick();
        self.stored.load().invalidate(key.primary());
    }

    fn varies(&self, primary: &[u8], names: &[Box<str>], born: u64) {
        let stored = self.stored.load();
        if !matches!(stored.get(primary), Some(Slot::Vary(known, _)) if *known == *names) {
            stored.insert(primary.into(), Slot::Vary(names.into(), born));
        }
    }

    /// How many answers there are and how many bytes they take, about.
    pub fn size(&self) -> (u64, u64) {
        let stored = self.stored.load();
        stored.run_pending_tasks();
        (stored.entry_count(), stored.weighted_size())
    }
}

impl Flight {
    /// What arrived; [`Arrived::Pass`] when nothing did.
    pub async fn arrived(&self) -> Arrived {
        let mut head = self.head.subscribe();
        match head.wait_for(Option::is_some).await {
            Ok(arrived) => arrived.clone().unwrap_or(Arrived::Pass),
            Err(_) => Arrived::Pass,
        }
    }
}

impl Lead {
    /// The key it was asked under.
    pub fn key(&self) -> &Key {
        &self.key
    }

    /// The head is there: whoever waits reads along. `vary`: the answer differs by these fields of the request.
    pub fn begins(&mut self, entry: &Arc<Entry>, vary: &[Box<str>], headers: &Headers) {
        if !vary.is_empty() {
            self.key.vary(vary, headers);
            self.space.varies(self.key.primary(), vary, self.born);
            // From here on those who come look under the key of the variant.
            if self.aliases.iter().all(|alias| **alias != *self.key.bytes()) {
                self.space.flights.lock().insert(self.key.bytes().into(), Arc::clone(&self.flight));
                self.aliases.push(self.key.bytes().into());
            }
        }
        self.flight.head.send_replace(Some(Arrived::Entry(Arc::clone(entry))));
    }

    /// The body is complete: it is stored.
    pub fn stored(self, entry: Arc<Entry>) {
        self.space.renew(&self.key, entry);
    }

    /// It is not to be stored; for `remember` nobody waits for another's answer.
    pub fn passes(self, now: Moment, remember: Duration) {
        if !remember.is_zero() {
            self.space.pass(&self.key, self.identified, now.after(remember));
        }
    }

    /// What is stored is no longer right.
    pub fn forgets(self) {
        self.space.forget(&self.key);
    }
}

impl Drop for Lead {
    fn drop(&mut self) {
        let mut flights = self.space.flights.lock();
        for alias in &self.aliases {
            // Another flight may have begun under a key that two variants shared.
            if flights.get(alias).is_some_and(|known| Arc::ptr_eq(known, &self.flight)) {
                flights.remove(alias);
            }
        }
        drop(flights);
        self.flight.head.send_if_modified(|head| {
            let untold = head.is_none();
            if untold {
                *head = Some(Arrived::Pass);
            }
            untold
        });
    }
}

/// Most keys remembered as not storable.
const MOST_PASSES: usize = 50_000;

#[cfg(test)]
mod tests;
