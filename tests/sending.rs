//! What is sent on: target, Host, rewrites, splits.

use std::collections::BTreeMap;

use crate::support::gateway;
use crate::support::upstream;

#[test]
fn path_and_query_arrive_byte_for_byte() {
    let service = upstream::says("ok");
    let gateway = gateway::before(&service);
    for target in ["/", "/a/b", "/a%20b?x=%2F&y=1+2", "/ä".replace('ä', "%C3%A4").as_str(), "/a?", "/a?b=c?d", "/x//y"]
    {
        gateway.get(target).with(200);
        assert_eq!(service.last().target, target);
    }
}

#[test]
fn rewrite_and_strip_prefix_change_the_path_alone() {
    let service = upstream::says("ok");
    let gateway = gateway::script(
        r#"
        route "GET /old/{id}" { rewrite = "/new/{id}/x", to = "service" }
        route "GET /api/{rest*}" { strip_prefix = "/api", to = "service" }
        route "GET /q/{id}" { rewrite = "/q?id={id}", to = "service" }
        "#,
    )
    .service("service", &service)
    .start();
    for (asked, sent) in [
        ("/old/7?a=1", "/new/7/x?a=1"),
        ("/old/a%20b", "/new/a%20b/x"),
        ("/api/users/1?x", "/users/1?x"),
        ("/api", "/"),
        ("/q/a%26b", "/q?id=a%26b"),
    ] {
        gateway.get(asked).with(200);
        assert_eq!(service.last().target, sent, "{asked}");
    }
}

#[test]
fn host_is_kept_or_the_upstreams_or_a_template() {
    let service = upstream::says("ok");
    let gateway = gateway::script(
        r#"
        route "GET /auto" { to = "service" }
        route "GET /keep" { host = "keep", to = "service" }
        route "GET /upstream" { host = "upstream", to = "service" }
        route "GET /text/{t}" { host = "{t}.internal", to = "service" }
        "#,
    )
    .service("service", &service)
    .start();
    let own = service.address().to_string();
    for (target, host) in
        [("/auto", "shop.dev:81"), ("/keep", "shop.dev:81"), ("/upstream", own.as_str()), ("/text/a", "a.internal")]
    {
        gateway.call("GET", target, &[("host", "shop.dev:81")], "").with(200);
        assert_eq!(service.last().header("host"), Some(host), "{target}");
    }
}

#[test]
fn to_may_be_a_url_with_a_path_a_function_or_a_template() {
    let service = upstream::says("ok");
    let gateway = gateway::script(
        r#"
        gateway { to_hosts = { "127.0.0.*" } }
        route "GET /url/{rest*}" { to = "$URL/base", strip_prefix = "/url" }
        route "GET /function" { to = function(req) return req.query.where end }
        route "GET /template/{host}" { to = "http://{host}:$PORT" }
        route "GET /below/{id}" { to = "service/of/{id}", rewrite = "/x" }
        "#,
    )
    .with("$URL", service.url())
    .with("$PORT", service.address().port())
    .service("service", &service)
    .start();
    gateway.get("/url/x?y=1").with(200);
    assert_eq!(service.last().target, "/base/x?y=1");
    gateway.get("/function?where=service").with(200);
    gateway.get("/template/127.0.0.1").with(200);
    gateway.get("/below/7").with(200);
    assert_eq!(service.last().target, "/of/7/x");
    let calls = service.calls();
    gateway.get("/template/localhost").refused(502, "upstream.unknown");
    gateway.get("/function?where=nobody").refused(502, "upstream.unknown");
    assert_eq!(service.calls(), calls);
}

#[test]
fn a_path_that_a_function_makes_is_no_fragment() {
    let service = upstream::says("ok");
    let gateway = gateway::script(
        r#"route "/{id}" { function(req) return req:forward("service", { path = "/x/" .. req.params.id }) end }"#,
    )
    .service("service", &service)
    .start();
    gateway.get("/a%23b").with(200);
    assert_eq!(service.last().target, "/x/a%23b");
}

#[test]
fn a_host_that_the_script_wrote_itself_needs_no_leave() {
    let service = upstream::says("ok");
    let gateway = gateway::script(r#"route "GET /{id}/{rest*}" { to = "$URL/of/{id}", rewrite = "/{rest*}" }"#)
        .with("$URL", service.url())
        .start();
    gateway.get("/7/a/b").with(200);
    assert_eq!(service.last().target, "/of/7/a/b");
    gateway.get("/@evil.test:1/a").with(200);
    assert_eq!(service.last().target, "/of/@evil.test:1/a");
}

#[test]
fn a_split_is_stable_and_near_its_weights() {
    let [a, b] = ["a", "b"].map(upstream::says);
    let gateway = gateway::script(r#"route "GET /s" { to = { a = 75, b = 25 }, split_by = "{query.u}" }"#)
        .service("a", &a)
        .service("b", &b)
        .start();
    let mut client = gateway.client();
    let mut chosen = BTreeMap::new();
    for user in 0..400 {
        chosen.insert(user, client.get(&format!("/s?u={user}")).text().to_owned());
    }
    for user in (0..400).step_by(7) {
        assert_eq!(&client.get(&format!("/s?u={user}")).text(), chosen.get(&user).unwrap());
    }
    let share = chosen.values().filter(|name| *name == "b").count();
    assert!((60..=140).contains(&share), "{share} of 400 went to the quarter");
}

#[test]
fn what_a_step_writes_is_sent_and_the_route_stays() {
    let service = upstream::says("ok");
    let gateway = gateway::script(
        r#"
        gateway { on_request = function(req)
          if req.path == "/alias" then req.path = "/a" end
          if req.query.teapot then return 418 end
        end }
        route "GET /a" { function(req)
          req.path = "/changed"
          req.method = "PUT"
          req.headers["x-route"] = req.route.pattern
          req.query.extra = "1 2"
        end, to = "service" }
        "#,
    )
    .service("service", &service)
    .start();
    gateway.get("/alias?k=v").with(200);
    let seen = service.last();
    assert_eq!((seen.method.as_str(), seen.header("x-route")), ("PUT", Some("GET /a")));
    assert!(matches!(seen.target.as_str(), "/changed?k=v&extra=1%202" | "/changed?k=v&extra=1+2"), "{}", seen.target);
    gateway.get("/changed").refused(404, "route.none");
    assert_eq!(gateway.get("/nowhere?teapot=1").status, 418);
}

#[test]
fn balancing_spreads_by_weight_and_backup_waits_for_need() {
    let [a, b, c] = ["a", "b", "c"].map(upstream::says);
    let dead = upstream::nobody();
    let gateway = gateway::script(
        r#"
        upstream "turn" { { "$A", weight = 3 }, "$B", balance = "round_robin" }
        upstream "first" { "$A", "$B", balance = "first" }
        upstream "random" { "$A", "$B", balance = "random" }
        upstream "spare" { "$A", { "$C", backup = true } }
        upstream "broken" { "$DEAD", { "$C", backup = true } }
        route "GET /{name}" { to = function(req) return req.params.name end }
        "#,
    )
    .with("$A", a.address())
    .with("$B", b.address())
    .with("$C", c.address())
    .with("$DEAD", dead)
    .start();
    let mut client = gateway.client();
    let mut count = |name: &str, n: usize, letter: &str| {
        (0..n).filter(|_| client.get(&format!("/{name}")).text() == letter).count()
    };
    assert_eq!(count("turn", 40, "a"), 30);
    assert_eq!(count("first", 10, "a"), 10);
    assert_eq!(count("spare", 10, "a"), 10);
    assert_eq!(count("broken", 10, "c"), 10);
    assert!((8..=52).contains(&count("random", 60, "a")));
}
