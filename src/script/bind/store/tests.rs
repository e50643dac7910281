use std::sync::Arc;
use std::time::Duration;

use mlua::Lua;

use crate::clock::Clock;
use crate::script::bind::testing::NOW;
use crate::script::bind::testing::close;
use crate::script::bind::testing::mistakes;
use crate::script::bind::testing::open;
use crate::script::driver::fault;
use crate::script::live::Live;

const FILE: &str = r#"
local s = store "sessions" { ttl = "1m", max = "1MB" }
return function(text) return load("local s = ... " .. text)(s) end
"#;

/// Two loaded machines on one clock that share everything live.
fn pair() -> (Clock, Lua, Lua) {
    let (clock, live) = (Clock::fake(NOW), Arc::<Live>::default());
    (clock.clone(), loaded(&clock, &live), loaded(&clock, &live))
}

fn loaded(clock: &Clock, live: &Arc<Live>) -> Lua {
    let lua = open(clock, live);
    let run: mlua::Function = lua.load(FILE).eval().unwrap();
    lua.set_named_registry_value("run", run).unwrap();
    close(&lua);
    lua
}

fn run<R: mlua::FromLuaMulti>(lua: &Lua, text: &str) -> R {
    let run: mlua::Function = lua.named_registry_value("run").unwrap();
    run.call(text).unwrap_or_else(|error| panic!("{text}: {error}"))
}

fn wrong(lua: &Lua, text: &str) -> String {
    let run: mlua::Function = lua.named_registry_value("run").unwrap();
    fault::message(&run.call::<()>(text).unwrap_err())
}

#[test]
fn workers_see_each_others_values_until_their_time_is_over() {
    let (clock, one, two) = pair();
    run::<()>(
        &one,
        "s:set('k', { a = { 1, 2 }, id = json.decode '9007199254740993', n = json.null }) s:set('long', 1, '1h')",
    );
    let text: String = run(&two, "return json.encode(s:get 'k')");
    assert_eq!(text, r#"{"a":[1,2],"id":9007199254740993,"n":null}"#);
    assert!(run::<bool>(&two, "return s:get 'nothing' == nil"));
    clock.advance(Duration::from_secs(61));
    assert!(run::<bool>(&two, "return s:get 'k' == nil and s:get 'long' == 1"));
    assert!(run::<bool>(&two, "s:set('long', nil) return s:get 'long' == nil"));
    assert!(run::<bool>(&one, "s:set('b', 'x') return s:delete 'b' and not s:delete 'b'"));
    assert!(run::<bool>(&one, r#"s:set("bytes", "\0\255") return s:get "bytes" == "\0\255""#));
}

#[test]
fn numbers_are_counted_together() {
    let (_, one, two) = pair();
    assert!(run::<bool>(&one, "return s:incr 'n' == 1 and s:incr('n', 5) == 6"));
    assert!(run::<bool>(&two, "return s:incr('n', -2) == 4 and s:incr('f', 0.5) == 0.5"));
    assert!(wrong(&one, "s:set('t', 'x') s:incr 't'").contains("store `sessions`: the value of `t` is no number"));
    assert!(wrong(&one, "s:incr('n', 'x')").contains("incr takes a number, got string"));
    assert!(wrong(&one, "s:incr('n', 0/0)").contains("incr takes a number"));
}

#[test]
fn update_makes_a_value_of_the_old_one() {
    let (_, one, two) = pair();
    assert!(run::<bool>(&one, "return s:update('k', function(old) return (old or 0) + 1 end) == 1"));
    assert!(run::<bool>(&two, "return s:update('k', function(old) return old + 1 end) == 2"));
    assert!(run::<bool>(&two, "return s:update('k', function() return nil end) == nil and s:get 'k' == nil"));
    assert!(wrong(&one, "s:update('k', function() error 'no' end)").contains("no"));
    assert!(wrong(&one, "s:update('k', function() return print end)").contains("a function is no plain data"));
}

#[test]
fn keys_are_listed_by_prefix() {
    let (_, one, two) = pair();
    run::<()>(&one, "s:set('a:1', 1) s:set('a:2', 1) s:set('b', 1)");
    assert_eq!(run::<Vec<String>>(&two, "return s:keys 'a:'"), ["a:1", "a:2"]);
    assert_eq!(run::<Vec<String>>(&two, "return s:keys()"), ["a:1", "a:2", "b"]);
}

#[test]
fn what_cannot_be_kept_is_refused() {
    let (_, one, _) = pair();
    for (text, expected) in [
        ("s:set('k', print)", "a function is no plain data"),
        ("s:set('k', { a = { print } })", "a function is no plain data at $.a[1]"),
        ("s:set('k', ('x'):rep(2 * 1024 * 1024))", "does not fit"),
        ("s:set(('k'):rep(5000), 1)", "more than the 4096 it takes"),
        (r#"s:set("\255", 1)"#, "not UTF-8"),
        ("s:set(nil, 1)", "text expected, got nil"),
        ("s:set('k', 1, 'soon')", "soon"),
        ("local t = {} t.t = t s:set('k', t)", "nested deeper"),
        ("s:get({})", "text expected, got table"),
        ("s:subscribe('x', function() end)", "stands at the top level"),
        ("store('other')", "no store `other` is declared"),
        ("store('sessions', { ttl = '1s' })", "declared at the top level"),
        ("local k = {} for i = 1, 40 do k = { k, k } end s:set('k', k)", "more than 16 MB of data"),
    ] {
        let error = wrong(&one, text);
        assert!(error.contains(expected), "{text}: {error}");
    }
    assert!(run::<bool>(&one, "store('sessions'):set('k', 1) return s:get 'k' == 1"));
}

#[test]
fn a_declaration_is_checked_and_told_to_the_plan() {
    let lua = open(&Clock::fake(NOW), &Arc::default());
    assert_eq!(mistakes(&lua, "store 'a' { ttl = '1m' } store('b', { max = '2MB' }) store 'c'"), "");
    for (text, expected) in [
        ("store 'a' { ttl = '2m' }", "store `a` is declared twice, with different options"),
        ("store 'd' { tll = 1 }", "unknown option `tll` in store `d`; did you mean `ttl`?"),
        ("store 'd' { redis = 'x' }", "`redis` of store `d`: an address expected"),
        ("store 'd' { redis = 'redis://x', max = '1MB' }", "Redis has its own `maxmemory`"),
        ("store 'd' { file = '../x' }", "a name in the state folder expected"),
        ("store 'd' { file = '/etc/x' }", "a name in the state folder expected"),
        ("store 'd' { file = 'x', redis = 'redis://x' }", "two places for the same values"),
        ("store 'f' { file = 'x' } store 'd' { file = 'x' }", "`file` of store `d`: store `f` is kept there"),
        ("store 'd' { max = 'big' }", "`max` of store `d`"),
        ("store ''", "a name of 1 to 128 characters"),
        ("store 'e':get 'k'", "cannot be called while the file loads"),
    ] {
        let error = mistakes(&lua, text);
        assert!(error.contains(expected), "{text}: {error}");
    }
    let objects = close(&lua).0.objects;
    assert_eq!(objects.keys().collect::<Vec<_>>(), ["store:a", "store:b", "store:c", "store:d", "store:e", "store:f"]);
    assert!(objects["store:b"].contains("2097152"), "{objects:?}");
    assert!(objects["store:c"].contains("max"), "a store without options is one with the defaults");
}
