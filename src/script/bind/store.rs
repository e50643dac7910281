//! `store "name" { ttl, max, redis, file }`: values shared by all workers, or by several gateways, kept across reloads
//! and in a file across restarts.

mod verbs;

use std::cell::RefCell;
use std::path::Component;
use std::path::Path;
use std::rc::Rc;

use mlua::AnyUserData;
use mlua::Function;
use mlua::Lua;
use mlua::MetaMethod;
use mlua::Table;
use mlua::UserData;
use mlua::UserDataFields;
use mlua::UserDataMethods;

use crate::script::bind::declared::Declared;
use crate::script::bind::declared::named;
use crate::script::bind::declared::running;
use crate::script::bind::declared::text;
use crate::script::bind::function;
use crate::script::bind::options::Options;
use crate::script::context::Context;
use crate::script::declare::Session;
use crate::script::live::STORE;
use crate::store;
use crate::store::file::Place;
use crate::store::redis::Address;
use verbs::Verb;

/// A store in a script's hands.
pub(crate) struct Store {
    name: String,
    opened: RefCell<Option<store::Store>>,
}

/// `store`
pub(super) fn install(lua: &Lua, words: &Table) -> mlua::Result<()> {
    let make = |lua: &Lua, (name, options): (String, Option<Table>)| {
        named("store", &name)?;
        Declared::mention(lua, "store", &name)?;
        if let Some(options) = options {
            Declared::told(lua, "store", &name, declare(lua, &name, &options))?;
        }
        lua.create_userdata(Store { name, opened: RefCell::default() })
    };
    words.set("store", function(lua, "store", make)?)
}

fn declare(lua: &Lua, name: &str, table: &Table) -> mlua::Result<()> {
    let options = Options::read(lua, format!("store `{name}`"), Some(table), &["ttl", "max", "redis", "file"])?;
    let mut config = store::Config { ttl: options.duration("ttl")?, ..store::Config::default() };
    if let Some(max) = options.size("max")? {
        config.max = max.max(1 << 10);
    }
    if let Some(address) = options.text("redis")? {
        config.redis = Some(Address::parse(&address).map_err(|fault| options.wrong("redis", &fault))?);
        if options.value("max")?.is_some() {
            return Err(options.wrong("max", &"bounds a store in memory; Redis has its own `maxmemory`"));
        }
    }
    if let Some(file) = options.text("file")?.map(|file| place(lua, name, &options, &file)).transpose()? {
        if config.redis.is_some() {
            return Err(options.wrong("file", &"and `redis` are two places for the same values; write one"));
        }
        config.file = Some(file);
    }
    Declared::declare(lua, "store", name, text(&config))
}

/// Where a file is: in the state folder, else beside the script, and never outside of it.
fn place(lua: &Lua, own: &str, options: &Options<'_>, file: &str) -> mlua::Result<Place> {
    let parts: Vec<_> = Path::new(file).components().collect();
    if parts.is_empty() || !parts.iter().all(|part| matches!(part, Component::Normal(_))) {
        return Err(options.wrong("file", &"a name in the state folder expected, as in \"seen.journal\""));
    }
    let made = Place { name: file.to_owned(), root: Context::of(lua).snapshot().root.clone() };
    let others = Session::of(lua, "store")?.objects.borrow().clone();
    let other = others.iter().find(|(identity, config)| {
        let config = serde_json::from_str::<store::Config>(config);
        identity.strip_prefix(STORE).is_some_and(|name| name != own)
            && config.is_ok_and(|config| config.file.as_ref() == Some(&made))
    });
    match other {
        Some((identity, _)) => {
            let other = identity.strip_prefix(STORE).unwrap_or(identity);
            Err(options.wrong("file", &format!("store `{other}` is kept there")))
        }
        None => Ok(made),
    }
}

impl Store {
    /// Its name.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// The store itself, and where it is used.
    fn open(&self, lua: &Lua) -> mlua::Result<(store::Store, Rc<Context>)> {
        let context = running(lua, &format!("store `{}`", self.name))?;
        if let Some(store) = &*self.opened.borrow() {
            return Ok((store.clone(), context));
        }
        let store = find(lua, &context, &self.name);
        *self.opened.borrow_mut() = Some(store.clone());
        Ok((store, context))
    }

    fn fault(&self, fault: &dyn std::fmt::Display) -> mlua::Error {
        mlua::Error::runtime(format!("store `{}`: {fault}", self.name))
    }
}

/// The store of this name, as this machine's file declares it.
pub(crate) fn find(lua: &Lua, context: &Context, name: &str) -> store::Store {
    let identity = format!("{STORE}{name}");
    let config = Declared::of(lua).config(&identity).unwrap_or_default();
    context.live().store(&identity, &config, context.clock())
}

impl UserData for Store {
    fn add_fields<F: UserDataFields<Self>>(fields: &mut F) {
        // They may wait, which methods of userdata cannot.
        for verb in Verb::ALL {
            fields.add_field(verb.name(), verb);
        }
    }

    fn add_methods<M: UserDataMethods<Self>>(methods: &mut M) {
        methods.add_meta_function(MetaMethod::Call, |lua, (store, options): (AnyUserData, Table)| {
            let name = store.borrow::<Self>()?.name.clone();
            Declared::told(lua, "store", &name, declare(lua, &name, &options))?;
            Ok(store)
        });
        methods.add_method("subscribe", |lua, store, (channel, hear): (String, Function)| {
            Declared::subscribe(lua, &store.name, channel, hear)
        });
        methods.add_meta_method(MetaMethod::ToString, |_, store, ()| Ok(format!("store `{}`", store.name)));
    }
}

#[cfg(test)]
mod tests;
