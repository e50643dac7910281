//! A machine with every word in it, for tests without a socket.

use std::future::Future;
use std::future::poll_fn;
use std::path::Path;
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use mlua::FromLuaMulti;
use mlua::Lua;

use crate::clock::Clock;
use crate::plan::Plan;
use crate::proxy::Exchange;
use crate::proxy::Failure;
use crate::proxy::Worker;
use crate::script::context::Context;
use crate::script::context::Setting;
use crate::script::context::Snapshot;
use crate::script::declare;
use crate::script::declare::Session;
use crate::script::driver;
use crate::script::driver::fault;
use crate::script::live::Live;
use crate::script::load;
use crate::script::load::files::Files;
use crate::script::load::files::Frozen;
use crate::script::machine;
use crate::script::pipeline::Pipelines;
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
        offline: None,
    };
    let files = Rc::new(Files::known(Path::new("/"), Frozen::default()));
    load::open(setting, &files).unwrap().0
}

/// Says that the file of `lua` was read; what it declared.
pub(crate) fn close(lua: &Lua) -> (Plan, Pipelines) {
    let session = Session::of(lua, "close").unwrap();
    let built = load::at_once(declare::build(lua, &session, async || {}));
    load::close(lua).unwrap();
    built
}

/// The mistakes noted while `text` was read, and the one it ended with.
pub(crate) fn mistakes(lua: &Lua, text: &str) -> String {
    let session = Session::of(lua, "mistakes").unwrap();
    let before = session.found().len();
    let raised = lua.load(text).set_name("@gateway.lua").exec().err().map(|error| fault::message(&error));
    let found = session.found().into_iter().skip(before).map(|found| format!("{} {}", found.message, found.label));
    found.chain(raised).collect::<Vec<_>>().join("; ")
}

/// A loaded machine of its own.
pub(crate) fn machine() -> Lua {
    let lua = open(&Clock::fake(NOW), &Arc::default());
    close(&lua);
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

/// Runs `work` on a worker's runtime to its end, turning `clock` by 10 ms whenever nothing else can happen.
pub(crate) fn turning<F: Future>(clock: &Clock, work: F) -> F::Output {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let local = tokio::task::LocalSet::new();
    runtime.block_on(local.run_until(async {
        let mut work = pin!(work);
        for _ in 0..100_000 {
            if let Poll::Ready(output) = poll_fn(|cx| Poll::Ready(work.as_mut().poll(cx))).await {
                return output;
            }
            for _ in 0..8 {
                tokio::task::yield_now().await;
            }
            clock.advance(Duration::from_millis(10));
        }
        panic!("nothing ends this");
    }))
}

/// Calls `script` in a coroutine that may wait; what it returns, as text, or how it ended.
pub(crate) async fn drive(lua: &Lua, exchange: Option<Rc<Exchange>>, script: &str) -> Result<String, Failure> {
    let function = machine::compile(lua, "gateway.lua", script).unwrap();
    let values = driver::drive(&context(lua), exchange, &function, ()).get().await?;
    Ok(values.iter().map(|value| value.to_string().unwrap()).collect::<Vec<_>>().join(" "))
}

/// A loaded machine on a clock of its own, in which `script` is driven to its end.
pub(crate) fn driven(script: &str) -> Result<String, Failure> {
    let clock = Clock::fake(NOW);
    let lua = open(&clock, &Arc::default());
    close(&lua);
    turning(&clock, drive(&lua, None, script))
}
