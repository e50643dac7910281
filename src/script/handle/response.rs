//! `res`: a response in a script's hands, and the C functions behind its hot fields.

use std::cell::RefCell;
use std::ffi::c_int;
use std::ffi::c_void;
use std::rc::Rc;

use mlua::Lua;
use mlua::Value;
use mlua::ffi;

use super::atoms;
use super::map;
use super::raw;
use super::raw::Parts;
use crate::http::Response;
use crate::proxy::Failure;

/// The tag of `res`.
const TAG: c_int = 1;

/// A response in a script's hands.
pub(crate) struct Held {
    /// `None` once it was sent or handed on.
    response: RefCell<Option<Response>>,
    /// `res.error`.
    failure: Option<Rc<Failure>>,
}

impl Held {
    pub(crate) fn new(response: Response, failure: Option<Rc<Failure>>) -> Rc<Self> {
        Rc::new(Self { response: RefCell::new(Some(response)), failure })
    }

    /// `res.error`.
    pub(crate) fn failure(&self) -> Option<&Rc<Failure>> {
        self.failure.as_ref()
    }

    /// The response, taken away: whoever still holds a `res` finds that it is over.
    pub(crate) fn take(&self) -> Option<Response> {
        self.response.try_borrow_mut().ok()?.take()
    }

    /// Reads it, if it is still there.
    pub(crate) fn read<T>(&self, read: impl FnOnce(&Response) -> T) -> Option<T> {
        self.response.try_borrow().ok()?.as_ref().map(read)
    }

    /// Edits it, if it is still there.
    pub(crate) fn edit<T>(&self, edit: impl FnOnce(&mut Response) -> T) -> Option<T> {
        self.response.try_borrow_mut().ok()?.as_mut().map(edit)
    }

    /// A look without a guard, for C functions.
    ///
    /// # Safety
    /// Nothing may edit the response while the reference is in use.
    pub(super) unsafe fn peek(&self) -> Option<&Response> {
        // SAFETY: as the caller promises.
        unsafe { self.response.try_borrow_unguarded().ok()?.as_ref() }
    }
}

/// Makes responses known to the machine.
pub(super) fn install(lua: &Lua, parts: &Parts) -> mlua::Result<()> {
    let functions: [(_, ffi::lua_CFunction, _); 2] = [(c"__index", index, false), (c"__newindex", newindex, true)];
    // SAFETY: `metatable` leaves the table at the top; the tag is ours.
    raw::metatable(lua, parts, &functions, |state| unsafe {
        ffi::lua_setuserdatametatable(state, TAG);
        ffi::lua_setuserdatadtor(state, TAG, Some(finalize));
    })
}

unsafe extern "C" fn finalize(_: *mut ffi::lua_State, data: *mut c_void) {
    // SAFETY: Luau passes a userdata of this tag once; it holds a pointer from `Rc::into_raw`, or null.
    unsafe {
        let held = *data.cast::<*const Held>();
        if !held.is_null() {
            drop(Rc::from_raw(held));
        }
    }
}

/// A `res` for `held`.
pub(super) fn push(lua: &Lua, held: Rc<Held>) -> mlua::Result<Value> {
    // SAFETY: protected by mlua; the only call that may raise comes first, and `held` is then owned by this closure, not by
    // a frame that is unwound: the closure is called through a pointer to it.
    unsafe {
        let place = lua.exec_raw::<Value>((), |state| {
            let data = ffi::lua_newuserdatataggedwithmetatable(state, size_of::<*const Held>(), TAG);
            data.cast::<*const Held>().write(std::ptr::null());
        })?;
        lua.exec_raw_lua(|raw| {
            raw.push_value(&place)?;
            let data = ffi::lua_touserdatatagged(raw.state(), -1, TAG).cast::<*const Held>();
            ffi::lua_pop(raw.state(), 1);
            if !data.is_null() {
                data.write(Rc::into_raw(held));
            }
            Ok(place)
        })
    }
}

/// What is behind `value`, if it is a `res`.
pub(super) fn held(lua: &Lua, value: &Value) -> Option<Rc<Held>> {
    if !matches!(value, Value::UserData(_)) {
        return None;
    }
    lua.exec_raw_lua(|raw| {
        // SAFETY: the value is pushed, looked at by its tag, and popped; the count is raised before the pointer is shared.
        unsafe {
            raw.push_value(value).ok()?;
            let data = ffi::lua_touserdatatagged(raw.state(), -1, TAG).cast::<*const Held>();
            ffi::lua_pop(raw.state(), 1);
            let held = *data.as_ref()?;
            if held.is_null() {
                return None;
            }
            Rc::increment_strong_count(held);
            Some(Rc::from_raw(held))
        }
    })
}

unsafe fn own<'a>(state: *mut ffi::lua_State) -> &'a Held {
    // SAFETY: a userdata of our tag holds a live pointer; it stays on the stack while the C function runs.
    unsafe {
        let data = ffi::lua_touserdatatagged(state, 1, TAG).cast::<*const Held>();
        match data.as_ref().and_then(|held| held.as_ref()) {
            Some(held) => held,
            None => raw::raise(state, c"a response is expected"),
        }
    }
}

unsafe extern "C-unwind" fn index(state: *mut ffi::lua_State) -> c_int {
    // SAFETY: see `handle`.
    unsafe {
        let held = own(state);
        let mut atom = -1;
        ffi::lua_tostringatom(state, 2, &raw mut atom);
        match atom {
            atoms::STATUS => {
                let Some(response) = held.peek() else { raw::raise(state, c"the response is over") };
                ffi::lua_pushnumber(state, f64::from(response.status));
                return 1;
            }
            atoms::HEADERS => return map::of_response(state, held),
            _ => {}
        }
        raw::method_or_rest(state)
    }
}

unsafe extern "C-unwind" fn newindex(state: *mut ffi::lua_State) -> c_int {
    // SAFETY: see `handle`; the edit ends before anything may raise.
    unsafe {
        let held = own(state);
        let mut atom = -1;
        ffi::lua_tostringatom(state, 2, &raw mut atom);
        if atom == atoms::STATUS && ffi::lua_type(state, 3) == ffi::LUA_TNUMBER {
            let status = ffi::lua_tonumber(state, 3);
            #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "the range was checked")]
            if (200.0..=599.0).contains(&status)
                && status.fract() == 0.0
                && held.edit(|response| response.status = status as u16).is_some()
            {
                return 0;
            }
        }
        raw::cold(state, 0)
    }
}
