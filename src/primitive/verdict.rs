//! What an external authorizer said lately, by key.

use bytes::Bytes;
use parking_lot::Mutex;

use super::codec::hex_encode;
use super::digest::Hash;
use crate::clock::Moment;
use crate::lru::Lru;

/// What it said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// 2xx carries on, anything else is the answer.
    pub status: u16,
    /// Fields for the request, or of the answer.
    pub headers: Vec<(String, String)>,
    /// The answer's body.
    pub body: Bytes,
}

/// Verdicts; bounded, the least recently used go.
#[derive(Default)]
pub struct Verdicts(Mutex<Lru<(Verdict, Moment)>>);

impl Verdicts {
    /// Verdicts kept at most.
    pub const MOST: usize = 10_000;
    /// A larger body is not kept.
    pub const LARGEST: usize = 4 << 10;

    /// What was said of `key`, if that still holds at `now`.
    pub fn recall(&self, key: &[u8], now: Moment) -> Option<Verdict> {
        let key = name(key);
        let mut entries = self.0.lock();
        let (verdict, until) = entries.get(&key)?;
        if *until > now {
            return Some(verdict.clone());
        }
        entries.remove(&key);
        None
    }

    /// Notes what was said of `key`, until then.
    pub fn keep(&self, key: &[u8], verdict: Verdict, until: Moment) {
        let fields: usize = verdict.headers.iter().map(|(name, value)| name.len() + value.len()).sum();
        if verdict.body.len() + fields > Self::LARGEST {
            return;
        }
        let mut entries = self.0.lock();
        entries.insert(&name(key), (verdict, until));
        while entries.len() > Self::MOST && entries.pop_oldest().is_some() {}
    }

    /// Forgets all: they were said of something else.
    pub fn clear(&self) {
        *self.0.lock() = Lru::default();
    }

    /// How many are kept.
    pub fn len(&self) -> usize {
        self.0.lock().len()
    }

    /// Whether none is.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// Keys may be credentials: their hash does as well.
fn name(key: &[u8]) -> String {
    hex_encode(Hash::Sha256.digest(key))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::clock::Clock;

    fn verdict(status: u16, body: &str) -> Verdict {
        Verdict { status, headers: vec![("x-user".into(), "ann".into())], body: body.to_owned().into() }
    }

    #[test]
    fn a_verdict_holds_for_its_key_and_time() {
        let clock = Clock::fake(Duration::from_secs(1_800_000_000));
        let verdicts = Verdicts::default();
        verdicts.keep(b"k", verdict(200, ""), clock.now().after(Duration::from_secs(10)));
        assert_eq!(verdicts.recall(b"k", clock.now()), Some(verdict(200, "")));
        assert_eq!(verdicts.recall(b"K", clock.now()), None);
        clock.advance(Duration::from_secs(10));
        assert_eq!((verdicts.recall(b"k", clock.now()), verdicts.is_empty()), (None, true));
        verdicts.keep(b"k", verdict(403, "no"), Moment::NEVER);
        verdicts.clear();
        assert_eq!(verdicts.recall(b"k", clock.now()), None);
    }

    #[test]
    fn they_are_bounded_in_number_and_size() {
        let clock = Clock::fake(Duration::from_secs(1_800_000_000));
        let verdicts = Verdicts::default();
        verdicts.keep(b"large", verdict(403, &"x".repeat(Verdicts::LARGEST)), Moment::NEVER);
        assert!(verdicts.is_empty());
        for key in 0..=Verdicts::MOST {
            verdicts.keep(&key.to_le_bytes(), verdict(200, ""), Moment::NEVER);
        }
        assert_eq!(verdicts.len(), Verdicts::MOST);
        assert_eq!(verdicts.recall(&0_usize.to_le_bytes(), clock.now()), None);
    }
}
