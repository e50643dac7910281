//! `store` and `limiter`: shared by all workers, bounded, on the clock.

use std::time::Duration;

use moongate::clock::Clock;

use crate::support::binary;
use crate::support::binary::Setup;
use crate::support::gateway;

fn clock() -> Clock {
    Clock::fake(Duration::from_secs(1_800_000_000))
}

#[test]
fn a_store_keeps_counts_updates_and_forgets() {
    let clock = clock();
    let gateway = gateway::script(
        r#"
        local s = store "s" { ttl = "10s" }
        route "GET /set/{k}/{v}" { function(req) s:set(req.params.k, { v = req.params.v, list = { 1, 2 } }) return 204 end }
        route "GET /short/{k}" { function(req) s:set(req.params.k, "x", "2s") return 204 end }
        route "GET /get/{k}" { function(req) return { json = s:get(req.params.k) or json.null } end }
        route "GET /incr/{k}" { function(req) return { text = tostring(s:incr(req.params.k, 2)) } end }
        route "GET /update/{k}" { function(req) return { text = tostring(s:update(req.params.k, function(old) return (old or 0) + 1 end)) } end }
        route "GET /delete/{k}" { function(req) s:delete(req.params.k) return 204 end }
        route "GET /keys/{p}" { function(req) local keys = s:keys(req.params.p) table.sort(keys) return { json = keys } end }
        route "GET /bad" { function() s:set("f", function() end) return 204 end }
        "#,
    )
    .workers(2)
    .clock(&clock)
    .start();
    gateway.get("/set/a/hello").with(204);
    for _ in 0..8 {
        assert_eq!(gateway.get("/get/a").json(), serde_json::json!({ "v": "hello", "list": [1, 2] }));
    }
    assert_eq!((gateway.get("/incr/n").text(), gateway.get("/incr/n").text()), ("2", "4"));
    assert_eq!((gateway.get("/update/u").text(), gateway.get("/update/u").text()), ("1", "2"));
    gateway.get("/set/ab/x").with(204);
    assert_eq!(gateway.get("/keys/a").json(), serde_json::json!(["a", "ab"]));
    gateway.get("/delete/ab").with(204);
    assert_eq!(gateway.get("/get/ab").text(), "null");
    gateway.get("/short/t").with(204);
    clock.advance(Duration::from_secs(3));
    assert_eq!((gateway.get("/get/t").text(), gateway.get("/get/a").status), ("null", 200));
    clock.advance(Duration::from_secs(8));
    assert_eq!(gateway.get("/get/a").text(), "null");
    assert_eq!(gateway.get("/bad").status, 500);
}

#[test]
fn counting_from_all_workers_at_once_loses_nothing() {
    let gateway = gateway::script(
        r#"
        local s = store "s" {}
        route "GET /incr" { function() s:incr("n", 1) s:update("u", function(old) return (old or 0) + 1 end) return 204 end }
        route "GET /sum" { function() return { text = s:get "n" .. " " .. s:get "u" } end }
        "#,
    )
    .workers(2)
    .start();
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                let mut client = gateway.client();
                for _ in 0..100 {
                    client.get("/incr").with(204);
                }
            });
        }
    });
    assert_eq!(gateway.get("/sum").text(), "800 800");
}

#[test]
fn a_store_is_bounded_and_the_least_recently_used_go() {
    let gateway = gateway::script(
        r#"
        local s = store "s" { max = "1MB" }
        route "GET /fill" { function() for i = 1, 1000 do s:set("k" .. i, string.rep("x", 10000)) s:get "k1" end return 204 end }
        route "GET /count" { function() return { text = tostring(#s:keys "k") .. " " .. tostring(s:get "k1" ~= nil) } end }
        "#,
    )
    .start();
    gateway.get("/fill").with(204);
    let text = gateway.get("/count").text().to_owned();
    let (count, first) = text.split_once(' ').unwrap();
    assert!((50..=110).contains(&count.parse::<usize>().unwrap()), "{text}");
    assert_eq!(first, "true", "what is used most was thrown away");
}

#[test]
fn a_limiter_refuses_and_refills_on_the_clock() {
    let clock = clock();
    let gateway = gateway::script(
        r#"
        local l = limiter "l" { "5/min" }
        route "GET /check" { function(req)
          local ok, info = l:check(req.query.k or "k", tonumber(req.query.cost or 1))
          return { status = ok and 200 or 429, json = info }
        end }
        route "GET /peek" { function() local ok, info = l:peek "k" return { json = info } end }
        route "GET /reset" { function() l:reset "k" return 204 end }
        route "GET /debit" { function() l:debit("k", 3) return 204 end }
        "#,
    )
    .workers(2)
    .clock(&clock)
    .start();
    for left in (0..5).rev() {
        assert_eq!(gateway.get("/check").with(200).at("/left"), left);
    }
    let refused = gateway.get("/check").with(429);
    assert_eq!(refused.at("/limit"), 5);
    let wait = refused.at("/retry_after").as_f64().unwrap();
    assert!(wait > 0.0 && wait <= 60.0, "{wait}");
    assert_eq!(gateway.get("/check?k=other").status, 200);
    clock.advance(Duration::from_secs_f64(wait.max(0.001)) + Duration::from_millis(1));
    gateway.get("/check").with(200);
    gateway.get("/check").with(429);
    gateway.get("/reset").with(204);
    gateway.get("/check?cost=5").with(200);
    gateway.get("/check?cost=1").with(429);
    gateway.get("/reset").with(204);
    gateway.get("/debit").with(204);
    assert_eq!(gateway.get("/peek").at("/left"), 2);
    assert_eq!(gateway.get("/check?cost=100&k=z").status, 429, "more than ever fits");
    assert_eq!(gateway.get("/check?cost=-5").status, 500, "a negative cost would hand out room");
}

#[test]
fn many_keys_do_not_grow_a_limiter_without_end() {
    let gateway = gateway::script(
        r#"
        gateway { limits = { step = "15s" } }
        local l = limiter "l" { "5/min" }
        route "GET /sweep" { function() for i = 1, 100000 do l:check("key" .. i) end return 204 end }
        route "GET /one" { function() return l:check "fresh" and 200 or 429 end }
        "#,
    )
    .start();
    gateway.get("/sweep").with(204);
    gateway.get("/one").with(200);
}

#[test]
fn a_store_in_a_file_outlives_a_process_that_is_killed() {
    let script = r#"
        local s = store "s" { file = "seen.journal", ttl = "1h" }
        route "GET /set/{k}/{v}" { function(req) s:set(req.params.k, { v = req.params.v }) return 204 end }
        route "GET /get/{k}" { function(req) return { json = s:get(req.params.k) or json.null } end }
        route "GET /incr" { function() return { text = tostring(s:incr "n") } end }
        route "GET /delete/{k}" { function(req) s:delete(req.params.k) return 204 end }
    "#;
    let state = |setup: Setup| setup.argument("--state").argument("$DIR/state");
    let first = state(binary::script(script)).start();
    let mut client = first.client();
    client.get("/set/a/one").with(204);
    client.get("/set/b/two").with(204);
    assert_eq!((client.get("/incr").text(), client.get("/incr").text()), ("1", "2"));
    std::thread::sleep(Duration::from_millis(1500));
    client.get("/delete/b").with(204);
    std::thread::sleep(Duration::from_millis(1500));
    let dir = first.dir().clone();
    drop(first);
    let file = dir.path().join("state/seen.journal");
    let mut torn = std::fs::read(&file).unwrap();
    torn.extend([40, 0, 0, 0, 9]);
    std::fs::write(&file, torn).unwrap();
    let second = state(Setup::again(&dir)).start();
    let mut client = second.client();
    assert_eq!(client.get("/get/a").json(), serde_json::json!({ "v": "one" }));
    assert_eq!((client.get("/get/b").text(), client.get("/incr").text()), ("null", "3"));
}

#[test]
fn a_store_in_a_file_goes_through_reloads_and_a_graceful_stop() {
    let script = |extra: &str| {
        format!(
            r#"
            local s = store "s" {{ file = "kept" {extra} }}
            route "GET /incr" {{ function() return {{ text = tostring(s:incr "n") }} end }}
            "#
        )
    };
    let gateway = gateway::script(&script("")).start();
    assert_eq!(gateway.get("/incr").text(), "1");
    gateway.edit(&script(", ttl = '1h'")).unwrap();
    assert_eq!(gateway.get("/incr").text(), "2");
    gateway.edit("route \"GET /\" { function() return 204 end }").unwrap();
    gateway.edit(&script("")).unwrap();
    assert_eq!(gateway.get("/incr").text(), "3", "what was let go was written first");
}
