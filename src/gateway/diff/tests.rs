//! Diffs as a user reads them.

use std::time::Duration;

use super::*;
use crate::plan::Route;
use crate::plan::Step;
use crate::plan::To;
use crate::upstream::Address;
use crate::upstream::Config;
use crate::upstream::HostConfig;

fn route(name: &str, line: u32) -> Route {
    Route {
        name: name.into(),
        pattern: name.into(),
        to: Some(To::Upstream("users".into(), String::new())),
        place: ("gateway.lua".into(), line),
        ..Route::default()
    }
}

fn upstream(ports: &[u16]) -> Config {
    let host = |&port| HostConfig {
        address: Address::Tcp { host: "10.0.0.1".into(), port, tls: false },
        weight: 1,
        backup: false,
    };
    Config { place: ("gateway.lua".into(), 1), ..Config::new("users", ports.iter().map(host).collect()) }
}

fn shown(old: &Plan, new: &Plan) -> String {
    Diff::between(old, new).to_string()
}

#[test]
fn moved_lines_are_no_change() {
    let old = Plan { routes: vec![route("GET /a", 3)], ..Plan::default() };
    let new = Plan { routes: vec![route("GET /a", 9)], ..Plan::default() };
    assert!(Diff::between(&old, &new).is_empty());
}

#[test]
fn a_function_that_moved_is_no_change() {
    let step = |line: u32| Step {
        word: "mock".into(),
        options: format!(r#"{{"json":"function@a.lua:{line}"}}"#),
        ..Step::default()
    };
    let with = |line| Plan { routes: vec![Route { steps: vec![step(line)], ..route("/", 1) }], ..Plan::default() };
    assert!(Diff::between(&with(1), &with(2)).is_empty());
}

#[test]
fn routes_come_and_go() {
    let old = Plan { routes: vec![route("GET /a", 1), route("GET /b", 2)], ..Plan::default() };
    let new = Plan { routes: vec![route("GET /b", 1), route("GET /c", 2)], ..Plan::default() };
    assert_eq!(shown(&old, &new), "  - route GET /a\n  + route GET /c\n");
}

#[test]
fn routes_of_one_name_are_told_apart_by_order() {
    let old = Plan { routes: vec![route("/a", 1), route("/a", 2)], ..Plan::default() };
    let new = Plan { routes: vec![route("/a", 1)], ..Plan::default() };
    assert_eq!(shown(&old, &new), "  - route /a\n");
}

#[test]
fn hosts_of_an_upstream() {
    let old = Plan { upstreams: vec![upstream(&[1, 2])], ..Plan::default() };
    let new = Plan { upstreams: vec![upstream(&[2, 3])], ..Plan::default() };
    assert_eq!(shown(&old, &new), "  ~ upstream users\n      hosts - 10.0.0.1:1\n      hosts + 10.0.0.1:3\n");
}

#[test]
fn a_setting_shows_both_values() {
    let mut new = Plan::default();
    new.gateway.timeout.head = Duration::from_millis(1500);
    new.gateway.limits.body = 7;
    let shown = shown(&Plan::default(), &new);
    assert_eq!(shown, "  ~ gateway\n      limits.body: 104857600 → 7\n      timeout.head: 30s → 1500ms\n");
}

#[test]
fn where_a_route_goes() {
    let old = Plan { routes: vec![route("/a", 1)], ..Plan::default() };
    let new = Plan {
        routes: vec![Route { to: Some(To::Template("http://x/{id}".into())), ..route("/a", 1) }],
        ..Plan::default()
    };
    assert!(shown(&old, &new).contains("to: users → http://x/{id}"), "{}", shown(&old, &new));
}

#[test]
fn objects_and_timers() {
    let mut old = Plan::default();
    old.objects.insert("limiter login".into(), "5/min".into());
    let mut new = old.clone();
    new.objects.insert("limiter login".into(), "9/min".into());
    new.timers.push(("every".into(), "30s".into(), ("gateway.lua".into(), 3)));
    assert_eq!(shown(&old, &new), "  ~ limiter login\n      5/min → 9/min\n  + every 30s\n");
}

#[test]
fn a_long_diff_is_cut() {
    let new = Plan { routes: (0..100).map(|n| route(&format!("/{n:03}"), 1)).collect(), ..Plan::default() };
    let shown = shown(&Plan::default(), &new);
    assert_eq!(shown.lines().count(), MOST_LINES + 1);
    assert!(shown.ends_with("… and 70 more\n"));
}
