//! `env`: the environment as it was when loading began.

use mlua::Lua;
use mlua::Table;
use mlua::Value;

use crate::script::context::Context;

/// `env`
pub(super) fn install(lua: &Lua, words: &Table) -> mlua::Result<()> {
    let env = lua.create_table()?;
    let meta = lua.create_table()?;
    meta.set(
        "__index",
        lua.create_function(|lua, (_, name): (Value, String)| Ok(Context::of(lua).snapshot().env.get(&name).cloned()))?,
    )?;
    meta.set(
        "__newindex",
        lua.create_function(|_, _: mlua::MultiValue| -> mlua::Result<()> {
            Err(mlua::Error::runtime("`env` cannot be written"))
        })?,
    )?;
    meta.set("__metatable", "locked")?;
    meta.set_readonly(true);
    env.set_metatable(Some(meta))?;
    words.set("env", env)
}
