//! Trace context and request ids (S-70, S-73).

use crate::support::binary;
use crate::support::gateway;
use crate::support::upstream;

const PARENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

#[test]
fn a_trace_is_passed_on_with_a_span_of_our_own() {
    let service = upstream::says("ok");
    let gateway = gateway::before(&service);
    gateway.call("GET", "/", &[("traceparent", PARENT), ("tracestate", "a=1,b=2")], "").with(200);
    let seen = service.last();
    let sent = seen.header("traceparent").unwrap();
    assert!(sent.starts_with("00-4bf92f3577b34da6a3ce929d0e0e4736-") && sent.ends_with("-01"), "{sent}");
    assert!(seen.header("tracestate").unwrap().ends_with("a=1,b=2"));
}

#[test]
fn a_missing_or_broken_trace_is_begun_anew_and_its_state_dropped() {
    let service = upstream::says("ok");
    let gateway = gateway::before(&service);
    for broken in [
        "",
        "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
        "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
        "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
        "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
        "00-4bf9-00f0-01",
        "garbage",
    ] {
        let headers = if broken.is_empty() { vec![] } else { vec![("traceparent", broken), ("tracestate", "evil=1")] };
        gateway.call("GET", "/", &headers, "").with(200);
        let seen = service.last();
        let sent = seen.header("traceparent").unwrap();
        let parts: Vec<_> = sent.split('-').collect();
        assert_eq!(parts.iter().map(|part| part.len()).collect::<Vec<_>>(), [2, 32, 16, 2], "{sent}");
        assert!(!sent.contains("4bf92f3577b34da6a3ce929d0e0e4736"), "{broken} was believed");
        assert!(seen.header("tracestate").is_none_or(|state| !state.contains("evil")));
    }
}

#[test]
fn the_trace_id_is_in_the_problem_and_in_the_log() {
    let gateway = binary::script(r#"route "GET /" { function() reject(403) end }"#).start();
    let answer = gateway.client().call("GET", "/", &[("traceparent", PARENT)], "");
    assert!(answer.text().contains("4bf92f3577b34da6a3ce929d0e0e4736"), "{}", answer.text());
    gateway.logs("4bf92f3577b34da6a3ce929d0e0e4736");
}

#[test]
fn request_ids_are_ours_unless_a_trusted_peer_sends_one() {
    let service = upstream::says("ok");
    let trusting = gateway::script(r#"gateway { trust_proxies = { "127.0.0.1" } } route "/" { to = "service" }"#)
        .service("service", &service)
        .start();
    let strict = gateway::before(&service);
    for (gateway, sent, kept) in [
        (&strict, "from-a-stranger", false),
        (&trusting, "0190-abc_DEF.9", true),
        (&trusting, "a b", false),
        (&trusting, &"x".repeat(4000), false),
    ] {
        gateway.call("GET", "/", &[("x-request-id", sent)], "").with(200);
        let id = service.last().header("x-request-id").unwrap().to_owned();
        assert_eq!(id == sent, kept, "{sent} became {id}");
    }
    strict.get("/").with(200);
    let first = service.last().header("x-request-id").unwrap().to_owned();
    strict.get("/").with(200);
    assert_ne!(service.last().header("x-request-id"), Some(first.as_str()));
}

#[test]
fn the_id_is_told_on_every_answer_whoever_gives_it() {
    let service = upstream::says("ok");
    let gateway = gateway::script(
        r#"
        gateway { request_id { header = "x-correlation-id" } }
        route "GET /served"  { to = "service" }
        route "GET /refused" { function() reject(403) end }
        route "GET /usual"   { request_id {}, function() return 200 end }
        route "GET /own"     { function() return { status = 201, headers = { ["X-Correlation-Id"] = "mine" } } end }
        "#,
    )
    .service("service", &service)
    .start();
    let told = |path, status| {
        let answer = gateway.get(path).with(status);
        let ids: Vec<_> = answer.all("x-correlation-id");
        assert_eq!(ids.len(), 1, "{ids:?}");
        (ids[0].to_owned(), answer.text().to_owned())
    };
    let (id, _) = told("/served", 200);
    assert_eq!(service.last().header("x-correlation-id"), Some(id.as_str()));
    let (id, problem) = told("/refused", 403);
    assert!(problem.contains(&id), "{problem}");
    assert_eq!(told("/own", 201).0.len(), 36);
    let usual = gateway.get("/usual").with(200);
    assert_eq!(usual.header("x-request-id"), usual.header("x-correlation-id"));
}
