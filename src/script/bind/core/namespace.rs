//! `core.namespace(word, functions)`: a word of a policy that is also a table of functions (`jwt { … }`, `jwt.verify`).

use mlua::Function;
use mlua::Lua;
use mlua::MultiValue;
use mlua::Table;

use crate::script::policy;

/// Puts `functions` in the place of the policy's word, which is called as before.
pub(super) fn namespace(lua: &Lua, (word, functions): (String, Table)) -> mlua::Result<()> {
    let constructor: Function = lua.globals().get(&*word)?;
    let meta = lua.create_table()?;
    let call = move |_: &Lua, mut arguments: MultiValue| {
        arguments.pop_front();
        constructor.call::<MultiValue>(arguments)
    };
    meta.raw_set("__call", lua.create_function(call)?)?;
    meta.raw_set("__metatable", "word")?;
    meta.raw_set("word", word.as_str())?;
    functions.set_metatable(Some(meta))?;
    functions.set_readonly(true);
    policy::publish(lua, &word, functions)
}
