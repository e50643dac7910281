//! gRPC: failures of the gateway in its words, its deadlines, its trailers (S-80, S-81).

use std::time::Duration;

use moongate::clock::Clock;

use super::clear;
use super::client;
use crate::support::answer::Answer;
use crate::support::gateway::Setup;
use crate::support::h2::Client;
use crate::support::h2::Streaming;
use crate::support::h2_service;
use crate::support::h2_service::Reply;
use crate::support::upstream;
use crate::support::wait;
use crate::support::wire::*;

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
    let trailers = [("grpc-status", "5"), ("grpc-message", "none")].map(|(n, v)| (n.to_owned(), v.to_owned()));
    for step in ["", "res:map(function(piece) return piece end)", "res:replace('x', 'y')"] {
        let script =
            format!("route '/{{rest*}}' {{ function(req, next) local res = next() {step} end, to = 'service' }}");
        let gateway = clear(&script).service("service", &service).start();
        let answer = call(&mut client(&gateway), "/pkg.Service/Method", &[]).with(200);
        assert_eq!((&answer.body[..], &answer.trailers[..]), (&b"\0\0\0\0\0"[..], &trailers[..]), "{step}");
    }
    let gateway = clear(r#"route "/{rest*}" { to = "service" }"#).service("service", &service).start();
    let answer = call(&mut client(&gateway), "/pkg.Service/Method", &[]).with(200);
    assert_eq!(answer.body, b"\0\0\0\0\0");
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

/// Before a service of gRPC.
fn before(service: &h2_service::Service) -> Setup {
    clear(
        r#"
        upstream "service" { "$UP", protocol = "grpc" }
        route "/{rest*}" { to = "service" }
        "#,
    )
    .with("$UP", service.address())
}

/// The time a service was told that is left.
fn left(told: &str) -> Duration {
    let (number, unit) = told.split_at(told.len() - 1);
    let number: u64 = number.parse().unwrap_or_else(|_| panic!("{told}"));
    match unit {
        "u" => Duration::from_micros(number),
        "m" => Duration::from_millis(number),
        "S" => Duration::from_secs(number),
        _ => panic!("{told}"),
    }
}

#[test]
fn client_and_service_talk_in_turns_over_one_stream() {
    let service = h2_service::echo();
    let gateway = before(&service).start();
    let mut client = client(&gateway);
    let mut call = client.start("POST", "/shop.Orders/Watch", &[GRPC, ("te", "trailers")], false);
    client.send(&mut call, b"\0\0\0\0\x01a", false);
    let Streaming { head, mut body } = client.head(&mut call).unwrap();
    assert_eq!((head.status, head.header("content-type")), (200, Some("application/grpc+proto")));
    assert_eq!(client.piece(&mut body).unwrap().unwrap(), &b"\0\0\0\0\x01a"[..]);
    // What comes next is sent when the one before has come back.
    client.send(&mut call, b"\0\0\0\0\x01b", false);
    assert_eq!(client.piece(&mut body).unwrap().unwrap(), &b"\0\0\0\0\x01b"[..]);
    client.send(&mut call, b"", true);
    assert!(client.piece(&mut body).is_none());
    let trailers = client.block_on(body.trailers()).unwrap().unwrap();
    assert_eq!(trailers.get("grpc-status").unwrap(), "0");
    let seen = service.seen();
    assert_eq!((seen.len(), seen[0].method.as_str()), (1, "POST"));
    assert!(seen[0].uri.ends_with("/shop.Orders/Watch"), "{}", seen[0].uri);
    assert_eq!(seen[0].headers.get("te").unwrap(), "trailers");
    assert_eq!(seen[0].headers.get("content-type").unwrap(), "application/grpc+proto");
    assert!(seen[0].headers.get("grpc-timeout").is_none(), "nobody asked for a deadline");
}

#[test]
fn a_status_without_a_body_passes_as_it_is() {
    let fields = vec![("content-type", "application/grpc"), ("grpc-status", "7"), ("grpc-message", "not you")];
    let reply = Reply { status: 200, fields, body: Vec::new(), trailers: Vec::new() };
    let service = h2_service::answers(move |_, _| reply.clone());
    let gateway = before(&service).start();
    let answer = call(&mut client(&gateway), "/a.B/C", &[]);
    assert_eq!(failed(&answer), (7, "not you".to_owned()));
}

#[test]
fn a_stream_has_the_time_its_client_gives_it_and_not_that_of_a_head() {
    let service = h2_service::echo();
    let gateway = before(&service).start();
    let mut client = client(&gateway);
    for (given, least, most) in [("1H", 3_500, 3_600), ("20S", 10, 20), ("99999H", 99_990_000, 99_999_999)] {
        assert_eq!(call(&mut client, "/", &[("grpc-timeout", given)]).with(200).trailers[0].1, "0");
        let told = service.seen().pop().unwrap().headers["grpc-timeout"].to_str().unwrap().to_owned();
        let left = left(&told);
        assert!((Duration::from_secs(least)..=Duration::from_secs(most)).contains(&left), "{given} became {told}");
    }
    // What is no time is the service's to judge, and some is longer than any clock of ours.
    for given in ["soon", "99999999H"] {
        call(&mut client, "/", &[("grpc-timeout", given)]).with(200);
        assert_eq!(service.seen().pop().unwrap().headers["grpc-timeout"], given);
    }
}

#[test]
fn a_route_may_give_a_call_less_time_than_its_client_does() {
    let service = h2_service::echo();
    let script = r#"
        upstream "service" { "$UP", protocol = "grpc" }
        route "/{rest*}" { to = "service", timeout = { head = "5s", total = "40s" } }
    "#;
    let gateway = clear(script).with("$UP", service.address()).start();
    call(&mut client(&gateway), "/", &[("grpc-timeout", "1H")]).with(200);
    let told = service.seen().pop().unwrap().headers["grpc-timeout"].to_str().unwrap().to_owned();
    assert!((Duration::from_secs(20)..=Duration::from_secs(40)).contains(&left(&told)), "{told}");
}

#[test]
fn a_later_attempt_tells_what_is_left_then() {
    let clock = Clock::fake(Duration::from_secs(1_800_000_000));
    let busy = upstream::serve(|conn| {
        while conn.request().is_some() {
            conn.hold();
            conn.send(upstream::answer(503, &[], ""));
        }
    });
    let good = upstream::says("fine");
    let gateway = clear(r#"upstream "s" { "$A", "$B", balance = "first" } route "/{rest*}" { to = "s" }"#)
        .with("$A", busy.address())
        .with("$B", good.address())
        .clock(&clock)
        .start();
    let mut client = client(&gateway);
    let fields = [GRPC, ("te", "trailers"), ("grpc-timeout", "1M"), ("idempotency-key", "k")];
    let mut call = client.start("POST", "/", &fields, true);
    wait::until("the first is asked", || busy.calls() == 1);
    clock.advance(Duration::from_secs(10));
    busy.release();
    assert_eq!(client.answer(&mut call).unwrap().with(200).text(), "fine");
    assert_eq!(left(busy.last().header("grpc-timeout").unwrap()), Duration::from_secs(60));
    assert_eq!(left(good.last().header("grpc-timeout").unwrap()), Duration::from_secs(50));
}

#[test]
fn a_stream_ends_when_the_time_of_its_client_is_over() {
    let clock = Clock::fake(Duration::from_secs(1_800_000_000));
    let service = h2_service::echo();
    let gateway = before(&service).clock(&clock).start();
    let mut client = client(&gateway);
    let mut call = client.start("POST", "/", &[GRPC, ("te", "trailers"), ("grpc-timeout", "50S")], false);
    client.send(&mut call, b"\0\0\0\0\x01a", false);
    let Streaming { mut body, .. } = client.head(&mut call).unwrap();
    assert_eq!(client.piece(&mut body).unwrap().unwrap(), &b"\0\0\0\0\x01a"[..]);
    // Beyond the limit on a head it goes on.
    clock.advance(Duration::from_secs(25));
    client.send(&mut call, b"\0\0\0\0\x01b", false);
    assert_eq!(client.piece(&mut body).unwrap().unwrap(), &b"\0\0\0\0\x01b"[..]);
    clock.advance(Duration::from_secs(26));
    assert!(client.piece(&mut body).is_none(), "the stream ends");
    let trailers = client.block_on(body.trailers()).unwrap().unwrap();
    assert_eq!(trailers.get("grpc-status").unwrap(), "4");
    assert_eq!(trailers.get("grpc-message").unwrap(), "the request took too long");
    assert_eq!(gateway.metric("moongate_failures_total{code=\"route.timeout\"}"), 1.0);
}

#[test]
fn a_stream_ends_when_the_time_of_its_route_is_over_though_its_client_takes_nothing() {
    let clock = Clock::fake(Duration::from_secs(1_800_000_000));
    let service = h2_service::answers(|_, _| Reply {
        status: 200,
        fields: vec![GRPC],
        body: vec![0; 1 << 20],
        trailers: vec![("grpc-status", "0")],
    });
    let script = r#"
        upstream "service" { "$UP", protocol = "grpc" }
        route "/{rest*}" { to = "service", timeout = { head = "5s", total = "20s" } }
    "#;
    let gateway = clear(script).with("$UP", service.address()).clock(&clock).start();
    let mut wire = Wire::open(gateway.address(), &[]);
    wire.send(frame(HEADERS, END_STREAM | END_HEADERS, 1, head("POST", "/", &[GRPC, ("te", "trailers")])));
    let mut taken = 0;
    while taken < 65_535 {
        taken += wire.next_of(DATA).payload.len();
    }
    clock.advance(Duration::from_secs(21));
    let last = wire.next();
    assert_eq!((last.kind, last.stream, last.flags & END_STREAM), (HEADERS, 1, END_STREAM), "{last:?}");
    // Answers of other kinds are cut: nothing in them says that they are not whole.
    wire.send(frame(HEADERS, END_STREAM | END_HEADERS, 3, head("POST", "/", &[])));
    wire.send(frame(WINDOW_UPDATE, 0, 0, 10_u32.to_be_bytes()));
    wire.next_of(DATA);
    clock.advance(Duration::from_secs(21));
    assert_eq!(wire.next_of(RESET).stream, 3);
}

#[test]
fn a_service_that_dies_within_a_call_ends_it_and_the_next_call_says_unavailable() {
    let service = h2_service::echo();
    let gateway = before(&service).start();
    let mut client = client(&gateway);
    let mut call = client.start("POST", "/", &[GRPC, ("te", "trailers")], false);
    client.send(&mut call, b"\0\0\0\0\x01a", false);
    let Streaming { mut body, .. } = client.head(&mut call).unwrap();
    client.piece(&mut body).unwrap().unwrap();
    drop(service);
    assert!(client.piece(&mut body).is_none(), "the stream ends");
    let trailers = client.block_on(body.trailers()).unwrap().unwrap();
    assert_eq!(trailers.get("grpc-status").unwrap(), "14", "a call that broke off is not taken for a whole one");
    assert_eq!(trailers.get("grpc-message").unwrap(), "the answer broke off");
    wait::until("the failure counts", || gateway.metric("moongate_failures_total{code=\"upstream.reset\"}") == 1.0);
    assert_eq!(failed(&self::call(&mut client, "/", &[])).0, 14);
}
