//! `url`: parts, components, references.

use mlua::IntoLuaMulti;
use mlua::Lua;
use mlua::MultiValue;
use mlua::Table;
use mlua::Value;

use crate::primitive::url;
use crate::script::bind::function;
use crate::script::bind::text::Text;

/// `url`
pub(super) fn install(lua: &Lua, words: &Table) -> mlua::Result<()> {
    let table = lua.create_table()?;
    table.set("parse", function(lua, "url.parse", parse)?)?;
    table.set("encode", function(lua, "url.encode", encode)?)?;
    table.set("decode", function(lua, "url.decode", decode)?)?;
    table.set("join", function(lua, "url.join", join)?)?;
    words.set("url", table)
}

fn parse(lua: &Lua, text: Text) -> mlua::Result<MultiValue> {
    text.within("url.parse", LONGEST)?;
    let text = text.utf8("url.parse")?;
    let parts = match url::parse(&text) {
        Ok(parts) => parts,
        Err(fault) => return (Value::Nil, fault.to_string()).into_lua_multi(lua),
    };
    let table = lua.create_table()?;
    table.set("scheme", parts.scheme)?;
    table.set("user", parts.user)?;
    table.set("password", parts.password)?;
    table.set("host", parts.host)?;
    table.set("port", parts.port)?;
    table.set("path", parts.path)?;
    table.set("query", parts.query)?;
    table.set("fragment", parts.fragment)?;
    table.into_lua_multi(lua)
}

fn encode(lua: &Lua, text: Text) -> mlua::Result<Value> {
    text.within("url.encode", LONGEST)?;
    let encoded = url::encode(&text.bytes());
    text.like(lua, encoded.into_bytes())
}

fn decode(lua: &Lua, text: Text) -> mlua::Result<Value> {
    text.within("url.decode", LONGEST)?;
    let decoded = url::decode(&text.utf8("url.decode")?);
    text.like(lua, decoded)
}

fn join(lua: &Lua, (base, reference): (Text, Text)) -> mlua::Result<MultiValue> {
    base.within("url.join", LONGEST)?;
    reference.within("url.join", LONGEST)?;
    match url::join(&base.utf8("url.join")?, &reference.utf8("url.join")?) {
        Ok(joined) => joined.into_lua_multi(lua),
        Err(fault) => (Value::Nil, fault.to_string()).into_lua_multi(lua),
    }
}

/// Longer ones are no URLs and no components.
const LONGEST: usize = 1 << 20;
