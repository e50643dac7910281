//! What is asked of a limiter: at once where it is counted here, else as a wait.

use std::sync::Arc;
use std::time::Duration;

use mlua::AnyUserData;
use mlua::IntoLua;
use mlua::IntoLuaMulti;
use mlua::Lua;
use mlua::MultiValue;
use mlua::Table;
use mlua::Value;

use super::Limit;
use crate::primitive::codec;
use crate::primitive::digest::Hash;
use crate::primitive::limiter::Decision;
use crate::primitive::limiter::Limiter;
use crate::primitive::limiter::Now;
use crate::primitive::limiter::Verdict;
use crate::primitive::limiter::name;
use crate::script::bind::text::Text;
use crate::script::live::LIMITER;
use crate::script::live::shared;
use crate::script::live::shared::Shared;
use crate::script::live::shared::Told;
use crate::script::live::shared::Wanted;
use crate::script::wait;
use crate::script::wait::Waiting;
use crate::store::redis::limit;

/// A function of every limiter.
#[derive(Clone, Copy)]
pub(super) enum Verb {
    Check,
    Peek,
    Debit,
    Reset,
}

impl Verb {
    pub(super) const ALL: [Self; 4] = [Self::Check, Self::Peek, Self::Debit, Self::Reset];

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Check => "check",
            Self::Peek => "peek",
            Self::Debit => "debit",
            Self::Reset => "reset",
        }
    }
}

impl IntoLua for Verb {
    fn into_lua(self, lua: &Lua) -> mlua::Result<Value> {
        let name = format!("limiter:{}", self.name());
        let made = wait::prompt(lua, &name, move |lua, (at, key, cost): (AnyUserData, Text, Option<u32>)| {
            let limit =
                at.borrow::<Limit>().map_err(|_| mlua::Error::runtime("write limiter:check(…), with a colon"))?;
            let (limiter, now) = limit.open(lua)?;
            match limit.elsewhere(lua)? {
                None => self.here(lua, &limiter, &key_of(&key), cost.unwrap_or(1).into(), now),
                Some(shared) => {
                    let who = name::text(key_of(&key).as_bytes());
                    let owner = format!("{LIMITER}{}", limit.name);
                    let cost = cost.unwrap_or(1).into();
                    let (name, key) = (shared::name(&owner, &who), limiter.value(&who));
                    let wanted = Wanted { limiter, name, key, cost, need: cost, config: None };
                    self.there(lua, shared, wanted, now)
                }
            }
        });
        made.map(Value::Function)
    }
}

impl Verb {
    fn here(self, lua: &Lua, limiter: &Limiter, key: &str, cost: u64, now: Now) -> mlua::Result<Waiting> {
        let decision = match self {
            Self::Check => limiter.check(key, cost, now),
            Self::Peek => limiter.peek(key, cost, now),
            Self::Debit => limiter.debit(key, cost, now),
            Self::Reset => {
                limiter.reset(key);
                return Ok(wait::ready(Ok(MultiValue::new())));
            }
        };
        Ok(wait::ready(told(lua, &decision)))
    }

    fn there(self, lua: &Lua, shared: Arc<Shared>, wanted: Wanted, now: Now) -> mlua::Result<Waiting> {
        let verb = match self {
            Self::Check => limit::Verb::Check,
            Self::Peek => limit::Verb::Peek,
            Self::Debit => limit::Verb::Debit,
            Self::Reset => return Ok(reset(shared, wanted)),
        };
        if !shared.waits() {
            return Ok(wait::ready(told(lua, &shared.here(verb, vec![wanted], now).tightest())));
        }
        let lua = lua.clone();
        Ok(wait::later(async move {
            match shared.ask(verb, &[wanted], now).await {
                Told::Verdict(verdict) => told(&lua, &verdict.tightest()),
                Told::Unknown => told(&lua, &Verdict::default().tightest()),
                Told::Denied(fault) => {
                    let denied = Decision { ok: false, left: 0, retry_after: Duration::from_secs(1), ..NOTHING };
                    crate::telemetry::log::debug("a limiter refuses", &[("cause", &fault)]);
                    told(&lua, &denied)
                }
            }
        }))
    }
}

/// Nothing is known of a limiter that cannot be asked.
const NOTHING: Decision = Decision { ok: true, limit: 0, left: 0, reset: Duration::ZERO, retry_after: Duration::ZERO };

fn reset(shared: Arc<Shared>, wanted: Wanted) -> Waiting {
    wait::later(async move {
        shared.forget(&wanted).await.map_err(|fault| mlua::Error::runtime(format!("limiter: {fault}")))?;
        Ok(MultiValue::new())
    })
}

/// `ok` and what the fields of an answer need; times in whole seconds, rounded up.
fn told(lua: &Lua, decision: &Decision) -> mlua::Result<MultiValue> {
    let table: Table = lua.create_table_with_capacity(0, 4)?;
    table.raw_set("limit", decision.limit)?;
    table.raw_set("left", decision.left)?;
    table.raw_set("reset", seconds(decision.reset))?;
    table.raw_set("retry_after", Value::Number(seconds(decision.retry_after)))?;
    (decision.ok, table).into_lua_multi(lua)
}

fn seconds(duration: Duration) -> f64 {
    duration.as_secs_f64().ceil()
}

/// A client's header may be the key: long ones are kept as their hash.
fn key_of(key: &Text) -> String {
    let bytes = key.bytes();
    match std::str::from_utf8(&bytes) {
        Ok(text) if text.len() <= LONGEST_KEY => text.to_owned(),
        _ => codec::hex_encode(Hash::Sha256.digest(&bytes)),
    }
}

const LONGEST_KEY: usize = 256;
