//! `forward_auth`: a service is asked whether a request may pass.

use std::time::Duration;

use moongate::clock::Clock;

use crate::support::gateway;
use crate::support::upstream;
use crate::support::wait;

/// An authorizer that is a gateway too: `x-want` is the status it answers with, and it counts.
const AUTH: &str = r#"
    gateway { trust_proxies = { "127.0.0.1" } }
    local asked = store "asked" {}
    route "GET /asked" { function() return { text = tostring(asked:get("n") or 0) } end }
    route "GET /verify" { function(req)
      asked:incr("n", 1)
      local h = req.headers
      local told = table.concat({ h["x-forwarded-method"], h["x-forwarded-uri"], h["x-forwarded-host"], h["x-forwarded-proto"], h["x-forwarded-for"], tostring(h["x-user"]) }, " ")
      local status = tonumber(h["x-want"] or "204")
      return { status = status, text = status ~= 204 and "said no" or nil,
        headers = { ["x-user"] = h.authorization and "ann" or nil, ["x-told"] = told, location = "/login", ["www-authenticate"] = "Custom" } }
    end }
"#;

fn asked(auth: &gateway::Gateway) -> u32 {
    auth.get("/asked").text().parse().unwrap()
}

#[test]
fn a_2xx_carries_on_with_the_fields_asked_for() {
    let (auth, service) = (gateway::script(AUTH).start(), upstream::says("ok"));
    let gateway = gateway::script(
        r#"
        route "/some" { forward_auth "http://AUTH/verify" { copy = { "x-user", "X-Told" } }, to = "service" }
        route "/all" { forward_auth "http://AUTH/verify" { copy = { "x-told" }, send = { "*" } }, to = "service" }
        "#,
    )
    .with("AUTH", auth.address())
    .service("service", &service)
    .start();
    let lies = [("x-user", "root"), ("authorization", "Bearer t")];
    gateway.client().host("shop.dev").call("POST", "/some?q=1", &lies, "body").with(200);
    let got = service.last();
    assert_eq!((got.all("x-user"), got.header("authorization")), (vec!["ann"], Some("Bearer t")));
    assert_eq!(got.header("x-told"), Some("POST /some?q=1 shop.dev http 127.0.0.1 nil"));
    assert_eq!(got.body, b"body");
    gateway.call("GET", "/some", &[("x-user", "root")], "").with(200);
    assert_eq!(service.last().header("x-user"), None, "what the client says of itself reached the service");
    gateway.client().host("shop.dev").call("GET", "/all", &[("x-user", "me")], "").with(200);
    assert_eq!(service.last().header("x-told"), Some("GET /all shop.dev http 127.0.0.1 me"));
}

#[test]
fn a_refusal_is_the_answer_and_anything_else_lets_nobody_in() {
    let (auth, service) = (gateway::script(AUTH).start(), upstream::says("ok"));
    let gateway = gateway::script(
        r#"
        local ask = forward_auth "http://AUTH/verify" { send = { "x-want" } }
        route "GET /" { ask, to = "service" }
        route "GET /any" { any_of { ask, api_key { keys = { k = "ann" } } }, to = "service" }
        route "GET /gone" { forward_auth "http://127.0.0.1:1/verify", to = "service" }
        route "GET /dry" { forward_auth "http://127.0.0.1:1/verify" { enforce = false }, to = "service" }
        "#,
    )
    .with("AUTH", auth.address())
    .service("service", &service)
    .start();
    let want = |target: &str, status: &str| gateway.call("GET", target, &[("x-want", status)], "");
    for status in [301, 401, 403, 404, 429] {
        let answer = want("/", &status.to_string());
        assert_eq!((answer.status, answer.text(), answer.header("location")), (status, "said no", Some("/login")));
        assert_eq!(answer.header("www-authenticate"), Some("Custom"));
    }
    for status in ["500", "503"] {
        want("/", status).refused(500, "forward_auth.unavailable");
    }
    gateway.get("/gone").refused(500, "forward_auth.unavailable");
    assert_eq!(service.calls(), 0);
    assert_eq!((want("/any", "403").status, want("/any", "401").status), (403, 401));
    gateway.call("GET", "/any", &[("x-want", "401"), ("x-api-key", "k")], "").with(200);
    gateway.get("/dry").with(200);
    want("/", "200").with(200);
}

#[test]
fn who_does_not_answer_in_time_lets_nobody_in() {
    let clock = Clock::fake(Duration::from_secs(1_800_000_000));
    let (silent, service) = (upstream::serve(|conn| conn.hold()), upstream::says("ok"));
    let gateway =
        gateway::script(r#"route "GET /" { forward_auth "http://SILENT/" { timeout = "2s" }, to = "service" }"#)
            .with("SILENT", silent.address())
            .service("service", &service)
            .clock(&clock)
            .start();
    let answer = std::thread::scope(|scope| {
        let asking = scope.spawn(|| gateway.get("/"));
        wait::until("the time is over", || {
            clock.advance(Duration::from_millis(100));
            asking.is_finished()
        });
        asking.join().unwrap()
    });
    answer.refused(500, "forward_auth.unavailable");
    assert_eq!(service.calls(), 0);
}

#[test]
fn verdicts_are_kept_by_key_for_their_time() {
    let clock = Clock::fake(Duration::from_secs(1_800_000_000));
    let (auth, service) = (gateway::script(AUTH).start(), upstream::says("ok"));
    let gateway = gateway::script(
        r#"
        route "GET /" { forward_auth "http://AUTH/verify" { copy = { "x-user" }, send = { "authorization", "x-want" }, cache = "10s", key = "{header.authorization}" }, to = "service" }
        "#,
    )
    .with("AUTH", auth.address())
    .service("service", &service)
    .clock(&clock)
    .workers(2)
    .start();
    let call = |who: &str, want: &str| {
        gateway.call("GET", "/", &[("authorization", who), ("x-want", want), ("x-user", "root")], "")
    };
    for _ in 0..3 {
        call("a", "204").with(200);
        assert_eq!(service.last().all("x-user"), ["ann"]);
    }
    assert_eq!(asked(&auth), 1);
    for _ in 0..3 {
        let refused = call("b", "403");
        assert_eq!(
            (refused.status, refused.text(), refused.header("www-authenticate")),
            (403, "said no", Some("Custom"))
        );
    }
    assert_eq!(asked(&auth), 2);
    for _ in 0..2 {
        assert_eq!(call("c", "404").status, 404);
        assert_eq!(call("d", "500").status, 500);
    }
    assert_eq!(asked(&auth), 6, "only 2xx, 401 and 403 are kept");
    clock.advance(Duration::from_secs(10));
    call("a", "401");
    assert_eq!(asked(&auth), 7);
    assert_eq!((call("a", "204").status, asked(&auth)), (401, 7));
}

/// Ten requests of one key and two of others while the authorizer holds its answer; the first leaves.
fn together(verdict: &'static [u8], left: bool) -> (Vec<crate::support::answer::Answer>, usize) {
    let auth = upstream::serve(move |conn| {
        while conn.request().is_some() {
            conn.hold();
            conn.send(verdict);
        }
    });
    let script = r#"route "GET /" {
        forward_auth "AUTH/verify" { cache = "10s", key = "{query.who}", copy = { "x-user" } },
        function(req) return { text = req.headers["x-user"] or "nobody" } end,
    }"#;
    let gateway = gateway::script(script).with("AUTH", auth.url()).workers(2).start();
    let ask = |who: &str| {
        let mut client = gateway.client();
        client.send(format!("GET /?who={who} HTTP/1.1\r\nhost: x\r\nx-user: root\r\n\r\n"));
        client
    };
    let first = ask("ann");
    wait::until("the authorizer is asked", || auth.calls() == 1);
    let mut others: Vec<_> = (0..10).map(|_| ask("ann")).collect();
    let mut more = [ask("bob"), ask("eve")];
    wait::until("all wait", || gateway.metric("http_server_active_requests") >= 13.0 && auth.calls() == 3);
    if left {
        first.reset();
        wait::until("another asks in its place", || auth.calls() == 4);
    }
    auth.release();
    for client in &mut more {
        client.answer();
    }
    let answers = others.iter_mut().map(|client| client.answer()).collect();
    (answers, auth.calls())
}

#[test]
fn those_who_come_with_one_key_cost_one_question() {
    let verdict = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\nx-user: ann\r\n\r\n";
    for left in [false, true] {
        let (answers, calls) = together(verdict, left);
        assert!(answers.iter().all(|answer| answer.status == 200 && answer.text() == "ann"), "{answers:?}");
        assert_eq!(calls, if left { 4 } else { 3 }, "who leaves takes no answer from the others");
    }
    let (answers, calls) = together(b"HTTP/1.1 403 No\r\ncontent-length: 2\r\n\r\nno", false);
    assert!(answers.iter().all(|answer| answer.status == 403 && answer.text() == "no"), "{answers:?}");
    assert_eq!(calls, 3);
}

#[test]
fn a_failing_authorizer_fails_all_who_wait_and_an_answer_for_one_makes_no_queue() {
    let (answers, calls) = together(b"HTTP/1.1 500 Down\r\ncontent-length: 0\r\n\r\n", false);
    assert!(answers.iter().all(|answer| answer.status == 500), "{answers:?}");
    assert_eq!(calls, 3);
    let login = b"HTTP/1.1 302 Login\r\ncontent-length: 0\r\nset-cookie: state=1\r\nlocation: /login\r\n\r\n";
    let (answers, calls) = together(login, false);
    assert!(answers.iter().all(|answer| answer.header("set-cookie") == Some("state=1")), "{answers:?}");
    assert_eq!(calls, 13, "each asks for itself");
}
