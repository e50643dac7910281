//! `cache.get`, `set`, `remember`, `purge`: values of the script's own, loaded once for all, forgotten in time.

use crate::caching::clock;
use crate::caching::counting;
use crate::caching::seconds;
use crate::support::gateway;
use crate::support::upstream;
use crate::support::wait;

#[test]
fn a_value_is_kept_for_its_time_and_seen_by_all_workers() {
    let clock = clock();
    let script = r#"
        route "GET /set" { function() cache.set("k", { n = 9007199254740993, list = { 1 } }, "10s") return 204 end }
        route "GET /get" { function() return { json = cache.get "k" or json.null } end }
        route "GET /delete" { function() return { text = tostring(cache.delete "k") } end }"#;
    let gateway = gateway::script(script).workers(2).clock(&clock).start();
    gateway.get("/set").with(204);
    for _ in 0..4 {
        assert_eq!(gateway.get("/get").at("/list/0"), 1);
    }
    clock.advance(seconds(10));
    assert_eq!(gateway.get("/get").text(), "null");
    gateway.get("/set").with(204);
    assert_eq!((gateway.get("/delete").text(), gateway.get("/delete").text()), ("true", "false"));
}

#[test]
fn a_load_runs_once_for_everybody_and_outlives_its_first_caller() {
    let service = upstream::serve(|conn| {
        while conn.request().is_some() {
            conn.hold();
            conn.send(upstream::ok("{\"n\":1}"));
        }
    });
    let script = r#"
        route "GET /{rest*}" { function() return { json = cache.remember("k", "1m", function() return fetch("s/x"):json() end) } end }"#;
    let gateway = gateway::script(script).service("s", &service).workers(2).start();
    let mut first = gateway.client();
    first.send("GET /a HTTP/1.1\r\nhost: x\r\n\r\n");
    wait::until("it loads", || service.calls() == 1);
    let mut others: Vec<_> = (0..20).map(|_| gateway.client()).collect();
    for other in &mut others {
        other.send("GET /a HTTP/1.1\r\nhost: x\r\n\r\n");
    }
    first.reset();
    wait::until("all wait", || gateway.metric("http_server_active_requests") >= 20.0);
    service.release();
    for other in &mut others {
        assert_eq!(other.answer().text(), "{\"n\":1}");
    }
    assert_eq!(service.calls(), 1);
}

#[test]
fn nil_and_failures_reach_everybody_and_are_not_stored() {
    let script = r#"
        local calls = metrics.counter "calls" {}
        route "GET /nil" { function() return { text = tostring(cache.remember("n", "1m", function() calls:inc() return nil end)) } end }
        route "GET /bad" { function()
          local ok, err = pcall(cache.remember, "b", "1m", function() error "no luck" end)
          return { text = tostring(ok) .. " " .. tostring(err) }
        end }
        route "GET /ttl" { function() return { text = cache.remember("t", "1m", function() calls:inc() return "v", 0 end) } end }"#;
    let gateway = gateway::script(script).start();
    assert_eq!((gateway.get("/nil").text(), gateway.get("/nil").text()), ("nil", "nil"));
    assert_eq!(gateway.metric("calls"), 2.0);
    let bad = gateway.get("/bad");
    assert!(bad.text().starts_with("false") && bad.text().contains("no luck"), "{bad:?}");
    assert_eq!((gateway.get("/ttl").text(), gateway.get("/ttl").text(), gateway.metric("calls")), ("v", "v", 4.0));
}

#[test]
fn a_stale_value_is_served_while_it_is_loaded_anew() {
    let (service, clock) = (counting(&[]), clock());
    let script = r#"
        route "GET /" { function() return { text = cache.remember("k", "10s", function() return fetch("s/"):text() end, { stale = "1m" }) } end }"#;
    let gateway = gateway::script(script).service("s", &service).clock(&clock).start();
    assert_eq!(gateway.get("/").text(), "answer 1");
    clock.advance(seconds(11));
    assert_eq!(gateway.get("/").text(), "answer 1");
    wait::until("it was loaded anew", || gateway.get("/").text() == "answer 2");
    assert_eq!(service.calls(), 2);
}

#[test]
fn answers_and_values_are_forgotten_by_tag_softly_or_hard_and_the_script_hears_of_it() {
    let service = upstream::answers(|_| upstream::answer(200, &[("surrogate-key", "shop p1")], "x"));
    let script = r#"
        local heard = metrics.counter "heard" {}
        on("purge", function(event) if event.tags[1] == "p1" then heard:inc() end end)
        route "GET /soft" { function() return { text = tostring(cache.purge "p1") } end }
        route "GET /hard" { function() return { text = tostring(cache.purge("p1", "p2", { hard = true })) } end }
        route "GET /{rest*}" { cache { "1h", stale = "1h", tags = { "path:{path}", "all" } }, to = "s" }"#;
    let gateway = gateway::script(script).service("s", &service).start();
    let cached = |target: &str| gateway.get(target).header("cache-status").unwrap().to_owned();
    assert_eq!(gateway.get("/a").header("surrogate-key"), None, "it was meant for this cache only");
    assert!(cached("/a").starts_with("moongate; hit"));
    assert_eq!(gateway.get("/soft").text(), "1");
    assert!(cached("/a").starts_with("moongate; hit"), "a soft purge makes it stale, and it is refreshed behind");
    wait::until("it was refreshed", || service.calls() == 2);
    assert_eq!(gateway.get("/hard").text(), "2");
    assert_eq!(cached("/a"), "moongate; fwd=miss; stored");
    wait::until("the script heard", || gateway.metric("heard") == 2.0);
    let mut admin = gateway.admin();
    assert_eq!(admin.call("POST", "/purge?tag=path:/a&hard=true", &[], "").at("/purges"), 1);
    assert_eq!(cached("/a"), "moongate; fwd=miss; stored");
    assert_eq!(admin.call("POST", "/purge?prefix=/b&hard=true", &[], "").status, 200);
    assert!(cached("/a").starts_with("moongate; hit"));
    assert_eq!(admin.call("POST", "/purge?tag=*&hard=true", &[], "").status, 200);
    assert_eq!(cached("/a"), "moongate; fwd=miss; stored");
    assert_eq!(admin.call("POST", "/purge", &[], "").status, 400);
    assert_eq!(admin.call("GET", "/purge?tag=a", &[], "").status, 405);
    assert_eq!(admin.get("/state").at("/caches/main/entries"), 1);
}

#[test]
fn a_purge_under_load_leaves_nobody_with_the_old_answer() {
    let version = std::sync::Arc::new(std::sync::atomic::AtomicUsize::new(1));
    let (now, order) = (std::sync::Arc::clone(&version), std::sync::atomic::Ordering::SeqCst);
    let service = upstream::answers(move |_| upstream::answer(200, &[("cache-tag", "v")], now.load(order).to_string()));
    let script = r#"
        route "GET /purge" { function() cache.purge("v", { hard = true }) return 204 end }
        route "GET /{rest*}" { cache "1h", to = "s" }"#;
    let gateway = gateway::script(script).service("s", &service).workers(2).start();
    std::thread::scope(|scope| {
        let (done, version) = (std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false)), &version);
        for _ in 0..4 {
            let done = std::sync::Arc::clone(&done);
            let gateway = &gateway;
            scope.spawn(move || {
                let mut client = gateway.client();
                while !done.load(order) {
                    client.get("/a").with(200);
                }
            });
        }
        let mut client = gateway.client();
        for n in 2..30 {
            version.store(n, order);
            client.get("/purge").with(204);
            assert_eq!(client.get("/a").text(), n.to_string());
        }
        done.store(true, order);
    });
}

#[test]
fn a_space_of_its_own_is_bounded_and_purged_apart() {
    let service = counting(&[]);
    let script = r#"
        local big = cache.space "big" { max = "64KB" }
        route "GET /fill" { function() for n = 1, 100 do big:set("k" .. n, string.rep("x", 4000), "1h") end return 204 end }
        route "GET /purge" { function() cache.purge "*" return 204 end }
        route "GET /{rest*}" { cache { "1h", space = "big" }, to = "s" }"#;
    let gateway = gateway::script(script).service("s", &service).start();
    assert_eq!(gateway.get("/a").text(), "answer 1");
    gateway.get("/purge").with(204);
    assert_eq!(gateway.get("/a").text(), "answer 1", "the common space was purged, not this one");
    gateway.get("/fill").with(204);
    let state = gateway.admin().get("/state");
    let bytes = state.at("/caches/big/bytes").as_u64().unwrap();
    assert!((1..=64 << 10).contains(&bytes), "{bytes}");
}
