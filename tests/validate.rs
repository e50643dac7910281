//! `validate`, `schema`, `json_limit`: what breaks a rule is told with its place and never reaches the service.

use crate::support::gateway;
use crate::support::upstream;

const JSON: &[(&str, &str)] = &[("content-type", "application/json")];

/// Pointer and message of every fault that an answer tells.
fn faults(answer: &crate::support::answer::Answer) -> Vec<String> {
    let errors = answer.at("/errors");
    let errors = errors.as_array().unwrap_or_else(|| panic!("no errors in {answer:?}"));
    errors.iter().map(|e| format!("{} {}", e["pointer"].as_str().unwrap(), e["detail"].as_str().unwrap())).collect()
}

#[test]
fn parameters_become_what_they_should_be() {
    let service = upstream::says("ok");
    let gateway = gateway::script(
        r#"
        route "GET /items/{id}" {
          validate {
            path    = { id = is.int { min = 1 } },
            query   = { page = is.int { min = 1, max = 100, default = 1 }, tag = is.array { items = is.int, optional = true },
                        deep = is.bool { optional = true }, sort = is.enum { "up", "down", optional = true }, extra = false },
            headers = { ["X-Shop"] = is.string { pattern = "^[a-z]+$" }, ["x-lang"] = is.string { default = "en" } },
            cookies = { sid = is.uuid { optional = true } },
          },
          function(req)
            local q = req.query
            req.headers["x-types"] = `{type(req.params.id)} {type(q.page)} {type(q.tag)} {type(q.deep)} {type(q.sort)}`
            req.headers["x-values"] = `{req.params.id + 1} {q.page + 1} {q.tag and q.tag[2]} {q.deep}`
          end,
          to = "service",
        }
        "#,
    )
    .service("service", &service)
    .start();
    let shop = [("x-shop", "bikes")];
    gateway.call("GET", "/items/7?tag=1&deep=false&tag=2&sort=up", &shop, "").with(200);
    let seen = service.last();
    assert_eq!(seen.target, "/items/7?tag=1&deep=false&tag=2&sort=up&page=1", "the default is sent on");
    assert_eq!(
        (seen.header("x-types"), seen.header("x-lang")),
        (Some("number number table boolean string"), Some("en"))
    );
    assert_eq!(seen.header("x-values"), Some("8 2 2 false"));

    let calls = service.calls();
    let bad = gateway.call("GET", "/items/0?page=x&deep=1&new=1&sort=left", &[("cookie", "sid=nope")], "");
    bad.refused(400, "validate.params");
    assert_eq!(
        faults(&bad),
        [
            "/path/id must be a whole number, 1 or more",
            "/query/deep must be true or false",
            "/query/page must be a whole number from 1 to 100",
            "/query/sort must be \"up\" or \"down\"",
            "/query/new is not expected",
            "/headers/x-shop is missing",
            "/cookies/sid must be a UUID",
        ]
    );
    gateway.call("GET", "/items/7?page=1&page=2", &shop, "").refused(400, "validate.params");
    assert_eq!(service.calls(), calls, "nothing that was refused reached the service");
}

#[test]
fn bodies_keep_to_their_rules_and_get_their_defaults() {
    let service = upstream::answers(|seen| upstream::ok(&seen.body));
    let gateway = gateway::script(
        r#"
        route "POST /orders" {
          validate { body = {
            id    = is.int,
            mail  = is.email { optional = true },
            items = is.array { min = 1, max = 3, items = is.object { sku = is.string { length = 4 }, count = is.int { min = 1, default = 1 }, extra = false } },
            note  = is.string { nullable = true, default = "none" },
          } },
          to = "service",
        }
        route "PUT /any" { validate { content_type = { "text/csv", "image/*" } }, to = "service" }
        "#,
    )
    .service("service", &service)
    .start();
    let good = r#"{"id":18446744073709551617,"items":[{"sku":"A-17"}],"more":1.10}"#;
    let answer = gateway.call("POST", "/orders", JSON, good).with(200);
    assert_eq!(
        answer.text(),
        r#"{"id":18446744073709551617,"items":[{"sku":"A-17","count":1}],"more":1.10,"note":"none"}"#
    );
    assert_eq!(service.last().header("content-length"), Some("88"));
    let whole = r#"{"id":1,"items":[{"sku":"A-17","count":2}],"note":null}"#;
    assert_eq!(gateway.call("POST", "/orders", JSON, whole).text(), whole, "nothing to fill in: byte for byte");

    let calls = service.calls();
    let bad = gateway.call(
        "POST",
        "/orders",
        JSON,
        r#"{"id":"1","mail":"x","items":[{"sku":"A","count":0,"x~y":1},2],"note":1}"#,
    );
    bad.refused(400, "validate.body");
    assert_eq!(
        faults(&bad),
        [
            "/id must be a whole number",
            "/mail must be an email address",
            "/items/0/sku must be text of 4 characters",
            "/items/0/count must be a whole number, 1 or more",
            "/items/0/x~0y is not expected",
            "/items/1 must be an object",
            "/note must be text",
        ]
    );
    let many: Vec<String> = (0..40).map(|n| n.to_string()).collect();
    let many = gateway.call("POST", "/orders", JSON, format!("{{\"id\":1,\"items\":[{}]}}", many.join(",")));
    assert_eq!(faults(&many).len(), 10);
    gateway.call("POST", "/orders", JSON, "{").refused(400, "body.bad_json");
    gateway.call("POST", "/orders", JSON, "[".repeat(50_000)).refused(400, "body.bad_json");
    gateway.call("POST", "/orders", JSON, "").refused(400, "validate.body");
    gateway.call("POST", "/orders", &[("content-type", "text/plain")], good).refused(415, "validate.type");
    gateway.call("POST", "/orders", JSON, " ".repeat(2_000_000)).refused(413, "body.too_large");
    gateway.call("PUT", "/any", JSON, "{}").refused(415, "validate.type");
    for both in [["application/json", "text/plain"], ["text/plain", "application/json"]] {
        let both = both.map(|media| ("content-type", media));
        gateway.call("POST", "/orders", &both, good).refused(415, "validate.type");
        gateway.call("PUT", "/any", &[("content-type", "text/csv"), both[0]], good).refused(415, "validate.type");
    }
    assert_eq!(service.calls(), calls, "nothing that was refused reached the service");
    gateway.call("PUT", "/any", &[("content-type", "image/png")], "x").with(200);
    gateway.call("PUT", "/any", &[("content-type", "text/csv; charset=utf-8")], "x").with(200);
}

#[test]
fn a_body_that_arrives_slowly_or_coded_is_checked_all_the_same() {
    let service = upstream::answers(|seen| upstream::ok(&seen.body));
    let gateway = gateway::script(
        r#"route "POST /x" { validate { body = { a = is.int, b = is.int { default = 2 } } }, to = "service" }"#,
    )
    .service("service", &service)
    .start();
    let mut client = gateway.client();
    client.send("POST /x HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n4\r\n{\"a\"\r\n");
    client.send("3\r\n:1}\r\n").send("0\r\n\r\n");
    assert_eq!(client.answer().text(), r#"{"a":1,"b":2}"#);
    let coded = [("content-type", "application/json"), ("content-encoding", "gzip")];
    gateway.call("POST", "/x", &coded, "no gzip").refused(400, "body.bad_encoding");
}

#[test]
fn a_dry_run_changes_nothing() {
    let service = upstream::answers(|seen| upstream::ok(&seen.body));
    let gateway = gateway::script(
        r#"
        route "POST /dry" { validate { query = { page = is.int { default = 1 } }, body = { a = is.int { default = 1 }, b = is.int }, enforce = false }, to = "service" }
        route "POST /teapot" { validate { query = { page = is.int }, status = 422, detail = "look at the manual" }, to = "service" }
        "#,
    )
    .service("service", &service)
    .start();
    assert_eq!(gateway.call("POST", "/dry", JSON, "{}").with(200).text(), "{}");
    assert_eq!(service.last().target, "/dry");
    assert_eq!(gateway.call("POST", "/dry", JSON, r#"{"b":2}"#).with(200).text(), r#"{"b":2,"a":1}"#);
    let answer = gateway.call("POST", "/teapot", JSON, "{}");
    answer.refused(422, "validate.params");
    assert_eq!(answer.at("/detail"), "look at the manual");
}

#[test]
fn answers_are_refused_or_logged() {
    let service = upstream::answers(|seen| {
        let status = if seen.target.contains("404") { 404 } else { 200 };
        let media = if seen.target.contains("html") { "text/html" } else { "application/json" };
        upstream::answer(status, &[("content-type", media)], r#"{"id":"x"}"#)
    });
    let gateway = gateway::script(
        r#"
        route "GET /strict" { validate { response = { id = is.int } }, to = "service" }
        route "GET /fine" { validate { response = { id = is.string } }, to = "service" }
        route "GET /status" { validate { response = { ["4xx"] = is.object { error = is.string } } }, to = "service" }
        route "GET /log" { validate { response = { id = is.int }, mode = "log" }, to = "service" }
        "#,
    )
    .service("service", &service)
    .start();
    let bad = gateway.get("/strict");
    bad.refused(502, "validate.response");
    assert!(!bad.text().contains("/id"), "what a service did wrong is for the log: {}", bad.text());
    gateway.get("/strict?html").refused(502, "validate.response");
    gateway.get("/strict?404").with(404);
    assert_eq!(gateway.get("/fine").with(200).text(), r#"{"id":"x"}"#);
    gateway.get("/status").with(200);
    gateway.get("/status?404").refused(502, "validate.response");
    assert_eq!(gateway.get("/log").with(200).text(), r#"{"id":"x"}"#);
}

#[test]
fn json_schemas_are_rules_too_and_watched() {
    let service = upstream::answers(|seen| upstream::ok(&seen.body));
    let gateway = gateway::script(
        r##"
        local pet = schema "pet.json"
        local old = schema { ["$schema"] = "http://json-schema.org/draft-04/schema#", type = "integer", minimum = 0, exclusiveMinimum = true }
        route "POST /pets" { validate { body = pet, query = { n = old, day = schema { type = "string", format = "date" } } }, function(req) req.headers["x-type"] = type(req.query.n) end, to = "service" }
        route "GET /check" { function(req) local ok, faults = pet:check { name = 1 } return { json = { ok = ok, faults = faults } } end }
        "##,
    )
    .file("pet.json", r##"{"type":"object","required":["name"],"properties":{"name":{"$ref":"#/$defs/name"},"born":{"type":"string","format":"date"},"n":{"type":"integer"}},"$defs":{"name":{"type":"string","pattern":"^[A-Z]","maxLength":10}}}"##)
    .service("service", &service)
    .watch()
    .start();
    let good = r#"{"name":"Rex","born":"2024-02-29","n":18446744073709551617}"#;
    assert_eq!(gateway.call("POST", "/pets?n=5&day=2026-01-31", JSON, good).with(200).text(), good);
    assert_eq!(service.last().header("x-type"), Some("number"));
    let bad = gateway.call("POST", "/pets?n=5&day=2026-01-31", JSON, r#"{"name":"rex","born":"2023-02-29"}"#);
    bad.refused(400, "validate.body");
    assert_eq!(
        faults(&bad).iter().map(|fault| fault.split(' ').next().unwrap()).collect::<Vec<_>>(),
        ["/name", "/born"]
    );
    let params = gateway.call("POST", "/pets?n=0&day=tomorrow", JSON, good);
    params.refused(400, "validate.params");
    assert_eq!(faults(&params).len(), 2, "{params:?}");
    let checked = gateway.get("/check");
    assert_eq!((checked.at("/ok"), checked.at("/faults/0/pointer")), (false.into(), "/name".into()));
    assert_eq!(service.calls(), 1);
    let before = gateway.generation();
    gateway.dir().write("pet.json", r#"{"type":"object","required":["age"]}"#);
    crate::support::wait::until("the schema is taken over", || gateway.generation() > before);
    gateway.call("POST", "/pets?n=5&day=2026-01-31", JSON, good).refused(400, "validate.body");
}

#[test]
fn json_has_bounds() {
    let service = upstream::says("ok");
    let gateway = gateway::script(
        r#"
        route "POST /x" { json_limit { depth = 3, keys = 4, string = 5, array = 3, name = 6 }, to = "service" }
        route "POST /y" { json_limit {}, to = "service" }
        "#,
    )
    .service("service", &service)
    .start();
    let fine = r#"{"a":{"b":[1,2,3]},"c":"12345","d":null,"e":1}"#;
    gateway.call("POST", "/x", JSON, fine).with(200);
    assert_eq!(service.last().body, fine.as_bytes());
    for (body, pointer) in [
        (r#"{"a":{"b":[[]]}}"#, "/a/b/0"),
        (r#"{"a":1,"b":1,"c":1,"d":1,"e":1}"#, ""),
        (r#"{"a":["123456"]}"#, "/a/0"),
        (r#"{"a":[1,2,3,4]}"#, "/a"),
        (r#"{"a":{"1234567":1}}"#, "/a"),
        (r#"{"a":1,"\u0061":2}"#, "/a"),
    ] {
        let bad = gateway.call("POST", "/x", JSON, body);
        bad.refused(400, "json_limit.exceeded");
        assert_eq!(bad.at("/errors/0/pointer"), pointer, "{body}");
    }
    gateway.call("POST", "/x", &[], "{\"a\":[[[]]]}").refused(400, "json_limit.exceeded");
    let both = [("content-type", "text/plain"), ("content-type", "application/json")];
    gateway.call("POST", "/x", &both, "{\"a\":[[[]]]}").refused(400, "json_limit.exceeded");
    gateway.call("POST", "/x", &[("content-type", "application/problem+json")], "{").refused(400, "body.bad_json");
    gateway.call("POST", "/y", JSON, "[".repeat(100_000)).refused(400, "json_limit.exceeded");
    assert_eq!(service.calls(), 1);
    gateway.call("POST", "/x", &[("content-type", "text/plain")], "[[[[[[").with(200);
    gateway.call("POST", "/x", JSON, "").with(200);
}

#[test]
fn yaml_is_read() {
    let gateway = gateway::script(
        r#"
        local plans = yaml.decode(file "plans.yaml")
        route "GET /" { function(req) return { json = plans } end }
        route "GET /bad" { function(req) local v, e = yaml.try_decode "a: [" return { json = { v == nil, type(e) } } end }
        "#,
    )
    .file("plans.yaml", "gold: { rate: 100, tags: [a, b] }\n200: ok\n")
    .start();
    assert_eq!(
        gateway.get("/").json(),
        serde_json::json!({ "gold": { "rate": 100, "tags": ["a", "b"] }, "200": "ok" })
    );
    assert_eq!(gateway.get("/bad").json(), serde_json::json!([true, "string"]));
}
