//! `cache`: a shared cache by RFC 9111, whose place among the steps matters.

use std::time::Duration;

use moongate::clock::Clock;

use crate::support::gateway;
use crate::support::upstream;
use crate::support::upstream::Upstream;

pub(crate) fn clock() -> Clock {
    Clock::fake(Duration::from_secs(1_800_000_000))
}

pub(crate) fn seconds(n: u64) -> Duration {
    Duration::from_secs(n)
}

/// Answers with its count of calls, and these fields.
pub(crate) fn counting(fields: &'static [(&'static str, &'static str)]) -> Upstream {
    let calls = std::sync::atomic::AtomicUsize::new(0);
    upstream::answers(move |_| {
        let n = calls.fetch_add(1, std::sync::atomic::Ordering::SeqCst) + 1;
        upstream::answer(200, fields, format!("answer {n}"))
    })
}

pub(crate) fn cached(options: &str) -> String {
    format!("route \"/{{rest*}}\" {{ cache {options}, to = \"s\" }}")
}

#[test]
fn an_answer_is_asked_for_once_and_served_until_it_is_stale() {
    let (service, clock) = (counting(&[]), clock());
    let gateway = gateway::script(&cached("\"10s\"")).service("s", &service).workers(2).clock(&clock).start();
    let first = gateway.get("/a");
    assert_eq!((first.text(), first.header("cache-status")), ("answer 1", Some("moongate; fwd=miss; stored")));
    assert_eq!(first.header("age"), None);
    clock.advance(seconds(4));
    for _ in 0..6 {
        let again = gateway.get("/a");
        assert_eq!((again.text(), again.header("age")), ("answer 1", Some("4")));
        assert_eq!(again.header("cache-status"), Some("moongate; hit; ttl=6"));
    }
    assert_eq!(gateway.get("/a?x").text(), "answer 2", "another query is another address");
    clock.advance(seconds(6));
    assert_eq!(gateway.get("/a").text(), "answer 3");
    assert_eq!(gateway.metric("moongate_cache_requests_total{cache=\"hit\"}"), 6.0);
}

#[test]
fn the_service_s_own_word_rules_unless_overridden() {
    let (service, clock) = (counting(&[("cache-control", "max-age=2")]), clock());
    let script = "route \"/plain\" { cache \"1h\", to = \"s\" }
        route \"/told\" { cache { \"1h\", override = true }, to = \"s\" }";
    let gateway = gateway::script(script).service("s", &service).clock(&clock).start();
    assert_eq!((gateway.get("/plain").text(), gateway.get("/told").text()), ("answer 1", "answer 2"));
    clock.advance(seconds(3));
    assert_eq!((gateway.get("/plain").text(), gateway.get("/told").text()), ("answer 3", "answer 2"));
}

#[test]
fn a_head_request_is_answered_from_what_get_brought_and_the_other_way_round() {
    let service = counting(&[]);
    let gateway = gateway::script(&cached("\"1h\"")).service("s", &service).start();
    let head = gateway.call("HEAD", "/a", &[], "");
    assert_eq!((head.status, head.header("content-length"), head.body.len()), (200, Some("8"), 0));
    assert_eq!(gateway.get("/a").text(), "answer 1");
    assert_eq!(gateway.call("HEAD", "/a", &[], "").header("content-length"), Some("8"));
    assert_eq!((service.calls(), service.last().method.as_str()), (1, "GET"));
}

#[test]
fn steps_before_run_for_every_request_and_steps_after_only_for_answers_that_are_made() {
    let service = counting(&[]);
    let script = r#"
        local before, after = metrics.counter "before" {}, metrics.counter "after" {}
        route "/{rest*}" {
          function() before:inc() end,
          cache "1h",
          function(req, next) after:inc() local res = next() res.headers["x-made"] = req.headers["x-who"] end,
          to = "s",
        }"#;
    let gateway = gateway::script(script).service("s", &service).start();
    let first = gateway.call("GET", "/a", &[("x-who", "me")], "");
    assert_eq!(first.header("x-made"), Some("me"));
    let second = gateway.call("GET", "/a", &[("x-who", "you")], "");
    assert_eq!(second.header("x-made"), Some("me"), "it is the answer that was made");
    assert_eq!((gateway.metric("before"), gateway.metric("after")), (2.0, 1.0));
}

#[test]
fn answers_differ_by_the_fields_the_service_names() {
    let service = upstream::answers(|seen| {
        let fields = [("vary", "Accept-Language"), ("cache-control", "max-age=60")];
        upstream::answer(200, &fields, seen.header("accept-language").unwrap_or("none"))
    });
    let gateway = gateway::script(&cached("{}")).service("s", &service).start();
    for _ in 0..2 {
        for language in ["de", "en"] {
            assert_eq!(gateway.call("GET", "/a", &[("accept-language", language)], "").text(), language);
        }
        assert_eq!(gateway.get("/a").text(), "none");
    }
    assert_eq!(service.calls(), 3);
}

#[test]
fn credentials_and_cookies_are_not_shared() {
    let service = upstream::answers(|seen| {
        let fields: &[_] = match seen.target.as_str() {
            "/public" => &[("cache-control", "public, max-age=60")],
            "/cookie" => &[("cache-control", "public, max-age=60"), ("set-cookie", "s=1")],
            _ => &[("cache-control", "max-age=60")],
        };
        upstream::answer(200, fields, seen.header("authorization").unwrap_or("nobody"))
    });
    let gateway = gateway::script(&cached("\"1h\"")).service("s", &service).start();
    let by = |target: &str, who: &str| gateway.call("GET", target, &[("authorization", who)], "").text().to_owned();
    assert_eq!((by("/own", "a"), by("/own", "b")), ("a".to_owned(), "b".to_owned()));
    assert_eq!((by("/public", "a"), by("/public", "b")), ("a".to_owned(), "a".to_owned()));
    gateway.get("/cookie");
    gateway.get("/cookie");
    assert_eq!(service.seen().iter().filter(|seen| seen.target == "/cookie").count(), 2);
}

#[test]
fn an_identity_that_a_step_found_counts_like_credentials_and_private_gives_each_user_their_own() {
    let service = upstream::answers(|seen| upstream::ok(seen.header("x-user").unwrap_or("nobody")));
    let script = r#"
        local who = function(req) local name = req.headers["x-user"] if name then req.user = { sub = name } end end
        route "/shared" { who, cache "1h", to = "s" }
        route "/own" { who, cache { "1h", private = true }, to = "s" }"#;
    let gateway = gateway::script(script).service("s", &service).start();
    let by = |target: &str, who: &str| gateway.call("GET", target, &[("x-user", who)], "").text().to_owned();
    for _ in 0..2 {
        assert_eq!((by("/shared", "a"), by("/shared", "b")), ("a".to_owned(), "b".to_owned()));
        assert_eq!((by("/own", "a"), by("/own", "b")), ("a".to_owned(), "b".to_owned()));
        assert_eq!(gateway.get("/own").text(), "nobody");
    }
    let own = service.seen().iter().filter(|seen| seen.target == "/own").count();
    assert_eq!((own, service.calls() - own), (3, 4));
}

#[test]
fn a_stale_answer_is_confirmed_by_its_validator() {
    let service = upstream::answers(|seen| match seen.header("if-none-match") {
        Some("\"v1\"") => upstream::answer(304, &[("etag", "\"v1\""), ("x-new", "1")], ""),
        _ => upstream::answer(200, &[("etag", "\"v1\"")], "body"),
    });
    let clock = clock();
    let gateway = gateway::script(&cached("\"10s\"")).service("s", &service).clock(&clock).start();
    assert_eq!(gateway.get("/a").text(), "body");
    clock.advance(seconds(11));
    let confirmed = gateway.get("/a");
    assert_eq!((confirmed.status, confirmed.text(), confirmed.header("x-new")), (200, "body", Some("1")));
    assert_eq!(confirmed.header("cache-status"), Some("moongate; fwd=stale; fwd-status=304; stored"));
    clock.advance(seconds(5));
    assert_eq!((gateway.get("/a").text(), service.calls()), ("body", 2));
}

#[test]
fn a_client_that_has_it_already_is_told_so_and_parts_are_cut_from_what_is_stored() {
    let service = counting(&[("etag", "\"v1\"")]);
    let gateway = gateway::script(&cached("\"1h\"")).service("s", &service).start();
    let first = gateway.call("GET", "/a", &[("if-none-match", "\"v0\""), ("range", "bytes=0-1")], "");
    assert_eq!((first.status, first.text()), (200, "answer 1"));
    assert!(service.last().header("if-none-match").is_none() && service.last().header("range").is_none());
    assert_eq!(gateway.call("GET", "/a", &[("if-none-match", "\"v1\"")], "").status, 304);
    let part = gateway.call("GET", "/a", &[("range", "bytes=0-3")], "");
    assert_eq!((part.status, part.text(), part.header("content-range")), (206, "answ", Some("bytes 0-3/8")));
    assert_eq!(gateway.call("GET", "/a", &[("range", "bytes=99-")], "").status, 416);
    assert_eq!(service.calls(), 1);
}

#[test]
fn what_a_successful_change_made_stale_is_forgotten() {
    let service = upstream::answers(|seen| match (seen.method.as_str(), seen.target.as_str()) {
        ("POST", "/bad") => upstream::answer(400, &[], ""),
        ("POST", "/list") => upstream::answer(201, &[("location", "/item/1")], ""),
        _ => upstream::answer(200, &[("vary", "accept")], "x"),
    });
    let gateway = gateway::script(&cached("\"1h\"")).service("s", &service).start();
    let fill = || {
        for target in ["/list", "/item/1", "/bad", "/other"] {
            gateway.get(target);
        }
    };
    fill();
    fill();
    assert_eq!(service.calls(), 4);
    gateway.call("POST", "/list", &[], "new").with(201);
    gateway.call("POST", "/bad", &[], "new").with(400);
    fill();
    let asked: Vec<_> = service.seen()[6..].iter().map(|seen| seen.target.clone()).collect();
    assert_eq!(asked, ["/list", "/item/1"], "the refused change leaves what is stored");
}

#[test]
fn a_client_s_wish_for_a_fresh_answer_reaches_the_service_only_where_it_may() {
    let service = counting(&[]);
    let script = "route \"/ignores\" { cache \"1h\", to = \"s\" }
        route \"/allows\" { cache { \"1h\", refresh = \"allow\" }, to = \"s\" }";
    let gateway = gateway::script(script).service("s", &service).start();
    let insist = |target: &str| gateway.call("GET", target, &[("cache-control", "no-cache")], "").text().to_owned();
    gateway.get("/ignores");
    gateway.get("/allows");
    assert_eq!((insist("/ignores").as_str(), insist("/allows").as_str()), ("answer 1", "answer 3"));
    assert_eq!(gateway.get("/allows").text(), "answer 3", "the fresh one is stored");
    gateway.call("GET", "/ignores?2", &[("cache-control", "only-if-cached")], "").refused(504, "cache.miss");
}

#[test]
fn functions_decide_about_key_time_and_keeping() {
    let (service, clock) = (counting(&[]), clock());
    let script = r#"
        route "/{rest*}" {
          cache {
            function(req, res) return if req.path == "/short" then "1s" else 60 end,
            key = function(req) if req.path == "/never" then return nil end return req.path end,
            keep = function(req, res) return res.status == 200 and req.path ~= "/unkept" end,
          },
          to = "s",
        }"#;
    let gateway = gateway::script(script).service("s", &service).clock(&clock).start();
    assert_eq!((gateway.get("/a?1").text(), gateway.get("/a?2").text()), ("answer 1", "answer 1"));
    assert_eq!((gateway.get("/never").text(), gateway.get("/never").text()), ("answer 2", "answer 3"));
    assert_eq!((gateway.get("/unkept").text(), gateway.get("/unkept").text()), ("answer 4", "answer 5"));
    assert_eq!(gateway.get("/short").text(), "answer 6");
    clock.advance(seconds(2));
    assert_eq!((gateway.get("/short").text(), gateway.get("/a").text()), ("answer 7", "answer 1"));
}

#[test]
fn a_reload_keeps_what_is_stored() {
    let service = counting(&[]);
    let gateway = gateway::script(&cached("\"1h\"")).service("s", &service).start();
    gateway.get("/a");
    gateway.edit(&format!("{}\nroute \"GET /new\" {{ function() return 204 end }}", cached("\"2h\""))).unwrap();
    assert_eq!(gateway.get("/new").status, 204);
    assert_eq!((gateway.get("/a").text(), service.calls()), ("answer 1", 1));
}

#[test]
fn failures_reach_everybody_and_are_not_stored() {
    let gateway = gateway::script(
        r#"route "/{rest*}" { cache "1h", function(req) if req.path == "/bug" then error "oh" end reject(418, "no") end }"#,
    )
    .start();
    for _ in 0..2 {
        gateway.get("/a").refused(418, "rejected");
        gateway.get("/bug").refused(500, "script.error");
    }
}

#[test]
fn an_address_dressed_as_a_file_does_not_store_what_is_private() {
    let service = upstream::answers(|seen| upstream::ok(seen.header("cookie").unwrap_or("nobody")));
    let script = r#"route "/{rest*}" { function(req) if req.cookies.s then req.user = { sub = req.cookies.s } end end, cache "1h", to = "s" }"#;
    let gateway = gateway::script(script).service("s", &service).start();
    assert_eq!(gateway.call("GET", "/account/x.css", &[("cookie", "s=victim")], "").text(), "s=victim");
    assert_eq!(gateway.get("/account/x.css").text(), "nobody");
}

/// RFC 10008: the content of QUERY is the question. Two questions to one address must never share an answer.
#[test]
fn the_content_of_a_query_is_part_of_its_key() {
    let service = upstream::answers(|seen| upstream::ok(&seen.body));
    let script = cached("{ \"1h\", methods = { \"GET\", \"QUERY\" } }");
    let gateway = gateway::script(&script).service("s", &service).start();
    for _ in 0..2 {
        for question in ["a", "b", ""] {
            assert_eq!(gateway.call("QUERY", "/ask", &[], question).text(), question);
        }
        assert_eq!(gateway.get("/ask").text(), "");
    }
    assert_eq!(service.calls(), 4, "each question is asked once");
}

#[test]
fn the_function_of_a_key_is_asked_once_for_a_request() {
    let service = counting(&[]);
    let script = r#"
        local asked = metrics.counter "asked" {}
        route "/{rest*}" { cache { "1h", key = function(req) asked:inc() return req.path end }, to = "s" }"#;
    let gateway = gateway::script(script).service("s", &service).start();
    gateway.get("/a").with(200);
    gateway.get("/a").with(200);
    assert_eq!(gateway.metric("asked"), 2.0);
}
