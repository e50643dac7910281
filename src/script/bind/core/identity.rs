//! Identity: `core.identity(table)` makes claims ready while loading, `core.identify(req, claims?, key?)` says who calls.

use std::rc::Rc;
use std::sync::Arc;

use mlua::AnyUserData;
use mlua::Lua;
use mlua::UserData;
use mlua::Value;
use serde_json::Value as Json;

use super::exchange;
use crate::script::bind::json;
use crate::script::handle;

/// Claims that many requests may share.
pub(super) struct Identity(pub(super) Arc<Json>);

impl UserData for Identity {}

/// Claims made ready once, for callers known while loading.
pub(super) fn identity(lua: &Lua, table: Value) -> mlua::Result<AnyUserData> {
    lua.create_userdata(Identity(object(&table)?))
}

/// The caller of `req` is this one: claims made ready, or a table; and by which key, where there is one.
pub(super) fn identify(lua: &Lua, (req, who, key): (Value, Value, Option<String>)) -> mlua::Result<()> {
    let exchange = exchange(lua, &req)?;
    let claims = match &who {
        Value::Nil => None,
        Value::UserData(ready) => Some(Arc::clone(&ready.borrow::<Identity>()?.0)),
        table => Some(object(table)?),
    };
    handle::identify(lua, &exchange, claims, key.map(Rc::from))
}

/// The caller of `req` is somebody in particular, whoever that is.
pub(super) fn vouch(lua: &Lua, req: Value) -> mlua::Result<()> {
    exchange(lua, &req)?.user.vouch();
    Ok(())
}

/// A table of names and plain values; an empty one is an object too.
pub(super) fn object(value: &Value) -> mlua::Result<Arc<Json>> {
    let wrong = |what: &str| mlua::Error::runtime(format!("a user is a table of names and plain values: {what}"));
    match json::to_json(value).map_err(|fault| wrong(&fault.to_string()))? {
        Json::Array(list) if list.is_empty() => Ok(Arc::new(Json::Object(serde_json::Map::new()))),
        claims @ Json::Object(_) => Ok(Arc::new(claims)),
        _ => Err(wrong(&format!("got {}", value.type_name()))),
    }
}
