//! `fetch`, `parallel`, `race`: what they get, how they fail, and where they must not go.

use std::time::Duration;

use crate::support::gateway;
use crate::support::gateway::Gateway;
use crate::support::upstream;
use crate::support::upstream::Upstream;
use crate::support::wait;

fn shop() -> (Upstream, Gateway) {
    let service = upstream::serve(|conn| {
        while let Some(seen) = conn.request() {
            match seen.target.split('?').next().unwrap() {
                "/slow" => return conn.linger(),
                "/500" => conn.send(upstream::answer(500, &[], "broken")),
                "/away" => conn.send(upstream::answer(302, &[("location", "/json")], "")),
                "/json" => conn.send(upstream::answer(
                    200,
                    &[("content-type", "application/json")],
                    r#"{"id":9007199254740993}"#,
                )),
                _ => conn.send(upstream::ok(format!(
                    "{} {} {}",
                    seen.method,
                    seen.target,
                    String::from_utf8_lossy(&seen.body)
                ))),
            };
        }
    });
    let gateway = gateway::script(
        r#"
        upstream "dead" { "$DEAD" }
        route "GET /text" { function() return { text = fetch("service/a?b=1"):text() } end }
        route "GET /post" { function() return { text = fetch("service/p", { method = "PUT", query = { q = "a&b" }, json = { n = 1 }, headers = { ["x-a"] = "1" } }):text() } end }
        route "GET /form" { function() return { text = fetch("service/f", { method = "POST", form = { a = "1 2" } }):text() } end }
        route "GET /json" { function() return { json = fetch("service/json"):json() } end }
        route "GET /status" { function() return { text = tostring(fetch("service/500").status) } end }
        route "GET /away" { function() return { text = tostring(fetch("service/away").status) .. fetch("service/away", { redirects = 1 }):text() } end }
        route "GET /dead" { function() fetch "dead/x" return 200 end }
        route "GET /pcall" { function() local ok, err = pcall(fetch, "dead/x") return { text = tostring(ok) } end }
        route "GET /try" { function() local res, err = try_fetch "dead/x" return { text = tostring(res) .. " " .. err.code } end }
        route "GET /late" { function() fetch("service/slow", { timeout = "100ms" }) return 200 end }
        route "GET /bounded" { function() fetch "service/slow" return 200 end, timeout = "200ms" }
        route "GET /pass" { function() return fetch "service/json" end }
        route "GET /url" { function(req) return { text = fetch(req.query.u):text() } end }
        route "GET /forward" { function(req) local res = req:forward("service", { path = "/other" }) res.headers["x-seen"] = "1" return res end }
        route "GET /all" { function() local t = parallel { a = function() return fetch("service/1"):text() end, b = function() return fetch("service/2"):text() end } return { text = t.a .. "," .. t.b } end }
        route "GET /first" { function() parallel { a = function() fetch "dead/x" end, b = function() fetch "service/slow" end } return 200 end }
        route "GET /settle" { function() local t = parallel.settle { a = function() return 1 end, b = function() error "no" end } return { json = { a = t.a.value, b = t.b.ok } } end }
        route "GET /race" { function() return { text = race { a = function() return fetch("service/slow"):text() end, b = function() return fetch("service/fast"):text() end } } end }
        "#,
    )
    .with("$DEAD", upstream::nobody())
    .service("service", &service)
    .start();
    (service, gateway)
}

#[test]
fn what_is_sent_and_what_comes_back() {
    let (service, gateway) = shop();
    assert_eq!(gateway.get("/text").text(), "GET /a?b=1 ");
    assert_eq!(gateway.get("/post").text(), r#"PUT /p?q=a%26b {"n":1}"#);
    assert_eq!(service.last().header("content-type"), Some("application/json"));
    assert!(matches!(gateway.get("/form").text(), "POST /f a=1+2" | "POST /f a=1%202"));
    assert_eq!(gateway.get("/json").text(), r#"{"id":9007199254740993}"#);
    assert_eq!(gateway.get("/status").text(), "500");
    assert_eq!(gateway.get("/away").text(), r#"302{"id":9007199254740993}"#);
    assert_eq!(gateway.get("/pass").with(200).text(), r#"{"id":9007199254740993}"#);
    let forwarded = gateway.get("/forward").with(200);
    assert_eq!((forwarded.text(), forwarded.header("x-seen")), ("GET /other ", Some("1")));
}

#[test]
fn no_answer_ends_the_request_and_try_gives_it_back() {
    let (_service, gateway) = shop();
    gateway.get("/dead").refused(502, "upstream.connect");
    assert_eq!(gateway.get("/try").text(), "nil upstream.connect");
    for target in ["/late", "/bounded"] {
        let watch = wait::Stopwatch::start();
        assert_eq!(gateway.get(target).status, 504, "{target}");
        assert!(watch.elapsed() < Duration::from_secs(5));
    }
}

#[test]
fn parallel_joins_cancels_settles_and_races() {
    let (service, gateway) = shop();
    assert_eq!(gateway.get("/all").text(), "GET /1 ,GET /2 ");
    gateway.get("/first").refused(502, "upstream.connect");
    assert_eq!(gateway.get("/settle").text(), r#"{"a":1,"b":false}"#);
    assert_eq!(gateway.get("/race").text(), "GET /fast ");
    wait::until("the losers were cancelled", || service.open() <= 2);
}

#[test]
fn urls_from_a_client_cannot_reach_metadata_or_link_local_addresses() {
    let (_service, gateway) = shop();
    for url in [
        "http://169.254.169.254/latest/meta-data",
        "http://169.254.1.1/",
        "http://[fe80::1]/",
        "http://[::ffff:169.254.169.254]/",
        "http://0xa9fea9fe/",
        "http://2852039166/",
        "http://metadata.google.internal/",
        "file:///etc/passwd",
        "gopher://x/",
        "service@evil",
        "",
    ] {
        let watch = wait::Stopwatch::start();
        let answer = gateway.get(&format!("/url?u={}", url.replace('%', "%25").replace('&', "%26")));
        assert!(answer.status >= 400, "{url}: {answer:?}");
        assert!(!answer.text().contains("root:"));
        assert!(watch.elapsed() < Duration::from_secs(4), "{url} was tried");
    }
}

#[test]
fn a_value_with_line_breaks_cannot_become_a_second_request() {
    let service = upstream::says("ok");
    let gateway = gateway::script(
        r#"
        route "GET /header" { function(req) fetch("service/", { headers = { ["x-a"] = req.query.v } }) return 204 end }
        route "GET /path" { function(req) fetch("service/" .. req.query.v) return 204 end }
        route "GET /method" { function(req) fetch("service/", { method = req.query.v }) return 204 end }
        "#,
    )
    .service("service", &service)
    .start();
    for target in ["/header", "/path", "/method"] {
        gateway.get(&format!("{target}?v=x%0D%0A%0D%0AGET%20/smuggled%20HTTP/1.1%0D%0A"));
        gateway.get(&format!("{target}?v=a%20HTTP/1.1%0D%0Ahost:x"));
    }
    assert!(service.seen().iter().all(|seen| !seen.target.starts_with("/smuggled") && seen.all("host").len() == 1));
}

#[test]
fn waiting_where_it_is_forbidden_says_so() {
    let gateway = gateway::script(
        r#"
        route "GET /when" { when = function() fetch "http://127.0.0.1:1/" return true end, function() return 204 end }
        route "GET /gsub" { function() ("a"):gsub("a", function() sleep "1ms" end) return 204 end }
        "#,
    )
    .start();
    for target in ["/when", "/gsub"] {
        assert_eq!(gateway.get(target).status, 500, "{target}");
    }
    let error =
        gateway::script(r#"fetch "http://127.0.0.1:1/""#).try_start().err().expect("a file that fetches was loaded");
    assert!(error.contains("gateway.lua:1"), "{error}");
}
