//! The declaring words: what they take, what they make of it, and how all of it becomes one plan.

mod acme;
mod address;
pub(crate) mod assert;
mod block;
pub(crate) mod discovery;
mod flatten;
mod gateway;
mod level;
mod loading;
mod matching;
mod nodes;
mod openapi;
mod pattern;
pub(crate) mod poison;
pub(crate) mod read;
mod secure;
mod service;
pub(crate) mod session;
mod slots;
mod target;
mod timers;

use mlua::AnyUserData;
use mlua::Lua;
use mlua::Table;
use mlua::UserData;
use mlua::Value;

pub use address::listener;
pub(crate) use block::read as block;
pub(crate) use flatten::build;
pub(crate) use poison::Poison;
pub(crate) use session::Session;
pub(crate) use session::here;
pub(crate) use session::place;
pub(crate) use session::place_of;
pub(crate) use slots::Slot;

use crate::script::bind::regex::Pattern;
use crate::script::bind::upstream;

/// Puts every declaring word into `globals`.
pub(crate) fn install(lua: &Lua, globals: &Table) -> mlua::Result<()> {
    gateway::install(lua, globals)?;
    nodes::install(lua, globals)?;
    service::install(lua, globals)?;
    openapi::install(lua, globals)?;
    assert::install(lua, globals)?;
    timers::install(lua, globals)?;
    loading::install(lua, globals)
}

/// A route, group or include as a value, by its place among the session's nodes.
pub(crate) struct Declared(pub(crate) usize);

impl Declared {
    /// The node that `value` is.
    pub(crate) fn of(value: &Value) -> Option<usize> {
        value.as_userdata().and_then(|data| data.borrow::<Self>().ok()).map(|declared| declared.0)
    }
}

impl UserData for Declared {}

/// An upstream as a value: works wherever its name does.
pub(crate) struct Service(pub(crate) String);

impl Service {
    /// The name of the upstream that `value` is.
    pub(crate) fn of(value: &Value) -> Option<String> {
        value.as_userdata().and_then(|data| data.borrow::<Self>().ok()).map(|service| service.0.clone())
    }
}

impl UserData for Service {
    fn add_methods<M: mlua::UserDataMethods<Self>>(methods: &mut M) {
        methods.add_meta_method(mlua::MetaMethod::ToString, |_, service, ()| Ok(service.0.clone()));
        methods.add_meta_function(mlua::MetaMethod::Concat, |_, _: mlua::MultiValue| -> mlua::Result<()> {
            Err(mlua::Error::runtime("an upstream is no text: write `to = name`, and `rewrite` for the path"))
        });
        upstream::methods(methods);
    }
}

/// A userdata as messages call it.
pub(crate) fn name_of(data: &AnyUserData) -> String {
    if data.is::<Declared>() {
        return "a route or group".to_owned();
    }
    if data.is::<Service>() {
        return "an upstream".to_owned();
    }
    let shown = Value::UserData(data.clone()).to_string().unwrap_or_default();
    if shown.starts_with("<secret") { shown } else { "a value of Moongate's own".to_owned() }
}

/// The expression of `regex "…"`.
pub(crate) fn regex_of(value: &Value) -> Option<String> {
    Pattern::of(value).map(|regex| regex.source().to_owned())
}

/// Whether `value` is `regex "…"`.
pub(crate) fn is_regex(value: &Value) -> bool {
    Pattern::of(value).is_some()
}
