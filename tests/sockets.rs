//! Where it listens and whom it calls: Unix sockets, names, several listeners.

use std::io::Read as _;
use std::io::Write as _;
use std::os::unix::net::UnixStream;

use crate::support::gateway;
use crate::support::temp::Dir;
use crate::support::upstream;

#[test]
fn unix_sockets_work_on_both_sides() {
    let dir = Dir::new();
    let path = dir.join("inner.sock");
    let inner = gateway::script(r#"gateway { listen = "unix:$PATH" } route "GET /{rest*}" { function(req) return { text = req.path .. " " .. tostring(req.ip) } end }"#)
        .with("$PATH", path.display())
        .listeners_of_the_script()
        .start();
    let outer = gateway::script(r#"upstream "inner" { "unix:$PATH" } route "/{rest*}" { to = "inner" }"#)
        .with("$PATH", path.display())
        .start();
    let mut client = outer.client();
    for n in 0..3 {
        let answer = client.get(&format!("/{n}"));
        assert_eq!(answer.with(200).text().split(' ').next(), Some(format!("/{n}").as_str()));
    }
    drop(inner);
    assert!(!path.exists(), "the socket's file stays behind");
    outer.get("/").refused(502, "upstream.connect");
}

#[test]
fn a_stale_socket_file_is_taken_over_and_a_living_one_is_not() {
    let dir = Dir::new();
    let path = dir.join("a.sock");
    drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
    assert!(path.exists());
    let script = r#"gateway { listen = "unix:$PATH" } route "GET /" { function() return { text = "mine" } end }"#;
    let first = gateway::script(script).with("$PATH", path.display()).listeners_of_the_script().start();
    let error = gateway::script(script).with("$PATH", path.display()).listeners_of_the_script().try_start().err();
    assert!(error.is_some_and(|error| error.contains("a.sock")), "two gateways on one socket");
    let mut stream = UnixStream::connect(&path).unwrap();
    stream.write_all(b"GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    assert!(text.ends_with("mine"), "{text}");
    drop(first);
}

#[test]
fn an_upstream_may_be_a_name() {
    let service = upstream::says("ok");
    let gateway = gateway::script(
        r#"
        upstream "named" { "localhost:$PORT" }
        upstream "unknown" { "no-such-host.invalid:80" }
        route "GET /{name}" { to = function(req) return req.params.name end }
        "#,
    )
    .with("$PORT", service.address().port())
    .start();
    assert_eq!(gateway.get("/named").with(200).text(), "ok");
    let answer = gateway.get("/unknown");
    assert!(matches!(answer.status, 502 | 503), "{answer:?}");
    assert_eq!(gateway.get("/named").with(200).text(), "ok");
}

#[test]
fn a_reload_may_add_and_remove_listeners() {
    let dir = Dir::new();
    let (a, b) = (dir.join("a.sock"), dir.join("b.sock"));
    let script = |paths: &[&std::path::Path]| {
        let list: Vec<_> = paths.iter().map(|path| format!("\"unix:{}\"", path.display())).collect();
        format!("gateway {{ listen = {{ {} }} }} route \"GET /\" {{ function() return 204 end }}", list.join(", "))
    };
    let gateway = gateway::script(&script(&[&a])).listeners_of_the_script().start();
    let serves = |path| {
        let Ok(mut stream) = UnixStream::connect(path) else { return false };
        let mut text = String::new();
        stream.write_all(b"GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").is_ok()
            && stream.read_to_string(&mut text).is_ok()
            && text.starts_with("HTTP/1.1 204")
    };
    assert!(serves(&a) && !serves(&b));
    gateway.edit(&script(&[&a, &b])).unwrap();
    assert!(serves(&a) && serves(&b));
    gateway.edit(&script(&[&b])).unwrap();
    crate::support::wait::until("the old listener is gone", || !serves(&a));
    assert!(serves(&b));
}
