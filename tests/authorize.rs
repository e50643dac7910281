//! `authorize`: roles, scopes, claims, functions.

use crate::support::gateway;

/// `x-user` is the caller's claims as JSON.
fn gateway(routes: &str) -> gateway::Gateway {
    let login = "local function login(req) local user = req.headers['x-user'] if user then req.user = json.decode(user) end end";
    gateway::script(&format!("{login}\ngateway {{ login }}\n{routes}")).start()
}

#[test]
fn claims_must_say_all_that_is_asked_for() {
    let gateway = gateway(
        r#"
        route "GET /role" { authorize { role = "admin" }, mock {} }
        route "GET /roles" { authorize { role = { "admin", "editor" } }, mock {} }
        route "GET /scope" { authorize { scope = "orders:read orders:write" }, mock {} }
        route "GET /claim" { authorize { claim = { plan = { "gold", "silver" }, email_verified = true, ["realm.level"] = 3 } }, mock {} }
        route "GET /all" { authorize { role = "admin", scope = { "a", "b" }, claim = { plan = "gold" } }, mock {} }
        "#,
    );
    let status = |target: &str, user: &str| gateway.call("GET", target, &[("x-user", user)], "").status;
    for (target, user, expected) in [
        ("/role", r#"{"roles":["x","admin"]}"#, 200),
        ("/role", r#"{"role":"admin"}"#, 200),
        ("/role", r#"{"roles":["Admin"]}"#, 403),
        ("/role", r#"{"sub":"ann"}"#, 403),
        ("/roles", r#"{"role":"editor"}"#, 200),
        ("/scope", r#"{"scope":"orders:write x orders:read"}"#, 200),
        ("/scope", r#"{"scp":["orders:read"]}"#, 403),
        ("/claim", r#"{"plan":"silver","email_verified":true,"realm":{"level":3}}"#, 200),
        ("/claim", r#"{"plan":"silver","email_verified":false,"realm":{"level":3}}"#, 403),
        ("/claim", r#"{"plan":"free","email_verified":true,"realm":{"level":3}}"#, 403),
        ("/all", r#"{"role":"admin","scope":"b","plan":"gold"}"#, 200),
        ("/all", r#"{"role":"admin","scope":"b","plan":"free"}"#, 403),
    ] {
        assert_eq!(status(target, user), expected, "{target} {user}");
    }
}

#[test]
fn nobody_gets_401_and_who_lacks_a_scope_is_told_which() {
    let gateway = gateway(
        r#"
        route "GET /scope" { authorize { scope = { "orders:read", "all" } }, mock {} }
        route "GET /seen" { function(req) return { text = tostring(req.user.sub) } end }
        route "GET /read" { function(req) local _ = req.user.sub end, authorize { role = "admin" }, mock {} }
        "#,
    );
    let nobody = gateway.get("/scope");
    nobody.refused(401, "authorize.denied");
    assert_eq!(nobody.all("www-authenticate"), [r#"Bearer realm="api""#]);
    let lacking = gateway.call("GET", "/scope", &[("x-user", r#"{"sub":"ann"}"#)], "");
    lacking.refused(403, "authorize.denied");
    let challenge = r#"Bearer realm="api", error="insufficient_scope", scope="orders:read""#;
    assert_eq!(lacking.all("www-authenticate"), [challenge]);
    assert_eq!(gateway.get("/seen").text(), "nil");
    assert_eq!(gateway.get("/read").status, 401, "looking at req.user made somebody of nobody");
}

#[test]
fn a_function_may_decide_and_may_wait() {
    let gateway = gateway(
        r#"
        local own = authorize(function(req) sleep "1ms" return req.user.sub == req.params.id end, "not yours")
        route "GET /users/{id}" { own, mock {} }
        route "GET /named/{id}" { authorize { function(req) return req.user.sub == "root" end, status = 404, detail = "no such thing" }, mock {} }
        route "GET /broken" { authorize(function(req) return req.user.a.b end), mock {} }
        "#,
    );
    let as_ann = |target: &str| gateway.call("GET", target, &[("x-user", r#"{"sub":"ann"}"#)], "");
    assert_eq!(as_ann("/users/ann").status, 200);
    let refused = as_ann("/users/bob");
    refused.refused(403, "authorize.denied");
    assert_eq!(refused.at("/detail"), "not yours");
    assert_eq!(gateway.get("/users/bob").status, 401);
    assert_eq!((as_ann("/named/x").status, as_ann("/named/x").at("/detail")), (404, "no such thing".into()));
    as_ann("/broken").refused(500, "script.error");
}
