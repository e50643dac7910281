//! A sandboxed Luau machine: which libraries it has, what of them is replaced, and the prelude every script stands on.

use std::rc::Rc;

use mlua::Function;
use mlua::Lua;
use mlua::LuaOptions;
use mlua::StdLib;
use mlua::Table;
use mlua::Value;
use mlua::chunk::ChunkMode;
use mlua::state::GcIncParams;
use mlua::state::GcMode;

use crate::primitive::chance;
use crate::script::context::Context;
use crate::script::context::Setting;
use crate::script::driver;
use crate::script::handle;
use crate::script::watchdog::Watch;

mod core;
mod embedded;

pub use core::Suggest;
pub(crate) use embedded::embedded;

/// What the prelude gives to the Rust side.
pub(super) struct Prelude {
    /// Makes the Lua half of a waiting function.
    pub(super) waiting: Function,
    /// Makes the Lua half of a function that waits only when it must.
    pub(super) prompt: Function,
    /// Makes the Lua half of a function that raises text.
    pub(super) strict: Function,
    /// Ends the request with an answer, from any depth.
    pub(super) ending: Function,
    guard: Function,
}

impl Prelude {
    /// The prelude of the machine that `lua` belongs to.
    pub(super) fn of(lua: &Lua) -> Rc<Self> {
        let prelude = lua.app_data_ref::<Rc<Self>>().expect("every machine is made with a prelude");
        Rc::clone(&prelude)
    }
}

/// A machine with libraries, prelude and context, whose globals are still open: words are added, then it is [`seal`]ed and
/// [`bound`].
pub fn open(setting: Setting) -> mlua::Result<(Lua, Rc<Context>)> {
    let libraries = StdLib::TABLE
        | StdLib::OS
        | StdLib::STRING
        | StdLib::UTF8
        | StdLib::BIT
        | StdLib::MATH
        | StdLib::BUFFER
        | StdLib::VECTOR
        | StdLib::COROUTINE
        | StdLib::DEBUG;
    let lua = Lua::new_with(libraries, LuaOptions::new())?;
    // Nothing of what is made until it is sealed can be given back.
    lua.gc_set_mode(collecting(1000));
    handle::prepare(&lua)?;
    let watch = Watch::new(&lua, setting.step)?;
    let seed = setting.snapshot.seed;
    let context = Context::install(&lua, setting, watch);
    prelude(&lua)?;
    reseed(&lua, seed)?;
    Ok((lua, context))
}

/// Closes the globals: libraries and words are read-only, a name that is not there is an error, and so is assigning one.
pub fn seal(lua: &Lua) -> mlua::Result<()> {
    handle::install(lua)?;
    let base = lua.globals();
    base.raw_set("_G", &base)?;
    lua.sandbox(true)?;
    let guarded: Table = Prelude::of(lua).guard.call(base)?;
    let proxy = lua.globals();
    proxy.set_metatable(Some(guarded))?;
    proxy.set_readonly(true);
    lua.gc_set_mode(collecting(200));
    Ok(())
}

/// Bounds the memory of a machine from now on. What we make in it before cannot run out of any, and costs half as much:
/// each value that may is made under a guard of its own.
pub fn bound(lua: &Lua) -> mlua::Result<()> {
    lua.set_memory_limit(Context::of(lua).memory()).map(drop)
}

/// As long as it lives memory has no bound: for work of ours on what a script has made, of which none of it runs.
pub(crate) struct Unbound<'a> {
    lua: &'a Lua,
    before: usize,
}

impl<'a> Unbound<'a> {
    /// From now on.
    pub(crate) fn new(lua: &'a Lua) -> Self {
        Self { lua, before: lua.set_memory_limit(0).unwrap_or_default() }
    }
}

impl Drop for Unbound<'_> {
    fn drop(&mut self) {
        let _ = self.lua.set_memory_limit(self.before);
    }
}

/// What is alive may grow to so many hundredths before anything is collected.
fn collecting(goal: i32) -> GcMode {
    GcMode::Incremental(GcIncParams::default().goal(goal))
}

/// Says that loading is over: time is the clock's from now on, and chance is chance.
pub fn loaded(lua: &Lua) -> mlua::Result<()> {
    let seed = Context::of(lua).offline().map(|offline| offline.seed);
    reseed(lua, seed.unwrap_or_else(chance::unknown))?;
    Context::of(lua).loaded();
    Ok(())
}

/// A chunk of text as a function; `name` is what errors and tracebacks say (`gateway.lua`).
pub fn compile(lua: &Lua, name: &str, text: &str) -> mlua::Result<Function> {
    lua.load(text).set_name(format!("@{name}")).set_mode(ChunkMode::Text).into_function()
}

/// The Lua function that ends the request with an answer, from any depth.
pub(crate) fn ending(lua: &Lua) -> Function {
    Prelude::of(lua).ending.clone()
}

/// Whether new requests need a fresh machine: it ran out of memory, or is close to it even after a full collection.
pub fn is_worn(lua: &Lua) -> bool {
    let context = Context::of(lua);
    if context.worn() {
        return true;
    }
    let high = context.memory() / 5 * 4;
    if context.memory() > 0 && lua.used_memory() > high {
        let collected = lua.gc_collect().is_ok();
        if !collected || lua.used_memory() > high {
            context.wear();
        }
    }
    context.worn()
}

fn prelude(lua: &Lua) -> mlua::Result<()> {
    let chunk = embedded(lua, "=[moongate]", include_str!("prelude.luau"))?;
    let made: Table = chunk.call((Value::LightUserData(driver::mark()), core::table(lua)?))?;
    let globals = lua.globals();
    for name in ["require", "loadstring", "gcinfo", "newproxy"] {
        globals.raw_remove(name)?;
    }
    for pair in made.get::<Table>("globals")?.pairs::<String, Value>() {
        let (name, value) = pair?;
        globals.raw_set(name, value)?;
    }
    let load = core::load(lua)?;
    globals.raw_set("loadstring", &load)?;
    globals.raw_set("load", load)?;
    lua.set_app_data(Rc::new(Prelude {
        waiting: made.get("waiting")?,
        prompt: made.get("prompt")?,
        strict: made.get("strict")?,
        ending: made.get("ending")?,
        guard: made.get("guard")?,
    }));
    Ok(())
}

fn reseed(lua: &Lua, seed: u64) -> mlua::Result<()> {
    let math: Table = lua.globals().get("math")?;
    #[allow(clippy::cast_precision_loss, reason = "any number will do")]
    math.get::<Function>("randomseed")?.call((seed >> 12) as f64)
}

#[cfg(test)]
mod tests;
