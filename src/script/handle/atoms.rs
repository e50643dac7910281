//! Numbers for the names that fields and methods have: looked up once in the life of a string.

use std::ffi::c_char;

use mlua::Lua;
use mlua::ffi;

macro_rules! atoms {
    ($($name:ident = $text:literal),* $(,)?) => {
        #[allow(non_camel_case_types, clippy::upper_case_acronyms, reason = "named as the script names them")]
        #[repr(i16)]
        enum Atom { $($name,)* }

        $(pub(super) const $name: i32 = Atom::$name as i32;)*

        fn of(text: &[u8]) -> i16 {
            $(if text == $text.as_bytes() { return Atom::$name as i16; })*
            -1
        }
    };
}

atoms! {
    METHOD = "method", PATH = "path", HOST = "host", IP = "ip", ID = "id", HEADERS = "headers", QUERY = "query",
    COOKIES = "cookies", PARAMS = "params", CTX = "ctx", USER = "user", LIMITS = "limits", KEY = "key", ROUTE = "route",
    STATUS = "status",
}

/// Must run before any string is seen: Luau keeps the answer in the string.
pub(super) fn install(lua: &Lua) {
    // SAFETY: the callbacks live as long as the machine, and nothing runs in it now.
    lua.exec_raw_lua(|raw| unsafe { (*ffi::lua_callbacks(raw.state())).useratom = Some(atom) });
}

unsafe extern "C-unwind" fn atom(_: *mut ffi::lua_State, text: *const c_char, length: usize) -> i16 {
    // SAFETY: Luau passes a string of its own and its length.
    of(unsafe { std::slice::from_raw_parts(text.cast(), length) })
}
