//! The access log and what scripts write: one line a request, nobody's input makes a line of its own, secrets are left out.

use crate::support::binary;
use crate::support::wait;

#[test]
fn every_answer_is_a_line_also_those_that_failed() {
    let gateway = binary::script(
        r#"
        gateway { log = { format = "json", access = { fields = { shop = "{header.x-shop}", twice = function(req, res) return res.status * 2 end } } } }
        route "GET /a/{id}" { function() return 200 end }
        "#,
    )
    .start();
    let mut client = gateway.client();
    client.call(
        "GET",
        "/a/7?token=s3cr3t&x=1",
        &[("x-shop", "bikes"), ("authorization", "Bearer s3cr3t"), ("cookie", "sid=s3cr3t")],
        "",
    );
    client.get("/nowhere");
    client.send("BROKEN\r\n\r\n");
    client.rest();
    let line = wait::find("the request's line", || line(&gateway.output(), "/a/7"));
    for (field, value) in [("shop", "bikes".into()), ("twice", serde_json::json!(400)), ("status", 200.into())] {
        let got = &line[field];
        assert!(*got == value || got.as_str() == Some(&value.to_string()), "{field} in {line}");
    }
    assert!(line.to_string().contains("GET /a/{id}"), "{line}");
    wait::until("the 404 is there", || line_of(&gateway.output(), "/nowhere", "404"));
    gateway.logs("request.malformed");
    assert!(!gateway.output().contains("s3cr3t"), "{}", gateway.output());
}

fn line(output: &str, part: &str) -> Option<serde_json::Value> {
    let lines = output.lines().filter(|line| line.contains(part) && line.contains("status"));
    lines.filter_map(|line| serde_json::from_str(line).ok()).next()
}

fn line_of(output: &str, part: &str, other: &str) -> bool {
    output.lines().any(|line| line.contains(part) && line.contains(other))
}

#[test]
fn hostile_text_stays_on_its_line() {
    let gateway = binary::script(
        r#"
        route "GET /log" { function(req) log.warn("said " .. req.query.t, { t = req.query.t }) print(req.query.t) return 204 end }
        route "GET /{rest*}" { function() return 204 end }
        "#,
    )
    .start();
    let mut client = gateway.client();
    client.get("/log?t=x%0Aerror%20forged%20line%0D%0A%1b[31mred");
    client.call("GET", "/%0Aforged", &[("user-agent", "forged\terror forged")], "");
    gateway.client().call("GET", "/", &[("user-agent", "\u{1b}[31mforged")], "");
    gateway.client().get("/end");
    gateway.logs("/end");
    let output = gateway.output();
    assert!(!output.lines().any(|line| line.starts_with("error forged") || line.starts_with("forged")), "{output}");
    assert!(!output.contains('\u{1b}'), "{output:?}");
}

#[test]
fn access_may_be_off_or_chosen_or_in_a_file() {
    let gateway = binary::script(
        r#"
        gateway { log = { access = { to = "file:access.log", when = function(req, res) return res.status >= 400 end } } }
        route "GET /fine" { function() return 204 end }
        "#,
    )
    .start();
    let mut client = gateway.client();
    client.get("/fine").with(204);
    client.get("/absent").with(404);
    wait::until("the line is in the file", || gateway.dir().read("access.log").contains("/absent"));
    assert!(!gateway.dir().read("access.log").contains("/fine"));
    assert!(!gateway.output().contains("/absent"));
}

#[test]
fn a_script_error_is_logged_with_file_line_and_frame() {
    let gateway = binary::script(
        "local function inner(t)\n  return t.x\nend\nroute \"GET /\" { function()\n  return inner(nil)\nend }",
    )
    .start();
    let answer = gateway.client().get("/");
    answer.refused(500, "script.error");
    gateway.logs("gateway.lua:2");
    gateway.logs(answer.at("/request_id").as_str().unwrap());
    assert!(gateway.output().contains("gateway.lua:5"), "no traceback:\n{}", gateway.output());
}

#[test]
fn the_access_log_policy_adds_to_the_line_of_its_routes() {
    let gateway = binary::script(
        r#"
        route "GET /plain" { function() return 204 end }
        route "GET /more" { access_log { fields = { shop = "{header.x-shop}" } }, function() return 204 end }
        "#,
    )
    .start();
    let mut client = gateway.client();
    for target in ["/plain", "/more"] {
        client.call("GET", target, &[("x-shop", "bikes")], "").with(204);
    }
    gateway.logs("bikes");
    assert!(!gateway.output().lines().any(|line| line.contains("/plain") && line.contains("bikes")));
}
