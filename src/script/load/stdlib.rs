//! The policies of the standard library: Lua files, embedded; read from disk in debug builds.

use mlua::Lua;
use mlua::Table;
use mlua::chunk::ChunkMode;

use crate::script::bind;

macro_rules! files {
    ($($name:literal),* $(,)?) => {
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
    "transform_request",
    "transform_response",
    "body_limit"
];

/// Makes their words.
pub(super) fn install(lua: &Lua) -> mlua::Result<()> {
    let shared = ("core", include_str!("../../../stdlib/core.lua"));
    let core: Table = chunk(lua, shared).call(bind::core::table(lua)?)?;
    for file in FILES {
        chunk(lua, *file).call::<()>(&core)?;
    }
    Ok(())
}

/// Brackets in the name: a place in here is no place of the script.
fn chunk<'a>(lua: &'a Lua, (name, embedded): (&'static str, &'static str)) -> mlua::chunk::Chunk<'a> {
    let text = fresh(name).unwrap_or_else(|| embedded.to_owned());
    lua.load(text).set_name(format!("=[stdlib/{name}.lua]")).set_mode(ChunkMode::Text)
}

/// The file as it is now, in a debug build.
fn fresh(name: &str) -> Option<String> {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/stdlib/");
    if cfg!(debug_assertions) { std::fs::read_to_string(format!("{path}{name}.lua")).ok() } else { None }
}
