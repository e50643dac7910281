//! What was purged and when: by tag, by prefix, or all. A purge is one note, however many answers it concerns; whoever
//! reads an answer compares it with the notes.

use std::collections::HashMap;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;

use foldhash::quality::RandomState;
use parking_lot::RwLock;

use crate::cache::Key;
use crate::cache::Space;

/// How far an answer is forgotten.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum State {
    /// Not at all.
    #[default]
    Valid,
    /// It counts as stale: it may stand in while it is refreshed.
    Stale,
    /// As if it had never been stored.
    Gone,
}

/// What to forget.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Order {
    /// What carries one of these tags; `*` is everything.
    pub tags: Vec<String>,
    /// What is stored under these keys: a route's own (`key = …`), an address (`http://host/path?query`), a value's.
    pub keys: Vec<String>,
    /// What lies under this path.
    pub prefix: Option<String>,
    /// At once, not only when it has been asked for again. What is found by an address or is a value goes at once anyway.
    pub hard: bool,
}

impl Order {
    /// Whether it names nothing.
    pub fn is_empty(&self) -> bool {
        self.tags.is_empty() && self.keys.is_empty() && self.prefix.is_none()
    }
}

impl Space {
    /// Forgets what `order` names; how many things it names.
    pub fn purge(&self, order: &Order) -> usize {
        let purges = self.purges();
        for tag in &order.tags {
            if tag == "*" { purges.all(order.hard) } else { purges.tag(tag, order.hard) }
        }
        for key in &order.keys {
            purges.tag(&of_key(key), order.hard);
            self.delete(key);
            if key.contains("://") {
                self.forget(&Key::text(key));
            }
        }
        if let Some(prefix) = &order.prefix {
            purges.prefix(prefix, order.hard);
        }
        order.tags.len() + order.keys.len() + usize::from(order.prefix.is_some())
    }
}

/// The tag of answers with a key of the route's own; no service can name one, since fields have no newline.
pub fn of_key(own: &str) -> String {
    format!("\nkey {own}")
}

/// The notes of one space.
#[derive(Default)]
pub struct Purges {
    /// Counts purges; an answer remembers the count at which the request for it was made.
    count: AtomicU64,
    notes: RwLock<Notes>,
}

#[derive(Default)]
struct Notes {
    all: Note,
    tags: HashMap<Box<str>, Note, RandomState>,
    prefixes: Vec<(Box<str>, Note)>,
}

/// The counts of the last purges.
#[derive(Clone, Copy, Default)]
struct Note {
    soft: u64,
    hard: u64,
}

impl Note {
    fn mark(&mut self, at: u64, hard: bool) {
        let place = if hard { &mut self.hard } else { &mut self.soft };
        *place = at;
    }

    fn of(self, born: u64) -> State {
        if self.hard > born {
            State::Gone
        } else if self.soft > born {
            State::Stale
        } else {
            State::Valid
        }
    }
}

impl Purges {
    /// The count now: what is asked for from here on knows every purge so far.
    pub fn now(&self) -> u64 {
        self.count.load(Ordering::Acquire)
    }

    /// Tells what is asked for from here on from what was asked for before.
    pub fn tick(&self) {
        self.next();
    }

    /// Forgets everything.
    pub fn all(&self, hard: bool) {
        let mut notes = self.notes.write();
        let at = self.next();
        notes.all.mark(at, hard);
        if hard {
            // Nothing older is left that these could concern.
            notes.tags.clear();
            notes.prefixes.clear();
        }
    }

    /// Forgets what carries this tag.
    pub fn tag(&self, tag: &str, hard: bool) {
        let mut notes = self.notes.write();
        let at = self.next();
        if notes.tags.len() >= MOST_TAGS && !notes.tags.contains_key(tag) {
            notes.forget_half();
        }
        notes.tags.entry(tag.into()).or_default().mark(at, hard);
    }

    /// Forgets what lies under this path.
    pub fn prefix(&self, prefix: &str, hard: bool) {
        let mut notes = self.notes.write();
        let at = self.next();
        if let Some((_, note)) = notes.prefixes.iter_mut().find(|(known, _)| **known == *prefix) {
            return note.mark(at, hard);
        }
        if notes.prefixes.len() >= MOST_PREFIXES {
            let (_, oldest) = notes.prefixes.remove(0);
            notes.widen(oldest);
        }
        let mut note = Note::default();
        note.mark(at, hard);
        notes.prefixes.push((prefix.into(), note));
    }

    /// What became of an answer asked for at `born`, with these tags, at this path.
    pub fn state<'a>(&self, born: u64, tags: impl Iterator<Item = &'a str>, path: &str) -> State {
        if born == self.now() {
            return State::Valid;
        }
        let notes = self.notes.read();
        let by_tag = tags.filter_map(|tag| notes.tags.get(tag)).map(|note| note.of(born));
        let by_prefix =
            notes.prefixes.iter().filter(|(prefix, _)| path.starts_with(&**prefix)).map(|(_, note)| note.of(born));
        by_tag.chain(by_prefix).fold(notes.all.of(born), State::max)
    }

    fn next(&self) -> u64 {
        self.count.fetch_add(1, Ordering::AcqRel) + 1
    }
}

impl Notes {
    /// Room for more notes about tags: the older half is widened to everything of its time. Nothing purged comes back.
    fn forget_half(&mut self) {
        let mut ages: Vec<u64> = self.tags.values().map(|note| note.soft.max(note.hard)).collect();
        let middle = ages.len() / 2;
        let (_, &mut median, _) = ages.select_nth_unstable(middle);
        let old: Vec<Note> = self.tags.values().copied().filter(|note| note.soft.max(note.hard) <= median).collect();
        self.tags.retain(|_, note| note.soft.max(note.hard) > median);
        for note in old {
            self.widen(note);
        }
    }

    fn widen(&mut self, note: Note) {
        self.all.soft = self.all.soft.max(note.soft);
        self.all.hard = self.all.hard.max(note.hard);
    }
}

/// Most tags noted at once, about 10 MB of notes.
const MOST_TAGS: usize = 100_000;
/// Most prefixes noted at once: each is compared on a read that follows a purge.
const MOST_PREFIXES: usize = 256;

#[cfg(test)]
mod tests {
    use super::*;

    fn state(purges: &Purges, born: u64, tags: &[&str], path: &str) -> State {
        purges.state(born, tags.iter().copied(), path)
    }

    #[test]
    fn a_purge_concerns_what_was_asked_for_before_it() {
        let purges = Purges::default();
        let old = purges.now();
        purges.tag("a", false);
        let new = purges.now();
        assert_eq!(state(&purges, old, &["b", "a"], "/"), State::Stale);
        assert_eq!(state(&purges, old, &["b"], "/"), State::Valid);
        assert_eq!(state(&purges, new, &["a"], "/"), State::Valid);
    }

    #[test]
    fn the_harder_purge_rules() {
        let purges = Purges::default();
        let old = purges.now();
        purges.tag("a", true);
        purges.tag("a", false);
        purges.all(false);
        assert_eq!(state(&purges, old, &["a"], "/"), State::Gone);
        assert_eq!(state(&purges, old, &[], "/"), State::Stale);
    }

    #[test]
    fn a_prefix_is_a_prefix_of_the_path() {
        let purges = Purges::default();
        let old = purges.now();
        purges.prefix("/shop/", true);
        assert_eq!(state(&purges, old, &[], "/shop/a"), State::Gone);
        assert_eq!(state(&purges, old, &[], "/shops"), State::Valid);
    }

    #[test]
    fn notes_are_bounded_and_nothing_purged_comes_back() {
        let purges = Purges::default();
        let old = purges.now();
        for n in 0..MOST_TAGS + 10 {
            purges.tag(&format!("t{n}"), true);
        }
        for n in 0..MOST_PREFIXES + 10 {
            purges.prefix(&format!("/{n}/"), false);
        }
        assert!(purges.notes.read().tags.len() <= MOST_TAGS);
        assert_eq!(state(&purges, old, &["t0"], "/"), State::Gone);
        assert_eq!(state(&purges, old, &[&format!("t{}", MOST_TAGS + 9)], "/"), State::Gone);
        assert_eq!(state(&purges, purges.now(), &["t0"], "/0/"), State::Valid);
    }
}
