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

#[test]
fn a_function_says_where_the_keys_are_and_they_are_fetched_when_first_needed() {
    let (one, two) = (idp::start(), idp::start());
    let gateway = gateway::script(
        r#"
        local known = { one = "ONE/jwks", two = "TWO" }
        route "GET /jwks" { jwt { jwks = function(claims, header) return known[claims.tenant] end }, function(req) return { text = req.user.sub } end }
        route "GET /discovery" { jwt { discovery = function(claims) return known[claims.tenant] end }, function(req) return { text = req.user.sub } end }
        route "GET /unsafe" { jwt { jwks = function(claims) return claims.url end }, function() return 204 end }
        "#,
    )
    .with("ONE", one.url())
    .with("TWO", two.url())
    .workers(2)
    .start();
    let call =
        |path: &str, token: &str| gateway.call("GET", path, &[("authorization", &format!("Bearer {token}"))], "");
    let token =
        |idp: &Idp, tenant: &str| idp.token("k1", &json!({ "iss": idp.url(), "tenant": tenant, "sub": tenant }));
    assert_eq!(one.fetches(), 0, "nobody asked yet");
    one.mood(Mood::Slow);
    let waiting: Vec<_> = std::thread::scope(|scope| {
        let calls: Vec<_> = (0..8).map(|_| scope.spawn(|| call("/jwks", &token(&one, "one")))).collect();
        until("a request waits", || one.server().calls() >= 1);
        one.mood(Mood::Well);
        calls.into_iter().map(|call| call.join().unwrap()).collect()
    });
    for answer in waiting {
        assert_eq!(answer.with(200).text(), "one");
    }
    assert_eq!(one.fetches(), 1, "once for all workers");
    assert_eq!(call("/discovery", &token(&two, "two")).with(200).text(), "two");
    call("/jwks", &two.token("k1", &json!({ "tenant": "one" }))).refused(401, "jwt.invalid");
    call("/jwks", &one.token("k1", &json!({ "tenant": "three" }))).refused(401, "jwt.invalid");
    call("/discovery", &two.token("k1", &json!({ "tenant": "two", "iss": "https://evil" })))
        .refused(401, "jwt.invalid");
    for url in ["http://10.0.0.1/keys", "file:///etc/passwd", ""] {
        call("/unsafe", &one.token("k1", &json!({ "url": url }))).refused(500, "script.error");
    }
    gateway.reload().unwrap();
    call("/jwks", &token(&one, "one")).with(200);
    one.mood(Mood::Down);
    call("/jwks", &token(&one, "one")).with(200);
    assert_eq!(one.fetches(), 1, "a reload keeps the keys, and so does an outage");
}

#[test]
fn keys_that_a_function_names_are_renewed_when_used_and_asked_for_again_for_an_unknown_id() {
    let idp = idp::start();
    let clock = Clock::fake(Duration::from_secs(now()));
    let gateway = gateway(&idp, r#"jwks = function() return "IDP/jwks" end"#).clock(&clock).start();
    let long = |kid: &str| idp.token(kid, &json!({ "sub": kid, "exp": now() + 100_000 }));
    call(&gateway, &long("k1")).with(200);
    idp.add("k2");
    assert_eq!(call(&gateway, &long("k2")).with(200).text(), "k2");
    assert_eq!(idp.fetches(), 2);
    for n in 0..20 {
        call(&gateway, &forged(&format!("forged-{n}"), &json!({}))).refused(401, "jwt.invalid");
    }
    assert_eq!(idp.fetches(), 2, "within thirty seconds of the last");
    clock.advance(Duration::from_secs(200));
    call(&gateway, &long("k1")).with(200);
    let fetched = r#"moongate_jwks_fetches_total{url="function",result="ok"}"#;
    until("the keys are renewed behind", || gateway.metric(fetched) == 3.0);
    assert_eq!(idp.fetches(), 3);
    idp.mood(Mood::Down);
    clock.advance(Duration::from_secs(1000));
    call(&gateway, &long("k1")).with(200);
    assert_eq!(gateway.metric(fetched), 3.0);
}

#[test]
fn functions_verify_by_keys_that_are_fetched() {
    let idp = idp::start();
    idp.mood(Mood::Slow);
    let gateway = gateway::script(
        r#"route "GET /" { function(req)
          local claims, why = jwt.verify(req.query.t, { [req.query.by] = req.query.at, audience = "api" })
          return { json = { sub = claims and claims.sub, why = why } }
        end }"#,
    )
    .workers(2)
    .start();
    let ask = |by: &str, at: &str, token: &str| gateway.get(&format!("/?by={by}&at={at}&t={token}"));
    let token = idp.token("k1", &json!({ "iss": idp.url(), "aud": "api", "sub": "u1" }));
    let jwks = format!("{}/jwks", idp.url());
    let waiting: Vec<_> = std::thread::scope(|scope| {
        let calls: Vec<_> = (0..4).map(|_| scope.spawn(|| ask("jwks", &jwks, &token))).collect();
        until("a request waits", || idp.server().calls() >= 1);
        idp.mood(Mood::Well);
        calls.into_iter().map(|call| call.join().unwrap()).collect()
    });
    for answer in waiting {
        assert_eq!(answer.with(200).json(), json!({ "sub": "u1" }));
    }
    assert_eq!(idp.fetches(), 1);
    assert_eq!(ask("discovery", &idp.url(), &token).json(), json!({ "sub": "u1" }));
    let foreign = idp.token("k1", &json!({ "iss": "https://evil", "aud": "api" }));
    assert_eq!(
        ask("discovery", &idp.url(), &foreign).json(),
        json!({ "why": "`iss` is not an issuer whose tokens are taken" })
    );
    let forged = forged("k1", &json!({ "aud": "api" }));
    assert_eq!(ask("jwks", &jwks, &forged).json(), json!({ "why": "the signature does not fit" }));
    idp.mood(Mood::Down);
    assert_eq!(ask("jwks", &format!("{jwks}?other"), &token).json(), json!({ "why": "no keys could be fetched yet" }));
    ask("jwks", "http://10.0.0.1/jwks", &token).refused(500, "script.error");
}
