//! Names of live objects, and what lives on in them.

use std::collections::BTreeMap;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;

use mlua::Function;
use serde::Deserialize;
use serde::Serialize;

use super::*;
use crate::clock::Clock;
use crate::script::bind::testing::NOW;
use crate::script::bind::testing::close;
use crate::script::bind::testing::mistakes;
use crate::script::bind::testing::open;
use crate::script::live::Live;
use crate::telemetry::metrics::Registry;

/// Counts, and knows how far it may.
struct Tally(AtomicU64, AtomicU64);

#[derive(Serialize, Deserialize)]
struct Config {
    most: u64,
}

impl Kept for Tally {
    type Config = Config;

    fn make(config: Config) -> Self {
        Self(AtomicU64::new(0), AtomicU64::new(config.most))
    }

    fn change(&self, config: Config) {
        self.1.store(config.most, Ordering::Relaxed);
    }
}

/// A machine with a policy `tally { most, name }` whose step counts into `seen`.
fn machine(live: &Arc<Live>, script: &str) -> (Lua, BTreeMap<String, String>, String) {
    let lua = open(&Clock::fake(NOW), live);
    let make = lua.create_function(|lua, (name, most): (Option<String>, u64)| {
        let object = Object::<Tally>::declare(lua, "tally", name.as_deref(), &Config { most })?;
        lua.create_function(move |lua, (): ()| {
            let tally = object.get(lua)?;
            Ok((tally.0.fetch_add(1, Ordering::Relaxed) + 1, tally.1.load(Ordering::Relaxed)))
        })
    });
    let policy = "local make = ...; verbs = {}; policy 'tally' { \
        options = { [1] = is.int { default = 9 }, name = is.string { optional = true } }, \
        step = function(o) local verb = make(o.name, o[1]) verbs[o[1]] = verb \
          return function(req) verb() end end }";
    lua.globals().set_readonly(false);
    let policy = policy.replace("verbs = {}", "local verbs = verbs");
    let verbs = lua.create_table().unwrap();
    lua.globals().raw_set("verbs", &verbs).unwrap();
    lua.load(policy).set_name("=[stdlib/tally.lua]").call::<()>(make.unwrap()).unwrap();
    let said = mistakes(&lua, script);
    let session = Session::of(&lua, "tests").unwrap();
    let (plan, _) = close(&lua);
    let found = session.found().into_iter().map(|found| found.message);
    let said = if said.is_empty() { found.collect::<Vec<_>>().join("; ") } else { said };
    lua.set_named_registry_value("verbs", verbs).unwrap();
    (lua, plan.objects, said)
}

fn counted(lua: &Lua, most: u64) -> (u64, u64) {
    let verbs: mlua::Table = lua.named_registry_value("verbs").unwrap();
    verbs.raw_get::<Function>(most).unwrap().call(()).unwrap()
}

#[test]
fn a_value_is_named_after_who_first_holds_it_and_its_place_there() {
    let script = "
        local shared, loose = tally(1), tally(2)
        gateway { tally(3), tally(4) }
        group 'a.dev/v1' { shared, route 'GET /x/{id}' { shared, tally(5), tally { 6, name = 'own' }, 200 and function() return 200 end } }
        group 'a.dev/v1' { tally(7), route '/y' { steps { when = function() return true end, tally(8) }, function(req) loose(req) return 200 end } }
        route '/z' { tally(10) { name = 'refined' }, function() return 200 end }";
    let (_, objects, said) = machine(&Arc::default(), script);
    assert_eq!(said, "");
    let found: Vec<_> = objects.iter().map(|(name, config)| format!("{name} {config}")).collect();
    let expected = [
        "tally of a.dev/v1/y #1 {\"most\":8}",
        "tally of functions #1 {\"most\":2}",
        "tally of gateway #1 {\"most\":3}",
        "tally of gateway #2 {\"most\":4}",
        "tally of group a.dev/v1 #1 {\"most\":1}",
        "tally of group a.dev/v1 #2 {\"most\":7}",
        "tally of GET a.dev/v1/x/{id} #1 {\"most\":5}",
        "tally:own {\"most\":6}",
        "tally:refined {\"most\":10}",
    ];
    let (mut expected, mut found) = (expected.map(str::to_owned).to_vec(), found);
    expected.sort();
    found.sort();
    assert_eq!(found, expected);
}

#[test]
fn equal_declarations_are_one_object_and_a_changed_one_keeps_what_was_used() {
    let live = Arc::<Live>::default();
    let script = |most: u64| format!("route '/x' {{ tally({most}), function() return 200 end }}");
    let (lua, objects, _) = machine(&live, &script(5));
    let (other, _, _) = machine(&live, &script(5));
    assert_eq!((counted(&lua, 5), counted(&other, 5)), ((1, 5), (2, 5)));
    live.commit(&objects, &Registry::default());
    assert_eq!(counted(&lua, 5), (3, 5));
    let (newer, objects, _) = machine(&live, &script(7));
    live.commit(&objects, &Registry::default());
    assert_eq!((counted(&newer, 7), counted(&lua, 5)), ((4, 7), (5, 7)));
    live.commit(&BTreeMap::new(), &Registry::default());
    let (fresh, _, _) = machine(&live, &script(7));
    assert_eq!(counted(&fresh, 7), (1, 7));
}

#[test]
fn a_name_stands_for_one_declaration() {
    let two = |a: &str, b: &str| {
        let script = format!("route '/x' {{ tally {a}, tally {b}, function() return 200 end }}");
        let (_, objects, said) = machine(&Arc::default(), &script);
        (objects.len(), said)
    };
    assert_eq!(two("{ 1, name = 'n' }", "{ 1, name = 'n' }"), (1, String::new()));
    let (_, said) = two("{ 1, name = 'n' }", "{ 2, name = 'n' }");
    assert_eq!(said, "two `tally` are named `n`, and differ");
}
