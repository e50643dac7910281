//! Key sets whose address is only known while requests run (a function says it, or a call of `jwt.verify`).

use std::sync::Arc;

use parking_lot::Mutex;

use crate::lru::Lru;
use crate::script::live::Kept as _;
use crate::script::live::KeySet;
use crate::script::live::Source;

/// Such sets, shared by workers and generations. However many addresses are named, only those used last are kept.
#[derive(Default)]
pub struct KeyRing(Mutex<Lru<Arc<KeySet>>>);

impl KeyRing {
    /// The set of this address; nothing was fetched yet when it is new.
    pub fn set(&self, source: &Source) -> Arc<KeySet> {
        let mut sets = self.0.lock();
        let set = Arc::clone(sets.get_or_insert_with(&source.identity(), || Arc::new(KeySet::make(source.clone()))));
        while sets.len() > MOST {
            sets.pop_oldest();
        }
        set
    }
}

/// Most addresses at once.
const MOST: usize = 200;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sets_used_last_are_kept() {
        let ring = KeyRing::default();
        let source = |n: usize| Source { address: format!("https://{n}.example/jwks"), discovery: false };
        let first = ring.set(&source(0));
        for n in 1..MOST {
            ring.set(&source(n));
        }
        assert!(Arc::ptr_eq(&first, &ring.set(&source(0))));
        let second = ring.set(&source(1));
        ring.set(&source(MOST));
        assert!(Arc::ptr_eq(&first, &ring.set(&source(0))), "it was used lately");
        assert!(Arc::ptr_eq(&second, &ring.set(&source(1))) && ring.0.lock().len() == MOST);
    }
}
