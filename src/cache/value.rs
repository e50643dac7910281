//! Values of the script's own in a space: kept for a while, loaded once for all who want them.

use std::any::Any;
use std::sync::Arc;
use std::time::Duration;

use crate::cache::Space;
use crate::cache::purge::State;
use crate::cache::space::Slot;
use crate::clock::Moment;
use crate::questions::Turn;

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

    /// Loads `key`, or waits for who does so already, unless its tags were purged since; and the count of purges now.
    pub fn load(&self, key: &str, tags: &[Box<str>]) -> (Turn<Loaded>, u64) {
        let born = self.purges().now();
        let will_do = |born| self.purges().state(born, tags.iter().map(|tag| &**tag), "") == State::Valid;
        (self.loads.ask(key, born, will_do), born)
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
    fn who_asks_after_a_purge_does_not_join_a_load_of_before() {
        let space = Space::new(1 << 20);
        let tags: [Box<str>; 1] = ["a".into()];
        let (Turn::Mine(_loading), _) = space.load("k", &tags) else { panic!("nobody loads yet") };
        space.purges().tag("b", true);
        assert!(matches!(space.load("k", &tags).0, Turn::Other(_)), "that purge was about others");
        space.purges().tag("a", false);
        assert!(matches!(space.load("k", &tags).0, Turn::Mine(_)));
    }
}
