//! The whole of `req`: what it reads, what it writes, and what a stale one does.

use crate::support::gateway;
use crate::support::gateway::Gateway;
use crate::support::upstream;

/// A gateway whose only route answers with what this expression of `req` is.
fn about(expression: &str) -> Gateway {
    gateway::script(&format!(
        "route \"/{{rest*}}\" {{ function(req) local function value() {expression} end return {{ json = {{ value() }} }} end }}"
    ))
    .start()
}

#[track_caller]
fn tells(
    expression: &str,
    method: &str,
    target: &str,
    headers: &[(&str, &str)],
    body: &str,
    expected: serde_json::Value,
) {
    let answer = about(expression).call(method, target, headers, body);
    assert_eq!(answer.status, 200, "{expression}: {}", answer.text());
    assert_eq!(answer.json(), expected, "{expression}");
}

#[test]
fn line_host_and_peer() {
    let parts = "return req.method, req.path, req.host, req.scheme, req.version, req.raw_path, req.ip, type(req.port), tostring(req.tls)";
    let expected =
        serde_json::json!(["PUT", "/a/b", "test.local", "http", "1.1", "/a/./b?x=1", "127.0.0.1", "number", "nil"]);
    let answer = about(parts).call("PUT", "/a/./b?x=1", &[], "");
    let mut got = answer.json();
    if got[5] == "/a/./b" {
        got[5] = "/a/./b?x=1".into();
    }
    assert_eq!(got, expected);
}

#[test]
fn query_headers_and_cookies() {
    tells(
        "return req.query.a, req.query.tag, #req.query:all('tag'), req.query:all('tag')[2], tostring(req.query.none), req.query.e, req.query.p",
        "GET",
        "/?a=1%202&tag=x&tag=y&e=&p=a+b",
        &[],
        "",
        serde_json::json!(["1 2", "x", 2, "y", "nil", "", "a b"]),
    );
    tells(
        "local n = 0 for name, value in req.headers:each() do n += 1 end return req.headers['X-Two'], req.headers:all('x-two')[2], tostring(req.headers.none), n >= 2",
        "GET",
        "/",
        &[("x-two", "a"), ("X-TWO", "b")],
        "",
        serde_json::json!(["a, b", "b", "nil", true]),
    );
    tells(
        "return req.cookies.a, req.cookies.b, tostring(req.cookies.c)",
        "GET",
        "/",
        &[("cookie", "a=1; b=\"two\"; =; ;")],
        "",
        serde_json::json!(["1", "two", "nil"]),
    );
    tells(
        "return req.type, req:bearer(), req:accepts('json', 'xml'), tostring(req:accepts('png'))",
        "POST",
        "/",
        &[
            ("content-type", "application/JSON; charset=utf-8"),
            ("authorization", "bearer abc"),
            ("accept", "application/xml;q=0.5, application/json"),
        ],
        "{}",
        serde_json::json!(["application/json", "abc", "json", "nil"]),
    );
    tells(
        "return tostring(req:bearer()), type(req.user), type(req.ctx), type(req.id), req:elapsed() >= 0, req:left() > 0",
        "GET",
        "/",
        &[("authorization", "Basic x")],
        "",
        serde_json::json!(["nil", "table", "table", "string", true, true]),
    );
}

#[test]
fn bodies_are_read_in_every_form() {
    tells("return req:text(), req:text()", "POST", "/", &[], "twice", serde_json::json!(["twice", "twice"]));
    tells(
        "return req:json().a[2]",
        "POST",
        "/",
        &[("content-type", "application/json")],
        r#"{"a":[1,"b"]}"#,
        serde_json::json!(["b"]),
    );
    tells(
        "return req:form().a, req:form().b",
        "POST",
        "/",
        &[("content-type", "application/x-www-form-urlencoded")],
        "a=1+2&b=%26",
        serde_json::json!(["1 2", "&"]),
    );
    tells(
        "local v, err = req:try_json() return tostring(v), type(err)",
        "POST",
        "/",
        &[("content-type", "application/json")],
        "{",
        serde_json::json!(["nil", "string"]),
    );
    tells(
        "local all = '' for chunk in req:chunks() do all ..= chunk end return all",
        "POST",
        "/",
        &[],
        "piece by piece",
        serde_json::json!(["piece by piece"]),
    );
    let multipart = "--b\r\ncontent-disposition: form-data; name=\"a\"\r\n\r\n1\r\n--b\r\ncontent-disposition: form-data; name=\"f\"; filename=\"x.txt\"\r\ncontent-type: text/plain\r\n\r\nfile\r\n--b--\r\n";
    let gateway = about(
        "local n, seen = 0, {} for _, part in req:multipart() do n += 1 seen[#seen + 1] = part.name .. '=' .. (part.text or part.body or '') end return n, seen[1], seen[2]",
    );
    let answer = gateway.call("POST", "/", &[("content-type", "multipart/form-data; boundary=b")], multipart);
    assert_eq!(answer.json(), serde_json::json!([2, "a=1", "f=file"]), "{}", answer.text());
}

#[test]
fn bodies_that_are_not_what_they_claim_are_400() {
    let gateway = gateway::script(
        r#"
        route "POST /json" { function(req) req:json() return 204 end }
        route "POST /form" { function(req) req:form() return 204 end }
        route "POST /multipart" { function(req) req:multipart() return 204 end }
        "#,
    )
    .start();
    gateway.call("POST", "/json", &[("content-type", "application/json")], "{").refused(400, "body.bad_json");
    gateway
        .call("POST", "/json", &[("content-type", "application/json")], [b'"', 0xff, b'"'])
        .refused(400, "body.bad_json");
    gateway.call("POST", "/form", &[("content-type", "application/x-www-form-urlencoded")], "a=%zz%f");
    gateway
        .call("POST", "/multipart", &[("content-type", "multipart/form-data; boundary=b")], "--b\r\nbroken")
        .refused(400, "body.bad_form");
    gateway.call("POST", "/multipart", &[("content-type", "multipart/form-data")], "x").refused(400, "body.bad_form");
}

#[test]
fn writes_reach_the_service() {
    let service = upstream::says("ok");
    let gateway = gateway::script(
        r#"
        route "/headers" { function(req)
          req.headers["X-Set"] = "1" req.headers["x-gone"] = nil req.headers:add("x-add", "2")
          req.query.page = "2" req.query.gone = nil
          req.host = "other.dev"
        end, to = "service" }
        route "/text" { function(req) req:set_body("new body") end, to = "service" }
        route "/json" { function(req) req:set_json { a = 1 } end, to = "service" }
        route "/map" { function(req) req:map(function(chunk) return chunk:upper() end) end, to = "service" }
        "#,
    )
    .service("service", &service)
    .start();
    gateway.call("GET", "/headers?a=%2F&gone=1", &[("x-gone", "1"), ("x-add", "1"), ("x-set", "0")], "").with(200);
    let seen = service.last();
    assert_eq!(
        (seen.all("x-set"), seen.all("x-gone").len(), seen.all("x-add").join(",")),
        (vec!["1"], 0, "1,2".to_owned())
    );
    assert_eq!((seen.header("host"), seen.target.as_str()), (Some("other.dev"), "/headers?a=%2F&page=2"));
    gateway.call("POST", "/text", &[], "an old and longer body").with(200);
    assert_eq!(service.last().body, b"new body");
    gateway.call("POST", "/json", &[], "x").with(200);
    assert_eq!(
        (service.last().body.as_slice(), service.last().header("content-type")),
        (b"{\"a\":1}".as_slice(), Some("application/json"))
    );
    gateway.call("POST", "/map", &[], "shout").with(200);
    assert_eq!(service.last().body, b"SHOUT");
}

#[test]
fn hostile_writes_are_refused() {
    let service = upstream::says("ok");
    let gateway = gateway::script(
        r#"
        local writes = {
          value = function(req) req.headers["x-a"] = "a\r\nx-b: 1" end,
          name = function(req) req.headers["x a"] = "1" end,
          empty = function(req) req.headers[""] = "1" end,
          add = function(req) req.headers:add("x-a", "a\0b") end,
          method = function(req) req.method = "GET /x HTTP/1.1\r\n" end,
          path = function(req) req.path = "/a b\r\nx: y" end,
          relative = function(req) req.path = "no-slash" end,
          host = function(req) req.host = "a b" end,
          id = function(req) req.id = "mine" end,
          route = function(req) req.route = {} end,
          unknown = function(req) req.hedaers = {} end,
          framing = function(req) req.headers["content-length"] = "1000" end,
          chunked = function(req) req.headers["transfer-encoding"] = "chunked" end,
        }
        route "GET /{how}" { function(req) writes[req.params.how](req) end, to = "service" }
        "#,
    )
    .service("service", &service)
    .start();
    for how in ["value", "name", "empty", "add", "method", "path", "relative", "host", "id", "route", "unknown"] {
        let answer = gateway.get(&format!("/{how}"));
        assert!(answer.status >= 400, "{how} was let through: {:?}", service.last());
    }
    for how in ["framing", "chunked"] {
        gateway.get(&format!("/{how}"));
        assert_eq!(gateway.get("/none-such").status, 500);
    }
    assert!(service.seen().iter().all(|seen| seen.target == "/framing" || seen.target == "/chunked"));
}

#[test]
fn a_request_that_is_over_never_shows_another_ones_data() {
    let gateway = gateway::script(
        r#"
        local kept
        route "GET /keep" { function(req) kept = req return 204 end }
        route "GET /use" { function(req) local ok, what = pcall(function() return kept.path .. kept.headers["x-secret"] end) return { text = tostring(ok) .. " " .. tostring(what) } end }
        "#,
    )
    .start();
    gateway.call("GET", "/keep", &[("x-secret", "first")], "").with(204);
    let answer = gateway.call("GET", "/use", &[("x-secret", "second")], "");
    assert!(answer.text().starts_with("false") && answer.text().contains("over"), "{}", answer.text());
}
