//! The policies of the standard library: Lua files, embedded; read from disk in debug builds.

use std::collections::VecDeque;

use mlua::Function;
use mlua::Lua;
use mlua::Table;
use mlua::chunk::ChunkMode;

use crate::script::bind;
use crate::script::machine;
use crate::script::offline;

macro_rules! files {
    ($($name:literal),* $(,)?) => {
        /// The names of the policies whose source is `stdlib/<name>.lua`, in the order of the reference.
        pub(crate) const NAMES: &[&str] = &[$($name),*];

        /// Name and text of each policy of `stdlib/`.
        const FILES: &[(&str, &str)] = &[$(($name, include_str!(concat!("../../../stdlib/", $name, ".lua"))),)*];
    };
}

files![
    "mock",
    "redirect",
    "request_id",
    "access_log",
    "timeout",
    "rate_limit",
    "quota",
    "throttle",
    "concurrency",
    "transform_request",
    "transform_response",
    "body_limit",
    "any_of",
    "mtls",
    "jwt",
    "introspect",
    "sign_upstream",
    "cache",
    "compose",
    "cors",
    "security_headers",
    "maintenance",
    "fault",
    "split",
    "json_limit",
    "validate",
    "authorize",
    "api_key",
    "basic_auth",
    "ip_filter",
    "compress",
    "static",
    "mirror",
    "hmac_auth",
    "forward_auth"
];

/// What they share.
const CORE: (&str, &str) = ("core", include_str!("../../../stdlib/core.lua"));

/// Makes their words, one file at a time: a worker serves requests between two of them.
pub(crate) struct Shelf {
    core: Table,
    files: VecDeque<(&'static str, &'static str)>,
}

impl Shelf {
    /// What they share is there, none of them yet.
    pub(crate) fn open(lua: &Lua) -> mlua::Result<Self> {
        let core: Table = chunk(lua, CORE)?.call(bind::core::table(lua)?)?;
        offline::shelved(lua, &core)?;
        Ok(Self { core, files: FILES.iter().copied().collect() })
    }

    /// Leaves out the words that `wanted` does not want.
    pub(crate) fn only(&mut self, wanted: impl Fn(&str) -> bool) {
        self.files.retain(|(name, _)| wanted(name));
    }

    /// Makes the next word; whether there was one.
    pub(crate) fn next(&mut self, lua: &Lua) -> mlua::Result<bool> {
        let Some(file) = self.files.pop_front() else { return Ok(false) };
        chunk(lua, file)?.call::<()>(&self.core)?;
        Ok(true)
    }
}

/// Brackets in the name: a place in here is no place of the script.
fn chunk(lua: &Lua, (name, embedded): (&'static str, &'static str)) -> mlua::Result<Function> {
    let title = format!("=[stdlib/{name}.lua]");
    if let Some(text) = fresh(name) {
        return lua.load(text).set_name(title).set_mode(ChunkMode::Text).into_function();
    }
    machine::embedded(lua, &title, embedded)
}

/// The file as it is now, in a debug build.
fn fresh(name: &str) -> Option<String> {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/stdlib/");
    if cfg!(debug_assertions) { std::fs::read_to_string(format!("{path}{name}.lua")).ok() } else { None }
}
