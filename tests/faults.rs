//! Services that fail in every known way: what the client gets, and how often they are called for it.

use crate::support::client::Client;
use crate::support::faulty;
use crate::support::faulty::Fault;
use crate::support::gateway;
use crate::support::gateway::Gateway;
use crate::support::upstream;

/// What a client sees of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Sight {
    /// A whole answer with this body.
    Whole(&'static str),
    /// A problem document.
    Refused(u16, &'static str),
    /// A head of 200, and a body that breaks off.
    Cut,
}

/// What `method` sees, on a connection of its own.
fn sight(gateway: &Gateway, method: &str) -> Sight {
    let mut client = gateway.client();
    client.send(format!("{method} / HTTP/1.1\r\nhost: x\r\ncontent-length: 4\r\nconnection: close\r\n\r\nbody"));
    let raw = String::from_utf8(client.rest()).unwrap();
    let (head, body) = raw.split_once("\r\n\r\n").unwrap_or_else(|| panic!("no head in {raw:?}"));
    let status: u16 = head.split(' ').nth(1).unwrap().parse().unwrap();
    if status != 200 {
        let document: serde_json::Value = serde_json::from_str(body).unwrap();
        return Sight::Refused(status, document["code"].as_str().unwrap().to_owned().leak());
    }
    let complete = match head.to_ascii_lowercase().split_once("content-length: ") {
        Some((_, rest)) => rest.lines().next().unwrap().parse::<usize>().unwrap() == body.len(),
        None => body.ends_with("0\r\n\r\n"),
    };
    if complete { Sight::Whole(body.to_owned().leak()) } else { Sight::Cut }
}

/// What one host with this fault makes of a request, whatever its method: it is called once, and never again.
fn alone(fault: Fault) -> Sight {
    match fault {
        Fault::ResetBeforeTheHead | Fault::ResetWithinTheHead => Sight::Refused(502, "upstream.reset"),
        Fault::ResetAfterTheHead | Fault::TooShort | Fault::HalfAChunk => Sight::Cut,
        Fault::ClosesSilently | Fault::TooLong | Fault::AnswersTwice => Sight::Whole("faulty"),
        Fault::Stalls => Sight::Refused(504, "upstream.timeout"),
        Fault::Garbage | Fault::FloodsTheHead => Sight::Refused(502, "upstream.protocol"),
    }
}

/// What `method` sees of a host with this fault, and how often the host was called for it: once, unless a connection that
/// was closed silently had been taken for open, and the request may not be repeated (C-06).
fn asked(gateway: &Gateway, method: &str, fault: Fault) -> usize {
    let seen = sight(gateway, method);
    if (fault, method) == (Fault::ClosesSilently, "POST") && seen == Sight::Refused(502, "upstream.reset_reused") {
        return 0;
    }
    assert_eq!(seen, alone(fault), "{fault:?} {method}");
    1
}

#[test]
fn a_single_host_with_a_fault_is_called_once_for_each_request() {
    for fault in faulty::ALL {
        let service = faulty::serve(fault);
        let gateway = gateway::script(
            r#"
            upstream "service" { "$UP", timeout = { response = "300ms" } }
            route "/{rest*}" { to = "service" }
            "#,
        )
        .with("$UP", service.address())
        .start();
        let mut calls = 0;
        for method in ["GET", "POST", "GET"] {
            calls += asked(&gateway, method, fault);
            assert_eq!(service.calls(), calls, "{fault:?} {method}");
        }
    }
}

#[test]
fn a_sound_host_beside_it_takes_over_what_may_be_sent_twice() {
    for fault in faulty::ALL {
        let (service, sound) = (faulty::serve(fault), upstream::says("sound"));
        let gateway = gateway::script(
            r#"
            upstream "service" {
              "$UP", "$SOUND", balance = "first",
              timeout = { response = "300ms" }, retry = { on = { "connect", "reset", "timeout", 503 } },
            }
            route "/{rest*}" { to = "service" }
            "#,
        )
        .with("$UP", service.address())
        .with("$SOUND", sound.address())
        .start();
        let mended = matches!(fault, Fault::ResetBeforeTheHead | Fault::Stalls);
        let (seen, calls) = if mended { (Sight::Whole("sound"), 1) } else { (alone(fault), 0) };
        assert_eq!(sight(&gateway, "GET"), seen, "{fault:?}");
        assert_eq!((service.calls(), sound.calls()), (1, calls), "{fault:?}");
        let called = 1 + asked(&gateway, "POST", fault);
        assert_eq!((service.calls(), sound.calls()), (called, calls), "{fault:?}: a POST went to two hosts");
    }
}

#[test]
fn a_second_answer_nobody_asked_for_reaches_no_other_client() {
    for fault in [Fault::AnswersTwice, Fault::TooLong] {
        let service = faulty::serve(fault);
        let gateway = gateway::before(&service);
        let mut clients: Vec<Client> = (0..3).map(|_| gateway.client()).collect();
        for round in 0..4 {
            for client in &mut clients {
                assert_eq!(client.get("/").with(200).text(), "faulty", "{fault:?} {round}");
            }
        }
        assert_eq!((service.calls(), service.connections()), (12, 12), "a connection with stray bytes was used again");
    }
}

#[test]
fn a_host_that_refuses_is_passed_over_for_any_method_and_never_called() {
    let sound = upstream::says("sound");
    let gateway = gateway::script(
        r#"
        upstream "service" { "$DEAD", "$SOUND", balance = "first" }
        upstream "dead" { "$DEAD" }
        route "/dead" { to = "dead" }
        route "/{rest*}" { to = "service" }
        "#,
    )
    .with("$DEAD", upstream::nobody())
    .with("$SOUND", sound.address())
    .start();
    for method in ["GET", "POST", "PATCH"] {
        assert_eq!(sight(&gateway, method), Sight::Whole("sound"));
    }
    assert_eq!(sound.calls(), 3);
    gateway.get("/dead").refused(502, "upstream.connect");
}
