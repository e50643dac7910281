use std::sync::Arc;
use std::time::Duration;

use mlua::Lua;

use crate::clock::Clock;
use crate::script::bind::testing::NOW;
use crate::script::bind::testing::close;
use crate::script::bind::testing::context;
use crate::script::bind::testing::drive;
use crate::script::bind::testing::open;
use crate::script::bind::testing::turning;
use crate::script::driver::fault;
use crate::script::live::Live;
use crate::script::pipeline::Timer;
use crate::telemetry::metrics::Registry;

/// A loaded machine whose file puts what it hears into the store `seen`.
fn loaded(file: &str, clock: &Clock, live: &Arc<Live>) -> (Lua, Vec<Timer>) {
    let lua = open(clock, live);
    let text = format!(
        "local seen = store 'seen' local function note(what) seen:update('log', function(old) return (old or '') .. what .. ' ' end) end {file}"
    );
    lua.load(text).set_name("@gateway.lua").exec().unwrap();
    let timers = close(&lua).1.timers;
    (lua, timers)
}

async fn log(lua: &Lua) -> String {
    drive(lua, None, "return store('seen'):get 'log' or ''").await.unwrap().trim().to_owned()
}

#[test]
fn flags_are_frozen_and_survive_the_control_machine() {
    let (clock, live) = (Clock::fake(NOW), Arc::<Live>::default());
    let file = "local n = store 'n' local flags = every('1s', function() return { on = { n:incr 'n' } } end) on('x', function() end) return flags";
    let load = || {
        let lua = open(&clock, &live);
        let flags: mlua::AnyUserData = lua.load(file).set_name("@gateway.lua").eval().unwrap();
        let (plan, pipelines) = close(&lua);
        (lua, flags, plan.objects, pipelines.timers)
    };
    let ((control, _, _, timers), (worker, flags, objects, _)) = (load(), load());
    let get = |flags: &mlua::AnyUserData| {
        let get: mlua::Function =
            worker.load("local flags = ... local v = flags:get() return v and v.on[1]").into_function().unwrap();
        get.call::<Option<i64>>(flags).unwrap()
    };
    turning(&clock, async {
        assert_eq!(get(&flags), None);
        let tasks = super::start(&control, &timers).unwrap();
        clock.sleep(Duration::from_millis(20)).await;
        assert_eq!(get(&flags), Some(1), "the first run is at once");
        clock.sleep(Duration::from_millis(1000)).await;
        assert_eq!(get(&flags), Some(2));
        drop(tasks);
        clock.sleep(Duration::from_millis(3000)).await;
        assert_eq!(get(&flags), Some(2), "dropped tasks run no more, and the value stays");
        assert_eq!(context(&control).worker().unwrap().tasks.get(), 0);
        live.commit(&objects, &Registry::default());
        assert_eq!(get(&flags), Some(2), "a reload that still declares it keeps the value");
        let frozen = worker.load("local flags = ... flags:get().on[1] = 5").into_function().unwrap();
        let error = fault::message(&frozen.call::<()>(flags.clone()).unwrap_err());
        assert!(error.contains("readonly"), "{error}");
    });
}

#[test]
fn a_failing_run_is_logged_and_the_last_value_stays() {
    let (clock, live) = (Clock::fake(NOW), Arc::<Live>::default());
    let lua = open(&clock, &live);
    let file = "local n = store 'n' return every('1s', function() local c = n:incr 'n' if c == 2 then error 'no' end if c == 3 then return print end if c == 4 then return nil end return c end)";
    let flags: mlua::AnyUserData = lua.load(file).set_name("@gateway.lua").eval().unwrap();
    let timers = close(&lua).1.timers;
    let get: mlua::Function = lua.load("local flags = ... return flags:get()").into_function().unwrap();
    turning(&clock, async {
        let _tasks = super::start(&lua, &timers).unwrap();
        for expected in [1, 1, 1, 1, 5] {
            clock.sleep(Duration::from_millis(500)).await;
            assert_eq!(get.call::<Option<i64>>(flags.clone()).unwrap(), Some(expected));
            clock.sleep(Duration::from_millis(500)).await;
        }
    });
}

#[test]
fn events_reach_the_functions_of_the_newest_control_machine_in_order() {
    let (clock, live) = (Clock::fake(NOW), Arc::<Live>::default());
    let file = r#"
    on("start", function() note "start" end)
    on("reload", function() note "reload" end)
    on("hello", function(data) sleep "10ms" note("hello:" .. data.n) end)
    on("bare", function(data) note(tostring(data)) end)
    on("bad", function() error "no" end)
    after("300ms", function() note "after" end)
    seen:subscribe("news", function(value) note("news:" .. value) end)"#;
    let ((control, timers), (worker, _)) = (loaded(file, &clock, &live), loaded(file, &clock, &live));
    turning(&clock, async {
        let tasks = super::start(&control, &timers).unwrap();
        let script = "emit('hello', { n = 1 }) emit('hello', { n = 2 }) emit('bad') emit('bare') emit('nobody', print) store('seen'):publish('news', 'x')";
        drive(&worker, None, script).await.unwrap();
        clock.sleep(Duration::from_millis(100)).await;
        assert_eq!(log(&worker).await, "start nil news:x hello:1 hello:2");
        clock.sleep(Duration::from_millis(300)).await;
        assert!(log(&worker).await.ends_with("after"));
        let (second, timers) = loaded(file, &clock, &live);
        let newer = super::start(&second, &timers).unwrap();
        drop(tasks);
        clock.sleep(Duration::from_millis(50)).await;
        assert!(log(&worker).await.ends_with("after reload"));
        drop(newer);
        drive(&worker, None, "emit('hello', { n = 3 })").await.unwrap();
        clock.sleep(Duration::from_millis(50)).await;
        assert!(log(&worker).await.ends_with("after reload"));
    });
}

#[test]
fn after_runs_from_a_function_too_and_nothing_is_emitted_while_loading() {
    let (clock, live) = (Clock::fake(NOW), Arc::<Live>::default());
    let (worker, _) = loaded("", &clock, &live);
    turning(&clock, async {
        drive(&worker, None, "after('50ms', function() store('seen'):set('log', 'later') end)").await.unwrap();
        assert_eq!(log(&worker).await, "");
        clock.sleep(Duration::from_millis(100)).await;
        assert_eq!(log(&worker).await, "later");
        for (text, expected) in [
            ("emit('', 1)", "1 to 128 characters"),
            ("store('seen'):publish('c', ('x'):rep(100000))", "more than a message"),
            ("after('soon', print)", "soon"),
            ("on('x', function() end)", "top level"),
            ("every('1s', function() end)", "top level"),
        ] {
            let failure = drive(&worker, None, text).await.unwrap_err();
            assert!(failure.cause.contains(expected), "{text}: {}", failure.cause);
        }
    });
    let lua = open(&clock, &live);
    let error = fault::message(&lua.load("emit('x')").exec().unwrap_err());
    assert!(error.contains("cannot be used while the file loads"), "{error}");
}
