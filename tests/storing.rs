//! What is stored: bounded whatever its sizes, kept over reloads in the middle, the same behind two gateways.

use std::time::Duration;

use crate::caching::cached;
use crate::caching::clock;
use crate::support::answer::Answer;
use crate::support::gateway;
use crate::support::upstream;
use crate::support::upstream::Upstream;
use crate::support::wait;

/// A body whose size its address says, of bytes that follow from both.
fn sized(target: &str) -> String {
    let size: usize = target.rsplit('/').next().unwrap().parse().unwrap();
    target.bytes().cycle().take(size).map(char::from).collect()
}

/// Sizes without a pattern, the same in each run.
fn sizes() -> impl Iterator<Item = usize> {
    let mut seed = 0x9e37_79b9_7f4a_7c15_u64;
    std::iter::repeat_with(move || {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let (size, kind) = ((seed >> 33) as usize, seed >> 60);
        if kind == 0 { size % 300_000 } else { size % 20_000 }
    })
}

#[test]
fn the_bound_holds_whatever_the_sizes_are_and_what_is_served_is_whole() {
    let service = upstream::answers(|seen| upstream::ok(sized(&seen.target)));
    let script = r#"
        cache.space "small" { max = "1MB" }
        route "/{rest*}" { cache { "1h", space = "small", max_size = "200KB", tags = "t{path}" }, to = "s" }"#;
    let gateway = gateway::script(script).service("s", &service).workers(2).start();
    let mut admin = gateway.admin();
    let mut bytes = |what: &str| {
        let state = admin.get("/state").with(200);
        let bytes = state.at("/caches/small/bytes").as_u64().unwrap();
        assert!(bytes <= 1 << 20, "{bytes} bytes {what}");
        bytes
    };
    std::thread::scope(|scope| {
        for part in 0..4 {
            let gateway = &gateway;
            scope.spawn(move || {
                let mut client = gateway.client();
                for (n, size) in sizes().enumerate().skip(part * 150).take(150) {
                    let target = format!("/{}/{size}", n % 97);
                    for _ in 0..2 {
                        assert_eq!(client.get(&target).with(200).text(), sized(&target), "{target}");
                    }
                }
            });
        }
        for _ in 0..20 {
            bytes("under load");
        }
    });
    assert!(bytes("at last") > 128 << 10, "it is used, not only bounded");
    let large = "/x/250000";
    for _ in 0..2 {
        assert_eq!(gateway.get(large).text().len(), 250_000);
    }
    assert_eq!(service.seen().iter().filter(|seen| seen.target == large).count(), 2, "too large to be stored");
}

#[test]
fn a_reload_in_the_middle_of_an_answer_loses_nothing() {
    let service = upstream::serve(|conn| {
        while conn.request().is_some() {
            conn.send("HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nfirst");
            conn.hold();
            conn.send("last");
        }
    });
    let gateway = gateway::script(&cached("\"1h\"")).service("s", &service).workers(2).start();
    let mut readers: Vec<_> = (0..4).map(|_| gateway.client()).collect();
    for client in &mut readers {
        client.send("GET /a HTTP/1.1\r\nhost: test.local\r\n\r\n");
        client.until(b"first");
    }
    gateway.edit(&format!("{}\nroute \"GET /new\" {{ function() return 204 end }}", cached("\"2h\""))).unwrap();
    gateway.get("/new").with(204);
    let mut late = gateway.client();
    late.send("GET /a HTTP/1.1\r\nhost: test.local\r\n\r\n");
    let seen = String::from_utf8(late.until(b"first")).unwrap();
    assert!(seen.contains("collapsed"), "it reads along, in another generation: {seen}");
    service.release();
    for client in readers.iter_mut().chain([&mut late]) {
        assert!(client.until(b"last").ends_with(b"last"));
    }
    wait::until("it is stored", || gateway.get("/a").header("cache-status").unwrap().contains("hit"));
    assert_eq!((gateway.get("/a").text(), service.calls()), ("firstlast", 1));
}

#[test]
fn two_gateways_answer_alike() {
    let service = || {
        upstream::answers(|seen| {
            let fields: &[(&str, &str)] = match seen.target.split('?').next().unwrap() {
                "/vary" => &[("vary", "accept-language"), ("cache-control", "max-age=5"), ("etag", "\"v\"")],
                "/private" => &[("cache-control", "private")],
                "/stale" => &[("cache-control", "max-age=1, stale-while-revalidate=60"), ("etag", "W/\"s\"")],
                "/cookie" => &[("set-cookie", "a=1")],
                "/none" => return upstream::answer(404, &[("cache-control", "max-age=5")], "none"),
                "/down" => return upstream::answer(500, &[], "down"),
                _ => &[],
            };
            if seen.header("if-none-match").is_some() {
                return upstream::answer(304, fields, "");
            }
            upstream::answer(
                200,
                fields,
                format!("{} {}", seen.target, seen.header("accept-language").unwrap_or("any")),
            )
        })
    };
    let (one, two, clock) = (service(), service(), clock());
    let start = |service: &Upstream| {
        let script = "route \"/{rest*}\" { cache { \"10s\", stale_if_error = \"1m\", tags = \"{path}\" }, request_id {}, to = \"s\" }";
        gateway::script(script).service("s", service).clock(&clock).start()
    };
    let gateways = [start(&one), start(&two)];
    let shown = |answer: Answer| {
        let own = ["x-request-id", "date"];
        let fields: Vec<_> =
            answer.headers.iter().filter(|(name, _)| !own.contains(&&*name.to_ascii_lowercase())).collect();
        format!("{} {fields:?} {:?}", answer.status, answer.text())
    };
    let mut hits = 0;
    for n in 0..120_usize {
        let target = ["/vary", "/private", "/stale", "/cookie", "/none", "/down", "/plain", "/plain?q=1"][n * 7 % 8];
        let method = if n % 11 == 0 { "HEAD" } else { "GET" };
        let fields: &[(&str, &str)] = match n % 4 {
            0 => &[("accept-language", "de")],
            1 => &[("if-none-match", "\"v\"")],
            2 => &[("range", "bytes=1-3")],
            _ => &[],
        };
        let [one, two] = [0, 1].map(|at: usize| shown(gateways[at].call(method, target, fields, "")));
        assert_eq!(one, two, "{n}: {method} {target} {fields:?}");
        hits += usize::from(one.contains("; hit"));
        // What is refreshed behind a client's back is done before the next asks.
        if target == "/stale" {
            wait::until("both are refreshed", || {
                gateways.iter().all(|gateway| gateway.metric("http_server_active_requests") < 1.0)
            });
        }
        clock.advance(Duration::from_millis(300));
    }
    assert!(hits > 20, "{hits}");
}

/// RFC 9111 §3.1: fields nobody knows are stored, those of one connection are not.
#[test]
fn what_is_stored_has_all_fields_but_those_of_the_connection() {
    let fields = [
        ("x-unknown", "1"),
        ("x-unknown", "2"),
        ("connection", "x-hop, keep-alive"),
        ("x-hop", "1"),
        ("keep-alive", "timeout=5"),
        ("proxy-authenticate", "Basic"),
        ("proxy-authentication-info", "a"),
    ];
    let service = upstream::answers(move |_| upstream::answer(200, &fields, "x"));
    let gateway = gateway::script(&cached("\"1h\"")).service("s", &service).start();
    for _ in 0..2 {
        let answer = gateway.get("/a").with(200);
        assert_eq!(answer.all("x-unknown"), ["1", "2"]);
        for hop in ["x-hop", "keep-alive", "proxy-authenticate", "proxy-authentication-info"] {
            assert_eq!(answer.header(hop), None, "{hop}");
        }
    }
    assert_eq!(service.calls(), 1);
}
