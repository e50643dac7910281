//! Functions that wait, from scripts of every shape.

use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use mlua::Lua;
use mlua::MultiValue;

use super::*;
use crate::clock::Clock;
use crate::proxy::Run;
use crate::proxy::Worker;
use crate::script::context::Setting;
use crate::script::context::Snapshot;
use crate::script::driver;
use crate::script::live::Live;
use crate::script::machine;
use crate::telemetry::access::AccessLog;
use crate::telemetry::metrics::Registry;

pub(in crate::script) fn machine() -> (Lua, Rc<Context>) {
    machine_with(|lua| crate::script::bind::install(lua, &lua.globals()))
}

pub(in crate::script) fn machine_with(words: impl Fn(&Lua) -> mlua::Result<()>) -> (Lua, Rc<Context>) {
    let clock = Clock::fake(Duration::from_secs(1_800_000_000));
    let snapshot = Snapshot { time: Duration::from_secs(1_700_000_000), seed: 7 << 20, ..Snapshot::default() };
    let setting = Setting {
        worker: Some(Worker::new(0, 1, clock.clone(), Registry::default(), AccessLog::default())),
        live: Arc::new(Live::default()),
        control: false,
        clock,
        snapshot: Arc::new(snapshot),
        step: Duration::from_millis(50),
        memory: 64 << 20,
        offline: None,
    };
    let (lua, context) = machine::open(setting).unwrap();
    words(&lua).unwrap();
    machine::seal(&lua).unwrap();
    machine::bound(&lua).unwrap();
    (lua, context)
}

/// A machine with `nap(text)`, which waits a second and returns its argument, and `fall()`, which waits and fails.
fn napping() -> (Lua, Rc<Context>) {
    machine_with(|lua| {
        let nap = function(lua, "nap", |lua, text: mlua::LuaString| {
            let context = Context::of(lua);
            let sleep = context.clock().sleep(Duration::from_secs(1));
            Ok(Box::pin(async move {
                sleep.await;
                if text.as_bytes() == "bad" {
                    return Err(mlua::Error::runtime("slept badly"));
                }
                Ok(MultiValue::from_vec(vec![Value::String(text)]))
            }))
        })?;
        lua.globals().set("nap", nap)?;
        let fall = function(lua, "fall", |_, ()| {
            Ok(Box::pin(async { fail(Failure::new(crate::proxy::Code::UpstreamConnect, "nobody there")) }))
        })?;
        lua.globals().set("fall", fall)
    })
}

/// Runs `text` to its end, turning the clock; says what it came to and how often it waited.
fn run(text: &str) -> (Result<String, Failure>, u32) {
    let (lua, context) = napping();
    machine::loaded(&lua).unwrap();
    let function = machine::compile(&lua, "gateway.lua", text).unwrap();
    let mut future = match driver::drive(&context, None, &function, ()) {
        Run::Done(outcome) => return (outcome.map(text_of), 0),
        Run::Wait(future) => future,
    };
    let mut naps = 0;
    let waker = std::task::Waker::noop();
    loop {
        match future.as_mut().poll(&mut std::task::Context::from_waker(waker)) {
            Poll::Ready(outcome) => return (outcome.map(text_of), naps),
            Poll::Pending => {
                naps += 1;
                assert!(naps < 100, "it waits for nothing");
                context.clock().advance(Duration::from_secs(1));
            }
        }
    }
}

fn text_of(values: MultiValue) -> String {
    values.iter().map(|value| value.to_string().unwrap()).collect::<Vec<_>>().join(" ")
}

fn good(text: &str) -> (String, u32) {
    let (outcome, naps) = run(text);
    (outcome.unwrap(), naps)
}

#[test]
fn a_wait_reads_as_straight_line_code() {
    assert_eq!(good("return 1, 2"), ("1 2".into(), 0));
    assert_eq!(good("local a = nap 'a' local b = nap 'b' return a .. b"), ("ab".into(), 2));
    assert_eq!(good("return pcall(function() return nap 'a' end)"), ("true a".into(), 1));
    assert_eq!(good("for i = 1, 9 do nap 'x' end return 'done'"), ("done".into(), 9));
}

#[test]
fn an_error_of_a_wait_is_raised_at_the_callers_line() {
    let (outcome, _) = run("local x\nlocal y = nap 'bad'");
    let failure = outcome.unwrap_err();
    assert_eq!(failure.place, Some(("gateway.lua".into(), 2)));
    assert_eq!(failure.cause, "slept badly");
    assert_eq!(failure.code.as_str(), "script.error");
    let (text, _) = good("local ok, why = pcall(function()\n nap 'bad' end) return why");
    assert_eq!(text, "gateway.lua:2: slept badly");
}

#[test]
fn a_failure_of_a_wait_ends_the_request_and_no_pcall_catches_it() {
    let (outcome, _) = run("pcall(fall) return 'caught'");
    assert_eq!(outcome.unwrap_err().code.as_str(), "upstream.connect");
}

#[test]
fn a_bad_argument_names_function_and_line() {
    let failure = run("\nnap({})").0.unwrap_err();
    assert_eq!(failure.place, Some(("gateway.lua".into(), 2)));
    assert!(failure.cause.contains("bad argument #1 to `nap`"), "{}", failure.cause);
}

#[test]
fn a_wait_inside_a_scripts_own_coroutine_is_the_requests() {
    let text = "local co = coroutine.create(function(a) local b = coroutine.yield(nap(a)) return nap(b) end)
                local _, one = coroutine.resume(co, 'x') local _, two = coroutine.resume(co, 'y')
                return one .. two .. coroutine.status(co)";
    assert_eq!(good(text), ("xydead".into(), 2));
    let text = "local all = '' for x in coroutine.wrap(function() for _, v in { 'a', 'b' } do coroutine.yield(nap(v)) end end) do
                all ..= x end return all";
    assert_eq!(good(text), ("ab".into(), 2));
}

#[test]
fn a_rejection_inside_a_coroutine_or_pcall_ends_the_request() {
    for text in [
        "reject(403, 'no')",
        "pcall(reject, 403, 'no') return 'went on'",
        "pcall(function() pcall(function() reject(403, 'no') end) end) return 'went on'",
        "coroutine.wrap(function() reject(403, 'no') end)() return 'went on'",
        "local co = coroutine.create(function() reject(403, 'no') end) coroutine.resume(co) return 'went on'",
        "nap 'a' pcall(function() nap 'b' reject(403, 'no') end) return 'went on'",
    ] {
        let failure = run(text).0.unwrap_err();
        assert_eq!((failure.status, failure.code.as_str(), &*failure.detail), (403, "rejected", "no"), "{text}");
    }
}

#[test]
fn a_rejection_where_nothing_can_yield_still_ends_the_request() {
    for text in [
        "return ('abc'):gsub('b', function() reject(403, 'no') end)",
        "table.sort({ 3, 2, 1 }, function() reject(403, 'no') end) return 'went on'",
        "return setmetatable({}, { __index = function() reject(403, 'no') end }).x",
        "pcall(function() return ('abc'):gsub('b', function() pcall(reject, 403, 'no') end) end) return 'went on'",
        "('abc'):gsub('b', function() pcall(coroutine.wrap(function() reject(403, 'no') end)) end) return 'went on'",
    ] {
        let failure = run(text).0.unwrap_err();
        assert_eq!((failure.status, failure.code.as_str()), (403, "rejected"), "{text}");
    }
}

#[test]
fn a_wait_where_nothing_can_yield_is_the_scripts_mistake() {
    let failure = run("return ('abc'):gsub('b', function() return nap 'x' end)").0.unwrap_err();
    assert!(failure.cause.contains("`nap` cannot wait inside a metamethod"), "{}", failure.cause);
    assert_eq!(failure.place, Some(("gateway.lua".into(), 1)));
    let failure = run("return ('abc'):gsub('b', coroutine.wrap(function() return nap 'x' end))").0.unwrap_err();
    assert!(failure.cause.contains("waits where nothing can wait"), "{}", failure.cause);
}

#[test]
fn a_coroutine_that_waits_belongs_to_its_request() {
    let (lua, context) = napping();
    machine::loaded(&lua).unwrap();
    let text = "local kept, main
                return function() main = coroutine.running() kept = coroutine.create(function() return nap 'secret' end)
                         return coroutine.resume(kept) end,
                       function() return coroutine.resume(kept) end,
                       function() return coroutine.resume(main) end";
    let (first, second, third): (Function, Function, Function) =
        machine::compile(&lua, "gateway.lua", text).unwrap().call(()).unwrap();
    let Run::Wait(waiting) = driver::drive(&context, None, &first, ()) else { panic!("it waits") };
    for other in [second, third] {
        let Run::Done(Ok(values)) = driver::drive(&context, None, &other, ()) else { panic!("it does not wait") };
        assert_eq!(values[0], Value::Boolean(false), "{values:?}");
    }
    drop(waiting);
}

#[test]
fn dropping_a_wait_frees_its_coroutine() {
    let (lua, context) = napping();
    machine::loaded(&lua).unwrap();
    let function = machine::compile(&lua, "gateway.lua", "local x <const> = 1").err();
    assert!(function.is_some());
    let function = machine::compile(&lua, "gateway.lua", "return nap 'a'").unwrap();
    for _ in 0..1000 {
        drop(driver::drive(&context, None, &function, ()));
    }
    assert!(context.clock().next_due().is_none(), "a sleeper is left");
    lua.gc_collect().unwrap();
    assert!(lua.used_memory() < 4 << 20, "{}", lua.used_memory());
}

#[test]
fn nothing_waits_while_loading() {
    let (lua, context) = napping();
    let function = machine::compile(&lua, "gateway.lua", "nap 'a'").unwrap();
    let Run::Done(Err(failure)) = driver::drive(&context, None, &function, ()) else { panic!("it does not wait") };
    assert_eq!(failure.cause, "`nap` cannot be called while the file loads");
}
