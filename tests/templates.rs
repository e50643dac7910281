//! Templates: every name, every filter, and a value that tries to be more than a value.

use crate::support::gateway;
use crate::support::upstream;

#[test]
fn names_are_filled_from_the_request() {
    let service = upstream::says("ok");
    let gateway = gateway::script(
        r#"
        route "GET /n/{id}/{rest*}" {
          function(req) req.user = { sub = "u1", plan = "gold" } req.ctx.x = "ctx" end,
          transform_request { set = {
            ["x-all"] = "{id} {rest*} {user.sub} {header.x-shop} {query.q} {cookie.sid} {ctx.x} {method} {host} {route}",
            ["x-ip"] = "{ip}", ["x-path"] = "{path}", ["x-id"] = "{request_id}", ["x-brace"] = "{{id}}",
            ["x-user"] = "{user}", ["x-absent"] = "[{query.absent}]",
            ["x-filter"] = "{query.q|lower} {query.q|base64url} {query.absent|\"none\"}",
          } },
          to = "service",
        }
        "#,
    )
    .service("service", &service)
    .start();
    let headers = [("x-shop", "s 1"), ("cookie", "sid=abc"), ("host", "shop.dev")];
    gateway.call("GET", "/n/7/a/b?q=QX", &headers, "").with(200);
    let seen = service.last();
    assert_eq!(seen.header("x-all"), Some("7 a/b u1 s 1 QX abc ctx GET shop.dev GET /n/{id}/{rest*}"));
    assert_eq!(seen.header("x-ip"), Some("127.0.0.1"));
    assert_eq!(seen.header("x-path"), Some("/n/7/a/b"));
    assert!(seen.header("x-id").is_some_and(|id| id.len() >= 16));
    assert_eq!(seen.header("x-brace"), Some("{id}"));
    let user: serde_json::Value = serde_json::from_str(seen.header("x-user").unwrap()).unwrap();
    assert_eq!(user, serde_json::json!({ "sub": "u1", "plan": "gold" }));
    assert_eq!(seen.header("x-absent"), Some("[]"));
    assert_eq!(seen.header("x-filter"), Some("qx UVg none"));
}

#[test]
fn a_value_is_escaped_for_where_it_stands() {
    let service = upstream::says("ok");
    let gateway = gateway::script(
        r#"
        route "GET /path/{x}" { rewrite = "/v/{x}/end", to = "service" }
        route "GET /tail/{rest*}" { rewrite = "/v/{rest*}", to = "service" }
        route "GET /query" { rewrite = "/v?a={query.x}&b=1", to = "service" }
        route "GET /json" { transform_request { method = "POST", body = { a = "{query.x}" } }, to = "service" }
        route "GET /header" { transform_request { set = { ["x-a"] = "{query.x}" } }, to = "service" }
        "#,
    )
    .service("service", &service)
    .start();
    gateway.get("/path/a%3Fb%23c").with(200);
    assert_eq!(service.last().target, "/v/a%3Fb%23c/end");
    gateway.get("/tail/a/b%20c").with(200);
    assert_eq!(service.last().target, "/v/a/b%20c");
    gateway.get("/query?x=1%26b%3D2%23").with(200);
    assert_eq!(service.last().target, "/v?a=1%26b%3D2%23&b=1&x=1%26b%3D2%23", "the request's own query follows");
    gateway.get("/json?x=%22%2C%22admin%22%3A%22yes").with(200);
    let body: serde_json::Value = serde_json::from_slice(&service.last().body).unwrap();
    assert_eq!(body, serde_json::json!({ "a": "\",\"admin\":\"yes" }));
    gateway.get("/header?x=fine").with(200);
    let calls = service.calls();
    for hostile in ["a%0D%0Ax-b:%20c", "a%0Ab", "a%00b", "a%0D"] {
        gateway.get(&format!("/header?x={hostile}")).refused(400, "header.unsafe");
    }
    assert_eq!(service.calls(), calls);
}

#[test]
fn dot_segments_never_come_out_of_a_template() {
    let service = upstream::says("ok");
    let gateway = gateway::script(
        r#"
        route "GET /q" { rewrite = "/files/{query.name}/data", to = "service" }
        route "GET /r" { rewrite = "/files/{query.name}", to = "service" }
        "#,
    )
    .service("service", &service)
    .start();
    for hostile in ["..", ".", "%2E%2E", "..%2F..%2Fetc", "a%2F..%2Fb"] {
        for target in ["/q", "/r"] {
            let answer = gateway.get(&format!("{target}?name={hostile}"));
            if answer.status == 200 {
                let sent = service.last().target;
                assert!(!sent.split('/').any(|s| matches!(s, "." | "..")), "{hostile} became {sent}");
                assert!(sent.starts_with("/files/") && sent.matches('/').count() <= 3, "{hostile} became {sent}");
            } else {
                assert_eq!(answer.status, 400, "{answer:?}");
            }
        }
    }
}

#[test]
fn json_of_the_body_and_of_the_answer_can_be_named() {
    let service = upstream::answers(|seen| {
        assert_eq!(seen.body, br#"{"order":{"id":9007199254740993}}"#);
        upstream::answer(201, &[("content-type", "application/json"), ("x-up", "u")], r#"{"ref":"r1"}"#)
    });
    let gateway = gateway::script(
        r#"
        route "POST /o" {
          transform_request { set = { ["x-order"] = "{json.order.id}" } },
          transform_response { set = { ["x-said"] = "{response.status} {response.header.x-up} {response.json.ref}" } },
          to = "service",
        }
        "#,
    )
    .service("service", &service)
    .start();
    let answer =
        gateway.call("POST", "/o", &[("content-type", "application/json")], r#"{"order":{"id":9007199254740993}}"#);
    assert_eq!(answer.header("x-said"), Some("201 u r1"));
    assert_eq!(service.last().header("x-order"), Some("9007199254740993"));
}
