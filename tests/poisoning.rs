//! `cache` under attack: what one client sends must not decide what others get, and nobody gets what is another's.

use crate::caching::cached;
use crate::support::answer::Answer;
use crate::support::gateway;
use crate::support::gateway::Gateway;
use crate::support::upstream;
use crate::support::upstream::Upstream;

/// A service that believes everything: its page has links made of what it was told, and it refuses what it dislikes.
fn naive() -> Upstream {
    upstream::answers(|seen| {
        let field = |name: &str| seen.all(name).join(",");
        if field("x-metachar").contains('\u{7}') || field("x-big").len() > 4000 {
            return upstream::answer(400, &[], "bad request");
        }
        if ["DELETE", "POST"].contains(&field("x-http-method-override").as_str()) {
            return upstream::answer(404, &[], "no such page");
        }
        let told =
            ["x-forwarded-host", "x-forwarded-proto", "x-forwarded-for", "x-forwarded-port", "forwarded"].map(field);
        let body = String::from_utf8_lossy(&seen.body).into_owned();
        upstream::answer(200, &[], format!("{} {} | {} | {body}", field("host"), seen.target, told.join(" ")))
    })
}

fn start(service: &Upstream, options: &str) -> Gateway {
    gateway::script(&cached(options)).service("s", service).start()
}

fn clean(answer: &Answer) -> bool {
    answer.status == 200 && !answer.text().contains("evil")
}

#[test]
fn fields_in_no_key_do_not_reach_what_others_get() {
    let service = naive();
    let gateway = start(&service, "\"1h\"");
    let attacks: &[&[(&str, &str)]] = &[
        &[("x-forwarded-host", "evil.example")],
        &[("x-forwarded-proto", "evil")],
        &[("x-forwarded-port", "31337"), ("x-forwarded-for", "evil")],
        &[("forwarded", "for=evil;host=evil.example;proto=evil")],
    ];
    for (n, attack) in attacks.iter().enumerate() {
        let target = format!("/page{n}");
        gateway.call("GET", &target, attack, "").with(200);
        let victim = gateway.get(&target);
        assert!(victim.header("cache-status").unwrap().contains("hit"), "the attacker's answer is the one stored");
        assert!(clean(&victim) && !victim.text().contains("31337"), "{attack:?} reached another: {}", victim.text());
    }
}

#[test]
fn the_content_of_a_get_is_no_part_of_an_answer_for_all() {
    let service = naive();
    let read = r#"route "/{rest*}" { function(req) req:text() end, cache "1h", to = "s" }"#;
    for script in [cached("\"1h\""), read.to_owned()] {
        let gateway = gateway::script(&script).service("s", &service).start();
        for (n, fields) in [&[][..], &[("content-type", "application/x-www-form-urlencoded")]].iter().enumerate() {
            let target = format!("/fat{n}");
            gateway.call("GET", &target, fields, "q=evil").with(200);
            let chunked = format!(
                "GET {target}c HTTP/1.1\r\nhost: test.local\r\ntransfer-encoding: chunked\r\n\r\n4\r\nevil\r\n0\r\n\r\n"
            );
            gateway.raw(chunked).with(200);
            assert!(clean(&gateway.get(&target)) && clean(&gateway.get(&format!("{target}c"))), "{script}");
        }
    }
}

#[test]
fn hosts_schemes_methods_and_spellings_are_pages_of_their_own() {
    let service = naive();
    let gateway = start(&service, "\"1h\"");
    let by = |host: &str, target: &str| gateway.client().host(host).get(target).text().to_owned();
    assert!(by("shop.example", "/a").starts_with("shop.example /a"));
    assert!(by("evil.example", "/a").starts_with("evil.example /a"));
    assert!(by("shop.example", "/a").starts_with("shop.example /a"));
    assert!(by("shop.example:31337", "/a").starts_with("shop.example"));
    // What is one path to the service is one key, and what is two is two.
    for (one, other) in [
        ("/a?x=1", "/a?x=1&evil"),
        ("/a;evil", "/a"),
        ("/b%2Fevil", "/b/evil"),
        ("/A", "/a"),
        ("/a?x=%26evil", "/a?x=&evil"),
    ] {
        // What could be read in two ways is refused.
        if [one, other].iter().any(|target| gateway.get(target).status == 400) {
            continue;
        }
        let (first, second) = (by("x", one), by("x", other));
        assert_ne!(first, second, "{one} {other}");
        assert_eq!((by("x", one), by("x", other)), (first, second));
    }
    assert!(gateway.call("HEAD", "/head", &[], "").body.is_empty());
    assert!(gateway.get("/head").text().starts_with("test.local /head"), "HEAD does not leave an empty page");
}

/// Cache-poisoned denial of service: the answer to a request that the service dislikes must not become the page.
#[test]
fn an_error_made_on_purpose_is_not_what_others_get() {
    let service = naive();
    let gateway = start(&service, "\"1h\"");
    let big = "x".repeat(5000);
    for (n, field) in
        [("x-big", big.as_str()), ("x-metachar", "a\u{7}"), ("x-http-method-override", "DELETE")].iter().enumerate()
    {
        let target = format!("/page{n}");
        let attacked = gateway.call("GET", &target, &[*field], "");
        assert!(attacked.status >= 400, "{} {attacked:?}", field.0);
        assert!(clean(&gateway.get(&target)), "{}", field.0);
    }
    // A part is no whole, and a condition is one client's.
    let part = gateway.call("GET", "/part", &[("range", "bytes=0-3"), ("if-none-match", "*")], "");
    assert!(part.status < 500);
    assert!(gateway.get("/part").with(200).text().contains("/part |"));
}

#[test]
fn a_function_that_reads_a_field_poisons_nobody_once_vary_names_it() {
    let script = r#"route "GET /{rest*}" {
        cache { "1h", vary = { "x-shop" } },
        function(req) return { text = "shop " .. (req.headers["x-shop"] or "none") } end,
    }"#;
    let gateway = gateway::script(script).start();
    let shop = |shop: &str| gateway.call("GET", "/", &[("x-shop", shop)], "");
    for _ in 0..2 {
        assert_eq!(
            (shop("evil").text(), shop("bikes").text(), gateway.get("/").text()),
            ("shop evil", "shop bikes", "shop none")
        );
    }
    assert_eq!(shop("bikes").header("vary"), Some("x-shop"));
}

/// Web cache deception: the victim is sent to an address that looks like a file, and the attacker asks for it afterwards.
#[test]
fn what_is_private_is_not_stored_under_any_disguise() {
    let service = upstream::answers(|seen| upstream::ok(seen.header("x-user").unwrap_or("nobody")));
    let script = r#"
        local signed_in = api_key { keys = { victim = "ann", attacker = "eve" }, from = { "header:x-api-key", "cookie:key" }, forward = { ["x-user"] = "{user.sub}" } }
        group "/account" { signed_in, cache "1h", route "GET /{rest*}" { to = "s" } }
        group "/own" { signed_in, cache { "1h", private = true }, route "GET /{rest*}" { to = "s" } }"#;
    let gateway = gateway::script(script).service("s", &service).start();
    let by = |target: &str, key: &str| gateway.call("GET", target, &[("x-api-key", key)], "");
    for disguise in ["/x.css", "/..%2fx.css", ";x.css", "/x.css?y", "%00.css", "%0a.css", "/avatar.png", "?x.css"] {
        for area in ["/account", "/own"] {
            let target = format!("{area}/me{disguise}");
            let victim = by(&target, "victim");
            let attacker = by(&target, "attacker");
            assert!(!attacker.text().contains("ann"), "{target}: {attacker:?} after {victim:?}");
            let nobody = gateway.get(&target);
            assert!(nobody.status >= 400 && !nobody.text().contains("ann"), "{target}: {nobody:?}");
        }
    }
    assert_eq!(by("/own/me", "victim").text(), "ann");
    assert!(by("/own/me", "victim").header("cache-status").unwrap().contains("hit"), "each has their own");
}
