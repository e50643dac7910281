//! `transform_request`, `transform_response`, `body_limit`: headers, query, JSON, bodies, and stale validators.

use crate::support::gateway;
use crate::support::upstream;

#[test]
fn header_operations_run_in_their_fixed_order() {
    let service = upstream::says("ok");
    let gateway = gateway::script(
        r#"
        route "GET /t" { transform_request {
          remove = { "x-gone" }, rename = { ["x-old"] = "x-new" }, set = { ["x-set"] = "new" },
          default = { ["x-there"] = "default", ["x-absent"] = "default" }, add = { ["x-many"] = "2" },
          query = { remove = { "secret" }, set = { page = "1" } },
        }, to = "service" }
        "#,
    )
    .service("service", &service)
    .start();
    let headers = [
        ("X-Gone", "1"),
        ("X-Old", "moved"),
        ("X-Set", "old"),
        ("x-set", "older"),
        ("x-there", "mine"),
        ("x-many", "1"),
    ];
    gateway.call("GET", "/t?secret=1&a=b", &headers, "").with(200);
    let seen = service.last();
    assert_eq!(seen.target, "/t?a=b&page=1");
    assert_eq!((seen.header("x-gone"), seen.header("x-old"), seen.header("x-new")), (None, None, Some("moved")));
    assert_eq!(seen.all("x-set"), ["new"]);
    assert_eq!((seen.header("x-there"), seen.header("x-absent")), (Some("mine"), Some("default")));
    assert_eq!(seen.all("x-many").join(","), "1,2");
}

#[test]
fn json_is_edited_by_path_and_big_integers_stay() {
    let service = upstream::answers(|seen| upstream::answer(200, &[("content-type", "application/json")], &seen.body));
    let gateway = gateway::script(
        r#"
        route "POST /j" {
          transform_request { json = { set = { ["$.a.new"] = 1 }, remove = { "$.secret", "$.list[*].secret" }, rename = { ["$.old"] = "new" } } },
          to = "service",
        }
        route "POST /k" { transform_request { json = { keep = { "$.id" } } }, to = "service" }
        "#,
    )
    .service("service", &service)
    .start();
    let json = [("content-type", "application/json")];
    let body = r#"{"id":18446744073709551617,"a":{},"secret":1,"list":[{"secret":2,"x":1.10}],"old":true}"#;
    let answer = gateway.call("POST", "/j", &json, body);
    assert_eq!(answer.text(), r#"{"id":18446744073709551617,"a":{"new":1},"list":[{"x":1.10}],"new":true}"#);
    assert_eq!(gateway.call("POST", "/k", &json, body).text(), r#"{"id":18446744073709551617}"#);
    gateway.call("POST", "/j", &json, "{").refused(400, "body.bad_json");
    let deep = "[".repeat(100_000);
    assert_eq!(gateway.call("POST", "/j", &json, deep).status, 400);
    assert_eq!(gateway.call("POST", "/k", &json, body).status, 200);
}

#[test]
fn bodies_are_replaced_whole_and_framed_anew() {
    let service = upstream::answers(|seen| upstream::ok(&seen.body));
    let gateway = gateway::script(
        r#"
        route "POST /text" { transform_request { body = "id={query.id}" }, to = "service" }
        route "POST /table" { transform_request { body = { id = "{query.id}", n = 1 } }, to = "service" }
        route "POST /function" { transform_request { body = function(req) return req:text():upper() end }, to = "service" }
        route "POST /types" { transform_request { body = { ["application/json"] = { j = true }, ["*"] = 415 } }, to = "service" }
        "#,
    )
    .service("service", &service)
    .start();
    assert_eq!(gateway.call("POST", "/text?id=7", &[], "long old body").text(), "id=7");
    assert_eq!(gateway.call("POST", "/table?id=7", &[], "x").json(), serde_json::json!({ "id": "7", "n": 1 }));
    assert_eq!(gateway.call("POST", "/function", &[], "shout").text(), "SHOUT");
    assert_eq!(
        gateway.call("POST", "/types", &[("content-type", "application/json; charset=utf-8")], "{}").text(),
        r#"{"j":true}"#
    );
    assert_eq!(gateway.call("POST", "/types", &[("content-type", "text/plain")], "x").status, 415);
}

#[test]
fn an_answer_is_transformed_by_status_and_loses_stale_validators() {
    let service = upstream::answers(|seen| {
        let headers = [
            ("content-type", "application/json"),
            ("etag", "\"abc\""),
            ("content-md5", "x"),
            ("content-digest", "sha-256=:x:"),
            ("accept-ranges", "bytes"),
            ("x-internal", "1"),
        ];
        let status = seen.target.trim_start_matches('/').parse().unwrap();
        upstream::answer(status, &headers, r#"{"a":1,"secret":2}"#)
    });
    let gateway = gateway::script(
        r#"
        route "GET /{status}" { to = "service", transform_response {
          remove = { "x-internal" }, json = { remove = { "$.secret" } },
          on = { [404] = { status = 410, body = { gone = true } }, ["5xx"] = { set = { ["x-sorry"] = "yes" } } },
        } }
        "#,
    )
    .service("service", &service)
    .start();
    let fine = gateway.get("/200");
    assert_eq!((fine.text(), fine.header("x-internal")), (r#"{"a":1}"#, None));
    assert_ne!(fine.header("etag"), Some("\"abc\""), "a strong validator of other bytes");
    assert_eq!(
        (fine.header("content-md5"), fine.header("content-digest"), fine.header("accept-ranges")),
        (None, None, None)
    );
    let gone = gateway.get("/404").with(410);
    assert_eq!(gone.json(), serde_json::json!({ "gone": true }));
    assert_eq!(gateway.get("/500").header("x-sorry"), Some("yes"));
}

#[test]
fn no_transform_is_respected_for_bodies() {
    let service = upstream::answers(|_| {
        upstream::answer(200, &[("content-type", "application/json"), ("cache-control", "no-transform")], r#"{"a":1}"#)
    });
    let gateway =
        gateway::script(r#"route "GET /" { to = "service", transform_response { json = { set = { ["$.b"] = 2 } } } }"#)
            .service("service", &service)
            .start();
    assert_eq!(gateway.get("/").text(), r#"{"a":1}"#);
}

#[test]
fn compressed_answers_are_decoded_before_a_script_reads_them() {
    use std::io::Write as _;
    let plain = r#"{"hello":"world"}"#;
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    gzip.write_all(plain.as_bytes()).unwrap();
    let gzip = gzip.finish().unwrap();
    let bomb = {
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
        gzip.write_all(&vec![b' '; 50 << 20]).unwrap();
        gzip.finish().unwrap()
    };
    let zstd = zstd::encode_all(plain.as_bytes(), 1).unwrap();
    let service = upstream::answers(move |seen| {
        let (coding, body) = match seen.target.as_str() {
            "/gzip" | "/pass" => ("gzip", gzip.as_slice()),
            "/zstd" => ("zstd", zstd.as_slice()),
            "/bomb" => ("gzip", bomb.as_slice()),
            _ => ("gzip", b"not gzip at all".as_slice()),
        };
        upstream::answer(200, &[("content-encoding", coding), ("content-type", "application/json")], body)
    });
    let gateway = gateway::script(
        r#"
        route "GET /pass" { to = "service" }
        route "GET /{how}" { function(req, next) local res = next() return { text = res:json().hello } end, to = "service" }
        "#,
    )
    .service("service", &service)
    .start();
    assert_eq!(gateway.get("/gzip").text(), "world");
    assert_eq!(gateway.get("/zstd").text(), "world");
    assert_eq!(gateway.get("/pass").header("content-encoding"), Some("gzip"));
    for hostile in ["/bomb", "/corrupt"] {
        assert!(gateway.get(hostile).status >= 500, "{hostile}");
    }
    assert_eq!(gateway.get("/gzip").text(), "world");
}

#[test]
fn body_limit_counts_declared_and_streamed_bytes() {
    let service = upstream::answers(|seen| upstream::ok(seen.body.len().to_string()));
    let gateway =
        gateway::script(r#"route "POST /" { body_limit "1KB", to = "service" }"#).service("service", &service).start();
    assert_eq!(gateway.call("POST", "/", &[], vec![b'x'; 1024]).text(), "1024");
    gateway.call("POST", "/", &[], vec![b'x'; 1025]).refused(413, "body.too_large");
    let chunk = format!("200\r\n{}\r\n", "x".repeat(512));
    let chunked = |n: usize| {
        format!("POST / HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n{}0\r\n\r\n", chunk.repeat(n))
    };
    assert_eq!(gateway.raw(chunked(2)).text(), "1024");
    gateway.raw(chunked(3)).refused(413, "body.too_large");
    assert!(service.seen().iter().all(|seen| seen.body.len() <= 1024));
}
