//! The steps that requests meet, as somebody who looks on sees them.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use crate::clock::Moment;
use crate::plan::Place;
use crate::proxy::Exchange;

/// Steps in the order they were met, of one request or of many.
#[derive(Default)]
pub struct Trail(RefCell<Vec<Trod>>);

/// A step that a request met.
#[derive(Clone, Debug)]
pub struct Trod {
    /// The exchange, by address: it is looked for while it lives only.
    exchange: usize,
    /// The policy's word, or `function`.
    pub word: String,
    /// `gateway`, `group` or `route`.
    pub level: &'static str,
    /// Where it stands.
    pub place: Place,
    /// What came of it.
    pub outcome: Outcome,
    /// What it changed of the request, one line each.
    pub changes: Vec<String>,
    /// When it was met.
    pub began: Moment,
    /// How long it took.
    pub took: Duration,
}

/// What came of a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It ended the request, or is still at it.
    Refused,
    /// The request went on.
    Passed,
    /// It made the answer.
    Answered,
    /// Its `when` did not hold.
    Skipped,
}

impl Outcome {
    /// Its word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Refused => "refused",
            Self::Passed => "passed",
            Self::Answered => "answered",
            Self::Skipped => "skipped",
        }
    }
}

impl Trod {
    /// A step that `exchange` meets at `began`.
    pub fn new(
        exchange: &Rc<Exchange>,
        (word, level, place): (&str, &'static str, &Place),
        outcome: Outcome,
        began: Moment,
    ) -> Self {
        Self {
            exchange: key(exchange),
            word: word.to_owned(),
            level,
            place: place.clone(),
            outcome,
            changes: Vec::new(),
            began,
            took: Duration::ZERO,
        }
    }
}

impl Trail {
    /// Notes a step; where it stands in the trail. A request that goes round in circles is not followed for ever.
    pub fn note(&self, trod: Trod) -> Option<usize> {
        let mut trail = self.0.borrow_mut();
        if trail.len() >= MOST {
            return None;
        }
        trail.push(trod);
        Some(trail.len() - 1)
    }

    /// Changes the note at `at`, unless it was taken meanwhile.
    pub fn change(&self, at: usize, exchange: &Rc<Exchange>, change: impl FnOnce(&mut Trod)) {
        if let Some(trod) = self.0.borrow_mut().get_mut(at).filter(|trod| trod.exchange == key(exchange)) {
            change(trod);
        }
    }

    /// Takes the steps that `exchange` met, in the order it met them.
    pub fn take(&self, exchange: &Rc<Exchange>) -> Vec<Trod> {
        let key = key(exchange);
        let mut trail = self.0.borrow_mut();
        let (own, others) = std::mem::take(&mut *trail).into_iter().partition(|trod| trod.exchange == key);
        *trail = others;
        own
    }
}

/// An exchange by its address; the request a twin was made of is the one that met the steps.
pub fn key(exchange: &Rc<Exchange>) -> usize {
    let mut first = exchange;
    while let Some(twin) = &first.twin_of {
        first = twin;
    }
    Rc::as_ptr(first).addr()
}

/// Steps that are noted at a time.
const MOST: usize = 1000;
