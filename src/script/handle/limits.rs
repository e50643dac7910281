//! `req.limits`: what limits said, as a table once a function looks.

use std::rc::Rc;

use mlua::Lua;
use mlua::Table;
use mlua::Value;

use super::slots::Keep;
use super::slots::Slots;
use crate::proxy::Exchange;

/// The table, with everything said since it was looked at.
pub(crate) fn limits(lua: &Lua, exchange: &Rc<Exchange>) -> mlua::Result<Value> {
    let slots = Slots::of(lua);
    let all = match slots.kept(lua, exchange, "limits") {
        Some(Value::Table(all)) => all,
        _ => {
            let all = lua.create_table()?;
            slots.keep(lua, exchange, Keep::Limits, Value::Table(all.clone()))?;
            all
        }
    };
    for told in exchange.limits.news() {
        let table: Table = lua.create_table_with_capacity(0, 3)?;
        table.raw_set("limit", told.limit)?;
        table.raw_set("left", told.left)?;
        table.raw_set("reset", told.reset)?;
        all.raw_set(&*told.name, table)?;
    }
    Ok(Value::Table(all))
}
