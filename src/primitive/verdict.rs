//! What an external authorizer said lately, by key; of one key it is asked once at a time.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;

use bytes::Bytes;
use parking_lot::Mutex;

use super::codec::hex_encode;
use super::digest::Hash;
use crate::clock::Moment;
use crate::lru::Lru;
use crate::questions::Answer;
use crate::questions::Asking;
use crate::questions::Questions;
use crate::questions::Turn;

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

/// What became of a question, for those who wait.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Said {
    /// This holds for all of the key.
    Verdict(Verdict),
    /// The answer is for whoever asked: everybody asks for themselves.
    Own,
    /// It cannot be found out, and why.
    Unavailable(Arc<str>),
}

/// Verdicts; bounded, the least recently used go.
#[derive(Default)]
pub struct Verdicts {
    known: Mutex<Lru<(Verdict, Moment)>>,
    asked: Arc<Questions<Said>>,
    /// Counts changes of who is asked: what was asked before one is not for those who come after it.
    time: AtomicU64,
}

/// A question under way, to be settled by [`Verdicts::settle`].
pub struct Pending {
    asking: Asking<Said>,
    name: String,
    born: u64,
}

impl Verdicts {
    /// Verdicts kept at most.
    pub const MOST: usize = 10_000;
    /// A larger body is not kept.
    pub const LARGEST: usize = 4 << 10;

    /// What was said of `key`, if that still holds at `now`.
    pub fn recall(&self, key: &[u8], now: Moment) -> Option<Verdict> {
        let key = name(key);
        let mut entries = self.known.lock();
        let (verdict, until) = entries.get(&key)?;
        if *until > now {
            return Some(verdict.clone());
        }
        entries.remove(&key);
        None
    }

    /// Whose turn it is to ask about `key`; with it, what settles the question.
    pub fn ask(&self, key: &[u8]) -> Result<Pending, Answer<Said>> {
        let (name, born) = (name(key), self.time.load(Ordering::Acquire));
        match self.asked.ask(&name, born, |other| other == born) {
            Turn::Mine(asking) => Ok(Pending { asking, name, born }),
            Turn::Other(answer) => Err(answer),
        }
    }

    /// Tells those who wait what became of a question, and keeps a verdict until then.
    pub fn settle(&self, pending: Pending, said: Said, until: Moment) {
        if let Said::Verdict(verdict) = &said
            && pending.born == self.time.load(Ordering::Acquire)
        {
            self.keep(&pending.name, verdict.clone(), until);
        }
        pending.asking.done(said);
    }

    fn keep(&self, name: &str, verdict: Verdict, until: Moment) {
        let fields: usize = verdict.headers.iter().map(|(name, value)| name.len() + value.len()).sum();
        if verdict.body.len() + fields > Self::LARGEST {
            return;
        }
        let mut entries = self.known.lock();
        entries.insert(name, (verdict, until));
        while entries.len() > Self::MOST && entries.pop_oldest().is_some() {}
    }

    /// Forgets all: they were said of something else.
    pub fn clear(&self) {
        self.time.fetch_add(1, Ordering::AcqRel);
        *self.known.lock() = Lru::default();
    }

    /// How many are kept.
    pub fn len(&self) -> usize {
        self.known.lock().len()
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

    fn keep(verdicts: &Verdicts, key: &[u8], verdict: Verdict, until: Moment) {
        let Ok(pending) = verdicts.ask(key) else { panic!("somebody asks already") };
        verdicts.settle(pending, Said::Verdict(verdict), until);
    }

    fn verdict(status: u16, body: &str) -> Verdict {
        Verdict { status, headers: vec![("x-user".into(), "ann".into())], body: body.to_owned().into() }
    }

    #[test]
    fn a_verdict_holds_for_its_key_and_time() {
        let clock = Clock::fake(Duration::from_secs(1_800_000_000));
        let verdicts = Verdicts::default();
        keep(&verdicts, b"k", verdict(200, ""), clock.now().after(Duration::from_secs(10)));
        assert_eq!(verdicts.recall(b"k", clock.now()), Some(verdict(200, "")));
        assert_eq!(verdicts.recall(b"K", clock.now()), None);
        clock.advance(Duration::from_secs(10));
        assert_eq!((verdicts.recall(b"k", clock.now()), verdicts.is_empty()), (None, true));
        keep(&verdicts, b"k", verdict(403, "no"), Moment::NEVER);
        verdicts.clear();
        assert_eq!(verdicts.recall(b"k", clock.now()), None);
    }

    #[test]
    fn they_are_bounded_in_number_and_size() {
        let clock = Clock::fake(Duration::from_secs(1_800_000_000));
        let verdicts = Verdicts::default();
        keep(&verdicts, b"large", verdict(403, &"x".repeat(Verdicts::LARGEST)), Moment::NEVER);
        assert!(verdicts.is_empty());
        for key in 0..=Verdicts::MOST {
            keep(&verdicts, &key.to_le_bytes(), verdict(200, ""), Moment::NEVER);
        }
        assert_eq!(verdicts.len(), Verdicts::MOST);
        assert_eq!(verdicts.recall(&0_usize.to_le_bytes(), clock.now()), None);
    }

    #[test]
    fn of_one_key_one_question_is_under_way() {
        let verdicts = Verdicts::default();
        let Ok(first) = verdicts.ask(b"k") else { panic!("nobody asks yet") };
        let (Err(second), Ok(_other)) = (verdicts.ask(b"k"), verdicts.ask(b"K")) else { panic!("one of each key") };
        verdicts.settle(first, Said::Own, Moment::NEVER);
        assert_eq!((second.now(), verdicts.is_empty()), (Some(Said::Own), true));
    }

    #[test]
    fn another_authorizer_is_asked_anew_and_the_old_one_s_word_is_not_kept() {
        let clock = Clock::fake(Duration::from_secs(1_800_000_000));
        let verdicts = Verdicts::default();
        let Ok(old) = verdicts.ask(b"k") else { panic!("nobody asks yet") };
        verdicts.clear();
        let Ok(new) = verdicts.ask(b"k") else { panic!("the old one's answer is not for this") };
        verdicts.settle(new, Said::Verdict(verdict(403, "")), Moment::NEVER);
        verdicts.settle(old, Said::Verdict(verdict(200, "")), Moment::NEVER);
        assert_eq!(verdicts.recall(b"k", clock.now()).map(|verdict| verdict.status), Some(403));
    }
}
