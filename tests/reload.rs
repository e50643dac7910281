//! Reload as a transaction: live on save, nothing lost, nothing left (C-01 to C-04, U-01 to U-18).

use std::sync::Mutex;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering;
use std::time::Duration;

use crate::support::binary;
use crate::support::gateway;
use crate::support::gateway::Gateway;
use crate::support::temp::Dir;
use crate::support::upstream;
use crate::support::wait;

fn says(text: &str) -> String {
    format!(r#"route "GET /" {{ function() return {{ text = "{text}" }} end }}"#)
}

#[test]
fn an_edit_is_live_well_within_a_second() {
    let gateway = gateway::script(&says("one")).watch().start();
    let mut client = gateway.client();
    assert_eq!(client.get("/").text(), "one");
    gateway.save(&says("two"));
    let watch = wait::Stopwatch::start();
    wait::until("the edit is live", || client.get("/").with(200).text() == "two");
    assert!(watch.elapsed() < Duration::from_secs(2), "{:?}", watch.elapsed());
    // Workers answer with it before the gateway says so.
    wait::until("the gateway says so", || gateway.generation() == 2);
}

#[test]
fn a_broken_file_changes_nothing_and_the_next_good_one_is_taken() {
    let gateway = gateway::script(&says("good")).start();
    for broken in [
        "route \"GET /\" {",
        "upstrem \"x\" {}",
        "error \"no\"",
        "while true do end",
        "\0\u{1}garbage",
        "local x = nil x.y = 1",
    ] {
        let error = gateway.edit(broken).expect_err("a broken file was taken");
        assert!(error.contains("gateway.lua"), "{broken}: {error}");
        assert_eq!(gateway.get("/").with(200).text(), "good");
    }
    assert_eq!(gateway.generation(), 1);
    std::fs::remove_file(gateway.dir().join("gateway.lua")).unwrap();
    assert!(gateway.reload().is_err());
    assert_eq!(gateway.get("/").with(200).text(), "good");
    gateway.edit(&says("better")).unwrap();
    assert_eq!(gateway.get("/").text(), "better");
}

#[test]
fn the_same_text_is_no_reload() {
    let gateway = gateway::script(&says("one")).watch().start();
    gateway.save(&says("one"));
    gateway.reload().unwrap();
    assert_eq!(gateway.get("/").text(), "one");
    assert!(gateway.generation() <= 2);
}

#[test]
fn a_file_that_is_empty_for_a_moment_takes_no_route_away() {
    let dir = Dir::new();
    dir.write("gateway.lua", says("all of it"));
    let gateway = gateway::script("").folder(&dir).start();
    dir.write("gateway.lua", "");
    let failure = gateway.reload().unwrap_err();
    assert!(failure.contains("gateway.lua is empty"), "{failure}");
    assert_eq!(gateway.get("/").text(), "all of it");
}

/// C-04: every way a file can change is one reload, no more.
#[test]
fn editors_git_and_kubernetes_each_make_exactly_one_reload() {
    let dir = Dir::new();
    for version in ["a", "b", "c"] {
        dir.write(&format!("..{version}/gateway.lua"), says(version));
    }
    let link = |from: &str, to: &str| std::os::unix::fs::symlink(from, dir.join(to)).unwrap();
    link("..a", "..data");
    link("..data/gateway.lua", "gateway.lua");
    let gateway = gateway::script("").folder(&dir).watch().start();
    assert_eq!(gateway.get("/").text(), "a");
    let expect = |generation: u64, text: &str| {
        wait::until(text, || gateway.get("/").text() == text);
        // Long enough for a second reload to show itself; a change is settled 100 ms after its last event.
        std::thread::sleep(Duration::from_millis(400));
        assert_eq!(gateway.generation(), generation, "{text}");
    };
    // A ConfigMap: the link `..data` is renamed over, gateway.lua itself is never touched.
    link("..b", "..data_tmp");
    std::fs::rename(dir.join("..data_tmp"), dir.join("..data")).unwrap();
    expect(2, "b");
    // An editor that writes in place, in three pieces.
    let text = says("in place");
    let mut file = std::fs::File::create(dir.join("..b/gateway.lua")).unwrap();
    for piece in text.as_bytes().chunks(text.len() / 3 + 1) {
        std::io::Write::write_all(&mut file, piece).unwrap();
        file.sync_all().unwrap();
    }
    drop(file);
    expect(3, "in place");
    // vim and sed -i: a new file renamed over the old.
    dir.replace("..b/gateway.lua", says("renamed"));
    expect(4, "renamed");
    // git checkout: removed, then written.
    std::fs::remove_file(dir.join("..b/gateway.lua")).unwrap();
    dir.write("..b/gateway.lua", says("checked out"));
    expect(5, "checked out");
    // The link itself replaced by a file.
    dir.replace("gateway.lua", says("a file"));
    expect(6, "a file");
}

#[test]
fn required_and_included_files_are_watched_too() {
    let gateway = gateway::script(
        r#"
        local words = require "./lib/words"
        group "/r" { include "routes/*.lua" }
        route "GET /" { function() return { text = words.hello } end }
        "#,
    )
    .file("lib/words.lua", r#"return { hello = "hello" }"#)
    .file("routes/a.lua", r#"route "GET /a" { function() return { text = "a" } end }"#)
    .watch()
    .start();
    assert_eq!((gateway.get("/").text(), gateway.get("/r/a").text()), ("hello", "a"));
    gateway.dir().replace("lib/words.lua", r#"return { hello = "changed" }"#);
    wait::until("the module's edit is live", || gateway.get("/").text() == "changed");
    gateway.dir().write("routes/b.lua", r#"route "GET /b" { function() return { text = "b" } end }"#);
    wait::until("the new file is included", || gateway.get("/r/b").status == 200);
    gateway.dir().replace("lib/words.lua", "syntax error");
    std::thread::sleep(Duration::from_millis(400));
    assert_eq!(gateway.get("/").with(200).text(), "changed");
}

/// C-01 in short: many clients, a hundred reloads, none of their requests fails.
#[test]
fn a_hundred_reloads_under_load_fail_no_request() {
    let service = upstream::says("service");
    let setup = |n: usize| {
        format!(
            r#"
            local limit = limiter "l" {{ "1000000/s" }}
            route "GET /own" {{ function() limit:check "k" return {{ text = "generation {n}" }} end }}
            route "GET /through" {{ function(req, next) local res = next() res.headers["x-g"] = "{n}" end, to = "service" }}
            route "GET /only/{n}" {{ function() return 204 end }}
            "#
        )
    };
    let gateway = gateway::script(&setup(0)).service("service", &service).workers(2).start();
    let (stop, count, failed) = (AtomicBool::new(false), AtomicUsize::new(0), Mutex::new(Vec::new()));
    std::thread::scope(|scope| {
        for thread in 0..6 {
            let (gateway, stop, count, failed) = (&gateway, &stop, &count, &failed);
            scope.spawn(move || {
                let mut client = gateway.client();
                while !stop.load(Ordering::Relaxed) {
                    let target = if thread % 2 == 0 { "/own" } else { "/through" };
                    let answer = client.get(target);
                    count.fetch_add(1, Ordering::Relaxed);
                    if answer.status != 200 {
                        failed.lock().unwrap().push(format!("{target}: {answer:?}"));
                    }
                }
            });
        }
        for n in 1..=100 {
            gateway.edit(&setup(n)).unwrap();
        }
        stop.store(true, Ordering::Relaxed);
    });
    let failed = failed.into_inner().unwrap();
    assert!(failed.is_empty(), "{} of {count:?} failed, first {}", failed.len(), failed[0]);
    assert!(count.into_inner() > 100);
    assert_eq!((gateway.generation(), gateway.get("/own").text()), (101, "generation 100"));
}

#[test]
fn memory_stays_flat_over_reloads() {
    let big =
        |n: usize| format!("{}\nlocal t = {{}} for i = 1, 20000 do t[i] = 'v' .. i .. '{n}' end", says(&n.to_string()));
    let gateway = binary::script(&big(0)).argument("--no-watch").start();
    let mut admin = gateway.admin();
    let mut client = gateway.client();
    let mut reload = |n: usize| {
        gateway.dir().replace("gateway.lua", big(n));
        assert_eq!(admin.call("POST", "/reload", &[], "").status, 200);
        assert_eq!(client.get("/").with(200).text(), n.to_string());
    };
    (1..=20).for_each(&mut reload);
    let before = gateway.memory();
    (21..=120).for_each(&mut reload);
    let grown = gateway.memory().saturating_sub(before);
    assert!(grown < 16 << 20, "{} KB more after 100 reloads", grown >> 10);
}

/// C-02: what streams when a reload comes goes on, before and after a hundred of them.
#[test]
fn streams_and_upgrades_live_on_over_a_hundred_reloads() {
    let service = upstream::serve(|conn| {
        let Some(seen) = conn.request() else { return };
        if seen.header("upgrade").is_some() {
            conn.send("HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\nconnection: upgrade\r\n\r\n");
            while let Some(bytes) = conn.some() {
                conn.send(bytes);
            }
            return;
        }
        conn.send(
            "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n3\r\none\r\n",
        );
        conn.until(b"\r\n\r\n");
        conn.linger();
    });
    let script = |n: usize| format!("route \"/{{rest*}}\" {{ to = \"service\" }} -- {n}");
    let gateway = gateway::script(&script(0)).service("service", &service).start();
    let mut events = gateway.client();
    events.send("GET /events HTTP/1.1\r\nhost: x\r\n\r\n");
    let (mut head, frame) = events.head();
    assert_eq!(events.piece(&mut head, frame).unwrap(), b"one");
    let mut socket = gateway.client();
    socket.send("GET /ws HTTP/1.1\r\nhost: x\r\nupgrade: websocket\r\nconnection: upgrade\r\n\r\n");
    assert_eq!(socket.head().0.status, 101);
    for n in 1..=100 {
        gateway.edit(&script(n)).unwrap();
        if n == 1 || n == 100 {
            socket.send("ping");
            assert_eq!(socket.exactly(4), b"ping");
            assert!(events.silent(Duration::from_millis(5)), "the stream ended at reload {n}");
        }
    }
    wait::until("old generations are gone", || generations(&gateway) <= 2.0);
}

fn generations(gateway: &Gateway) -> f64 {
    gateway.metric("moongate_generations_alive")
}

#[test]
fn a_request_keeps_its_generation_for_its_whole_life() {
    let version = |n: &str| {
        format!(
            r#"
            local version = "{n}"
            route "GET /slow" {{
              function(req, next) local res = next() res.headers["x-out"] = version end,
              function() fetch "service/" end,
              function() return {{ text = version }} end,
              on_response = function(req, res) res.headers["x-late"] = version end,
            }}
            "#
        )
    };
    let service = upstream::serve(|conn| {
        conn.request();
        conn.hold();
        conn.send(upstream::ok(""));
    });
    let gateway = gateway::script(&version("old")).service("service", &service).start();
    let mut client = gateway.client();
    client.send("GET /slow HTTP/1.1\r\nhost: x\r\n\r\n");
    wait::until("the step waits", || service.calls() == 1);
    gateway.edit(&version("new")).unwrap();
    service.release();
    let answer = client.answer().with(200);
    assert_eq!((answer.text(), answer.header("x-out"), answer.header("x-late")), ("old", Some("old"), Some("old")));
    assert_eq!(gateway.get("/slow").text(), "new");
}

#[test]
fn what_must_survive_survives() {
    let script = |comment: &str| {
        format!(
            r#"
            -- {comment}
            local hits = store "hits" {{}}
            local gate = limiter "gate" {{ "3/h" }}
            route "GET /hit" {{ function() return {{ text = tostring(hits:incr("n", 1)) }} end }}
            route "GET /gate" {{ function() if not gate:check "k" then return 429 end return 200 end }}
            route "GET /up" {{ to = "service" }}
            "#
        )
    };
    let service = upstream::says("ok");
    let gateway = gateway::script(&script("one")).service("service", &service).start();
    gateway.get("/up").with(200);
    assert_eq!(gateway.get("/hit").text(), "1");
    gateway.get("/gate").with(200);
    gateway.get("/gate").with(200);
    gateway.edit(&script("two")).unwrap();
    assert_eq!(gateway.get("/hit").text(), "2");
    gateway.get("/gate").with(200);
    gateway.get("/gate").with(429);
    gateway.get("/up").with(200);
    assert_eq!(service.connections(), 1, "the pool was thrown away");
}

#[test]
fn hangup_and_the_admin_listener_reload_and_the_diff_is_printed() {
    let gateway = binary::script(&says("one")).argument("--no-watch").start();
    gateway.dir().replace("gateway.lua", says("one") + "\nroute \"GET /more\" { function() return 204 end }");
    gateway.signal(rustix::process::Signal::HUP);
    wait::until("the reload is done", || gateway.client().get("/more").status == 204);
    gateway.logs("/more");
    gateway.dir().replace("gateway.lua", "nonsense (");
    let answer = gateway.admin().call("POST", "/reload", &[], "");
    assert!(answer.status >= 400 && answer.text().contains("gateway.lua"), "{answer:?}");
    assert_eq!(gateway.client().get("/").with(200).text(), "one");
    gateway.logs("gateway.lua:1");
}
