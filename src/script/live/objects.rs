//! What policies keep between requests and across reloads (counters, permits), by identity.

use std::any::Any;
use std::collections::BTreeMap;
use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::Mutex;
use serde::Serialize;
use serde::de::DeserializeOwned;

/// Something that outlives generations: made once for an identity, changed in place when its declaration changes.
pub trait Kept: Send + Sync + Sized + 'static {
    /// How it was declared; plain data, equal text is an unchanged object.
    type Config: Serialize + DeserializeOwned;

    /// One that nothing was done with.
    fn make(config: Self::Config) -> Self;

    /// Another declaration from now on; what was used stays used.
    fn change(&self, config: Self::Config);
}

/// Objects of every kind.
#[derive(Default)]
pub(super) struct Objects(Mutex<HashMap<String, Entry>>);

struct Entry {
    object: Arc<dyn Any + Send + Sync>,
    config: String,
    change: fn(&(dyn Any + Send + Sync), &str),
}

impl Objects {
    /// The object of this identity, made with `config` when there is none of its kind yet.
    pub(super) fn get<T: Kept>(&self, identity: &str, config: &str) -> Option<Arc<T>> {
        let mut objects = self.0.lock();
        let known = objects.get(identity).and_then(|entry| Arc::clone(&entry.object).downcast::<T>().ok());
        if known.is_some() {
            return known;
        }
        let made = Arc::new(T::make(serde_json::from_str(config).ok()?));
        let object: Arc<dyn Any + Send + Sync> = Arc::<T>::clone(&made);
        objects.insert(identity.to_owned(), Entry { object, config: config.to_owned(), change: change::<T> });
        Some(made)
    }

    /// What `declared` has with another configuration is changed, what it does not have is let go.
    pub(super) fn commit(&self, declared: &BTreeMap<String, String>) {
        self.0.lock().retain(|identity, entry| {
            let Some(config) = declared.get(identity) else { return false };
            if entry.config != *config {
                (entry.change)(&*entry.object, config);
                entry.config.clone_from(config);
            }
            true
        });
    }
}

fn change<T: Kept>(object: &(dyn Any + Send + Sync), config: &str) {
    if let (Some(object), Ok(config)) = (object.downcast_ref::<T>(), serde_json::from_str(config)) {
        object.change(config);
    }
}
