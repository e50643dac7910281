//! `introspect`: the issuer is asked once, what it said is remembered, and without it nobody passes.

use std::time::Duration;

use moongate::clock::Clock;

use crate::support::gateway;
use crate::support::gateway::Gateway;
use crate::support::idp;
use crate::support::idp::Idp;
use crate::support::idp::Mood;
use crate::support::idp::now;
use crate::support::upstream;
use crate::support::wait;

fn gateway(idp: &Idp, clock: &Clock, more: &str) -> Gateway {
    gateway::script(&format!(
        r#"
        route "GET /" {{
          introspect {{ url = "IDP/introspect", client_id = "gate way", client_secret = secret "PASSWORD", {more} }},
          function(req) return {{ text = req.user.sub }} end,
        }}
        "#
    ))
    .with("IDP", idp.url())
    .env("PASSWORD", "p:w")
    .clock(clock)
    .start()
}

fn call(gateway: &Gateway, token: &str) -> crate::support::answer::Answer {
    gateway.call("GET", "/", &[("authorization", &format!("Bearer {token}"))], "")
}

#[test]
fn the_issuer_is_asked_once_a_minute_about_each_token() {
    let (idp, clock) = (idp::start(), Clock::fake(Duration::from_secs(now())));
    let gateway = gateway(&idp, &clock, "");
    gateway.get("/").refused(401, "introspect.missing");
    assert_eq!(call(&gateway, "good-1").with(200).text(), "good-1");
    let seen = idp.server().last();
    assert_eq!((seen.method.as_str(), seen.header("authorization")), ("POST", Some("Basic Z2F0ZSUyMHdheTpwJTNBdw==")));
    assert_eq!(String::from_utf8_lossy(&seen.body), "token=good-1&token_type_hint=access_token");
    for _ in 0..3 {
        call(&gateway, "good-1").with(200);
    }
    assert_eq!(idp.server().calls(), 1);
    let answer = call(&gateway, "bad");
    answer.refused(401, "introspect.inactive");
    assert!(answer.header("www-authenticate").unwrap().contains(r#"error="invalid_token""#));
    call(&gateway, "bad").refused(401, "introspect.inactive");
    assert_eq!(idp.server().calls(), 2, "a refusal is remembered too");
    clock.advance(Duration::from_secs(11));
    call(&gateway, "bad").refused(401, "introspect.inactive");
    assert_eq!(idp.server().calls(), 3, "but not for long");
    gateway.reload().unwrap();
    idp.mood(Mood::Down);
    call(&gateway, "good-1").with(200);
    clock.advance(Duration::from_secs(60));
    let answer = call(&gateway, "good-1");
    answer.refused(503, "introspect.unavailable");
    assert!(answer.header("retry-after").is_some());
    call(&gateway, &"x".repeat(9000)).refused(401, "introspect.inactive");
}

#[test]
fn a_token_without_the_scope_is_known_and_may_not() {
    let (idp, clock) = (idp::start(), Clock::fake(Duration::from_secs(now())));
    let gateway = gateway(&idp, &clock, r#"scope = { "read", "admin" }"#);
    for _ in 0..2 {
        let answer = call(&gateway, "good");
        answer.refused(403, "introspect.inactive");
        let challenge = answer.header("www-authenticate").unwrap();
        assert!(challenge.contains(r#"error="insufficient_scope", scope="read admin""#), "{challenge}");
    }
}

#[test]
fn those_who_bring_a_token_at_once_cost_one_question_and_who_leaves_takes_no_answer_along() {
    let issuer = upstream::serve(|conn| {
        while conn.request().is_some() {
            conn.hold();
            conn.send(upstream::answer(200, &[], r#"{"active":true,"sub":"u1"}"#));
        }
    });
    let script = r#"route "GET /" {
        introspect { url = "ISSUER/introspect", client_id = "a", client_secret = "b" },
        function(req) return { text = req.user.sub } end,
    }"#;
    let gateway = gateway::script(script).with("ISSUER", issuer.url()).workers(2).start();
    let bring = |token: &str| {
        let mut client = gateway.client();
        client.send(format!("GET / HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {token}\r\n\r\n"));
        client
    };
    let first = bring("t");
    wait::until("the issuer has the question", || issuer.calls() == 1);
    let mut others: Vec<_> = (0..20).map(|_| bring("t")).collect();
    let mut another = bring("another");
    wait::until("all wait", || gateway.metric("http_server_active_requests") >= 22.0);
    first.reset();
    wait::until("the first is gone", || gateway.metric("moongate_failures_total{code=\"client.gone\"}") >= 1.0);
    issuer.release();
    for client in &mut others {
        assert_eq!(client.answer().with(200).text(), "u1");
    }
    another.answer().with(200);
    assert_eq!(issuer.calls(), 2, "one about each token");
}

#[test]
fn an_issuer_that_fails_fails_all_who_wait_at_once() {
    let issuer = upstream::serve(|conn| {
        while conn.request().is_some() {
            conn.hold();
            conn.send(upstream::answer(500, &[], "down"));
        }
    });
    let script = r#"route "GET /" { introspect { url = "ISSUER/i", client_id = "a", client_secret = "b" }, function() return 204 end }"#;
    let gateway = gateway::script(script).with("ISSUER", issuer.url()).start();
    let mut clients: Vec<_> = (0..10).map(|_| gateway.client()).collect();
    for client in &mut clients {
        client.send("GET / HTTP/1.1\r\nhost: x\r\nauthorization: Bearer t\r\n\r\n");
    }
    wait::until("all wait", || gateway.metric("http_server_active_requests") >= 10.0);
    issuer.release();
    for client in &mut clients {
        client.answer().refused(503, "introspect.unavailable");
    }
    assert_eq!(issuer.calls(), 1);
}
