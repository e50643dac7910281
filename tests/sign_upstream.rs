//! `sign_upstream`: the service sees the gateway's credentials, never the client's.

use std::time::Duration;

use moongate::clock::Clock;

use crate::support::gateway;
use crate::support::idp;
use crate::support::idp::Mood;
use crate::support::idp::now;
use crate::support::upstream;
use crate::support::wait::until;

#[test]
fn names_passwords_and_tokens_replace_what_the_client_sent() {
    let service = upstream::says("ok");
    let gateway = gateway::script(
        r#"
        route "GET /basic" { sign_upstream { basic = { "me", secret "PASSWORD" } }, to = "service" }
        route "GET /bearer" { sign_upstream { bearer = secret "PASSWORD", header = "x-token" }, to = "service" }
        route "GET /made" { sign_upstream { bearer = function(req) return req.query.t end }, to = "service" }
        "#,
    )
    .env("PASSWORD", "hunter2")
    .service("service", &service)
    .start();
    let mine = [("authorization", "Bearer mine"), ("x-token", "mine")];
    gateway.call("GET", "/basic", &mine, "").with(200);
    assert_eq!(service.last().all("authorization"), ["Basic bWU6aHVudGVyMg=="]);
    gateway.call("GET", "/bearer", &mine, "").with(200);
    assert_eq!(service.last().all("x-token"), ["Bearer hunter2"]);
    gateway.call("GET", "/made?t=abc", &mine, "").with(200);
    assert_eq!(service.last().all("authorization"), ["Bearer abc"]);
    gateway.call("GET", "/made", &mine, "").refused(502, "sign_upstream.unavailable");
}

#[test]
fn a_token_is_fetched_once_for_all_and_renewed_ahead_of_its_end() {
    let (idp, service) = (idp::start(), upstream::says("ok"));
    let clock = Clock::fake(Duration::from_secs(now()));
    let gateway = gateway::script(
        r#"
        route "GET /" {
          sign_upstream { client_credentials = { url = "IDP/token", client_id = "gate", client_secret = "s", scope = { "a", "b" } } },
          to = "service",
        }
        "#,
    )
    .with("IDP", idp.url())
    .service("service", &service)
    .clock(&clock)
    .workers(2)
    .start();
    let field = || service.last().header("authorization").unwrap().to_owned();
    std::thread::scope(|scope| {
        for _ in 0..6 {
            scope.spawn(|| gateway.get("/").with(200));
        }
    });
    assert!(service.seen().iter().all(|seen| seen.all("authorization") == ["Bearer t1"]));
    assert_eq!(idp.server().calls(), 1);
    assert_eq!(idp.server().last().body, b"grant_type=client_credentials&scope=a%20b");

    idp.mood(Mood::Down);
    clock.advance(Duration::from_secs(80));
    gateway.get("/").with(200);
    assert_eq!(field(), "Bearer t1", "nobody waits for the renewal");
    until("it was asked", || idp.server().calls() == 2);
    idp.mood(Mood::Well);
    until("the failed renewal is tried again", || {
        clock.advance(Duration::from_millis(100));
        gateway.get("/").with(200);
        field() == "Bearer t2"
    });

    idp.mood(Mood::Down);
    clock.advance(Duration::from_secs(200));
    gateway.get("/").refused(502, "sign_upstream.unavailable");
}
