//! Checks by the health protocol of gRPC: what is asked, what counts as well, what broken answers come to.

use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering;

use super::clock;
use super::hosts;
use super::states;
use super::until;
use crate::support::gateway;
use crate::support::gateway::Gateway;
use crate::support::h2_service;
use crate::support::h2_service::Reply;
use crate::support::tls::Authority;
use crate::support::upstream;
use crate::support::wait;

/// A whole answer with this state.
fn state(state: u8) -> Reply {
    framed(&[0, 0, 0, 0, 2, 8, state])
}

fn framed(body: &[u8]) -> Reply {
    Reply {
        status: 200,
        fields: vec![("content-type", "application/grpc")],
        body: body.to_vec(),
        trailers: vec![("grpc-status", "0")],
    }
}

/// What the check of the first host said last, once there was one.
fn check(gateway: &Gateway) -> String {
    let mut said = String::new();
    wait::until("it was checked", || match hosts(gateway)[0]["check"].as_str() {
        Some(check) => {
            said = check.to_owned();
            true
        }
        None => false,
    });
    said
}

fn one(health: &str, service: &h2_service::Service) -> Gateway {
    gateway::script(r#"upstream "s" { "$A", protocol = "grpc", health = { $HEALTH } } route "/" { to = "s" }"#)
        .with("$HEALTH", health)
        .with("$A", service.address())
        .clock(&clock())
        .start()
}

#[test]
fn a_host_is_up_while_it_serves() {
    let clock = clock();
    let states_told = [1, 2, 0, 3];
    let at = Arc::new(AtomicUsize::new(0));
    let turned = Arc::clone(&at);
    let service = h2_service::answers(move |seen, asked| {
        assert!(seen.method == "POST" && seen.uri.ends_with("/grpc.health.v1.Health/Check"), "{seen:?}");
        assert_eq!(asked, [&b"\0\0\0\0\x0d\x0a\x0b"[..], b"shop.Orders"].concat());
        state(states_told[turned.load(Ordering::SeqCst)])
    });
    let script = r#"
        upstream "s" { "$A", health = { grpc = "shop.Orders", every = "60s", timeout = "50s" } }
        route "/" { to = "s" }
    "#;
    let gateway = gateway::script(script).with("$A", service.address()).clock(&clock).start();
    assert_eq!(check(&gateway), "ok");
    let seen = service.seen().pop().unwrap();
    assert_eq!(seen.headers.get("content-type").unwrap(), "application/grpc");
    assert_eq!(seen.headers.get("te").unwrap(), "trailers");
    assert_eq!(seen.headers.get("user-agent").unwrap(), "moongate-health");
    for (index, why) in [(1, "NOT_SERVING"), (2, "UNKNOWN"), (3, "no service of this name")] {
        at.store(index, Ordering::SeqCst);
        until(&gateway, &clock, &["down"]);
        wait::until(why, || {
            clock.advance(super::STEP);
            hosts(&gateway)[0]["check"].as_str().unwrap().contains(why)
        });
        at.store(0, Ordering::SeqCst);
        until(&gateway, &clock, &["up"]);
    }
}

#[test]
fn broken_answers_are_no_health_and_say_why() {
    let mut page = framed(b"<html>");
    page.fields = vec![("content-type", "text/html")];
    let bare = |status| Reply {
        fields: vec![("content-type", "application/grpc"), ("grpc-status", status)],
        trailers: Vec::new(),
        ..framed(b"")
    };
    let unsaid = Reply { trailers: Vec::new(), ..state(1) };
    for (reply, why) in [
        (framed(b""), "malformed"),
        (framed(b"\0\0\0\0\xff\x08\x01"), "malformed"),
        (framed(b"\x01\0\0\0\x02\x08\x01"), "malformed"),
        (framed(&[0; 40_000]), "too long"),
        (page, "no gRPC"),
        (bare("12"), "UNIMPLEMENTED"),
        (bare("14"), "grpc-status 14"),
        (unsaid, "no grpc-status"),
        (Reply { status: 503, ..state(1) }, "status 503"),
    ] {
        let service = h2_service::answers(move |_, _| reply.clone());
        let gateway = one("grpc = true", &service);
        let said = check(&gateway);
        assert!(said.contains(why) && states(&gateway) == ["down"], "{why:?} is not in {said:?}");
    }
    // One that speaks HTTP/1.1 only.
    let old = upstream::serve(|conn| {
        conn.until(b"\r\n\r\n");
        conn.send("HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
    });
    let script = r#"upstream "s" { "$A", health = { grpc = true } } route "/" { to = "s" }"#;
    let gateway = gateway::script(script).with("$A", old.address()).clock(&clock()).start();
    assert_ne!(check(&gateway), "ok");
    assert_eq!(states(&gateway), ["down"]);
}

#[test]
fn over_tls_the_host_must_be_who_it_says_and_speak_http_2() {
    let authority = Authority::new("CA");
    let pair = authority.server(&["localhost"]);
    let serves = |pair, protocols: &[&str]| h2_service::secure(pair, protocols, |_, _| state(1));
    let good = serves(&pair, &["h2"]);
    let silent = serves(&pair, &[]);
    let foreign = serves(&Authority::new("Other").server(&["localhost"]), &["h2"]);
    for (service, health, expected) in [
        (&good, "grpc = true", "ok"),
        (&silent, "grpc = true", "did not agree"),
        (&foreign, "grpc = true", "invalid peer certificate"),
        (&foreign, "tcp = true", "invalid peer certificate"),
        (&good, "tcp = true", "ok"),
    ] {
        let clock = clock();
        let script = r#"
            upstream "s" { "https://localhost:$PORT", protocol = "grpc", tls = { ca = "ca.pem" }, health = { $HEALTH, every = "60s", timeout = "50s" } }
            route "/" { to = "s" }
        "#;
        let gateway = gateway::script(script)
            .with("$PORT", service.address().port())
            .with("$HEALTH", health)
            .file("ca.pem", &authority.pem)
            .clock(&clock)
            .start();
        let mut said = String::new();
        // The first may come before the name has an address.
        wait::until(expected, || {
            clock.advance(super::STEP);
            said = check(&gateway);
            said.contains(expected)
        });
    }
}
