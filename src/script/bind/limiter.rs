//! `limiter "name" { "5/min" }`: a limit that functions check by key, shared by all workers.

use std::cell::RefCell;
use std::sync::Arc;
use std::time::Duration;

use mlua::AnyUserData;
use mlua::Lua;
use mlua::MetaMethod;
use mlua::Table;
use mlua::UserData;
use mlua::UserDataMethods;
use mlua::Value;

use crate::primitive::codec;
use crate::primitive::digest::Hash;
use crate::primitive::limiter::Config;
use crate::primitive::limiter::Decision;
use crate::primitive::limiter::Limiter;
use crate::primitive::limiter::Now;
use crate::primitive::limiter::Window;
use crate::primitive::rate::Rate;
use crate::script::bind::declared::Declared;
use crate::script::bind::declared::named;
use crate::script::bind::declared::running;
use crate::script::bind::declared::text;
use crate::script::bind::function;
use crate::script::bind::options::Options;
use crate::script::bind::text::Text;
use crate::script::live::LIMITER;

/// A limiter in a script's hands.
pub(crate) struct Limit {
    name: String,
    limiter: RefCell<Option<Arc<Limiter>>>,
}

/// `limiter`
pub(super) fn install(lua: &Lua, words: &Table) -> mlua::Result<()> {
    let make = |lua: &Lua, (name, options): (String, Option<Table>)| {
        named("limiter", &name)?;
        Declared::mention(lua, "limiter", &name)?;
        if let Some(options) = options {
            Declared::told(lua, "limiter", &name, declare(lua, &name, &options))?;
        }
        lua.create_userdata(Limit { name, limiter: RefCell::default() })
    };
    words.set("limiter", function(lua, "limiter", make)?)
}

fn declare(lua: &Lua, name: &str, table: &Table) -> mlua::Result<()> {
    let names = ["burst", "window", "keys", "store", "sync"];
    let options = Options::read(lua, format!("limiter `{name}`"), Some(table), &names)?;
    for later in ["store", "sync"] {
        if options.value(later)?.is_some() {
            return Err(options.wrong(later, &"not in this version; a limiter counts in memory"));
        }
    }
    let mut rates = Vec::new();
    for rate in table.sequence_values::<String>() {
        let rate =
            rate.map_err(|_| mlua::Error::runtime(format!("limiter `{name}`: a rate is text, as in \"5/min\"")))?;
        let rate = Rate::parse(&rate).map_err(|fault| mlua::Error::runtime(format!("limiter `{name}`: {fault}")))?;
        rates.push(rate);
    }
    if rates.is_empty() || rates.len() > MOST_RATES {
        let message = format!("limiter `{name}` needs 1 to {MOST_RATES} rates, as in {{ \"5/min\" }}");
        return Err(mlua::Error::runtime(message));
    }
    let window = match options.text("window")?.as_deref() {
        None | Some("bucket") => Window::Bucket,
        Some("sliding") => Window::Sliding,
        Some("fixed") => Window::Fixed,
        Some("calendar") => Window::Calendar,
        Some(other) => {
            let fault = format!("\"bucket\", \"sliding\", \"fixed\" or \"calendar\" expected, got \"{other}\"");
            return Err(options.wrong("window", &fault));
        }
    };
    let burst = options.int("burst", 1, 1 << 40)?.and_then(|burst| u64::try_from(burst).ok());
    if burst.is_some() && window != Window::Bucket {
        return Err(options.wrong("burst", &"only with window = \"bucket\""));
    }
    let keys = options.int("keys", 1, 10_000_000)?.and_then(|keys| usize::try_from(keys).ok()).unwrap_or(KEYS);
    let config = Config { rates, window, burst, keys };
    let config = text(&config);
    Declared::declare(lua, "limiter", name, config)
}

impl Limit {
    /// Its name.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// The limiter itself, which policies share.
    pub(crate) fn shared(&self, lua: &Lua) -> mlua::Result<Arc<Limiter>> {
        if let Some(limiter) = &*self.limiter.borrow() {
            return Ok(Arc::clone(limiter));
        }
        self.open(lua).map(|(limiter, _)| limiter)
    }

    /// The limiter itself, and the time.
    fn open(&self, lua: &Lua) -> mlua::Result<(Arc<Limiter>, Now)> {
        let context = running(lua, &format!("limiter `{}`", self.name))?;
        let now = Now::of(context.clock());
        if let Some(limiter) = &*self.limiter.borrow() {
            return Ok((Arc::clone(limiter), now));
        }
        let identity = format!("{LIMITER}{}", self.name);
        let config = Declared::of(lua).config::<Config>(&identity);
        let config = config.ok_or_else(|| {
            mlua::Error::runtime(format!("limiter `{0}` has no rate; write limiter \"{0}\" {{ \"5/min\" }}", self.name))
        })?;
        let limiter = context.live().limiter(&identity, &config);
        *self.limiter.borrow_mut() = Some(Arc::clone(&limiter));
        Ok((limiter, now))
    }

    fn ask(
        &self,
        lua: &Lua,
        (key, cost): (Text, Option<u32>),
        verb: fn(&Limiter, &str, u64, Now) -> Decision,
    ) -> mlua::Result<(bool, Table)> {
        let (limiter, now) = self.open(lua)?;
        told(lua, &verb(&limiter, &key_of(&key), cost.unwrap_or(1).into(), now))
    }
}

impl UserData for Limit {
    fn add_methods<M: UserDataMethods<Self>>(methods: &mut M) {
        methods.add_meta_function(MetaMethod::Call, |lua, (limit, options): (AnyUserData, Table)| {
            let name = limit.borrow::<Self>()?.name.clone();
            Declared::told(lua, "limiter", &name, declare(lua, &name, &options))?;
            Ok(limit)
        });
        methods.add_method("check", |lua, limit, args| limit.ask(lua, args, Limiter::check));
        methods.add_method("peek", |lua, limit, args| limit.ask(lua, args, Limiter::peek));
        methods.add_method("debit", |lua, limit, args| limit.ask(lua, args, Limiter::debit));
        methods.add_method("reset", |lua, limit, key: Text| {
            limit.open(lua)?.0.reset(&key_of(&key));
            Ok(())
        });
        methods.add_meta_method(MetaMethod::ToString, |_, limit, ()| Ok(format!("limiter `{}`", limit.name)));
    }
}

/// `ok` and what the fields of an answer need; times in whole seconds, rounded up.
fn told(lua: &Lua, decision: &Decision) -> mlua::Result<(bool, Table)> {
    let table = lua.create_table_with_capacity(0, 4)?;
    table.raw_set("limit", decision.limit)?;
    table.raw_set("left", decision.left)?;
    table.raw_set("reset", seconds(decision.reset))?;
    table.raw_set("retry_after", Value::Number(seconds(decision.retry_after)))?;
    Ok((decision.ok, table))
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

const MOST_RATES: usize = 8;
const LONGEST_KEY: usize = 256;
/// Keys a limiter remembers unless told otherwise.
const KEYS: usize = 100_000;

#[cfg(test)]
mod tests;
