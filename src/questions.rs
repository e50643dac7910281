//! One question at a time: whoever asks what is being asked already waits for that answer.

use std::collections::HashMap;
use std::sync::Arc;

use foldhash::quality::RandomState;
use parking_lot::Mutex;
use tokio::sync::watch;

/// Questions under way, by key; shared by all workers.
pub struct Questions<A>(Mutex<HashMap<Box<str>, Asked<A>, RandomState>>);

struct Asked<A> {
    /// When it was asked, as the caller counts.
    born: u64,
    answer: watch::Receiver<Option<A>>,
}

/// Whose turn it is to ask.
pub enum Turn<A> {
    /// The caller's.
    Mine(Asking<A>),
    /// Another asks.
    Other(Answer<A>),
}

/// The right and duty to bring an answer; dropped without one, those who wait are told that none comes.
pub struct Asking<A> {
    questions: Arc<Questions<A>>,
    key: Box<str>,
    answer: watch::Sender<Option<A>>,
}

/// An answer that another brings.
pub struct Answer<A>(watch::Receiver<Option<A>>);

impl<A> Default for Questions<A> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<A> Questions<A> {
    /// Asks `key` at the time `born`, or waits for who does so already, if an answer of that one's time `will_do`.
    pub fn ask(self: &Arc<Self>, key: &str, born: u64, will_do: impl FnOnce(u64) -> bool) -> Turn<A> {
        let mut asked = self.0.lock();
        if let Some(known) = asked.get(key).filter(|known| will_do(known.born)) {
            return Turn::Other(Answer(known.answer.clone()));
        }
        let (sender, answer) = watch::channel(None);
        asked.insert(key.into(), Asked { born, answer });
        Turn::Mine(Asking { questions: Arc::clone(self), key: key.into(), answer: sender })
    }

    /// How many are under way.
    pub fn len(&self) -> usize {
        self.0.lock().len()
    }

    /// Whether none is.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl<A> Asking<A> {
    /// Here it is, for all who wait.
    pub fn done(self, answer: A) {
        self.answer.send_replace(Some(answer));
    }

    /// A place among those who wait.
    pub fn answer(&self) -> Answer<A> {
        Answer(self.answer.subscribe())
    }
}

impl<A> Drop for Asking<A> {
    fn drop(&mut self) {
        let mut asked = self.questions.0.lock();
        // The key may be that of a later question by now.
        if asked.get(&self.key).is_some_and(|known| known.answer.same_channel(&self.answer.subscribe())) {
            asked.remove(&self.key);
        }
    }
}

impl<A: Clone> Answer<A> {
    /// The answer, once it is there; `None`: whoever asked has given up.
    pub async fn told(mut self) -> Option<A> {
        self.0.wait_for(Option::is_some).await.ok()?.clone()
    }

    /// The answer, if it is there already.
    #[cfg(test)]
    pub(crate) fn now(&self) -> Option<A> {
        self.0.borrow().clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mine(questions: &Arc<Questions<u8>>, born: u64) -> Asking<u8> {
        match questions.ask("k", born, |other| other == born) {
            Turn::Mine(asking) => asking,
            Turn::Other(_) => panic!("somebody asks already"),
        }
    }

    fn other(questions: &Arc<Questions<u8>>, born: u64) -> Answer<u8> {
        match questions.ask("k", born, |other| other == born) {
            Turn::Mine(_) => panic!("nobody asks"),
            Turn::Other(answer) => answer,
        }
    }

    #[test]
    fn one_asks_and_the_others_are_told() {
        let questions = Arc::default();
        let asking = mine(&questions, 0);
        let (second, own) = (other(&questions, 0), asking.answer());
        assert!(matches!(questions.ask("other", 0, |_| true), Turn::Mine(_)));
        asking.done(7);
        assert_eq!((second.now(), own.now()), (Some(7), Some(7)));
        assert!(questions.is_empty());
    }

    #[test]
    fn those_who_wait_hear_that_no_answer_comes() {
        let questions = Arc::default();
        let asking = mine(&questions, 0);
        let second = other(&questions, 0);
        drop(asking);
        assert!(second.now().is_none() && second.0.has_changed().is_err(), "it is over");
        mine(&questions, 0).done(1);
    }

    #[test]
    fn a_question_of_another_time_is_another_one() {
        let questions = Arc::default();
        let old = mine(&questions, 0);
        let before = other(&questions, 0);
        let new = mine(&questions, 1);
        old.done(1);
        assert_eq!(before.now(), Some(1));
        let after = other(&questions, 1);
        new.done(2);
        assert_eq!(after.now(), Some(2));
        assert!(questions.is_empty());
    }
}
