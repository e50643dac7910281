use std::sync::Arc;
use std::time::Duration;

use super::MOST;
use crate::clock::Clock;
use crate::script::bind::testing::NOW;
use crate::script::bind::testing::close;
use crate::script::bind::testing::context;
use crate::script::bind::testing::drive;
use crate::script::bind::testing::open;
use crate::script::bind::testing::turning;

#[test]
fn a_spawned_function_runs_beside_and_counts_until_it_is_done() {
    let clock = Clock::fake(NOW);
    let lua = open(&clock, &Arc::default());
    let file = "local s = store 'seen' return function() return s:get 'k' end";
    let seen: mlua::Function = lua.load(file).eval().unwrap();
    close(&lua);
    turning(&clock, async {
        let script = "spawn(function() sleep '50ms' store('seen'):set('k', 'spawned') end) return 'answered'";
        assert_eq!(drive(&lua, None, script).await.unwrap(), "answered");
        let worker = context(&lua).worker().unwrap();
        assert_eq!(worker.tasks.get(), 1, "drain waits for it");
        assert_eq!(seen.call::<Option<String>>(()).unwrap(), None);
        while worker.tasks.get() > 0 {
            clock.sleep(Duration::from_millis(10)).await;
        }
        assert_eq!(seen.call::<Option<String>>(()).unwrap().as_deref(), Some("spawned"));
    });
}

#[test]
fn their_number_is_bounded_and_a_failure_gives_its_place_back() {
    let clock = Clock::fake(NOW);
    let lua = open(&clock, &Arc::default());
    close(&lua);
    turning(&clock, async {
        let many = format!("for _ = 1, {MOST} do spawn(function() error(5) end) end");
        drive(&lua, None, &many).await.unwrap();
        let failure = drive(&lua, None, "spawn(function() end)").await.unwrap_err();
        assert!(failure.cause.contains("1000 functions are waiting"), "{}", failure.cause);
        let worker = context(&lua).worker().unwrap();
        while worker.tasks.get() > 0 {
            clock.sleep(Duration::from_millis(10)).await;
        }
        drive(&lua, None, "spawn(function() reject(400) end) after('1s', function() end)").await.unwrap();
    });
}

#[test]
fn nothing_is_spawned_while_the_file_loads() {
    let lua = open(&Clock::fake(NOW), &Arc::default());
    let error = lua.load("spawn(function() end)").exec().unwrap_err().to_string();
    assert!(error.contains("cannot be used while the file loads"), "{error}");
}
