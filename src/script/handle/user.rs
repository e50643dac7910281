//! Who the caller is, between Rust and a script: claims as data until somebody reads or writes `req.user`.

use std::rc::Rc;
use std::sync::Arc;

use mlua::Lua;
use mlua::Value;
use serde_json::Value as Json;

use super::slots::Keep;
use super::slots::Slots;
use crate::proxy::Exchange;
use crate::script::bind::json;

/// The caller is who `claims` (an object) and `key` say; `None` leaves what was known.
pub(crate) fn identify(
    lua: &Lua,
    exchange: &Rc<Exchange>,
    claims: Option<Arc<Json>>,
    key: Option<Rc<str>>,
) -> mlua::Result<()> {
    let slots = Slots::of(lua);
    if claims.is_some() {
        slots.keep(lua, exchange, Keep::User, Value::Nil)?;
        exchange.user.set_claims(claims);
    }
    if key.is_some() {
        slots.keep(lua, exchange, Keep::Key, Value::Nil)?;
        exchange.user.set_key(key);
    }
    Ok(())
}

/// `req.user` as a table that counts from now on: what a script changes in it is what later readers see.
pub(crate) fn user(lua: &Lua, exchange: &Rc<Exchange>) -> mlua::Result<Value> {
    let slots = Slots::of(lua);
    if let Some(claims) = exchange.user.claims() {
        let table = json::from_json(lua, &claims)?;
        slots.keep(lua, exchange, Keep::User, table.clone())?;
        exchange.user.set_claims(None);
        return Ok(table);
    }
    Ok(slots.kept(lua, exchange, "user").unwrap_or(Value::Nil))
}

/// The claims as data, those that a script wrote too; `None` when nobody knows who the caller is.
pub(crate) fn claims(lua: &Lua, exchange: &Rc<Exchange>) -> Option<Arc<Json>> {
    if let Some(claims) = exchange.user.claims() {
        return Some(claims);
    }
    let kept = super::kept(lua, exchange, "user")?;
    match json::to_json(&kept).ok()? {
        // An empty table, which reading `req.user` leaves behind, is nobody.
        Json::Array(list) if list.is_empty() => None,
        Json::Object(object) if object.is_empty() => None,
        claims => Some(Arc::new(claims)),
    }
}
