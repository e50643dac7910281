//! Answers, and requests as stand-ins see them, as tables of a test.

use mlua::Function;
use mlua::Lua;
use mlua::Table;

use super::Answered;
use super::Call;
use crate::primitive::query::Query;
use crate::proxy::watch::Trod;

/// Registry name of the functions of `suite.luau`.
pub(super) const LUA: &str = "moongate.suite";

/// What `gw:get` returns.
pub(super) fn table(lua: &Lua, answered: &Answered) -> mlua::Result<Table> {
    let table = lua.create_table()?;
    table.raw_set("status", answered.status)?;
    table.raw_set("headers", fields(lua, &answered.headers)?)?;
    table.raw_set("body", lua.create_string(&answered.body)?)?;
    table.raw_set("cut", answered.cut)?;
    table.raw_set("upstream", answered.upstream.as_deref())?;
    table.raw_set("host", answered.host.as_deref())?;
    table.raw_set("attempts", answered.attempts)?;
    table.raw_set("code", answered.code.as_deref())?;
    table.raw_set("from", answered.from)?;
    table.raw_set("took", answered.took.as_secs_f64())?;
    if let Some((name, pattern, place)) = &answered.route {
        let route = lua.create_table()?;
        route.raw_set("name", name.as_str())?;
        route.raw_set("pattern", pattern.as_str())?;
        route.raw_set("file", place.0.as_str())?;
        route.raw_set("line", place.1)?;
        table.raw_set("route", route)?;
    }
    let steps = answered.steps.iter().map(|trod| step(lua, trod)).collect::<mlua::Result<Vec<_>>>()?;
    table.raw_set("steps", steps)?;
    made(lua, "answer", table)
}

fn step(lua: &Lua, trod: &Trod) -> mlua::Result<Table> {
    let table = lua.create_table()?;
    table.raw_set("word", trod.word.as_str())?;
    table.raw_set("outcome", trod.outcome.as_str())?;
    table.raw_set("level", trod.level)?;
    table.raw_set("file", trod.place.0.as_str())?;
    table.raw_set("line", trod.place.1)?;
    table.raw_set("changes", trod.changes.clone())?;
    Ok(table)
}

/// What a mock's function gets, and `.calls` holds.
pub(super) fn call(lua: &Lua, call: &Call) -> mlua::Result<Table> {
    let table = lua.create_table()?;
    table.raw_set("method", call.method.as_str())?;
    table.raw_set("path", call.path.as_str())?;
    table.raw_set("host", call.host.as_str())?;
    table.raw_set("upstream", call.upstream.as_str())?;
    table.raw_set("at", call.at.as_str())?;
    table.raw_set("headers", fields(lua, &call.headers)?)?;
    table.raw_set("body", lua.create_string(&call.body)?)?;
    let query = lua.create_table()?;
    let parsed = Query::parse(call.query.as_deref().unwrap_or_default());
    for (name, value) in parsed.iter() {
        if !query.contains_key(name)? {
            query.raw_set(name, value)?;
        }
    }
    table.raw_set("query", query)?;
    table.raw_set("raw_query", call.query.as_deref())?;
    made(lua, "call", table)
}

/// Fields by name in lower case, several of one name joined.
fn fields(lua: &Lua, list: &[(String, String)]) -> mlua::Result<Table> {
    let table = lua.create_table()?;
    for (name, value) in list {
        let before: Option<String> = table.raw_get(name.as_str())?;
        let joined = before.map_or_else(|| value.clone(), |before| format!("{before}, {value}"));
        table.raw_set(name.as_str(), joined)?;
    }
    made(lua, "fields", table)
}

fn made(lua: &Lua, what: &str, table: Table) -> mlua::Result<Table> {
    let functions: Table = lua.named_registry_value(LUA)?;
    functions.get::<Function>(what)?.call(table)
}
