//! Failures: problem documents, `errors`, `on_error`, their events, and what a client never learns.

use crate::support::gateway;
use crate::support::upstream;

#[test]
fn errors_answer_by_the_most_specific_name_then_the_inner_level() {
    let gateway = gateway::script(
        r#"
        gateway { errors = {
          ["upstream.*"] = { status = 599, text = "gateway upstream.*" },
          ["route.none"] = { status = 404, html = "<p>{path}</p>" },
          ["*"] = { status = 520, text = "gateway *" },
        } }
        group "/g" { errors = { ["upstream.connect"] = { status = 503, json = { code = "{error.code}", of = { "{error.upstream}" }, where = "group" } } },
          route "GET /inner" { to = "dead", errors = { ["*"] = { text = "route *" } } },
          route "GET /reject" { function() reject(403) end, errors = { rejected = function(req, err) return { status = 200, text = err.code } end } },
        }
        route "GET /outer" { to = "dead" }
        route "GET /raise" { function() error "x" end }
        upstream "dead" { "$DEAD" }
        "#,
    )
    .with("$DEAD", upstream::nobody())
    .start();
    let inner = gateway.get("/g/inner").with(503);
    assert_eq!(inner.json(), serde_json::json!({ "code": "upstream.connect", "of": ["dead"], "where": "group" }));
    assert_eq!(gateway.get("/g/reject").with(200).text(), "rejected");
    assert_eq!(gateway.get("/outer").with(599).text(), "gateway upstream.*");
    assert_eq!(gateway.get("/raise").with(520).text(), "gateway *");
    assert_eq!(
        gateway.get("/%3Cscript%3E").with(404).text(),
        "<p>/&lt;script&gt;</p>".replace("<p>/&lt;script&gt;", "<p>/%3Cscript%3E")
    );
}

#[test]
fn on_error_answers_inner_first_and_nil_asks_the_next_level() {
    let gateway = gateway::script(
        r#"
        gateway { on_error = function(req, err) return { status = 200, json = { level = "gateway", code = err.code, status = err.status } } end }
        group "/g" { on_error = function(req, err) if req.query.group then return { text = "group" } end end,
          route "GET /a" { function() reject(402, "pay", { code = "shop.pay" }) end,
            on_error = function(req, err) if req.query.route then return { text = "route" } end end },
          route "GET /broken" { function() reject(402) end, on_error = function() error "again" end },
        }
        "#,
    )
    .start();
    assert_eq!(gateway.get("/g/a?route&group").text(), "route");
    assert_eq!(gateway.get("/g/a?group").text(), "group");
    let outer = gateway.get("/g/a").json();
    assert_eq!(outer, serde_json::json!({ "level": "gateway", "code": "shop.pay", "status": 402 }));
    assert_eq!(gateway.get("/g/broken").with(200).at("/level"), "gateway");
}

#[test]
fn a_failure_while_answering_a_failure_ends_in_a_problem() {
    let gateway = gateway::script(
        r#"
        gateway { on_error = function() error "even here" end }
        route "GET /a" { function() reject(402) end, on_error = function() error "here" end }
        route "GET /b" { function() return 200 end, on_response = function() error "late" end }
        "#,
    )
    .start();
    for target in ["/a", "/b"] {
        let answer = gateway.get(target);
        assert!(answer.status >= 400, "{target}: {answer:?}");
        answer.problem();
    }
}

#[test]
fn a_script_error_tells_the_client_the_request_id_only() {
    let gateway =
        gateway::script("route \"GET /raise\" { function(req)\n local t = nil\n return t.password\n end }").start();
    let answer = gateway.get("/raise");
    answer.refused(500, "script.error");
    let body = answer.text();
    for secret in ["password", "gateway.lua", "nil", "traceback", ":3"] {
        assert!(!body.contains(secret), "{secret:?} in {body}");
    }
    assert!(!answer.at("/request_id").as_str().unwrap().is_empty());
}

#[test]
fn dev_shows_file_line_and_frame() {
    let gateway = gateway::script("route \"GET /raise\" { function(req)\n local t = nil\n return t.password\n end }")
        .dev()
        .start();
    let answer = gateway.get("/raise");
    assert_eq!(answer.status, 500);
    assert!(answer.text().contains("gateway.lua:3"), "{}", answer.text());
}

#[test]
fn each_code_is_an_event_with_the_failure_and_the_request() {
    let gateway = gateway::script(
        r#"
        local seen = store "seen" {}
        on("shop.closed", function(err, req) seen:set("last", err.code .. " " .. err.status .. " " .. req.path) end)
        route "GET /closed" { function() reject(403, "no", { code = "shop.closed" }) end }
        route "GET /last" { function() return { text = seen:get("last") or "none" } end }
        "#,
    )
    .start();
    assert_eq!(gateway.get("/closed").status, 403);
    crate::support::wait::until("the event was handled", || gateway.get("/last").text() == "shop.closed 403 /closed");
}

#[test]
fn upstream_failures_have_their_own_names() {
    let reset = upstream::serve(|conn| {
        conn.request();
        conn.reset();
    });
    let garbage = upstream::serve(|conn| {
        conn.request();
        conn.send("SSH-2.0-OpenSSH_9.2\r\n\r\n");
    });
    let half = upstream::serve(|conn| {
        conn.request();
        conn.send("HTTP/1.1 200 OK\r\ncontent-le");
    });
    let gateway = gateway::script(
        r#"
        upstream "dead" { "$DEAD" }
        route "GET /{name}" { to = function(req) return req.params.name end }
        "#,
    )
    .with("$DEAD", upstream::nobody())
    .service("reset", &reset)
    .service("garbage", &garbage)
    .service("half", &half)
    .start();
    gateway.get("/dead").refused(502, "upstream.connect");
    gateway.get("/reset").refused(502, "upstream.reset");
    gateway.get("/garbage").refused(502, "upstream.protocol");
    let half = gateway.get("/half");
    assert!(matches!(half.problem().as_str(), "upstream.reset" | "upstream.protocol"), "{half:?}");
    let text = gateway.get("/dead").text().to_owned();
    assert!(!text.contains("127.0.0.1"), "an internal address reached the client: {text}");
}

#[test]
fn a_client_that_wants_html_still_gets_something_it_can_show() {
    let gateway = gateway::script(r#"route "GET /a" { function() reject(403, "<b>no</b>") end }"#).start();
    let answer = gateway.call("GET", "/a", &[("accept", "text/html")], "");
    assert_eq!(answer.status, 403);
    assert!(!answer.header("content-type").unwrap().contains("html") || !answer.text().contains("<b>"));
}
