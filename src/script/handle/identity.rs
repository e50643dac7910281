//! What a step may change that then refuses: who the caller is, fields, query. Noted before, put back after.

use std::rc::Rc;

use mlua::Lua;
use mlua::Value;
use mlua::ffi;

use super::slots::Keep;
use super::slots::Slots;
use crate::http::Headers;
use crate::proxy::Exchange;

/// Who the caller is at one moment and, where the whole is noted, fields and query.
pub(in crate::script) struct Identity {
    user: Option<Value>,
    key: Option<Value>,
    request: Option<(Headers, Option<String>)>,
}

/// See [`Identity`].
pub(in crate::script) fn identity(lua: &Lua, exchange: &Rc<Exchange>, whole: bool) -> Identity {
    let slots = Slots::of(lua);
    let request = whole.then(|| {
        let request = exchange.request.borrow();
        (request.headers.clone(), request.query.clone())
    });
    Identity { user: slots.kept(lua, exchange, "user"), key: slots.kept(lua, exchange, "key"), request }
}

/// As it was then.
pub(in crate::script) fn put_back(lua: &Lua, exchange: &Rc<Exchange>, before: Identity) -> mlua::Result<()> {
    keep(lua, exchange, Keep::User, before.user)?;
    keep(lua, exchange, Keep::Key, before.key)?;
    if let Some((headers, query)) = before.request {
        let mut request = exchange.request.borrow_mut();
        (request.headers, request.query) = (headers, query);
    }
    Ok(())
}

fn keep(lua: &Lua, exchange: &Rc<Exchange>, keep: Keep, value: Option<Value>) -> mlua::Result<()> {
    let slots = Slots::of(lua);
    let handle = slots.seat(exchange);
    let Some(slot) = slots.slot(handle) else { return Ok(()) };
    let cell = &slot.refs[keep as usize];
    if value.is_none() && cell.get() == 0 {
        return Ok(());
    }
    // SAFETY: protected by mlua, which pushes the value; `lua_ref` may raise for memory, with the old reference in force.
    unsafe {
        lua.exec_raw::<()>(value, |state| {
            let fresh = if ffi::lua_type(state, -1) <= ffi::LUA_TNIL { 0 } else { ffi::lua_ref(state, -1) };
            let before = cell.replace(fresh);
            if before > 0 {
                ffi::lua_unref(state, before);
            }
            ffi::lua_settop(state, 0);
        })
    }
}
