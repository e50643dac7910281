//! Who wants to watch which requests, and what was seen: shared by all workers and generations, bounded in every way.

use std::collections::VecDeque;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::OnceLock;
use std::sync::Weak;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering;
use std::time::Duration;

use aws_lc_rs::constant_time;
use parking_lot::Mutex;
use serde_json::Value;

use crate::clock::Moment;
use crate::http::Request;
use crate::primitive::codec::hex_encode;
use crate::primitive::digest;
use crate::primitive::digest::Hash;
use crate::proxy::watch::order::Terms;

/// What is asked for and what was seen.
#[derive(Default)]
pub struct Shelf {
    /// Whether anything is asked for: all that a request looks at which nobody watches.
    armed: AtomicBool,
    /// Signs, and makes marks; drawn by this process for itself.
    key: OnceLock<Vec<u8>>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    last: u64,
    orders: Vec<Armed>,
    /// Orders that take no more requests, while some of theirs are under way.
    ending: Vec<Weak<Order>>,
    kept: VecDeque<Kept>,
    bytes: usize,
}

/// Something that was asked for and is not over.
struct Armed {
    order: Arc<Order>,
    left: usize,
}

/// What is asked for.
pub struct Order {
    /// Its number.
    pub id: u64,
    /// Which requests.
    pub terms: Terms,
    /// Bodies are kept too, and what else it takes to play the request again.
    pub records: bool,
    /// When it is over.
    until: Moment,
}

/// An order as it is listed.
pub struct Open {
    /// Its number.
    pub order: u64,
    /// How many requests it still takes.
    pub left: usize,
    /// For how long.
    pub time: Duration,
    /// Whether bodies are kept.
    pub records: bool,
}

/// A request that was seen.
struct Kept {
    order: u64,
    /// Its own name, `ORDER-NUMBER`.
    id: String,
    records: bool,
    since: Moment,
    bytes: usize,
    story: Value,
}

impl Shelf {
    /// Whether anything is asked for.
    #[inline]
    pub fn is_armed(&self) -> bool {
        self.armed.load(Ordering::Relaxed)
    }

    /// Asks for requests; its number, and the field by which a request asks to be watched. `None`: too much is asked for
    /// already.
    pub fn arm(&self, terms: Terms, records: bool, now: Moment) -> Option<(u64, String)> {
        let mut state = self.state.lock();
        state.tidy(now);
        if state.orders.len() >= MOST_ORDERS {
            return None;
        }
        state.last += 1;
        let (id, left) = (state.last, terms.count);
        let until = now.after(terms.lasts);
        state.orders.push(Armed { order: Arc::new(Order { id, terms, records, until }), left });
        self.armed.store(true, Ordering::Relaxed);
        Some((id, format!("{id}.{}", self.signature(id))))
    }

    /// Nothing is asked for any more, and what was seen is forgotten; with `only`, of this order alone. How many orders
    /// there were.
    pub fn disarm(&self, only: Option<u64>) -> usize {
        let mut state = self.state.lock();
        let meant = |order: u64| only.is_none_or(|only| only == order);
        let before = state.orders.len();
        state.orders.retain(|armed| !meant(armed.order.id));
        state.kept.retain(|kept| !meant(kept.order));
        state.bytes = state.kept.iter().map(|kept| kept.bytes).sum();
        self.armed.store(!state.orders.is_empty(), Ordering::Relaxed);
        before - state.orders.len()
    }

    /// Who watches `request`, if anybody does; `signed` is what it shows of itself. Asked only while something is armed.
    pub fn take(
        &self,
        request: &Request,
        client: Option<IpAddr>,
        signed: Option<&str>,
        now: Moment,
    ) -> Option<Arc<Order>> {
        let mut state = self.state.lock();
        state.tidy(now);
        let named = signed.and_then(|signed| self.named(signed));
        let at = state.orders.iter().position(|armed| {
            armed.left > 0 && (named == Some(armed.order.id) || armed.order.terms.take(request, client))
        });
        let order = at.map(|at| {
            let armed = &mut state.orders[at];
            armed.left -= 1;
            Arc::clone(&armed.order)
        });
        state.tidy(now);
        self.armed.store(!state.orders.is_empty(), Ordering::Relaxed);
        order
    }

    /// The order that a signed field names, if we signed it.
    fn named(&self, signed: &str) -> Option<u64> {
        let (id, signature) = signed.split_once('.')?;
        let id = id.parse().ok()?;
        let own = self.signature(id);
        constant_time::verify_slices_are_equal(own.as_bytes(), signature.as_bytes()).is_ok().then_some(id)
    }

    fn signature(&self, id: u64) -> String {
        hex_encode(Hash::Sha256.hmac(self.key(), format!("trace {id}").as_bytes()).unwrap_or_default())
    }

    /// What marks of hidden values are made with.
    pub fn key(&self) -> &[u8] {
        self.key.get_or_init(|| digest::random(32).unwrap_or_default())
    }

    /// Keeps what was seen of a request; the oldest go where there is no room. Nothing where the order was called off.
    pub fn keep(&self, order: &Order, story: impl FnOnce(&str) -> Value, now: Moment) {
        let mut state = self.state.lock();
        state.last += 1;
        let id = format!("{}-{}", order.id, state.last);
        let story = story(&id);
        let bytes = size(&story);
        if bytes > MOST_BYTES / 2 {
            return;
        }
        state.bytes += bytes;
        state.kept.push_back(Kept { order: order.id, id, records: order.records, since: now, bytes, story });
        while state.bytes > MOST_BYTES
            || state.kept.iter().filter(|kept| kept.records == order.records).count() > MOST_KEPT
        {
            let Some(oldest) = state.kept.pop_front() else { return };
            state.bytes -= oldest.bytes;
        }
    }

    /// What was seen of the request called `id`.
    pub fn story(&self, id: &str, now: Moment) -> Option<Value> {
        let mut state = self.state.lock();
        state.tidy(now);
        state.kept.iter().find(|kept| kept.id == id).map(|kept| kept.story.clone())
    }

    /// What was seen for an order, the oldest first, and whether more may come.
    pub fn stories(&self, order: u64, now: Moment) -> (Vec<Value>, bool) {
        let mut state = self.state.lock();
        state.tidy(now);
        let stories = state.kept.iter().filter(|kept| kept.order == order).map(|kept| kept.story.clone());
        let under_way = |ending: &Weak<Order>| ending.upgrade().is_some_and(|ending| ending.id == order);
        let open = state.orders.iter().any(|armed| armed.order.id == order) || state.ending.iter().any(under_way);
        (stories.collect(), open)
    }

    /// What is asked for, and what was traced, newest last.
    pub fn list(&self, now: Moment) -> (Vec<Open>, Vec<Value>) {
        let mut state = self.state.lock();
        state.tidy(now);
        let open = |armed: &Armed| Open {
            order: armed.order.id,
            left: armed.left,
            time: armed.order.until.since(now),
            records: armed.order.records,
        };
        let traces = state.kept.iter().filter(|kept| !kept.records).map(|kept| kept.story.clone());
        (state.orders.iter().map(open).collect(), traces.collect())
    }
}

impl State {
    /// What is over goes.
    fn tidy(&mut self, now: Moment) {
        let (open, over): (Vec<_>, Vec<_>) =
            self.orders.drain(..).partition(|armed| armed.left > 0 && now < armed.order.until);
        self.orders = open;
        self.ending.extend(over.iter().map(|armed| Arc::downgrade(&armed.order)));
        drop(over);
        self.ending.retain(|order| order.strong_count() > 0);
        while self.kept.front().is_some_and(|kept| now.since(kept.since) >= KEPT_FOR) {
            self.bytes -= self.kept.pop_front().map_or(0, |kept| kept.bytes);
        }
    }
}

/// About how much memory a value takes.
fn size(value: &Value) -> usize {
    size_of::<Value>()
        + match value {
            Value::String(text) => text.len(),
            Value::Array(list) => list.iter().map(size).sum(),
            Value::Object(members) => members.iter().map(|(name, value)| 64 + name.len() + size(value)).sum(),
            _ => 0,
        }
}

/// What may be asked for at a time.
const MOST_ORDERS: usize = 16;
/// Traces, and recorded requests, that are kept.
pub const MOST_KEPT: usize = 1000;
/// What all of them may take.
const MOST_BYTES: usize = 32 << 20;
/// How long they are kept.
const KEPT_FOR: Duration = Duration::from_secs(60 * 60);

#[cfg(test)]
mod tests;
