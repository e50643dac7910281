//! Limits that several gateways count together in one place, and what holds while that place cannot be had.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use serde::Deserialize;
use serde::Serialize;

use crate::primitive::limiter;
use crate::primitive::limiter::Ask;
use crate::primitive::limiter::Config;
use crate::primitive::limiter::Decision;
use crate::primitive::limiter::Key;
use crate::primitive::limiter::Limiter;
use crate::primitive::limiter::Now;
use crate::primitive::limiter::Verdict;
use crate::primitive::limiter::Window;
use crate::store::redis::Fault;
use crate::store::redis::Line;
use crate::store::redis::limit;
use crate::store::redis::limit::Answer;
use crate::store::redis::limit::Verb;
use crate::telemetry::metrics::Counter;

/// Where counters are, as declared.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Place {
    /// The store's name.
    pub(crate) store: String,
    /// Count here, and bring counts together so often; `None`: ask for each decision.
    pub(crate) sync: Option<Duration>,
    /// What holds while the store cannot be had.
    pub(crate) on_error: OnError,
}

/// What holds while a store cannot be had.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum OnError {
    /// Each gateway counts for itself.
    #[default]
    Local,
    /// Everybody passes.
    Allow,
    /// Nobody passes.
    Deny,
}

/// One limit that is asked.
pub(crate) struct Wanted {
    /// Its counters here: what passed here, and what counts while the store is away.
    pub(crate) limiter: Arc<Limiter>,
    /// Who, there.
    pub(crate) name: Vec<u8>,
    /// Who, here.
    pub(crate) key: Key,
    /// For how many.
    pub(crate) cost: u64,
    /// For how many there must be room.
    pub(crate) need: u64,
    /// Rates chosen for this request.
    pub(crate) config: Option<Arc<Config>>,
}

/// What came of a question.
pub(crate) enum Told {
    /// The limits spoke.
    Verdict(Verdict),
    /// The store is away, and everybody passes.
    Unknown,
    /// The store is away, and nobody passes.
    Denied(Fault),
}

/// Counters in a store that other gateways use too.
pub(crate) struct Shared {
    line: Arc<Line>,
    place: Place,
    /// Uses that the store does not know of yet.
    owed: Mutex<HashMap<Vec<u8>, Wanted>>,
    degraded: Counter,
}

impl Shared {
    /// Counters at `place`, which is at the end of `line`.
    pub(super) fn open(line: Arc<Line>, place: Place, degraded: Counter) -> Arc<Self> {
        let shared = Arc::new(Self { line, place, owed: Mutex::default(), degraded });
        if let Some(every) = shared.place.sync {
            shared.line.spawn(keep(Arc::clone(&shared), every));
        }
        shared
    }

    /// Whether anybody has it but the list it is in, and its own task.
    pub(super) fn is_asked(self: &Arc<Self>) -> bool {
        Arc::strong_count(self) > 1 + usize::from(!self.waits())
    }

    /// Whether a decision waits for the store.
    pub(crate) fn waits(&self) -> bool {
        self.place.sync.is_none()
    }

    /// Asks the store; while it is away, what was declared for that holds.
    pub(crate) async fn ask(&self, verb: Verb, wanted: &[Wanted], now: Now) -> Told {
        let fault = match self.count(verb, wanted, now).await {
            Ok((answer, counts)) => {
                let verdict = verdict(&answer, &counts);
                if verb == Verb::Debit || verb == Verb::Check && verdict.refused.is_none() {
                    // Known here too: nobody begins anew when the store goes away.
                    asks(wanted).iter().filter(|ask| ask.cost > 0).for_each(|ask| drop(ask.debit(now)));
                }
                return Told::Verdict(verdict);
            }
            Err(fault) => fault,
        };
        self.degraded.add(1);
        match self.place.on_error {
            OnError::Local => Told::Verdict(decide(verb, wanted, now)),
            OnError::Allow => Told::Unknown,
            OnError::Deny => Told::Denied(fault),
        }
    }

    /// Decides here; the store hears of it later.
    pub(crate) fn here(&self, verb: Verb, wanted: Vec<Wanted>, now: Now) -> Verdict {
        let verdict = decide(verb, &wanted, now);
        if verb == Verb::Debit || verb == Verb::Check && verdict.refused.is_none() {
            let mut owed = self.owed.lock();
            wanted.into_iter().filter(|one| one.cost > 0).for_each(|one| owe(&mut owed, one));
        }
        verdict
    }

    /// Forgets a counter, here and there.
    pub(crate) async fn forget(&self, wanted: &Wanted) -> Result<(), Fault> {
        wanted.limiter.forget(wanted.key);
        self.owed.lock().remove(&wanted.name);
        self.line.forget(&wanted.name).await
    }

    async fn count(&self, verb: Verb, wanted: &[Wanted], now: Now) -> Result<(Answer, Vec<limiter::Count>), Fault> {
        let (mut asks, mut counts) = (Vec::with_capacity(wanted.len()), Vec::new());
        for one in wanted {
            let config = one.config.clone().unwrap_or_else(|| one.limiter.config());
            let own = config.counts(now);
            let rates = own.iter().map(terms).collect();
            asks.push(limit::Ask { key: one.name.clone(), need: one.need, cost: one.cost, rates });
            counts.extend(own);
        }
        Ok((self.line.count(verb, &asks).await?, counts))
    }

    /// Tells the store what was used here, and learns what was used elsewhere.
    async fn exchange(&self) {
        let owed: Vec<Wanted> = std::mem::take(&mut *self.owed.lock()).into_values().collect();
        let mut left = owed.into_iter();
        loop {
            let page: Vec<Wanted> = left.by_ref().take(PAGE).collect();
            if page.is_empty() {
                return;
            }
            let now = Now::of(self.line.clock());
            match self.count(Verb::Debit, &page, now).await {
                Ok((answer, counts)) => learn(&page, &answer, &counts, now),
                // Perhaps it was counted: said again, it might count twice.
                Err(Fault::Late(_)) => self.degraded.add(1),
                Err(_) => {
                    self.degraded.add(1);
                    let mut owed = self.owed.lock();
                    page.into_iter().chain(left).for_each(|one| owe(&mut owed, one));
                    return;
                }
            }
        }
    }
}

/// Exchanges every so often, and once more when nobody counts here any longer.
async fn keep(shared: Arc<Shared>, every: Duration) {
    loop {
        shared.line.clock().sleep(every).await;
        let last = Arc::strong_count(&shared) == 1;
        shared.exchange().await;
        if last {
            return;
        }
    }
}

fn owe(owed: &mut HashMap<Vec<u8>, Wanted>, one: Wanted) {
    // Of a sweep over very many keys some are counted here only.
    let room = owed.len() < MOST_OWED;
    match owed.get_mut(&one.name) {
        Some(known) => known.cost = known.cost.saturating_add(one.cost),
        None if room => drop(owed.insert(one.name.clone(), one)),
        None => {}
    }
}

fn decide(verb: Verb, wanted: &[Wanted], now: Now) -> Verdict {
    let asks = asks(wanted);
    match verb {
        Verb::Check => limiter::check(&asks, now),
        Verb::Peek => joined(asks.iter().map(|ask| ask.peek(now))),
        Verb::Debit => joined(asks.iter().map(|ask| ask.debit(now))),
    }
}

/// Several answers as one.
pub(crate) fn joined(verdicts: impl Iterator<Item = Verdict>) -> Verdict {
    verdicts.fold(Verdict::default(), |mut all, one| {
        let before = all.decisions.len();
        all.refused = all.refused.or_else(|| one.refused.map(|place| before + place));
        all.decisions.extend(one.decisions);
        all.spans.extend(one.spans);
        all
    })
}

fn asks(wanted: &[Wanted]) -> Vec<Ask<'_>> {
    let ask = |one: &Wanted| (one.key, one.cost, one.need);
    let asks = wanted.iter().map(|one| (one, ask(one)));
    asks.map(|(one, (key, cost, need))| Ask { limiter: &one.limiter, key, cost, need, config: one.config.as_deref() })
        .collect()
}

fn terms(count: &limiter::Count) -> limit::Terms {
    let window = match count.window {
        Window::Bucket => "bucket",
        Window::Sliding => "sliding",
        Window::Fixed => "fixed",
        Window::Calendar => "calendar",
    };
    limit::Terms { window, limit: count.limit, count: count.count, period: count.period, edges: count.edges }
}

fn verdict(answer: &Answer, counts: &[limiter::Count]) -> Verdict {
    let decide = |(left, count): (&limit::Left, &limiter::Count)| Decision {
        ok: left.retry_after.is_zero() || answer.refused.is_none(),
        limit: count.limit,
        left: left.left.min(count.limit),
        reset: left.reset,
        retry_after: left.retry_after,
    };
    Verdict {
        decisions: answer.rates.iter().zip(counts).map(decide).collect(),
        spans: counts.iter().map(|count| count.span).collect(),
        refused: answer.refused,
    }
}

fn learn(page: &[Wanted], answer: &Answer, counts: &[limiter::Count], now: Now) {
    let mut used = answer.rates.iter().zip(counts).map(|(left, count)| count.limit.saturating_sub(left.left));
    for one in page {
        let rates = one.config.as_ref().map_or_else(|| one.limiter.config().rates.len(), |config| config.rates.len());
        let used: Vec<u64> = used.by_ref().take(rates).collect();
        one.limiter.learn(one.key, &used, one.config.as_deref(), now);
    }
}

/// What a counter is called in Redis. The braces make one slot of it; they stand nowhere else.
pub(crate) fn name(owner: &str, who: &[u8]) -> Vec<u8> {
    let mut name = b"moongate:{".to_vec();
    for &byte in owner.as_bytes().iter().chain(b" ").chain(who) {
        match byte {
            b'{' | b'}' | b'%' => name.extend(format!("%{byte:02X}").bytes()),
            byte => name.push(byte),
        }
    }
    name.push(b'}');
    name
}

/// Counters told of in one call.
const PAGE: usize = 64;
/// Counters that wait to be told of.
const MOST_OWED: usize = 100_000;
