//! What is done with a store: at once where it is in memory, else as a wait.

use std::future::Future;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use mlua::AnyUserData;
use mlua::FromLuaMulti;
use mlua::Function;
use mlua::IntoLua;
use mlua::IntoLuaMulti;
use mlua::Lua;
use mlua::MultiValue;
use mlua::Value;

use super::Store;
use crate::clock::Moment;
use crate::script::bind::json;
use crate::script::bind::options;
use crate::script::bind::tasks::message;
use crate::script::bind::text::Text;
use crate::script::bind::text::kind;
use crate::script::context::Context;
use crate::script::driver;
use crate::script::driver::fault;
use crate::script::wait;
use crate::script::wait::Waiting;
use crate::store;
use crate::store::Memory;
use crate::store::Remote;
use crate::store::StoreError;
use crate::store::memory::Change;

/// A function of every store.
#[derive(Clone, Copy)]
pub(super) enum Verb {
    Get,
    Set,
    Incr,
    Update,
    Delete,
    Keys,
    Publish,
}

impl Verb {
    pub(super) const ALL: [Self; 7] =
        [Self::Get, Self::Set, Self::Incr, Self::Update, Self::Delete, Self::Keys, Self::Publish];

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Get => "get",
            Self::Set => "set",
            Self::Incr => "incr",
            Self::Update => "update",
            Self::Delete => "delete",
            Self::Keys => "keys",
            Self::Publish => "publish",
        }
    }
}

impl IntoLua for Verb {
    fn into_lua(self, lua: &Lua) -> mlua::Result<Value> {
        let name = format!("store:{}", self.name());
        let made = match self {
            Self::Get => wait::prompt(lua, &name, |lua, (at, key)| get(&At::of(lua, &at)?, &key)),
            Self::Set => wait::prompt(lua, &name, |lua, (at, args)| set(&At::of(lua, &at)?, args)),
            Self::Incr => wait::prompt(lua, &name, |lua, (at, args)| incr(&At::of(lua, &at)?, args)),
            Self::Update => wait::prompt(lua, &name, |lua, (at, args)| update(&At::of(lua, &at)?, args)),
            Self::Delete => wait::prompt(lua, &name, |lua, (at, key)| delete(&At::of(lua, &at)?, &key)),
            Self::Keys => wait::prompt(lua, &name, |lua, (at, prefix)| keys(&At::of(lua, &at)?, prefix)),
            Self::Publish => wait::prompt(lua, &name, |lua, (at, args)| publish(&At::of(lua, &at)?, args)),
        };
        made.map(Value::Function)
    }
}

/// A store in use.
#[derive(Clone)]
struct At {
    lua: Lua,
    name: Rc<str>,
    store: store::Store,
    context: Rc<Context>,
}

impl At {
    fn of(lua: &Lua, store: &AnyUserData) -> mlua::Result<Self> {
        let own = store.borrow::<Store>().map_err(|_| mlua::Error::runtime("write store:get(…), with a colon"))?;
        let (store, context) = own.open(lua)?;
        Ok(Self { lua: lua.clone(), name: own.name.as_str().into(), store, context })
    }

    fn now(&self) -> Moment {
        self.context.clock().now()
    }

    fn fault(&self, fault: &dyn std::fmt::Display) -> mlua::Error {
        mlua::Error::runtime(format!("store `{}`: {fault}", self.name))
    }

    fn key(&self, key: &Text) -> mlua::Result<String> {
        let what = format!("store `{}`: a key", self.name);
        key.within(&what, LONGEST_KEY)?;
        key.utf8(&what)
    }

    fn plain(&self, value: &Value) -> mlua::Result<Option<store::Value>> {
        json::plain(value).map_err(|fault| self.fault(&fault))
    }

    /// `done` as the results of the function.
    fn say<T>(
        &self,
        done: Result<T, StoreError>,
        say: impl FnOnce(&Lua, T) -> mlua::Result<Value>,
    ) -> mlua::Result<MultiValue> {
        say(&self.lua, done.map_err(|fault| self.fault(&fault))?)?.into_lua_multi(&self.lua)
    }

    /// The same of what is still to come.
    fn wait<T: 'static>(
        &self,
        remote: &Arc<Remote>,
        work: impl AsyncFnOnce(&Remote) -> Result<T, StoreError> + 'static,
        say: impl FnOnce(&Lua, T) -> mlua::Result<Value> + 'static,
    ) -> Waiting {
        let (at, remote) = (self.clone(), Arc::clone(remote));
        wait::later(async move { at.say(work(&remote).await, say) })
    }
}

fn get(at: &At, key: &Text) -> mlua::Result<Waiting> {
    let key = at.key(key)?;
    let say = |lua: &Lua, value: Option<store::Value>| value.map_or(Ok(Value::Nil), |value| json::value(lua, &value));
    Ok(match &at.store {
        store::Store::Memory(memory) => wait::ready(at.say(Ok(memory.get(&key, at.now())), say)),
        store::Store::Redis(remote) => at.wait(remote, async move |remote| remote.get(&key).await, say),
    })
}

fn set(at: &At, (key, value, ttl): (Text, Value, Option<Value>)) -> mlua::Result<Waiting> {
    let (key, value, ttl) = (at.key(&key)?, at.plain(&value)?, time(ttl)?);
    let say = |_: &Lua, (): ()| Ok(Value::Nil);
    Ok(match (&at.store, value) {
        (store::Store::Memory(memory), Some(value)) => wait::ready(at.say(memory.set(&key, value, ttl, at.now()), say)),
        (store::Store::Memory(memory), None) => {
            memory.delete(&key, at.now());
            wait::ready(at.say(Ok(()), say))
        }
        (store::Store::Redis(remote), Some(value)) => {
            at.wait(remote, async move |remote| remote.set(&key, &value, ttl).await, say)
        }
        (store::Store::Redis(remote), None) => {
            at.wait(remote, async move |remote| remote.delete(&key).await.map(drop), say)
        }
    })
}

fn incr(at: &At, (key, by, ttl): (Text, Option<Value>, Option<Value>)) -> mlua::Result<Waiting> {
    let by = match by {
        None => store::Value::Int(1),
        Some(Value::Integer(by)) => store::Value::Int(by),
        Some(Value::Number(by)) if by.is_finite() => store::Value::Number(by),
        Some(other) => return Err(at.fault(&format!("incr takes a number, got {}", kind(&other)))),
    };
    let (key, ttl) = (at.key(&key)?, time(ttl)?);
    let say = |lua: &Lua, sum: store::Value| json::value(lua, &sum);
    Ok(match &at.store {
        store::Store::Memory(memory) => wait::ready(at.say(memory.incr(&key, &by, ttl, at.now()), say)),
        store::Store::Redis(remote) => at.wait(remote, async move |remote| remote.incr(&key, &by, ttl).await, say),
    })
}

fn delete(at: &At, key: &Text) -> mlua::Result<Waiting> {
    let key = at.key(key)?;
    let say = |_: &Lua, was: bool| Ok(Value::Boolean(was));
    Ok(match &at.store {
        store::Store::Memory(memory) => wait::ready(at.say(Ok(memory.delete(&key, at.now())), say)),
        store::Store::Redis(remote) => at.wait(remote, async move |remote| remote.delete(&key).await, say),
    })
}

fn keys(at: &At, prefix: Option<Text>) -> mlua::Result<Waiting> {
    let prefix = prefix.map_or(Ok(String::new()), |prefix| at.key(&prefix))?;
    let say = |lua: &Lua, keys: Vec<String>| lua.create_sequence_from(keys).map(Value::Table);
    Ok(match &at.store {
        store::Store::Memory(memory) => wait::ready(at.say(Ok(memory.keys(&prefix, MOST_KEYS, at.now())), say)),
        store::Store::Redis(remote) => at.wait(remote, async move |remote| remote.keys(&prefix, MOST_KEYS).await, say),
    })
}

fn publish(at: &At, (channel, value): (Text, Value)) -> mlua::Result<Waiting> {
    let value = at.plain(&value)?.ok_or_else(|| at.fault(&"publish takes a value"))?;
    let (channel, value) = (at.key(&channel)?, message("publish", value)?);
    let say = |lua: &Lua, count: usize| count.into_lua(lua);
    Ok(match &at.store {
        store::Store::Memory(memory) => wait::ready(at.say(Ok(memory.hub().publish(&channel, value)), say)),
        store::Store::Redis(remote) => at.wait(remote, async move |remote| remote.publish(&channel, &value).await, say),
    })
}

fn update(at: &At, (key, change, ttl): (Text, Function, Option<Value>)) -> mlua::Result<Waiting> {
    let (key, ttl) = (at.key(&key)?, time(ttl)?);
    match &at.store {
        store::Store::Memory(memory) => Ok(wait::ready(near(at, memory, &key, &change, ttl))),
        store::Store::Redis(remote) => {
            let (at, remote) = (at.clone(), Arc::clone(remote));
            Ok(wait::later(async move { far(&at, &remote, &key, &change, ttl).await }))
        }
    }
}

fn near(at: &At, memory: &Memory, key: &str, change: &Function, ttl: Option<Duration>) -> mlua::Result<MultiValue> {
    let _still = at.context.still("store:update");
    let made = memory.update(key, ttl, at.now(), |old| -> Result<Change, Raised> {
        let old = old.map_or(Ok(Value::Nil), |old| json::value(&at.lua, old))?;
        Ok(at.plain(&change.call(old)?)?.map_or(Change::Delete, Change::Set))
    });
    match made.map_err(|raised| raised.0)? {
        Some(value) => json::value(&at.lua, &value)?.into_lua_multi(&at.lua),
        None => Value::Nil.into_lua_multi(&at.lua),
    }
}

/// The value is changed where nobody else has changed it meanwhile, else all of it happens again.
async fn far(
    at: &At,
    remote: &Remote,
    key: &str,
    change: &Function,
    ttl: Option<Duration>,
) -> mlua::Result<MultiValue> {
    for _ in 0..MOST_TRIES {
        let old = remote.raw(key).await.map_err(|fault| at.fault(&fault))?;
        let value = old.as_deref().map(store::Value::read);
        let value = value.map_or(Ok(Value::Nil), |value| json::value(&at.lua, &value))?;
        let exchange = at.context.exchange();
        let made = driver::call(&at.context, exchange, "store:update", change, value).map_err(fault::raise)?;
        let new = at.plain(&made.into_iter().next().unwrap_or(Value::Nil))?;
        let change = new.clone().map_or(Change::Delete, Change::Set);
        if remote.swap(key, old.as_deref(), &change, ttl).await.map_err(|fault| at.fault(&fault))? {
            return new.map_or(Ok(Value::Nil), |new| json::value(&at.lua, &new))?.into_lua_multi(&at.lua);
        }
    }
    Err(at.fault(&StoreError::Contended(key.to_owned())))
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

fn time(ttl: Option<Value>) -> mlua::Result<Option<Duration>> {
    ttl.filter(|ttl| !ttl.is_nil()).map(|ttl| options::duration(&ttl)).transpose()
}

const LONGEST_KEY: usize = 4096;
/// `keys` gives this many at most: a list of a store's every key may be long.
const MOST_KEYS: usize = 10_000;
/// Each try is two calls.
const MOST_TRIES: usize = 100;
