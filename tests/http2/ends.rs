//! How connections end: told to go, idle, in the middle of a reload; what is under way is answered.

use std::time::Duration;

use moongate::clock::Clock;

use super::clear;
use super::client;
use super::with;
use crate::support::upstream;
use crate::support::upstream::Upstream;
use crate::support::wait;
use crate::support::wire::*;

fn holding() -> Upstream {
    upstream::serve(|conn| {
        while conn.request().is_some() {
            conn.hold();
            conn.send(upstream::ok("held"));
        }
    })
}

#[test]
fn a_gateway_that_leaves_says_so_and_answers_what_is_under_way() {
    let service = holding();
    let drain = r#"drain = { delay = "0s", max = "10s" }"#;
    let gateway = with(drain, r#"route "/" { to = "service" }"#).service("service", &service).start();
    let idle = client(&gateway);
    let mut wire = Wire::open(gateway.address(), &[]);
    let mut busy = client(&gateway);
    let mut call = busy.start("GET", "/", &[], true);
    wait::until("it is under way", || service.calls() == 1);
    let stopping = std::thread::spawn(move || gateway.stop());
    idle.over().unwrap();
    assert_eq!(wire.end(), Some(0));
    assert!(!stopping.is_finished());
    service.release();
    assert_eq!(busy.answer(&mut call).unwrap().with(200).text(), "held");
    drop(call);
    busy.over().unwrap();
    stopping.join().unwrap();
}

#[test]
fn an_idle_connection_is_told_to_go() {
    let clock = Clock::fake(Duration::from_secs(1_800_000_000));
    let gateway = clear(r#"route "/" { function() return 204 end }"#).clock(&clock).start();
    let mut client = client(&gateway);
    client.get("/").with(204);
    clock.advance(Duration::from_secs(70));
    client.get("/").with(204);
    clock.advance(Duration::from_secs(70));
    client.get("/").with(204);
    let watched = std::thread::spawn(move || client.over());
    wait::until("it is told", || {
        clock.advance(Duration::from_secs(5));
        watched.is_finished()
    });
    watched.join().unwrap().unwrap();
}

#[test]
fn each_request_keeps_the_generation_it_began_in() {
    let service = holding();
    let script = |name: &str| {
        let listen = r#"listen = { { "127.0.0.1:0", http2 = true } }"#;
        let seen = format!(r#"on_response = function(req, res) res.headers["x-seen"] = "{name}" end"#);
        format!(
            r#"gateway {{ {listen}, {seen} }} route "/held" {{ to = "service" }} route "/" {{ function() return 204 end }}"#
        )
    };
    let setup = crate::support::gateway::script(&script("one")).listeners_of_the_script();
    let gateway = setup.service("service", &service).start();
    let mut client = client(&gateway);
    let mut old = client.start("GET", "/held", &[], true);
    wait::until("it is under way", || service.calls() == 1);
    gateway.edit(&script("two")).unwrap();
    assert_eq!(client.get("/").with(204).header("x-seen"), Some("two"));
    service.release();
    assert_eq!(client.answer(&mut old).unwrap().with(200).header("x-seen"), Some("one"));
    // A listener that gives it up serves those that are there.
    gateway.edit(&script("three").replace("http2 = true", "http2 = false")).unwrap();
    assert_eq!(client.get("/").with(204).header("x-seen"), Some("three"));
    assert_eq!(gateway.get("/").with(204).header("x-seen"), Some("three"));
    gateway.raw("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").refused(505, "request.version");
}

#[test]
fn limits_of_a_reload_hold_for_the_next_request() {
    let script = |options: &str| {
        let listen = r#"listen = { { "127.0.0.1:0", http2 = true } }"#;
        format!(r#"gateway {{ {listen}, {options} }} route "/{{rest*}}" {{ function() return 204 end }}"#)
    };
    let gateway = crate::support::gateway::script(&script("")).listeners_of_the_script().start();
    let mut client = client(&gateway);
    client.get("/aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa").with(204);
    gateway.edit(&script(r#"limits = { uri = "20B" }"#)).unwrap();
    client.get("/aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa").refused(414, "request.uri_too_long");
    client.get("/aaa").with(204);
}
