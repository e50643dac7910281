//! `api_key`: who is calling, by a key.

use crate::support::gateway;
use crate::support::upstream;

const SAID: &str = r#"local function said(req) return { json = { user = req.user, key = req.key } } end"#;

fn hash(text: &str) -> String {
    let gateway =
        gateway::script(r#"route "GET /{text}" { function(req) return { text = hash.sha256(req.params.text) } end }"#);
    gateway.start().get(&format!("/{text}")).text().to_owned()
}

#[test]
fn a_table_of_keys_plain_hashed_and_secret() {
    let hashed = format!("sha256:{}", hash("hashed"));
    let gateway = gateway::script(&format!(
        r#"{SAID}
        local keys = {{ plain = {{ sub = "ann", plan = "gold" }}, ["{hashed}"] = "bob", [secret "PARTNER"] = true }}
        route "GET /" {{ api_key {{ keys = keys }}, said }}
        "#
    ))
    .env("PARTNER", "s3cret")
    .start();
    let call = |key: &str| gateway.call("GET", "/", &[("x-api-key", key)], "");
    assert_eq!((call("plain").at("/user/sub"), call("plain").at("/user/plan")), ("ann".into(), "gold".into()));
    assert_eq!(call("plain").at("/key"), hash("plain")[..16]);
    assert_eq!(call("hashed").at("/user/sub"), "bob");
    assert_eq!(call("s3cret").status, 200);
    for unknown in ["Plain", "bob", "<secret PARTNER>", &hashed, "plain, plain"] {
        let refused = call(unknown);
        refused.refused(401, "api_key.unknown");
        assert_eq!(refused.all("www-authenticate"), [r#"ApiKey realm="api""#]);
        assert!(!refused.text().contains(unknown), "{}", refused.text());
    }
    gateway.get("/").refused(401, "api_key.missing");
    let twice = gateway.call("GET", "/", &[("x-api-key", "plain"), ("x-api-key", "plain")], "");
    twice.refused(401, "api_key.unknown");
}

#[test]
fn a_key_is_read_where_it_stands_and_the_service_does_not_see_it() {
    let service = upstream::says("ok");
    let gateway = gateway::script(
        r#"
        local keys = { k = "ann" }
        local from = { "header:x-key", "query:key", "cookie:sid", "bearer" }
        route "GET /hidden" { api_key { keys = keys, from = from }, to = "service" }
        route "GET /shown" { api_key { keys = keys, from = from, hide = false }, to = "service" }
        "#,
    )
    .service("service", &service)
    .start();
    let places: [(&str, &[(&str, &str)]); 4] = [
        ("", &[("x-key", "k"), ("cookie", "sid=k; a=1")]),
        ("?key=k&a=1", &[]),
        ("?a=1", &[("cookie", "a=1; sid=k")]),
        ("?a=1", &[("authorization", "Bearer k")]),
    ];
    for (query, fields) in places {
        gateway.call("GET", &format!("/hidden{query}"), fields, "").with(200);
        let hidden = service.last();
        let all = format!(
            "{} {:?} {:?} {:?}",
            hidden.target,
            hidden.header("x-key"),
            hidden.header("cookie"),
            hidden.header("authorization")
        );
        assert!(
            !all.contains("key=k") && !all.contains("\"k\"") && !all.contains("sid") && !all.contains("Bearer"),
            "{all}"
        );
        assert!(query.is_empty() || hidden.target == "/hidden?a=1", "{all}");
        gateway.call("GET", &format!("/shown{query}"), fields, "").with(200);
        let shown = service.last();
        let all = format!(
            "{} {:?} {:?} {:?}",
            shown.target,
            shown.header("x-key"),
            shown.header("cookie"),
            shown.header("authorization")
        );
        assert!(
            all.contains("key=k") || all.contains("\"k\"") || all.contains("sid=k") || all.contains("Bearer k"),
            "{all}"
        );
    }
    let refused = gateway.call("GET", "/hidden", &[("authorization", "Bearer no")], "");
    assert_eq!(refused.all("www-authenticate"), [r#"Bearer realm="api", error="invalid_token""#]);
}

#[test]
fn functions_and_stores_know_keys_too() {
    let gateway = gateway::script(&format!(
        r#"{SAID}
        local known = store "keys" {{}}
        route "POST /keys/{{key}}" {{ function(req) known:set("sha256:" .. hash.sha256(req.params.key), {{ sub = req.params.key }}) return 204 end }}
        route "GET /store" {{ api_key {{ store = known }}, said }}
        route "GET /function" {{ api_key(function(key) sleep "1ms" return key == "f" and "fay" or nil end), said }}
        route "GET /named" {{ api_key {{ keys = function(key) return key == "n" and {{ sub = "nan" }} end, detail = "no" }}, said }}
        "#
    ))
    .start();
    let call = |target: &str, key: &str| gateway.call("GET", target, &[("x-api-key", key)], "");
    call("/store", "s1").refused(401, "api_key.unknown");
    gateway.call("POST", "/keys/s1", &[], "").with(204);
    assert_eq!(call("/store", "s1").at("/user/sub"), "s1");
    assert_eq!(call("/function", "f").at("/user/sub"), "fay");
    call("/function", "g").refused(401, "api_key.unknown");
    assert_eq!(call("/named", "n").at("/user/sub"), "nan");
    assert_eq!(call("/named", "m").at("/detail"), "no");
}

#[test]
fn identity_is_passed_on_and_what_the_client_says_of_itself_is_removed() {
    let service = upstream::says("ok");
    let gateway = gateway::script(
        r#"
        local forward = { ["x-user"] = "{user.sub}", ["x-plan"] = function(user) return user.plan end, ["x-key-id"] = "{key}" }
        local keys = api_key { keys = { k = { sub = "ann" } }, forward = forward }
        route "GET /" { keys, to = "service" }
        route "GET /dry" { api_key { keys = { k = "ann" }, forward = forward, enforce = false }, to = "service" }
        route "GET /any" { any_of { api_key { keys = { plain = "bob" } }, steps { keys, authorize { role = "admin" } } }, to = "service" }
        "#,
    )
    .service("service", &service)
    .start();
    let lies = [("x-user", "root"), ("x-plan", "gold"), ("x-key-id", "1")];
    let call = |target: &str, key: &str| {
        gateway.call("GET", target, &[&lies[..], &[("x-api-key", key)]].concat(), "");
        let got = service.last();
        ["x-user", "x-plan", "x-key-id"].map(|name| got.header(name).unwrap_or("none").to_owned())
    };
    assert_eq!(call("/", "k"), ["ann".to_owned(), "none".into(), hash("k")[..16].into()]);
    assert_eq!(call("/dry", "wrong"), ["none", "none", "none"], "a dry run believes the client");
    assert_eq!(call("/any", "plain"), ["none", "none", "none"], "another branch let it in, its words stayed");
}

#[test]
fn keys_are_in_no_listing() {
    let gateway =
        gateway::script(r#"route "GET /" { api_key { keys = { ["very-secret-key"] = "ann" } }, mock {} }"#).start();
    let state = gateway.admin().get("/state");
    assert!(!state.text().contains("very-secret-key") && state.text().contains("api_key"), "{}", state.text());
    let told = gateway.edit(r#"route "GET /" { api_key { keys = { ["other-secret-key"] = "ann" } }, mock {} }"#);
    told.unwrap();
    gateway.call("GET", "/", &[("x-api-key", "other-secret-key")], "").with(200);
    gateway.call("GET", "/", &[("x-api-key", "very-secret-key")], "").refused(401, "api_key.unknown");
}
