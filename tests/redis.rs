//! Stores and limits in Redis: shared by several gateways, and what holds while Redis is away (U-34 to U-36, C-07).

mod limits;
mod real;

use std::time::Duration;
use std::time::SystemTime;
use std::time::UNIX_EPOCH;

use moongate::clock::Clock;

use crate::support::gateway;
use crate::support::gateway::Gateway;
use crate::support::redis;
use crate::support::redis::Mood;
use crate::support::redis::Redis;
use crate::support::wait;

const STORE: &str = r#"
local s = store "s" { redis = "REDIS", ttl = "10s" }
local heard = store "heard" {}
s:subscribe("news", function(news) heard:set("news", news) end)
route "GET /set/{k}/{v}" { function(req) s:set(req.params.k, { v = req.params.v, list = { 1, 2 } }) return 204 end }
route "GET /text/{k}/{v}" { function(req) s:set(req.params.k, req.params.v, "1h") return 204 end }
route "GET /get/{k}" { function(req) return { json = s:get(req.params.k) or json.null } end }
route "GET /incr/{k}" { function(req) return { text = tostring(s:incr(req.params.k, 2, "5s")) } end }
route "GET /half/{k}" { function(req) return { text = tostring(s:incr(req.params.k, 0.5)) } end }
route "GET /update/{k}" { function(req) return { text = tostring(s:update(req.params.k, function(old) return (old or 0) + 1 end)) } end }
route "GET /drop/{k}" { function(req) s:update(req.params.k, function() return nil end) return { text = tostring(s:get(req.params.k)) } end }
route "GET /delete/{k}" { function(req) return { text = tostring(s:delete(req.params.k)) } end }
route "GET /unset/{k}" { function(req) s:set(req.params.k, nil) return 204 end }
route "GET /keys/{p}" { function(req) return { json = s:keys(req.params.p) } end }
route "GET /publish/{v}" { function(req) return { text = tostring(s:publish("news", req.params.v)) } end }
route "GET /heard" { function() return { text = tostring(heard:get "news") } end }
route "GET /careful/{k}" { function(req)
  local ok, value = pcall(function() return s:get(req.params.k) end)
  return { json = { ok = ok, value = tostring(value) } }
end }
route "GET /when" { when = function(req) return s:incr "when" > 0 end, function() return 204 end }
"#;

/// A gateway that has all the time in the world: no answer is late, however busy the machine is.
fn over(redis: &Redis, script: &str) -> Gateway {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    gateway::script(script).with("REDIS", redis.url()).workers(2).clock(&Clock::fake(now)).start()
}

/// One that waits 25 ms.
fn hurried(redis: &Redis, script: &str) -> Gateway {
    gateway::script(script).with("REDIS", redis.url()).workers(2).start()
}

#[test]
fn a_store_in_redis_does_what_a_store_does_for_every_gateway() {
    let redis = redis::serve();
    let (one, two) = (over(&redis, STORE), over(&redis, STORE));
    one.get("/set/a/hello").with(204);
    assert_eq!(two.get("/get/a").json(), serde_json::json!({ "v": "hello", "list": [1, 2] }));
    assert_eq!(redis.value("moongate:s:a").as_deref(), Some(r#"{"list":[1,2],"v":"hello"}"#), "others can read it");
    redis.put("moongate:s:plan", "gold");
    assert_eq!(one.get("/get/plan").json(), "gold", "and write it");
    one.get("/text/n/5").with(204);
    assert_eq!(two.get("/get/n").json(), "5", "a text stays a text");
    assert_eq!((one.get("/incr/c").text(), two.get("/incr/c").text()), ("2", "4"));
    assert_eq!((one.get("/half/c").text(), two.get("/half/c").text()), ("4.5", "5"));
    assert_eq!(one.get("/incr/a").status, 500, "a table is no number");
    assert_eq!((one.get("/update/u").text(), two.get("/update/u").text()), ("1", "2"));
    assert_eq!(one.get("/drop/u").text(), "nil");
    assert_eq!((two.get("/delete/plan").text(), one.get("/delete/plan").text()), ("true", "false"));
    for key in ["p*1", "p*2", "p*3", "p*4", "px"] {
        one.get(&format!("/text/{key}/x")).with(204);
    }
    assert_eq!(two.get("/keys/p*").json(), serde_json::json!(["p*1", "p*2", "p*3", "p*4"]));
    one.get("/unset/px").with(204);
    redis.advance(Duration::from_secs(6));
    assert_eq!((two.get("/get/c").text(), two.get("/get/a").status), ("null", 200), "5s counted from the beginning");
    redis.advance(Duration::from_secs(5));
    assert_eq!(
        (two.get("/get/a").text(), two.get("/get/n").json()),
        ("null", "5".into()),
        "the store's time, and its own"
    );
    assert!(redis.names().iter().all(|name| name.starts_with("moongate:s:")), "{:?}", redis.names());
}

#[test]
fn updates_of_all_gateways_at_once_lose_nothing() {
    let redis = redis::serve();
    let gateways = [over(&redis, STORE), over(&redis, STORE)];
    std::thread::scope(|scope| {
        for gateway in gateways.iter().chain(&gateways) {
            scope.spawn(move || {
                let mut client = gateway.client();
                for _ in 0..25 {
                    client.get("/update/u").with(200);
                    client.get("/incr/i").with(200);
                }
            });
        }
    });
    assert_eq!(
        (redis.value("moongate:s:u").as_deref(), redis.value("moongate:s:i").as_deref()),
        (Some("100"), Some("200"))
    );
}

#[test]
fn messages_reach_every_gateway_also_after_redis_was_away() {
    let mut redis = redis::serve();
    let (one, two) = (hurried(&redis, STORE), hurried(&redis, STORE));
    let tell = |text: &str, of: usize| {
        wait::until("both listen", || one.get(&format!("/publish/{text}")).text() == of.to_string());
        wait::until("both hear", || {
            one.get(&format!("/publish/{text}"));
            [&one, &two].iter().all(|gateway| gateway.get("/heard").text() == text)
        });
    };
    tell("hello", 2);
    redis.kill();
    redis.revive();
    tell("again", 2);
}

#[test]
fn a_store_that_is_away_raises_at_once_and_is_back_when_redis_is() {
    let mut redis = redis::serve();
    let gateway = hurried(&redis, STORE);
    gateway.get("/set/a/x").with(204);
    redis.kill();
    let away =
        wait::find("it is missed", || Some(gateway.get("/careful/a")).filter(|answer| answer.at("/ok") == false));
    let said = away.at("/value").as_str().unwrap().to_owned();
    assert!(said.contains("store `s`: redis://127.0.0.1") && said.contains("is not there"), "{said}");
    assert_eq!(gateway.get("/get/a").status, 500, "nobody caught it");
    redis.revive();
    wait::until("it is back", || gateway.get("/careful/a").at("/ok") == true);
}

#[test]
fn answers_that_do_not_come_or_mean_nothing_break_the_circuit() {
    for mood in [Mood::Silent, Mood::Slow(Duration::from_millis(200)), Mood::Mad] {
        let redis = redis::serve();
        let gateway = hurried(&redis, STORE);
        gateway.get("/set/a/x").with(204);
        redis.mood(mood);
        let before = redis.calls();
        for _ in 0..60 {
            assert_eq!(gateway.get("/careful/a").at("/ok"), false, "{mood:?}");
        }
        assert!(redis.calls() - before <= 20, "{mood:?}: asked {} times", redis.calls() - before);
        redis.mood(Mood::Well);
        wait::until("it is back", || gateway.get("/careful/a").at("/ok") == true);
    }
}

#[test]
fn errors_of_redis_itself_are_told_and_break_nothing() {
    let redis = redis::serve();
    let gateway = over(&redis, STORE);
    redis.mood(Mood::Refusing("OOM command not allowed when used memory > 'maxmemory'."));
    for _ in 0..10 {
        let said = gateway.get("/careful/a").at("/value").as_str().unwrap().to_owned();
        assert!(said.contains("OOM command not allowed"), "{said}");
    }
    assert_eq!(redis.connections(), 1);
}

#[test]
fn where_nothing_can_wait_nothing_is_sent() {
    let redis = redis::serve();
    let gateway = over(&redis, STORE);
    assert_eq!(gateway.get("/when").status, 500);
    assert_eq!(redis.value("moongate:s:when"), None);
}

#[test]
fn a_password_opens_and_a_wrong_one_does_not() {
    let redis = redis::guarded(Some("s3cret"));
    let url = |password: &str| format!("redis://:{password}@{}", redis.address());
    let script = STORE.replace("\"REDIS\"", "secret \"WHERE\"");
    let start = |password: &str| gateway::script(&script).env("WHERE", &url(password)).start();
    assert_eq!(start("s3cret").get("/careful/a").at("/ok"), true);
    let wrong = start("other");
    let said = wait::find("it is refused", || {
        let answer = wrong.get("/careful/a").at("/value").as_str().unwrap().to_owned();
        answer.contains("is not there").then_some(answer)
    });
    assert!(!said.contains("other"), "{said}");
}

#[test]
fn a_store_that_moves_is_another_and_one_that_stays_keeps_its_connection() {
    let (first, second) = (redis::serve(), redis::serve());
    let gateway = hurried(&first, STORE);
    gateway.get("/set/a/one").with(204);
    gateway.edit(&STORE.replace("REDIS", &first.url()).replace("10s", "20s")).unwrap();
    gateway.get("/get/a").with(200);
    assert_eq!(first.connections(), 1);
    gateway.edit(&STORE.replace("REDIS", &second.url())).unwrap();
    assert_eq!(gateway.get("/get/a").text(), "null");
    gateway.get("/set/a/two").with(204);
    assert!(second.value("moongate:s:a").is_some());
    gateway.edit("route \"GET /\" { function() return 204 end }").unwrap();
    wait::until("nobody holds a connection", || first.connections() + second.connections() == 0);
}
