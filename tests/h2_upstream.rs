//! Services that speak HTTP/2 behind clients that speak HTTP/1.1, gRPC among them.

use crate::support::client::Frame;
use crate::support::gateway;
use crate::support::h2_service as h2;
use crate::support::tls::Authority;
use crate::support::upstream;

fn before(service: &h2::Service, protocol: &str) -> gateway::Gateway {
    gateway::script(
        r#"
        upstream "service" { "$UP", protocol = "$PROTOCOL" }
        route "/{rest*}" { to = "service" }
        "#,
    )
    .with("$UP", service.address())
    .with("$PROTOCOL", protocol)
    .start()
}

#[test]
fn requests_of_many_clients_share_a_connection() {
    let service = h2::echo();
    let gateway = before(&service, "h2");
    let mut clients: Vec<_> = (0..4).map(|_| gateway.client()).collect();
    for client in &mut clients {
        let answer =
            client.call("POST", "/a?b=c", &[("cookie", "a=1"), ("connection", "x-own"), ("x-own", "1")], "data");
        assert_eq!(answer.with(200).text(), "data");
    }
    let seen = service.seen();
    assert!(seen.iter().all(|seen| seen.connection == 0 && seen.method == "POST"));
    let first = &seen[0];
    assert_eq!(first.uri, "http://test.local/a?b=c");
    assert_eq!(first.headers.get("content-length").unwrap(), "4");
    assert_eq!(first.headers.get("via").unwrap(), "1.1 moongate");
    assert_eq!(first.headers.get("x-forwarded-for").unwrap(), "127.0.0.1");
    assert!(first.headers.get("x-own").is_none() && first.headers.get("connection").is_none());
}

#[test]
fn grpc_streams_both_ways_and_its_status_comes_as_a_trailer() {
    let service = h2::echo();
    let gateway = before(&service, "grpc");
    let mut client = gateway.client();
    client.send(
        "POST /shop.Orders/Watch HTTP/1.1\r\nhost: x\r\ncontent-type: application/grpc+proto\r\nte: trailers\r\n\
         transfer-encoding: chunked\r\n\r\n6\r\n\0\0\0\0\u{1}a\r\n",
    );
    let (mut answer, frame) = client.head();
    assert_eq!((answer.status, frame), (200, Frame::Chunked));
    assert_eq!(answer.header("content-type"), Some("application/grpc+proto"));
    assert_eq!(client.piece(&mut answer, frame).unwrap(), b"\0\0\0\0\x01a");
    // the second message is sent when the first has come back
    client.send("6\r\n\0\0\0\0\u{1}b\r\n");
    assert_eq!(client.piece(&mut answer, frame).unwrap(), b"\0\0\0\0\x01b");
    client.send("0\r\nx-sum: 2\r\n\r\n");
    assert_eq!(client.piece(&mut answer, frame), None);
    let trailers: Vec<_> = answer.trailers.iter().map(|(name, value)| (&**name, &**value)).collect();
    assert!(trailers.contains(&("grpc-status", "0")) && trailers.contains(&("x-sum", "2")), "{trailers:?}");
    assert_eq!(service.seen()[0].headers.get("te").unwrap(), "trailers");
    // the client's connection is good for another request
    assert_eq!(client.call("POST", "/", &[], "x").with(200).text(), "x");
}

#[test]
fn functions_and_fetch_reach_such_a_service_too() {
    let service = h2::echo();
    let gateway = gateway::script(
        r#"
        upstream "service" { "$UP", protocol = "h2" }
        route "GET /fetch" {
          function(req) return { text = fetch("service/x", { method = "POST", body = "fetched" }):text() } end,
        }
        route "POST /map" {
          function(req, next)
            local res = next()
            res:map(function(piece) return string.upper(piece) end)
          end,
          to = "service",
        }
        "#,
    )
    .with("$UP", service.address())
    .start();
    assert_eq!(gateway.get("/fetch").with(200).text(), "fetched");
    assert_eq!(gateway.call("POST", "/map", &[], "loud").with(200).text(), "LOUD");
}

#[test]
fn a_service_of_http1_behind_protocol_h2_is_a_502_at_once() {
    let service = upstream::serve(|conn| {
        conn.until(b"\r\n\r\n");
        conn.send("HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
        conn.linger();
    });
    let gateway = gateway::script(
        r#"
        upstream "service" { "$UP", protocol = "h2" }
        route "/" { to = "service" }
        "#,
    )
    .with("$UP", service.address())
    .start();
    gateway.get("/").refused(502, "upstream.protocol");
    let upgrade = [("connection", "upgrade"), ("upgrade", "other")];
    gateway.client().call("GET", "/", &upgrade, "").refused(502, "upstream.protocol");
}

#[test]
fn over_tls_a_service_must_be_who_it_says_unless_told_otherwise() {
    let (ours, other) = (Authority::new("CA"), Authority::new("Other"));
    let reply = |_: &h2::Seen, _: &[u8]| h2::Reply {
        status: 200,
        fields: Vec::new(),
        body: b"it".to_vec(),
        trailers: Vec::new(),
    };
    let good = h2::secure(&ours.server(&["localhost"]), &["h2"], reply);
    let renamed = h2::secure(&ours.server(&["inner.test"]), &["h2"], reply);
    let foreign = h2::secure(&other.server(&["localhost"]), &["h2"], reply);
    for (service, tls, status) in [
        (&good, r#"ca = "ca.pem""#, 200),
        (&good, r#"verify = true"#, 502),
        (&renamed, r#"ca = "ca.pem""#, 502),
        (&renamed, r#"ca = "ca.pem", sni = "inner.test""#, 200),
        (&foreign, r#"ca = "ca.pem""#, 502),
        (&foreign, r#"verify = false"#, 200),
    ] {
        let gateway = gateway::script(
            r#"
            upstream "s" { "https://localhost:$PORT", protocol = "h2", timeout = { connect = "20s" }, tls = { $TLS } }
            route "/" { to = "s" }
            "#,
        )
        .with("$PORT", service.address().port())
        .with("$TLS", tls)
        .file("ca.pem", &ours.pem)
        .start();
        let answer = gateway.get("/");
        if status == 200 {
            assert_eq!(answer.with(200).text(), "it", "{tls}");
        } else {
            answer.refused(502, "upstream.tls");
        }
    }
}

#[test]
fn a_service_that_switches_protocols_where_there_is_no_such_thing_is_refused() {
    let reply = || h2::Reply { status: 101, fields: Vec::new(), body: b"x".to_vec(), trailers: Vec::new() };
    let service = h2::answers(move |_, _| reply());
    let gateway = gateway::script(r#"upstream "s" { "$UP", protocol = "h2", retry = false } route "/" { to = "s" }"#)
        .with("$UP", service.address())
        .start();
    gateway.get("/").refused(502, "upstream.protocol");
}
