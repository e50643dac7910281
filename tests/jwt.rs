//! `jwt`: who may come in with which token, and what the service is told.

use moongate::primitive::jwt::Signer;
use serde_json::Value;
use serde_json::json;

use crate::support::gateway;
use crate::support::idp::now;
use crate::support::upstream;

const SECRET: &str = "0123456789abcdef0123456789abcdef";

fn token(claims: &Value) -> String {
    let mut all = json!({ "exp": now() + 3600 });
    for (name, value) in claims.as_object().unwrap() {
        all[name] = value.clone();
    }
    Signer::secret(SECRET.as_bytes(), None).unwrap().sign(&all, serde_json::Map::new()).unwrap()
}

fn bearer(token: &str) -> String {
    format!("Bearer {token}")
}

fn gateway(options: &str) -> gateway::Gateway {
    let text = format!(
        r#"route "/{{rest*}}" {{ jwt {{ secret = secret "KEY", {options} }}, function(req) return {{ json = {{ user = req.user }} }} end }}"#
    );
    gateway::script(&text).env("KEY", SECRET).start()
}

#[test]
fn a_token_says_who_calls_and_nothing_else_lets_in() {
    let gateway = gateway("issuer = 'https://id', audience = 'api'");
    let fine = json!({ "iss": "https://id", "aud": "api", "sub": "u1" });
    let call = |field: &str| gateway.call("GET", "/", &[("authorization", field)], "");
    let answer = call(&bearer(&token(&fine))).with(200);
    assert_eq!(answer.at("/user/sub"), "u1");
    assert_eq!(call(&bearer(&token(&fine))).with(200).at("/user/sub"), "u1", "known by now");
    assert_eq!(call(&format!("bearer  {}", token(&fine))).status, 200);

    let answer = gateway.get("/");
    answer.refused(401, "jwt.missing");
    assert_eq!(
        answer.header("www-authenticate"),
        Some(r#"Bearer realm="api""#),
        "RFC 6750 §3.1: no error without a token"
    );
    for field in ["Basic dTpw", "Bearer", "Bearer ", ""] {
        call(field).refused(401, "jwt.missing");
    }
    let answer = call("Bearer nonsense");
    answer.refused(401, "jwt.invalid");
    let challenge = answer.header("www-authenticate").unwrap();
    assert_eq!(challenge, r#"Bearer realm="api", error="invalid_token", error_description="the token is malformed""#);
    for (claims, code) in [
        (json!({ "iss": "https://id", "aud": "api", "exp": now() - 60 }), "jwt.expired"),
        (json!({ "iss": "https://id", "aud": "api", "nbf": now() + 60 }), "jwt.invalid"),
        (json!({ "iss": "https://evil", "aud": "api" }), "jwt.invalid"),
        (json!({ "iss": "https://id" }), "jwt.invalid"),
    ] {
        let answer = call(&bearer(&token(&claims)));
        answer.refused(401, code);
        assert!(answer.header("www-authenticate").unwrap().contains(r#"error="invalid_token""#));
    }
    let two = [("authorization", "Bearer a"), ("authorization", "Bearer b")];
    assert_eq!(gateway.call("GET", "/", &two, "").status, 400);
}

#[test]
fn the_service_is_told_by_fields_that_no_client_can_write() {
    let service = upstream::says("ok");
    let gateway = gateway::script(
        r#"
        route "GET /a" {
          jwt {
            secret = secret "KEY", optional = true, hide = true,
            forward = { ["x-user"] = "{user.sub}", ["x-plan"] = function(user) return string.upper(user.plan or "free") end },
          },
          to = "service",
        }
        "#,
    )
    .env("KEY", SECRET)
    .service("service", &service)
    .start();
    let lies = [("x-user", "root"), ("X-User", "admin"), ("x-plan", "GOLD")];
    gateway.call("GET", "/a", &lies, "").with(200);
    let seen = service.last();
    assert_eq!((seen.header("x-user"), seen.header("x-plan")), (None, None), "nobody is nobody");

    let field = bearer(&token(&json!({ "sub": "u1", "plan": "silver" })));
    gateway.call("GET", "/a", &[&lies[..], &[("authorization", field.as_str())]].concat(), "").with(200);
    let seen = service.last();
    assert_eq!((seen.all("x-user"), seen.all("x-plan")), (vec!["u1"], vec!["SILVER"]));
    assert_eq!(seen.header("authorization"), None, "hidden");

    let field = bearer(&token(&json!({ "sub": "a\r\nx-evil: 1" })));
    gateway.call("GET", "/a", &[("authorization", field.as_str())], "").refused(400, "header.unsafe");
    gateway.call("GET", "/a", &[("authorization", "Bearer bad")], "").refused(401, "jwt.invalid");
}

#[test]
fn tokens_stand_where_the_option_says() {
    let service = upstream::says("ok");
    let gateway = gateway::script(
        r#"route "GET /a" { jwt { secret = secret "KEY", from = { "header:X-Token", "cookie:sid", "query:t" }, hide = true }, to = "service" }"#,
    )
    .env("KEY", SECRET)
    .service("service", &service)
    .start();
    let token = token(&json!({}));
    gateway.call("GET", "/a", &[("authorization", &bearer(&token))], "").refused(401, "jwt.missing");
    gateway.call("GET", "/a", &[("x-token", &token)], "").with(200);
    gateway.call("GET", "/a", &[("x-token", &bearer(&token))], "").with(200);
    gateway.call("GET", "/a", &[("cookie", &format!("a=1; sid={token}; b=2"))], "").with(200);
    assert_eq!(service.last().header("cookie"), Some("a=1; b=2"));
    gateway.call("GET", &format!("/a?x=1&t={token}&y=2"), &[], "").with(200);
    assert_eq!(service.last().target, "/a?x=1&y=2");
}

#[test]
fn a_dry_run_refuses_nobody_and_still_knows_who_calls() {
    let gateway = gateway("enforce = false");
    assert_eq!(gateway.get("/").with(200).at("/user"), json!({}));
    let field = bearer(&token(&json!({ "sub": "u1" })));
    assert_eq!(gateway.call("GET", "/", &[("authorization", &field)], "").with(200).at("/user/sub"), "u1");
    assert_eq!(gateway.metric(r#"moongate_dry_refusals_total{step="jwt"}"#), 1.0);
}

#[test]
fn a_function_chooses_the_key_and_is_asked_each_time() {
    let gateway = gateway::script(
        r#"
        local keys = { a = secret "KEY" }
        route "GET /" {
          jwt { secret = function(claims, header) return keys[claims.tenant] end },
          function(req) return { text = req.user.tenant } end,
        }
        route "GET /broken" { jwt { secret = function() return "short" end }, function() return 204 end }
        "#,
    )
    .env("KEY", SECRET)
    .start();
    let call = |target: &str, tenant: &str| {
        let field = bearer(&token(&json!({ "tenant": tenant })));
        gateway.call("GET", target, &[("authorization", &field)], "")
    };
    assert_eq!(call("/", "a").with(200).text(), "a");
    call("/", "b").refused(401, "jwt.invalid");
    call("/broken", "a").refused(500, "script.error");
}

#[test]
fn scripts_verify_sign_and_decode() {
    let gateway = gateway::script(
        r#"
        local key = secret "KEY"
        route "GET /sign" { function() return { text = jwt.sign({ sub = "u1", aud = "api" }, { secret = key, expires = "5m", kid = "k" }) } end }
        route "GET /verify" { function(req)
          local claims, why = jwt.verify(req.query.t, { secret = key, audience = "api", require = { "sub" } })
          return { json = { sub = claims and claims.sub, why = why } }
        end }
        route "GET /decode" { function(req)
          local token, why = jwt.decode(req.query.t)
          return { json = { kid = token and token.header.kid, sub = token and token.claims.sub, why = why } }
        end }
        route "GET /bad" { function(req) return { text = jwt.verify("x", { secrets = key }) } end }
        "#,
    )
    .env("KEY", SECRET)
    .start();
    let token = gateway.get("/sign").with(200).text().to_owned();
    assert_eq!(gateway.get(&format!("/verify?t={token}")).json(), json!({ "sub": "u1" }));
    assert_eq!(gateway.get(&format!("/decode?t={token}")).json(), json!({ "kid": "k", "sub": "u1" }));
    let cut = format!("{}AAAA", &token[..token.len() - 4]);
    assert_eq!(gateway.get(&format!("/verify?t={cut}")).json(), json!({ "why": "the signature does not fit" }));
    assert_eq!(gateway.get("/decode?t=x").at("/why"), "the token is malformed: it has not three parts");
    gateway.get("/bad").refused(500, "script.error");
}
