//! Active health: hosts are asked how they are, once for the whole gateway, and those that are down are not asked more.

mod grpc;

use std::sync::Arc;
use std::sync::atomic::AtomicU16;
use std::sync::atomic::Ordering;
use std::time::Duration;

use moongate::clock::Clock;
use serde_json::Value;

use crate::support::gateway;
use crate::support::gateway::Gateway;
use crate::support::upstream;
use crate::support::upstream::Upstream;
use crate::support::wait;

fn clock() -> Clock {
    Clock::fake(Duration::from_secs(1_800_000_000))
}

/// A service that answers its checks with a status that can be turned, and everything else with its name.
fn patient(name: &'static str) -> (Upstream, Arc<AtomicU16>) {
    let status = Arc::new(AtomicU16::new(200));
    let turned = Arc::clone(&status);
    let service = upstream::answers(move |seen| match seen.target.as_str() {
        "/healthz" => upstream::answer(turned.load(Ordering::SeqCst), &[], ""),
        _ => upstream::ok(name),
    });
    (service, status)
}

fn checks(service: &Upstream) -> usize {
    service.seen().iter().filter(|seen| seen.target == "/healthz").count()
}

/// The hosts of the first upstream as `/state` lists them.
fn hosts(gateway: &Gateway) -> Vec<Value> {
    let state = gateway.admin().get("/state").with(200).json();
    state["upstreams"][0]["hosts"].as_array().unwrap().clone()
}

fn states(gateway: &Gateway) -> Vec<String> {
    hosts(gateway).iter().map(|host| host["state"].as_str().unwrap().to_owned()).collect()
}

/// Small beside the time a check may take: one that is under way has many turns to end in.
const STEP: Duration = Duration::from_secs(1);

/// Turns the clock until the hosts stand like this.
#[track_caller]
fn until(gateway: &Gateway, clock: &Clock, expected: &[&str]) {
    wait::until(&format!("the hosts are {expected:?}"), || {
        clock.advance(STEP);
        states(gateway) == expected
    });
}

const TWO: &str = r#"
local s = upstream "s" { "$A", "$B", balance = "round_robin", health = { every = "60s", timeout = "50s" }, retry = { times = 0 } }
route "/{rest*}" { to = s }"#;

#[test]
fn a_host_that_is_down_gets_nothing_until_it_is_well_again() {
    let clock = clock();
    let ((one, status), (two, _)) = (patient("one"), patient("two"));
    let gateway =
        gateway::script(TWO).with("$A", one.address()).with("$B", two.address()).clock(&clock).workers(3).start();
    wait::until("both were checked once", || checks(&one) == 1 && checks(&two) == 1);
    let check = one.seen().into_iter().find(|seen| seen.target == "/healthz").unwrap();
    assert_eq!((check.method.as_str(), check.header("user-agent")), ("GET", Some("moongate-health")));
    assert_eq!(check.header("host"), Some(one.address().to_string().as_str()));

    status.store(500, Ordering::SeqCst);
    until(&gateway, &clock, &["down", "up"]);
    assert_eq!(checks(&one), 4, "three bad ones, by one prober whatever the number of workers");
    let answered = one.calls();
    assert!((0..10).all(|_| gateway.get("/").with(200).text() == "two"));
    assert_eq!(one.calls(), answered);
    assert!(hosts(&gateway)[0]["reason"].as_str().unwrap().contains("status 500"), "{:?}", hosts(&gateway));
    assert_eq!(gateway.metric(&format!("moongate_upstream_host_up{{upstream=\"s\",host=\"{}\"}}", one.address())), 0.0);

    status.store(200, Ordering::SeqCst);
    until(&gateway, &clock, &["up", "up"]);
    let seen: Vec<_> = (0..4).map(|_| gateway.get("/").with(200).text().to_owned()).collect();
    assert!(seen.contains(&"one".to_owned()), "{seen:?}");
}

#[test]
fn a_reload_neither_forgets_nor_repeats_a_check() {
    let clock = clock();
    let ((one, status), (two, _)) = (patient("one"), patient("two"));
    status.store(503, Ordering::SeqCst);
    let gateway = gateway::script(TWO).with("$A", one.address()).with("$B", two.address()).clock(&clock).start();
    wait::until("the first check decides alone", || states(&gateway) == ["down", "up"]);
    for _ in 0..10 {
        gateway.reload().unwrap();
        assert_eq!(states(&gateway), ["down", "up"]);
        gateway.get("/").with(200);
    }
    assert_eq!((checks(&one), checks(&two)), (1, 1), "time stood still");
    until(&gateway, &clock, &["down", "up"]);
    wait::until("they go on", || {
        clock.advance(STEP);
        checks(&one) > 1 && checks(&two) > 1
    });
    let unchecked = TWO.replace(", health = { every = \"60s\", timeout = \"50s\" }", "");
    gateway
        .edit(&unchecked.replace("$A", &one.address().to_string()).replace("$B", &two.address().to_string()))
        .unwrap();
    assert_eq!(states(&gateway), ["up", "up"], "without checks nobody is down by them");
}

#[test]
fn hosts_that_hang_lie_or_never_end_are_down_and_say_why() {
    let clock = clock();
    let hangs = upstream::serve(|conn| {
        conn.head();
        conn.linger();
    });
    let garbage = upstream::serve(|conn| {
        conn.head();
        conn.send("SSH-2.0-OpenSSH_9.6\r\n\r\n");
    });
    let endless = upstream::serve(|conn| {
        conn.head();
        conn.send("HTTP/1.1 200 OK\r\n");
        while conn.send(format!("x-more: {}\r\n", "x".repeat(1000))) {}
    });
    let closes = upstream::serve(|conn| drop(conn.head()));
    let redirects = upstream::answers(|_| upstream::answer(302, &[("location", "/login")], ""));
    // a body without end is not waited for: the head says enough
    let streams = upstream::serve(|conn| {
        conn.head();
        conn.send("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n");
        conn.linger();
    });
    let services = [&hangs, &garbage, &endless, &closes, &redirects, &streams];
    let mut list: Vec<_> = services.iter().map(|service| format!("\"{}\"", service.address())).collect();
    list.push(format!("\"{}\"", upstream::nobody()));
    let gateway = gateway::script(
        r#"upstream "s" { $HOSTS, health = { every = "60s", timeout = "50s" } } route "/" { to = "s" }"#,
    )
    .with("$HOSTS", list.join(", "))
    .clock(&clock)
    .start();
    until(&gateway, &clock, &["down", "down", "down", "down", "down", "up", "down"]);
    let hosts = hosts(&gateway);
    for (host, reason) in hosts.iter().zip([
        "no answer in time",
        "no HTTP",
        "no HTTP",
        "closed the connection",
        "status 302",
        "",
        "refused",
    ]) {
        let told = host["check"].as_str().unwrap();
        let huge = reason == "no HTTP" && told.contains("too long");
        assert!(huge || told.to_lowercase().contains(&reason.to_lowercase()), "{reason:?} is not in {host}");
    }
}

#[test]
fn with_all_hosts_down_all_are_asked_and_that_is_said() {
    let clock = clock();
    let ((one, first), (two, second)) = (patient("one"), patient("two"));
    first.store(500, Ordering::SeqCst);
    second.store(500, Ordering::SeqCst);
    let gateway = gateway::script(TWO).with("$A", one.address()).with("$B", two.address()).clock(&clock).start();
    wait::until("both are down", || states(&gateway) == ["down", "down"]);
    assert_eq!(gateway.metric("moongate_upstream_panic{upstream=\"s\"}"), 1.0);
    let seen: Vec<_> = (0..6).map(|_| gateway.get("/").with(200).text().to_owned()).collect();
    assert!(seen.contains(&"one".to_owned()) && seen.contains(&"two".to_owned()), "{seen:?}");
    first.store(200, Ordering::SeqCst);
    until(&gateway, &clock, &["up", "down"]);
    assert_eq!(gateway.metric("moongate_upstream_panic{upstream=\"s\"}"), 0.0);
    assert!((0..6).all(|_| gateway.get("/").with(200).text() == "one"));
}

#[test]
fn a_single_host_that_is_down_is_not_asked() {
    let clock = clock();
    let (one, status) = patient("one");
    status.store(500, Ordering::SeqCst);
    let gateway = gateway::script(r#"upstream "s" { "$A", health = {} } route "/" { to = "s" }"#)
        .with("$A", one.address())
        .clock(&clock)
        .start();
    wait::until("it is down", || states(&gateway) == ["down"]);
    let answer = gateway.get("/");
    assert_eq!((answer.status, answer.header("retry-after")), (503, Some("1")));
    assert!(answer.text().contains("upstream.none_healthy"), "{}", answer.text());
}

#[test]
fn backups_step_in_for_hosts_that_are_down() {
    let clock = clock();
    let ((one, status), (two, _)) = (patient("one"), patient("two"));
    let gateway = gateway::script(
        r#"upstream "s" { "$A", { "$B", backup = true }, health = { every = "60s", timeout = "50s" } } route "/" { to = "s" }"#,
    )
    .with("$A", one.address())
    .with("$B", two.address())
    .clock(&clock)
    .start();
    wait::until("it was checked", || checks(&one) == 1);
    assert!((0..5).all(|_| gateway.get("/").with(200).text() == "one"));
    status.store(500, Ordering::SeqCst);
    until(&gateway, &clock, &["down", "up"]);
    assert!((0..5).all(|_| gateway.get("/").with(200).text() == "two"));
}

#[test]
fn the_script_hears_of_hosts_that_go_and_come() {
    let clock = clock();
    let ((one, status), (two, _)) = (patient("one"), patient("two"));
    let script = format!(
        r#"{TWO}
local seen = store "seen" {{ ttl = "1h" }}
local function note(what) return function(e) seen:set(what, `{{e.upstream}} {{e.host}} {{e.reason}}`) end end
on("host_down", note("down"))
on("host_up", note("up"))
route "/seen/{{what}}" {{ function(req) return {{ text = seen:get(req.params.what) or "" }} end }}"#
    );
    let gateway = gateway::script(&script).with("$A", one.address()).with("$B", two.address()).clock(&clock).start();
    wait::until("both were checked once", || checks(&one) == 1 && checks(&two) == 1);
    let said = |what: &str| gateway.get(&format!("/seen/{what}")).with(200).text().to_owned();
    status.store(500, Ordering::SeqCst);
    until(&gateway, &clock, &["down", "up"]);
    wait::until("it is told", || said("down") == format!("s {} checks fail: status 500", one.address()));
    status.store(200, Ordering::SeqCst);
    until(&gateway, &clock, &["up", "up"]);
    wait::until("that too", || said("up") == format!("s {} checks pass", one.address()));
    assert_eq!(gateway.metric("moongate_upstream_host_changes_total{upstream=\"s\",to=\"down\"}"), 1.0);
}

#[test]
fn a_connection_may_be_enough_and_a_status_may_be_of_a_class() {
    let clock = clock();
    let open = upstream::serve(|conn| conn.linger());
    let tcp = gateway::script(r#"upstream "s" { "$A", "$B", health = { tcp = true } } route "/" { to = "s" }"#)
        .with("$A", open.address())
        .with("$B", upstream::nobody())
        .clock(&clock)
        .start();
    wait::until("one is down", || states(&tcp) == ["up", "down"]);
    let (one, status) = patient("one");
    status.store(404, Ordering::SeqCst);
    let class = gateway::script(
        r#"upstream "s" { "$A", health = { status = { "2xx", 404 }, host = "a.dev" } } route "/" { to = "s" }"#,
    )
    .with("$A", one.address())
    .clock(&clock)
    .start();
    wait::until("it was checked", || hosts(&class)[0]["check"] == "ok");
    assert_eq!(one.last().header("host"), Some("a.dev"));
}

#[test]
fn checks_share_a_connection_for_a_minute_and_one_that_broke_meanwhile_counts_for_nothing() {
    let clock = clock();
    let (kept, _) = patient("kept");
    let closes = upstream::serve(|conn| {
        conn.head();
        conn.send("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok");
        // closed without a word once the next check is under way
        conn.head();
    });
    let gateway = gateway::script(
        r#"upstream "s" { "$A", "$B", health = { every = "20s", timeout = "18s", fall = 1 } } route "/" { to = "s" }"#,
    )
    .with("$A", kept.address())
    .with("$B", closes.address())
    .clock(&clock)
    .start();
    wait::until("both were checked thrice", || {
        clock.advance(STEP);
        checks(&kept) == 3 && closes.calls() == 5
    });
    assert_eq!((kept.connections(), closes.connections()), (1, 3), "what broke was asked for again at once");
    assert_eq!(states(&gateway), ["up", "up"]);
    wait::until("after a minute a check comes on a new one", || {
        clock.advance(STEP);
        kept.seen().iter().any(|seen| seen.connection == 1)
    });
    assert!((4..=5).contains(&checks(&kept)), "{}", checks(&kept));
    assert_eq!(gateway.metric("moongate_upstream_host_changes_total{upstream=\"s\",to=\"down\"}"), 0.0);
}

#[test]
fn a_host_that_a_reload_takes_away_while_it_is_checked_is_gone() {
    let clock = clock();
    let hangs = upstream::serve(|conn| {
        conn.head();
        conn.linger();
    });
    let (one, _) = patient("one");
    let gateway = gateway::script(TWO).with("$A", hangs.address()).with("$B", one.address()).clock(&clock).start();
    wait::until("its check hangs", || hangs.calls() == 1);
    let rest = TWO.replace("\"$A\", ", "").replace("$B", &one.address().to_string());
    gateway.edit(&rest).unwrap();
    wait::until("nobody waits for it", || hangs.open() == 0);
    assert_eq!(states(&gateway), ["up"]);
    clock.advance(Duration::from_secs(60));
    assert_eq!(gateway.get("/").with(200).text(), "one");
    let page = gateway.admin().get("/metrics").text().to_owned();
    assert!(!page.contains(&hangs.address().to_string()), "its series are gone as well");
}
