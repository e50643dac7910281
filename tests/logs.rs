//! The access log and what scripts write: one line a request, nobody's input makes a line of its own, secrets are left out.

use crate::support::binary;
use crate::support::gateway;
use crate::support::upstream;
use crate::support::wait;

#[test]
fn every_answer_is_a_line_also_those_that_failed() {
    let gateway = binary::script(
        r#"
        gateway { log = { format = "json", access = { fields = { shop = "{header.x-shop}", twice = function(req, res) return res.status * 2 end, id = function(req) return req.params.id end } } } }
        route "GET /a/{id}" { to = "echo:" }
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
    let fields =
        [("shop", "bikes".into()), ("twice", serde_json::json!(400)), ("id", "7".into()), ("status", 200.into())];
    for (field, value) in fields {
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

#[test]
fn lines_reach_a_syslog_daemon_as_rfc_5424_messages() {
    let daemon = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    daemon.set_read_timeout(Some(wait::PATIENCE)).unwrap();
    let gateway = gateway::script(
        r#"
        gateway { log = { access = { to = "syslog://$HOST" } } }
        route "GET /{rest*}" { function() return 204 end }
        "#,
    )
    .with("$HOST", daemon.local_addr().unwrap())
    .start();
    for target in ["/first", "/a%0Aforged", "/last"] {
        gateway.get(target);
    }
    let mut buffer = [0; 2048];
    for part in ["GET /first 204", "forged 204", "GET /last 204"] {
        let length = daemon.recv(&mut buffer).unwrap();
        let text = std::str::from_utf8(&buffer[..length]).unwrap();
        let fields: Vec<_> = text.splitn(8, ' ').collect();
        assert_eq!((fields[0], fields[3], fields[5], fields[6]), ("<134>1", "moongate", "access", "-"), "{text}");
        assert_eq!(fields[4], std::process::id().to_string());
        assert!(fields[1].ends_with('Z') && fields[1].len() == 24, "{text}");
        assert!(fields[7].contains(part) && !text.contains('\n'), "{text}");
    }
}

#[test]
fn a_syslog_daemon_that_is_not_there_costs_lines_and_nothing_else() {
    let gateway = gateway::script(
        r#"
        gateway { log = { access = { to = "syslog://$HOST" } } }
        route "GET /" { function() return 204 end }
        "#,
    )
    .with("$HOST", upstream::nobody())
    .start();
    wait::until("lost lines are counted", || {
        gateway.get("/").with(204);
        gateway.metric("moongate_access_log_dropped_total") > 0.0
    });
}

#[test]
fn lines_are_posted_to_a_url_as_json_and_tried_again() {
    let taken = std::sync::Mutex::new(0);
    let collector = upstream::answers(move |_| {
        let mut taken = taken.lock().unwrap();
        *taken += 1;
        if *taken == 1 { upstream::answer(500, &[], "") } else { upstream::answer(202, &[], "") }
    });
    let gateway = gateway::script(
        r#"
        gateway { log = { access = { to = "http://$HOST/in?key=1", fields = { shop = "{header.x-shop}" } } } }
        route "GET /{rest*}" { function() return 204 end }
        "#,
    )
    .with("$HOST", collector.address())
    .start();
    gateway.client().call("GET", "/first", &[("x-shop", "bikes")], "");
    wait::until("it was posted and posted again", || collector.calls() == 2);
    let (once, again) = (&collector.seen()[0], &collector.seen()[1]);
    assert_eq!((once.method.as_str(), once.target.as_str()), ("POST", "/in?key=1"));
    assert_eq!(once.header("content-type"), Some("application/x-ndjson"));
    assert!(again.body.starts_with(&once.body), "the same lines, and perhaps more");
    let line: serde_json::Value = serde_json::from_slice(once.body.strip_suffix(b"\n").unwrap()).unwrap();
    assert_eq!((&line["path"], &line["status"], &line["shop"]), (&"/first".into(), &204.into(), &"bikes".into()));
    gateway.get("/last");
    gateway.stop();
    let last = collector.last().body;
    assert!(String::from_utf8(last).unwrap().contains("/last"), "what is on its way is posted before we leave");
}

#[test]
fn on_log_sees_the_fields_that_were_sent() {
    let gateway = gateway::script(
        r#"
        local seen = store "seen" {}
        route "GET /" { on_log = function(req, res) seen:set("fields", (res.headers["x-made"] or "none") .. " " .. (res.headers["x-request-id"] and "id" or "none")) end,
          function() return { status = 200, headers = { ["x-made"] = "here" } } end }
        route "GET /seen" { function() return { text = seen:get("fields") or "" } end }
        "#,
    )
    .start();
    gateway.get("/");
    wait::until("on_log has run", || gateway.get("/seen").text() == "here id");
}
