//! The words a function calls: each converts, calls a primitive, converts back. One file a word.

pub(crate) mod json;
pub(crate) mod text;

use mlua::FromLuaMulti;
use mlua::Function;
use mlua::IntoLuaMulti;
use mlua::Lua;
use mlua::MultiValue;
use mlua::Table;

/// Puts every word into `words`, which become the machine's globals.
pub(crate) fn install(lua: &Lua, words: &Table) -> mlua::Result<()> {
    json::install(lua, words)?;
    Ok(())
}

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
