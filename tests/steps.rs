//! Function steps that decide: order, answers, `when`, `skip`, `steps`, calling a step, policies of one's own.

use crate::support::gateway;
use crate::support::upstream;

#[test]
fn steps_run_in_the_order_written_outer_levels_first() {
    let service = upstream::says("ok");
    let gateway = gateway::script(
        r#"
        local function mark(name) return function(req) req.headers:add("x-trail", name) end end
        gateway { mark "gateway 1", mark "gateway 2" }
        group "/a" { mark "group",
          route "GET /b" { mark "route 1", mark "route 2", to = "service" },
        }
        "#,
    )
    .service("service", &service)
    .start();
    gateway.get("/a/b").with(200);
    assert_eq!(service.last().all("x-trail"), ["gateway 1", "gateway 2", "group", "route 1", "route 2"]);
}

#[test]
fn every_kind_of_return_is_the_answer_and_nothing_further_runs() {
    let service = upstream::says("never");
    let gateway = gateway::script(
        r#"
        local answers = {
          status = function() return 204 end,
          text = function() return { text = "hi", headers = { ["x-a"] = "1" } } end,
          html = function() return { html = "<p>" } end,
          xml = function() return { xml = "<a/>" } end,
          json = function() return { status = 201, json = { list = json.array{}, n = 1 } } end,
          body = function() return { body = "raw", headers = { ["content-type"] = "a/b" } } end,
          cookies = function() return { text = "", cookies = { sid = "1", theme = { value = "a", path = "/", http_only = true } } } end,
          stream = function() return { stream = function(write) write("a") write("b") end } end,
        }
        route "GET /{kind}" { function(req) local f = answers[req.params.kind] if f then return f() end end, to = "service" }
        "#,
    )
    .service("service", &service)
    .start();
    let get = |kind: &str| gateway.get(&format!("/{kind}"));
    assert_eq!((get("status").status, get("status").body.len()), (204, 0));
    let text = get("text").with(200);
    assert_eq!((text.text(), text.header("x-a")), ("hi", Some("1")));
    assert!(text.header("content-type").unwrap().starts_with("text/plain"));
    assert!(get("html").header("content-type").unwrap().starts_with("text/html"));
    assert!(get("xml").header("content-type").unwrap().contains("xml"));
    let json = get("json").with(201);
    assert_eq!((json.text(), json.header("content-type")), (r#"{"list":[],"n":1}"#, Some("application/json")));
    assert_eq!((get("body").text(), get("body").header("content-type")), ("raw", Some("a/b")));
    let mut cookies = get("cookies").all("set-cookie").iter().map(|text| (*text).to_owned()).collect::<Vec<_>>();
    cookies.sort();
    assert!(cookies[0].starts_with("sid=1"), "{cookies:?}");
    assert!(cookies[1].starts_with("theme=a") && cookies[1].to_lowercase().contains("httponly"), "{cookies:?}");
    assert_eq!(get("stream").text(), "ab");
    assert_eq!(service.calls(), 0);
    assert_eq!(get("else").text(), "never");
}

#[test]
fn what_is_no_answer_is_a_fault_of_the_script() {
    let gateway = gateway::script(
        r#"
        local bad = { text = "a string", yes = true, big = 1000, small = 99, half = 200.5,
                      two = { text = "a", json = {} }, unknown = { txet = "a" }, status = { status = 42 },
                      crlf = { headers = { ["x-a"] = "a\r\nx-b: b" } }, name = { headers = { ["x a"] = "b" } } }
        route "GET /{kind}" { function(req) return bad[req.params.kind] end }
        "#,
    )
    .start();
    for kind in ["text", "yes", "big", "small", "half", "two", "unknown", "status", "crlf", "name"] {
        let answer = gateway.get(&format!("/{kind}"));
        assert!(matches!(answer.status, 500 | 400), "{kind}: {answer:?}");
        let code = answer.problem();
        assert!(matches!(code.as_str(), "script.answer" | "script.error" | "header.unsafe"), "{kind}: {code}");
        assert!(answer.header("x-b").is_none());
    }
    gateway.get("/nothing").refused(500, "route.no_answer");
}

#[test]
fn when_leaves_a_step_out() {
    let gateway = gateway::script(
        r#"
        route "GET /p" {
          mock { text = "mocked", when = function(req) return req.query.mock == "1" end },
          steps { function(req) req.ctx.inner = true end, when = function(req) return req.query.inner ~= nil end },
          function(req) return { text = tostring(req.ctx.inner) } end,
        }
        "#,
    )
    .start();
    assert_eq!(gateway.get("/p?mock=1").text(), "mocked");
    assert_eq!(gateway.get("/p").text(), "nil");
    assert_eq!(gateway.get("/p?inner").text(), "true");
}

#[test]
fn skip_takes_out_outer_steps_by_value() {
    let gateway = gateway::script(
        r#"
        local function closed() return 401 end
        local guard = steps { closed }
        gateway { closed }
        group "/g" { guard,
          route "GET /none" { function() return 204 end },
          route "GET /all" { skip = { closed, guard }, function() return 204 end },
        }
        route "GET /mine" { skip = { closed }, closed }
        "#,
    )
    .start();
    for (target, status) in [("/g/none", 401), ("/g/all", 204), ("/mine", 401), ("/nowhere", 401)] {
        assert_eq!(gateway.get(target).status, status, "{target}");
    }
}

#[test]
fn a_step_may_be_called_and_its_refusal_ends_the_request() {
    let gateway = gateway::script(
        r#"
        policy "tenant" {
          doc = "Reads the tenant from a header.",
          options = { header = is.string { default = "x-tenant" } },
          step = function(o) return function(req)
            req.ctx.tenant = req.headers[o.header] or reject(400, "which tenant?")
          end end,
        }
        local by_default = tenant {}
        local by_other = tenant { header = "x-other" }
        local wrapper = function(req, next) local res = next() res.headers["x-wrapped"] = "yes" end
        local teapot = steps { function(req) return 418 end }
        route "GET /a" { function(req)
          by_default(req)
          return { text = req.ctx.tenant }
        end }
        route "GET /b" { function(req)
          pcall(by_other, req)
          return { text = req.ctx.tenant }
        end }
        route "GET /c" { function(req) teapot(req) return 200 end }
        "#,
    )
    .start();
    assert_eq!(gateway.call("GET", "/a", &[("x-tenant", "t1")], "").text(), "t1");
    let refused = gateway.get("/a");
    assert_eq!((refused.status, refused.at("/detail")), (400, "which tenant?".into()));
    assert_eq!(gateway.call("GET", "/b", &[("x-other", "t2")], "").text(), "t2");
    assert_eq!(gateway.get("/b").status, 400);
    assert_eq!(gateway.get("/c").status, 418);
}

#[test]
fn a_refusal_of_a_policy_takes_its_status_and_detail_and_a_dry_run_lets_pass() {
    let gateway = gateway::script(
        r#"
        policy "closed" { doc = "Refuses.", options = {}, step = function() return function() reject(403, "closed") end end }
        route "GET /plain" { closed {}, function() return 204 end }
        route "GET /other" { closed { status = 404, detail = "no such thing" }, function() return 204 end }
        route "GET /dry" { closed { enforce = false }, function() return 204 end }
        "#,
    )
    .start();
    assert_eq!(gateway.get("/plain").status, 403);
    let other = gateway.get("/other");
    assert_eq!((other.status, other.at("/detail")), (404, "no such thing".into()));
    assert_eq!(gateway.get("/dry").status, 204);
}

#[test]
fn gateway_steps_run_for_404_and_405_too() {
    let gateway = gateway::script(
        r#"
        gateway {
          function(req) if req.query.who then return { text = tostring(req.route) } end end,
          on_response = function(req, res) res.headers["x-seen"] = tostring(res.status) end,
        }
        route "GET /a" { function() return 204 end }
        "#,
    )
    .start();
    assert_eq!(gateway.get("/nowhere?who").text(), "nil");
    for (method, target, status) in [("GET", "/nowhere", 404), ("PUT", "/a", 405), ("GET", "/a", 204)] {
        let answer = gateway.call(method, target, &[], "");
        assert_eq!((answer.status, answer.header("x-seen")), (status, Some(status.to_string().as_str())));
    }
}

#[test]
fn mock_redirect_and_request_id_answer_as_declared() {
    let gateway = gateway::script(
        r#"
        route "GET /mock" { mock { status = 202, json = { a = 1 } } }
        route "GET /go/{id}" { redirect "/there/{id}?q={query.q}" }
        route "GET /id" { request_id {}, function(req) return { text = req.id } end }
        "#,
    )
    .start();
    let mocked = gateway.get("/mock").with(202);
    assert_eq!(mocked.text(), r#"{"a":1}"#);
    let gone = gateway.get("/go/a%2Fb?q=1%262");
    if gone.status == 400 {
        gone.refused(400, "request.path");
    }
    let gone = gateway.get("/go/a%20b?q=1%262");
    assert!((300..400).contains(&gone.status));
    assert_eq!(gone.header("location"), Some("/there/a%20b?q=1%262"));
    let id = gateway.call("GET", "/id", &[("x-request-id", "mine")], "");
    assert_ne!(id.text(), "mine", "a stranger chose the request id");
    assert_eq!(id.header("x-request-id"), Some(id.text()));
}
