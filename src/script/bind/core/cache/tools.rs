//! `cache.get`, `set`, `remember`, `delete`, `purge` and `space`: values of the script's own, and forgetting in time.

use std::any::Any;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use mlua::Function;
use mlua::Lua;
use mlua::MultiValue;
use mlua::Table;
use mlua::Value;

use crate::cache::Space;
use crate::cache::purge::Order;
use crate::cache::value::Loaded;
use crate::cache::value::Valued;
use crate::proxy::Run;
use crate::questions::Asking;
use crate::questions::Turn;
use crate::script::bind::declared::Declared;
use crate::script::bind::declared::running;
use crate::script::bind::function;
use crate::script::bind::json;
use crate::script::bind::options;
use crate::script::bind::options::Options;
use crate::script::bind::spawn;
use crate::script::context::Context;
use crate::script::driver;
use crate::script::driver::fault;
use crate::script::live;
use crate::script::live::Event;
use crate::script::live::Live;
use crate::script::wait;
use crate::store;

/// The functions of the common space, and `space` for others.
pub(crate) fn tools(lua: &Lua, (): ()) -> mlua::Result<Table> {
    let tools = functions(lua, live::MAIN, false)?;
    tools.raw_set("space", function(lua, "cache.space", space)?)?;
    Ok(tools)
}

/// `cache.space "big" { max = "512MB" }`: a space with functions of the same names, called with `:`.
fn space(lua: &Lua, (name, table): (String, Option<Table>)) -> mlua::Result<Value> {
    let declare = |lua: &Lua, name: &str, table: Option<&Table>| {
        let options = Options::read(lua, format!("cache.space `{name}`"), table, &["max"])?;
        let bytes = options.size("max")?.map_or(live::MAIN_BYTES, |bytes| bytes as u64);
        Declared::declare(lua, "space", name, bytes.to_string())
    };
    if let Some(table) = table {
        Declared::told(lua, "cache.space", &name, declare(lua, &name, Some(&table)))?;
        return functions(lua, &name, true).map(Value::Table);
    }
    let rest = move |lua: &Lua, table: Table| {
        Declared::told(lua, "cache.space", &name, declare(lua, &name, Some(&table)))?;
        functions(lua, &name, true)
    };
    function(lua, "cache.space", rest).map(Value::Function)
}

/// The functions of one space; `method`: the first argument is the space itself.
fn functions(lua: &Lua, name: &str, method: bool) -> mlua::Result<Table> {
    let table = lua.create_table()?;
    let drop_self = move |mut values: MultiValue| {
        if method {
            values.pop_front();
        }
        values
    };
    let place: Rc<str> = name.into();
    let named = Rc::clone(&place);
    let get = move |lua: &Lua, args: MultiValue| {
        let key: String = one(lua, drop_self(args))?;
        let (context, space) = open(lua, &named)?;
        found(
            lua,
            space.value(&key, context.clock().now()).filter(|(_, fresh)| *fresh).map(|(value, _)| value.data.clone()),
        )
    };
    table.raw_set("get", function(lua, "cache.get", get)?)?;
    let named = Rc::clone(&place);
    let set = move |lua: &Lua, args: MultiValue| {
        let (key, value, ttl, more): (String, Value, Value, Option<Table>) = one(lua, drop_self(args))?;
        let (context, space) = open(lua, &named)?;
        let more = More::read(lua, "cache.set", more.as_ref())?;
        let (ttl, now) = (options::duration(&ttl)?, context.clock().now());
        match json::plain(&value).map_err(|fault| mlua::Error::runtime(format!("cache.set: {fault}")))? {
            Some(value) => space.put(&key, valued(value, now, ttl, &more, space.purges().now()).1),
            None => drop(space.delete(&key)),
        }
        Ok(())
    };
    table.raw_set("set", function(lua, "cache.set", set)?)?;
    let named = Rc::clone(&place);
    let delete = move |lua: &Lua, args: MultiValue| {
        let key: String = one(lua, drop_self(args))?;
        Ok(open(lua, &named)?.1.delete(&key))
    };
    table.raw_set("delete", function(lua, "cache.delete", delete)?)?;
    let named = Rc::clone(&place);
    let purge = move |lua: &Lua, args: MultiValue| purge(lua, &named, drop_self(args));
    table.raw_set("purge", function(lua, "cache.purge", purge)?)?;
    let remember = move |lua: &Lua, args: MultiValue| {
        let (key, ttl, load, more): (String, Value, Function, Option<Table>) = one(lua, drop_self(args))?;
        let (context, space) = open(lua, &place)?;
        let more = More::read(lua, "cache.remember", more.as_ref())?;
        let job = Remember { lua: lua.clone(), context, space, key, ttl: options::duration(&ttl)?, load, more };
        job.start()
    };
    table.raw_set("remember", wait::maybe(lua, "cache.remember", remember)?)?;
    Ok(table)
}

fn one<T: mlua::FromLuaMulti>(lua: &Lua, values: MultiValue) -> mlua::Result<T> {
    T::from_lua_multi(values, lua)
}

fn open(lua: &Lua, name: &str) -> mlua::Result<(Rc<Context>, Arc<Space>)> {
    let context = running(lua, "`cache`")?;
    let declared = Declared::of(lua).config::<u64>(&format!("{}{name}", live::SPACE));
    let space = context.live().space(name, declared.unwrap_or(live::MAIN_BYTES));
    Ok((context, space))
}

fn found(lua: &Lua, data: Option<Arc<dyn Any + Send + Sync>>) -> mlua::Result<Value> {
    match data.as_deref().and_then(|data| data.downcast_ref::<store::Value>()) {
        Some(value) => json::value(lua, value),
        None => Ok(Value::Nil),
    }
}

/// `{ tags = "a" or { "a", "b" }, stale = "1m" }`
struct More {
    tags: Vec<Box<str>>,
    stale: Duration,
}

impl More {
    fn read(lua: &Lua, owner: &str, table: Option<&Table>) -> mlua::Result<Self> {
        let options = Options::read(lua, owner.to_owned(), table, &["tags", "stale"])?;
        let tags = match options.value("tags")? {
            Some(Value::Table(list)) => list.sequence_values::<String>().collect::<mlua::Result<Vec<_>>>()?,
            Some(Value::String(tag)) => vec![tag.to_str()?.to_owned()],
            None => Vec::new(),
            Some(_) => return Err(options.wrong("tags", &"a text or a list of texts expected")),
        };
        let stale = options.duration("stale")?.unwrap_or_default();
        Ok(Self { tags: tags.into_iter().map(Into::into).collect(), stale })
    }
}

fn valued(
    value: store::Value,
    now: crate::clock::Moment,
    ttl: Duration,
    more: &More,
    born: u64,
) -> (Arc<dyn Any + Send + Sync>, Valued) {
    let bytes = value.size();
    let data: Arc<dyn Any + Send + Sync> = Arc::new(value);
    (Arc::clone(&data), Valued::new(data, bytes, now, ttl, more.stale).tagged(more.tags.clone(), born))
}

/// `cache.purge("tag", …, { hard = true })`, `cache.purge { prefix = "/products/", key = "p1" }`; `"*"` is everything.
fn purge(lua: &Lua, name: &str, args: MultiValue) -> mlua::Result<usize> {
    let (context, space) = open(lua, name)?;
    let mut order = Order::default();
    for value in args {
        match value {
            Value::String(tag) => order.tags.push(tag.to_str()?.to_owned()),
            Value::Table(table) => {
                let known = ["hard", "prefix", "tags", "key"];
                let options = Options::read(lua, "cache.purge".to_owned(), Some(&table), &known)?;
                order.hard = options.flag("hard")?.unwrap_or(false);
                order.prefix = options.text("prefix")?;
                order.keys.extend(options.text("key")?);
                if let Some(more) = options.table("tags")? {
                    order.tags.extend(more.sequence_values::<String>().collect::<mlua::Result<Vec<_>>>()?);
                }
            }
            other => {
                return Err(mlua::Error::runtime(format!(
                    "cache.purge takes tags and {{ hard = true }}, not {}",
                    other.type_name()
                )));
            }
        }
    }
    Ok(forget(context.live(), name, &space, &order))
}

/// Forgets what `order` names and tells whoever listens; how many things it names.
pub(crate) fn forget(live: &Live, name: &str, space: &Space, order: &Order) -> usize {
    let purged = space.purge(order);
    if live.bus().hears("purge") {
        let Order { tags, keys, prefix, hard } = order;
        let event = serde_json::json!({ "tags": tags, "keys": keys, "prefix": prefix, "hard": hard, "space": name });
        live.bus().emit(Event { name: "purge".to_owned(), args: vec![Some(store::Value::Json(Box::new(event)))] });
    }
    purged
}

/// `cache.remember`: get, or load once for all who want it.
struct Remember {
    lua: Lua,
    context: Rc<Context>,
    space: Arc<Space>,
    key: String,
    ttl: Duration,
    load: Function,
    more: More,
}

impl Remember {
    fn start(self) -> wait::Began {
        let now = self.context.clock().now();
        let known = self.space.value(&self.key, now);
        let at_hand = |value: &Valued| {
            let value = found(&self.lua, Some(Arc::clone(&value.data)));
            Run::Done(value.map(|value| MultiValue::from_vec(vec![value])))
        };
        if let Some((value, true)) = &known {
            return Ok(at_hand(value));
        }
        let (turn, born) = self.space.load(&self.key, &self.more.tags);
        if let Some((value, _)) = known {
            let stale = at_hand(&value);
            if let Turn::Mine(asking) = turn {
                self.begin(asking, born)?;
            }
            return Ok(stale);
        }
        let lua = self.lua.clone();
        let answer = match turn {
            Turn::Other(answer) => answer,
            Turn::Mine(asking) => {
                let answer = asking.answer();
                self.begin(asking, born)?;
                answer
            }
        };
        Ok(Run::Wait(Box::pin(async move { arrived(&lua, answer.told().await) })))
    }

    /// The loader runs for nobody in particular: it outlives whoever asked first.
    fn begin(self, asking: Asking<Loaded>, born: u64) -> mlua::Result<()> {
        let worker = self.context.worker()?;
        worker.spawn(async move {
            let outcome = driver::drive(&self.context, None, &self.load, ()).get().await;
            let loaded = match outcome {
                Ok(values) => {
                    self.keep(&values, born).unwrap_or_else(|error| Loaded::Failed(fault::message(&error).into()))
                }
                Err(failure) => {
                    spawn::report(&self.context, "cache.remember", &failure);
                    let cause = if failure.cause.is_empty() { &failure.detail } else { &failure.cause };
                    Loaded::Failed(cause.as_str().into())
                }
            };
            asking.done(loaded);
        });
        Ok(())
    }

    /// `value, ttl?`: what is not nil is stored.
    fn keep(&self, values: &MultiValue, born: u64) -> mlua::Result<Loaded> {
        let value = values.front().cloned().unwrap_or(Value::Nil);
        let ttl = match values.get(1) {
            None | Some(Value::Nil) => self.ttl,
            Some(ttl) => options::duration(ttl)?,
        };
        let plain = json::plain(&value).map_err(|fault| mlua::Error::runtime(format!("cache.remember: {fault}")))?;
        let Some(plain) = plain else { return Ok(Loaded::Value(None)) };
        let (data, valued) = valued(plain, self.context.clock().now(), ttl, &self.more, born);
        self.space.put(&self.key, valued);
        Ok(Loaded::Value(Some(data)))
    }
}

fn arrived(lua: &Lua, loaded: Option<Loaded>) -> mlua::Result<MultiValue> {
    match loaded {
        Some(Loaded::Value(data)) => found(lua, data).map(|value| MultiValue::from_vec(vec![value])),
        Some(Loaded::Failed(cause)) => Err(mlua::Error::runtime(format!("cache.remember: {cause}"))),
        None => Err(mlua::Error::runtime("cache.remember: the loader was stopped")),
    }
}
