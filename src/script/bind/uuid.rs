//! `uuid()` and `uuid.v7()`.

use std::cell::Cell;

use mlua::Lua;
use mlua::MultiValue;
use mlua::Table;
use uuid::Builder;

use crate::primitive::digest::Hash;
use crate::script::bind::function;
use crate::script::context::Context;
use crate::script::offline;

/// `uuid`
pub(super) fn install(lua: &Lua, words: &Table) -> mlua::Result<()> {
    let uuid = lua.create_table()?;
    let random = function(lua, "uuid", |lua, _: MultiValue| {
        Ok(Builder::from_random_bytes(chance(lua)?).into_uuid().to_string())
    })?;
    uuid.set("v4", &random)?;
    uuid.set("v7", function(lua, "uuid.v7", v7)?)?;
    let meta = lua.create_table()?;
    meta.set("__call", random)?;
    meta.set_readonly(true);
    uuid.set_metatable(Some(meta))?;
    lua.set_app_data(Drawn::default());
    words.set("uuid", uuid)
}

fn v7(lua: &Lua, (): ()) -> mlua::Result<String> {
    let chance = chance(lua)?;
    let millis = u64::try_from(Context::of(lua).unix().as_millis()).unwrap_or(u64::MAX);
    let mut tail = [0; 10];
    tail.copy_from_slice(&chance[..10]);
    Ok(Builder::from_unix_timestamp_millis(millis, &tail).into_uuid().to_string())
}

/// How many were drawn while loading.
#[derive(Default)]
struct Drawn(Cell<u64>);

/// Sixteen random bytes; while the file loads they come from the snapshot, so that every worker draws the same.
fn chance(lua: &Lua) -> mlua::Result<[u8; 16]> {
    let context = Context::of(lua);
    let bytes = if context.loading() {
        let drawn = lua.app_data_ref::<Drawn>().map_or(0, |drawn| drawn.0.replace(drawn.0.get() + 1));
        let seed = context.snapshot().seed;
        Some(Hash::Sha256.digest(format!("uuid {seed} {drawn}").as_bytes()))
    } else {
        offline::random(&context, 16)
    };
    let bytes = bytes.ok_or_else(|| mlua::Error::runtime("uuid: the system has no randomness"))?;
    let mut chance = [0; 16];
    chance.copy_from_slice(&bytes[..16]);
    Ok(chance)
}
