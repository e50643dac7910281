//! `crypto`: comparison in constant time, random bytes.

use mlua::FromLua;
use mlua::Lua;
use mlua::LuaString;
use mlua::Table;
use mlua::Value;

use crate::primitive::digest;
use crate::script::bind::function;
use crate::script::bind::text::Text;
use crate::script::context::Context;
use crate::script::offline;

/// `crypto`
pub(super) fn install(lua: &Lua, words: &Table) -> mlua::Result<()> {
    let crypto = lua.create_table()?;
    crypto.set("equal", function(lua, "crypto.equal", equal)?)?;
    crypto.set("random", function(lua, "crypto.random", random)?)?;
    words.set("crypto", crypto)
}

/// What is not there equals nothing: a missing header must not raise, and not pass.
fn equal(lua: &Lua, (left, right): (Value, Value)) -> mlua::Result<bool> {
    if left.is_nil() || right.is_nil() {
        return Ok(false);
    }
    let (left, right) = (Text::from_lua(left, lua)?, Text::from_lua(right, lua)?);
    Ok(digest::equal(&left.bytes(), &right.bytes()))
}

fn random(lua: &Lua, count: usize) -> mlua::Result<LuaString> {
    let context = Context::of(lua);
    if context.loading() {
        // All workers load the same file and must come to the same plan; bytes they agree on are no secret.
        return Err(mlua::Error::runtime("crypto.random: not while the file loads; call it inside a function"));
    }
    let bytes = offline::random(&context, count).ok_or_else(|| {
        mlua::Error::runtime(format!("crypto.random: 0 to {} bytes at once, not {count}", digest::MOST_RANDOM))
    })?;
    lua.create_string(bytes)
}
