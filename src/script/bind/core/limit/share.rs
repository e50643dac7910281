//! Limits of a policy that are counted in a store: each decision waits for it, or is told of afterwards (`sync`).

use std::rc::Rc;
use std::sync::Arc;

use mlua::Function;
use mlua::Lua;
use mlua::MultiValue;
use mlua::Table;
use mlua::Value;

use super::Entry;
use super::Found;
use super::Meter;
use super::Source;
use super::exchange;
use super::read::wrong;
use super::whole;
use crate::primitive::limiter::Verdict;
use crate::proxy::Exchange;
use crate::proxy::Failure;
use crate::script::bind::limiter;
use crate::script::bind::limiter::Limit;
use crate::script::live::LIMITER;
use crate::script::live::shared;
use crate::script::live::shared::Place;
use crate::script::live::shared::Shared;
use crate::script::live::shared::Told;
use crate::script::live::shared::Wanted;
use crate::script::wait;
use crate::script::wait::Waiting;
use crate::store::redis::limit::Verb;

/// Where a policy counts: as its own options say, else where the limiters that it shares do.
pub(super) fn place(lua: &Lua, word: &str, options: &Table, entries: &[Entry]) -> mlua::Result<Option<Place>> {
    let own = limiter::place(lua, word, None, options)?;
    let mut found = own.clone();
    for entry in entries {
        let Source::Shared(limit) = &entry.source else { continue };
        let limit = limit.borrow::<Limit>()?;
        let place = limit.place(lua);
        let first = own.is_none() && entries.iter().all(|entry| matches!(entry.source, Source::Shared(_)));
        if place != found && !(first && found.is_none()) {
            return Err(wrong(format!(
                "limiter `{}` is counted elsewhere: the limits of one decision are in one place",
                limit.name()
            )));
        }
        found = place;
    }
    Ok(found)
}

/// `check(req)` and `charge(req, n)`.
pub(super) fn functions(lua: &Lua, meter: Rc<Meter>) -> mlua::Result<(Function, Function)> {
    let other = Rc::clone(&meter);
    let check = wait::prompt(lua, "limit", move |lua, req: Value| check(&meter, lua, &req))?;
    let charge = wait::prompt(lua, "count", move |lua, (req, count): (Value, Value)| {
        let count = whole(&count).ok_or_else(|| wrong("`count` returns a whole number, 0 or more"))?;
        charge(&other, lua, &req, count)
    })?;
    Ok((check, charge))
}

fn check(meter: &Rc<Meter>, lua: &Lua, req: &Value) -> mlua::Result<Waiting> {
    let need = u64::from(meter.counts);
    let Some(shared) = meter.shared(lua)? else { return done(meter.check(lua, req)) };
    let exchange = exchange(lua, req)?;
    let found = meter.find(lua, &exchange, req)?;
    let cost = |found: &Found| if meter.counts { 0 } else { found.cost };
    let wanted = meter.wanted(&found, need, cost)?;
    let now = meter.now(&exchange);
    if wanted.is_empty() {
        return done(Ok(()));
    }
    if !shared.waits() {
        let verdict = shared.here(Verb::Check, wanted, now);
        return done(meter.judge(&exchange, &found, &verdict));
    }
    let (meter, shared) = (Rc::clone(meter), Arc::clone(shared));
    Ok(wait::later(async move {
        match shared.ask(Verb::Check, &wanted, now).await {
            Told::Verdict(verdict) => meter.judge(&exchange, &found, &verdict)?,
            Told::Unknown => {}
            Told::Denied(fault) => return wait::fail(meter.denied(&fault)),
        }
        Ok(MultiValue::new())
    }))
}

fn charge(meter: &Rc<Meter>, lua: &Lua, req: &Value, count: u64) -> mlua::Result<Waiting> {
    let Some(shared) = meter.shared(lua)? else { return done(meter.charge(lua, req, &Value::Number(count as f64))) };
    let exchange = exchange(lua, req)?;
    let found = meter.find(lua, &exchange, req)?;
    let wanted = meter.wanted(&found, 0, |_| count)?;
    let now = meter.now(&exchange);
    let tell = move |meter: &Meter, exchange: &Exchange, verdict: &Verdict| {
        if meter.enforce {
            meter.tell(exchange, &found, verdict);
        }
    };
    if !shared.waits() {
        tell(meter, &exchange, &shared.here(Verb::Debit, wanted, now));
        return done(Ok(()));
    }
    let (meter, shared) = (Rc::clone(meter), Arc::clone(shared));
    Ok(wait::later(async move {
        if let Told::Verdict(verdict) = shared.ask(Verb::Debit, &wanted, now).await {
            tell(&meter, &exchange, &verdict);
        }
        Ok(MultiValue::new())
    }))
}

fn done(done: mlua::Result<()>) -> mlua::Result<Waiting> {
    done.map(|()| wait::ready(Ok(MultiValue::new())))
}

impl Meter {
    /// The way to the counters; `None`: the store is in this process.
    fn shared(&self, lua: &Lua) -> mlua::Result<Option<&Arc<Shared>>> {
        if let Some(known) = self.shared.get() {
            return Ok(known.as_ref());
        }
        self.object.get(lua)?;
        let shared = limiter::shared(lua, self.object.identity(), self.place.as_ref())?;
        Ok(self.shared.get_or_init(|| shared).as_ref())
    }

    fn wanted(&self, found: &[Found], need: u64, cost: impl Fn(&Found) -> u64) -> mlua::Result<Vec<Wanted>> {
        let wanted = found.iter().map(|found| {
            let owner = match &self.entries[found.entry].source {
                Source::Own(place) | Source::Chosen(place, _) => format!("{} {place}", self.object.identity()),
                Source::Shared(limit) => format!("{LIMITER}{}", limit.borrow::<Limit>()?.name()),
            };
            let cost = cost(found);
            Ok(Wanted {
                limiter: Arc::clone(&found.limiter),
                name: shared::name(&owner, &found.who),
                key: found.key,
                cost,
                need: need.max(cost),
                config: found.chosen.clone(),
            })
        });
        wanted.collect()
    }

    /// Nobody passes while the store is away.
    fn denied(&self, fault: &dyn std::fmt::Display) -> Failure {
        let mut failure =
            Failure::new(self.code.clone(), "limits cannot be counted for now").because(fault.to_string());
        failure.status = 503;
        failure.header("Retry-After", "1")
    }
}
