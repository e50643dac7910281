//! Signatures that were seen, for as long as their date would let them pass again.

use std::collections::BTreeMap;
use std::collections::HashSet;

use foldhash::quality::RandomState;
use parking_lot::Mutex;

/// What was seen; bounded.
pub struct Seen {
    most: usize,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    known: HashSet<[u8; 16], RandomState>,
    /// By the second in which they may be forgotten.
    until: BTreeMap<u64, Vec<[u8; 16]>>,
}

/// What came of noting a signature.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum First {
    /// It was not seen before.
    Yes,
    /// It was.
    No,
    /// There is no room to note it, so nobody can say.
    Full,
}

impl Seen {
    /// At most so many at once.
    pub fn new(most: usize) -> Self {
        Self { most, state: Mutex::default() }
    }

    /// Notes a signature until the second `until`, at second `now`.
    pub fn first(&self, print: [u8; 16], until: u64, now: u64) -> First {
        let state = &mut *self.state.lock();
        while let Some(entry) = state.until.first_entry().filter(|entry| *entry.key() < now) {
            for old in entry.remove() {
                state.known.remove(&old);
            }
        }
        if state.known.contains(&print) {
            return First::No;
        }
        if state.known.len() >= self.most {
            return First::Full;
        }
        state.known.insert(print);
        state.until.entry(until).or_default().push(print);
        First::Yes
    }

    /// How many are noted.
    pub fn len(&self) -> usize {
        self.state.lock().known.len()
    }

    /// Whether none is.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}
