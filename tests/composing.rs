//! `compose`: one answer from several services, each part with a time of its own.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering;
use std::time::Duration;

use crate::caching::clock;
use crate::caching::seconds;
use crate::support::gateway;
use crate::support::upstream;

#[test]
fn parts_are_joined_with_times_of_their_own() {
    let stock =
        upstream::answers(|seen| upstream::ok(format!("{{\"left\":9007199254740993,\"at\":\"{}\"}}", seen.target)));
    let text = upstream::answers(|seen| {
        let who = seen.header("x-who").unwrap_or("nobody");
        upstream::ok(format!("{{\"page\":{{\"title\":\"{who}\"}}}}"))
    });
    let clock = clock();
    let script = r#"
        route "GET /pages/{id}" {
          compose {
            stock = { to = "stock", path = "/stock/{id}?all={query.all}" },
            text = { to = "text", path = "/text/{id}", cache = "10s", pick = "$.page.title", tags = "text:{id}", headers = { ["x-who"] = "{header.x-who}" } },
          },
        }
        route "POST /changed/{id}" { function(req) cache.purge(`text:{req.params.id}`, { hard = true }) return 204 end }"#;
    let gateway = gateway::script(script).service("stock", &stock).service("text", &text).clock(&clock).start();
    let first = gateway.call("GET", "/pages/a%2Fb", &[("x-who", "you"), ("authorization", "secret")], "");
    assert!(first.status == 400 || first.status == 200, "{first:?}");
    let page = gateway.call("GET", "/pages/7?all=a%26b", &[("x-who", "you"), ("authorization", "secret")], "");
    assert!(page.text().contains("\"left\":9007199254740993"), "exact: {page:?}");
    assert_eq!((page.at("/text"), page.at("/stock/at")), ("you".into(), "/stock/7?all=a%26b".into()));
    assert_eq!(stock.last().header("authorization"), None, "nothing of the request is passed on unless named");
    let (stocks, texts) = (stock.calls(), text.calls());
    gateway.call("GET", "/pages/7", &[("x-who", "you")], "").with(200);
    assert_eq!((stock.calls(), text.calls()), (stocks + 1, texts));
    assert_eq!(
        gateway.call("GET", "/pages/7", &[("x-who", "me")], "").at("/text"),
        "me",
        "another field, another value"
    );
    gateway.call("POST", "/changed/7", &[], "").with(204);
    gateway.call("GET", "/pages/7", &[("x-who", "you")], "").with(200);
    assert_eq!(text.calls(), texts + 2);
    clock.advance(seconds(10));
    gateway.call("GET", "/pages/7", &[("x-who", "you")], "").with(200);
    assert_eq!(text.calls(), texts + 3);
}

#[test]
fn a_part_that_fails_is_its_last_value_then_its_default_then_502() {
    let fails = Arc::new(AtomicBool::new(false));
    let failing = Arc::clone(&fails);
    let service = upstream::answers(move |_| match failing.load(Ordering::SeqCst) {
        true => upstream::answer(500, &[], "{}"),
        false => upstream::ok("{\"v\":1}"),
    });
    let clock = clock();
    let script = r#"
        route "GET /kept" { compose { part = { to = "s", cache = "10s", stale_if_error = "1m", default = "none" } } }
        route "GET /default" { compose { part = { to = "s", default = json.null }, other = { to = "s", path = "/o", default = { 1 } } } }
        route "GET /bare" { compose { part = { to = "s" } } }"#;
    let gateway = gateway::script(script).service("s", &service).clock(&clock).start();
    assert_eq!(gateway.get("/kept").at("/part/v"), 1);
    fails.store(true, Ordering::SeqCst);
    clock.advance(seconds(30));
    assert_eq!(gateway.get("/kept").at("/part/v"), 1, "its last value stands in");
    clock.advance(seconds(60));
    assert_eq!(gateway.get("/kept").at("/part"), "none");
    assert_eq!(gateway.get("/default").json(), serde_json::json!({ "part": null, "other": [1] }));
    gateway.get("/bare").refused(502, "compose.part");
}

#[test]
fn parts_are_asked_at_the_same_time_and_a_slow_one_is_not_waited_for() {
    let slow = upstream::serve(|conn| {
        while conn.request().is_some() {
            conn.hold();
        }
    });
    let quick = upstream::says("{\"v\":1}");
    let clock = clock();
    let script = r#"
        route "GET /" { compose { quick = { to = "quick" }, slow = { to = "slow", timeout = "500ms", default = false } } }"#;
    let gateway = gateway::script(script).service("quick", &quick).service("slow", &slow).clock(&clock).start();
    let mut client = gateway.client();
    client.send("GET / HTTP/1.1\r\nhost: x\r\n\r\n");
    crate::support::wait::until("both are asked", || slow.calls() == 1 && quick.calls() == 1);
    while client.silent(Duration::from_millis(20)) {
        clock.advance(Duration::from_millis(100));
    }
    assert_eq!(client.answer().json(), serde_json::json!({ "quick": { "v": 1 }, "slow": false }));
}
