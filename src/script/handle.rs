//! `req` and `res` as scripts see them.

use mlua::Lua;

/// Before any string is seen: the atoms by which fields are told apart.
pub(super) fn prepare(_lua: &Lua) -> mlua::Result<()> {
    Ok(())
}

/// The metatables.
pub(super) fn install(_lua: &Lua) -> mlua::Result<()> {
    Ok(())
}
