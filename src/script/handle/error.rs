//! `err`: a failure as `on_error`, `errors` and `res.error` see it.

use mlua::Lua;
use mlua::Table;
use mlua::Value;

use crate::proxy::Failure;

/// The metatable's name in the registry.
const META: &str = "moongate.error";

/// `failure` as a table of its facts, which prints as `code: detail`.
pub(crate) fn error(lua: &Lua, failure: &Failure) -> mlua::Result<Value> {
    let table = lua.create_table()?;
    table.raw_set("code", failure.code.as_str())?;
    table.raw_set("status", failure.status)?;
    table.raw_set("detail", failure.detail.as_str())?;
    table.raw_set("step", failure.step.as_deref())?;
    table.raw_set("level", failure.level)?;
    table.raw_set("upstream", failure.upstream.as_deref())?;
    table.raw_set("traceback", failure.traceback.as_deref())?;
    if let Some((file, line)) = &failure.place {
        table.raw_set("file", file.as_str())?;
        table.raw_set("line", *line)?;
    }
    let faults = lua.create_table()?;
    for (pointer, message) in &failure.faults {
        faults.raw_push(lua.create_table_from([("pointer", pointer.as_str()), ("message", message.as_str())])?)?;
    }
    table.raw_set("faults", faults)?;
    table.set_metatable(Some(meta(lua)?))?;
    Ok(Value::Table(table))
}

fn meta(lua: &Lua) -> mlua::Result<Table> {
    if let Some(meta) = lua.named_registry_value::<Option<Table>>(META)? {
        return Ok(meta);
    }
    let meta = lua.create_table()?;
    let show = lua.create_function(|_, table: Table| {
        let (code, detail) = (table.raw_get::<String>("code")?, table.raw_get::<String>("detail")?);
        Ok(if detail.is_empty() { code } else { format!("{code}: {detail}") })
    })?;
    meta.set("__tostring", show)?;
    meta.set_readonly(true);
    lua.set_named_registry_value(META, &meta)?;
    Ok(meta)
}
