//! `core.chance(share)`: a function of `req` that says whether the request belongs to a share of all.

use mlua::Function;
use mlua::Lua;
use mlua::Value;

use super::exchange;
use crate::primitive::chance::falls;

/// The worker's own chance decides.
pub(super) fn chance(lua: &Lua, share: f64) -> mlua::Result<Function> {
    lua.create_function(move |lua, req: Value| Ok(falls(share, exchange(lua, &req)?.worker.chance())))
}
