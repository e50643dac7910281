//! The admin listener: what it tells, and whom.

use crate::support::binary;
use crate::support::gateway;
use crate::support::upstream;

#[test]
fn it_tells_life_readiness_state_and_metrics() {
    let service = upstream::says("ok");
    let gateway = gateway::before(&service);
    gateway.get("/a").with(200);
    let mut admin = gateway.admin();
    assert_eq!(admin.get("/livez").status, 200);
    let ready = admin.get("/readyz").with(200);
    assert!(ready.text().contains('1'), "which generation: {}", ready.text());
    let state = admin.get("/state").with(200).json();
    assert_eq!(state["generation"], 1, "{state}");
    let text = state.to_string();
    for part in ["/{rest*}", &service.address().to_string(), &gateway.address().to_string()] {
        assert!(text.contains(part), "{part} is not in {text}");
    }
    let metrics = admin.get("/metrics").with(200);
    assert!(metrics.header("content-type").unwrap().starts_with("text/plain"));
    for name in [
        "http_server_request_duration_seconds_bucket",
        "http_client_request_duration_seconds_count",
        "http_server_active_requests",
        "generation",
    ] {
        assert!(metrics.text().contains(name), "{name} is not in\n{}", metrics.text());
    }
    assert_eq!(admin.get("/nowhere").status, 404);
    assert!(matches!(admin.get("/reload").status, 404 | 405), "a GET must not reload");
}

#[test]
fn labels_come_from_closed_sets() {
    let service = upstream::says("ok");
    let gateway = gateway::before(&service);
    for n in 0..200 {
        gateway.call(&format!("M{n}"), &format!("/secret-{n}"), &[("host", &format!("h{n}.dev"))], "");
    }
    let page = gateway.admin().get("/metrics").text().to_owned();
    for leak in ["secret-1", "M17", "h17.dev"] {
        assert!(!page.contains(leak), "{leak} became a label");
    }
    assert!(page.contains("_OTHER"), "{page}");
    assert!(
        page.lines().all(|line| line.starts_with('#')
            || line.rsplit_once(' ').is_some_and(|(_, value)| value.parse::<f64>().is_ok()))
    );
}

#[test]
fn without_a_token_only_a_loopback_host_and_no_foreign_origin_are_answered() {
    let service = upstream::says("ok");
    let gateway = gateway::before(&service);
    let mut admin = gateway.admin();
    let ask = |admin: &mut crate::support::client::Client, host: &str, origin: Option<&str>| {
        let mut headers = vec![("host", host)];
        headers.extend(origin.map(|origin| ("origin", origin)));
        admin.call("POST", "/reload", &headers, "").status
    };
    for host in ["localhost", "127.0.0.1:9901", "[::1]:9901", "localhost:1"] {
        assert_eq!(ask(&mut admin, host, None), 200, "{host}");
    }
    assert_eq!(ask(&mut admin, "localhost:9901", Some("http://localhost:9901")), 200);
    for host in ["evil.dev", "localhost.evil.dev", "127.0.0.1.evil.dev", "10.0.0.1"] {
        let mut admin = gateway.admin();
        assert!(matches!(ask(&mut admin, host, None), 403 | 421), "{host}: a rebound name was answered");
    }
    for origin in ["http://evil.dev", "null", "https://localhost.evil.dev"] {
        let mut admin = gateway.admin();
        assert_eq!(ask(&mut admin, "localhost", Some(origin)), 403, "{origin}");
    }
}

#[test]
fn with_a_token_only_its_holder_is_answered() {
    let gateway = gateway::script(
        r#"
        gateway { admin = { "127.0.0.1:0", token = secret "ADMIN" } }
        route "/" { function() return 204 end }
        "#,
    )
    .env("ADMIN", "s3cret")
    .admin_of_the_script()
    .start();
    let mut admin = gateway.admin();
    assert_eq!(admin.get("/state").status, 401);
    assert_eq!(admin.call("GET", "/state", &[("authorization", "Bearer wrong")], "").status, 401);
    let state = admin.call("GET", "/state", &[("authorization", "Bearer s3cret"), ("host", "any.dev")], "").with(200);
    assert!(!state.text().contains("s3cret"));
    assert_eq!(gateway.admin().get("/livez").status, 200, "a probe needs no token");
}

#[test]
fn the_last_failed_reload_is_told() {
    let service = upstream::says("ok");
    let gateway = gateway::before(&service);
    let before = gateway.admin().get("/metrics").text().to_owned();
    assert!(gateway.edit("broken (").is_err());
    let mut admin = gateway.admin();
    let ready = admin.get("/readyz");
    assert_eq!(ready.status, 200, "a broken file on disk must not take a serving gateway out");
    assert!(ready.text().contains("gateway.lua"), "{}", ready.text());
    assert!(admin.get("/state").text().contains("gateway.lua:1"));
    assert_ne!(before, admin.get("/metrics").text());
}

#[test]
fn a_taken_default_port_is_a_warning_and_a_written_one_must_bind() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    let dir = crate::support::temp::Dir::new();
    dir.write(
        "gateway.lua",
        format!(
            r#"gateway {{ listen = "127.0.0.1:0", admin = "{address}" }} route "/" {{ function() return 204 end }}"#
        ),
    );
    let output = binary::run(dir.path(), &["run"]);
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    assert!(String::from_utf8_lossy(&output.stderr).contains(&address.to_string()), "{output:?}");
}

#[test]
fn nonsense_on_the_admin_port_ends_only_its_own_connection() {
    let service = upstream::says("ok");
    let gateway = gateway::before(&service);
    for nonsense in [
        "\0\0\0",
        "GET / HTTP/1.1\r\n\r\n",
        "GET /metrics HTTP/1.1\r\nhost: localhost\r\ncontent-length: 99999999999\r\n\r\n",
        "POST /reload HTTP/1.1\r\nhost: localhost\r\ntransfer-encoding: chunked\r\ncontent-length: 3\r\n\r\n",
    ] {
        let mut admin = gateway.admin();
        admin.try_send(nonsense);
        admin.half_close();
        admin.rest();
    }
    assert_eq!(gateway.admin().get("/livez").status, 200);
}

#[test]
fn metrics_say_by_its_hash_which_script_runs() {
    let gateway = gateway::script(r#"route "GET /" { function() return 204 end }"#).start();
    let sha = |gateway: &gateway::Gateway| {
        let page = gateway.admin().get("/metrics");
        let lines: Vec<_> =
            page.text().lines().filter(|line| line.starts_with("moongate_config_info{")).map(str::to_owned).collect();
        assert_eq!(lines.len(), 1, "one script runs: {lines:?}");
        lines[0].clone()
    };
    let before = sha(&gateway);
    gateway.edit(r#"route "GET /" { function() return 205 end }"#).unwrap();
    assert_ne!(sha(&gateway), before);
    gateway.edit(r#"route "GET /" { function() return 204 end }"#).unwrap();
}
