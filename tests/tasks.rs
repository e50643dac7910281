//! `spawn`, `sleep`, `every`, `after`, `on` and `emit`: what runs beside requests.

use std::time::Duration;

use moongate::clock::Clock;

use crate::support::gateway;
use crate::support::upstream;
use crate::support::wait;

fn clock() -> Clock {
    Clock::fake(Duration::from_secs(1_800_000_000))
}

#[test]
fn spawn_runs_after_the_answer_and_sleep_is_on_the_clock() {
    let clock = clock();
    let service = upstream::says("ok");
    let gateway = gateway::script(
        r#"route "GET /" { function(req) local id = req.query.id spawn(function() sleep "5s" fetch("service/" .. id) end) return 202 end }"#,
    )
    .service("service", &service)
    .clock(&clock)
    .start();
    gateway.get("/?id=a").with(202);
    clock.advance(Duration::from_secs(4));
    gateway.get("/?id=b").with(202);
    assert_eq!(service.calls(), 0);
    wait::until("it ran", || {
        clock.advance(Duration::from_millis(100));
        service.calls() == 2
    });
}

#[test]
fn a_spawned_task_that_fails_hurts_nobody() {
    let gateway = gateway::script(
        r#"
        route "GET /raise" { function() spawn(function() error "boom" end) spawn(function() reject(403) end) return 204 end }
        route "GET /req" { function(req) spawn(function() sleep "1ms" local _ = req.path end) return 204 end }
        "#,
    )
    .start();
    for _ in 0..20 {
        gateway.get("/raise").with(204);
        gateway.get("/req").with(204);
    }
}

#[test]
fn every_publishes_its_last_value_to_all_workers() {
    let clock = clock();
    let service = upstream::answers(|seen| upstream::ok(format!("{{\"n\":{}}}", seen.connection)));
    let gateway = gateway::script(
        r#"
        local flags = every("30s", function() return fetch("service/flags"):json() end)
        route "GET /" { function() local v = flags:get() return { text = v and "set" or "unset" } end }
        "#,
    )
    .service("service", &service)
    .workers(2)
    .clock(&clock)
    .start();
    wait::until("the value is there", || {
        clock.advance(Duration::from_secs(1));
        gateway.get("/").text() == "set"
    });
    let calls = service.calls();
    wait::until("it runs again", || {
        clock.advance(Duration::from_secs(5));
        service.calls() > calls
    });
}

#[test]
fn every_runs_once_per_gateway_and_ends_with_its_generation() {
    let clock = clock();
    let service = upstream::says("ok");
    let script = |word: &str| {
        format!(r#"every("10s", function() fetch "service/{word}" end) route "GET /" {{ function() return 204 end }}"#)
    };
    let gateway = gateway::script(&script("old")).service("service", &service).workers(2).clock(&clock).start();
    wait::until("the first run", || {
        clock.advance(Duration::from_secs(1));
        service.calls() > 0
    });
    gateway.edit(&script("new")).unwrap();
    let before = service.calls();
    wait::until("the new one runs", || {
        clock.advance(Duration::from_secs(1));
        service.seen()[before..].iter().any(|seen| seen.target == "/new")
    });
    let olds = service.seen()[before..].iter().filter(|seen| seen.target == "/old").count();
    assert_eq!(olds, 0, "a task outlived its generation");
}

#[test]
fn a_script_without_tasks_ends_those_before_it_and_the_next_begins_its_own() {
    let clock = clock();
    let service = upstream::says("ok");
    let bare = r#"route "GET /" { function() return 204 end }"#;
    let busy = format!(r#"every("10s", function() fetch "service/run" end) {bare}"#);
    let gateway = gateway::script(bare).service("service", &service).workers(2).clock(&clock).start();
    for _ in 0..2 {
        let before = service.calls();
        gateway.edit(&busy).unwrap();
        wait::until("it runs", || {
            clock.advance(Duration::from_secs(1));
            service.calls() > before
        });
        gateway.edit(bare).unwrap();
        gateway.get("/").with(204);
        let before = service.calls();
        for _ in 0..30 {
            clock.advance(Duration::from_secs(5));
            gateway.get("/").with(204);
        }
        assert_eq!(service.calls(), before, "a task outlived its script");
    }
}

#[test]
fn after_and_events_run_once() {
    let clock = clock();
    let service = upstream::says("ok");
    let gateway = gateway::script(
        r#"
        after("5s", function() fetch "service/after" end)
        on("start", function() fetch "service/start" end)
        on("order.placed", function(data) fetch("service/order?id=" .. data.id) end)
        route "POST /order" { function() emit("order.placed", { id = 7 }) return 202 end }
        "#,
    )
    .service("service", &service)
    .workers(2)
    .clock(&clock)
    .start();
    gateway.call("POST", "/order", &[], "x").with(202);
    wait::until("all have run", || {
        clock.advance(Duration::from_millis(500));
        service.calls() >= 3
    });
    for _ in 0..20 {
        clock.advance(Duration::from_secs(1));
    }
    let mut targets: Vec<_> = service.seen().into_iter().map(|seen| seen.target).collect();
    targets.sort();
    assert_eq!(targets, ["/after", "/order?id=7", "/start"]);
}

#[test]
fn globals_cannot_be_written_by_requests() {
    let gateway = gateway::script(
        r#"
        route "GET /global" { function() rawset(getfenv and getfenv() or _G, "leak", 1) return 204 end }
        route "GET /string" { function() string.upper = function() return "evil" end return 204 end }
        route "GET /meta" { function() getmetatable("").__index = { upper = function() return "evil" end } return 204 end }
        route "GET /see" { function() return { text = ("a"):upper() } end }
        "#,
    )
    .start();
    for target in ["/global", "/string", "/meta"] {
        gateway.get(target);
        assert!(gateway.get("/see").text().starts_with('A'), "{target}");
    }
}

#[test]
fn there_are_no_files_processes_or_debug_doors() {
    let gateway = gateway::script(
        r#"
        route "GET /{name}/{part}" { function(req)
          local _, t = pcall(function() return getfenv(1)[req.params.name] end)
          return { text = type(t) == "table" and type(t[req.params.part]) or "nil" }
        end }
        "#,
    )
    .start();
    for door in [
        "io/open",
        "os/execute",
        "os/getenv",
        "os/remove",
        "package/loadlib",
        "debug/getinfo",
        "debug/sethook",
        "debug/getregistry",
    ] {
        assert_eq!(gateway.get(&format!("/{door}")).text(), "nil", "{door}");
    }
}
