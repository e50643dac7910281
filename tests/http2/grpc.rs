//! gRPC: failures of the gateway in its words, its deadlines, its trailers (S-80, S-81).

use std::time::Duration;

use super::clear;
use super::client;
use crate::support::answer::Answer;
use crate::support::h2::Client;
use crate::support::upstream;

const GRPC: (&str, &str) = ("content-type", "application/grpc+proto");

fn call(client: &mut Client, target: &str, fields: &[(&str, &str)]) -> Answer {
    client.call("POST", target, &[&[GRPC, ("te", "trailers")], fields].concat(), b"\0\0\0\0\0")
}

/// A failure in gRPC's words: its number, and what it says.
#[track_caller]
fn failed(answer: &Answer) -> (u16, String) {
    assert_eq!((answer.status, answer.header("content-type")), (200, Some("application/grpc")), "{answer:?}");
    assert!(answer.body.is_empty() && answer.trailers.is_empty(), "{answer:?}");
    (answer.header("grpc-status").unwrap().parse().unwrap(), answer.header("grpc-message").unwrap().to_owned())
}

#[test]
fn failures_of_the_gateway_are_a_grpc_status_and_no_body() {
    let gateway = clear(
        r#"
        route "POST /key" { api_key { keys = { k = { id = "a" } } }, to = "down" }
        route "POST /limited" { rate_limit "1/h", function() return 204 end }
        route "POST /no" { function() reject(403, "näh: 100% no\n") end }
        route "POST /bad" { function() error "x" end }
        route "POST /told" { function() reject(400, "bad") end, errors = { ["*"] = { status = 401, json = { no = true } } } }
        route "POST /step" { function() return { status = 403, text = "as it stands" } end }
        route "POST /down" { to = "down" }
        upstream "down" { "127.0.0.1:1", retry = { times = 0 } }
        "#,
    )
    .start();
    let mut client = client(&gateway);
    assert_eq!(failed(&call(&mut client, "/key", &[])).0, 16);
    call(&mut client, "/limited", &[]).with(204);
    let limited = call(&mut client, "/limited", &[]);
    assert_eq!(failed(&limited).0, 14);
    assert!(limited.header("retry-after").is_some() && limited.header("x-request-id").is_some());
    assert_eq!(failed(&call(&mut client, "/no", &[])), (7, "n%C3%A4h: 100%25 no%0A".to_owned()));
    assert_eq!(failed(&call(&mut client, "/bad", &[])).0, 2);
    assert_eq!(failed(&call(&mut client, "/told", &[])), (16, "bad".to_owned()));
    assert_eq!(failed(&call(&mut client, "/nowhere", &[])).0, 12);
    assert_eq!(failed(&call(&mut client, "/down", &[])).0, 14);
    assert_eq!(call(&mut client, "/step", &[]).with(403).text(), "as it stands");
    // Nobody else is told in these words.
    client.call("POST", "/nowhere", &[("content-type", "application/grpc-web")], "").refused(404, "route.none");
    client.call("POST", "/nowhere", &[], "").refused(404, "route.none");
}

#[test]
fn what_a_service_says_passes_with_its_trailers() {
    let service = upstream::answers(|seen| {
        assert_eq!(seen.header("content-type"), Some("application/grpc+proto"));
        let head = "HTTP/1.1 200 OK\r\ncontent-type: application/grpc\r\ntransfer-encoding: chunked\r\n\r\n";
        format!("{head}5\r\n\0\0\0\0\0\r\n0\r\ngrpc-status: 5\r\ngrpc-message: none\r\n\r\n").into_bytes()
    });
    let gateway = clear(r#"route "/{rest*}" { to = "service" }"#).service("service", &service).start();
    let answer = call(&mut client(&gateway), "/pkg.Service/Method", &[]).with(200);
    assert_eq!(answer.body, b"\0\0\0\0\0");
    let trailers = [("grpc-status", "5"), ("grpc-message", "none")].map(|(n, v)| (n.to_owned(), v.to_owned()));
    assert_eq!(answer.trailers, trailers);
    assert_eq!(service.last().target, "/pkg.Service/Method");
}

#[test]
fn a_deadline_of_the_client_ends_the_call_and_goes_on_to_the_service() {
    let service = upstream::serve(|conn| while conn.request().is_some() {});
    let gateway = clear(r#"route "/{rest*}" { to = "service" }"#).service("service", &service).start();
    let mut client = client(&gateway);
    let answer = call(&mut client, "/", &[("grpc-timeout", "300m")]);
    assert_eq!(failed(&answer).0, 4);
    let told = service.last().header("grpc-timeout").unwrap().to_owned();
    let micros: u64 = told.strip_suffix('u').unwrap_or_else(|| panic!("{told}")).parse().unwrap();
    assert!(Duration::from_micros(micros) <= Duration::from_millis(300), "{told}");
}
