//! `time`: the clock, and dates as text.

use mlua::IntoLuaMulti;
use mlua::Lua;
use mlua::MultiValue;
use mlua::Table;
use mlua::Value;

use crate::primitive::time;
use crate::primitive::time::Style;
use crate::script::bind::function;
use crate::script::context::Context;

/// `time`
pub(super) fn install(lua: &Lua, words: &Table) -> mlua::Result<()> {
    let table = lua.create_table()?;
    table.set("now", function(lua, "time.now", |lua, ()| Ok(Context::of(lua).unix().as_secs_f64()))?)?;
    table.set("ms", function(lua, "time.ms", |lua, ()| Ok((Context::of(lua).unix().as_secs_f64() * 1e3).floor()))?)?;
    table.set("format", function(lua, "time.format", format)?)?;
    table.set("parse", function(lua, "time.parse", parse)?)?;
    words.set("time", table)
}

/// `time.format(seconds?, style?)`: ISO 8601 of now unless told otherwise.
fn format(lua: &Lua, (seconds, style): (Option<f64>, Option<String>)) -> mlua::Result<String> {
    let seconds = seconds.unwrap_or_else(|| Context::of(lua).unix().as_secs_f64());
    let raise = |fault: time::TimeError| mlua::Error::runtime(format!("time.format: {fault}"));
    let style = Style::named(style.as_deref().unwrap_or("iso")).map_err(raise)?;
    time::format(seconds, style).map_err(raise)
}

/// `time.parse(text, style?)`: seconds, or `nil` and what is wrong.
fn parse(lua: &Lua, (text, style): (String, Option<String>)) -> mlua::Result<MultiValue> {
    let style = style.as_deref().map(Style::named).transpose();
    let style = style.map_err(|fault| mlua::Error::runtime(format!("time.parse: {fault}")))?;
    if text.len() > 256 {
        return (Value::Nil, "too long for a date").into_lua_multi(lua);
    }
    match time::parse(&text, style) {
        Ok(seconds) => seconds.into_lua_multi(lua),
        Err(fault) => (Value::Nil, fault.to_string()).into_lua_multi(lua),
    }
}
