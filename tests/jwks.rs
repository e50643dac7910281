//! Keys that are fetched: rotation, outages, lies, and forgers who would have us fetch for ever.

use std::time::Duration;

use moongate::clock::Clock;
use serde_json::json;

use crate::support::gateway;
use crate::support::gateway::Gateway;
use crate::support::idp;
use crate::support::idp::Idp;
use crate::support::idp::Mood;
use crate::support::idp::forged;
use crate::support::idp::now;
use crate::support::wait::until;

fn gateway(idp: &Idp, options: &str) -> gateway::Setup {
    gateway::script(&format!(
        r#"route "GET /" {{ jwt {{ {options} }}, function(req) return {{ text = req.user.sub or "?" }} end }}"#
    ))
    .with("IDP", idp.url())
}

fn call(gateway: &Gateway, token: &str) -> crate::support::answer::Answer {
    gateway.call("GET", "/", &[("authorization", &format!("Bearer {token}"))], "")
}

#[test]
fn keys_are_had_from_discovery_and_the_first_requests_wait() {
    let idp = idp::start();
    idp.mood(Mood::Slow);
    let gateway = gateway(&idp, r#"discovery = "IDP", audience = "api""#).workers(2).start();
    let token = idp.token("k1", &json!({ "iss": idp.url(), "aud": "api", "sub": "u1" }));
    let waiting: Vec<_> = std::thread::scope(|scope| {
        let calls: Vec<_> = (0..4).map(|_| scope.spawn(|| call(&gateway, &token))).collect();
        until("a request waits", || idp.server().calls() >= 1);
        idp.mood(Mood::Well);
        calls.into_iter().map(|call| call.join().unwrap()).collect()
    });
    for answer in waiting {
        assert_eq!(answer.with(200).text(), "u1");
    }
    assert_eq!(idp.fetches(), 1, "once for all workers");
    call(&gateway, &idp.token("k1", &json!({ "iss": "https://evil", "aud": "api" }))).refused(401, "jwt.invalid");
    call(&gateway, &idp.token("k1", &json!({ "aud": "api" }))).refused(401, "jwt.invalid");
    gateway.reload().unwrap();
    call(&gateway, &token).with(200);
    assert_eq!(idp.fetches(), 1, "a reload keeps the keys");
}

#[test]
fn a_rotation_is_followed_by_one_fetch() {
    let idp = idp::start();
    let gateway = gateway(&idp, r#"jwks = "IDP/jwks""#).start();
    let old = idp.token("k1", &json!({ "sub": "old" }));
    call(&gateway, &old).with(200);
    idp.add("k2");
    let new = idp.token("k2", &json!({ "sub": "new" }));
    assert_eq!(call(&gateway, &new).with(200).text(), "new");
    assert_eq!(idp.fetches(), 2);
    call(&gateway, &old).with(200);
}

#[test]
fn forged_ids_fetch_once_in_thirty_seconds_and_a_withdrawn_key_ends_its_tokens() {
    let idp = idp::start();
    let clock = Clock::fake(Duration::from_secs(now()));
    let gateway = gateway(&idp, r#"jwks = "IDP/jwks""#).clock(&clock).start();
    let old = idp.token("k1", &json!({ "sub": "old" }));
    call(&gateway, &old).with(200);
    assert_eq!(idp.fetches(), 1);
    idp.drop_key("k1");
    idp.add("k2");
    for n in 0..20 {
        call(&gateway, &forged(&format!("forged-{n}"), &json!({}))).refused(401, "jwt.invalid");
    }
    assert_eq!(idp.fetches(), 2, "twenty forged ids, one fetch");
    call(&gateway, &old).refused(401, "jwt.invalid");
    call(&gateway, &idp.token("k2", &json!({ "sub": "new" }))).with(200);
    clock.advance(Duration::from_secs(31));
    call(&gateway, &forged("forged-1", &json!({}))).refused(401, "jwt.invalid");
    call(&gateway, &forged("forged-99", &json!({}))).refused(401, "jwt.invalid");
    assert_eq!(idp.fetches(), 3);
}

#[test]
fn an_outage_refuses_no_valid_token() {
    let idp = idp::start();
    let clock = Clock::fake(Duration::from_secs(now()));
    let gateway = gateway(&idp, r#"discovery = "IDP""#).clock(&clock).start();
    let token = idp.token("k1", &json!({ "iss": idp.url(), "sub": "u1", "exp": now() + 100_000 }));
    call(&gateway, &token).with(200);
    let failed = format!(r#"moongate_jwks_fetches_total{{url="{}",result="failed"}}"#, idp.url());
    for (count, mood) in [Mood::Down, Mood::Dead, Mood::Lies, Mood::Huge, Mood::Html].into_iter().enumerate() {
        idp.mood(mood);
        until("it was asked again", || {
            clock.advance(Duration::from_secs(2));
            gateway.metric(&failed) > count as f64
        });
        assert_eq!(call(&gateway, &token).with(200).text(), "u1", "{mood:?}");
    }
    let age = format!(r#"moongate_jwks_age_seconds{{url="{}"}}"#, idp.url());
    assert!(gateway.metric(&age) >= 150.0, "{}", gateway.metric(&age));
}

#[test]
fn without_any_key_nobody_is_let_in_and_nobody_is_called_a_liar() {
    for mood in [Mood::Down, Mood::Lies, Mood::Huge, Mood::Html, Mood::Dead] {
        let idp = idp::start();
        idp.mood(mood);
        let gateway = gateway(&idp, r#"discovery = "IDP""#).start();
        let token = idp.token("k1", &json!({ "iss": idp.url() }));
        let answer = call(&gateway, &token);
        answer.refused(503, "jwt.keys");
        assert!(answer.header("retry-after").is_some(), "{mood:?}");
        idp.mood(Mood::Well);
        until("it comes back", || call(&gateway, &token).status == 200);
    }
}

#[test]
fn several_issuers_each_with_its_keys() {
    let (one, two) = (idp::start(), idp::start());
    let gateway = gateway(&one, r#"jwks = { ["https://one"] = "IDP/jwks", ["https://two"] = "TWO/jwks" }"#)
        .with("TWO", two.url())
        .start();
    call(&gateway, &one.token("k1", &json!({ "iss": "https://one" }))).with(200);
    call(&gateway, &two.token("k1", &json!({ "iss": "https://two" }))).with(200);
    call(&gateway, &one.token("k1", &json!({ "iss": "https://two" }))).refused(401, "jwt.invalid");
    call(&gateway, &one.token("k1", &json!({ "iss": "https://three" }))).refused(401, "jwt.invalid");
}
