//! `cache`: what is for one client is never another's, whoever found out who that is and however the answer came.

use crate::caching::cached;
use crate::caching::clock;
use crate::caching::counting;
use crate::caching::seconds;
use crate::support::gateway;
use crate::support::upstream;
use crate::support::upstream::Upstream;

/// Answers with this field of the request.
fn mirror(field: &'static str, fields: &'static [(&'static str, &'static str)]) -> Upstream {
    upstream::answers(move |seen| {
        upstream::answer(200, fields, format!("for {}", seen.header(field).unwrap_or("nobody")))
    })
}

/// A service that confirms what it said with these fields, and says its count of calls.
fn confirming(
    first: &'static [(&'static str, &'static str)],
    then: &'static [(&'static str, &'static str)],
) -> Upstream {
    let calls = std::sync::atomic::AtomicUsize::new(0);
    upstream::answers(move |seen| {
        let n = calls.fetch_add(1, std::sync::atomic::Ordering::SeqCst) + 1;
        if seen.header("if-none-match").is_none() {
            return upstream::answer(200, first, format!("answer {n}"));
        }
        let cookie = seen.header("cookie").map(|who| format!("of-{who}"));
        let cookie = cookie.as_deref().map(|cookie| ("set-cookie", cookie));
        upstream::answer(304, &then.iter().copied().chain(cookie).collect::<Vec<_>>(), "")
    })
}

#[test]
fn who_an_authorizer_let_in_is_somebody_in_particular() {
    let service = mirror("x-user", &[]);
    let authorizer = upstream::answers(|seen| match seen.header("cookie") {
        Some(who) => upstream::answer(200, &[("x-user", who)], ""),
        None => upstream::answer(401, &[], ""),
    });
    let script = r#"
        route "/all/{rest*}" { forward_auth { "az/verify", copy = { "x-user" } }, cache "60s", to = "s" }
        route "/own/{rest*}" { forward_auth { "az/verify", copy = { "x-user" } }, cache { "60s", private = true }, to = "s" }
    "#;
    let gateway = gateway::script(script).service("s", &service).service("az", &authorizer).start();
    for path in ["/all/1", "/own/1"] {
        for who in ["ann", "bob"] {
            assert_eq!(gateway.call("GET", path, &[("cookie", who)], "").text(), format!("for {who}"), "{path}");
        }
    }
}

#[test]
fn who_a_step_behind_the_cache_found_counts_as_well() {
    let service = mirror("x-user", &[]);
    let script = r#"
        local keys = { keys = { ann = "ann" }, from = "header:x-key", forward = { ["x-user"] = "{user.sub}" } }
        route "/key"  { cache "60s", api_key(keys), to = "s" }
        route "/own"  { cache { "60s", private = true }, api_key(keys), to = "s" }
        route "/step" { cache "60s", function(req)
          local who = req.headers["x-key"] or reject(401)
          req.user = { name = who }
          req.headers["x-user"] = who
        end, to = "s" }
    "#;
    let gateway = gateway::script(script).service("s", &service).start();
    for path in ["/key", "/own", "/step"] {
        assert_eq!(gateway.call("GET", path, &[("x-key", "ann")], "").with(200).text(), "for ann", "{path}");
        gateway.get(path).with(401);
    }
}

#[test]
fn the_cookies_of_a_confirmation_are_for_who_asked() {
    let service = confirming(&[("cache-control", "max-age=1"), ("etag", "\"a\"")], &[("etag", "\"a\"")]);
    let clock = clock();
    let gateway = gateway::script(&cached("\"60s\"")).service("s", &service).clock(&clock).start();
    assert_eq!(gateway.get("/a").text(), "answer 1");
    clock.advance(seconds(2));
    let asked = gateway.call("GET", "/a", &[("cookie", "ann")], "");
    assert_eq!((asked.text(), asked.header("set-cookie")), ("answer 1", Some("of-ann")));
    let next = gateway.get("/a");
    assert_eq!((next.text(), next.header("set-cookie")), ("answer 1", None));
    assert_eq!(next.header("cache-status"), Some("moongate; hit; ttl=1"));
}

#[test]
fn a_confirmation_may_end_what_was_stored() {
    for then in [
        &[("etag", "\"a\""), ("cache-control", "private, no-store"), ("x-user", "ann")][..],
        &[("etag", "\"a\""), ("vary", "x-lang"), ("cache-control", "max-age=60")],
        &[("etag", "\"b\""), ("cache-control", "max-age=60"), ("content-type", "text/evil")],
    ] {
        let service = confirming(&[("cache-control", "max-age=1"), ("etag", "\"a\"")], then);
        let clock = clock();
        let gateway = gateway::script(&cached("\"60s\"")).service("s", &service).clock(&clock).start();
        assert_eq!(gateway.get("/a").text(), "answer 1");
        clock.advance(seconds(2));
        assert_eq!(gateway.get("/a").text(), "answer 1", "who asked gets it: {then:?}");
        let next = gateway.get("/a");
        assert_eq!(next.text(), "answer 3", "{then:?}");
        assert!(next.header("x-user").is_none() && next.header("content-type") != Some("text/evil"), "{then:?}");
    }
}

#[test]
fn the_terms_of_one_client_do_not_keep_others_from_the_cache() {
    let service = counting(&[("cache-control", "max-age=60")]);
    let gateway = gateway::script(&cached("\"60s\"")).service("s", &service).start();
    for (path, terms) in [("/a", ("authorization", "x")), ("/b", ("cache-control", "no-store"))] {
        let own = gateway.call("GET", path, &[terms], "").with(200);
        let first = gateway.get(path);
        assert_ne!(first.text(), own.text(), "{path}");
        assert_eq!(gateway.get(path).text(), first.text(), "{path}");
    }
}

#[test]
fn blanks_in_a_field_by_which_answers_differ_are_part_of_it() {
    let service = mirror("x-name", &[("vary", "x-name")]);
    let gateway = gateway::script(&cached("\"60s\"")).service("s", &service).start();
    for name in ["ann e", "anne", "ann  e"] {
        assert_eq!(gateway.call("GET", "/a", &[("x-name", name)], "").text(), format!("for {name}"));
    }
    let service = counting(&[("vary", "accept-encoding")]);
    let gateway = gateway::script(&cached("\"60s\"")).service("s", &service).start();
    for choice in ["gzip, br", "gzip,br"] {
        assert_eq!(gateway.call("GET", "/a", &[("accept-encoding", choice)], "").text(), "answer 1");
    }
}

#[test]
fn what_differs_by_a_field_that_no_client_sent_is_not_stored() {
    let service = counting(&[("vary", "X-Forwarded-For")]);
    let gateway = gateway::script(&cached("\"60s\"")).service("s", &service).start();
    assert_eq!([gateway.get("/a").text(), gateway.get("/a").text()], ["answer 1", "answer 2"]);
    let service = mirror("x-plan", &[("vary", "x-plan")]);
    let script = r#"route "/{rest*}" { cache "60s", function(req)
        req.headers["x-plan"] = if req.headers["x-token"] == "g" then "gold" else "free"
    end, to = "s" }"#;
    let gateway = gateway::script(script).service("s", &service).start();
    assert_eq!(gateway.call("GET", "/a", &[("x-token", "g")], "").text(), "for gold");
    assert_eq!(gateway.call("GET", "/a", &[("x-plan", "gold")], "").text(), "for free");
    assert_eq!(gateway.get("/a").text(), "for free");
}
