//! `core.limit(word, options)`: a function of `req` that charges several limits in one decision, and one that charges
//! what is known only afterwards.

mod counters;
mod read;
mod share;

use std::cell::OnceCell;
use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use mlua::AnyUserData;
use mlua::Function;
use mlua::Lua;
use mlua::Table;
use mlua::Value;

use counters::Meters;

use super::by::By;
use super::exchange;
use super::object::Object;
use crate::primitive::limiter;
use crate::primitive::limiter::Ask;
use crate::primitive::limiter::Config;
use crate::primitive::limiter::Key;
use crate::primitive::limiter::Limiter;
use crate::primitive::limiter::Now;
use crate::primitive::limiter::Verdict;
use crate::primitive::limiter::Window;
use crate::proxy::Code;
use crate::proxy::Exchange;
use crate::proxy::Failure;
use crate::proxy::limits::Told;
use crate::script::bind::limiter::Limit;
use crate::script::context::Context;
use crate::script::live::shared::Place;
use crate::script::live::shared::Shared;
use crate::script::live::shared::joined;
use crate::script::wait;

/// One of the limits.
struct Entry {
    source: Source,
    by: By,
    cost: Cost,
    /// How fields and functions call each of its rates.
    names: Vec<Rc<str>>,
}

/// Where its rates come from.
enum Source {
    /// The policy's own counters, at this place.
    Own(usize),
    /// A `limiter "name" { … }`.
    Shared(AnyUserData),
    /// The policy's own counters at this place, by rates that a function chooses.
    Chosen(usize, Chosen),
}

/// Rates that a function chose, read once each.
struct Chosen {
    function: Function,
    window: Window,
    keys: usize,
    known: RefCell<HashMap<String, Arc<Config>>>,
}

/// How much a request takes.
enum Cost {
    Fixed(u64),
    Function(Function),
}

/// A policy that limits, ready to be asked.
struct Meter {
    code: Code,
    object: Object<Meters>,
    entries: Vec<Entry>,
    name: Option<Rc<str>>,
    headers: bool,
    enforce: bool,
    /// What is charged is known after the answer: a request needs room for one, and takes nothing yet.
    counts: bool,
    /// Whether the time of day matters.
    calendar: bool,
    /// Where it is counted, when not here.
    place: Option<Place>,
    /// The way there, once it was needed; `None`: that is here after all.
    shared: OnceCell<Option<Arc<Shared>>>,
}

/// What an entry comes to for one request.
struct Found {
    /// Its place among the entries.
    entry: usize,
    limiter: Arc<Limiter>,
    chosen: Option<Arc<Config>>,
    key: Key,
    /// Who it is, for counters elsewhere.
    who: Vec<u8>,
    cost: u64,
}

/// `check(req)`, `charge(req, n)` and whether the body must be at hand.
pub(super) fn limit(lua: &Lua, (word, options): (String, Table)) -> mlua::Result<(Function, Function, bool)> {
    let meter = Rc::new(read::meter(lua, &word, &options)?);
    let reads = meter.entries.iter().any(|entry| entry.by.reads());
    if meter.place.is_some() {
        let (check, charge) = share::functions(lua, meter)?;
        return Ok((check, charge, reads));
    }
    let other = Rc::clone(&meter);
    let check = wait::strict(lua, "limit", move |lua, req: Value| meter.check(lua, &req))?;
    let charge = wait::strict(lua, "count", move |lua, (req, count): (Value, Value)| other.charge(lua, &req, &count))?;
    Ok((check, charge, reads))
}

impl Meter {
    fn check(&self, lua: &Lua, req: &Value) -> mlua::Result<()> {
        let exchange = exchange(lua, req)?;
        let found = self.find(lua, &exchange, req)?;
        let now = self.now(&exchange);
        let need = u64::from(self.counts);
        let verdict = limiter::check(&asks(&found, need, |found| if self.counts { 0 } else { found.cost }), now);
        self.judge(&exchange, &found, &verdict)
    }

    /// What a verdict means for the request.
    fn judge(&self, exchange: &Exchange, found: &[Found], verdict: &Verdict) -> mlua::Result<()> {
        if !self.enforce && verdict.refused.is_some() {
            return wait::fail(self.failure(verdict));
        }
        if self.enforce {
            self.tell(exchange, found, verdict);
        }
        if verdict.refused.is_some() { wait::fail(self.failure(verdict)) } else { Ok(()) }
    }

    /// What `count` returned, charged whether there is room or not.
    fn charge(&self, lua: &Lua, req: &Value, count: &Value) -> mlua::Result<()> {
        let count = whole(count).ok_or_else(|| mlua::Error::runtime("`count` returns a whole number, 0 or more"))?;
        let exchange = exchange(lua, req)?;
        let found = self.find(lua, &exchange, req)?;
        let now = self.now(&exchange);
        let verdict = joined(asks(&found, 0, |_| count).iter().map(|ask| ask.debit(now)));
        if self.enforce {
            self.tell(&exchange, &found, &verdict);
        }
        Ok(())
    }

    fn find(&self, lua: &Lua, exchange: &Rc<Exchange>, req: &Value) -> mlua::Result<Vec<Found>> {
        let own = self.object.get(lua)?.list(|| Context::of(lua), self.object.identity());
        let lost = || mlua::Error::runtime("this limit was declared differently meanwhile");
        let mut all = Vec::with_capacity(self.entries.len());
        for (at, entry) in self.entries.iter().enumerate() {
            let (limiter, chosen) = match &entry.source {
                Source::Own(place) => (Arc::clone(own.get(*place).ok_or_else(lost)?), None),
                Source::Shared(limit) => (limit.borrow::<Limit>()?.shared(lua)?, None),
                Source::Chosen(place, chosen) => match chosen.rates(lua, req)? {
                    Some(rates) => (Arc::clone(own.get(*place).ok_or_else(lost)?), Some(rates)),
                    None => continue,
                },
            };
            let (key, who) = match &self.place {
                None => (entry.by.key(lua, exchange, req, &limiter)?, Vec::new()),
                Some(_) => {
                    let who = entry.by.who(lua, exchange, req)?;
                    (limiter.value(&who), who)
                }
            };
            let cost = match &entry.cost {
                Cost::Fixed(cost) => *cost,
                Cost::Function(_) if self.counts => 0,
                Cost::Function(function) => {
                    let context = Context::of(lua);
                    let _still = context.still("`cost`");
                    let cost: Value = function.call(req)?;
                    whole(&cost).ok_or_else(|| mlua::Error::runtime("`cost` returns a whole number, 0 or more"))?
                }
            };
            all.push(Found { entry: at, limiter, chosen, key, who, cost });
        }
        Ok(all)
    }

    fn now(&self, exchange: &Exchange) -> Now {
        let clock = &exchange.worker.clock;
        if self.calendar { Now::of(clock) } else { Now { moment: clock.now(), unix: Duration::ZERO } }
    }

    /// Fields of the answer, and `req.limits`.
    fn tell(&self, exchange: &Exchange, found: &[Found], verdict: &Verdict) {
        let mut place = 0;
        for found in found {
            let shared = found.limiter.config();
            let config = found.chosen.as_deref().unwrap_or(&shared);
            let entry = &self.entries[found.entry];
            for (rate, written) in config.rates.iter().enumerate() {
                let (Some(decision), Some(span)) = (verdict.decisions.get(place), verdict.spans.get(place)) else {
                    return;
                };
                place += 1;
                let names = &entry.names;
                let name = match (&entry.source, names.get(rate)) {
                    (Source::Chosen(..), _) => {
                        self.name.clone().unwrap_or_else(|| format!("{written}{}", entry.by.shown()).into())
                    }
                    (_, Some(name)) => Rc::clone(name),
                    // A shared limiter's further rates.
                    _ => format!("{} {written}", names.first().map_or("", |name| &**name)).into(),
                };
                let reset = seconds(if decision.ok { decision.reset } else { decision.retry_after });
                let (limit, left, span) = (decision.limit, decision.left, seconds(*span).max(1));
                exchange.limits.tell(Told { name, limit, left, reset, span, field: self.headers });
            }
        }
        if let (Some(name), true) = (&self.name, place > 1) {
            let tightest = verdict.tightest();
            let reset = seconds(if tightest.ok { tightest.reset } else { tightest.retry_after });
            let (limit, left) = (tightest.limit, tightest.left);
            exchange.limits.tell(Told { name: Rc::clone(name), limit, left, reset, span: 0, field: false });
        }
    }

    fn failure(&self, verdict: &Verdict) -> Failure {
        let wait = seconds(verdict.tightest().retry_after).max(1);
        let detail = match &self.code {
            Code::QuotaExceeded => "the quota is used up",
            _ => "too many requests",
        };
        Failure::new(self.code.clone(), detail).header("Retry-After", wait.to_string())
    }
}

impl Chosen {
    /// The rate for this request; `None`: no limit.
    fn rates(&self, lua: &Lua, req: &Value) -> mlua::Result<Option<Arc<Config>>> {
        let context = Context::of(lua);
        let still = context.still("the function that chooses a rate");
        let value: Value = self.function.call(req)?;
        drop(still);
        let (text, burst) = match &value {
            Value::Boolean(false) => return Ok(None),
            Value::String(text) => (text.to_string_lossy(), None),
            Value::Table(table) => (table.raw_get::<String>(1)?, table.raw_get::<Option<u64>>("burst")?),
            other => {
                let said = format!("a rate, {{ rate, burst = n }} or false is returned, not {}", other.type_name());
                return Err(mlua::Error::runtime(said));
            }
        };
        let name = burst.map_or_else(|| text.clone(), |burst| format!("{text} {burst}"));
        if let Some(known) = self.known.borrow().get(&name) {
            return Ok(Some(Arc::clone(known)));
        }
        let config = Arc::new(read::config(&[text], self.window, burst, self.keys)?);
        let mut known = self.known.borrow_mut();
        // A function may make rates up from a request.
        if known.len() >= MOST_RATES {
            known.clear();
        }
        known.insert(name, Arc::clone(&config));
        Ok(Some(config))
    }
}

fn asks(found: &[Found], need: u64, cost: impl Fn(&Found) -> u64) -> Vec<Ask<'_>> {
    let ask = |found| (found, cost(found));
    let asks = found.iter().map(ask);
    asks.map(|(found, cost)| Ask {
        limiter: &found.limiter,
        key: found.key,
        cost,
        need: need.max(cost),
        config: found.chosen.as_deref(),
    })
    .collect()
}

/// A number of uses; nothing is none.
#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "whole, not negative, below 2^53")]
fn whole(value: &Value) -> Option<u64> {
    match value {
        Value::Nil | Value::Boolean(false) => Some(0),
        Value::Integer(number) => u64::try_from(*number).ok(),
        Value::Number(number) if (0.0..9e15).contains(number) => Some(number.ceil() as u64),
        _ => None,
    }
}

/// Whole seconds, rounded up: who waits that long has waited enough.
pub(super) fn seconds(time: Duration) -> u64 {
    time.as_secs() + u64::from(time.subsec_nanos() > 0)
}

const MOST_RATES: usize = 1000;
