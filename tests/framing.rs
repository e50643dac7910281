//! What could be read in two ways is refused (S-03, S-04): requests with 400, answers with 502.

use crate::support::gateway;
use crate::support::upstream;

/// After each of these bytes the connection must be closed, and nothing may have reached the service.
#[test]
fn ambiguous_requests_are_refused_and_the_connection_is_closed() {
    let service = upstream::says("leaked");
    let gateway = gateway::before(&service);
    let smuggled = "GET /smuggled HTTP/1.1\r\nhost: x\r\n\r\n";
    for (name, head) in [
        ("CL and TE", "POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 4\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n"),
        ("TE and CL", "POST / HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\ncontent-length: 4\r\n\r\n0\r\n\r\n"),
        ("two lengths", "POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 4\r\ncontent-length: 5\r\n\r\nabcd"),
        ("a list of lengths", "POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 4, 5\r\n\r\nabcd"),
        ("plus", "POST / HTTP/1.1\r\nhost: x\r\ncontent-length: +4\r\n\r\nabcd"),
        ("minus", "POST / HTTP/1.1\r\nhost: x\r\ncontent-length: -1\r\n\r\n"),
        ("hex length", "POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 0x4\r\n\r\nabcd"),
        ("empty length", "POST / HTTP/1.1\r\nhost: x\r\ncontent-length: \r\n\r\n"),
        ("huge length", "POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 99999999999999999999\r\n\r\n"),
        ("TE identity", "POST / HTTP/1.1\r\nhost: x\r\ntransfer-encoding: identity\r\n\r\n"),
        ("TE xchunked", "POST / HTTP/1.1\r\nhost: x\r\ntransfer-encoding: xchunked\r\n\r\n0\r\n\r\n"),
        (
            "TE twice",
            "POST / HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
        ),
        ("TE list", "POST / HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked, identity\r\n\r\n0\r\n\r\n"),
        ("TE gzip first", "POST / HTTP/1.1\r\nhost: x\r\ntransfer-encoding: gzip, chunked\r\n\r\n0\r\n\r\n"),
        ("TE vertical tab", "POST / HTTP/1.1\r\nhost: x\r\ntransfer-encoding: \x0bchunked\r\n\r\n0\r\n\r\n"),
        ("TE in 1.0", "POST / HTTP/1.0\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n"),
        ("space before colon", "POST / HTTP/1.1\r\nhost: x\r\ntransfer-encoding : chunked\r\n\r\n0\r\n\r\n"),
        ("obs-fold", "POST / HTTP/1.1\r\nhost: x\r\nx-a: b\r\n c: d\r\n\r\n"),
        ("folded TE", "POST / HTTP/1.1\r\nhost: x\r\ntransfer-encoding:\r\n chunked\r\n\r\n0\r\n\r\n"),
        ("bare LF", "GET / HTTP/1.1\nhost: x\n\n"),
        ("bare LF at the end", "GET / HTTP/1.1\r\nhost: x\r\n\n"),
        ("bare CR", "GET / HTTP/1.1\r\nhost: x\r\nx-a: b\rc: d\r\n\r\n"),
        ("NUL in a value", "GET / HTTP/1.1\r\nhost: x\r\nx-a: b\0c\r\n\r\n"),
        ("NUL in a name", "GET / HTTP/1.1\r\nhost: x\r\nx\0a: b\r\n\r\n"),
        ("control character", "GET / HTTP/1.1\r\nhost: x\r\nx-a: b\x01c\r\n\r\n"),
        ("leading space", "GET / HTTP/1.1\r\n host: x\r\n\r\n"),
        ("no colon", "GET / HTTP/1.1\r\nhost: x\r\nnonsense\r\n\r\n"),
        ("empty name", "GET / HTTP/1.1\r\nhost: x\r\n: b\r\n\r\n"),
        ("no Host", "GET / HTTP/1.1\r\n\r\n"),
        ("two Hosts", "GET / HTTP/1.1\r\nhost: x\r\nhost: y\r\n\r\n"),
        ("two equal Hosts", "GET / HTTP/1.1\r\nhost: x\r\nhost: x\r\n\r\n"),
        ("Host with a path", "GET / HTTP/1.1\r\nhost: x/y\r\n\r\n"),
        ("Host with a user", "GET / HTTP/1.1\r\nhost: a@x\r\n\r\n"),
        ("Host with a space", "GET / HTTP/1.1\r\nhost: x y\r\n\r\n"),
        ("Host list", "GET / HTTP/1.1\r\nhost: x, y\r\n\r\n"),
        ("fragment", "GET /a#b HTTP/1.1\r\nhost: x\r\n\r\n"),
        ("raw UTF-8", "GET /ä HTTP/1.1\r\nhost: x\r\n\r\n"),
        ("two spaces", "GET  / HTTP/1.1\r\nhost: x\r\n\r\n"),
        ("tab", "GET\t/ HTTP/1.1\r\nhost: x\r\n\r\n"),
        ("three parts too many", "GET / x HTTP/1.1\r\nhost: x\r\n\r\n"),
        ("bad method", "G(T / HTTP/1.1\r\nhost: x\r\n\r\n"),
        ("relative target", "GET a HTTP/1.1\r\nhost: x\r\n\r\n"),
        ("star with GET", "GET * HTTP/1.1\r\nhost: x\r\n\r\n"),
        ("bad escape", "GET /%zz HTTP/1.1\r\nhost: x\r\n\r\n"),
        ("lower-case version", "GET / http/1.1\r\nhost: x\r\n\r\n"),
        ("HTTP/0.9", "GET /\r\n\r\n"),
    ] {
        let mut client = gateway.client();
        client.send(head);
        client.try_send(smuggled);
        let raw = client.rest();
        let text = String::from_utf8_lossy(&raw);
        assert_eq!(text.matches("HTTP/1.1 ").count(), 1, "{name}: {text}");
        let status = text.get(9..12).unwrap_or_default();
        assert!(matches!(status, "400" | "501" | "505"), "{name}: {text}");
        assert!(text.to_lowercase().contains("connection: close"), "{name}: {text}");
    }
    assert_eq!(service.seen().iter().map(|seen| seen.target.clone()).collect::<Vec<_>>(), Vec::<String>::new());
}

#[test]
fn malformed_chunks_are_refused() {
    let service = upstream::says("leaked");
    let gateway = gateway::script(r#"route "POST /" { function(req) return { text = req:text() } end }"#).start();
    for (name, body) in [
        ("no size", "\r\nabc\r\n0\r\n\r\n"),
        ("0x", "0x3\r\nabc\r\n0\r\n\r\n"),
        ("plus", "+3\r\nabc\r\n0\r\n\r\n"),
        ("minus", "-3\r\nabc\r\n0\r\n\r\n"),
        ("underscore", "1_0\r\nabc\r\n0\r\n\r\n"),
        ("leading space", " 3\r\nabc\r\n0\r\n\r\n"),
        ("overflow", "fffffffffffffffff\r\nabc\r\n0\r\n\r\n"),
        ("wraps to three", "10000000000000003\r\nabc\r\n0\r\n\r\n"),
        ("bare LF", "3\nabc\r\n0\r\n\r\n"),
        ("LF after data", "3\r\nabc\n0\r\n\r\n"),
        ("data too long", "3\r\nabcd\r\n0\r\n\r\n"),
        ("bare CR in an extension", "3;a\rb\r\nabc\r\n0\r\n\r\n"),
        ("LF in an extension", "3;a\nb\r\nabc\r\n0\r\n\r\n"),
        ("trailer without colon", "3\r\nabc\r\n0\r\nnonsense\r\n\r\n"),
        ("LF ends the trailers", "3\r\nabc\r\n0\r\n\n"),
    ] {
        let mut client = gateway.client();
        client.send(format!("POST / HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n{body}"));
        client.half_close();
        let text = String::from_utf8(client.rest()).unwrap();
        assert!(text.starts_with("HTTP/1.1 400") || text.is_empty(), "{name}: {text}");
    }
    let endless = format!("3;{}\r\n", "x".repeat(1 << 20));
    let mut client = gateway.client();
    client.send("POST / HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n");
    client.try_send(endless);
    assert!(!String::from_utf8_lossy(&client.rest()).contains("HTTP/1.1 200"));
    assert_eq!(service.calls(), 0);
}

#[test]
fn unusual_but_unambiguous_requests_pass() {
    let service = upstream::answers(|seen| upstream::ok(format!("{} {}", seen.target, seen.body.len())));
    let gateway = gateway::before(&service);
    for (head, says) in [
        ("GET http://real.dev/a?b HTTP/1.1\r\nhost: fake.dev\r\n\r\n", "/a?b 0"),
        ("POST / HTTP/1.1\r\nHOST: x\r\nContent-Length: 3\r\n\r\nabc", "/ 3"),
        ("POST / HTTP/1.1\r\nhost:x\r\nTransfer-Encoding: Chunked\r\n\r\n003;a=b\r\nabc\r\n0\r\n\r\n", "/ 3"),
        ("GET / HTTP/1.1\r\nhost:\t x \t\r\nx-empty:\r\n\r\n", "/ 0"),
        ("\r\nGET / HTTP/1.1\r\nhost: x\r\n\r\n", "/ 0"),
        ("GET / HTTP/1.1\r\nhost: [::1]:80\r\n\r\n", "/ 0"),
        ("GET / HTTP/1.1\r\nhost: x\r\nx-latin: \u{e9}\r\n\r\n", "/ 0"),
    ] {
        assert_eq!(gateway.raw(head).with(200).text(), says, "{head:?}");
    }
    assert_eq!(service.seen()[0].header("host"), Some("real.dev"), "the authority of the target is the host");
}

#[test]
fn the_outgoing_framing_is_our_own() {
    let service = upstream::says("ok");
    let gateway = gateway::before(&service);
    gateway
        .raw("POST /a HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n1\r\na\r\n2;x=y\r\nbc\r\n0\r\n\r\n")
        .with(200);
    let seen = service.last();
    assert_eq!((seen.body.as_slice(), seen.header("transfer-encoding")), (b"abc".as_slice(), Some("chunked")));
    gateway.raw("POST /a HTTP/1.1\r\nhost: x\r\ncontent-length: 003\r\n\r\nabc").with(200);
    assert_eq!(service.last().header("content-length"), Some("3"));
    gateway.raw("POST /a HTTP/1.1\r\nhost: x\r\ncontent-length: 0\r\n\r\n").with(200);
    assert_eq!(service.last().body, b"");
}

#[test]
fn ambiguous_answers_are_502_and_never_reused() {
    let answers: &[(&str, &str)] = &[
        (
            "both framings",
            "HTTP/1.1 200 OK\r\ncontent-length: 2\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
        ),
        ("two lengths", "HTTP/1.1 200 OK\r\ncontent-length: 2\r\ncontent-length: 3\r\n\r\nok"),
        ("bad length", "HTTP/1.1 200 OK\r\ncontent-length: 2x\r\n\r\nok"),
        ("unknown coding", "HTTP/1.1 200 OK\r\ntransfer-encoding: gzip\r\n\r\nok"),
        ("chunked twice", "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked, chunked\r\n\r\n0\r\n\r\n"),
        ("obs-fold", "HTTP/1.1 200 OK\r\nx-a: b\r\n c\r\ncontent-length: 2\r\n\r\nok"),
        ("NUL", "HTTP/1.1 200 OK\r\nx-a: b\0\r\ncontent-length: 2\r\n\r\nok"),
        ("space before colon", "HTTP/1.1 200 OK\r\ncontent-length : 2\r\n\r\nok"),
        ("bare LF", "HTTP/1.1 200 OK\ncontent-length: 2\n\nok"),
        ("no status", "HTTP/1.1\r\n\r\n"),
        ("status of four digits", "HTTP/1.1 2000 OK\r\ncontent-length: 2\r\n\r\nok"),
        ("HTTP/2", "HTTP/2 200\r\n\r\n"),
        ("a 101 nobody asked for", "HTTP/1.1 101 Switching Protocols\r\nupgrade: x\r\nconnection: upgrade\r\n\r\n"),
    ];
    let service = upstream::serve(|conn| {
        while let Some(seen) = conn.request() {
            let index: usize = seen.target.trim_start_matches('/').parse().unwrap();
            conn.send(answers[index].1);
        }
    });
    let gateway = gateway::before(&service);
    let mut client = gateway.client();
    for (index, (name, _)) in answers.iter().enumerate() {
        let answer = client.get(&format!("/{index}"));
        assert_eq!((answer.status, answer.problem().as_str()), (502, "upstream.protocol"), "{name}");
    }
    assert!(service.connections() >= answers.len(), "a connection in an unknown state was used again");
}

#[test]
fn bytes_after_an_answer_are_not_the_next_answer() {
    let service = upstream::serve(|conn| {
        while let Some(seen) = conn.request() {
            let extra = if seen.target == "/first" { "HTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\npoison" } else { "" };
            conn.send(format!("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok{extra}"));
        }
    });
    let gateway = gateway::before(&service);
    let mut client = gateway.client();
    for _ in 0..20 {
        assert_eq!(client.get("/first").text(), "ok");
        assert_eq!(client.get("/second").text(), "ok");
    }
}

#[test]
fn pipelined_requests_are_answered_in_order() {
    let service = upstream::answers(|seen| upstream::ok(&seen.target));
    let gateway = gateway::before(&service);
    let mut client = gateway.client();
    let mut all = String::new();
    for n in 0..50 {
        all += &format!("POST /{n} HTTP/1.1\r\nhost: x\r\ncontent-length: 3\r\n\r\nabc");
    }
    client.send(all);
    for n in 0..50 {
        assert_eq!(client.answer().text(), format!("/{n}"));
    }
}

/// CL.0 and its kin: whoever answers early, or takes no body, must not read it as the next request.
#[test]
fn an_unread_body_does_not_become_the_next_request() {
    let service = upstream::answers(|_| upstream::answer(304, &[], ""));
    let gateway = gateway::script(
        r#"
        gateway { limits = { body = "1KB" } }
        route "POST /early" { function() return 202 end }
        route "POST /denied" { function() reject(403) end }
        route "POST /moved" { redirect "/elsewhere" }
        route "POST /fresh" { to = "service" }
        route "POST /broken" { function() error("x") end }
        route "GET /only" { function() return 204 end }
        route "OPTIONS /cross" { cors "*", function() return 204 end }
        route "POST /cross" { cors "*", function() return 204 end }
        route "GET /smuggled" { function() return { text = "smuggled" } end }
        "#,
    )
    .service("service", &service)
    .start();
    let hidden = "GET /smuggled HTTP/1.1\r\nhost: x\r\n\r\n";
    let length = format!("content-length: {}\r\n\r\n{hidden}", hidden.len());
    let chunked = format!("transfer-encoding: chunked\r\n\r\n{:x}\r\n{hidden}\r\n0\r\n\r\n", hidden.len());
    let preflight = "origin: https://a.dev\r\naccess-control-request-method: POST\r\n";
    for (line, fields) in [
        ("POST /early", ""),
        ("POST /denied", ""),
        ("POST /moved", ""),
        ("POST /fresh", ""),
        ("POST /broken", ""),
        ("POST /only", ""),
        ("POST /nowhere", ""),
        ("GET /only", ""),
        ("HEAD /only", ""),
        ("OPTIONS /cross", ""),
        ("OPTIONS /cross", preflight),
        ("OPTIONS *", ""),
        ("POST /a%2fb", ""),
        ("TRACE /", ""),
    ] {
        for body in [&length, &chunked] {
            let mut client = gateway.client();
            client.send(format!("{line} HTTP/1.1\r\nhost: x\r\n{fields}{body}"));
            client.try_send("GET /only HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n");
            let text = String::from_utf8(client.rest()).unwrap();
            let answers = text.matches("HTTP/1.1 ").count();
            assert!((1..=2).contains(&answers) && !text.contains("smuggled"), "{line} {body:?}: {text}");
        }
    }
    assert_eq!(service.seen().len(), 2, "one each for /fresh");
}
