//! `hex`: bytes as hexadecimal text.

use mlua::Lua;
use mlua::Table;

use super::base64::decode;
use super::base64::encode;
use crate::primitive::codec;
use crate::script::bind::function;

/// `hex`
pub(super) fn install(lua: &Lua, words: &Table) -> mlua::Result<()> {
    let hex = lua.create_table()?;
    hex.set("encode", function(lua, "hex.encode", |lua, text| encode(lua, &text, |bytes| codec::hex_encode(bytes)))?)?;
    hex.set("decode", function(lua, "hex.decode", |lua, text| decode(lua, &text, |bytes| codec::hex_decode(bytes)))?)?;
    words.set("hex", hex)
}
