use std::sync::Arc;
use std::time::Duration;

use mlua::Lua;

use crate::clock::Clock;
use crate::script::bind::declared::Declared;
use crate::script::bind::testing::NOW;
use crate::script::bind::testing::context;
use crate::script::bind::testing::drive;
use crate::script::bind::testing::open;
use crate::script::bind::testing::turning;
use crate::script::driver::fault;
use crate::script::live::Live;
use crate::script::machine;

/// A loaded machine whose file puts what it hears into the store `seen`.
fn loaded(file: &str, clock: &Clock, live: &Arc<Live>) -> Lua {
    let lua = open(clock, live);
    let text = format!(
        "local seen = store 'seen' local function note(what) seen:update('log', function(old) return (old or '') .. what .. ' ' end) end {file}"
    );
    lua.load(text).set_name("@gateway.lua").exec().unwrap();
    machine::loaded(&lua).unwrap();
    lua
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
        machine::loaded(&lua).unwrap();
        (lua, flags)
    };
    let ((control, _), (worker, flags)) = (load(), load());
    let get = |flags: &mlua::AnyUserData| {
        let get: mlua::Function =
            worker.load("local flags = ... local v = flags:get() return v and v.on[1]").into_function().unwrap();
        get.call::<Option<i64>>(flags).unwrap()
    };
    turning(&clock, async {
        assert_eq!(get(&flags), None);
        let tasks = super::start(&control).unwrap();
        clock.sleep(Duration::from_millis(20)).await;
        assert_eq!(get(&flags), Some(1), "the first run is at once");
        clock.sleep(Duration::from_millis(1000)).await;
        assert_eq!(get(&flags), Some(2));
        drop(tasks);
        clock.sleep(Duration::from_millis(3000)).await;
        assert_eq!(get(&flags), Some(2), "dropped tasks run no more, and the value stays");
        assert_eq!(context(&control).worker().unwrap().tasks.get(), 0);
        live.commit(&Declared::of(&worker).objects(), &Default::default());
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
    machine::loaded(&lua).unwrap();
    let get: mlua::Function = lua.load("local flags = ... return flags:get()").into_function().unwrap();
    turning(&clock, async {
        let _tasks = super::start(&lua).unwrap();
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
    let (control, worker) = (loaded(file, &clock, &live), loaded(file, &clock, &live));
    turning(&clock, async {
        let tasks = super::start(&control).unwrap();
        let script = "emit('hello', { n = 1 }) emit('hello', { n = 2 }) emit('bad') emit('bare') emit('nobody', print) store('seen'):publish('news', 'x')";
        drive(&worker, None, script).await.unwrap();
        clock.sleep(Duration::from_millis(100)).await;
        assert_eq!(log(&worker).await, "start nil news:x hello:1 hello:2");
        clock.sleep(Duration::from_millis(300)).await;
        assert!(log(&worker).await.ends_with("after"));
        let second = loaded(file, &clock, &live);
        let newer = super::start(&second).unwrap();
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
fn declarations_are_told_to_the_plan_and_mistakes_named() {
    let lua = open(&Clock::fake(NOW), &Arc::default());
    let load = |text: &str| lua.load(text).set_name("@gateway.lua").exec().map_err(|error| fault::message(&error));
    load("every('30s', print)\nevery(30, print) after('1s', print) on('start', print)").unwrap();
    let timers = Declared::of(&lua).timers();
    assert_eq!(timers[0], ("every".to_owned(), "30s".to_owned(), ("gateway.lua".to_owned(), 1)));
    assert_eq!(timers[1], ("every".to_owned(), "30".to_owned(), ("gateway.lua".to_owned(), 2)));
    assert_eq!(timers.len(), 4);
    assert!(Declared::of(&lua).objects().keys().all(|identity| identity.starts_with("every:")));
    for (text, expected) in [
        ("every('soon', print)", "soon"),
        ("every(0, print)", "at least 10ms"),
        ("every('1s')", "function expected"),
        ("on('', print)", "1 to 128 characters"),
        ("emit('x')", "cannot be used while the file loads"),
        ("every('1s', print):get()", "cannot be used while the file loads"),
    ] {
        let error = load(text).unwrap_err();
        assert!(error.contains(expected), "{text}: {error}");
    }
    machine::loaded(&lua).unwrap();
    assert!(load("every('1s', print)").unwrap_err().contains("stands at the top level"));
    assert!(load("on('x', print)").unwrap_err().contains("stands at the top level"));
}
