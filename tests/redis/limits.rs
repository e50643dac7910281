//! Limits that several gateways count together.

use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering;
use std::time::Duration;

use moongate::clock::Clock;

use super::hurried;
use super::over;
use crate::support::gateway;
use crate::support::gateway::Gateway;
use crate::support::redis;
use crate::support::redis::Mood;
use crate::support::wait;

const LIMITS: &str = r#"
local s = store "s" { redis = "REDIS" }
local function ok() return 204 end
route "GET /x" { rate_limit { "50/h", by = "{header.x-who}", store = s, name = "shared" }, ok }
route "GET /allow" { rate_limit { "1/h", store = "s", on_store_error = "allow" }, ok }
route "GET /deny" { rate_limit { "1/h", store = "s", on_store_error = "deny" }, ok }
"#;

fn statuses(gateway: &Gateway, target: &str, times: usize) -> Vec<u16> {
    let mut client = gateway.client();
    (0..times).map(|_| client.get(target).status).collect()
}

/// How many of `each` requests a thread (two a gateway) passed; nothing but 204 and 429 is answered.
fn passed(gateways: &[Gateway], target: &str, each: usize) -> usize {
    let passed = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for gateway in gateways.iter().chain(gateways) {
            let passed = &passed;
            scope.spawn(move || {
                for status in statuses(gateway, target, each) {
                    assert!(matches!(status, 204 | 429), "{status}");
                    passed.fetch_add(usize::from(status == 204), Ordering::Relaxed);
                }
            });
        }
    });
    passed.into_inner()
}

#[test]
fn two_gateways_never_let_through_more_than_the_rate_together() {
    let redis = redis::serve();
    let gateways = [over(&redis, LIMITS), over(&redis, LIMITS)];
    assert_eq!(passed(&gateways, "/x", 50), 50);
    redis.advance(Duration::from_secs(3590));
    assert_eq!(passed(&gateways, "/x", 5), 0, "time is the server's");
    redis.advance(Duration::from_secs(60));
    assert_eq!(passed(&gateways, "/x", 50), 50);
    let names = redis.names();
    let [name] = names.as_slice() else { panic!("one key: {names:?}") };
    assert!(name.starts_with("moongate:{") && name.ends_with('}'), "{name}");
    redis.advance(Duration::from_secs(3700));
    assert_eq!(redis.names(), Vec::<String>::new(), "what is over goes by itself");
}

#[test]
fn every_window_counts_there_as_it_does_here() {
    let redis = redis::serve();
    let gateway = over(
        &redis,
        r#"
        store "s" { redis = "REDIS" }
        local function ok() return 204 end
        route "GET /sliding" { rate_limit { "2/min", store = "s" }, ok }
        route "GET /fixed" { rate_limit { "2/min", store = "s", window = "fixed" }, ok }
        route "GET /bucket" { rate_limit { "2/min", store = "s", burst = 3 }, ok }
        route "GET /calendar" { quota { "2/year", store = "s", name = "yearly" }, ok }
        route "GET /several" { rate_limit { "1/min", { "3/min", by = function() return "all" end }, by = "{header.x-who}", store = "s" }, ok }
        route "GET /chosen" { rate_limit { function(req) return req.query.rate or false end, store = "s" }, ok }
        route "GET /cost" { rate_limit { "10/min", cost = 4, store = "s" }, ok }
        route "GET /count" { rate_limit { "10/min", store = "s", count = function(req, res) return 9 end }, ok }
        "#,
    );
    let seconds = |seconds| redis.advance(Duration::from_secs(seconds));
    assert_eq!(statuses(&gateway, "/sliding", 1), [204]);
    seconds(30);
    let first = gateway.get("/sliding").with(204);
    assert_eq!(first.header("ratelimit-policy"), Some(r#""2/min";q=2;w=60"#));
    let refused = gateway.get("/sliding");
    refused.refused(429, "rate_limit.exceeded");
    assert_eq!(refused.header("retry-after"), Some("30"));
    seconds(29);
    assert_eq!(statuses(&gateway, "/sliding", 1), [429]);
    seconds(2);
    assert_eq!(statuses(&gateway, "/sliding", 2), [204, 429], "the first is forgotten, the second is not");

    assert_eq!(statuses(&gateway, "/fixed", 3), [204, 204, 429]);
    seconds(61);
    assert_eq!(statuses(&gateway, "/fixed", 3), [204, 204, 429]);
    assert_eq!(statuses(&gateway, "/bucket", 4), [204, 204, 204, 429]);
    seconds(31);
    assert_eq!(statuses(&gateway, "/bucket", 2), [204, 429]);
    assert_eq!(statuses(&gateway, "/calendar", 3), [204, 204, 429]);
    gateway.get("/calendar").refused(429, "quota.exceeded");

    let as_who = |who| gateway.call("GET", "/several", &[("x-who", who)], "").status;
    assert_eq!((as_who("a"), as_who("a"), as_who("b"), as_who("c"), as_who("d")), (204, 429, 204, 204, 429));
    assert_eq!(statuses(&gateway, "/chosen", 3), [204, 204, 204]);
    assert_eq!(statuses(&gateway, "/chosen?rate=2/min", 3), [204, 204, 429]);
    assert_eq!(statuses(&gateway, "/chosen?rate=4/min", 3), [204, 204, 429], "what was used stays used");
    assert_eq!(statuses(&gateway, "/cost", 3), [204, 204, 429]);
    assert_eq!(statuses(&gateway, "/count", 3), [204, 204, 429]);
}

#[test]
fn a_limiter_is_shared_by_functions_and_policies_of_all_gateways() {
    let redis = redis::serve();
    let script = r#"
        local s = store "s" { redis = "REDIS" }
        local l = limiter "l" { "5/min", store = s }
        route "GET /check" { function(req) local ok, info = l:check(req.ip, tonumber(req.query.cost or 1)) return { status = ok and 200 or 429, json = info } end }
        route "GET /peek" { function(req) local ok, info = l:peek(req.ip) return { json = info } end }
        route "GET /debit" { function(req) l:debit(req.ip, 4) return 204 end }
        route "GET /reset" { function(req) l:reset(req.ip) return 204 end }
        route "GET /policy" { rate_limit { l, by = "ip" }, function() return 204 end }
    "#;
    let (one, two) = (over(&redis, script), over(&redis, script));
    assert_eq!(one.get("/check").with(200).at("/left"), 4);
    assert_eq!(two.get("/check?cost=2").with(200).at("/left"), 2);
    assert_eq!(two.get("/check?cost=3").with(429).at("/limit"), 5);
    one.get("/policy").with(204);
    assert_eq!(two.get("/peek").at("/left"), 1);
    one.get("/debit").with(204);
    assert!(two.get("/check").with(429).at("/retry_after").as_f64().unwrap() >= 12.0);
    two.get("/reset").with(204);
    assert_eq!(one.get("/check").with(200).at("/left"), 4);
}

#[test]
fn redis_killed_under_load_is_never_a_500_and_limits_are_counted_here() {
    let mut redis = redis::serve();
    let gateways = [hurried(&redis, LIMITS), hurried(&redis, LIMITS)];
    let seen = std::thread::scope(|scope| {
        let load = scope.spawn(|| passed(&gateways, "/x", 200));
        wait::until("it is asked", || redis.calls() > 20);
        redis.kill();
        load.join().unwrap()
    });
    // At worst each gateway counts for itself from the start.
    assert!((50..=100).contains(&seen), "{seen}");
    for gateway in &gateways {
        assert!(
            gateway.metric(r#"moongate_limiter_degraded_total{limiter="rate_limit:shared"}"#) > 0.0,
            "{}",
            gateway.admin().get("/metrics").text()
        );
        assert_eq!(statuses(gateway, "/allow", 3), [204, 204, 204]);
        let denied = gateway.get("/deny");
        denied.refused(503, "rate_limit.exceeded");
        assert_eq!(denied.header("retry-after"), Some("1"));
    }
    redis.revive();
    let [one, two] = &gateways;
    wait::until("it counts again", || one.get("/deny").status != 503 && two.get("/deny").status != 503);
    assert_eq!(statuses(one, "/deny", 1), [429]);
}

#[test]
fn what_passed_here_counts_here_when_redis_goes_away() {
    let mut redis = redis::serve();
    let gateway = hurried(&redis, LIMITS);
    assert_eq!(passed(std::slice::from_ref(&gateway), "/x", 20), 40);
    redis.kill();
    assert_eq!(passed(std::slice::from_ref(&gateway), "/x", 20), 10);
}

#[test]
fn a_limit_is_decided_however_redis_behaves() {
    for mood in [Mood::Silent, Mood::Slow(Duration::from_millis(200)), Mood::Mad, Mood::Refusing("ERR no")] {
        let redis = redis::serve();
        redis.mood(mood);
        let gateway = hurried(&redis, LIMITS);
        assert_eq!(passed(std::slice::from_ref(&gateway), "/x", 40), 50, "{mood:?}");
        redis.mood(Mood::Well);
        wait::until("it counts there", || {
            statuses(&gateway, "/x", 1);
            !redis.names().is_empty()
        });
    }
}

#[test]
fn with_sync_gateways_count_for_themselves_and_hear_of_each_other() {
    let (redis, clock) = (redis::serve(), Clock::fake(Duration::from_secs(1_800_000_000)));
    let script = r#"
        local l = limiter "l" { "10/h", store = store "s" { redis = "REDIS" }, sync = "5s", window = "WINDOW" }
        route "GET /x" { rate_limit { l }, function() return 204 end }
        route "GET /left" { function(req) local _, info = l:peek(req.ip) return { text = tostring(info.left) } end }
    "#;
    for window in ["sliding", "fixed", "bucket", "calendar"] {
        let script = script.replace("WINDOW", window);
        let start = || gateway::script(&script).with("REDIS", redis.url()).clock(&clock).start();
        let (one, two) = (start(), start());
        let calls = redis.calls();
        assert_eq!(statuses(&one, "/x", 11), [[204; 10].as_slice(), &[429]].concat());
        assert_eq!(statuses(&two, "/x", 1), [204], "not yet heard of");
        assert_eq!((redis.calls(), two.get("/left").text()), (calls, "9"), "no request asks");
        // Who tells first hears of the other the next time it tells.
        let knows = (0..4).any(|_| {
            clock.advance(Duration::from_secs(5));
            // A clock that is turned meanwhile would make the answer late.
            let knows = (0..100).any(|_| {
                std::thread::sleep(Duration::from_millis(5));
                two.get("/left").text() == "0"
            });
            knows || two.get("/x").status == 429
        });
        assert!(knows, "{window}: {} left", two.get("/left").text());
        assert_eq!(statuses(&two, "/x", 1), [429]);
        redis.advance(Duration::from_secs(4000));
        clock.advance(Duration::from_secs(4000));
    }
}

#[test]
fn a_reload_in_the_middle_keeps_counts_and_connection() {
    let redis = redis::serve();
    let gateway = over(&redis, LIMITS);
    assert_eq!(statuses(&gateway, "/x", 30), [204; 30]);
    std::thread::scope(|scope| {
        let load = scope.spawn(|| passed(std::slice::from_ref(&gateway), "/x", 40));
        for extra in 0..5 {
            gateway.edit(&format!("{}-- {extra}", LIMITS.replace("REDIS", &redis.url()))).unwrap();
        }
        assert_eq!(load.join().unwrap(), 20);
    });
    assert_eq!(redis.connections(), 1);
}
