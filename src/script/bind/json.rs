//! `json`: text to values and back, nothing lost on the way.

mod exact;
mod parse;
mod path;
mod plain;
mod print;
mod shape;
mod walk;

use mlua::IntoLuaMulti;
use mlua::LightUserData;
use mlua::Lua;
use mlua::LuaString;
use mlua::MultiValue;
use mlua::Table;
use mlua::Value;

pub(crate) use exact::Exact;
pub(crate) use parse::DecodeError;
pub(crate) use parse::decode;
pub(crate) use plain::freeze;
pub(crate) use plain::from_json;
pub(crate) use plain::plain;
pub(crate) use plain::to_json;
pub(crate) use plain::value;
pub(crate) use print::encode;
pub(crate) use walk::EncodeError;

use crate::script::bind::function;
use crate::script::bind::text::Text;

/// `json`
pub(super) fn install(lua: &Lua, words: &Table) -> mlua::Result<()> {
    shape::Shapes::install(lua)?;
    let json = lua.create_table()?;
    json.set("decode", function(lua, "json.decode", |lua, text: Text| decoded(lua, &text))?)?;
    json.set("try_decode", function(lua, "json.try_decode", try_decode)?)?;
    json.set("encode", function(lua, "json.encode", |lua, value: Value| encoded(lua, &value))?)?;
    json.set("get", function(lua, "json.get", path::get)?)?;
    json.set("array", function(lua, "json.array", array)?)?;
    json.set("null", Value::NULL)?;
    name_light_values(lua)?;
    words.set("json", json)
}

/// `json.null` prints as `null`. Light values share one metatable, and those of requests have it already.
fn name_light_values(lua: &Lua) -> mlua::Result<()> {
    let meta = match lua.type_metatable::<LightUserData>() {
        Some(meta) => meta,
        None => lua.create_table()?,
    };
    let name = |_: &Lua, value: Value| Ok(if value.is_null() { "null" } else { "request" });
    meta.raw_set("__tostring", lua.create_function(name)?)?;
    lua.set_type_metatable::<LightUserData>(Some(meta));
    Ok(())
}

fn decoded(lua: &Lua, text: &Text) -> mlua::Result<Value> {
    decode(lua, &text.bytes()).map_err(|error| match error {
        DecodeError::Lua(error) => error,
        fault @ DecodeError::Syntax { .. } => mlua::Error::runtime(format!("json.decode: {fault}")),
    })
}

fn try_decode(lua: &Lua, text: Text) -> mlua::Result<MultiValue> {
    match decode(lua, &text.bytes()) {
        Ok(value) => value.into_lua_multi(lua),
        Err(DecodeError::Lua(error)) => Err(error),
        Err(fault) => (Value::Nil, fault.to_string()).into_lua_multi(lua),
    }
}

fn encoded(lua: &Lua, value: &Value) -> mlua::Result<LuaString> {
    let text = encode(value).map_err(|fault| mlua::Error::runtime(format!("json.encode: {fault}")))?;
    lua.create_string(text)
}

/// Marks a table as a list, so that it is one when it is empty.
fn array(lua: &Lua, table: Option<Table>) -> mlua::Result<Table> {
    let table = table.map_or_else(|| lua.create_table(), Ok)?;
    if table.is_readonly() {
        return Err(mlua::Error::runtime("json.array: this table is frozen"));
    }
    shape::mark(lua, &table)?;
    Ok(table)
}

/// Deeper nesting is refused both ways.
const DEPTH: usize = 128;

#[cfg(test)]
mod tests;
