//! `sleep "50ms"`: waits and blocks nobody.

use mlua::Lua;
use mlua::MultiValue;
use mlua::Table;
use mlua::Value;

use crate::script::bind::options::duration;
use crate::script::context::Context;
use crate::script::wait;
use crate::script::wait::Waiting;

/// `sleep`
pub(super) fn install(lua: &Lua, words: &Table) -> mlua::Result<()> {
    let sleep = wait::function(lua, "sleep", |lua, time: Value| -> mlua::Result<Waiting> {
        let sleep = Context::of(lua).clock().sleep(duration(&time)?);
        Ok(Box::pin(async move {
            sleep.await;
            Ok(MultiValue::new())
        }))
    })?;
    words.set("sleep", sleep)
}
