//! `yaml`: text to values.

use mlua::IntoLuaMulti;
use mlua::Lua;
use mlua::MultiValue;
use mlua::Table;
use mlua::Value;

use crate::script::bind::function;
use crate::script::bind::json;
use crate::script::bind::text::LARGEST;
use crate::script::bind::text::Text;
use crate::transform::yaml;

/// `yaml`
pub(super) fn install(lua: &Lua, words: &Table) -> mlua::Result<()> {
    let yaml = lua.create_table()?;
    yaml.set(
        "decode",
        function(lua, "yaml.decode", |lua, text: Text| match read(&text) {
            Ok(value) => json::from_json(lua, &value),
            Err(fault) => Err(mlua::Error::runtime(format!("yaml.decode: {fault}"))),
        })?,
    )?;
    yaml.set("try_decode", function(lua, "yaml.try_decode", try_decode)?)?;
    words.set("yaml", yaml)
}

fn read(text: &Text) -> Result<serde_json::Value, String> {
    let bytes = text.bytes();
    if bytes.len() > LARGEST {
        return Err(format!("the text is larger than {} MB", LARGEST >> 20));
    }
    yaml::decode(&bytes).map_err(|fault| fault.to_string())
}

fn try_decode(lua: &Lua, text: Text) -> mlua::Result<MultiValue> {
    match read(&text) {
        Ok(value) => json::from_json(lua, &value)?.into_lua_multi(lua),
        Err(fault) => (Value::Nil, fault).into_lua_multi(lua),
    }
}
