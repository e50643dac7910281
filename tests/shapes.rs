//! What API.md says of `transform_request`, `transform_response`, `mock` and `redirect`, sentence by sentence.

use std::time::Duration;

use serde_json::json;

use crate::support::gateway;
use crate::support::upstream;
use crate::support::wait;

const JSON: (&str, &str) = ("content-type", "application/json");

#[test]
fn queries_and_methods_are_edited_in_the_same_order_as_fields() {
    let service = upstream::says("ok");
    let gateway = gateway::script(
        r#"
        route "POST /q/{id}" {
          transform_request { method = "PUT", query = {
            remove = { "secret" }, rename = { old = "new" }, set = { page = "{id}", who = "{header.x-who}" },
            default = { size = "10", sort = "name" }, add = { tag = "extra" },
          } },
          to = "service",
        }
        "#,
    )
    .service("service", &service)
    .start();
    let target = "/q/7?secret=1&old=a&old=b&new=gone&page=1&page=2&sort=date&tag=one";
    gateway.call("POST", target, &[("x-who", "a&b=c d")], "body").with(200);
    let seen = service.last();
    assert_eq!((seen.method.as_str(), &seen.body[..]), ("PUT", &b"body"[..]));
    let (path, query) = seen.target.split_once('?').unwrap();
    assert_eq!(path, "/q/7");
    let pairs: Vec<_> = form(query);
    let all =
        |name: &str| pairs.iter().filter(|(key, _)| key == name).map(|(_, value)| value.as_str()).collect::<Vec<_>>();
    assert_eq!((all("secret"), all("old"), all("new")), (vec![], vec![], vec!["a", "b"]));
    assert_eq!((all("page"), all("who")), (vec!["7"], vec!["a&b=c d"]), "a value cannot begin another pair");
    assert_eq!((all("size"), all("sort"), all("tag")), (vec!["10"], vec!["date"], vec!["one", "extra"]));
}

fn form(query: &str) -> Vec<(String, String)> {
    let decoded =
        |text: &str| percent_encoding::percent_decode_str(&text.replace('+', " ")).decode_utf8().unwrap().into_owned();
    query
        .split('&')
        .filter_map(|pair| pair.split_once('='))
        .map(|(key, value)| (decoded(key), decoded(value)))
        .collect()
}

#[test]
fn a_value_cannot_be_more_than_a_value_where_it_is_put() {
    let service = upstream::answers(|seen| upstream::answer(200, &[JSON], &seen.body));
    let gateway = gateway::script(
        r#"
        route "POST /json" { transform_request { body = '{{"name": "{query.name}", "n": {json.n}, "all": {json.all}, "text": {query.name}}}' }, to = "service" }
        route "POST /typed" { transform_request { body = '"{query.name}"' }, to = "service" }
        route "POST /xml" { transform_request { body = "<name kind='{query.name}'>{query.name}</name>" }, to = "service" }
        route "POST /text" { transform_request { body = "name={query.name}" }, to = "service" }
        route "POST /header" { transform_request { set = { ["x-name"] = "{json.name}" } }, to = "service" }
        route "POST /set" { transform_request { json = { set = { ["$.who"] = { name = "{query.name}", plan = "{json.plan}", fixed = "{{}}", n = 1 }, ["$.t"] = "plain" } } }, to = "service" }
        "#,
    )
    .service("service", &service)
    .start();
    let name = "name=%22%2C%22admin%22%3Atrue%2C%22x%22%3A%22%3Cb%3E%26%27";
    let plain = "\",\"admin\":true,\"x\":\"<b>&'";
    let exact = r#"{"n":18446744073709551617,"all":{"a":[1.10]}}"#;
    let made = gateway.call("POST", &format!("/json?{name}"), &[JSON], exact).with(200);
    let document = made.json();
    assert_eq!((document["name"].as_str(), document["text"].as_str()), (Some(plain), Some(plain)));
    assert!(made.text().contains("18446744073709551617") && made.text().contains("1.10"), "{made:?}");
    assert_eq!(document.as_object().unwrap().len(), 4, "nothing came in beside");
    let typed = gateway.call("POST", &format!("/typed?{name}"), &[JSON], "{}").with(200);
    assert_eq!(typed.json(), json!(plain));
    let xml = gateway.call("POST", &format!("/xml?{name}"), &[], "x").with(200);
    assert!(!xml.text().contains("<b>") && !xml.text().contains("&'"), "{xml:?}");
    assert_eq!(gateway.call("POST", &format!("/text?{name}"), &[], "x").text(), format!("name={plain}"));
    gateway.call("POST", "/header", &[JSON], r#"{"name":"a\r\nx-evil: 1"}"#).refused(400, "header.unsafe");
    let set = gateway.call("POST", &format!("/set?{name}"), &[JSON], r#"{"plan":"gold","who":1}"#).with(200);
    let who = json!({ "name": plain, "plan": "gold", "fixed": "{}", "n": 1 });
    assert_eq!(set.json(), json!({ "plan": "gold", "who": who, "t": "plain" }));
}

#[test]
fn bodies_are_chosen_by_media_type_and_may_pass() {
    let service = upstream::answers(|seen| {
        let kind = seen.header("content-type").unwrap_or("none").to_owned();
        upstream::answer(200, &[("x-kind", &kind)], &seen.body)
    });
    let gateway = gateway::script(
        r#"
        route "POST /t" { transform_request { body = {
          ["application/json"] = { wrapped = "{json.a}" }, ["text/csv"] = function(req) return { lines = #req:text():split("\n") } end,
          ["*"] = "pass",
        } }, to = "service" }
        route "POST /f" { transform_request { body = function(req) return nil end }, to = "service" }
        route "POST /j" { transform_request { json = { set = { ["$.b"] = 1 } } }, to = "service" }
        "#,
    )
    .service("service", &service)
    .start();
    let call =
        |target: &str, kind: &str, body: &str| gateway.call("POST", target, &[("content-type", kind)], body).with(200);
    assert_eq!(call("/t", "application/json", r#"{"a":"x"}"#).json(), json!({ "wrapped": "x" }));
    let lines = call("/t", "text/csv; header=present", "a\nb\nc");
    assert_eq!((lines.json(), lines.header("x-kind")), (json!({ "lines": 3 }), Some("application/json")));
    assert_eq!(call("/t", "text/plain", "as it is").text(), "as it is");
    assert_eq!(call("/f", "text/plain", "as it is").text(), "as it is");
    assert_eq!(call("/j", "text/plain", "{}").text(), "{}", "no JSON by its type");
    assert_eq!(call("/j", "application/hal+json; charset=utf-8", "{}").json(), json!({ "b": 1 }));
}

#[test]
fn answers_are_shaped_with_what_they_are() {
    let service = upstream::answers(|seen| match seen.target.as_str() {
        "/404" => upstream::answer(404, &[JSON], r#"{"id":9007199254740993}"#),
        "/204" => upstream::answer(204, &[], ""),
        "/503" => upstream::answer(503, &[("retry-after", "9")], "x"),
        "/broken" => b"nonsense\r\n\r\n".to_vec(),
        _ => upstream::answer(
            200,
            &[JSON, ("x-internal-a", "1"), ("x-internal-b", "2"), ("x-old", "o")],
            r#"{"id":9007199254740993,"plan":"gold"}"#,
        ),
    });
    let gateway = gateway::script(
        r#"
        route "/{what}" { to = "service", transform_response {
          remove = { "x-internal-*" }, rename = { ["x-old"] = "x-new" }, default = { ["x-new"] = "never", ["x-kind"] = "usual" }, add = { ["x-more"] = "1" },
          set = { ["x-plan"] = "{response.json.plan}", ["x-status"] = "{response.status}", ["x-type"] = "{response.header.content-type}", ["x-id"] = "{response.json.id}" },
          on = {
            ["404"] = { status = 410, set = { ["x-exact"] = "yes" } },
            ["4xx"] = { set = { ["x-class"] = "4" } },
            ["5xx"] = { body = { sorry = "{response.status}" }, set = { ["x-class"] = "5" } },
            [204] = { body = "never" },
          },
        } }
        "#,
    )
    .service("service", &service)
    .start();
    let fine = gateway.get("/200").with(200);
    assert_eq!((fine.header("x-internal-a"), fine.header("x-internal-b")), (None, None));
    assert_eq!(
        (fine.header("x-new"), fine.header("x-kind"), fine.header("x-more")),
        (Some("o"), Some("usual"), Some("1"))
    );
    assert_eq!((fine.header("x-plan"), fine.header("x-status")), (Some("gold"), Some("200")));
    assert_eq!((fine.header("x-type"), fine.header("x-id")), (Some("application/json"), Some("9007199254740993")));
    assert_eq!(fine.text(), r#"{"id":9007199254740993,"plan":"gold"}"#, "what was only read is as it was");
    let gone = gateway.get("/404").with(410);
    assert_eq!(
        (gone.header("x-exact"), gone.header("x-class"), gone.header("x-status")),
        (Some("yes"), Some("4"), Some("404"))
    );
    for (target, status) in [("/503", 503), ("/broken", 502)] {
        let sorry = gateway.get(target).with(status);
        assert_eq!(
            (sorry.json(), sorry.header("x-class")),
            (json!({ "sorry": status.to_string() }), Some("5")),
            "{target}"
        );
    }
    assert!(gateway.get("/204").with(204).body.is_empty());
    let head = gateway.call("HEAD", "/200", &[], "").with(200);
    assert_eq!((head.header("x-status"), head.body.len()), (Some("200"), 0));
}

#[test]
fn mocks_answer_whatever_is_written() {
    let clock = moongate::clock::Clock::fake(Duration::from_secs(1_800_000_000));
    let gateway = gateway::script(
        r#"
        route "GET /json" { mock { status = 201, json = { list = json.array {}, n = 1.5, no = json.null }, headers = { location = "/json/{query.id}" } } }
        route "GET /text" { mock { text = "plain" } }
        route "GET /html" { mock { html = "<p>" } }
        route "GET /file" { mock { file = "answer.csv" } }
        route "GET /empty" { mock {} }
        route "GET /late" { mock { text = "late", delay = "3s" } }
        route "GET /never" { mock { status = 500, when = function(req) return false end }, mock { status = 204 } }
        "#,
    )
    .file("answer.csv", "a,b\n")
    .clock(&clock)
    .start();
    let made = gateway.get("/json?id=7").with(201);
    assert_eq!((made.text().replace(' ', ""), made.header("location")), (made.json().to_string(), Some("/json/7")));
    assert_eq!(made.json(), json!({ "list": [], "n": 1.5, "no": null }));
    for (target, kind, text) in [
        ("/text", Some("text/plain; charset=utf-8"), "plain"),
        ("/html", Some("text/html; charset=utf-8"), "<p>"),
        ("/file", Some("text/csv; charset=utf-8"), "a,b\n"),
        ("/empty", None, ""),
    ] {
        let answer = gateway.get(target).with(200);
        assert_eq!((answer.header("content-type"), answer.text()), (kind, text), "{target}");
    }
    let head = gateway.call("HEAD", "/text", &[], "").with(200);
    assert_eq!((head.header("content-length"), head.body.len()), (Some("5"), 0));
    gateway.get("/never").with(204);
    gateway.get("/json?id=a%0d%0ax-evil:1").refused(400, "header.unsafe");
    let began = clock.unix();
    let mut client = gateway.client();
    let late = std::thread::scope(|scope| {
        let reader = scope.spawn(|| (client.get("/late").text().to_owned(), clock.unix()));
        wait::until("it is answered", || {
            clock.advance(Duration::from_millis(100));
            reader.is_finished()
        });
        reader.join().unwrap()
    });
    assert!(late.0 == "late" && late.1 - began >= Duration::from_secs(3), "{late:?}");
}

#[test]
fn redirects_stay_where_they_are_meant_to_go() {
    let gateway = gateway::script(
        r#"
        route "GET /old/{rest*}" { redirect "/new/{rest*}?from={path}&q={query.q}" }
        route "GET /moved/{id}" { redirect "https://shop.example/items/{id}" { status = 301 } }
        route "POST /kept" { redirect { "https://api.example/kept", status = 308 } }
        route "GET /up/{rest*}" { redirect "/{rest*}" }
        route "GET /there" { redirect "//cdn.example/there" }
        "#,
    )
    .start();
    let location = |target: &str, status: u16| gateway.get(target).with(status).header("location").unwrap().to_owned();
    assert_eq!(location("/old/a/b%20c?q=x%26y", 302), "/new/a/b%20c?from=%2Fold%2Fa%2Fb%2520c&q=x%26y");
    assert_eq!(location("/moved/a%3Fb", 301), "https://shop.example/items/a%3Fb");
    assert_eq!(location("/there", 302), "//cdn.example/there");
    let kept = gateway.call("POST", "/kept", &[], "x").with(308);
    assert_eq!(kept.header("location"), Some("https://api.example/kept"));
    for hostile in ["/up//evil.example/a", "/up///evil.example", "/up/%0d%0aset-cookie:x=1", "/up//evil.example%2f.."] {
        let answer = gateway.get(hostile);
        assert!(answer.status == 302 || answer.status == 400, "{hostile}: {answer:?}");
        let location = answer.header("location").unwrap_or("/");
        assert!(location.starts_with('/') && !location.starts_with("//"), "{hostile} leads to {location}");
        assert_eq!(answer.header("set-cookie"), None);
    }
}
