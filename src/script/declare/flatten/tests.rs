use std::cell::Cell;
use std::sync::Arc;

use super::*;
use crate::clock::Clock;
use crate::script::bind::testing;
use crate::script::live::Live;
use crate::script::load::at_once;

#[test]
fn others_have_a_turn_after_each_node_however_deep_and_the_order_stays() {
    let text = r#"
        route "GET /a" { to = "echo:" }
        group "/g" {
          route "GET /b" { to = "echo:" },
          group "/h" { route "GET /c" { to = "echo:" }, route "GET /d" { to = "echo:" } },
          route "GET /e" { to = "echo:" },
        }
        route "GET /f" { to = "echo:" }
    "#;
    let lua = testing::open(&Clock::fake(testing::NOW), &Arc::new(Live::default()));
    lua.load(text).set_name("@gateway.lua").exec().unwrap();
    let session = Session::of(&lua, "test").unwrap();
    let pauses = Cell::new(0);
    let (plan, pipelines) = at_once(build(&lua, &session, async || pauses.set(pauses.get() + 1)));
    let paths: Vec<_> = plan.routes.iter().map(|route| route.matcher.path.as_str()).collect();
    assert_eq!(paths, ["/a", "/g/b", "/g/h/c", "/g/h/d", "/g/e", "/f"]);
    assert_eq!((pauses.get(), pipelines.routes.len()), (8, 6));
}
