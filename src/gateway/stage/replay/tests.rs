//! Recordings played through scripts that are the same, and that are not.

use serde_json::Value;
use serde_json::json;

use super::Played;
use crate::clock::Clock;
use crate::gateway::scratch::Scratch;
use crate::gateway::stage::Play;
use crate::gateway::stage::Stage;
use crate::script::LoadOptions;
use crate::script::load;

const SCRIPT: &str = r#"
upstream "users" { "10.0.0.1:9000", timeout = { response = "5s" } }
local members = api_key { keys = { k1 = "ann" } }
route "GET /users/{id}" { members, function(req) req.headers["x-sub"] = req.user.sub end, to = "users" }
route "/{rest*}" { rate_limit "1/min", mock { json = { fine = true } } }
"#;

fn play(script: &str, requests: &[Value]) -> Vec<Played> {
    let folder = Scratch::new();
    let file = folder.write("gateway.lua", script);
    let clock = Clock::fake(std::time::Duration::from_secs(1_800_000_000));
    let options = LoadOptions { clock: clock.clone(), offline: true, ..LoadOptions::default() };
    let loaded = load(&file, &options).unwrap_or_else(|faults| panic!("{}", faults.render(false)));
    let play = Play::new(loaded.program).unwrap();
    Stage::open(&play, &clock).unwrap().replay(requests).unwrap()
}

fn recorded(id: &str, at: f64, target: &str) -> Value {
    json!({
        "id": id, "time": 1_800_000_000.0 + at, "seed": 7,
        "request": { "method": "GET", "host": "x", "target": target, "client": "10.0.0.9",
                     "headers": [["accept", "*/*"], ["x-api-key", "<redacted ab12>"]] },
        "route": { "name": "/{rest*}" },
        "calls": [],
        "answer": { "status": 200, "from": "step", "text": "{\"fine\":true}",
                    "headers": [["content-type", "application/json"], ["via", "1.1 moongate"],
                                ["ratelimit-policy", "\"60s\";q=1;w=60"]] },
    })
}

fn user(id: &str) -> Value {
    let mut story = recorded(id, 0.0, "/users/7?a=1");
    story["user"] = json!({ "sub": "ann" });
    story["route"]["name"] = "GET /users/{id}".into();
    story["calls"] = json!([{
        "upstream": "users", "method": "GET", "path": "/users/7", "query": "a=1", "seconds": 0.02,
        "headers": [["host", "x"], ["x-sub", "ann"], ["accept", "*/*"], ["via", "1.1 moongate"],
                    ["x-forwarded-for", "10.0.0.9"], ["x-forwarded-proto", "http"], ["x-forwarded-host", "x"]],
        "sent": { "bytes": 0 },
        "answer": { "status": 200, "headers": [["content-type", "application/json"]], "text": "{\"token\":\"<redacted 1>\"}" },
    }]);
    story["answer"] = json!({
        "status": 200, "from": "upstream", "text": "{\"token\":\"<redacted 1>\"}",
        "headers": [["content-type", "application/json"], ["via", "1.1 moongate"]],
    });
    story
}

#[test]
fn the_same_script_gives_the_same_answers_at_the_recorded_times() {
    let later = recorded("3", 61.0, "/b");
    let played = play(SCRIPT, &[later, user("1"), recorded("2", 0.5, "/a")]);
    let ids: Vec<_> = played.iter().map(|played| played.id.as_str()).collect();
    assert_eq!(ids, ["1", "2", "3"], "by time");
    for one in &played {
        assert!(one.skipped.is_none(), "{:?}", one.skipped);
        let real: Vec<_> = one.differs.iter().filter(|line| !line.contains("ratelimit-policy")).collect();
        assert!(real.is_empty(), "{}: {real:?}", one.id);
    }
}

#[test]
fn another_script_shows_in_status_route_header_body_and_calls() {
    let script = r#"
upstream "users" { "10.0.0.1:9000", timeout = { response = "5s" } }
route "GET /users/{id}" {
  function(req) local res = fetch("users/v2/" .. req.params.id) return { status = 203, text = "new", headers = { ["x-a"] = "1" } } end,
  name = "user",
}
"#;
    let played = play(script, &[user("1"), recorded("2", 1.0, "/a")]);
    let said = played[0].differs.join("\n");
    for part in [
        "status: 200 -> 203",
        "route: GET /users/{id} -> user",
        "header x-a: nothing -> 1",
        "body: {\"token\":\"<redacted 1>\"} -> new",
        "call - users GET /users/7",
        "call + users GET /v2/7",
    ] {
        assert!(said.contains(part), "{part} is not in\n{said}");
    }
    assert!(played[1].differs.contains(&"status: 200 -> 404".to_owned()), "{:?}", played[1].differs);
}

#[test]
fn what_a_service_would_be_told_differently_is_said() {
    let script = SCRIPT.replace("req.user.sub end", "\"bob\" end");
    let played = play(&script, &[user("1")]);
    assert_eq!(played[0].differs, ["call ~ users GET /users/7: header x-sub: ann -> bob"]);
}

#[test]
fn services_that_failed_fail_again_and_what_was_not_kept_is_skipped() {
    let failed = |code: &str, status: u16, error: &str| {
        let mut story = user("1");
        story["calls"][0]["answer"] = Value::Null;
        story["calls"][0]["error"] = error.into();
        story["answer"] = json!({ "status": status, "code": code, "cut": true, "headers": [] });
        play(SCRIPT, &[story]).remove(0).differs
    };
    for (code, status, error) in [
        ("upstream.connect", 502, "10.0.0.1:9000: Connection refused"),
        ("upstream.timeout", 504, "10.0.0.1:9000: no answer in time"),
        ("upstream.reset", 502, "10.0.0.1:9000: connection closed before the answer was complete"),
    ] {
        let differs = failed(code, status, error);
        let named = |line: &&String| ["status", "code", "call +", "call -"].iter().any(|part| line.starts_with(part));
        assert_eq!(differs.iter().find(named), None, "{differs:?}");
    }
    let mut large = recorded("1", 0.0, "/a");
    large["request"]["cut"] = true.into();
    assert!(play(SCRIPT, &[large]).remove(0).skipped.unwrap().contains("too large"));
    for nonsense in [json!({}), json!(null), json!({ "request": { "method": 7 } }), json!([1])] {
        assert!(play(SCRIPT, &[nonsense]).remove(0).skipped.is_some());
    }
}
