//! Lua of our own, compiled once per process: a machine is made between requests, and for every test.

use std::collections::BTreeMap;
use std::sync::Arc;

use mlua::Function;
use mlua::Lua;
use mlua::chunk::ChunkMode;
use parking_lot::Mutex;

use crate::script::load::files::compiler;

/// `text`, which is in the binary, as a function of this machine; `title` is what its places are called by.
pub(crate) fn embedded(lua: &Lua, title: &str, text: &'static str) -> mlua::Result<Function> {
    lua.load(&compiled(text)?[..]).set_name(title).set_mode(ChunkMode::Binary).into_function()
}

/// By the place of its text and its length: there is no other at it.
type Code = BTreeMap<(usize, usize), Arc<[u8]>>;

fn compiled(text: &'static str) -> mlua::Result<Arc<[u8]>> {
    static CODE: Mutex<Code> = Mutex::new(Code::new());
    let mut known = CODE.lock();
    let key = (text.as_ptr().addr(), text.len());
    if let Some(code) = known.get(&key) {
        return Ok(Arc::clone(code));
    }
    let code: Arc<[u8]> = compiler().compile(text)?.into();
    known.insert(key, Arc::clone(&code));
    Ok(code)
}
