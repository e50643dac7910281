//! `store "name" { ttl, max }`: values shared by all workers and kept across reloads.

use std::cell::RefCell;
use std::sync::Arc;
use std::time::Duration;

use mlua::AnyUserData;
use mlua::Function;
use mlua::Lua;
use mlua::MetaMethod;
use mlua::Table;
use mlua::UserData;
use mlua::UserDataMethods;
use mlua::Value;

use crate::clock::Moment;
use crate::script::bind::declared::Declared;
use crate::script::bind::declared::named;
use crate::script::bind::declared::running;
use crate::script::bind::declared::text;
use crate::script::bind::function;
use crate::script::bind::json;
use crate::script::bind::options;
use crate::script::bind::options::Options;
use crate::script::bind::tasks::message;
use crate::script::bind::text::Text;
use crate::script::bind::text::kind;
use crate::script::live::STORE;
use crate::store;
use crate::store::Memory;
use crate::store::StoreError;
use crate::store::memory::Change;

/// A store in a script's hands.
pub(crate) struct Store {
    name: String,
    memory: RefCell<Option<Arc<Memory>>>,
}

/// `store`
pub(super) fn install(lua: &Lua, words: &Table) -> mlua::Result<()> {
    let make = |lua: &Lua, (name, options): (String, Option<Table>)| {
        named("store", &name)?;
        Declared::mention(lua, "store", &name)?;
        if let Some(options) = options {
            Declared::told(lua, "store", &name, declare(lua, &name, &options))?;
        }
        lua.create_userdata(Store { name, memory: RefCell::default() })
    };
    words.set("store", function(lua, "store", make)?)
}

fn declare(lua: &Lua, name: &str, table: &Table) -> mlua::Result<()> {
    let options = Options::read(lua, format!("store `{name}`"), Some(table), &["ttl", "max", "redis", "file"])?;
    for later in ["redis", "file"] {
        if options.value(later)?.is_some() {
            return Err(options.wrong(later, &"not in this version; a store lives in memory"));
        }
    }
    let mut config = store::Config { ttl: options.duration("ttl")?, ..store::Config::default() };
    if let Some(max) = options.size("max")? {
        config.max = max.max(1 << 10);
    }
    let config = text(&config);
    Declared::declare(lua, "store", name, config)
}

impl Store {
    /// The store itself, and the time.
    fn open(&self, lua: &Lua) -> mlua::Result<(Arc<Memory>, Moment)> {
        let context = running(lua, &format!("store `{}`", self.name))?;
        let now = context.clock().now();
        if let Some(memory) = &*self.memory.borrow() {
            return Ok((Arc::clone(memory), now));
        }
        let identity = format!("{STORE}{}", self.name);
        let config = Declared::of(lua).config(&identity).unwrap_or_default();
        let memory = context.live().store(&identity, config);
        *self.memory.borrow_mut() = Some(Arc::clone(&memory));
        Ok((memory, now))
    }

    fn key(&self, key: &Text) -> mlua::Result<String> {
        key.within(&format!("store `{}`: a key", self.name), LONGEST_KEY)?;
        key.utf8(&format!("store `{}`: a key", self.name))
    }

    fn fault(&self, fault: &dyn std::fmt::Display) -> mlua::Error {
        mlua::Error::runtime(format!("store `{}`: {fault}", self.name))
    }

    fn set(&self, lua: &Lua, (key, value, ttl): (Text, Value, Option<Value>)) -> mlua::Result<()> {
        let (memory, now) = self.open(lua)?;
        let key = self.key(&key)?;
        match json::plain(&value).map_err(|fault| self.fault(&fault))? {
            Some(value) => memory.set(&key, value, time(ttl)?, now).map_err(|fault| self.fault(&fault)),
            None => {
                memory.delete(&key, now);
                Ok(())
            }
        }
    }

    fn incr(&self, lua: &Lua, (key, by, ttl): (Text, Option<Value>, Option<Value>)) -> mlua::Result<Value> {
        let (memory, now) = self.open(lua)?;
        let by = match by {
            None => store::Value::Int(1),
            Some(Value::Integer(by)) => store::Value::Int(by),
            Some(Value::Number(by)) if by.is_finite() => store::Value::Number(by),
            Some(other) => return Err(self.fault(&format!("incr takes a number, got {}", kind(&other)))),
        };
        let sum = memory.incr(&self.key(&key)?, &by, time(ttl)?, now).map_err(|fault| self.fault(&fault))?;
        json::value(lua, &sum)
    }

    fn update(&self, lua: &Lua, (key, change, ttl): (Text, Function, Option<Value>)) -> mlua::Result<Value> {
        let (memory, now) = self.open(lua)?;
        let _still = running(lua, "store")?.still("store:update");
        let made = memory.update(&self.key(&key)?, time(ttl)?, now, |old| -> Result<Change, Raised> {
            let old = old.map_or(Ok(Value::Nil), |old| json::value(lua, old))?;
            let made: Value = change.call(old)?;
            let made = json::plain(&made).map_err(|fault| self.fault(&fault))?;
            Ok(made.map_or(Change::Delete, Change::Set))
        });
        match made.map_err(|raised| raised.0)? {
            Some(value) => json::value(lua, &value),
            None => Ok(Value::Nil),
        }
    }
}

/// An error of the function, or of the store, on its way out of `update`.
struct Raised(mlua::Error);

impl From<mlua::Error> for Raised {
    fn from(error: mlua::Error) -> Self {
        Self(error)
    }
}

impl From<StoreError> for Raised {
    fn from(error: StoreError) -> Self {
        Self(mlua::Error::runtime(format!("store: {error}")))
    }
}

impl UserData for Store {
    fn add_methods<M: UserDataMethods<Self>>(methods: &mut M) {
        methods.add_meta_function(MetaMethod::Call, |lua, (store, options): (AnyUserData, Table)| {
            let name = store.borrow::<Self>()?.name.clone();
            Declared::told(lua, "store", &name, declare(lua, &name, &options))?;
            Ok(store)
        });
        methods.add_method("get", |lua, store, key: Text| {
            let (memory, now) = store.open(lua)?;
            memory.get(&store.key(&key)?, now).map_or(Ok(Value::Nil), |value| json::value(lua, &value))
        });
        methods.add_method("set", |lua, store, args| store.set(lua, args));
        methods.add_method("incr", |lua, store, args| store.incr(lua, args));
        methods.add_method("update", |lua, store, args| store.update(lua, args));
        methods.add_method("delete", |lua, store, key: Text| {
            let (memory, now) = store.open(lua)?;
            Ok(memory.delete(&store.key(&key)?, now))
        });
        methods.add_method("keys", |lua, store, prefix: Option<Text>| {
            let (memory, now) = store.open(lua)?;
            let prefix = prefix.map_or(Ok(String::new()), |prefix| store.key(&prefix))?;
            lua.create_sequence_from(memory.keys(&prefix, MOST_KEYS, now))
        });
        methods.add_method("publish", |lua, store, (channel, value): (Text, Value)| {
            let (memory, _) = store.open(lua)?;
            let value = json::plain(&value).map_err(|fault| store.fault(&fault))?;
            let value = message("publish", value.ok_or_else(|| store.fault(&"publish takes a value"))?)?;
            Ok(memory.hub().publish(&store.key(&channel)?, value))
        });
        methods.add_method("subscribe", |lua, store, (channel, hear): (String, Function)| {
            Declared::subscribe(lua, &store.name, channel, hear)
        });
        methods.add_meta_method(MetaMethod::ToString, |_, store, ()| Ok(format!("store `{}`", store.name)));
    }
}

fn time(ttl: Option<Value>) -> mlua::Result<Option<Duration>> {
    ttl.filter(|ttl| !ttl.is_nil()).map(|ttl| options::duration(&ttl)).transpose()
}

const LONGEST_KEY: usize = 4096;
/// `keys` gives this many at most: a list of a store's every key may be long.
const MOST_KEYS: usize = 10_000;

#[cfg(test)]
mod tests;
