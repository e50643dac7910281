//! A request that fails on its way to a service: each way has a name of its own in the problem document, the log, the
//! metrics and `Proxy-Status`; the log says where and how often it was tried.

use serde_json::Value;

use crate::support::binary;
use crate::support::gateway;
use crate::support::upstream;
use crate::support::upstream::Upstream;
use crate::support::wait;

/// Says nothing, or begins an answer and falls silent.
fn silent() -> Upstream {
    upstream::serve(|conn| {
        if let Some(seen) = conn.request()
            && seen.target.starts_with("/begun")
        {
            conn.send("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n1\r\nx\r\n");
        }
        conn.linger();
    })
}

/// The access log line of `path`.
fn line(gateway: &binary::Binary, path: &str) -> Value {
    wait::find(path, || {
        let output = gateway.output();
        let lines = output.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        lines.into_iter().find(|line| line["path"] == path)
    })
}

#[test]
fn every_end_has_a_name_in_document_log_and_metric() {
    let service = silent();
    let dead = upstream::nobody();
    let script = r#"
        gateway { log = { format = "json" } }
        upstream "refused" { "$DEAD", "127.0.0.1:$PORT", retry = { times = 1 } }
        upstream "mute" { "https://$UP", timeout = { connect = "100ms" }, retry = { times = 0 } }
        upstream "slow" { "$UP", timeout = { response = "100ms", idle = "100ms" } }
        upstream "held" { "$UP" }
        route "/refused" { to = "refused" }
        route "/mute" { to = "mute" }
        route "/slow" { to = "slow" }
        route "/begun" { to = "slow" }
        route "/whole" { to = "held", timeout = "100ms" }
        route "/begun/whole" { to = "held", timeout = { head = "30s", total = "100ms" } }
    "#;
    let script = script
        .replace("$DEAD", &dead.to_string())
        .replace("$PORT", &upstream::nobody().port().to_string())
        .replace("$UP", &service.address().to_string());
    let gateway = binary::script(&script).start();
    let up = service.address().to_string();
    for (path, status, code, upstream, host, attempts) in [
        ("/refused", 502, "upstream.connect", "refused", None, 2),
        ("/mute", 504, "upstream.connect_timeout", "mute", Some(&up), 1),
        ("/slow", 504, "upstream.timeout", "slow", Some(&up), 1),
        ("/begun", 200, "upstream.idle", "slow", Some(&up), 1),
        ("/whole", 504, "route.timeout", "held", Some(&up), 1),
        ("/begun/whole", 200, "route.timeout", "held", Some(&up), 1),
    ] {
        let mut client = gateway.client();
        if status == 200 {
            client.send(format!("GET {path} HTTP/1.1\r\nhost: x\r\n\r\n"));
            assert_eq!(client.head().0.status, 200, "{path}");
            client.rest();
        } else {
            client.get(path).refused(status, code);
        }
        let line = line(&gateway, path);
        assert_eq!((&line["reason"], &line["upstream"]), (&code.into(), &upstream.into()), "{line}");
        assert_eq!((&line["attempts"], &line["status"]), (&attempts.into(), &status.into()), "{line}");
        let at = line["upstream_host"].as_str().unwrap_or_default();
        assert!(host.map_or_else(|| at.starts_with("127.0.0.1:"), |host| at == host), "{line}");
        let page = gateway.admin().get("/metrics");
        assert!(page.text().contains(&format!("moongate_failures_total{{code=\"{code}\"}}")), "{code}");
    }
}

/// What `/x` is told in `Proxy-Status`, with this setting.
fn told(setting: &str, upstream: &str, route: &str) -> (u16, Vec<String>) {
    let script = format!(
        r#"
        gateway {{ proxy_status = {setting} }}
        upstream "s" {{ {upstream}, retry = {{ times = 0 }} }}
        route "/x" {{ {route} }}
        "#
    );
    let answer = gateway::script(&script).start().get("/x");
    (answer.status, answer.all("proxy-status").into_iter().map(str::to_owned).collect())
}

#[test]
fn proxy_status_says_what_kind_of_failure_it_was_where_that_is_wanted() {
    let service = upstream::answers(|_| upstream::answer(503, &[("proxy-status", "origin; error=x")], "no"));
    let (busy, dead) = (format!("\"{}\"", service.address()), format!("\"{}\"", upstream::nobody()));
    let bare = dead.trim_matches('"').to_owned();
    let text = |all: &[&str]| all.iter().map(|&one| one.to_owned()).collect::<Vec<_>>();
    assert_eq!(told("false", &dead, r#"to = "s""#), (502, vec![]));
    assert_eq!(told("true", &dead, r#"to = "s""#), (502, text(&["moongate; error=connection_refused"])));
    let full = format!("moongate; error=connection_refused; next-hop=\"{bare}\"");
    assert_eq!(told(r#""full""#, &dead, r#"to = "s""#), (502, vec![full]));
    // what the service itself says comes first
    assert_eq!(told("false", &busy, r#"to = "s""#), (503, text(&["origin; error=x"])));
    assert_eq!(told("true", &busy, r#"to = "s""#), (503, text(&["origin; error=x", "moongate; received-status=503"])));
    let (_, full) = told(r#""full""#, &busy, r#"to = "s""#);
    assert_eq!(full[1], format!("moongate; received-status=503; next-hop=\"{}\"", service.address()));
    let silent = silent();
    let slow = format!("\"{}\", timeout = {{ response = \"100ms\" }}", silent.address());
    assert_eq!(told("true", &slow, r#"to = "s""#), (504, text(&["moongate; error=http_response_timeout"])));
    // an answer of the script's is no failure; a refusal is one; how it looks does not matter
    assert_eq!(told("true", &dead, "function() return 503 end"), (503, vec![]));
    assert_eq!(
        told("true", &dead, "function() reject(403) end"),
        (403, text(&["moongate; error=http_request_denied"]))
    );
    assert_eq!(
        told("true", &dead, r#"function() error "x" end, errors = { ["*"] = { status = 500, text = "sorry" } }"#),
        (500, text(&["moongate; error=proxy_internal_error"]))
    );
}

#[test]
fn too_few_hosts_are_told_of_also_when_no_host_changes_its_health() {
    let services: Vec<_> = (0..2).map(|_| upstream::says("fine")).collect();
    let mut hosts: Vec<_> = services.iter().map(|service| service.address().to_string()).collect();
    hosts.extend((0..2).map(|_| upstream::nobody().to_string()));
    let listed = hosts.iter().map(|host| format!("\"{host}\"")).collect::<Vec<_>>().join(", ");
    let script = format!(
        r#"
        local s = upstream "s" {{ {listed}, health = {{ tcp = true, every = "200ms" }} }}
        route "/" {{ to = s }}
        route "/drain" {{ function() s:drain("{}") return 204 end }}
        route "/back" {{ function() s:drain("{}", false) return 204 end }}
        "#,
        hosts[0], hosts[0]
    );
    let gateway = binary::script(&script).start();
    wait::until("two are down", || gateway.output().matches("a host is down").count() == 2);
    let panics = || gateway.output().matches("too few hosts are well").count();
    assert_eq!(panics(), 0, "half of them are enough");
    gateway.client().get("/drain").with(204);
    wait::until("it is said", || panics() == 1);
    gateway.client().get("/back").with(204);
    gateway.logs("enough hosts are well again");
    assert_eq!(panics(), 1, "once");
}

#[test]
fn a_function_that_tells_the_same_nonsense_is_complained_of_once() {
    let script = r#"
        upstream "s" { hosts = function() return { "no address" } end, refresh = "100ms" }
        upstream "t" { hosts = function() return { "absent.invalid:80" } end, refresh = "100ms" }
        route "/" { to = "s" }
        route "/t" { to = "t" }
        local n = store "n" {}
        every("100ms", function() n:incr("n", 1, "1h") end)
        route "/n" { function() return { text = tostring(n:get("n") or 0) } end }
    "#;
    let gateway = binary::script(script).start();
    gateway.logs("hosts that make no sense");
    gateway.logs("no address");
    let turns = || gateway.client().get("/n").with(200).text().parse::<u32>().unwrap();
    let now = turns();
    wait::until("it was asked often", || turns() > now + 10);
    assert_eq!(gateway.output().matches("hosts that make no sense").count(), 1, "{}", gateway.output());
}
