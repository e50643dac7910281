//! `req`: the C functions behind its fields.

use std::ffi::c_int;
use std::io::Write as _;

use mlua::Lua;
use mlua::ffi;

use super::atoms;
use super::map;
use super::raw;
use super::raw::Parts;
use super::slots::Keep;
use super::slots::Slot;
use crate::http::Method;

/// The registry's name for the tables of routes.
pub(super) const ROUTES: &str = "moongate.routes";

/// Makes light values know their fields.
pub(super) fn install(lua: &Lua, parts: &Parts) -> mlua::Result<()> {
    let functions: [(_, ffi::lua_CFunction, _); 2] = [(c"__index", index, false), (c"__newindex", newindex, true)];
    // SAFETY: `metatable` leaves the table at the top; a light value's metatable is that of its type.
    raw::metatable(lua, parts, &functions, |state| unsafe {
        ffi::lua_pushlightuserdata(state, std::ptr::null_mut());
        ffi::lua_insert(state, -2);
        ffi::lua_setmetatable(state, -2);
    })
}

unsafe extern "C-unwind" fn index(state: *mut ffi::lua_State) -> c_int {
    // SAFETY: see `handle`: the slot is checked, nothing with a destructor is alive where something may raise.
    unsafe {
        let slot = raw::slot(state, 1);
        let mut atom = -1;
        ffi::lua_tostringatom(state, 2, &raw mut atom);
        let exchange = slot.exchange();
        match atom {
            atoms::HEADERS => return map::keep(state, slot, Keep::Headers),
            atoms::QUERY => return map::keep(state, slot, Keep::Query),
            atoms::PARAMS => return map::keep(state, slot, Keep::Params),
            atoms::COOKIES => return map::keep(state, slot, Keep::Cookies),
            atoms::CTX => return kept_table(state, slot, Keep::Ctx),
            // Claims become a table where a script looks at them; from then on the table is the truth.
            atoms::USER if exchange.user.has_claims() => return raw::cold(state, 1),
            atoms::USER => return kept_table(state, slot, Keep::User),
            atoms::LIMITS if exchange.limits.is_news() => return raw::cold(state, 1),
            atoms::LIMITS => return kept_table(state, slot, Keep::Limits),
            atoms::KEY if exchange.user.has_key() => return raw::cold(state, 1),
            atoms::KEY => return get_kept(state, slot, Keep::Key),
            atoms::IP => return ip(state, slot),
            atoms::ROUTE => return route(state, slot),
            atoms::ID => {
                if let Some(id) = exchange.id.get() {
                    return raw::push(state, id.as_bytes());
                }
            }
            atoms::METHOD | atoms::PATH | atoms::HOST => {
                let Ok(request) = exchange.request.try_borrow_unguarded() else { raw::raise(state, BUSY) };
                return raw::push(
                    state,
                    match atom {
                        atoms::METHOD => request.method.as_str().as_bytes(),
                        atoms::PATH => request.path.as_bytes(),
                        _ => request.host.as_bytes(),
                    },
                );
            }
            _ => {}
        }
        raw::method_or_rest(state)
    }
}

unsafe extern "C-unwind" fn newindex(state: *mut ffi::lua_State) -> c_int {
    // SAFETY: as above; the borrow for a write ends before anything may raise.
    unsafe {
        let slot = raw::slot(state, 1);
        let mut atom = -1;
        ffi::lua_tostringatom(state, 2, &raw mut atom);
        match atom {
            atoms::CTX => return set_table(state, slot, Keep::Ctx),
            atoms::USER => {
                let set = set_table(state, slot, Keep::User);
                slot.exchange().user.set_claims(None);
                return set;
            }
            atoms::LIMITS => return set_table(state, slot, Keep::Limits),
            atoms::KEY => {
                let set = set_kept(state, slot, Keep::Key);
                slot.exchange().user.set_key(None);
                return set;
            }
            atoms::METHOD => {
                if let Some(token) = raw::text(state, 3)
                    && crate::http::headers::is_name(token)
                    && let Ok(token) = std::str::from_utf8(token)
                    && let Ok(mut request) = slot.exchange().request.try_borrow_mut()
                {
                    request.method = Method::of(token);
                    return 0;
                }
            }
            _ => {}
        }
        raw::cold(state, 0)
    }
}

/// A cell that somebody is writing to: cannot happen while a script runs, but is no reason to panic.
pub(super) const BUSY: &std::ffi::CStr = c"the request is being changed";

/// Pushes a kept value, nil if there is none.
unsafe fn get_kept(state: *mut ffi::lua_State, slot: &Slot, keep: Keep) -> c_int {
    // SAFETY: a reference that `lua_ref` gave, or 0, which stands for nil.
    unsafe { ffi::lua_rawgeti_(state, ffi::LUA_REGISTRYINDEX, slot.refs[keep as usize].get()) };
    1
}

/// Pushes a kept table, made on first use.
unsafe fn kept_table(state: *mut ffi::lua_State, slot: &Slot, keep: Keep) -> c_int {
    // SAFETY: may raise for memory, with nothing to drop; the reference is noted only once it exists.
    unsafe {
        let reference = slot.refs[keep as usize].get();
        if reference != 0 {
            ffi::lua_rawgeti_(state, ffi::LUA_REGISTRYINDEX, reference);
            return 1;
        }
        ffi::lua_createtable(state, 0, 0);
        slot.refs[keep as usize].set(ffi::lua_ref(state, -1));
    }
    1
}

unsafe fn set_table(state: *mut ffi::lua_State, slot: &Slot, keep: Keep) -> c_int {
    // SAFETY: raises a constant, or goes on with the checked value.
    unsafe {
        let kind = ffi::lua_type(state, 3);
        if kind != ffi::LUA_TTABLE && kind != ffi::LUA_TNIL {
            raw::raise(state, c"`user`, `ctx` and `limits` of a request are tables");
        }
        set_kept(state, slot, keep)
    }
}

/// Keeps the value at 3, letting the one before go.
unsafe fn set_kept(state: *mut ffi::lua_State, slot: &Slot, keep: Keep) -> c_int {
    // SAFETY: `lua_ref` may raise for memory, with the old reference still in force; then the exchange happens.
    unsafe {
        let fresh = if ffi::lua_type(state, 3) == ffi::LUA_TNIL { 0 } else { ffi::lua_ref(state, 3) };
        let before = slot.refs[keep as usize].replace(fresh);
        if before > 0 {
            ffi::lua_unref(state, before);
        }
    }
    0
}

unsafe fn ip(state: *mut ffi::lua_State, slot: &Slot) -> c_int {
    let mut buffer = [0_u8; 64];
    let mut rest = &mut buffer[..];
    let exchange = slot.exchange();
    let address = exchange.client.get().or_else(|| exchange.peer.map(|peer| peer.ip()));
    let length = match address {
        Some(address) if write!(rest, "{address}").is_ok() => 64 - rest.len(),
        _ => 0,
    };
    // SAFETY: a slice of a local array, copied by Luau.
    unsafe { raw::push(state, buffer.get(..length).unwrap_or_default()) }
}

/// Pushes the table of the chosen route, nil if none is.
unsafe fn route(state: *mut ffi::lua_State, slot: &Slot) -> c_int {
    // SAFETY: a table's read, which may go on to a function of mlua's and raise with it; nothing here has a destructor.
    unsafe {
        let Some(route) = slot.exchange().route.get() else {
            ffi::lua_pushnil(state);
            return 1;
        };
        if ffi::lua_rawgetfield(state, ffi::LUA_REGISTRYINDEX, c"moongate.routes".as_ptr()) != ffi::LUA_TTABLE {
            ffi::lua_pushnil(state);
            return 1;
        }
        #[allow(clippy::cast_precision_loss, reason = "there are fewer than 2^53 routes")]
        ffi::lua_pushnumber(state, (route + 1) as f64);
        ffi::lua_gettable(state, -2);
    }
    1
}
