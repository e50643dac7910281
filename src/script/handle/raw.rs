//! What the C functions share: finding who is meant, pushing, raising.

use std::ffi::CStr;
use std::ffi::c_int;
use std::ffi::c_void;

use mlua::Function;
use mlua::LightUserData;
use mlua::Lua;
use mlua::Table;
use mlua::ffi;

use super::slots::Slot;
use super::slots::Slots;

/// The upvalues of every C function here: the slots, the methods, the mlua function for the rest.
pub(super) const SLOTS: c_int = ffi::lua_upvalueindex(1);
pub(super) const METHODS: c_int = ffi::lua_upvalueindex(2);
pub(super) const COLD: c_int = ffi::lua_upvalueindex(3);

/// The slots, from a C function's upvalue.
#[inline]
pub(super) unsafe fn slots<'a>(state: *mut ffi::lua_State) -> &'a Slots {
    // SAFETY: `closure` put the pointer there; the slots live in the machine's app data, as long as any of its code runs.
    unsafe { &*ffi::lua_tolightuserdata(state, SLOTS).cast::<Slots>() }
}

/// The slot behind the `req` at `index`, or an error raised at the caller's line.
#[inline]
pub(super) unsafe fn slot<'a>(state: *mut ffi::lua_State, index: c_int) -> &'a Slot {
    // SAFETY: a light value of any kind is accepted by `Slots::slot`; raising with nothing to drop.
    unsafe {
        let handle = LightUserData(ffi::lua_tolightuserdata(state, index));
        match slots(state).slot(handle) {
            Some(slot) => slot,
            None => over(state, handle.0),
        }
    }
}

#[cold]
pub(super) unsafe fn over(state: *mut ffi::lua_State, handle: *mut c_void) -> ! {
    // SAFETY: raises a constant text.
    unsafe {
        if handle.is_null() {
            raise(state, c"attempt to index null");
        }
        raise(state, c"the request is over")
    }
}

/// Raises a constant text at the caller's line.
#[cold]
pub(super) unsafe fn raise(state: *mut ffi::lua_State, text: &CStr) -> ! {
    // SAFETY: nothing with a destructor is alive here or, by the module's rule, in the caller.
    unsafe { ffi::luaL_error(state, c"%s".as_ptr(), text.as_ptr()) }
}

/// Pushes bytes as a string.
#[inline]
pub(super) unsafe fn push(state: *mut ffi::lua_State, bytes: &[u8]) -> c_int {
    // SAFETY: pointer and length of one slice; may raise for memory.
    unsafe { ffi::lua_pushlstring_(state, bytes.as_ptr().cast(), bytes.len()) };
    1
}

/// The string at `index`, without converting.
#[inline]
pub(super) unsafe fn text<'a>(state: *mut ffi::lua_State, index: c_int) -> Option<&'a [u8]> {
    // SAFETY: the string stays on the stack for as long as the C function runs.
    unsafe {
        if ffi::lua_type(state, index) != ffi::LUA_TSTRING {
            return None;
        }
        let mut length = 0;
        let start = ffi::lua_tolstring(state, index, &raw mut length);
        Some(std::slice::from_raw_parts(start.cast(), length))
    }
}

/// Calls the mlua function for the rest with all arguments; `results` of them come back.
#[cold]
pub(super) unsafe fn cold(state: *mut ffi::lua_State, results: c_int) -> c_int {
    // SAFETY: moves the function below its arguments; errors pass through, with nothing to drop.
    unsafe {
        let args = ffi::lua_gettop(state);
        ffi::lua_pushvalue(state, COLD);
        ffi::lua_insert(state, 1);
        ffi::lua_call(state, args, results);
    }
    results
}

/// Pushes the method that the key at 2 names; for any other key the mlua function answers.
pub(super) unsafe fn method_or_rest(state: *mut ffi::lua_State) -> c_int {
    // SAFETY: a raw read of a table that is always there, pushed and popped in balance; nothing to drop.
    unsafe {
        ffi::lua_pushvalue(state, 2);
        if ffi::lua_rawget(state, METHODS) != ffi::LUA_TNIL {
            return 1;
        }
        ffi::lua_pop(state, 1);
        cold(state, 1)
    }
}

/// A metamethod with its three upvalues, put into the table at the top of the stack.
pub(super) unsafe fn method(
    state: *mut ffi::lua_State,
    name: &CStr,
    function: ffi::lua_CFunction,
    upvalues: (*const c_void, c_int, c_int),
) {
    // SAFETY: called under mlua's protection with valid absolute indices.
    unsafe {
        ffi::lua_pushlightuserdata(state, upvalues.0.cast_mut());
        ffi::lua_pushvalue(state, upvalues.1);
        ffi::lua_pushvalue(state, upvalues.2);
        ffi::lua_pushcclosurek(state, function, name.as_ptr(), 3, None);
        ffi::lua_setfield(state, -2, name.as_ptr());
    }
}

/// The parts of a metatable: methods by name, and the functions that do what C does not.
pub(super) struct Parts {
    pub(super) methods: Table,
    pub(super) index: Function,
    pub(super) newindex: Function,
    pub(super) tostring: Function,
    pub(super) iterate: Option<Function>,
}

/// Builds a metatable from `parts` and C functions, and leaves it to `finish` at the top of the stack.
pub(super) fn metatable(
    lua: &Lua,
    parts: &Parts,
    functions: &[(&CStr, ffi::lua_CFunction, bool)],
    finish: impl Fn(*mut ffi::lua_State),
) -> mlua::Result<()> {
    let slots: *const Slots = std::rc::Rc::as_ptr(&Slots::of(lua));
    let args = (&parts.methods, &parts.index, &parts.newindex, &parts.tostring, parts.iterate.as_ref());
    // SAFETY: protected by mlua; arguments stand at 1 to 5, everything is pushed and popped in balance.
    unsafe {
        lua.exec_raw(args, |state| {
            ffi::lua_createtable(state, 0, 8);
            for &(name, function, writes) in functions {
                method(state, name, function, (slots.cast(), 1, if writes { 3 } else { 2 }));
            }
            for (place, name) in [(4, c"__tostring"), (5, c"__iter")] {
                ffi::lua_pushvalue(state, place);
                ffi::lua_setfield(state, -2, name.as_ptr());
            }
            ffi::lua_pushboolean(state, 0);
            ffi::lua_setfield(state, -2, c"__metatable".as_ptr());
            ffi::lua_setreadonly(state, -1, 1);
            finish(state);
            ffi::lua_settop(state, 0);
        })
    }
}
