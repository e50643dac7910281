//! `base64`, and `base64.url` for the URL alphabet.

use mlua::IntoLuaMulti;
use mlua::Lua;
use mlua::MultiValue;
use mlua::Table;
use mlua::Value;

use crate::primitive::codec;
use crate::primitive::codec::CodecError;
use crate::script::bind::function;
use crate::script::bind::text::LARGEST;
use crate::script::bind::text::Text;

/// `base64`
pub(super) fn install(lua: &Lua, words: &Table) -> mlua::Result<()> {
    let base64 = lua.create_table()?;
    base64.set(
        "encode",
        function(lua, "base64.encode", |lua, text| encode(lua, &text, |bytes| codec::base64_encode(bytes)))?,
    )?;
    base64.set(
        "decode",
        function(lua, "base64.decode", |lua, text| decode(lua, &text, |bytes| codec::base64_decode(bytes)))?,
    )?;
    let url = lua.create_table()?;
    url.set(
        "encode",
        function(lua, "base64.url.encode", |lua, text| encode(lua, &text, |bytes| codec::base64url_encode(bytes)))?,
    )?;
    url.set(
        "decode",
        function(lua, "base64.url.decode", |lua, text| decode(lua, &text, |bytes| codec::base64url_decode(bytes)))?,
    )?;
    url.set_readonly(true);
    base64.set("url", url)?;
    words.set("base64", base64)
}

/// Text in another alphabet; of a secret it stays secret.
pub(super) fn encode(lua: &Lua, text: &Text, code: fn(&[u8]) -> String) -> mlua::Result<Value> {
    text.within("encode", LARGEST)?;
    let coded = code(&text.bytes());
    text.like(lua, coded.into_bytes())
}

/// The bytes, or `nil` and what is wrong.
pub(super) fn decode(
    lua: &Lua,
    text: &Text,
    read: fn(&[u8]) -> Result<Vec<u8>, CodecError>,
) -> mlua::Result<MultiValue> {
    text.within("decode", LARGEST)?;
    let read = read(&text.bytes());
    match read {
        Ok(bytes) => text.like(lua, bytes)?.into_lua_multi(lua),
        Err(fault) => (Value::Nil, fault.to_string()).into_lua_multi(lua),
    }
}
