//! `security_headers`, `maintenance`, `fault`, `split`: what is put around requests and answers.

use std::time::Duration;

use moongate::clock::Clock;

use crate::support::gateway;
use crate::support::upstream;
use crate::support::wait;

#[test]
fn security_headers_are_on_every_answer_from_their_place_on() {
    let service = upstream::answers(|seen| match seen.target.as_str() {
        "/own" => {
            upstream::answer(200, &[("x-frame-options", "DENY"), ("server", "x/1.2"), ("x-powered-by", "y")], "x")
        }
        _ => b"nonsense\r\n\r\n".to_vec(),
    });
    let gateway = gateway::script(
        r#"
        gateway { trust_proxies = { "127.0.0.1" }, security_headers { csp = "default-src 'self'", referrer = "no-referrer" } }
        route "GET /own" { to = "service" }
        route "GET /broken" { to = "service" }
        route "GET /mine" { security_headers { frame = false, hsts = "max-age=5", replace = true }, function() return { text = "x", headers = { ["referrer-policy"] = "origin" } } end }
        route "GET /refused" { function() reject(403) end }
        route "GET /dry" { security_headers { permissions = "camera=()", enforce = false }, function() return 204 end }
        "#,
    )
    .service("service", &service)
    .start();
    for (target, status) in [("/own", 200), ("/broken", 502), ("/refused", 403), ("/nowhere", 404)] {
        let answer = gateway.get(target).with(status);
        assert_eq!(answer.header("x-content-type-options"), Some("nosniff"), "{target}");
        assert_eq!(answer.header("referrer-policy"), Some("no-referrer"), "{target}");
        assert_eq!(answer.header("content-security-policy"), Some("default-src 'self'"), "{target}");
        assert_eq!(answer.header("strict-transport-security"), None, "not over plain http: {target}");
        let frame = if target == "/own" { "DENY" } else { "SAMEORIGIN" };
        assert_eq!(answer.header("x-frame-options"), Some(frame), "{target}");
        assert_eq!((answer.header("server"), answer.header("x-powered-by")), (None, None), "{target}");
    }
    let secure = gateway.call("GET", "/own", &[("x-forwarded-proto", "https")], "");
    assert_eq!(secure.header("strict-transport-security"), Some("max-age=31536000"));
    let mine = gateway.call("GET", "/mine", &[("x-forwarded-proto", "https")], "").with(200);
    assert_eq!(mine.header("strict-transport-security"), Some("max-age=5"));
    assert_eq!(mine.header("referrer-policy"), Some("strict-origin-when-cross-origin"), "the inner one replaces");
    assert_eq!(mine.header("x-frame-options"), Some("SAMEORIGIN"), "and the outer one still adds");
    let dry = gateway.get("/dry").with(204);
    assert_eq!(dry.header("permissions-policy"), None);
}

#[test]
fn maintenance_lets_some_in_and_tells_the_others_when_to_return() {
    let gateway = gateway::script(
        r#"
        gateway { trust_proxies = { "127.0.0.1" } }
        local flags = store "flags" {}
        route "GET /closed" { maintenance { allow = { "10.0.0.0/8", "2001:db8::1" }, retry_after = "90.5s" }, function() return 204 end }
        route "GET /asked" { maintenance { when = function(req) return req.query.closed == "yes" end, status = 529, detail = "tea" }, function() return 204 end }
        route "GET /dry" { maintenance { enforce = false }, function() return 204 end }
        "#,
    )
    .start();
    let closed = gateway.get("/closed");
    closed.refused(503, "maintenance.on");
    assert_eq!(closed.header("retry-after"), Some("91"));
    for inside in ["10.1.2.3", "2001:db8::1"] {
        gateway.call("GET", "/closed", &[("x-forwarded-for", inside)], "").with(204);
    }
    gateway.call("GET", "/closed", &[("x-forwarded-for", "11.1.2.3")], "").with(503);
    gateway.get("/asked").with(204);
    let asked = gateway.get("/asked?closed=yes");
    asked.refused(529, "maintenance.on");
    assert_eq!((asked.at("/detail").as_str(), asked.header("retry-after")), (Some("tea"), Some("300")));
    gateway.get("/dry").with(204);
}

#[test]
fn faults_strike_a_share_after_their_delay() {
    let clock = Clock::fake(Duration::from_secs(1_700_000_000));
    let gateway = gateway::script(
        r#"
        route "GET /always" { fault { status = 418 }, function() return 204 end }
        route "GET /never" { fault { status = 500, share = 0 }, function() return 204 end }
        route "GET /half" { fault { status = 500, share = 0.5 }, function() return 204 end }
        route "GET /late" { fault { delay = "7s" }, function() return 204 end }
        "#,
    )
    .clock(&clock)
    .start();
    gateway.get("/always").refused(418, "fault.injected");
    gateway.get("/never").with(204);
    let mut client = gateway.client();
    let struck = (0..200).filter(|_| client.get("/half").status == 500).count();
    assert!((50..150).contains(&struck), "{struck} of 200");
    client.send("GET /late HTTP/1.1\r\nhost: a\r\n\r\n");
    let asked = clock.unix();
    let late = std::thread::scope(|scope| {
        let reader = scope.spawn(|| (client.answer().status, clock.unix()));
        wait::until("it is answered", || {
            clock.advance(Duration::from_millis(100));
            reader.is_finished()
        });
        reader.join().unwrap()
    });
    assert_eq!(late.0, 204);
    assert!(late.1 - asked >= Duration::from_secs(7), "{:?}", late.1 - asked);
}

#[test]
fn a_split_is_stable_and_a_larger_share_only_adds_users() {
    let gateway = gateway::script(
        r#"
        split "unused" { a = 1 }
        route "GET /small" { split "exp" { stable = 90, canary = 10, by = "{header.x-user}" }, function(req) return { text = req.ctx.exp } end }
        route "GET /large" { split "exp" { stable = 70, canary = 30, by = "{header.x-user}" }, function(req) return { text = req.ctx.exp } end }
        route "GET /other" { split "two" { stable = 90, canary = 10, by = "{header.x-user}" }, function(req) return { text = req.ctx.two } end }
        route "GET /sent" { split "exp" { blue = 1, green = 0 }, to = "echo:", transform_request { set = { ["x-variant"] = "{ctx.exp}" } } }
        "#,
    )
    .start();
    let mut client = gateway.client();
    let mut canary = |target: &str| {
        let users = (0..300).map(|n| format!("u{n}"));
        users.filter(|user| client.call("GET", target, &[("x-user", user)], "").text() == "canary").collect::<Vec<_>>()
    };
    let (small, large, other) = (canary("/small"), canary("/large"), canary("/other"));
    assert!((10..60).contains(&small.len()) && (60..130).contains(&large.len()), "{} {}", small.len(), large.len());
    assert!(small.iter().all(|user| large.contains(user)), "everyone of the smaller share is in the larger");
    assert_eq!(canary("/small"), small);
    assert_ne!(small, other, "another experiment chooses for itself");
    assert_eq!(gateway.get("/small").text(), gateway.get("/small").text(), "without a user the address counts");
    assert_eq!(gateway.get("/sent").echoed("x-variant").as_deref(), Some("blue"));
}
