//! Cross-origin requests: preflights before every step, fields on every answer, and nothing for strangers.

use crate::support::answer::Answer;
use crate::support::gateway;
use crate::support::gateway::Gateway;
use crate::support::upstream;

const APP: (&str, &str) = ("origin", "https://app.dev");

fn preflight(gateway: &Gateway, target: &str, method: &str, more: &[(&str, &str)]) -> Answer {
    let mut headers = vec![APP, ("access-control-request-method", method)];
    headers.extend(more);
    gateway.call("OPTIONS", target, &headers, "")
}

fn allowed(answer: &Answer) -> Option<&str> {
    answer.header("access-control-allow-origin")
}

#[test]
fn a_preflight_is_answered_before_every_step() {
    let service = upstream::says("never");
    let gateway = gateway::script(
        r#"
        gateway { function(req) req.ctx.ran = true reject(401) end }
        route "PUT /orders/{id}" { cors { origins = { "https://app.dev" }, credentials = true, max_age = "1h" }, to = "service" }
        "#,
    )
    .service("service", &service)
    .start();
    let asked = ("access-control-request-headers", "content-type,x-shop");
    let answer = preflight(&gateway, "/orders/7", "PUT", &[asked]).with(204);
    assert_eq!(allowed(&answer), Some("https://app.dev"));
    assert_eq!(answer.header("access-control-allow-methods"), Some("PUT"));
    assert_eq!(answer.header("access-control-allow-headers"), Some("content-type,x-shop"));
    assert_eq!(answer.header("access-control-allow-credentials"), Some("true"));
    assert_eq!(answer.header("access-control-max-age"), Some("3600"));
    let vary = "Origin, Access-Control-Request-Method, Access-Control-Request-Headers";
    assert_eq!(answer.header("vary"), Some(vary));
    assert!(answer.body.is_empty() && answer.header("x-request-id").is_some());
    let stranger = [("origin", "https://evil.dev"), ("access-control-request-method", "PUT")];
    let refused = gateway.call("OPTIONS", "/orders/7", &stranger, "").with(204);
    assert_eq!((allowed(&refused), refused.header("vary")), (None, Some(vary)));
    assert_eq!(refused.header("access-control-allow-methods"), None);
    assert!(service.seen().is_empty());
}

#[test]
fn an_ordinary_options_never_passes_a_step_by() {
    let gateway = gateway::script(
        r#"
        gateway { cors "*", function(req) if not req.headers["x-key"] then reject(401) end end }
        route "GET /a" { function() return "never" end }
        route "OPTIONS /b" { function() return { text = "mine" } end }
        route "/c" { skip = {}, function(req) return { text = req.method } end }
        "#,
    )
    .start();
    for headers in [vec![APP], vec![("access-control-request-method", "GET")], vec![]] {
        gateway.call("OPTIONS", "/a", &headers, "").refused(401, "rejected");
    }
    let key = ("x-key", "1");
    assert_eq!(gateway.call("OPTIONS", "/b", &[APP, key], "").text(), "mine");
    assert_eq!(
        preflight(&gateway, "/b", "OPTIONS", &[]).with(204).header("access-control-allow-methods"),
        Some("OPTIONS")
    );
    let own = preflight(&gateway, "/b", "GET", &[key]);
    assert_eq!((own.status, own.text()), (200, "mine"), "a route that answers OPTIONS itself is asked");
    assert_eq!(gateway.call("OPTIONS", "/c", &[APP, key], "").text(), "OPTIONS");
    preflight(&gateway, "/c", "DELETE", &[]).with(204);
}

#[test]
fn every_answer_says_who_may_read_it() {
    let service = upstream::answers(|seen| match seen.target.as_str() {
        "/broken" => b"nonsense\r\n\r\n".to_vec(),
        _ => upstream::answer(
            200,
            &[("access-control-allow-origin", "*"), ("access-control-allow-credentials", "true"), ("vary", "accept")],
            "fine",
        ),
    });
    let gateway = gateway::script(
        r#"
        gateway { cors { "https://app.dev", expose = "x-total" } }
        route "GET /{what}" {
          function(req)
            req.headers.origin = nil
            local what = req.params.what
            if what == "401" then reject(401) elseif what == "oops" then error("oops") elseif what == "step" then return 204 end
          end,
          to = "service",
        }
        "#,
    )
    .service("service", &service)
    .start();
    for (target, status) in
        [("/fine", 200), ("/broken", 502), ("/401", 401), ("/oops", 500), ("/step", 204), ("/no/route", 404)]
    {
        let answer = gateway.call("GET", target, &[APP], "").with(status);
        assert_eq!(answer.all("access-control-allow-origin"), ["https://app.dev"], "{target}");
        assert_eq!(answer.header("access-control-expose-headers"), Some("x-total"), "{target}");
        assert_eq!(answer.header("access-control-allow-credentials"), None, "the service's own are gone: {target}");
        assert!(answer.all("vary").contains(&"Origin"), "{target}");
        for headers in [vec![("origin", "https://evil.dev")], vec![("origin", "null")], vec![]] {
            let answer = gateway.call("GET", target, &headers, "").with(status);
            assert_eq!((allowed(&answer), answer.header("access-control-expose-headers")), (None, None), "{target}");
            assert!(answer.all("vary").contains(&"Origin"), "{target}: {answer:?}");
        }
    }
    let method = gateway.call("DELETE", "/fine", &[APP], "").with(405);
    assert_eq!((allowed(&method), method.header("allow").is_some()), (Some("https://app.dev"), true));
    let head = gateway.call("HEAD", "/fine", &[APP], "").with(200);
    assert_eq!(allowed(&head), Some("https://app.dev"));
    preflight(&gateway, "/no/route", "GET", &[]).with(204);
}

#[test]
fn the_inner_level_wins_and_may_be_skipped() {
    let gateway = gateway::script(
        r#"
        local wide = cors "*"
        gateway { wide }
        group "/inner" {
          cors "https://group.dev",
          route "GET /group" { function() return 204 end },
          route "GET /route" { cors { "https://app.dev", regex "https://[a-z]+\\.x\\.dev" }, function() return 204 end },
        }
        route "GET /wide" { function() return 204 end }
        route "GET /none" { skip = { wide }, function() return 204 end }
        route "GET /dry" { cors { "https://app.dev", enforce = false }, function() return 204 end }
        "#,
    )
    .start();
    let told = |target: &str, origin: &str| {
        gateway
            .call("GET", target, &[("origin", origin)], "")
            .with(204)
            .header("access-control-allow-origin")
            .map(str::to_owned)
    };
    assert_eq!(told("/wide", "https://any.dev").as_deref(), Some("*"));
    assert_eq!(told("/dry", "https://any.dev").as_deref(), Some("*"));
    assert_eq!(told("/none", "https://any.dev"), None);
    assert_eq!(told("/inner/group", "https://group.dev").as_deref(), Some("https://group.dev"));
    assert_eq!(told("/inner/group", "https://any.dev"), None);
    assert_eq!(told("/inner/route", "https://app.dev").as_deref(), Some("https://app.dev"));
    assert_eq!(told("/inner/route", "https://b.x.dev").as_deref(), Some("https://b.x.dev"));
    assert_eq!(told("/inner/route", "https://b.x.dev.evil.com"), None);
    assert_eq!(told("/inner/route", "https://group.dev"), None);
    let open = gateway.call("GET", "/wide", &[APP], "");
    assert!(open.all("vary").is_empty(), "the answer is the same for every origin");
    preflight(&gateway, "/none", "GET", &[]).refused(405, "route.method");
}

#[test]
fn a_condition_decides_per_request() {
    let gateway = gateway::script(
        r#"
        route "GET /" { cors { "*", when = function(req) return req.query.open ~= nil end }, function() return 204 end }
        route "GET /bad" { cors { "*", when = function(req) error("oops") end }, function() return 204 end }
        "#,
    )
    .start();
    assert_eq!(allowed(&gateway.call("GET", "/?open", &[APP], "").with(204)), Some("*"));
    assert_eq!(allowed(&gateway.call("GET", "/", &[APP], "").with(204)), None);
    preflight(&gateway, "/?open", "GET", &[]).with(204);
    preflight(&gateway, "/", "GET", &[]).refused(405, "route.method");
    assert_eq!(allowed(&gateway.call("GET", "/bad", &[APP], "").with(204)), None, "a mistake opens nothing");
}

#[test]
fn hostile_origins_and_headers_come_to_nothing() {
    let gateway = gateway::script(
        r#"route "PUT /" { cors { origins = { "https://*.app.dev", "https://app.dev" } }, function() return 204 end }"#,
    )
    .start();
    let long = format!("https://{}.app.dev", "a".repeat(8000));
    for origin in
        [long.as_str(), "https://evil.dev/.app.dev", "https://app.dev\t", "HTTPS://APP.DEV", "null", "https://.app.dev"]
    {
        let answer = gateway.call("PUT", "/", &[("origin", origin)], "");
        assert!(answer.status == 204 || answer.status == 400, "{origin}: {answer:?}");
        let told = allowed(&answer);
        assert!(told.is_none() || told == Some("https://app.dev"), "{origin}: {told:?}");
    }
    let split = "PUT / HTTP/1.1\r\nhost: a\r\norigin: https://app.dev\rx-evil: 1\r\ncontent-length: 0\r\n\r\n";
    gateway.raw(split).with(400);
    let two = gateway.call("PUT", "/", &[("origin", "https://evil.dev"), APP], "");
    assert_eq!(allowed(&two), None, "the first counts");
    let fields = "x-long-name,".repeat(900);
    let answer = preflight(&gateway, "/", "PUT", &[("access-control-request-headers", &fields)]).with(204);
    assert_eq!(answer.header("access-control-allow-headers"), None);
    preflight(&gateway, "/", "PUT X", &[]).refused(405, "route.method");
}

#[test]
fn a_route_without_a_policy_is_left_alone() {
    let service =
        upstream::answers(|_| upstream::answer(200, &[("access-control-allow-origin", "https://own.dev")], "x"));
    let gateway = gateway::script(
        r#"
        route "/with" { cors "*", to = "service" }
        route "/without" { to = "service" }
        "#,
    )
    .service("service", &service)
    .start();
    assert_eq!(allowed(&gateway.get("/without")), Some("https://own.dev"));
    assert_eq!(allowed(&gateway.get("/with")), Some("*"));
    preflight(&gateway, "/without", "GET", &[]).with(200);
    assert_eq!(service.last().method, "OPTIONS");
}
