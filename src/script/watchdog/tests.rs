//! Scripts that mean harm, or mean well and never end.

use std::rc::Rc;

use mlua::Function;

use crate::proxy::Failure;
use crate::proxy::Run;
use crate::script::context::Context;
use crate::script::driver;
use crate::script::machine;
use crate::script::wait::tests::machine as fresh;

/// What `text` comes to on this machine, and the CPU time it took in milliseconds.
fn run(context: &Rc<Context>, text: &str) -> (Result<mlua::MultiValue, Failure>, u64) {
    let function = machine::compile(&context.lua().unwrap(), "gateway.lua", text).unwrap();
    let before = super::cpu_time(super::own_clock()).unwrap();
    let Run::Done(outcome) = driver::drive(context, None, &function, ()) else { panic!("{text}: it does not wait") };
    (outcome, (super::cpu_time(super::own_clock()).unwrap() - before) / 1_000_000)
}

#[test]
fn nothing_runs_longer_than_its_budget() {
    let (lua, context) = fresh();
    machine::loaded(&lua).unwrap();
    for text in [
        "\nwhile true do end",
        "\nlocal function f() while true do end end f()",
        "\nwhile true do pcall(function() while true do end end) end",
        "\nwhile true do xpcall(function() while true do end end, function() while true do end end) end",
        "\nlocal co = coroutine.create(function() while true do end end) while true do coroutine.resume(co) end",
        "\nwhile true do coroutine.wrap(function() while true do end end)() end",
        "\nlocal s = ('a'):rep(50) s:find(('a*'):rep(50) .. 'b')",
        "\nlocal s = ('a'):rep(100000) s:match('.-.-.-.-b$')",
        "\nlocal s = ('x'):rep(1e6) for i = 1, 1e6 do s:gsub('x', 'y') end",
        "\nlocal t = {} for i = 1, 1e5 do t[i] = i end table.sort(t, function(a, b) while true do end end)",
        "\nlocal t = setmetatable({}, { __index = function() while true do end end }) return t.x",
        "\n('abc'):gsub('b', function() while true do pcall(error) end end)",
        "\nlocal function loop(n) return pcall(loop, n + 1) end while true do loop(0) end",
        "\nfor i = 1, 1e12 do local x = tostring(i) end",
        "\nrepeat local ok = pcall(error, 'x') until false",
    ] {
        let (outcome, took) = run(&context, text);
        let failure = outcome.expect_err(text);
        assert_eq!(failure.code.as_str(), "script.timeout", "{text}: {failure:?}");
        assert_eq!(failure.place, Some(("gateway.lua".into(), 2)), "{text}: {failure:?}");
        assert!((30..1500).contains(&took), "{text}: {took} ms");
        let (after, _) = run(&context, "return 1");
        assert!(after.is_ok(), "{text} left the machine unusable: {after:?}");
    }
}

#[test]
fn nothing_takes_more_memory_than_there_is() {
    let texts = [
        "return ('x'):rep(1e9)",
        "local s = 'x' while true do s = s .. s end",
        "local t = {} for i = 1, 1e9 do t[i] = { i } end",
        "local t = {} while true do t[#t + 1] = ('x'):rep(1e5) .. #t end",
        "return table.create(5e7, 1)",
        "return buffer.create(1e9)",
        "local t = {} for i = 1, 1e9 do t[i] = coroutine.create(function() end) end",
        "return table.concat(table.create(1000, ('x'):rep(1e6)))",
        "return ('x'):rep(3e7):gsub('x', 'yyyyyyyy')",
    ];
    for text in texts {
        let (lua, context) = fresh();
        machine::loaded(&lua).unwrap();
        context.allow(std::time::Duration::from_secs(20));
        let (outcome, _) = run(&context, text);
        let failure = outcome.expect_err(text);
        assert_eq!(failure.code.as_str(), "script.memory", "{text}: {failure:?}");
        assert!(machine::is_worn(&lua), "{text}: the machine is not marked for replacement");
        let (after, _) = run(&context, "return 1");
        assert!(after.is_ok(), "{text} left the machine unusable: {after:?}");
    }
}

#[test]
fn a_machine_that_stays_nearly_full_is_replaced_before_it_fails() {
    let (lua, context) = fresh();
    machine::loaded(&lua).unwrap();
    context.allow(std::time::Duration::from_secs(20));
    let function: Function = machine::compile(
        &lua,
        "gateway.lua",
        "local kept = {} return function(n) for i = 1, n do kept[#kept + 1] = ('x'):rep(1e5) .. #kept end end",
    )
    .unwrap()
    .call(())
    .unwrap();
    function.call::<()>(100).unwrap();
    assert!(!machine::is_worn(&lua));
    for _ in 0..45 {
        function.call::<()>(10).unwrap();
        lua.gc_collect().unwrap();
    }
    assert!(machine::is_worn(&lua));
}

#[test]
fn endless_recursion_is_an_error_with_its_line() {
    let (lua, context) = fresh();
    machine::loaded(&lua).unwrap();
    for text in [
        "local function f() return f() + 1 end\nreturn f()",
        "local t = setmetatable({}, {})\ngetmetatable(t).__index = function(t, k) return t[k] end return t.x",
    ] {
        let (outcome, _) = run(&context, text);
        let failure = outcome.expect_err(text);
        assert_eq!(failure.code.as_str(), "script.error", "{failure:?}");
        assert!(failure.cause.contains("stack overflow"), "{failure:?}");
        let trace = failure.traceback.as_deref().unwrap_or_default();
        assert!(trace.lines().count() <= 21 && trace.contains("more"), "both ends of it are enough: {trace}");
        assert!(failure.place.is_some());
    }
}

#[test]
fn an_error_names_file_line_and_the_way_there() {
    let (lua, context) = fresh();
    machine::loaded(&lua).unwrap();
    let (outcome, _) =
        run(&context, "local function inner()\n  local t = nil\n  return t.x\nend\nlocal x = inner()\nreturn x");
    let failure = outcome.unwrap_err();
    assert_eq!((failure.code.as_str(), failure.status), ("script.error", 500));
    assert_eq!(failure.place, Some(("gateway.lua".into(), 3)));
    assert_eq!(failure.cause, "attempt to index nil with 'x'");
    let traceback = failure.traceback.as_deref().unwrap();
    assert!(traceback.contains("gateway.lua:3") && traceback.contains("gateway.lua:5"), "{traceback}");
    assert!(!failure.detail.contains("index"), "the client is told nothing of the script");
}

#[test]
fn a_budget_is_cpu_time_of_one_run_not_of_many() {
    let (lua, context) = fresh();
    machine::loaded(&lua).unwrap();
    let function = machine::compile(&lua, "gateway.lua", "for i = 1, 2000 do end return 1").unwrap();
    let before = super::cpu_time(super::own_clock()).unwrap();
    while super::cpu_time(super::own_clock()).unwrap() - before < 300_000_000 {
        let Run::Done(outcome) = driver::drive(&context, None, &function, ()) else { panic!("it does not wait") };
        outcome.expect("each run is short");
    }
}

#[test]
fn a_thread_that_sleeps_does_not_use_its_budget() {
    let (lua, context) = fresh();
    machine::loaded(&lua).unwrap();
    let doze = lua.create_function(|_, ()| {
        std::thread::sleep(std::time::Duration::from_millis(200));
        Ok(())
    });
    let function =
        machine::compile(&lua, "gateway.lua", "local doze = ... doze() for i = 1, 100 do end return 1").unwrap();
    let Run::Done(outcome) = driver::drive(&context, None, &function, doze.unwrap()) else {
        panic!("it does not wait")
    };
    outcome.expect("a descheduled worker's step is innocent");
}

#[test]
fn machines_come_and_go_under_the_watchdogs_eye() {
    let threads: Vec<_> = (0..4)
        .map(|_| {
            std::thread::spawn(|| {
                for _ in 0..20 {
                    let (lua, context) = fresh();
                    machine::loaded(&lua).unwrap();
                    context.allow(std::time::Duration::from_millis(1));
                    let (outcome, _) = run(&context, "while true do end");
                    assert_eq!(outcome.unwrap_err().code.as_str(), "script.timeout");
                }
            })
        })
        .collect();
    threads.into_iter().for_each(|thread| thread.join().unwrap());
}

#[test]
fn a_run_after_a_long_silence_wakes_the_watchdog() {
    let (lua, context) = fresh();
    machine::loaded(&lua).unwrap();
    // Other tests may keep it awake; alone, it sleeps after a tenth of a second.
    for _ in 0..100 {
        if super::ASLEEP.load(super::SeqCst) {
            break;
        }
        std::thread::sleep(super::TICK);
    }
    let (outcome, _) = run(&context, "while true do end");
    assert_eq!(outcome.unwrap_err().code.as_str(), "script.timeout");
}
