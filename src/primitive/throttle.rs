//! Throttles: what comes too fast waits for its turn, in the order it came, up to a longest wait.

use std::collections::HashMap;
use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::Arc;
use std::task::Context;
use std::task::Poll;
use std::time::Duration;

use foldhash::quality::RandomState;
use parking_lot::Mutex;
use serde::Deserialize;
use serde::Serialize;

use crate::clock::Clock;
use crate::clock::Moment;
use crate::clock::Sleep;
use crate::primitive::rate::Rate;
use crate::primitive::turn::Turn;

/// How fast.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Turns come evenly.
    pub rate: Rate,
    /// So many may go at once after a pause.
    pub burst: u32,
    /// Longest wait for a turn.
    pub max_wait: Duration,
}

/// A line for each key; keys whose line has emptied are forgotten.
pub struct Throttle(Mutex<Inner>);

struct Inner {
    config: Config,
    lines: HashMap<Box<[u8]>, Line, RandomState>,
    /// With so many lines, those that are over go.
    sweep: usize,
}

#[derive(Default)]
struct Line {
    /// When the next turn is, in nanoseconds.
    next: u64,
    waiting: VecDeque<Arc<Turn>>,
}

/// What came of asking.
pub enum Entry {
    /// Go ahead.
    Go,
    /// Wait.
    Waiter(Waiter),
    /// The wait would be too long: when it would not be.
    Full(Duration),
}

/// A wait for a turn; dropping it gives the turn to those behind.
pub struct Waiter {
    all: Arc<Throttle>,
    key: Box<[u8]>,
    turn: Arc<Turn>,
    sleep: Option<(u64, Sleep)>,
}

impl Config {
    /// Rounded up: never faster than the rate.
    fn interval(&self) -> u64 {
        let period = u64::try_from(self.rate.period().as_nanos()).unwrap_or(u64::MAX);
        period.div_ceil(self.rate.count).max(1)
    }
}

impl Throttle {
    /// Nobody waits.
    pub fn new(config: Config) -> Self {
        Self(Mutex::new(Inner { config, lines: HashMap::default(), sweep: SWEEP }))
    }

    /// Another rate for those who come from now on.
    pub fn configure(&self, config: Config) {
        self.0.lock().config = config;
    }

    /// A turn for `key`.
    pub fn enter(self: &Arc<Self>, key: &[u8], now: Moment) -> Entry {
        let mut inner = self.0.lock();
        let config = inner.config;
        let (interval, now) = (config.interval(), now.0);
        inner.sweep(now);
        let line = inner.lines.entry(key.into()).or_default();
        // After a pause so many turns lie in the past.
        let saved = interval.saturating_mul(u64::from(config.burst.max(1) - 1));
        let due = line.next.max(now.saturating_sub(saved));
        let wait = Duration::from_nanos(due.saturating_sub(now));
        if wait > config.max_wait {
            return Entry::Full(wait - config.max_wait);
        }
        line.next = due.saturating_add(interval);
        if wait.is_zero() {
            return Entry::Go;
        }
        let turn = Arc::new(Turn::new(due));
        line.waiting.push_back(Arc::clone(&turn));
        Entry::Waiter(Waiter { all: Arc::clone(self), key: key.into(), turn, sleep: None })
    }

    /// How many wait, of all keys.
    pub fn waiting(&self) -> usize {
        self.0.lock().lines.values().map(|line| line.waiting.len()).sum()
    }
}

impl Inner {
    fn sweep(&mut self, now: u64) {
        if self.lines.len() < self.sweep {
            return;
        }
        self.lines.retain(|_, line| !line.waiting.is_empty() || line.next > now);
        if self.lines.len() >= MOST {
            self.lines.retain(|_, line| !line.waiting.is_empty());
        }
        self.sweep = (self.lines.len() * 2).clamp(SWEEP, MOST);
    }
}

impl Waiter {
    /// Ready when its turn has come.
    pub fn poll(&mut self, clock: &Clock, cx: &mut Context<'_>) -> Poll<()> {
        self.turn.watch(cx.waker());
        loop {
            let due = self.turn.says();
            if clock.now().0 >= due {
                return Poll::Ready(());
            }
            let sleep = match &mut self.sleep {
                Some((until, sleep)) if *until == due => sleep,
                other => &mut other.insert((due, clock.sleep_until(Moment(due)))).1,
            };
            match Pin::new(sleep).poll(cx) {
                Poll::Pending => return Poll::Pending,
                // Timers have a grain of their own.
                Poll::Ready(()) => self.sleep = None,
            }
        }
    }

    /// Its turn has come and is taken.
    pub fn take(self, clock: &Clock) {
        debug_assert!(clock.now().0 >= self.turn.says());
        let mut inner = self.all.0.lock();
        if let Some(line) = inner.lines.get_mut(&self.key) {
            line.waiting.retain(|turn| !Arc::ptr_eq(turn, &self.turn));
        }
    }
}

impl Drop for Waiter {
    fn drop(&mut self) {
        let mut inner = self.all.0.lock();
        let interval = inner.config.interval();
        let Some(line) = inner.lines.get_mut(&self.key) else { return };
        let Some(place) = line.waiting.iter().position(|turn| Arc::ptr_eq(turn, &self.turn)) else { return };
        // Those behind get the turn of who stood before them.
        let mut free = self.turn.says();
        line.waiting.remove(place);
        for turn in line.waiting.iter().skip(place) {
            let own = turn.says();
            turn.say(free);
            free = own;
        }
        line.next = line.next.saturating_sub(interval).max(free);
    }
}

const SWEEP: usize = 1024;
const MOST: usize = 1_000_000;

#[cfg(test)]
mod tests {
    use std::task::Waker;

    use super::*;

    fn throttle(rate: &str, burst: u32, max_wait: u64) -> Arc<Throttle> {
        let rate = Rate::parse(rate).expect("a rate");
        Arc::new(Throttle::new(Config { rate, burst, max_wait: Duration::from_millis(max_wait) }))
    }

    fn waiter(entry: Entry) -> Waiter {
        match entry {
            Entry::Waiter(waiter) => waiter,
            Entry::Go => panic!("it went"),
            Entry::Full(wait) => panic!("full for {wait:?}"),
        }
    }

    fn ready(waiter: &mut Waiter, clock: &Clock) -> bool {
        waiter.poll(clock, &mut Context::from_waker(Waker::noop())).is_ready()
    }

    #[test]
    fn turns_come_evenly_in_the_order_asked_until_the_wait_is_too_long() {
        let (clock, all) = (Clock::fake(Duration::ZERO), throttle("10/s", 1, 250));
        assert!(matches!(all.enter(b"k", clock.now()), Entry::Go));
        let (mut a, mut b) = (waiter(all.enter(b"k", clock.now())), waiter(all.enter(b"k", clock.now())));
        let Entry::Full(wait) = all.enter(b"k", clock.now()) else { panic!("a place at 300 ms") };
        assert_eq!(wait, Duration::from_millis(50));
        assert!(matches!(all.enter(b"other", clock.now()), Entry::Go));
        assert!(!ready(&mut a, &clock));
        clock.advance(Duration::from_millis(100));
        assert!(ready(&mut a, &clock) && !ready(&mut b, &clock));
        a.take(&clock);
        clock.advance(Duration::from_millis(100));
        assert!(ready(&mut b, &clock));
        b.take(&clock);
        assert_eq!(all.waiting(), 0);
        assert!(!matches!(all.enter(b"k", clock.now()), Entry::Go));
    }

    #[test]
    fn who_leaves_gives_the_turn_to_those_behind() {
        let (clock, all) = (Clock::fake(Duration::ZERO), throttle("10/s", 1, 1000));
        assert!(matches!(all.enter(b"k", clock.now()), Entry::Go));
        let line: Vec<_> = (0..4).map(|_| waiter(all.enter(b"k", clock.now()))).collect();
        let [a, b, mut c, mut d]: [Waiter; 4] = line.try_into().ok().expect("four");
        assert!(!ready(&mut c, &clock));
        drop(a);
        drop(b);
        clock.advance(Duration::from_millis(100));
        assert!(ready(&mut c, &clock) && !ready(&mut d, &clock));
        clock.advance(Duration::from_millis(100));
        assert!(ready(&mut d, &clock));
        c.take(&clock);
        d.take(&clock);
        let mut next = waiter(all.enter(b"k", clock.now()));
        clock.advance(Duration::from_millis(100));
        assert!(ready(&mut next, &clock));
    }

    #[test]
    fn after_a_pause_a_burst_goes_at_once() {
        let (clock, all) = (Clock::fake(Duration::from_secs(9)), throttle("10/s", 3, 1000));
        clock.advance(Duration::from_secs(5));
        let went = (0..5).filter(|_| matches!(all.enter(b"k", clock.now()), Entry::Go)).count();
        assert_eq!(went, 3);
    }

    #[test]
    fn lines_that_are_over_are_forgotten() {
        let (clock, all) = (Clock::fake(Duration::ZERO), throttle("10/s", 1, 0));
        for key in 0..10_000u32 {
            all.enter(&key.to_be_bytes(), clock.now());
            clock.advance(Duration::from_millis(1));
        }
        assert!(all.0.lock().lines.len() <= 2 * SWEEP);
    }
}
