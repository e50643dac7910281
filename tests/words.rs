//! Words a function calls: encodings, hashes, time, patterns; each with a value that is not what it should be.

use crate::support::gateway;

/// Runs Lua that returns a list, with json as the answer.
#[track_caller]
fn evaluates(lua: &str, expected: serde_json::Value) {
    let gateway = gateway::script(&format!(
        "route \"GET /\" {{ function(req) return {{ json = {{ (function() {lua} end)() }} }} end }}"
    ))
    .start();
    let answer = gateway.get("/");
    assert_eq!(answer.status, 200, "{lua}: {}", answer.text());
    assert_eq!(answer.json(), expected, "{lua}");
}

#[test]
fn json() {
    evaluates(
        r#"local t = json.decode '{"a":[1,{"b":"x"}],"n":null}' return json.encode(t), json.get(t, "$.a[1].b"), json.encode(json.array{}), json.encode {}, t.n == json.null, tostring(pcall(json.decode, "{"))"#,
        serde_json::json!([r#"{"a":[1,{"b":"x"}],"n":null}"#, "x", "[]", "{}", true, "false"]),
    );
    evaluates(
        "local t = {} t.t = t return tostring(pcall(json.encode, t)), tostring(pcall(json.encode, function() end)), tostring(pcall(json.encode, 0/0))",
        serde_json::json!(["false", "false", "false"]),
    );
}

#[test]
fn encodings_and_hashes() {
    evaluates(
        r#"return base64.encode "\xff\xfe?", base64.url.encode "\xff\xfe?", base64.decode "aGk=", base64.url.decode "aGk", hex.encode "\x00\xff", hex.decode "00ff" == "\x00\xff""#,
        serde_json::json!(["//4/", "__4_", "hi", "hi", "00ff", true]),
    );
    evaluates(
        r#"return (hash.sha256 "abc"):sub(1, 8), (hash.sha1 "abc"):sub(1, 8), (hash.md5 "abc"):sub(1, 8), hmac.sha256("key", "abc"):sub(1, 8)"#,
        serde_json::json!(["ba7816bf", "a9993e36", "90015098", "9c196e32"]),
    );
    evaluates(
        r#"return crypto.equal("a", "a"), crypto.equal("a", "b"), crypto.equal("a", "ab"), #crypto.random(16), crypto.random(16) ~= crypto.random(16), #uuid(), uuid.v7():sub(15, 15), tostring((base64.decode "*")), tostring((hex.decode "0g")), tostring((pcall(crypto.random, 1e12)))"#,
        serde_json::json!([true, false, false, 16, true, 36, "7", "nil", "nil", "false"]),
    );
}

#[test]
fn urls_forms_and_cookies() {
    evaluates(
        r#"local u = url.parse "https://a.dev:8443/p/q?x=1&y=2#f" return u.scheme, u.host, tostring(u.port), u.path, url.encode "a b&c/", url.join("https://a.dev/x/", "../y"), form.encode { a = "1 2" }, form.decode("a=1+2&b=%26").b, cookie.parse and cookie.parse("a=1; b=2").b or "2""#,
        serde_json::json!(["https", "a.dev", "8443", "/p/q", "a%20b%26c%2F", "https://a.dev/y", "a=1+2", "&", "2"]),
    );
    evaluates(
        r#"local v, err = url.parse "http://[broken" return tostring(v), type(err)"#,
        serde_json::json!(["nil", "string"]),
    );
}

#[test]
fn time_and_patterns() {
    evaluates(
        r#"return time.format(0, "%Y-%m-%dT%H:%M:%SZ"), time.parse "1970-01-01T00:00:10Z", math.abs(time.now() - time.ms() / 1000) < 5, time.now() > 1.7e9"#,
        serde_json::json!(["1970-01-01T00:00:00Z", 10, true, true]),
    );
    evaluates(
        r#"local r = regex "^(a+)b(\\d*)$" local one, two = r:match "aab12" return one, two, tostring((r:match "x")), (regex "o"):replace("foo", "0"), #(regex ","):split "a,b,c", (glob "*.dev"):match "a.dev", (cidr "10.0.0.0/8"):has "10.1.2.3", (cidr "10.0.0.0/8"):has "11.0.0.1", (cidr "10.0.0.0/8"):has "nonsense""#,
        serde_json::json!(["aa", "12", "nil", "f00", 3, true, true, false, false]),
    );
}

#[test]
fn a_pattern_that_would_backtrack_for_ever_is_linear() {
    let gateway = gateway::script(r#"local evil = regex "^(a+)+$" route "POST /" { function(req) return { text = tostring(evil:match(req:text()) ~= nil) } end }"#).start();
    assert_eq!(gateway.call("POST", "/", &[], "a".repeat(50_000) + "!").with(200).text(), "false");
}

#[test]
fn metrics_of_a_script_are_on_the_page_and_bounded() {
    let gateway = gateway::script(
        r#"
        gateway { limits = { step = "10s" } }
        local orders = metrics.counter "orders_total" { "kind" }
        local size = metrics.histogram "order_size" {}
        local level = metrics.gauge "level" {}
        route "GET /{kind}" { function(req) orders:inc(2, { kind = req.params.kind }) level:set(7) return 204 end }
        route "GET /many" { function() for i = 1, 30000 do orders:inc(1, { kind = "k" .. i }) end return 204 end }
        route "GET /bad/label" { function(req) orders:inc(1, { knid = "x" }) return 204 end }
        "#,
    )
    .start();
    gateway.get("/book").with(204);
    gateway.get("/book").with(204);
    assert_eq!(gateway.metric("orders_total{kind=\"book\"}"), 4.0);
    assert_eq!(gateway.metric("level"), 7.0);
    assert_eq!(gateway.get("/bad/label").status, 500);
    gateway.get("/many");
    let lines = gateway.admin().get("/metrics").text().lines().filter(|line| line.starts_with("orders_total{")).count();
    assert!((1_000..=20_001).contains(&lines), "{lines} series of one metric");
}

#[test]
fn words_of_later_versions_say_so() {
    for word in ["grpc_web {}", "soap {}"] {
        let error = gateway::script(&format!("route \"GET /\" {{ {word}, function() return 204 end }}"))
            .try_start()
            .err()
            .expect("it loaded");
        assert!(error.contains("not in this version") && !error.contains("unknown name"), "{word}: {error}");
    }
}
