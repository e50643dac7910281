//! The policies of the standard library: Lua files, embedded; read from disk in debug builds.

use mlua::Lua;
use mlua::chunk::ChunkMode;

/// Name and text of each file of `stdlib/`.
const FILES: &[(&str, &str)] = &[];

/// Makes their words.
pub(super) fn install(lua: &Lua) -> mlua::Result<()> {
    for (name, embedded) in FILES {
        let text = fresh(name).unwrap_or_else(|| (*embedded).to_owned());
        // Brackets: a place in here is no place of the script.
        lua.load(text).set_name(format!("=[stdlib/{name}.lua]")).set_mode(ChunkMode::Text).exec()?;
    }
    Ok(())
}

/// The file as it is now, in a debug build.
fn fresh(name: &str) -> Option<String> {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/stdlib/");
    if cfg!(debug_assertions) { std::fs::read_to_string(format!("{path}{name}.lua")).ok() } else { None }
}
