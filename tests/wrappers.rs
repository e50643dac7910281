//! `function(req, next)`: what it sees, what it may change, and calling `next` again.

use crate::support::gateway;
use crate::support::upstream;

#[test]
fn wrappers_nest_and_may_change_or_replace_the_answer() {
    let service = upstream::says("inner");
    let gateway = gateway::script(
        r#"
        local function wrap(name) return function(req, next)
          local res = next()
          res.headers:add("x-out", name)
          if req.query.replace == name then return { status = 203, text = "from " .. name } end
        end end
        route "GET /w" { wrap "a", wrap "b", to = "service" }
        "#,
    )
    .service("service", &service)
    .start();
    let answer = gateway.get("/w");
    assert_eq!((answer.text(), answer.all("x-out")), ("inner", vec!["b", "a"]));
    let answer = gateway.get("/w?replace=b");
    assert_eq!((answer.status, answer.text(), answer.all("x-out")), (203, "from b", vec!["a"]));
}

#[test]
fn next_returns_a_refusal_or_failure_as_a_response() {
    let gateway = gateway::script(
        r#"
        local function look(req, next)
          local res = next()
          if req.query.pass then return end
          return { json = { status = res.status, from = res.from, code = res.error and res.error.code or json.null } }
        end
        route "GET /reject" { look, function() reject(402, "pay") end }
        route "GET /answer" { look, function() return 203 end }
        route "GET /dead" { look, to = "dead" }
        route "GET /raise" { look, function() error("boom") end }
        upstream "dead" { "$DEAD" }
        "#,
    )
    .with("$DEAD", upstream::nobody())
    .start();
    let seen = |target: &str| gateway.get(target).with(200).json();
    assert_eq!(seen("/reject"), serde_json::json!({ "status": 402, "from": "error", "code": "rejected" }));
    assert_eq!(seen("/answer"), serde_json::json!({ "status": 203, "from": "step", "code": null }));
    assert_eq!(seen("/dead"), serde_json::json!({ "status": 502, "from": "error", "code": "upstream.connect" }));
    assert_eq!(seen("/raise"), serde_json::json!({ "status": 500, "from": "error", "code": "script.error" }));
    gateway.get("/reject?pass").refused(402, "rejected");
    gateway.get("/dead?pass").refused(502, "upstream.connect");
}

#[test]
fn calling_next_again_repeats_the_rest_with_the_same_body() {
    let service = upstream::answers(|seen| match seen.body.as_slice() {
        b"payload" if seen.header("x-try") == Some("2") => upstream::ok("second"),
        _ => upstream::answer(503, &[], "first"),
    });
    let gateway = gateway::script(
        r#"
        route "POST /again" { function(req, next)
          req.headers["x-try"] = "1"
          local res = next()
          if res.status == 503 then req.headers["x-try"] = "2" return next() end
        end, to = "service", retry = { times = 0 } }
        "#,
    )
    .service("service", &service)
    .start();
    assert_eq!(gateway.call("POST", "/again", &[], "payload").text(), "second");
    let bodies: Vec<_> = service.seen().into_iter().map(|seen| seen.body).collect();
    assert_eq!(bodies, [b"payload", b"payload"]);
}

#[test]
fn repeating_a_body_larger_than_the_buffer_fails_cleanly() {
    let service = upstream::answers(|_| upstream::answer(503, &[], ""));
    let gateway = gateway::script(
        r#"
        gateway { limits = { buffer = "1KB" } }
        route "POST /again" { function(req, next) next() return next() end, to = "service", retry = { times = 0 } }
        "#,
    )
    .service("service", &service)
    .start();
    let answer = gateway.call("POST", "/again", &[], vec![b'x'; 100_000]);
    assert!(answer.status >= 400, "{answer:?}");
    assert!(service.seen().iter().all(|seen| seen.body.len() == 100_000), "half a body was sent");
    gateway.call("POST", "/again", &[], "small").with(503);
}

#[test]
fn a_wrapper_that_never_calls_next_answers_and_one_that_returns_nothing_carries_on() {
    let service = upstream::says("ok");
    let gateway = gateway::script(
        r#"
        route "GET /a" { function(req, next) return { text = "stop" } end, to = "service" }
        route "GET /b" { function(req, next) end, to = "service" }
        "#,
    )
    .service("service", &service)
    .start();
    assert_eq!(gateway.get("/a").text(), "stop");
    assert_eq!(service.calls(), 0);
    let answer = gateway.get("/b");
    assert!(answer.text() == "ok" || answer.status == 500, "{answer:?}");
}

#[test]
fn the_body_streams_on_while_a_wrapper_looks_at_the_head() {
    let service = upstream::serve(|conn| {
        conn.request();
        conn.send("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nfirst\r\n");
        conn.some();
        conn.send("6\r\nsecond\r\n0\r\n\r\n");
    });
    let gateway = gateway::script(
        r#"route "GET /s" { function(req, next) local res = next() res.headers["x-status"] = tostring(res.status) end, to = "service" }"#,
    )
    .service("service", &service)
    .start();
    let mut client = gateway.client();
    client.send("GET /s HTTP/1.1\r\nhost: x\r\n\r\n");
    let (mut answer, frame) = client.head();
    assert_eq!(answer.header("x-status"), Some("200"));
    assert_eq!(client.piece(&mut answer, frame).unwrap(), b"first");
}
