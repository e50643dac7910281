//! Values of the script's own in a space: kept for a while, loaded once for all who want them.

use std::any::Any;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

use crate::cache::Space;
use crate::cache::purge::State;
use crate::cache::space::Slot;
use crate::clock::Moment;

/// A value, and until when it may be used.
pub struct Valued {
    /// Plain data; what it is, the caller knows.
    pub data: Arc<dyn Any + Send + Sync>,
    /// About how many bytes it takes.
    pub bytes: usize,
    /// Fresh until then.
    pub fresh: Moment,
    /// Served until then while it is loaded anew.
    pub stale: Moment,
    /// The count of purges when it was asked for.
    pub born: u64,
    /// What it may be purged by.
    pub tags: Box<[Box<str>]>,
}

/// What became of a load.
#[derive(Clone)]
pub enum Loaded {
    /// This value; `None`: there is none, which is not stored.
    Value(Option<Arc<dyn Any + Send + Sync>>),
    /// It failed, with this message.
    Failed(Arc<str>),
}

/// Who loads.
pub enum Turn {
    /// This caller; the others are told by the loader.
    Mine(Loader),
    /// Another; what comes is told here.
    Other(watch::Receiver<Option<Loaded>>),
}

/// The right and duty to bring a value; dropped without one, those who wait learn that it failed.
pub struct Loader {
    space: Arc<Space>,
    key: Box<str>,
    told: watch::Sender<Option<Loaded>>,
    /// The count of purges when it began.
    pub born: u64,
}

impl Valued {
    /// A value that is fresh for `ttl` from `now` on, and then stale for `stale`.
    pub fn new(data: Arc<dyn Any + Send + Sync>, bytes: usize, now: Moment, ttl: Duration, stale: Duration) -> Self {
        let fresh = now.after(ttl);
        Self { data, bytes, fresh, stale: fresh.after(stale), born: 0, tags: Box::default() }
    }

    /// With what it may be purged by, asked for at this count of purges.
    pub fn tagged(self, tags: Vec<Box<str>>, born: u64) -> Self {
        Self { tags: tags.into(), born, ..self }
    }

    pub(super) fn weight(&self) -> usize {
        self.bytes + self.tags.iter().map(|tag| tag.len() + 16).sum::<usize>() + 256
    }
}

impl Space {
    /// The value of `key`, and whether it is still fresh; none that is past its time.
    pub fn value(&self, key: &str, now: Moment) -> Option<(Arc<Valued>, bool)> {
        let Some(Slot::Value(value)) = self.stored().get(named(key).as_bytes()) else { return None };
        let state = self.purges().state(value.born, value.tags.iter().map(|tag| &**tag), "");
        let fresh = now < value.fresh && state == State::Valid;
        (state != State::Gone && (fresh || now < value.stale)).then_some((value, fresh))
    }

    /// Puts a value.
    pub fn put(&self, key: &str, value: Valued) {
        self.stored().insert(named(key).into_bytes().into(), Slot::Value(Arc::new(value)));
    }

    /// Takes a value out; whether there was one.
    pub fn delete(&self, key: &str) -> bool {
        self.stored().remove(named(key).as_bytes()).is_some()
    }

    /// Loads `key`, or waits for who does so already.
    pub fn load(self: &Arc<Self>, key: &str) -> Turn {
        let mut loads = self.loads.lock();
        if let Some(told) = loads.get(key) {
            return Turn::Other(told.subscribe());
        }
        let told = watch::Sender::new(None);
        loads.insert(key.into(), told.clone());
        Turn::Mine(Loader { space: Arc::clone(self), key: key.into(), told, born: self.purges().now() })
    }
}

impl Loader {
    /// The value is there, stored already where it is to be; or there is none.
    pub fn done(self, loaded: Loaded) {
        self.told.send_replace(Some(loaded));
    }

    /// Where others learn what comes of it.
    pub fn watch(&self) -> watch::Receiver<Option<Loaded>> {
        self.told.subscribe()
    }
}

impl Drop for Loader {
    fn drop(&mut self) {
        self.space.loads.lock().remove(&self.key);
        self.told.send_if_modified(|told| {
            let untold = told.is_none();
            if untold {
                *told = Some(Loaded::Failed("the loader was stopped".into()));
            }
            untold
        });
    }
}

/// Keys of values among those of answers, which begin with a scheme or a method.
fn named(key: &str) -> String {
    format!("\n{key}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(value: &Valued) -> &str {
        value.data.downcast_ref::<&str>().expect("a text was put")
    }

    fn valued(data: &'static str, ttl: u64, stale: u64) -> Valued {
        Valued::new(Arc::new(data), 10, Moment::default(), Duration::from_secs(ttl), Duration::from_secs(stale))
    }

    const SECOND: u64 = 1_000_000_000;

    #[test]
    fn a_value_is_fresh_then_stale_then_gone() {
        let space = Space::new(1 << 20);
        space.put("k", valued("v", 10, 5));
        let at = |seconds: u64| {
            space.value("k", Moment(seconds * SECOND)).map(|(value, fresh)| (text(&value).to_owned(), fresh))
        };
        assert_eq!(at(9), Some(("v".to_owned(), true)));
        assert_eq!(at(14), Some(("v".to_owned(), false)));
        assert_eq!(at(15), None);
        assert!(space.delete("k") && !space.delete("k"));
        assert_eq!(at(1), None);
    }

    #[test]
    fn purges_reach_values_by_tag() {
        let space = Space::new(1 << 20);
        let born = space.purges().now();
        space.put("soft", valued("v", 10, 5).tagged(vec!["a".into()], born));
        space.put("hard", valued("v", 10, 5).tagged(vec!["b".into()], born));
        space.purges().tag("a", false);
        space.purges().tag("b", true);
        assert_eq!(space.value("soft", Moment::default()).map(|(_, fresh)| fresh), Some(false));
        assert!(space.value("hard", Moment::default()).is_none());
    }

    #[test]
    fn one_loads_and_the_others_are_told_whatever_happens() {
        let space = Space::new(1 << 20);
        let Turn::Mine(loader) = space.load("k") else { panic!("nobody loads yet") };
        let Turn::Other(told) = space.load("k") else { panic!("somebody loads") };
        loader.done(Loaded::Value(None));
        assert!(matches!(&*told.borrow(), Some(Loaded::Value(None))));
        let Turn::Mine(loader) = space.load("k") else { panic!("that load is over") };
        let Turn::Other(told) = space.load("k") else { panic!("somebody loads") };
        drop(loader);
        assert!(matches!(&*told.borrow(), Some(Loaded::Failed(_))));
    }
}
