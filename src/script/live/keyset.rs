//! Public keys of an issuer that are fetched: kept through outages, refreshed ahead, asked for again when a token names an
//! unknown one, but never more often than a forger's tokens could make us.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;
use std::time::Duration;

use arc_swap::ArcSwap;
use arc_swap::ArcSwapOption;
use parking_lot::Mutex;
use serde::Deserialize;
use serde::Serialize;
use tokio::sync::Notify;
use tokio::sync::watch;

use crate::clock::Moment;
use crate::lru::Lru;
use crate::primitive::jwt::Key;
use crate::script::live::Kept;

/// Where keys come from; all that share an address share the keys.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Source {
    /// `https://…`, or an upstream and a path.
    pub address: String,
    /// Whether the address is an OpenID provider's, whose document says where the keys are.
    pub discovery: bool,
}

impl Source {
    /// Its identity among live objects.
    pub(crate) fn identity(&self) -> String {
        format!("{KEYS}{} {}", if self.discovery { "discovery" } else { "jwks" }, self.address)
    }
}

/// The keys of one source, shared by workers and generations.
pub struct KeySet {
    source: Source,
    keys: ArcSwap<Vec<Key>>,
    version: AtomicU64,
    issuer: ArcSwapOption<String>,
    state: Mutex<State>,
    wanted: Notify,
    turns: watch::Sender<u64>,
}

#[derive(Default)]
struct State {
    /// When keys were had last.
    fetched: Option<Moment>,
    /// When they are fetched next.
    due: Option<Moment>,
    /// When an unknown id made us fetch.
    forced: Option<Moment>,
    failures: u32,
    fetching: bool,
    /// Ids that nobody has, until when.
    unknown: Lru<Moment>,
}

/// What to do about a token whose key is not there.
pub enum Ask {
    /// A fetch is under way: look again when this changes.
    Wait(watch::Receiver<u64>),
    /// It was looked for a moment ago.
    Unknown,
    /// There has never been a key.
    Nothing,
}

impl Kept for KeySet {
    type Config = Source;

    fn make(source: Source) -> Self {
        Self {
            source,
            keys: ArcSwap::default(),
            version: AtomicU64::new(0),
            issuer: ArcSwapOption::empty(),
            state: Mutex::default(),
            wanted: Notify::new(),
            turns: watch::Sender::new(0),
        }
    }

    fn change(&self, _: Source) {}
}

impl KeySet {
    /// Where they come from.
    pub fn source(&self) -> &Source {
        &self.source
    }

    /// The keys now.
    pub fn keys(&self) -> Arc<Vec<Key>> {
        self.keys.load_full()
    }

    /// Another number after each change of the keys.
    pub fn version(&self) -> u64 {
        self.version.load(Ordering::Acquire)
    }

    /// The issuer that discovery found.
    pub fn issuer(&self) -> Option<Arc<String>> {
        self.issuer.load_full()
    }

    /// How long ago the keys were fetched; `None` before they ever were.
    pub fn age(&self, now: Moment) -> Option<Duration> {
        self.state.lock().fetched.map(|fetched| now.since(fetched))
    }

    /// A token names `kid` (or none), which is not among the keys.
    pub fn ask(&self, kid: Option<&str>, now: Moment) -> Ask {
        let kid = kid.unwrap_or_default();
        let mut state = self.state.lock();
        if state.fetched.is_none() {
            return if state.failures == 0 || state.fetching {
                Ask::Wait(self.turns.subscribe())
            } else {
                Ask::Nothing
            };
        }
        if state.unknown.peek(kid).is_some_and(|until| now < *until) {
            return Ask::Unknown;
        }
        match state.forced {
            Some(forced) if now.since(forced) < INTERVAL => {
                if state.fetching || state.due == Some(forced) {
                    return Ask::Wait(self.turns.subscribe());
                }
                state.forget(kid, now);
                Ask::Unknown
            }
            _ => {
                state.forced = Some(now);
                state.due = Some(now);
                let turns = self.turns.subscribe();
                drop(state);
                self.wanted.notify_one();
                Ask::Wait(turns)
            }
        }
    }

    /// Keys were fetched and `kid` is still not among them.
    pub fn miss(&self, kid: Option<&str>, now: Moment) {
        self.state.lock().forget(kid.unwrap_or_default(), now);
    }

    /// When the next fetch is due.
    pub(crate) fn due(&self) -> Option<Moment> {
        self.state.lock().due
    }

    /// Ends when somebody wants the keys at once.
    pub(crate) async fn wanted(&self) {
        self.wanted.notified().await;
    }

    /// A fetch begins; it ends when the result is dropped.
    pub(crate) fn begin(self: &Arc<Self>) -> Turn {
        self.state.lock().fetching = true;
        Turn(Arc::clone(self))
    }

    /// Where nobody keeps the keys fresh all the time, whoever asks does: a fetch, if one is due and none under way.
    pub(crate) fn take_turn(self: &Arc<Self>, now: Moment) -> Option<Turn> {
        let mut state = self.state.lock();
        if state.fetching || state.due.is_some_and(|due| now < due) {
            return None;
        }
        state.fetching = true;
        Some(Turn(Arc::clone(self)))
    }

    /// Keys were fetched, to be kept for `fresh`; whether they are others than before.
    pub(crate) fn found(&self, keys: Vec<Key>, issuer: Option<String>, fresh: Duration, now: Moment) -> bool {
        let changed = **self.keys.load() != keys;
        if let Some(issuer) = issuer {
            self.issuer.store(Some(Arc::new(issuer)));
        }
        if changed {
            self.keys.store(Arc::new(keys));
            self.version.fetch_add(1, Ordering::Release);
        }
        let mut state = self.state.lock();
        if changed {
            state.unknown = Lru::default();
        }
        state.fetched = Some(now);
        state.failures = 0;
        state.due = Some(now.after(fresh / 2));
        self.over(&mut state);
        changed
    }

    /// Keys could not be fetched: those of before stay, and the next attempt is later each time.
    pub(crate) fn failed(&self, now: Moment) {
        let mut state = self.state.lock();
        let wait = SOONEST * 2_u32.pow(state.failures.min(8));
        state.failures += 1;
        state.due = Some(now.after(wait.min(LATEST)));
        self.over(&mut state);
    }

    /// Those who wait are told under the lock: whoever asks from now on waits for the next fetch, not for this one.
    fn over(&self, state: &mut State) {
        if std::mem::take(&mut state.fetching) {
            self.turns.send_modify(|turn| *turn += 1);
        }
    }
}

impl State {
    fn forget(&mut self, kid: &str, now: Moment) {
        self.unknown.insert(kid, now.after(INTERVAL));
        while self.unknown.len() > MOST_UNKNOWN {
            self.unknown.pop_oldest();
        }
    }
}

/// A fetch under way.
pub(crate) struct Turn(Arc<KeySet>);

impl Drop for Turn {
    fn drop(&mut self) {
        self.0.over(&mut self.0.state.lock());
    }
}

/// Before the address in an identity.
const KEYS: &str = "keys:";
/// Unknown ids make us fetch once in this time.
const INTERVAL: Duration = Duration::from_secs(30);
/// Ids remembered as unknown.
const MOST_UNKNOWN: usize = 1000;
/// After a failure the next attempt comes so soon, and each further one twice as late.
const SOONEST: Duration = Duration::from_secs(1);
/// And so late at most.
const LATEST: Duration = Duration::from_secs(120);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Clock;

    fn set() -> (Arc<KeySet>, Clock) {
        let set = KeySet::make(Source { address: "https://id.example/jwks".into(), discovery: false });
        (Arc::new(set), Clock::fake(Duration::from_secs(1_800_000_000)))
    }

    fn key(byte: u8) -> Key {
        Key::secret(&[byte; 32]).unwrap()
    }

    #[test]
    fn forged_ids_cause_one_fetch_in_thirty_seconds() {
        let (set, clock) = set();
        set.found(vec![key(1)], None, Duration::from_secs(300), clock.now());
        let mut fetches = 0;
        for n in 0..10_000 {
            if let Ask::Wait(_) = set.ask(Some(&format!("forged-{n}")), clock.now()) {
                if set.due() == Some(clock.now()) {
                    fetches += 1;
                }
                let turn = set.begin();
                set.found(vec![key(1)], None, Duration::from_secs(300), clock.now());
                drop(turn);
                set.miss(Some(&format!("forged-{n}")), clock.now());
            }
            clock.advance(Duration::from_millis(9));
        }
        assert_eq!(fetches, 3, "in 90 seconds");
        assert!(set.state.lock().unknown.len() <= MOST_UNKNOWN);
    }

    #[test]
    fn failures_keep_the_keys_and_come_later_each_time() {
        let (set, clock) = set();
        assert!(matches!(set.ask(None, clock.now()), Ask::Wait(_)), "the first fetch is on its way");
        set.failed(clock.now());
        assert!(matches!(set.ask(None, clock.now()), Ask::Nothing));
        assert!(set.found(vec![key(1)], None, Duration::from_secs(300), clock.now()));
        assert!(!set.found(vec![key(1)], None, Duration::from_secs(300), clock.now()), "the same keys");
        let version = set.version();
        let mut waits = Vec::new();
        for _ in 0..9 {
            set.failed(clock.now());
            waits.push(set.due().unwrap().since(clock.now()).as_secs());
        }
        assert_eq!(waits, [1, 2, 4, 8, 16, 32, 64, 120, 120]);
        assert_eq!((set.keys().len(), set.version()), (1, version));
        assert!(set.found(vec![key(2)], None, Duration::from_secs(300), clock.now()));
        assert_ne!(set.version(), version);
        assert_eq!(set.due().unwrap().since(clock.now()).as_secs(), 150, "refreshed at half time");
    }

    #[test]
    fn those_who_wait_are_told_when_a_fetch_ends_or_is_given_up() {
        let (set, clock) = set();
        set.found(vec![key(1)], None, Duration::from_secs(300), clock.now());
        let Ask::Wait(one) = set.ask(Some("a"), clock.now()) else { panic!() };
        let Ask::Wait(two) = set.ask(Some("b"), clock.now()) else { panic!("the same fetch") };
        let turn = set.begin();
        assert!(!one.has_changed().unwrap());
        drop(turn);
        assert!(one.has_changed().unwrap() && two.has_changed().unwrap());
    }
}
