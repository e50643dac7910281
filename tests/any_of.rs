//! `any_of`: the first of several ways to authenticate.

use crate::support::gateway;
use crate::support::upstream;

/// Policies that let a caller in by a header of theirs, and one that waits first.
const WAYS: &str = r#"
    local function way(word, status)
      return function(req)
        local who = req.headers["x-" .. word]
        if who == nil then return { status = status or 401, headers = { ["www-authenticate"] = word } } end
        req.user = { sub = who, by = word }
        req.key = word
      end
    end
    local red, blue, shut = way "red", way "blue", way("shut", 403)
    local function slow(req) sleep "1ms" return red(req) end
    local function said(req) return { text = (req.user.by or "nobody") .. " " .. (req.user.sub or "-") .. " " .. tostring(req.key) } end
"#;

fn gateway(routes: &str) -> gateway::Gateway {
    gateway::script(&format!("{WAYS}\n{routes}")).start()
}

#[test]
fn the_first_that_carries_on_authenticates() {
    let gateway = gateway(r#"route "GET /" { any_of { red, slow, blue }, said }"#);
    let get = |fields: &[(&str, &str)]| gateway.call("GET", "/", fields, "");
    assert_eq!(get(&[("x-red", "ann")]).text(), "red ann red");
    assert_eq!(get(&[("x-blue", "bob")]).text(), "blue bob blue");
    assert_eq!(get(&[("x-red", "ann"), ("x-blue", "bob")]).text(), "red ann red");
}

#[test]
fn all_refuse_with_the_last_401_and_the_challenges_of_all() {
    let gateway = gateway(
        r#"
        local function raises(req) reject(401, "who?", { code = "my.missing" }) end
        route "GET /answer" { any_of { slow, red, blue }, said }
        route "GET /failure" { any_of { blue, raises }, said }
        route "GET /other" { any_of { red, status = 404, detail = "nothing here" }, said }
        "#,
    );
    let answer = gateway.get("/answer");
    assert_eq!((answer.status, answer.all("www-authenticate")), (401, vec!["red", "blue"]));
    let failure = gateway.get("/failure");
    failure.refused(401, "my.missing");
    assert_eq!(gateway.get("/failure").all("www-authenticate"), ["blue"]);
    assert_eq!((gateway.get("/other").status, gateway.get("/other").at("/detail")), (404, "nothing here".into()));
}

#[test]
fn another_refusal_ends_at_once() {
    let gateway = gateway(
        r#"
        local function broken(req) local n = nil return n.x end
        route "GET /shut" { any_of { shut, blue }, said }
        route "GET /broken" { any_of { broken, blue }, said }
        route "GET /ok" { any_of { function(req) return 200 end, blue }, said }
        "#,
    );
    let blue = |target| gateway.call("GET", target, &[("x-blue", "bob")], "");
    assert_eq!(blue("/shut").status, 403);
    blue("/broken").refused(500, "script.error");
    assert_eq!(blue("/ok").text(), "");
}

#[test]
fn a_fragment_is_an_and_and_what_it_did_before_it_refused_is_undone() {
    let service = upstream::says("ok");
    let gateway = gateway::script(&format!(
        r#"{WAYS}
        local function marked(req)
          req.headers["x-mark"] = req.user.sub
          req.headers.cookie = nil
          req.query.mark = "1"
        end
        route "GET /" {{ any_of {{ steps {{ red, marked, blue }}, slow, function() end }}, function(req)
          req.headers["x-said"] = said(req).text
        end, to = "service" }}
        "#
    ))
    .service("service", &service)
    .start();
    let call = |fields: &[(&str, &str)]| {
        gateway.call("GET", "/?q=1", fields, "").with(200);
        let got = service.last();
        let field = |name: &str| got.header(name).unwrap_or("none").to_owned();
        (field("x-said"), field("x-mark"), field("cookie"), got.target.clone())
    };
    let text = |a: &str, b: &str, c: &str, d: &str| (a.to_owned(), b.to_owned(), c.to_owned(), d.to_owned());
    let both = call(&[("x-red", "ann"), ("x-blue", "bob"), ("cookie", "a=1")]);
    assert_eq!(both, text("blue bob blue", "ann", "none", "/?q=1&mark=1"));
    let red = call(&[("x-red", "ann"), ("cookie", "a=1")]);
    assert_eq!(red, text("red ann red", "none", "a=1", "/?q=1"));
    let none = call(&[("x-blue", "bob"), ("cookie", "a=1")]);
    assert_eq!(none, text("nobody - nil", "none", "a=1", "/?q=1"), "a failed branch left an identity behind");
}

#[test]
fn who_somebody_was_before_is_who_they_are_after_a_failed_branch() {
    let gateway = gateway(
        r#"
        local function other(req) req.user = { sub = "other" } req.key = "other" return 401 end
        route "GET /" { red, any_of { other, steps { other }, function() end }, said }
        "#,
    );
    assert_eq!(gateway.call("GET", "/", &[("x-red", "ann")], "").text(), "red ann red");
}

#[test]
fn a_branch_that_does_not_apply_lets_nobody_in() {
    let gateway = gateway(
        r#"
        policy "closed" { doc = "Refuses.", options = {}, step = function() return function() reject(401, "closed") end end }
        local never = closed { when = function(req) return req.query.closed ~= nil end }
        route "GET /none" { any_of { never }, said }
        route "GET /some" { any_of { never, red }, said }
        route "GET /out" { any_of { red, when = function(req) return false end }, said }
        route "GET /dry" { any_of { red, enforce = false }, said }
        route "GET /status" { any_of { closed { status = 404 }, blue }, said }
        "#,
    );
    gateway.get("/none").refused(401, "rejected");
    assert_eq!(gateway.call("GET", "/some", &[("x-red", "ann")], "").text(), "red ann red");
    assert_eq!(gateway.get("/some").status, 401);
    assert_eq!(gateway.get("/out").text(), "nobody - nil");
    assert_eq!(gateway.get("/dry").text(), "nobody - nil");
    assert_eq!(gateway.call("GET", "/dry", &[("x-red", "ann")], "").text(), "red ann red");
    assert_eq!(gateway.call("GET", "/status", &[("x-blue", "bob")], "").text(), "blue bob blue");
}

#[test]
fn it_may_be_called_and_a_rejection_where_nothing_yields_is_a_refusal_like_any_other() {
    let gateway = gateway(
        r#"
        local ways = any_of { red, blue }
        local function deep(req)
          table.sort({ 3, 2, 1 }, function() reject(401, "from a comparison") end)
        end
        route "GET /called" { function(req) ways(req) return said(req) end }
        route "GET /deep" { any_of { deep, blue }, function(req)
          local n = 0
          for i = 1, 1000 do n += i end
          return said(req)
        end }
        "#,
    );
    assert_eq!(gateway.call("GET", "/called", &[("x-blue", "bob")], "").text(), "blue bob blue");
    assert_eq!(gateway.get("/called").status, 401);
    assert_eq!(gateway.call("GET", "/deep", &[("x-blue", "bob")], "").text(), "blue bob blue");
    assert_eq!(gateway.get("/deep").status, 401);
}

#[test]
fn an_anonymous_request_has_a_user_without_anything() {
    let gateway =
        gateway(r#"route "GET /" { function(req) return { text = type(req.user) .. tostring(req.user.sub) } end }"#);
    assert_eq!(gateway.get("/").text(), "tablenil");
}
