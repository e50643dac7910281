//! A machine with every word in it, for tests without a socket.

use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use mlua::FromLuaMulti;
use mlua::Lua;

use crate::clock::Clock;
use crate::proxy::Worker;
use crate::script::context::Context;
use crate::script::context::Setting;
use crate::script::context::Snapshot;
use crate::script::driver::fault;
use crate::script::live::Live;
use crate::script::machine;
use crate::telemetry::access::AccessLog;
use crate::telemetry::metrics::Registry;

/// When tests happen: 2027-01-15T08:00:00Z.
pub(crate) const NOW: Duration = Duration::from_secs(1_800_000_000);

/// A machine on `clock` that shares `live`, still loading.
pub(crate) fn open(clock: &Clock, live: &Arc<Live>) -> Lua {
    let env = [("STAGE".to_owned(), "test".to_owned())].into();
    let snapshot = Snapshot { time: NOW - Duration::from_secs(60), env, ..Snapshot::default() };
    let setting = Setting {
        worker: Some(Worker::new(0, 1, clock.clone(), Registry::default(), AccessLog::default())),
        live: Arc::clone(live),
        control: true,
        clock: clock.clone(),
        snapshot: Arc::new(snapshot),
        step: Duration::from_secs(60),
        memory: 512 << 20,
    };
    let (lua, _) = machine::open(setting).unwrap();
    super::install(&lua, &lua.globals()).unwrap();
    machine::seal(&lua).unwrap();
    lua
}

/// A loaded machine of its own.
pub(crate) fn machine() -> Lua {
    let lua = open(&Clock::fake(NOW), &Arc::default());
    machine::loaded(&lua).unwrap();
    lua
}

/// The context of `lua`.
pub(crate) fn context(lua: &Lua) -> Rc<Context> {
    Context::of(lua)
}

/// What `script` returns.
pub(crate) fn eval<R: FromLuaMulti>(script: &str) -> R {
    machine().load(script).set_name("@gateway.lua").eval().unwrap_or_else(|error| panic!("{script}: {error}"))
}

/// The message with which `script` fails.
pub(crate) fn fault(script: &str) -> String {
    match machine().load(script).set_name("@gateway.lua").exec() {
        Ok(()) => panic!("{script}: did not fail"),
        Err(error) => fault::message(&error),
    }
}
