//! Calls a function where it may not wait, from within a pipeline: `when` of a step.

use std::cell::Cell;
use std::ffi::c_int;

use mlua::Function;
use mlua::Lua;
use mlua::ffi;

use super::raw;
use crate::script::context::Context;

type Place = Cell<Option<&'static str>>;

/// `calm(when, req)`: what `when` returns. A C function between the two is what makes waiting impossible.
pub(crate) fn calm(lua: &Lua) -> mlua::Result<Function> {
    let place = Context::of(lua).place_cell();
    // SAFETY: protected by mlua; the context lives in the machine's app data, as long as any of its code runs.
    unsafe {
        lua.exec_raw((), |state| {
            ffi::lua_pushlightuserdata(state, place.cast_mut().cast());
            ffi::lua_pushcclosurek(state, call, c"when".as_ptr(), 1, None);
        })
    }
}

unsafe extern "C-unwind" fn call(state: *mut ffi::lua_State) -> c_int {
    // SAFETY: the upvalue is the context's cell. When the call raises, the place stays noted until the run ends, where
    // it is only ever read to word a message. Nothing here has a destructor.
    unsafe {
        let args = ffi::lua_gettop(state);
        if args == 0 {
            raw::raise(state, c"a function is expected");
        }
        let place = &*ffi::lua_tolightuserdata(state, raw::SLOTS).cast::<Place>();
        let before = place.replace(Some("`when`"));
        ffi::lua_call(state, args - 1, 1);
        place.set(before);
    }
    1
}
