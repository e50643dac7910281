//! A map that knows which entry was used least recently; whoever holds it bounds it.

use std::collections::HashMap;
use std::sync::Arc;

use foldhash::quality::RandomState;

/// A map by text in order of use.
pub struct Lru<V> {
    places: HashMap<Arc<str>, u32, RandomState>,
    nodes: Vec<Option<Node<V>>>,
    free: Vec<u32>,
    newest: u32,
    oldest: u32,
}

struct Node<V> {
    key: Arc<str>,
    value: V,
    newer: u32,
    older: u32,
}

const NONE: u32 = u32::MAX;

impl<V> Default for Lru<V> {
    fn default() -> Self {
        Self { places: HashMap::default(), nodes: Vec::new(), free: Vec::new(), newest: NONE, oldest: NONE }
    }
}

impl<V> Lru<V> {
    /// How many entries there are.
    pub fn len(&self) -> usize {
        self.places.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.places.is_empty()
    }

    /// The value of `key`, without using it.
    pub fn peek(&self, key: &str) -> Option<&V> {
        self.places.get(key).map(|&place| &self.node(place).value)
    }

    /// The value of `key`, which is now the most recently used.
    pub fn get(&mut self, key: &str) -> Option<&mut V> {
        let place = *self.places.get(key)?;
        self.touch(place);
        Some(&mut self.node_mut(place).value)
    }

    /// Puts a value, the most recently used; gives back the one before.
    pub fn insert(&mut self, key: &str, value: V) -> Option<V> {
        if let Some(known) = self.get(key) {
            return Some(std::mem::replace(known, value));
        }
        let key: Arc<str> = key.into();
        let node = Some(Node { key: Arc::clone(&key), value, newer: NONE, older: NONE });
        let place = match self.free.pop() {
            Some(place) => {
                self.nodes[place as usize] = node;
                place
            }
            None => {
                self.nodes.push(node);
                u32::try_from(self.nodes.len() - 1).expect("maps are bounded far below four billion entries")
            }
        };
        self.places.insert(key, place);
        self.link(place);
        None
    }

    /// The value of `key`, made if there is none; it is now the most recently used.
    pub fn get_or_insert_with(&mut self, key: &str, make: impl FnOnce() -> V) -> &mut V {
        let place = match self.places.get(key) {
            Some(&place) => {
                self.touch(place);
                place
            }
            None => {
                self.insert(key, make());
                self.newest
            }
        };
        &mut self.node_mut(place).value
    }

    /// Takes an entry out.
    pub fn remove(&mut self, key: &str) -> Option<V> {
        let place = self.places.remove(key)?;
        self.unlink(place);
        self.free.push(place);
        self.nodes[place as usize].take().map(|node| node.value)
    }

    /// The entry that was used least recently.
    pub fn oldest(&self) -> Option<(&str, &V)> {
        (self.oldest != NONE).then(|| {
            let node = self.node(self.oldest);
            (&*node.key, &node.value)
        })
    }

    /// Takes out the entry that was used least recently.
    pub fn pop_oldest(&mut self) -> Option<(Arc<str>, V)> {
        if self.oldest == NONE {
            return None;
        }
        let key = Arc::clone(&self.node(self.oldest).key);
        self.remove(&key).map(|value| (key, value))
    }

    /// All entries, in no order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &V)> {
        self.nodes.iter().flatten().map(|node| (&*node.key, &node.value))
    }

    /// All entries, to be changed, in no order.
    pub fn values_mut(&mut self) -> impl Iterator<Item = &mut V> {
        self.nodes.iter_mut().flatten().map(|node| &mut node.value)
    }

    fn touch(&mut self, place: u32) {
        if self.newest != place {
            self.unlink(place);
            self.link(place);
        }
    }

    fn link(&mut self, place: u32) {
        let before = std::mem::replace(&mut self.newest, place);
        let node = self.node_mut(place);
        (node.newer, node.older) = (NONE, before);
        match before {
            NONE => self.oldest = place,
            before => self.node_mut(before).newer = place,
        }
    }

    fn unlink(&mut self, place: u32) {
        let (newer, older) = (self.node(place).newer, self.node(place).older);
        match newer {
            NONE => self.newest = older,
            newer => self.node_mut(newer).older = older,
        }
        match older {
            NONE => self.oldest = newer,
            older => self.node_mut(older).newer = newer,
        }
    }

    fn node(&self, place: u32) -> &Node<V> {
        self.nodes[place as usize].as_ref().expect("the map and the links name living nodes only")
    }

    fn node_mut(&mut self, place: u32) -> &mut Node<V> {
        self.nodes[place as usize].as_mut().expect("the map and the links name living nodes only")
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_least_recently_used_goes_first() {
        let mut lru = Lru::default();
        for key in ["a", "b", "c"] {
            lru.insert(key, key.to_owned());
        }
        lru.get("a");
        lru.peek("b");
        assert_eq!(lru.pop_oldest().map(|(key, _)| key.to_string()), Some("b".into()));
        assert_eq!(lru.insert("c", "new".into()), Some("c".into()));
        assert_eq!(lru.oldest().map(|(key, _)| key), Some("a"));
        assert_eq!((lru.remove("a"), lru.remove("a"), lru.len()), (Some("a".into()), None, 1));
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn it_agrees_with_a_plain_list(steps in prop::collection::vec((0u8..5, "[a-e]"), 0..60)) {
            let (mut lru, mut list): (Lru<usize>, Vec<(String, usize)>) = (Lru::default(), Vec::new());
            for (at, (step, key)) in steps.into_iter().enumerate() {
                let known = list.iter().position(|(other, _)| *other == key);
                match step {
                    4 => {
                        let value = *lru.get_or_insert_with(&key, || at);
                        let entry = known.map_or((key, at), |place| list.remove(place));
                        prop_assert_eq!(value, entry.1);
                        list.push(entry);
                    }
                    0 => {
                        prop_assert_eq!(lru.insert(&key, at), known.map(|place| list.remove(place).1));
                        list.push((key, at));
                    }
                    1 => {
                        prop_assert_eq!(lru.get(&key).copied(), known.map(|place| list[place].1));
                        if let Some(place) = known {
                            let entry = list.remove(place);
                            list.push(entry);
                        }
                    }
                    2 => prop_assert_eq!(lru.remove(&key), known.map(|place| list.remove(place).1)),
                    _ => {
                        let oldest = (!list.is_empty()).then(|| list.remove(0));
                        prop_assert_eq!(lru.pop_oldest().map(|(key, value)| (key.to_string(), value)), oldest);
                    }
                }
                prop_assert_eq!(lru.len(), list.len());
                prop_assert_eq!(lru.iter().count(), list.len());
            }
        }
    }
}
