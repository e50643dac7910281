//! Declared answers of `errors`: tables whose texts are templates.

use std::rc::Rc;

use mlua::Lua;
use mlua::Table;
use mlua::Value;

use crate::proxy::Code;
use crate::proxy::Exchange;
use crate::proxy::Failure;
use crate::proxy::lookup;
use crate::transform::template::Escape;
use crate::transform::template::Template;

/// `declared` with every template in it filled.
pub(super) fn fill(lua: &Lua, exchange: &Rc<Exchange>, declared: &Value) -> Result<Value, Failure> {
    let Value::Table(table) = declared else { return Ok(declared.clone()) };
    let filled = lua.create_table().map_err(broken)?;
    for pair in table.pairs::<Value, Value>() {
        let (key, value) = pair.map_err(broken)?;
        let escape = match key.as_string().map(|key| key.to_string_lossy()).as_deref() {
            Some("headers" | "cookies") => Escape::Header,
            Some("html" | "xml") => Escape::Xml,
            _ => Escape::Plain,
        };
        let value = value_of(lua, exchange, value, escape, 0)?;
        filled.raw_set(key, value).map_err(broken)?;
    }
    Ok(Value::Table(filled))
}

fn value_of(lua: &Lua, exchange: &Rc<Exchange>, value: Value, escape: Escape, depth: u32) -> Result<Value, Failure> {
    match value {
        Value::String(text) => {
            let text = text.to_string_lossy();
            if !text.contains(['{', '}']) {
                return lua.create_string(text).map(Value::String).map_err(broken);
            }
            let params: Vec<_> = exchange.params.borrow().list.iter().map(|(name, _)| name.to_string()).collect();
            let template =
                Template::parse(&text, escape, &params).map_err(|fault| broken(mlua::Error::external(fault)))?;
            let text = lookup::render(exchange, &template, None)?;
            lua.create_string(text).map(Value::String).map_err(broken)
        }
        Value::Table(table) if depth < 32 => copy(lua, exchange, &table, escape, depth),
        value => Ok(value),
    }
}

fn copy(lua: &Lua, exchange: &Rc<Exchange>, table: &Table, escape: Escape, depth: u32) -> Result<Value, Failure> {
    let filled = lua.create_table().map_err(broken)?;
    for pair in table.pairs::<Value, Value>() {
        let (key, value) = pair.map_err(broken)?;
        let value = value_of(lua, exchange, value, escape, depth + 1)?;
        filled.raw_set(key, value).map_err(broken)?;
    }
    if let Some(meta) = table.metatable() {
        filled.set_metatable(Some(meta)).map_err(broken)?;
    }
    Ok(Value::Table(filled))
}

fn broken(error: mlua::Error) -> Failure {
    Failure::new(Code::ScriptAnswer, "a declared answer could not be made").because(error.to_string())
}
