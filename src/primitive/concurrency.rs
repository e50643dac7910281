//! Concurrency: how many may be at something at once, and a bounded line of those who wait for a place.

use std::collections::HashMap;
use std::collections::VecDeque;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::Context;
use std::task::Poll;

use foldhash::quality::RandomState;
use parking_lot::Mutex;
use serde::Deserialize;
use serde::Serialize;

use crate::primitive::turn::Turn;

/// How many.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// At once.
    pub most: usize,
    /// Waiting.
    pub queue: usize,
}

/// Places for each key; only keys that somebody holds or waits for are remembered.
pub struct Concurrency(Mutex<Inner>);

struct Inner {
    config: Config,
    lines: HashMap<Box<[u8]>, Line, RandomState>,
}

#[derive(Default)]
struct Line {
    taken: usize,
    waiting: VecDeque<Arc<Turn>>,
}

/// What came of asking.
pub enum Entry {
    /// Go ahead.
    Permit(Permit),
    /// Wait.
    Waiter(Waiter),
    /// The line is full.
    Full,
}

/// A place, given back when dropped.
pub struct Permit {
    all: Arc<Concurrency>,
    key: Box<[u8]>,
}

/// A wait for a place; dropping it leaves the line.
pub struct Waiter {
    all: Arc<Concurrency>,
    key: Option<Box<[u8]>>,
    turn: Arc<Turn>,
}

const WAITS: u64 = 0;
const GRANTED: u64 = 1;

impl Concurrency {
    /// All places free.
    pub fn new(config: Config) -> Self {
        Self(Mutex::new(Inner { config, lines: HashMap::default() }))
    }

    /// Another number of places; who has one keeps it, and those in line get what is new.
    pub fn configure(&self, config: Config) {
        let mut inner = self.0.lock();
        inner.config = config;
        for line in inner.lines.values_mut() {
            while line.taken < config.most
                && let Some(turn) = line.waiting.pop_front()
            {
                line.taken += 1;
                turn.say(GRANTED);
            }
        }
    }

    /// A place for `key`, or one in the line.
    pub fn enter(self: &Arc<Self>, key: &[u8]) -> Entry {
        let mut inner = self.0.lock();
        let Config { most, queue } = inner.config;
        let line = inner.lines.entry(key.into()).or_default();
        if line.taken < most && line.waiting.is_empty() {
            line.taken += 1;
            return Entry::Permit(Permit { all: Arc::clone(self), key: key.into() });
        }
        if line.waiting.len() >= queue {
            return Entry::Full;
        }
        let turn = Arc::new(Turn::new(WAITS));
        line.waiting.push_back(Arc::clone(&turn));
        Entry::Waiter(Waiter { all: Arc::clone(self), key: Some(key.into()), turn })
    }

    /// How many hold a place and how many wait, of all keys.
    pub fn size(&self) -> (usize, usize) {
        let inner = self.0.lock();
        inner.lines.values().fold((0, 0), |(taken, waiting), line| (taken + line.taken, waiting + line.waiting.len()))
    }

    fn leave(&self, key: &[u8]) {
        let mut inner = self.0.lock();
        let most = inner.config.most;
        let Some(line) = inner.lines.get_mut(key) else { return };
        if line.taken <= most
            && let Some(turn) = line.waiting.pop_front()
        {
            turn.say(GRANTED);
            return;
        }
        line.taken -= 1;
        if line.taken == 0 && line.waiting.is_empty() {
            inner.lines.remove(key);
        }
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.all.leave(&self.key);
    }
}

impl Future for Waiter {
    type Output = Permit;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Permit> {
        let this = self.get_mut();
        this.turn.watch(cx.waker());
        if this.turn.says() != GRANTED {
            return Poll::Pending;
        }
        let key = this.key.take().expect("a wait that is over is not polled again");
        Poll::Ready(Permit { all: Arc::clone(&this.all), key })
    }
}

impl Drop for Waiter {
    fn drop(&mut self) {
        let Some(key) = self.key.take() else { return };
        let mut inner = self.all.0.lock();
        let line = inner.lines.get_mut(&key);
        let place = line.as_ref().and_then(|line| line.waiting.iter().position(|turn| Arc::ptr_eq(turn, &self.turn)));
        match (line, place) {
            (Some(line), Some(place)) => {
                line.waiting.remove(place);
            }
            // It was granted while nobody looked: the next one gets it.
            _ => {
                drop(inner);
                self.all.leave(&key);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicUsize;
    use std::sync::atomic::Ordering;
    use std::task::Waker;

    use super::*;

    fn places(most: usize, queue: usize) -> Arc<Concurrency> {
        Arc::new(Concurrency::new(Config { most, queue }))
    }

    fn permit(entry: Entry) -> Permit {
        match entry {
            Entry::Permit(permit) => permit,
            _ => panic!("no place"),
        }
    }

    fn waiter(entry: Entry) -> Waiter {
        match entry {
            Entry::Waiter(waiter) => waiter,
            _ => panic!("no wait"),
        }
    }

    fn poll(waiter: &mut Waiter) -> Option<Permit> {
        match Pin::new(waiter).poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(permit) => Some(permit),
            Poll::Pending => None,
        }
    }

    #[test]
    fn places_are_given_in_the_order_asked_and_whoever_leaves_the_line_lets_others_move_up() {
        let all = places(1, 3);
        let first = permit(all.enter(b"k"));
        let (mut a, b, mut c) = (waiter(all.enter(b"k")), waiter(all.enter(b"k")), waiter(all.enter(b"k")));
        assert!(matches!(all.enter(b"k"), Entry::Full));
        let other = permit(all.enter(b"other"));
        assert_eq!(all.size(), (2, 3));
        drop((b, other));
        assert!(poll(&mut a).is_none() && poll(&mut c).is_none());
        drop(first);
        assert!(poll(&mut c).is_none());
        let second = poll(&mut a).expect("the first in line");
        drop(second);
        drop(c);
        assert_eq!(all.size(), (0, 0), "one that was granted and never taken is given back");
        permit(all.enter(b"k"));
        assert!(all.0.lock().lines.is_empty());
    }

    #[test]
    fn another_number_of_places_counts_at_once() {
        let all = places(1, 5);
        let first = permit(all.enter(b"k"));
        let (mut a, mut b) = (waiter(all.enter(b"k")), waiter(all.enter(b"k")));
        all.configure(Config { most: 2, queue: 5 });
        let second = poll(&mut a).expect("there is a place more");
        assert!(poll(&mut b).is_none());
        all.configure(Config { most: 1, queue: 5 });
        drop(second);
        assert!(poll(&mut b).is_none(), "there is a place less");
        drop(first);
        assert!(poll(&mut b).is_some());
    }

    #[test]
    fn many_threads_are_never_more_than_allowed() {
        let (all, inside, most) = (places(3, 100), AtomicUsize::new(0), AtomicUsize::new(0));
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    for turn in 0..500 {
                        let got = match all.enter(b"k") {
                            Entry::Permit(permit) => Some(permit),
                            Entry::Waiter(waiter) if turn % 3 == 0 => {
                                drop(waiter);
                                None
                            }
                            Entry::Waiter(mut waiter) => loop {
                                if let Some(permit) = poll(&mut waiter) {
                                    break Some(permit);
                                }
                                std::thread::yield_now();
                            },
                            Entry::Full => None,
                        };
                        if let Some(permit) = got {
                            most.fetch_max(inside.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                            inside.fetch_sub(1, Ordering::SeqCst);
                            drop(permit);
                        }
                    }
                });
            }
        });
        assert!((1..=3).contains(&most.into_inner()));
        assert_eq!(all.size(), (0, 0));
    }
}
