//! The words a function calls: each converts, calls a primitive, converts back. One file a word.

mod base64;
pub(crate) mod cookie;
pub(crate) mod core;
mod crypto;
pub(crate) mod declared;
mod fetch;
pub(crate) mod form;
mod glob;
mod hash;
mod hex;
pub(crate) mod json;
mod jwks;
mod limiter;
pub(crate) mod log;
mod metrics;
pub(crate) mod openapi;
pub(crate) mod options;
mod parallel;
pub(crate) mod regex;
pub(crate) mod schema;
mod sleep;
mod spawn;
mod store;
pub(crate) mod tasks;
pub(crate) mod text;
mod time;
pub(crate) mod upstream;
mod url;
mod uuid;
mod yaml;

use mlua::FromLuaMulti;
use mlua::Function;
use mlua::IntoLuaMulti;
use mlua::Lua;
use mlua::MultiValue;
use mlua::Table;

use crate::script::secret;

/// Puts every word into `words`, which become the machine's globals.
pub(crate) fn install(lua: &Lua, words: &Table) -> mlua::Result<()> {
    secret::install(lua);
    declared::Declared::install(lua);
    for install in WORDS {
        install(lua, words)?;
    }
    Ok(())
}

type Install = fn(&Lua, &Table) -> mlua::Result<()>;

const WORDS: &[Install] = &[
    json::install,
    yaml::install,
    schema::install,
    base64::install,
    hex::install,
    hash::install,
    crypto::install,
    uuid::install,
    url::install,
    form::install,
    cookie::install,
    time::install,
    regex::install,
    glob::install,
    log::install,
    store::install,
    limiter::install,
    metrics::install,
    sleep::install,
    fetch::install,
    parallel::install,
    spawn::install,
    tasks::install,
];

/// A function that messages call `name`.
pub(crate) fn function<A, R>(
    lua: &Lua,
    name: &'static str,
    call: impl Fn(&Lua, A) -> mlua::Result<R> + 'static,
) -> mlua::Result<Function>
where
    A: FromLuaMulti,
    R: IntoLuaMulti,
{
    lua.create_function(move |lua, args: MultiValue| call(lua, A::from_lua_args(args, 1, Some(name), lua)?))
}

#[cfg(test)]
pub(crate) mod testing;

#[cfg(test)]
mod tests;
