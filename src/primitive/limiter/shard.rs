//! A part of a limiter's keys: an open hash table over nodes in order of use, with a state for each rate beside them.

use super::key::Key;
use super::state::State;

/// About 24 bytes a key, 24 for each rate, 4 to 11 for the table.
pub(super) struct Shard {
    /// States a key has.
    rates: usize,
    nodes: Vec<Node>,
    states: Vec<State>,
    /// Places of nodes, by the key's bits; a power of two, at most three quarters full.
    table: Vec<u32>,
    free: Vec<u32>,
    newest: u32,
    oldest: u32,
    /// Uses that sliding windows tell apart.
    pub(super) uses: usize,
    /// Keys that changed since they were saved; `None` when nobody saves them.
    pub(super) changed: Option<std::collections::HashSet<Key, foldhash::fast::RandomState>>,
}

struct Node {
    key: Key,
    newer: u32,
    older: u32,
}

const NONE: u32 = u32::MAX;

impl Shard {
    pub(super) fn new(rates: usize) -> Self {
        Self {
            rates,
            nodes: Vec::new(),
            states: Vec::new(),
            table: Vec::new(),
            free: Vec::new(),
            newest: NONE,
            oldest: NONE,
            uses: 0,
            changed: None,
        }
    }

    pub(super) fn len(&self) -> usize {
        self.nodes.len() - self.free.len()
    }

    /// The states of `key`, without using it.
    pub(super) fn peek(&self, key: Key) -> Option<&[State]> {
        let place = self.table[self.find(key)?] as usize;
        Some(&self.states[place * self.rates..][..self.rates])
    }

    /// The place of `key`, which is now the most recently used; of `most` keys the least recently used goes.
    pub(super) fn touch(&mut self, key: Key, most: usize) -> u32 {
        match self.find(key) {
            Some(slot) => {
                let place = self.table[slot];
                if self.newest != place {
                    self.unlink(place);
                    self.link(place);
                }
                place
            }
            None => self.insert(key, most),
        }
    }

    /// The states of the key at `place`.
    pub(super) fn at(&mut self, place: u32) -> &mut [State] {
        &mut self.states[place as usize * self.rates..][..self.rates]
    }

    /// Forgets `key`.
    pub(super) fn remove(&mut self, key: Key) {
        let Some(slot) = self.find(key) else { return };
        let place = self.table[slot];
        self.unlink(place);
        self.vacate(slot);
        for state in &mut self.states[place as usize * self.rates..][..self.rates] {
            self.uses -= state.entries();
            *state = State::Unused;
        }
        self.free.push(place);
    }

    /// Another number of rates: states stay with the rate at the same place.
    pub(super) fn reshape(&mut self, rates: usize) {
        if rates == self.rates {
            return;
        }
        let mut states = std::mem::take(&mut self.states).into_iter();
        for _ in 0..self.nodes.len() {
            let mut own: Vec<State> = states.by_ref().take(self.rates).collect();
            own.drain(rates.min(own.len())..).for_each(|state| self.uses -= state.entries());
            own.resize_with(rates, State::default);
            self.states.extend(own);
        }
        self.rates = rates;
    }

    /// Every key with its states, the least recently used first.
    pub(super) fn iter(&self) -> impl Iterator<Item = (Key, &[State])> {
        let next = |place: &u32| Some(self.nodes[*place as usize].newer).filter(|place| *place != NONE);
        let places = std::iter::successors(Some(self.oldest).filter(|place| *place != NONE), next);
        places.map(|place| {
            let place = place as usize;
            (self.nodes[place].key, &self.states[place * self.rates..][..self.rates])
        })
    }

    fn insert(&mut self, key: Key, most: usize) -> u32 {
        while self.len() >= most.max(1) {
            let oldest = self.nodes[self.oldest as usize].key;
            self.remove(oldest);
        }
        if (self.len() + 1) * 4 > self.table.len() * 3 {
            self.grow();
        }
        let node = Node { key, newer: NONE, older: NONE };
        let place = match self.free.pop() {
            Some(place) => {
                self.nodes[place as usize] = node;
                place
            }
            None => {
                self.nodes.push(node);
                self.states.resize_with(self.nodes.len() * self.rates, State::default);
                u32::try_from(self.nodes.len() - 1).expect("a limiter has ten million keys at most")
            }
        };
        let slot = self.vacant(key);
        self.table[slot] = place;
        self.link(place);
        place
    }

    fn grow(&mut self) {
        let size = (self.table.len() * 2).max(8);
        let old = std::mem::replace(&mut self.table, vec![NONE; size]);
        for place in old.into_iter().filter(|place| *place != NONE) {
            let slot = self.vacant(self.nodes[place as usize].key);
            self.table[slot] = place;
        }
    }

    #[allow(clippy::cast_possible_truncation, reason = "any bits of the key will do; others choose the shard")]
    fn home(&self, key: Key) -> usize {
        key.1 as usize & (self.table.len() - 1)
    }

    /// Where in the table `key` is.
    fn find(&self, key: Key) -> Option<usize> {
        if self.table.is_empty() {
            return None;
        }
        let mut slot = self.home(key);
        loop {
            match self.table[slot] {
                NONE => return None,
                place if self.nodes[place as usize].key == key => return Some(slot),
                _ => slot = (slot + 1) & (self.table.len() - 1),
            }
        }
    }

    fn vacant(&self, key: Key) -> usize {
        let mut slot = self.home(key);
        while self.table[slot] != NONE {
            slot = (slot + 1) & (self.table.len() - 1);
        }
        slot
    }

    /// Empties a slot, and moves up who stands behind it and would not be found any more.
    fn vacate(&mut self, mut hole: usize) {
        let mask = self.table.len() - 1;
        let mut slot = (hole + 1) & mask;
        while self.table[slot] != NONE {
            let home = self.home(self.nodes[self.table[slot] as usize].key);
            if (slot.wrapping_sub(home) & mask) >= (slot.wrapping_sub(hole) & mask) {
                self.table[hole] = self.table[slot];
                hole = slot;
            }
            slot = (slot + 1) & mask;
        }
        self.table[hole] = NONE;
    }

    fn link(&mut self, place: u32) {
        let before = std::mem::replace(&mut self.newest, place);
        let node = &mut self.nodes[place as usize];
        (node.newer, node.older) = (NONE, before);
        match before {
            NONE => self.oldest = place,
            before => self.nodes[before as usize].newer = place,
        }
    }

    fn unlink(&mut self, place: u32) {
        let Node { newer, older, .. } = self.nodes[place as usize];
        match newer {
            NONE => self.newest = older,
            newer => self.nodes[newer as usize].older = older,
        }
        match older {
            NONE => self.oldest = newer,
            older => self.nodes[older as usize].newer = newer,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn mark(shard: &mut Shard, id: Key) -> bool {
        let place = shard.touch(id, 10);
        let states = shard.at(place);
        let known = states[0] != State::Unused;
        states[0] = State::Fixed { begin: 0, used: 1 };
        known
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        /// Keys that collide in the table, added, removed and driven out: a plain list in order of use says the same.
        #[test]
        fn it_agrees_with_a_plain_list(steps in prop::collection::vec((0u8..4, 0u64..24), 0..200)) {
            let (mut shard, mut list): (Shard, Vec<u64>) = (Shard::new(2), Vec::new());
            for (step, key) in steps {
                let id = Key(key, key / 5);
                let known = list.iter().position(|other| *other == key);
                prop_assert_eq!(shard.peek(id).is_some(), known.is_some());
                match step {
                    0 => {
                        shard.remove(id);
                        known.map(|place| list.remove(place));
                    }
                    _ => {
                        prop_assert_eq!(mark(&mut shard, id), known.is_some());
                        known.map(|place| list.remove(place));
                        list.push(key);
                        if list.len() > 10 {
                            list.remove(0);
                        }
                    }
                }
                prop_assert_eq!(shard.len(), list.len());
                let order: Vec<u64> = shard.iter().map(|(key, _)| key.0).collect();
                prop_assert_eq!(&order, &list);
            }
        }
    }
}
