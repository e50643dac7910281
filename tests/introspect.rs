//! `introspect`: the issuer is asked once, what it said is remembered, and without it nobody passes.

use std::time::Duration;

use moongate::clock::Clock;

use crate::support::gateway;
use crate::support::gateway::Gateway;
use crate::support::idp;
use crate::support::idp::Idp;
use crate::support::idp::Mood;
use crate::support::idp::now;

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
