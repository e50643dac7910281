use std::sync::Arc;
use std::time::Duration;

use mlua::Lua;

use crate::clock::Clock;
use crate::plan::Plan;
use crate::script::bind::testing::NOW;
use crate::script::bind::testing::close;
use crate::script::bind::testing::mistakes;
use crate::script::bind::testing::open;
use crate::script::driver::fault;
use crate::script::live::Live;
use crate::telemetry::metrics::Registry;

fn loaded(file: &str, clock: &Clock, live: &Arc<Live>) -> Lua {
    planned(file, clock, live).0
}

/// The machine and what its file declares.
fn planned(file: &str, clock: &Clock, live: &Arc<Live>) -> (Lua, Plan) {
    let lua = open(clock, live);
    assert_eq!(mistakes(&lua, file), "");
    let plan = close(&lua).0;
    (lua, plan)
}

#[test]
fn a_limit_is_shared_by_workers_and_refills() {
    let (clock, live) = (Clock::fake(NOW), Arc::<Live>::default());
    let file = r#"limiter "login" { "2/min" }"#;
    let (one, two) = (loaded(file, &clock, &live), loaded(file, &clock, &live));
    let check = |lua: &Lua, text: &str| {
        lua.load(format!("return limiter('login'):{text}")).eval::<(bool, mlua::Table)>().unwrap()
    };
    assert!(check(&one, "check 'a'").0);
    let (ok, told) = check(&two, "check 'a'");
    assert!(ok);
    assert_eq!((told.get::<i64>("limit").unwrap(), told.get::<i64>("left").unwrap()), (2, 0));
    let (ok, told) = check(&one, "check 'a'");
    assert!(!ok && told.get::<f64>("retry_after").unwrap() == 30.0);
    assert!(check(&one, "check 'b'").0, "another key has its own room");
    assert!(!check(&one, "peek 'a'").0);
    clock.advance(Duration::from_secs(30));
    assert!(check(&one, "peek 'a'").0 && check(&two, "check 'a'").0);
    one.load("limiter('login'):reset 'a'").exec().unwrap();
    assert!(check(&two, "check('a', 2)").0);
    assert!(!check(&two, "debit('a', 5)").0 || !check(&two, "peek 'a'").0);
}

#[test]
fn a_reload_with_another_rate_keeps_what_was_used() {
    let (clock, live) = (Clock::fake(NOW), Arc::<Live>::default());
    let old = loaded(r#"limiter "x" { "10/min", window = "fixed" }"#, &clock, &live);
    old.load("limiter('x'):check('k', 8)").exec().unwrap();
    let (new, plan) = planned(r#"limiter "x" { "20/min", window = "fixed" }"#, &clock, &live);
    live.commit(&plan.objects, &Registry::default());
    let left: i64 = new.load("local _, told = limiter('x'):check('k', 1) return told.left").eval().unwrap();
    assert_eq!(left, 11);
}

#[test]
fn long_keys_do_not_fill_the_memory() {
    let lua = loaded(r#"limiter "x" { "1/min" }"#, &Clock::fake(NOW), &Arc::default());
    let held: bool = lua
        .load(r#"local l = limiter "x" local k = ("k"):rep(1e6) return l:check(k) and not l:check(k) and l:check(k .. "x") and l:check("\255")"#)
        .eval()
        .unwrap();
    assert!(held);
}

#[test]
fn mistakes_are_named() {
    let lua = open(&Clock::fake(NOW), &Arc::default());
    for (text, expected) in [
        ("limiter 'a' {}", "limiter `a` needs 1 to 8 rates"),
        ("limiter 'a' { '5/fortnight' }", "limiter `a`: "),
        ("limiter 'a' { 5 }", "limiter `a`"),
        ("limiter 'a' { '5/min', brust = 3 }", "unknown option `brust` in limiter `a`; did you mean `burst`?"),
        ("limiter 'a' { '5/min', window = 'round' }", "got \"round\""),
        ("limiter 'a' { '5/min', window = 'fixed', burst = 3 }", "only with window = \"bucket\""),
        ("limiter 'a' { '5/min', burst = 0 }", "a whole number from 1"),
        ("limiter 'a' { '5/min', sync = '5s' }", "limiter `a`: `sync` brings counters together in a store"),
        ("limiter 'a' { '5/min', on_store_error = 'deny' }", "write `store` too"),
        ("limiter 'a' { '5/min', store = 5 }", "`store` is a store or its name, not a number"),
        ("limiter 'a' { '5/min', store = 's', sync = '1ms' }", "from 100ms to one hour, not 1ms"),
        ("limiter 'b' { '5/min' } limiter('b', { '6/min' })", "declared twice"),
        ("limiter('b'):check 'k'", "`limiter:check` cannot be called while the file loads"),
    ] {
        let error = mistakes(&lua, text);
        assert!(error.contains(expected), "{text}: {error}");
    }
    close(&lua);
    for (text, expected) in [
        ("limiter('a'):check 'k'", "limiter `a` has no rate"),
        ("limiter('c')", "no limiter `c` is declared"),
        ("limiter('b'):check(nil)", "text expected, got nil"),
        ("limiter('b'):check('k', -1)", "bad argument"),
        ("limiter('b'):check('k', 1.5)", "bad argument"),
    ] {
        let error = fault::message(&lua.load(text).exec().expect_err(text));
        assert!(error.contains(expected), "{text}: {error}");
    }
}
