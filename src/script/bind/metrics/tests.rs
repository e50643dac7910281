use std::sync::Arc;

use mlua::Lua;

use crate::clock::Clock;
use crate::script::bind::testing::NOW;
use crate::script::bind::testing::close;
use crate::script::bind::testing::context;
use crate::script::bind::testing::mistakes;
use crate::script::bind::testing::open;
use crate::script::driver::fault;

fn run(file: &str, text: &str) -> (Lua, Result<(), String>) {
    let lua = open(&Clock::fake(NOW), &Arc::default());
    assert_eq!(mistakes(&lua, file), "");
    close(&lua);
    let outcome = lua.load(text).exec().map_err(|error| fault::message(&error));
    (lua, outcome)
}

#[test]
fn what_is_counted_is_rendered() {
    let (lua, outcome) = run(
        r#"metrics.counter "orders_total" { "shop", help = "orders\nmade" }
        metrics.gauge "level"
        metrics.histogram("size", { buckets = { 1, 10 } })"#,
        r#"local orders = metrics.counter "orders_total"
        orders:inc() orders:inc({ shop = "a" }) orders:inc(2.5, { shop = "a" })
        metrics.gauge("level"):set(5) metrics.gauge("level"):dec(2) metrics.gauge("level"):inc()
        metrics.histogram("size"):observe(3)"#,
    );
    outcome.unwrap();
    let text = context(&lua).worker().unwrap().metrics.render();
    for line in [
        "# HELP orders_total orders made",
        "orders_total{shop=\"\"} 1\n",
        "orders_total{shop=\"a\"} 3.5\n",
        "level 4\n",
        "size_bucket{le=\"10\"} 1\n",
    ] {
        assert!(text.contains(line), "{line} in {text}");
    }
}

#[test]
fn label_sets_are_bounded_however_many_values_come() {
    let (lua, outcome) = run(
        r#"metrics.counter "c" { "who" }"#,
        "local c = metrics.counter 'c' for i = 1, 25000 do c:inc({ who = 'w' .. i }) end c:inc({ who = ('x'):rep(1e6) })",
    );
    outcome.unwrap();
    let text = context(&lua).worker().unwrap().metrics.render();
    assert!(text.contains("c{who=\"other\"} 5001\n"), "what comes after the first 20000 is counted together");
}

#[test]
fn mistakes_are_named() {
    let file = r#"metrics.counter "c" { "who" } metrics.gauge "g" metrics.histogram "h""#;
    for (text, expected) in [
        ("metrics.counter('c'):inc(-1)", "-1 cannot be added"),
        ("metrics.counter('c'):inc(0/0)", "cannot be added"),
        ("metrics.counter('c'):inc({ shop = 1 })", "metric `c` has no label `shop`"),
        ("metrics.counter('c'):inc('x')", "a number expected, got string"),
        ("metrics.counter('c'):set(1)", "metric `c` is a counter; use :inc"),
        ("metrics.gauge('g'):observe(1)", "metric `g` is a gauge; use :inc"),
        ("metrics.histogram('h'):inc()", "metric `h` is a histogram; use :observe"),
        ("metrics.gauge('c'):inc()", "metric `c` is declared as a counter"),
        ("metrics.counter('d'):inc()", "no metric `d` is declared"),
        ("metrics.counter('http_requests')", "not Moongate's own"),
        ("metrics.counter('a b')", "a name of letters"),
    ] {
        let error = run(file, text).1.expect_err(text);
        assert!(error.contains(expected), "{text}: {error}");
    }
    let lua = open(&Clock::fake(NOW), &Arc::default());
    for (text, expected) in [
        ("metrics.counter 'c' { 'le' }", "`le` cannot be a label"),
        ("metrics.counter 'c' { buckets = { 1 } }", "bounds of a histogram"),
        ("metrics.histogram 'h' { buckets = { 2, 1 } }", "ascending"),
        ("metrics.counter 'e' { 'a' } metrics.counter('e', { 'b' })", "declared twice"),
        ("metrics.gauge('g'):set(1)", "cannot be used while the file loads"),
    ] {
        let error = mistakes(&lua, text);
        assert!(error.contains(expected), "{text}: {error}");
    }
}
