//! Which route answers: the most specific one, whatever order they were written in.

use crate::support::gateway;
use crate::support::gateway::Gateway;
use crate::support::upstream;

/// A gateway whose every route answers with its own pattern.
fn table(routes: &[&str]) -> Gateway {
    let mut script = String::from("local function me(req) return { text = req.route.pattern } end\n");
    for route in routes {
        script += &format!("route({route:?}, {{ me }})\n");
    }
    gateway::script(&script).start()
}

#[track_caller]
fn picks(gateway: &Gateway, method: &str, target: &str, host: &str, pattern: &str) {
    let answer = gateway.call(method, target, &[("host", host)], "");
    assert_eq!(answer.text(), pattern, "{method} {host}{target}: {}", answer.status);
}

#[test]
fn literal_beats_typed_beats_parameter_beats_tail() {
    let mut routes = ["GET /a/{rest*}", "GET /a/{x}", "GET /a/{n:int}", "GET /a/b", "GET /a/{u:uuid}"];
    for _ in 0..2 {
        let gateway = table(&routes);
        picks(&gateway, "GET", "/a/b", "x", "GET /a/b");
        picks(&gateway, "GET", "/a/7", "x", "GET /a/{n:int}");
        picks(&gateway, "GET", "/a/7x", "x", "GET /a/{x}");
        picks(&gateway, "GET", "/a/0b1c2d3e-0000-4000-8000-00000000000f", "x", "GET /a/{u:uuid}");
        picks(&gateway, "GET", "/a/b/c", "x", "GET /a/{rest*}");
        picks(&gateway, "GET", "/a", "x", "GET /a/{rest*}");
        picks(&gateway, "GET", "/a/", "x", "GET /a/{rest*}");
        routes.reverse();
    }
}

#[test]
fn a_dead_end_below_a_literal_falls_back_to_the_parameter() {
    let gateway = table(&["GET /a/b/c", "GET /a/{x}/d", "GET /{y}/b/e", "GET /{rest*}"]);
    picks(&gateway, "GET", "/a/b/c", "x", "GET /a/b/c");
    picks(&gateway, "GET", "/a/b/d", "x", "GET /a/{x}/d");
    picks(&gateway, "GET", "/a/b/e", "x", "GET /{y}/b/e");
    picks(&gateway, "GET", "/a/b/f", "x", "GET /{rest*}");
}

#[test]
fn exact_host_beats_wildcard_beats_any_and_a_method_beats_none() {
    let mut routes = ["/p", "GET /p", "GET *.b.dev/p", "GET a.b.dev/p", "GET *.c.b.dev/p"];
    for _ in 0..2 {
        let gateway = table(&routes);
        picks(&gateway, "GET", "/p", "a.b.dev", "GET a.b.dev/p");
        picks(&gateway, "GET", "/p", "A.B.dev:8080", "GET a.b.dev/p");
        picks(&gateway, "GET", "/p", "z.b.dev", "GET *.b.dev/p");
        picks(&gateway, "GET", "/p", "z.c.b.dev", "GET *.c.b.dev/p");
        picks(&gateway, "GET", "/p", "b.dev", "GET /p");
        picks(&gateway, "GET", "/p", "evil.dev", "GET /p");
        picks(&gateway, "PUT", "/p", "a.b.dev", "/p");
        routes.reverse();
    }
}

#[test]
fn text_around_a_parameter_is_part_of_the_pattern() {
    let gateway = table(&["POST /orders/{id}:cancel", "GET /files/{name}.json", "GET /files/{name}", "GET|PUT /two"]);
    picks(&gateway, "POST", "/orders/7:cancel", "x", "POST /orders/{id}:cancel");
    picks(&gateway, "GET", "/files/a.json", "x", "GET /files/{name}.json");
    picks(&gateway, "GET", "/files/a.xml", "x", "GET /files/{name}");
    picks(&gateway, "PUT", "/two", "x", "GET|PUT /two");
    gateway.call("POST", "/orders/7:refund", &[], "").refused(404, "route.none");
}

#[test]
fn more_match_conditions_win_and_all_must_hold() {
    let gateway = gateway::script(
        r#"
        local function says(text) return function() return { text = text } end end
        route "GET /m" { says "plain" }
        route "GET /m" { match = { header = { ["x-beta"] = "yes" } }, says "header" }
        route "GET /m" { match = { header = { ["x-beta"] = "yes" }, query = { v = regex "^[0-9]+$" } }, says "both" }
        route "GET /m" { match = { cookie = { sid = true } }, says "cookie" }
        route "GET /m" { match = { query = { v = "a*" } }, says "glob" }
        route "POST /j" { says "any" }
        route "POST /j" { match = { json = { kind = "order" } }, says "json" }
        "#,
    )
    .start();
    let get = |target: &str, headers: &[(&str, &str)]| gateway.call("GET", target, headers, "").text().to_owned();
    assert_eq!(get("/m", &[]), "plain");
    assert_eq!(get("/m", &[("x-beta", "yes")]), "header");
    assert_eq!(get("/m", &[("x-beta", "no")]), "plain");
    assert_eq!(get("/m?v=12", &[("x-beta", "yes")]), "both");
    assert_eq!(get("/m?v=12x", &[("x-beta", "yes")]), "header");
    assert_eq!(get("/m", &[("cookie", "a=1; sid=x")]), "cookie");
    assert_eq!(get("/m?v=abc", &[]), "glob");
    let json = [("content-type", "application/json")];
    assert_eq!(gateway.call("POST", "/j", &json, r#"{"kind":"order"}"#).text(), "json");
    assert_eq!(gateway.call("POST", "/j", &json, r#"{"kind":"other"}"#).text(), "any");
    assert_eq!(gateway.call("POST", "/j", &json, r#"{"kind":"#).text(), "any");
}

#[test]
fn when_chooses_in_the_order_written_and_the_one_without_is_last() {
    let gateway = gateway::script(
        r#"
        local function says(text) return function() return { text = text } end end
        route "GET /w" { says "rest" }
        route "GET /w" { when = function(req) return req.query.a ~= nil end, says "a" }
        route "GET /w" { when = function(req) return req.query.b ~= nil end, says "b" }
        "#,
    )
    .start();
    assert_eq!(gateway.get("/w?b=1").text(), "b");
    assert_eq!(gateway.get("/w?b=1&a=1").text(), "a");
    assert_eq!(gateway.get("/w").text(), "rest");
}

#[test]
fn parameters_are_decoded_and_typed() {
    let gateway = gateway::script(
        r#"
        route "GET /p/{name}/{n:int}" { function(req)
          return { json = { name = req.params.name, kind = type(req.params.n), twice = req.params.n * 2 } }
        end }
        route "GET /t/{rest*}" { function(req) return { text = "[" .. req.params.rest .. "]" } end }
        "#,
    )
    .start();
    let answer = gateway.get("/p/a%20b%C3%A9/21");
    assert_eq!(answer.json(), serde_json::json!({ "name": "a bé", "kind": "number", "twice": 42 }));
    gateway.get("/p/a/21.5").refused(404, "route.none");
    assert_eq!(gateway.get("/t/a/b%20c").text(), "[a/b c]");
    assert_eq!(gateway.get("/t").text(), "[]");
}

#[test]
fn no_route_is_404_and_a_wrong_method_405_with_every_method_allowed() {
    let gateway = table(&["GET /a", "PUT|DELETE /a", "GET /b"]);
    gateway.get("/nowhere").refused(404, "route.none");
    let answer = gateway.call("POST", "/a", &[], "x");
    answer.refused(405, "route.method");
    let mut allowed: Vec<_> = answer.header("allow").unwrap().split(", ").collect();
    allowed.sort_unstable();
    assert_eq!(allowed, ["DELETE", "GET", "HEAD", "PUT"]);
    gateway.call("BREW", "/a", &[], "").refused(405, "route.method");
    gateway.call("BREW", "/nowhere", &[], "").refused(404, "route.none");
}

#[test]
fn head_follows_get_and_carries_no_body() {
    let service = upstream::answers(|seen| match seen.method.as_str() {
        "HEAD" => b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\n".to_vec(),
        _ => upstream::ok("hello"),
    });
    let gateway = gateway::script(
        r#"
        route "GET /here" { function() return { text = "hello" } end }
        route "GET /there" { to = "service" }
        "#,
    )
    .service("service", &service)
    .start();
    let mut client = gateway.client();
    for target in ["/here", "/there"] {
        let answer = client.call("HEAD", target, &[], "");
        assert_eq!((answer.status, answer.header("content-length")), (200, Some("5")), "{answer:?}");
        assert_eq!(client.get(target).text(), "hello");
    }
    assert_eq!(client.call("HEAD", "/nowhere", &[], "").status, 404);
    assert_eq!(client.get("/here").status, 200);
}

#[test]
fn a_trailing_slash_is_strict_redirected_or_ignored() {
    let gateway = gateway::script(
        r#"
        local function ok() return { text = "ok" } end
        route "GET /strict" { ok }
        route "GET /redirect" { slash = "redirect", ok }
        route "GET /ignore" { slash = "ignore", ok }
        "#,
    )
    .start();
    gateway.get("/strict/").refused(404, "route.none");
    let answer = gateway.get("/redirect/?a=1");
    assert!(matches!(answer.status, 301 | 308), "{answer:?}");
    assert_eq!(answer.header("location"), Some("/redirect?a=1"));
    assert_eq!(gateway.get("/ignore/").text(), "ok");
}

#[test]
fn a_redirected_slash_never_leaves_the_host() {
    let gateway = gateway::script(r#"route "GET /{x}" { slash = "redirect", function() return 204 end }"#).start();
    for target in ["//evil.dev/", "//evil.dev", "/\\evil.dev/", "/%2Fevil.dev/"] {
        let answer = gateway.get(target);
        let location = answer.header("location").unwrap_or("/").to_owned();
        assert!(
            location.starts_with('/') && !location.starts_with("//") && !location.contains('\\'),
            "{target} → {location}"
        );
    }
}

#[test]
fn groups_nest_prefix_host_and_steps() {
    let gateway = gateway::script(
        r#"
        local function add(letter) return function(req) req.ctx.trail = (req.ctx.trail or "") .. letter end end
        local function trail(req) return { text = req.ctx.trail .. " " .. req.route.pattern } end
        gateway { add "g" }
        group "/v1" { add "a",
          group "/users" { add "b",
            route "GET /{id}" { add "c", trail },
          },
          route "GET /" { trail },
        }
        group "api.dev/x" { add "h", route "GET /y" { trail } }
        route "GET /free" { trail }
        "#,
    )
    .start();
    picks(&gateway, "GET", "/v1/users/7", "x", "gabc GET /v1/users/{id}");
    picks(&gateway, "GET", "/free", "x", "g GET /free");
    picks(&gateway, "GET", "/x/y", "api.dev", "gh GET api.dev/x/y");
    gateway.call("GET", "/x/y", &[("host", "other.dev")], "").refused(404, "route.none");
}

#[test]
fn parameters_are_there_for_everyone_who_reads_them() {
    let gateway = gateway::script(
        r#"
        upstream "echo" { "echo:" }
        local function tell(req, res) res.headers["x-id"] = req.params.id end
        route "/rewrite/{id}" { rewrite = "/got/{id}", to = "echo" }
        route "/host/{id}" { host = "{id}.test", to = "echo" }
        route "/to/{id}" { to = "{id}" }
        route "/function/{id}" { to = function(req) return req.params.id end }
        route "/step/{id}" { function(req) req.headers["x-id"] = req.params.id end, to = "echo" }
        route "/response/{id}" { on_response = tell, to = "echo" }
        route "/when/{id}" { when = function(req) return req.params.id == "echo" end, to = "echo" }
        route "/errors/{id}" { errors = { ["upstream.*"] = { status = 418, text = "no {id}" } }, to = "http://127.0.0.1:1" }
        route "/cors/{id}" { cors { "*", when = function(req) return req.params.id == "echo" end }, to = "echo" }
        route "/plain/{id}" { to = "echo" }
        "#,
    )
    .start();
    let got = |path: &str| gateway.get(path).with(200);
    assert!(got("/rewrite/7").text().contains("\"/got/7\""));
    assert!(got("/host/echo").text().contains("echo.test"));
    got("/to/echo");
    got("/function/echo");
    assert!(got("/step/7").text().contains("\"x-id\": \"7\""));
    assert_eq!(got("/response/7").header("x-id"), Some("7"));
    got("/when/echo");
    assert_eq!(gateway.get("/when/7").status, 404);
    assert_eq!(gateway.get("/errors/7").with(418).text(), "no 7");
    let allowed = |path: &str| gateway.call("GET", path, &[("origin", "https://app.dev")], "").with(200);
    assert_eq!(allowed("/cors/echo").header("access-control-allow-origin"), Some("*"));
    assert_eq!(allowed("/cors/7").header("access-control-allow-origin"), None);
    got("/plain/7");
}
