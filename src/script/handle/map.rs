//! The maps of `req` and `res`: headers, query, cookies and params, read and written by name.

use std::ffi::c_int;
use std::ffi::c_void;
use std::rc::Rc;

use mlua::LightUserData;
use mlua::Lua;
use mlua::Value;
use mlua::ffi;

use super::Held;
use super::raw;
use super::raw::Parts;
use super::request::BUSY;
use super::slots::Keep;
use super::slots::Slot;
use crate::http::Headers;
use crate::http::headers::Known;
use crate::http::headers::is_name;
use crate::http::headers::is_value;
use crate::primitive::cookie;
use crate::route::Param;

/// The tag of maps; `res` has 1.
const TAG: c_int = 2;

/// Which map it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Kind {
    Headers,
    Query,
    Cookies,
    Params,
    Response,
}

/// What a map userdata holds.
#[repr(C)]
struct Map {
    kind: Kind,
    /// The `req` it belongs to; null for a response's.
    request: *mut c_void,
    /// The response it belongs to, from `Rc::into_raw`; null for a request's.
    held: *const Held,
}

/// Makes maps known to the machine.
pub(super) fn install(lua: &Lua, parts: &Parts) -> mlua::Result<()> {
    let functions: [(_, ffi::lua_CFunction, _); 3] =
        [(c"__index", index, false), (c"__newindex", newindex, true), (c"__namecall", namecall, false)];
    // SAFETY: `metatable` leaves the table at the top; the tag is ours.
    raw::metatable(lua, parts, &functions, |state| unsafe {
        ffi::lua_setuserdatametatable(state, TAG);
        ffi::lua_setuserdatadtor(state, TAG, Some(finalize));
    })
}

unsafe extern "C" fn finalize(_: *mut ffi::lua_State, data: *mut c_void) {
    // SAFETY: Luau passes a userdata of this tag once; a null pointer stands for no response.
    unsafe {
        let held = (*data.cast::<Map>()).held;
        if !held.is_null() {
            drop(Rc::from_raw(held));
        }
    }
}

/// Pushes the map of a request that `keep` stands for, made on first use and kept as long as the request lives.
pub(super) unsafe fn keep(state: *mut ffi::lua_State, slot: &Slot, keep: Keep) -> c_int {
    let kind = match keep {
        Keep::Query => Kind::Query,
        Keep::Cookies => Kind::Cookies,
        Keep::Params => Kind::Params,
        _ => Kind::Headers,
    };
    // SAFETY: may raise for memory before anything is noted; the fields are written before anybody else sees them.
    unsafe {
        let reference = slot.refs[keep as usize].get();
        if reference != 0 {
            ffi::lua_rawgeti_(state, ffi::LUA_REGISTRYINDEX, reference);
            return 1;
        }
        let request = ffi::lua_tolightuserdata(state, 1);
        let map = ffi::lua_newuserdatataggedwithmetatable(state, size_of::<Map>(), TAG).cast::<Map>();
        map.write(Map { kind, request, held: std::ptr::null() });
        slot.refs[keep as usize].set(ffi::lua_ref(state, -1));
    }
    1
}

/// Pushes the headers of a response.
pub(super) unsafe fn of_response(state: *mut ffi::lua_State, held: *const Held) -> c_int {
    // SAFETY: the count is raised after the only call that may raise.
    unsafe {
        let map = ffi::lua_newuserdatataggedwithmetatable(state, size_of::<Map>(), TAG).cast::<Map>();
        Rc::increment_strong_count(held);
        map.write(Map { kind: Kind::Response, request: std::ptr::null_mut(), held });
    }
    1
}

/// What a map is about, for the functions that are no C.
pub(super) enum About {
    Request(LightUserData, Kind),
    Response(Rc<Held>),
}

/// What `value` is about, if it is a map.
pub(super) fn about(lua: &Lua, value: &Value) -> Option<About> {
    lua.exec_raw_lua(|raw| {
        // SAFETY: the value is pushed, looked at by its tag, and popped.
        unsafe {
            raw.push_value(value).ok()?;
            let map = ffi::lua_touserdatatagged(raw.state(), -1, TAG).cast::<Map>();
            ffi::lua_pop(raw.state(), 1);
            let map = map.as_ref()?;
            if map.held.is_null() {
                return Some(About::Request(LightUserData(map.request), map.kind));
            }
            Rc::increment_strong_count(map.held);
            Some(About::Response(Rc::from_raw(map.held)))
        }
    })
}

unsafe fn map<'a>(state: *mut ffi::lua_State) -> &'a Map {
    // SAFETY: a userdata of our tag is a `Map`; it stays on the stack while the C function runs.
    unsafe {
        match ffi::lua_touserdatatagged(state, 1, TAG).cast::<Map>().as_ref() {
            Some(map) => map,
            None => raw::raise(state, c"call it with `:`"),
        }
    }
}

unsafe fn slot<'a>(state: *mut ffi::lua_State, map: &Map) -> &'a Slot {
    // SAFETY: as `raw::slot`.
    unsafe {
        match raw::slots(state).slot(LightUserData(map.request)) {
            Some(slot) => slot,
            None => raw::over(state, map.request),
        }
    }
}

unsafe extern "C-unwind" fn index(state: *mut ffi::lua_State) -> c_int {
    // SAFETY: see `handle`.
    unsafe {
        let map = map(state);
        let Some(name) = raw::text(state, 2) else { return raw::cold(state, 1) };
        if map.kind == Kind::Response {
            let Some(response) = (*map.held).peek() else { raw::raise(state, c"the response is over") };
            return header(state, &response.headers, name);
        }
        let exchange = slot(state, map).exchange();
        if map.kind == Kind::Params {
            return param(state, exchange, name);
        }
        let Ok(request) = exchange.request.try_borrow_unguarded() else { raw::raise(state, BUSY) };
        match map.kind {
            Kind::Headers => match Known::of(name) {
                Known::Host => raw::push(state, request.host.as_bytes()),
                Known::ContentLength => raw::cold(state, 1),
                _ => header(state, &request.headers, name),
            },
            Kind::Cookies => {
                let mut fields =
                    request.headers.known(Known::Cookie).filter_map(|field| std::str::from_utf8(field).ok());
                let pair = fields.find_map(|field| cookie::parse(field).find(|pair| pair.0.as_bytes() == name));
                push_or_nil(state, pair.map(|pair| pair.1.as_bytes()))
            }
            _ => match request.query.as_deref() {
                _ if exchange.typed.try_borrow_unguarded().is_ok_and(|typed| !typed.is_empty()) => raw::cold(state, 1),
                None => push_or_nil(state, None),
                Some(query) if memchr::memchr2(b'%', b'+', query.as_bytes()).is_some() => raw::cold(state, 1),
                Some(query) => {
                    let mut pairs = query.split('&').map(|pair| pair.split_once('=').unwrap_or((pair, "")));
                    let value = pairs.find(|pair| pair.0.as_bytes() == name && !name.is_empty());
                    push_or_nil(state, value.map(|pair| pair.1.as_bytes()))
                }
            },
        }
    }
}

unsafe fn push_or_nil(state: *mut ffi::lua_State, bytes: Option<&[u8]>) -> c_int {
    // SAFETY: the bytes belong to the exchange.
    unsafe {
        match bytes {
            Some(bytes) => raw::push(state, bytes),
            None => {
                ffi::lua_pushnil(state);
                1
            }
        }
    }
}

/// Pushes every value of `name`, joined.
unsafe fn header(state: *mut ffi::lua_State, headers: &Headers, name: &[u8]) -> c_int {
    let Ok(name) = std::str::from_utf8(name) else {
        // SAFETY: nil needs nothing.
        return unsafe { push_or_nil(state, None) };
    };
    let mut values = headers.all(name);
    let first = values.next();
    // SAFETY: an iterator over borrowed fields has no destructor; the stack is checked for every further value.
    unsafe {
        push_or_nil(state, first);
        let Some(mut next) = values.next() else { return 1 };
        let separator: &[u8] = if name.eq_ignore_ascii_case("cookie") { b"; " } else { b", " };
        let mut count = 1;
        loop {
            ffi::luaL_checkstack(state, 3, c"too many fields of one name".as_ptr());
            raw::push(state, separator);
            raw::push(state, next);
            count += 2;
            match values.next() {
                Some(value) => next = value,
                None => break,
            }
        }
        ffi::lua_concat(state, count);
    }
    1
}

unsafe fn param(state: *mut ffi::lua_State, exchange: &crate::proxy::Exchange, name: &[u8]) -> c_int {
    // SAFETY: see `handle`.
    unsafe {
        let Ok(params) = exchange.params.try_borrow_unguarded() else { raw::raise(state, BUSY) };
        match params.list.iter().find(|(key, _)| key.as_bytes() == name).map(|(_, value)| value) {
            None => ffi::lua_pushnil(state),
            Some(Param::Text(text)) => drop(raw::push(state, text.as_bytes())),
            #[allow(clippy::cast_precision_loss, reason = "the range was checked")]
            Some(&Param::Int(number)) if number.unsigned_abs() < 1 << 53 => ffi::lua_pushnumber(state, number as f64),
            Some(Param::Int(_) | Param::Value(_)) => return raw::cold(state, 1),
        }
    }
    1
}

unsafe extern "C-unwind" fn newindex(state: *mut ffi::lua_State) -> c_int {
    // SAFETY: see `handle`; the borrow for the write ends before anything may raise.
    unsafe {
        let map = map(state);
        let Some(name) = raw::text(state, 2) else { return raw::cold(state, 0) };
        let value = raw::text(state, 3);
        let gone = ffi::lua_type(state, 3) == ffi::LUA_TNIL;
        let fit = is_name(name) && !is_reserved(name) && value.map_or(gone, is_value);
        let Ok(name) = std::str::from_utf8(name) else { return raw::cold(state, 0) };
        if !fit || !matches!(map.kind, Kind::Headers | Kind::Response) {
            return raw::cold(state, 0);
        }
        let done = if map.kind == Kind::Response {
            (*map.held).edit(|response| write(&mut response.headers, name, value))
        } else {
            match slot(state, map).exchange().request.try_borrow_mut() {
                Ok(mut request) => {
                    write(&mut request.headers, name, value);
                    Some(())
                }
                Err(_) => None,
            }
        };
        if done.is_none() {
            raw::raise(state, c"the response is over");
        }
    }
    0
}

fn write(headers: &mut Headers, name: &str, value: Option<&[u8]>) {
    match value {
        Some(value) => headers.set(name, value),
        None => drop(headers.remove(name)),
    }
}

/// Fields that framing and connections need: a script does not write them.
pub(super) fn is_reserved(name: &[u8]) -> bool {
    matches!(
        Known::of(name),
        Known::Host
            | Known::ContentLength
            | Known::TransferEncoding
            | Known::Connection
            | Known::KeepAlive
            | Known::ProxyConnection
            | Known::Te
            | Known::Trailer
            | Known::Upgrade
            | Known::Expect
            | Known::Http2Settings
    )
}

/// `map:all(…)` and the like: an mlua function, found by name.
unsafe extern "C-unwind" fn namecall(state: *mut ffi::lua_State) -> c_int {
    // SAFETY: moves the method below its arguments; errors pass through.
    unsafe {
        let args = ffi::lua_gettop(state);
        let mut atom = 0;
        let name = ffi::lua_namecallatom(state, &raw mut atom);
        if name.is_null() {
            raw::raise(state, c"call it with `:`");
        }
        if ffi::lua_rawgetfield(state, raw::METHODS, name) == ffi::LUA_TNIL {
            ffi::luaL_error(
                state,
                c"there is no method `%s` here; there are get, all, add, set and each".as_ptr(),
                name,
            );
        }
        ffi::lua_insert(state, 1);
        ffi::lua_call(state, args, ffi::LUA_MULTRET);
        ffi::lua_gettop(state)
    }
}
