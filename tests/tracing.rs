//! One real request, watched: armed by the admin listener, told step by step, without its credentials.

use serde_json::Value;

use crate::support::binary;
use crate::support::client::Client;
use crate::support::gateway;
use crate::support::gateway::Gateway;
use crate::support::upstream;

const SCRIPT: &str = r#"
gateway { errors = { ["api_key.*"] = { status = 401, json = { sorry = "{error.code}" } } } }
upstream "pair" { "NOBODY", "SERVICE", balance = "first", retry = { times = 1, backoff = "1ms..1ms" } }
local members = api_key { keys = { ["k-0123456789"] = { sub = "ann", password = "pw" } }, from = "header:x-shop", hide = false }
route "/orders/{id}" {
  members,
  function(req) req.headers["x-internal"] = secret "INNER" end,
  function(req, next)
    local res = next()
    res.headers["set-cookie"] = "sid=abcdef"
  end,
  to = "pair", strip_prefix = "/orders",
}
route "/dry" { authorize { role = "boss", enforce = false }, mock { text = "dry" } }
route "/cached" { cache "1m", to = "pair" }
route "/fetch" { function() return { text = fetch("pair/inner?key=abc"):text() } end }
route "/{rest*}" { to = "pair" }
"#;

fn gateway(service: &upstream::Upstream) -> Gateway {
    gateway::script(&SCRIPT.replace("secret \"INNER\"", "hush"))
        .with("upstream \"pair\"", "local hush = secret \"INNER\"\nupstream \"pair\"")
        .with("NOBODY", upstream::nobody())
        .with("SERVICE", service.address())
        .env("INNER", "hunter2hunter2")
        .start()
}

fn arm(admin: &mut Client, terms: &str) -> (u64, String) {
    let answer = admin.call("POST", &format!("/trace?{terms}"), &[], "").with(200).json();
    let header = answer["header"].as_str().unwrap();
    (answer["order"].as_u64().unwrap(), header.strip_prefix("x-moongate-trace: ").unwrap().to_owned())
}

/// What was seen for an order, once there is as much of it.
fn seen(admin: &mut Client, order: u64, count: usize) -> Vec<Value> {
    for _ in 0..2000 {
        let answer = admin.get(&format!("/trace/{order}")).with(200).json();
        let traces = answer["traces"].as_array().unwrap();
        if traces.len() >= count {
            return traces.clone();
        }
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    panic!("{count} requests were not traced");
}

#[test]
fn a_trace_tells_steps_changes_attempts_and_sizes_and_no_credential() {
    let service = upstream::answers(|_| upstream::answer(200, &[("x-echo", "k-0123456789")], "hello"));
    let gateway = gateway(&service);
    let mut admin = gateway.admin();
    let (order, _) = arm(&mut admin, "path=/orders/*&method=POST");
    gateway.get("/orders/7").with(401);
    let headers = [("x-shop", "k-0123456789"), ("authorization", "Bearer abcdef"), ("cookie", "sid=12345678")];
    gateway.call("POST", "/orders/7?access_token=tok-9", &headers, "some body").with(200);
    let story = seen(&mut admin, order, 1).remove(0);
    let text = story.to_string();
    for leak in ["k-0123456789", "abcdef", "12345678", "hunter2", "tok-9", "\"pw\""] {
        assert!(!text.contains(leak), "{leak} is shown in {text}");
    }
    assert_eq!(story["answer"]["status"], 200);
    assert_eq!(story["answer"]["from"], "upstream");
    assert_eq!(story["answer"]["bytes"], 5);
    assert_eq!(story["request"]["bytes"], 9);
    assert_eq!(story["route"]["name"], "/orders/{id}");
    let steps: Vec<_> = story["steps"].as_array().unwrap().iter().map(|step| &step["word"]).collect();
    assert_eq!(steps, ["api_key", "function", "function"]);
    assert!(story["steps"].as_array().unwrap().iter().all(|step| step["outcome"] == "passed"), "{text}");
    let changes = story["steps"][1]["changes"].to_string();
    assert!(changes.contains("header x-internal = <secret INNER>"), "{changes}");
    assert!(story["steps"][0]["changes"].to_string().contains("ann"), "{text}");
    let call = &story["calls"][0];
    assert_eq!((&call["upstream"], &call["path"]), (&"pair".into(), &"/7".into()));
    assert_eq!((&call["sent"]["bytes"], &call["answer"]["bytes"]), (&9.into(), &5.into()));
    let attempts = call["attempts"].as_array().unwrap();
    assert_eq!(attempts.len(), 2, "{text}");
    assert!(attempts[0]["error"].as_str().unwrap().contains("refused"), "{text}");
    assert_eq!(attempts[1]["status"], 200);
    assert_eq!(attempts[1]["host"], service.address().to_string());
}

#[test]
fn only_what_is_asked_for_is_watched_and_then_no_more() {
    let service = upstream::says("ok");
    let gateway = gateway(&service);
    let mut admin = gateway.admin();
    let (order, _) = arm(&mut admin, "path=/a*&count=2");
    for target in ["/b", "/a1", "/b", "/a2", "/a3"] {
        gateway.get(target).with(200);
    }
    let targets: Vec<_> = seen(&mut admin, order, 2).iter().map(|story| story["request"]["target"].clone()).collect();
    assert_eq!(targets, ["/a1", "/a2"]);
    let list = admin.get("/trace").with(200).json();
    assert_eq!(list["orders"].as_array().unwrap().len(), 0, "{list}");
    assert_eq!(list["traces"].as_array().unwrap().len(), 2, "{list}");
    assert_eq!(admin.call("DELETE", "/trace", &[], "").with(200).json()["ended"], 0);
    assert_eq!(admin.get("/trace").with(200).json()["traces"].as_array().unwrap().len(), 0);
}

#[test]
fn a_signed_field_asks_for_a_trace_and_goes_no_further() {
    let service = upstream::says("ok");
    let gateway = gateway(&service);
    let mut admin = gateway.admin();
    let (order, signed) = arm(&mut admin, "signed=true&count=2");
    gateway.get("/plain").with(200);
    gateway.call("GET", "/forged", &[("x-moongate-trace", &format!("{order}.{}", "0".repeat(64)))], "").with(200);
    gateway.call("GET", "/signed", &[("x-moongate-trace", &signed)], "").with(200);
    let stories = seen(&mut admin, order, 1);
    assert_eq!(stories.len(), 1);
    assert_eq!(stories[0]["request"]["target"], "/signed");
    assert!(!stories[0].to_string().contains(&signed));
    assert!(service.seen().iter().all(|seen| seen.header("x-moongate-trace").is_none()));
}

#[test]
fn refusals_dry_runs_caches_and_fetches_are_told() {
    let service = upstream::answers(|_| upstream::answer(200, &[("cache-control", "max-age=60")], "ok"));
    let gateway = gateway(&service);
    let mut admin = gateway.admin();
    let (order, _) = arm(&mut admin, "count=6");
    for (target, status) in [("/orders/1", 401), ("/dry", 200), ("/cached", 200), ("/cached", 200), ("/fetch", 200)] {
        gateway.get(target).with(status);
    }
    let stories = seen(&mut admin, order, 5);
    assert_eq!(stories[0]["steps"][0]["outcome"], "refused");
    assert_eq!(stories[0]["answer"]["code"], "api_key.missing");
    assert_eq!(stories[1]["steps"][0]["word"], "authorize");
    assert_eq!(stories[1]["steps"][1]["outcome"], "answered");
    assert_eq!(stories[2]["answer"]["cache"], "miss");
    assert_eq!(stories[2]["calls"].as_array().unwrap().len(), 1, "{}", stories[2]);
    assert_eq!(stories[3]["answer"]["cache"], "hit");
    assert_eq!(stories[3]["calls"].as_array().unwrap().len(), 0);
    assert_eq!(stories[4]["calls"][0]["path"], "/inner");
    assert!(!stories[4].to_string().contains("key=abc"), "{}", stories[4]);
}

#[test]
fn what_is_asked_for_survives_a_reload_and_a_client_that_leaves_is_told_of() {
    let service = upstream::serve(|conn| {
        if conn.request().is_some() {
            conn.hold();
        }
    });
    let gateway = gateway(&service);
    let mut admin = gateway.admin();
    let (order, _) = arm(&mut admin, "path=/gone");
    gateway.reload().unwrap();
    let mut client = gateway.client();
    client.send("GET /gone HTTP/1.1\r\nhost: x\r\n\r\n");
    while service.calls() == 0 {
        std::thread::yield_now();
    }
    client.reset();
    let story = seen(&mut admin, order, 1).remove(0);
    assert_eq!(story["answer"]["code"], "client.gone", "{story}");
    assert_eq!(story["generation"], 2);
    assert!(story["calls"][0]["error"].as_str().is_some(), "{story}");
    service.release();
}

#[test]
fn a_trace_is_shown_as_a_waterfall_and_nonsense_is_refused() {
    let service = upstream::says("ok");
    let gateway = gateway(&service);
    let mut admin = gateway.admin();
    let (order, _) = arm(&mut admin, "path=/x");
    gateway.get("/x").with(200);
    let id = seen(&mut admin, order, 1)[0]["id"].as_str().unwrap().to_owned();
    let page = admin.get(&format!("/trace/{id}?as=text")).with(200);
    assert!(page.text().starts_with("GET /x -> 200 in "), "{}", page.text());
    assert!(page.text().contains("call     pair GET /x (0 bytes out, 2 in)"), "{}", page.text());
    for (method, target, status) in [
        ("POST", "/trace?pth=/x", 400),
        ("POST", "/trace?count=1000", 400),
        ("POST", "/trace?path=%5B", 400),
        ("GET", "/trace/9-9", 404),
        ("GET", &format!("/trace/{id}?as=pdf"), 400),
        ("DELETE", "/trace/x", 404),
        ("PUT", "/trace", 405),
        ("GET", "/tracex", 404),
    ] {
        assert_eq!(admin.call(method, target, &[], "").status, status, "{method} {target}");
    }
    for _ in 0..16 {
        arm(&mut admin, "path=/never");
    }
    assert_eq!(admin.call("POST", "/trace", &[], "").status, 429);
}

#[test]
fn explain_live_asks_the_running_gateway_and_its_services() {
    let service = upstream::says("ok");
    let script = r#"
        local seen = limiter "seen" { "2/min" }
        route "GET /orders/{id}" { rate_limit { "2/min" }, function(req) req.ctx.shop = "bikes" end, to = "s" }
        route "GET /{rest*}" { mock {} }
    "#;
    let gateway = binary::script(script).service("s", &service).start();
    let explain = |arguments: &[&str]| {
        let mut command = binary::command();
        command.env("MOONGATE_ADMIN", gateway.admin_address().to_string());
        let output = command.arg("explain").args(arguments).arg("--live").output().unwrap();
        (output.status.code(), String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned())
    };
    let (code, said) = explain(&["GET", "/orders/7?q=1", "-H", "authorization: Bearer abcdef"]);
    assert_eq!(code, Some(0), "{said}");
    for part in [
        "> GET /orders/{id}  takes the request",
        "  GET /{rest*}      would take it, and is less specific",
        "passed   rate_limit",
        "ctx.shop = \"bikes\"",
        &format!("upstream s at {} is asked\n  GET /orders/7?q=1\n", service.address()),
        "answer 200, from upstream",
        "call     s GET /orders/7?q=1 (0 bytes out, 2 in)",
    ] {
        assert!(said.contains(part), "{part} is not in\n{said}");
    }
    assert!(!said.contains("abcdef"), "{said}");
    assert_eq!(service.calls(), 1, "the service was asked");
    let (code, said) = explain(&["GET", "/orders/7", "--json"]);
    let story: Value = serde_json::from_str(&said).unwrap();
    assert_eq!((code, &story["answer"]["body"]), (Some(0), &"ok".into()));
    let (_, said) = explain(&["GET", "/orders/7"]);
    assert!(said.contains("answer 429 rate_limit.exceeded"), "real limits count: {said}");
    let (code, said) = explain(&["GET", "/orders/7", "-u", "ann"]);
    assert!(code == Some(2) && said.contains("takes nobody's word"), "{said}");
    let mut admin = gateway.admin();
    for body in [
        "",
        "{}",
        r#"{"method":"GET","url":"x"}"#,
        r#"{"method":"G T","url":"/"}"#,
        r#"{"method":"GET","url":"/","headers":[["a","b\r\nc: d"]]}"#,
    ] {
        assert_eq!(admin.call("POST", "/explain", &[], body).status, 400, "{body}");
    }
}
