//! Scripts on stage, tested by tests in Lua: each sentence below is one that users rely on.

mod bodies;
mod sockets;
mod under_way;

use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

use super::Play;
use super::Stage;
use crate::clock::Clock;
use crate::gateway::scratch::Scratch;
use crate::script::LoadOptions;
use crate::script::load;
use crate::script::suite;
use crate::script::suite::Failed;
use crate::script::suite::Suite;

/// Every test of `tests` against `script`: its name, and why it failed.
fn run(script: &str, tests: &str) -> Vec<(String, Option<Failed>)> {
    crate::primitive::jwt::install();
    let folder = Scratch::new();
    let script = folder.write("gateway.lua", script);
    let tests = folder.write("gateway_test.lua", tests);
    let clock = Clock::fake(Duration::from_secs(1_893_499_200));
    let options = LoadOptions { clock: clock.clone(), offline: true, ..LoadOptions::default() };
    let loaded = load(&script, &options).unwrap_or_else(|faults| panic!("{}", faults.render(false)));
    let play = Play::new(loaded.program).unwrap();
    let suite = Suite::load(&tests, &clock, &BTreeMap::new());
    let suite = suite.unwrap_or_else(|faults| panic!("{}", faults.render(false)));
    let names = suite.tests().iter().map(|test| test.name.clone());
    let runs = names.enumerate().map(|(index, name)| {
        let stage = Stage::open(&play, &clock).unwrap();
        (name, suite.run(index, &(stage as Rc<dyn suite::Stage>)))
    });
    runs.collect()
}

/// All of them pass.
fn passes(script: &str, tests: &str) {
    let ran = run(script, tests);
    assert!(!ran.is_empty());
    for (name, failed) in ran {
        assert_eq!(failed, None, "{name}");
    }
}

/// Why the one test of `tests` fails.
fn fails(script: &str, tests: &str) -> Failed {
    run(script, tests).remove(0).1.expect("it fails")
}

const USERS: &str = r#"
upstream "users" { "10.0.0.1:9000", "10.0.0.2:9000" }
route "/users/{rest*}" { to = "users" }
route "/echo/{rest*}" { to = "echo:" }
"#;

#[test]
fn a_mock_answers_and_notes_its_calls() {
    passes(
        USERS,
        r#"
test("by a table", function(gw)
  local users = gw:mock("users", { status = 201, json = { name = "ann" }, headers = { etag = '"1"' } })
  local res = gw:post("/users/7?full=1", { json = { n = 1 }, headers = { ["X-A"] = "b" } })
  expect(res.status).is(201)
  expect(res:json()).is { name = "ann" }
  expect(res.headers.ETag).is('"1"')
  expect(res.upstream).is("users")
  expect(res.route.pattern).is("/users/{rest*}")
  expect(#users.calls).is(1)
  local call = users.calls[1]
  expect(call.method).is("POST")
  expect(call.path).is("/users/7")
  expect(call.query.full).is("1")
  expect(call.headers["x-a"]).is("b")
  expect(call:json()).is { n = 1 }
end)

test("by a list whose last answer stays, by path, by a function", function(gw)
  gw:mock("users", { 204, { text = "two" } })
  expect(gw:get("/users/1").status).is(204)
  expect(gw:get("/users/1").body).is("two")
  expect(gw:get("/users/1").body).is("two")
  gw:mock("users", { ["GET /users/1"] = "one", ["/users/*"] = { status = 404 } })
  expect(gw:get("/users/1").body).is("one")
  expect(gw:delete("/users/1").status).is(404)
  gw:mock("users", function(req) return { json = { seen = req.path, body = req.body } } end)
  expect(gw:put("/users/1", { body = "x" }):json()).is { seen = "/users/1", body = "x" }
end)

test("the built-in service needs none, and may have one", function(gw)
  expect(gw:get("/echo/x"):json().path).is("/echo/x")
end)
"#,
    );
}

#[test]
fn an_upstream_without_a_mock_fails_the_test_by_name() {
    let failed = fails(USERS, r#"test("x", function(gw) gw:get("/users/7") end)"#);
    assert_eq!(failed.message, "upstream `users` was called and has no mock: write gw:mock(\"users\", …)");
    let failed = fails(USERS, r#"test("x", function(gw) gw:mock("user", 200) end)"#);
    assert!(failed.message.contains("no upstream `user`; did you mean `users`?"), "{}", failed.message);
}

#[test]
fn services_fail_in_every_way_and_retries_are_real() {
    passes(
        USERS,
        r#"
test("a host that is down is passed over", function(gw)
  local users = gw:mock("users", "fine")
  gw:down("users", "10.0.0.1:9000")
  for _ = 1, 4 do expect(gw:get("/users/1").status).is(200) end
  for _, call in users.calls do expect(call.at).is("10.0.0.2:9000") end
end)

test("all hosts down is 502, until they are up", function(gw)
  gw:mock("users", "fine")
  gw:down "users"
  local res = gw:get "/users/1"
  expect(res.status).is(502)
  expect(res.code).is("upstream.connect")
  gw:up "users"
  expect(gw:get("/users/1").status).is(200)
end)

test("a host that goes down takes the connections along that it had", function(gw)
  local users = gw:mock("users", "fine")
  for _ = 1, 4 do expect(gw:post("/users/1").status).is(200) end
  gw:down "users"
  local res = gw:post "/users/1"
  expect(res.status).is(502)
  expect(res.code).is("upstream.connect")
  expect(#users.calls).is(4)
end)

test("a 503 is asked again elsewhere", function(gw)
  local users = gw:mock("users", { { status = 503 }, { text = "fine" } })
  local res = gw:get "/users/1"
  expect(res.status).is(200)
  expect(res.attempts).is(2)
  expect(#users.calls).is(2)
end)

test("no answer is 504 when its time is over, and the test does not wait for it", function(gw)
  gw:mock("users", { fault = "hang" })
  local res = gw:get "/users/1"
  expect(res.status).is(504)
  expect(res.took).is(30)
end)

test("a delay is waited for on the test's clock", function(gw)
  gw:mock("users", { delay = "2s", text = "late" })
  local res = gw:get "/users/1"
  expect(res.body).is("late")
  expect(res.took).is(2)
end)

test("reset, garbage and cut", function(gw)
  gw:mock("users", { fault = "reset" })
  expect(gw:get("/users/1").code).is("upstream.reset")
  gw:mock("users", { fault = "garbage" })
  expect(gw:get("/users/1").code).is("upstream.protocol")
  gw:mock("users", { fault = "cut", text = "half" })
  local res = gw:get "/users/1"
  expect(res.status).is(200)
  expect(res.cut).is(true)
end)

test("pieces come with time between them", function(gw)
  gw:mock("users", { chunks = { "a", "b", "c" }, every = "1s" })
  local res = gw:get "/users/1"
  expect(res.body).is("abc")
  expect(res.took).is(2)
end)
"#,
    );
}

#[test]
fn each_test_has_fresh_limits_stores_and_caches_and_turns_its_own_clock() {
    let script = r#"
upstream "users" { "10.0.0.1:9000" }
local seen = store "seen" {}
route "GET /limited" { rate_limit "2/min", mock { status = 204 } }
route "GET /cached" { cache { "1m", tags = "all" }, to = "users" }
route "GET /count" { function() return { json = { n = seen:incr("n") } } end }
"#;
    let once = |name: &str| {
        format!(
            r#"
test("{name}", function(gw)
  for _ = 1, 2 do expect(gw:get("/limited").status).is(204) end
  local res = gw:get "/limited"
  expect(res.status).is(429)
  expect(res.code).is("rate_limit.exceeded")
  expect(res.steps[1].outcome).is("refused")
  gw:advance "60s"
  expect(gw:get("/limited").status).is(204)
  local users = gw:mock("users", {{ text = "x", headers = {{ ["cache-control"] = "max-age=60" }} }})
  gw:get "/cached"
  expect(gw:get("/cached").from).is("cache")
  gw:advance "2m"
  expect(gw:get("/cached").from).is("upstream")
  expect(#users.calls).is(2)
  gw:purge "all"
  gw:advance "10m"
  expect(gw:get("/cached").from).is("upstream")
  expect(gw:get("/count"):json().n).is(1)
  expect(time.now()).is(1893499200 + 60 + 120 + 600)
end)
"#
        )
    };
    passes(script, &[once("first"), once("second")].concat());
}

#[test]
fn a_request_comes_as_somebody_or_with_a_token() {
    let script = r#"
local members = jwt { secret = secret "KEY", issuer = "https://id.test", audience = "api", forward = { ["x-sub"] = "{user.sub}" } }
local strangers = jwt { discovery = "https://login.test" }
local keyed = api_key { keys = { k1 = { sub = "key" } } }
route "GET /any" { any_of { keyed, members }, function(req) return { json = { sub = req.user.sub } } end }
route "GET /members" { members, to = "echo:" }
route "GET /strangers" { strangers, function(req) return { text = req.user.sub } end }
route "GET /inside" { function(req) keyed(req) return { text = req.user.sub } end }
route "GET /gold" { keyed, authorize { claim = { plan = "gold" } }, mock {} }
"#;
    passes(
        script,
        r#"
local ann = { user = { sub = "ann", plan = "gold" } }
test("as a user", function(gw)
  expect(gw:get("/any").status).is(401)
  expect(gw:get("/any", ann):json().sub).is("ann")
  expect(gw:get("/members", ann):json().headers["x-sub"]).is("ann")
  expect(gw:get("/inside", ann).body).is("ann")
  expect(gw:get("/inside").status).is(401)
  expect(gw:get("/gold", ann).status).is(200)
  expect(gw:get("/gold", { user = { sub = "bob", plan = "free" } }).code).is("authorize.denied")
end)
test("with a token", function(gw)
  local token = gw:token { sub = "eve" }
  expect(gw:get("/any", { headers = { authorization = "Bearer " .. token } }):json().sub).is("eve")
  gw:advance "2h"
  expect(gw:get("/any", { headers = { authorization = "Bearer " .. token } }).code).is("jwt.expired")
end)
"#,
    );
    let fetched = r#"route "GET /" { jwt { discovery = "https://login.test" }, function(req) return { text = req.user.sub } end }"#;
    passes(
        fetched,
        r#"test("signed by the provider", function(gw)
  expect(gw:get("/", { headers = { authorization = "Bearer " .. gw:token { sub = "u" } } }).body).is("u")
end)"#,
    );
    let named =
        r#"route "GET /" { jwt { jwks = function() return "https://keys.test" end }, function() return 204 end }"#;
    passes(named, r#"test("keys that a function names", function(gw) expect(gw:get("/").status).is(401) end)"#);
}

#[test]
fn what_runs_beside_requests_runs_as_time_goes_on() {
    let script = r#"
upstream "flags" { "https://flags.test" }
local n = metrics.counter "jobs_total" { "kind" }
local flags = every("30s", function() n:inc(1, { kind = "flags" }) return fetch("flags/all"):json() end)
route "GET /flags" { function() return { json = flags:get() or {} } end }
route "GET /later" { function() spawn(function() sleep "5s" log.info("late", { n = 7 }) end) return 202 end }
route "GET /broken" { function() local x = nil return x.y end }
"#;
    passes(
        script,
        r#"
test("every", function(gw)
  local flags = gw:mock("flags", { { json = { on = true } }, { json = { on = false } } })
  gw:advance "0s"
  expect(gw:get("/flags"):json()).is { on = true }
  gw:advance "30s"
  expect(gw:get("/flags"):json()).is { on = false }
  gw:advance "5m"
  expect(#flags.calls).is(12)
  expect(gw:metric("jobs_total", { kind = "flags" })).is(12)
  expect(gw:metric "nothing").is_nil()
end)
test("spawn", function(gw)
  gw:mock("flags", { json = {} })
  gw:get "/later"
  expect(#gw:logs()).is(0)
  gw:advance "5s"
  expect(gw:logs()).has { level = "info", message = "late", fields = { n = "7" } }
end)
test("a mistake is 500 and told with its place", function(gw)
  gw:mock("flags", { json = {} })
  local res = gw:get "/broken"
  expect(res.code).is("script.error")
  expect(gw:logs()).has { level = "error" }
end)
"#,
    );
}

#[test]
fn a_store_elsewhere_is_one_in_memory() {
    let script = r#"
local s = store "s" { redis = "redis://cache.test:6379" }
route "GET /n" { rate_limit { "2/min", store = s, on_store_error = "deny" }, function() return { json = s:incr "n" } end }
route "GET /sync" { rate_limit { "1/min", store = "s", sync = "5s" }, function() return 204 end }
"#;
    let tests = r#"
for _, name in { "it counts", "each test from the start" } do
  test(name, function(gw)
    expect(gw:get("/n"):json()).is(1)
    expect(gw:get("/n"):json()).is(2)
    expect(gw:get("/n").status).is(429)
    gw:advance "60s"
    expect(gw:get("/n"):json()).is(3)
    expect(gw:get("/sync").status).is(204)
    expect(gw:get("/sync").status).is(429)
  end)
end
"#;
    passes(script, tests);
}

#[test]
fn chance_and_ids_are_the_same_in_every_run() {
    let script = r#"route "GET /" { function() return { text = uuid() .. math.random(1, 1000000) .. hex.encode(crypto.random(4)) } end }"#;
    let tests = r#"
local first
for _, name in { "one", "two" } do
  test(name, function(gw)
    local res = gw:get "/"
    first = first or res.body .. res.headers["x-request-id"]
    expect(res.body .. res.headers["x-request-id"]).is(first)
    expect(gw:get("/").body).is_not(res.body)
  end)
end
"#;
    passes(script, tests);
}

#[test]
fn steps_tell_what_they_changed() {
    passes(
        r#"
route "GET /v1/{id}" {
  function(req) req.ctx.tenant = "bikes" req.headers["x-a"] = "1" end,
  function(req, next) local res = next() res.headers["x-b"] = "2" return res end,
  mock { status = 204, when = function(req) return req.query.mock == "1" end },
  to = "echo:",
}
"#,
        r#"
test("steps", function(gw)
  local res = gw:get "/v1/7"
  expect(#res.steps).is(3)
  expect(res.steps[1]).is { word = "function", outcome = "passed", level = "route", file = "gateway.lua", line = 3, changes = { 'ctx.tenant = "bikes"', "header x-a = 1" } }
  expect(res.steps[2].outcome).is("passed")
  expect(res.steps[3].outcome).is("skipped")
  expect(res.headers["x-b"]).is("2")
  expect(gw:get("/v1/7?mock=1").steps[3].outcome).is("answered")
end)
"#,
    );
}

#[test]
fn a_failure_says_what_was_expected_where_and_what_led_there() {
    let failed = fails(
        "route \"GET /a\" { rate_limit \"1/min\", mock { json = { a = { 1, 2 } } } }",
        "test(\"x\", function(gw)\n  gw:get \"/a\"\n  expect(gw:get(\"/a\").status).is(200)\nend)",
    );
    assert_eq!(failed.message, "expected 200, got 429");
    assert_eq!((failed.file.as_str(), failed.line), ("gateway_test.lua", 3));
    assert_eq!(failed.source, "  expect(gw:get(\"/a\").status).is(200)");
    assert!(failed.request.starts_with("GET /a -> 429 rate_limit.exceeded (GET /a)"), "{}", failed.request);
    assert_eq!(failed.steps, ["gateway.lua:1 rate_limit refused"]);
    let failed = fails(
        "route \"GET /a\" { mock { json = { a = { 1, 2 } } } }",
        "test(\"x\", function(gw) expect(gw:get(\"/a\"):json()).is { a = { 1, 3 } } end)",
    );
    assert_eq!(failed.message, "a[2]: expected 3, got 2");
    let failed = fails("route \"GET /a\" { mock {} }", "test(\"x\", function(gw) gw:get(\"/a\", { headrs = {} }) end)");
    assert!(failed.message.contains("headrs") && failed.message.contains("headers"), "{}", failed.message);
    let failed = fails("route \"GET /a\" { mock {} }", "test(\"x\", function(gw) local x = nil\n x.y = 1 end)");
    assert_eq!(failed.line, 2);
}

#[test]
fn a_mocks_mistake_is_the_tests_and_it_cannot_call_the_gateway() {
    let failed = fails(
        USERS,
        "test(\"x\", function(gw)\n gw:mock(\"users\", function() error \"no\" end)\n gw:get \"/users/1\" end)",
    );
    assert!(failed.message.starts_with("the mock of `users`: gateway_test.lua:2: no"), "{}", failed.message);
    let failed = fails(
        USERS,
        "test(\"x\", function(gw) gw:mock(\"users\", function() gw:get \"/users/1\" end) gw:get \"/users/1\" end)",
    );
    assert!(failed.message.contains("cannot call the gateway"), "{}", failed.message);
    let failed = fails(USERS, "test(\"x\", function(gw) gw:mock(\"users\", { statsu = 1 }) end)");
    assert!(failed.message.contains("status"), "{}", failed.message);
}

#[test]
fn what_is_read_on_another_thread_is_waited_for_while_time_stands() {
    passes(
        r#"route "GET /files/{rest*}" { timeout "1s", static "." }"#,
        r#"
test("a file", function(gw)
  for _ = 1, 3 do
    local res = gw:get "/files/gateway.lua"
    expect(res.status).is(200)
    expect(res.body).has("static")
    expect(res.took).is(0)
  end
end)
"#,
    );
}

#[test]
fn a_test_file_is_no_gateway() {
    let folder = Scratch::new();
    let load = |text: &str| {
        let path = folder.write("gateway_test.lua", text);
        let clock = Clock::fake(Duration::ZERO);
        let loaded = Suite::load(&path, &clock, &BTreeMap::new());
        loaded.err().map(|faults| faults.render(false)).unwrap_or_default()
    };
    assert!(load("route \"GET /\" { mock {} }").contains("declares no routes"));
    assert!(load("test(\"x\"").contains("gateway_test.lua"));
    assert!(load("test(\"x\")").contains("write test("));
    assert!(load("tset(\"x\", function() end)").contains("unknown name `tset`"));
    assert_eq!(load("test(\"x\", function() end)"), "");
}
