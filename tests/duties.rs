//! A proxy's duties on HTTP/1.1: hop-by-hop fields, Via, methods, validators, connection persistence (S-01, S-02, S-06, S-07, S-09).

use crate::support::gateway;
use crate::support::upstream;

#[test]
fn hop_by_hop_fields_stop_here_in_both_directions() {
    let service = upstream::answers(|_| {
        let head = "HTTP/1.1 200 OK\r\nconnection: x-private, close\r\nx-private: 1\r\nkeep-alive: timeout=9\r\nproxy-authenticate: Basic\r\nproxy-connection: x\r\nupgrade: h2c\r\nx-public: 1\r\ncontent-length: 0\r\n\r\n";
        head.into()
    });
    let gateway = gateway::before(&service);
    let headers = [
        ("connection", "x-mine, keep-alive, te"),
        ("x-mine", "1"),
        ("keep-alive", "1"),
        ("proxy-connection", "x"),
        ("proxy-authorization", "Basic x"),
        ("te", "gzip, trailers"),
        ("upgrade", "h2c"),
        ("http2-settings", "AAMAAABk"),
        ("x-kept", "1"),
        ("connection", "http2-settings, upgrade"),
    ];
    let answer = gateway.call("GET", "/", &headers, "").with(200);
    let seen = service.last();
    for name in ["x-mine", "keep-alive", "proxy-connection", "proxy-authorization", "upgrade", "http2-settings"] {
        assert_eq!(seen.header(name), None, "{name}");
    }
    assert!(matches!(seen.header("te"), None | Some("trailers")));
    assert!(!seen.all("connection").iter().any(|value| value.contains("x-mine")));
    assert_eq!(seen.header("x-kept"), Some("1"));
    for name in ["x-private", "keep-alive", "proxy-authenticate", "proxy-connection", "upgrade"] {
        assert_eq!(answer.header(name), None, "{name}");
    }
    assert_eq!(answer.header("x-public"), Some("1"));
}

#[test]
fn a_client_cannot_strip_what_the_gateway_sets() {
    let service = upstream::says("ok");
    let gateway = gateway::before(&service);
    let headers =
        [("connection", "x-forwarded-for, x-forwarded-proto, via, x-request-id, forwarded, host, content-length")];
    gateway.call("POST", "/", &headers, "abc").with(200);
    let seen = service.last();
    for name in ["x-forwarded-for", "x-forwarded-proto", "via", "x-request-id", "host"] {
        assert!(seen.header(name).is_some(), "{name} was stripped");
    }
    assert_eq!(seen.body, b"abc");
}

#[test]
fn via_is_appended_and_going_round_ends() {
    let service = upstream::answers(|_| upstream::answer(200, &[("via", "1.0 origin")], ""));
    let gateway = gateway::before(&service);
    let answer = gateway.call("GET", "/", &[("via", "1.1 other")], "");
    assert_eq!(service.last().all("via").join(", "), "1.1 other, 1.1 moongate");
    assert_eq!(answer.all("via").join(", "), "1.0 origin, 1.1 moongate");
    gateway.call("GET", "/", &[("via", "1.1 other, 1.1 moongate")], "").with(200);
    let round = ["1.1 moongate"; 8].join(", ");
    gateway.call("GET", "/", &[("via", &round)], "").refused(508, "request.loop");
    gateway.call("GET", "/", &[("via", "1.1 moongate-not")], "").with(200);
}

#[test]
fn connect_and_trace_are_off_and_expectations_we_cannot_meet_are_417() {
    let service = upstream::says("ok");
    let gateway = gateway::before(&service);
    let trace = gateway.call("TRACE", "/", &[("cookie", "secret=1")], "");
    assert_eq!(trace.status, 501, "{trace:?}");
    assert!(!String::from_utf8_lossy(&trace.body).contains("secret"));
    let mut client = gateway.client();
    client.send("CONNECT x:443 HTTP/1.1\r\nhost: x:443\r\n\r\n");
    assert_eq!(client.answer().status, 501);
    gateway.call("POST", "/", &[("expect", "200-ok")], "x").refused(417, "request.expectation");
    gateway.raw("GET / HTTP/2.0\r\nhost: x\r\n\r\n").refused(505, "request.version");
    assert_eq!(service.calls(), 0);
    gateway.call("OPTIONS", "/a", &[], "").with(200);
    assert_eq!(service.last().method, "OPTIONS");
}

#[test]
fn options_star_and_max_forwards() {
    let service = upstream::says("ok");
    let gateway = gateway::before(&service);
    let star = gateway.raw("OPTIONS * HTTP/1.1\r\nhost: x\r\n\r\n");
    assert_eq!((star.status, service.last().target.as_str()), (200, "*"), "a route for everything takes it too");
    let nobody = gateway::script(r#"route "GET /" { function() return 204 end }"#).start();
    assert_eq!(nobody.raw("OPTIONS * HTTP/1.1\r\nhost: x\r\n\r\n").status, 204);
    let calls = service.calls();
    let last = gateway.call("OPTIONS", "/", &[("max-forwards", "0")], "");
    assert_eq!(service.calls(), calls, "Max-Forwards: 0 went on: {last:?}");
    gateway.call("OPTIONS", "/", &[("max-forwards", "3")], "").with(200);
    assert_eq!(service.last().header("max-forwards"), Some("2"));
}

/// RFC 10008: safe and idempotent, with content that is the question.
#[test]
fn query_is_an_ordinary_safe_method() {
    let service = upstream::serve(|conn| {
        while let Some(seen) = conn.request() {
            if seen.target == "/lost" && conn.number == 0 {
                return conn.reset();
            }
            conn.send(upstream::ok(&seen.body));
        }
    });
    let gateway = gateway::script(
        r#"
        route "QUERY /own" { function(req) return { text = "own " .. req:text() } end }
        route "/{rest*}" { to = "service" }
        "#,
    )
    .service("service", &service)
    .start();
    gateway.call("QUERY", "/first", &[], "who?").with(200);
    assert_eq!(gateway.call("QUERY", "/lost", &[], "what?").with(200).text(), "what?", "sent again");
    assert_eq!(service.last().method, "QUERY");
    assert_eq!(gateway.call("QUERY", "/own", &[], "why?").with(200).text(), "own why?");
}

#[test]
fn date_is_added_and_server_is_the_upstreams_or_none() {
    let service = upstream::answers(|seen| match seen.target.as_str() {
        "/date" => upstream::answer(200, &[("date", "Mon, 01 Jan 2024 00:00:00 GMT"), ("server", "mine")], ""),
        _ => upstream::ok(""),
    });
    let gateway = gateway::script(
        r#"
        route "GET /own" { function() return 204 end }
        route "/{rest*}" { to = "service" }
        "#,
    )
    .service("service", &service)
    .start();
    let answer = gateway.get("/date");
    assert_eq!(answer.header("date"), Some("Mon, 01 Jan 2024 00:00:00 GMT"));
    for target in ["/none", "/own"] {
        let answer = gateway.get(target);
        let date = answer.header("date").unwrap();
        assert!(date.ends_with(" GMT") && date.len() == 29, "{date}");
        assert!(!answer.header("server").unwrap_or_default().contains("moongate/"), "a version is nobody's business");
    }
}

#[test]
fn connections_persist_as_each_side_wishes() {
    let service = upstream::says("ok");
    let gateway = gateway::before(&service);
    let mut client = gateway.client();
    assert_eq!(client.get("/").header("connection"), None);
    assert_eq!(client.call("GET", "/", &[("connection", "close")], "").header("connection"), Some("close"));
    assert!(client.closed());
    let mut old = gateway.client();
    old.send("GET / HTTP/1.0\r\n\r\n");
    let text = String::from_utf8(old.rest()).unwrap();
    assert!(text.starts_with("HTTP/1.1 200") && text.ends_with("ok"), "{text}");
    let mut old = gateway.client();
    old.send("GET / HTTP/1.0\r\nhost: x\r\nconnection: keep-alive\r\n\r\n");
    let answer = old.answer();
    assert_eq!((answer.header("connection"), answer.text()), (Some("keep-alive"), "ok"));
    assert_eq!(old.get("/").text(), "ok");
}

#[test]
fn an_old_client_gets_no_chunks() {
    let service = upstream::answers(|_| {
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nx-t: 1\r\n\r\n".to_vec()
    });
    let gateway = gateway::before(&service);
    let mut client = gateway.client();
    client.send("GET / HTTP/1.0\r\nhost: x\r\nconnection: keep-alive\r\n\r\n");
    let text = String::from_utf8(client.rest()).unwrap();
    assert!(!text.to_lowercase().contains("transfer-encoding") && text.ends_with("\r\n\r\nok"), "{text}");
}

#[test]
fn answers_without_a_body_stay_without() {
    let service = upstream::answers(|seen| match seen.target.as_str() {
        "/204" => b"HTTP/1.1 204 No Content\r\n\r\n".to_vec(),
        "/304" => b"HTTP/1.1 304 Not Modified\r\netag: \"a\"\r\ncontent-length: 5\r\n\r\n".to_vec(),
        _ => upstream::ok("next"),
    });
    let gateway = gateway::before(&service);
    let mut client = gateway.client();
    assert_eq!(client.get("/204").status, 204);
    let fresh = client.get("/304");
    assert_eq!((fresh.status, fresh.header("etag")), (304, Some("\"a\"")));
    assert_eq!(client.get("/x").text(), "next");
    assert_eq!(service.connections(), 1);
}
