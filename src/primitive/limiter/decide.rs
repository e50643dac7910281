//! One decision over several limits: either all of them are charged or none, whoever else asks at the same time.

use std::ptr::from_ref;
use std::time::Duration;

use parking_lot::Mutex;
use parking_lot::MutexGuard;

use super::Config;
use super::Decision;
use super::Limiter;
use super::Now;
use super::key::Key;
use super::shard::Shard;
use super::state::State;
use super::state::Terms;

/// A limit that is asked.
pub struct Ask<'a> {
    /// Which.
    pub limiter: &'a Limiter,
    /// For whom.
    pub key: Key,
    /// For how many.
    pub cost: u64,
    /// How many there must be room for; more than the cost where that is known only afterwards.
    pub need: u64,
    /// Rates chosen for this request instead of the limiter's own; no more of them.
    pub config: Option<&'a Config>,
}

/// What the limits of one decision said.
#[derive(Clone, Debug, Default)]
pub struct Verdict {
    /// For each limit asked, for each of its rates: after the charge when all had room.
    pub decisions: Vec<Decision>,
    /// For how long each, once used up, is so: `w` of a policy.
    pub spans: Vec<Duration>,
    /// The place among them of the first without room.
    pub refused: Option<usize>,
}

impl Verdict {
    fn clear(&mut self) {
        self.decisions.clear();
        self.spans.clear();
    }

    /// The first without room speaks, else the one with the smallest share left.
    pub fn tightest(&self) -> Decision {
        let share = |decision: &Decision| decision.left as f64 / decision.limit.max(1) as f64;
        let unlimited =
            Decision { ok: true, limit: u64::MAX, left: u64::MAX, reset: Duration::ZERO, retry_after: Duration::ZERO };
        match self.refused {
            Some(refused) => self.decisions[refused],
            None => self.decisions.iter().min_by(|a, b| share(a).total_cmp(&share(b))).copied().unwrap_or(unlimited),
        }
    }
}

/// An ask with its rates made ready.
struct Ready<'a> {
    ask: &'a Ask<'a>,
    terms: Vec<Terms>,
    keys: usize,
    lock: &'a Mutex<Shard>,
}

impl<'a> Ready<'a> {
    fn new(ask: &'a Ask<'a>, now: Now) -> Self {
        let own = if ask.config.is_some() { None } else { Some(ask.limiter.config.load()) };
        let config = ask.config.or_else(|| own.as_ref().map(|own| &***own)).expect("one of the two is there");
        let terms = config.rates.iter().map(|rate| Terms::of(rate, config, now)).collect();
        let keys = (config.keys / ask.limiter.shards.len()).max(1);
        Self { ask, terms, keys, lock: ask.limiter.shard(ask.key) }
    }

    /// Brings the states of the key up to date; where they are.
    fn settle(&self, shard: &mut Shard) -> u32 {
        let place = shard.touch(self.ask.key, self.keys);
        let mut gone = 0;
        for (state, terms) in shard.at(place).iter_mut().zip(&self.terms) {
            gone += state.entries();
            state.settle(terms);
            gone -= state.entries();
        }
        shard.uses -= gone;
        place
    }

    fn charge(&self, shard: &mut Shard, place: u32) {
        self.add(shard, place, |_, _| self.ask.cost);
    }

    /// Charges what `cost` says of each state, by its place.
    fn add(&self, shard: &mut Shard, place: u32, cost: impl Fn(usize, &State) -> u64) {
        let room = if shard.uses > 2 * self.keys.max(LEAST) { COARSE } else { FINE };
        let (mut before, mut after) = (0, 0);
        for (rate, (state, terms)) in shard.at(place).iter_mut().zip(&self.terms).enumerate() {
            before += state.entries();
            state.charge(terms, cost(rate, state), room);
            after += state.entries();
        }
        shard.uses = shard.uses + after - before;
        if let Some(changed) = &mut shard.changed {
            changed.insert(self.ask.key);
        }
    }

    /// What its rates say of `cost`, into `verdict`.
    fn decide(&self, states: &[State], cost: u64, verdict: &mut Verdict) {
        for (state, terms) in states.iter().zip(&self.terms) {
            let decision = state.decide(terms, cost);
            if !decision.ok && verdict.refused.is_none() {
                verdict.refused = Some(verdict.decisions.len());
            }
            verdict.decisions.push(decision);
            verdict.spans.push(terms.span());
        }
    }
}

/// Charges every ask if all have room, else none.
pub fn check(asks: &[Ask<'_>], now: Now) -> Verdict {
    let mut verdict = Verdict::default();
    if let [ask] = asks {
        let ready = Ready::new(ask, now);
        let shard = &mut *ready.lock.lock();
        let place = ready.settle(shard);
        ready.decide(shard.at(place), ask.need, &mut verdict);
        if verdict.refused.is_none() {
            ready.charge(shard, place);
            verdict.clear();
            ready.decide(shard.at(place), 0, &mut verdict);
            verdict.refused = None;
        }
        return verdict;
    }
    let ready: Vec<Ready<'_>> = asks.iter().map(|ask| Ready::new(ask, now)).collect();
    let mut locked = Locked::all(ready.iter().map(|ready| ready.lock));
    for (place, one) in ready.iter().enumerate() {
        // The same counter asked twice must have room for both.
        let same = |other: &&Ready<'_>| std::ptr::eq(other.lock, one.lock) && other.ask.key == one.ask.key;
        let cost =
            ready[..place].iter().filter(same).fold(one.ask.need, |sum, other| sum.saturating_add(other.ask.need));
        let shard = locked.of(one.lock);
        let place = one.settle(shard);
        one.decide(shard.at(place), cost, &mut verdict);
    }
    if verdict.refused.is_none() {
        for one in &ready {
            let shard = locked.of(one.lock);
            let place = one.settle(shard);
            one.charge(shard, place);
        }
        verdict.clear();
        for one in &ready {
            let shard = locked.of(one.lock);
            let place = one.settle(shard);
            one.decide(shard.at(place), 0, &mut verdict);
        }
        verdict.refused = None;
    }
    verdict
}

/// What [`check`] would say, charging nothing and remembering nothing.
pub(super) fn peek(ask: &Ask<'_>, now: Now) -> Verdict {
    let (ready, mut verdict) = (Ready::new(ask, now), Verdict::default());
    let known = ready.lock.lock().peek(ask.key).map(<[State]>::to_vec);
    let mut states = known.unwrap_or_else(|| vec![State::Unused; ready.terms.len()]);
    states.iter_mut().zip(&ready.terms).for_each(|(state, terms)| state.settle(terms));
    ready.decide(&states, ask.need, &mut verdict);
    verdict
}

/// Charges whether there is room or not.
pub(super) fn debit(ask: &Ask<'_>, now: Now) -> Verdict {
    let (ready, mut verdict) = (Ready::new(ask, now), Verdict::default());
    let shard = &mut *ready.lock.lock();
    let place = ready.settle(shard);
    ready.charge(shard, place);
    ready.decide(shard.at(place), 0, &mut verdict);
    verdict
}

/// Charges what is missing to `used`, rate by rate.
pub(super) fn learn(ask: &Ask<'_>, used: &[u64], now: Now) {
    let ready = Ready::new(ask, now);
    let shard = &mut *ready.lock.lock();
    let place = ready.settle(shard);
    ready.add(shard, place, |rate, state| used.get(rate).map_or(0, |used| used.saturating_sub(state.used())));
}

impl Ask<'_> {
    /// Charges whether there is room or not.
    pub fn debit(&self, now: Now) -> Verdict {
        debit(self, now)
    }

    /// What [`check`] would say, charging nothing.
    pub fn peek(&self, now: Now) -> Verdict {
        peek(self, now)
    }
}

/// Shards of several limiters, locked in the order of their addresses: nobody waits in a circle.
struct Locked<'a>(Vec<(*const Mutex<Shard>, MutexGuard<'a, Shard>)>);

impl<'a> Locked<'a> {
    fn all(locks: impl Iterator<Item = &'a Mutex<Shard>>) -> Self {
        let mut locks: Vec<&Mutex<Shard>> = locks.collect();
        locks.sort_unstable_by_key(|lock| from_ref(*lock));
        locks.dedup_by_key(|lock| from_ref(*lock));
        Self(locks.into_iter().map(|lock| (from_ref(lock), lock.lock())).collect())
    }

    fn of(&mut self, lock: &Mutex<Shard>) -> &mut Shard {
        let place = self.0.iter().position(|(own, _)| std::ptr::eq(*own, lock));
        &mut self.0[place.expect("every lock asked for was taken")].1
    }
}

/// How many uses of a key are told apart.
const FINE: usize = 64;
/// The same when a limiter has very many of them: its memory stays bounded.
const COARSE: usize = 4;
/// Below so many uses nobody counts memory.
const LEAST: usize = 1000;
