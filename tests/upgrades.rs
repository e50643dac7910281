//! Upgrades: a tunnel after a real 101, how long it may live, and what must not be tunnelled (U-64, U-65).

use std::time::Duration;

use moongate::clock::Clock;

use crate::support::frames;
use crate::support::frames::ACCEPTED;
use crate::support::frames::HANDSHAKE;
use crate::support::frames::TEXT;
use crate::support::frames::frame;
use crate::support::frames::plain;
use crate::support::gateway;
use crate::support::upstream;
use crate::support::wait;

fn echoing() -> upstream::Upstream {
    upstream::serve(|conn| {
        let Some(seen) = conn.head() else { return };
        assert_eq!(seen.header("upgrade"), Some("websocket"));
        assert!(seen.header("connection").unwrap().eq_ignore_ascii_case("upgrade"));
        conn.send(format!("{ACCEPTED}hello"));
        while let Some(bytes) = conn.some() {
            conn.send(bytes);
        }
    })
}

#[test]
fn bytes_pass_both_ways_after_a_101() {
    let service = echoing();
    let gateway = gateway::before(&service);
    let mut client = gateway.client();
    client.send(format!("{HANDSHAKE}early"));
    let (answer, _) = client.head();
    assert_eq!((answer.status, answer.header("sec-websocket-accept")), (101, Some("s3pPLMBiTxaQ9kYGzzhZRbK+xOo=")));
    assert_eq!(client.exactly(10), b"helloearly");
    client.send("more");
    assert_eq!(client.exactly(4), b"more");
    client.half_close();
    wait::until("the tunnel is closed", || service.open() == 0);
}

#[test]
fn steps_run_on_the_handshake_and_websocket_false_forbids_it() {
    let service = upstream::answers(|seen| upstream::ok(format!("{:?}", seen.header("upgrade"))));
    let gateway = gateway::script(
        r#"
        route "GET /ws" { function(req) if req.query.no then return 403 end end, to = "service" }
        route "GET /off" { to = "service", websocket = false }
        "#,
    )
    .service("service", &service)
    .start();
    assert_eq!(gateway.raw(HANDSHAKE.replace("/ws", "/ws?no=1")).status, 403);
    let off = gateway.raw(HANDSHAKE.replace("/ws", "/off"));
    assert!(off.status >= 400 || off.text() == "None", "{off:?}");
    assert_eq!(gateway.raw(HANDSHAKE).with(200).text(), "Some(\"websocket\")");
}

#[test]
fn without_a_real_101_nothing_is_tunnelled() {
    for answer in [
        "HTTP/1.1 101 Switching Protocols\r\nupgrade: other\r\nconnection: upgrade\r\n\r\n",
        "HTTP/1.1 101 Switching Protocols\r\n\r\n",
    ] {
        let service = upstream::serve(move |conn| {
            conn.head();
            conn.send(answer);
            conn.linger();
        });
        let gateway = gateway::before(&service);
        gateway.raw(HANDSHAKE).refused(502, "upstream.protocol");
    }
    let service =
        upstream::answers(|_| upstream::answer(200, &[("upgrade", "websocket"), ("connection", "upgrade")], "plain"));
    let gateway = gateway::before(&service);
    let mut client = gateway.client();
    client.send(format!("{HANDSHAKE}GET /next HTTP/1.1\r\nhost: x\r\n\r\n"));
    assert_eq!((client.answer().status, client.answer().status), (200, 200));
}

/// Turns `clock` until `holds`, a second at a time.
fn turn(clock: &Clock, mut holds: impl FnMut() -> bool) -> u32 {
    let mut seconds = 0;
    wait::until("the time has come", || {
        clock.advance(Duration::from_secs(1));
        seconds += 1;
        std::thread::sleep(Duration::from_millis(1));
        holds()
    });
    seconds
}

#[test]
fn a_silent_tunnel_is_closed_after_idle_and_any_after_max() {
    for (limit, least, speaks) in [(r#"idle = "60s""#, 60, false), (r#"max = "60s""#, 60, true)] {
        let clock = Clock::fake(Duration::from_secs(1_800_000_000));
        let service = frames::service(|conn, opcode, payload| _ = conn.send(plain(opcode, payload)));
        let gateway =
            gateway::script(&format!("route \"/{{rest*}}\" {{ to = \"service\", websocket = {{ {limit} }} }}"))
                .service("service", &service)
                .clock(&clock)
                .start();
        let mut client = frames::open(&gateway, "/ws");
        let mut spoken = 0;
        let seconds = turn(&clock, || {
            if speaks && client.try_send(frame(TEXT, "x")) {
                spoken += 1;
            }
            service.open() == 0 || spoken > 300
        });
        assert!(seconds >= least, "{limit}: closed after {seconds} s");
        assert!(service.open() == 0, "{limit}: still open");
        let rest = client.rest();
        assert!(rest.ends_with(&plain(8, frames::code(1001, ""))), "{limit}: {rest:?}");
    }
}

#[test]
fn what_speaks_is_not_idle() {
    let clock = Clock::fake(Duration::from_secs(1_800_000_000));
    let service = frames::service(|conn, opcode, payload| _ = conn.send(plain(opcode, payload)));
    let gateway = gateway::script(r#"route "/{rest*}" { to = "service", websocket = { idle = "10s" } }"#)
        .service("service", &service)
        .clock(&clock)
        .start();
    let mut client = frames::open(&gateway, "/ws");
    for _ in 0..60 {
        clock.advance(Duration::from_secs(1));
        client.send(frame(TEXT, "x"));
        assert_eq!(frames::read(&mut client), (TEXT, b"x".to_vec()));
    }
}

#[test]
fn a_stop_tells_both_sides_between_two_frames() {
    let (told, hears) = std::sync::mpsc::channel();
    let service = frames::service(move |conn, opcode, payload| match opcode {
        8 => told.send(payload).unwrap(),
        _ => {
            // A frame whose second half comes only later.
            conn.send(&plain(TEXT, "halves")[..4]);
            std::thread::sleep(Duration::from_millis(300));
            conn.send(&plain(TEXT, "halves")[4..]);
        }
    });
    let gateway = gateway::before(&service);
    let mut client = frames::open(&gateway, "/ws");
    client.send(frame(TEXT, "go"));
    assert_eq!(client.exactly(4), &plain(TEXT, "halves")[..4]);
    let stopping = std::thread::spawn(move || gateway.stop());
    assert_eq!(client.exactly(4), b"lves");
    assert_eq!(frames::read(&mut client), (8, frames::code(1001, "")));
    assert_eq!(hears.recv_timeout(wait::PATIENCE).unwrap(), frames::code(1001, ""));
    drop(client);
    stopping.join().unwrap();
}

#[test]
fn a_route_takes_so_many_upgrades_and_no_more() {
    let service = echoing();
    let gateway = gateway::script(r#"route "/{rest*}" { to = "service", websocket = { connections = 2 } }"#)
        .service("service", &service)
        .start();
    let open = || {
        let mut client = gateway.client();
        client.send(HANDSHAKE);
        (client.head().0.status, client)
    };
    let (first, second) = (open(), open());
    assert_eq!((first.0, second.0), (101, 101));
    gateway.raw(HANDSHAKE).refused(503, "websocket.full");
    drop(first);
    wait::until("there is a place again", || open().0 == 101);
}

#[test]
fn an_open_tunnel_is_one_that_is_under_way_for_every_bound() {
    let service = echoing();
    let gateway = gateway::script(
        r#"
        upstream "bound" { "$UP", limit = { inflight = 1, queue = 0 } }
        route "/step" { concurrency { 1 }, to = "service" }
        route "/end" { concurrency { 1 }, websocket = { message = function(ws, data) ws:send(data) end } }
        route "/upstream" { to = "bound" }
        "#,
    )
    .with("$UP", service.address())
    .service("service", &service)
    .start();
    for target in ["/step", "/end", "/upstream"] {
        let handshake = HANDSHAKE.replacen("/ws", target, 1);
        let open = || {
            let mut client = gateway.client();
            client.send(&handshake);
            (client.head().0.status, client)
        };
        let (status, first) = open();
        assert_eq!(status, 101, "{target}");
        assert_eq!(open().0, 503, "{target}");
        drop(first);
        wait::until("there is a place again", || open().0 == 101);
    }
}

#[test]
fn pages_of_other_origins_do_not_get_in() {
    let service = echoing();
    let gateway = gateway::script(
        r#"route "/{rest*}" { to = "service", websocket = { origins = { "https://*.example.com", "http://localhost:3000" } } }"#,
    )
    .service("service", &service)
    .start();
    let ask = |fields: &str| {
        let mut client = gateway.client();
        client.send(HANDSHAKE.replace("\r\n\r\n", &format!("\r\n{fields}\r\n")));
        client.head().0.status
    };
    for fields in ["", "origin: https://a.example.com\r\n", "Origin: HTTP://Localhost:3000\r\n"] {
        assert_eq!(ask(fields), 101, "{fields}");
    }
    for fields in [
        "origin: https://example.com.evil.org\r\n",
        "origin: http://a.example.com\r\n",
        "origin: null\r\n",
        "origin: https://a.example.com\r\norigin: https://evil.org\r\n",
    ] {
        assert_eq!(ask(fields), 403, "{fields}");
    }
}
