//! Functions on WebSocket messages (RFC 6455): the gateway as the end and between the two, in order, bounded, and against hostile frames.

mod hostile;

use std::time::Duration;

use moongate::clock::Clock;

use crate::support::binary;
use crate::support::frames;
use crate::support::frames::BYTES;
use crate::support::frames::CLOSE;
use crate::support::frames::HANDSHAKE;
use crate::support::frames::PING;
use crate::support::frames::PONG;
use crate::support::frames::TEXT;
use crate::support::frames::code;
use crate::support::frames::frame;
use crate::support::frames::masked;
use crate::support::frames::plain;
use crate::support::frames::read;
use crate::support::gateway;
use crate::support::upstream::Upstream;
use crate::support::wait;

/// A service that sends each text and each buffer back.
fn echo() -> Upstream {
    frames::service(|conn, opcode, payload| {
        conn.send(plain(if opcode == PING { PONG } else { opcode }, payload));
    })
}

#[test]
fn the_gateway_may_be_the_end_of_a_websocket() {
    let gateway = gateway::script(
        r#"
        route "GET /ws" { websocket = {
          open = function(ws) ws.ctx.n = 0 ws:send("welcome " .. (ws.req.query.name or "you")) end,
          message = function(ws, data) ws.ctx.n += 1 if data == "bye" then ws:close(4000, "so long") else ws:send(ws.ctx.n .. ":" .. data:upper()) end end,
        } }
        "#,
    )
    .start();
    let mut client = gateway.client();
    client.send(HANDSHAKE.replace("/ws", "/ws?name=ann"));
    let (answer, _) = client.head();
    assert_eq!((answer.status, answer.header("sec-websocket-accept")), (101, Some("s3pPLMBiTxaQ9kYGzzhZRbK+xOo=")));
    assert_eq!(read(&mut client), (TEXT, b"welcome ann".to_vec()));
    client.send(frame(TEXT, "one"));
    assert_eq!(read(&mut client), (TEXT, b"1:ONE".to_vec()));
    client.send(frame(PING, "ping"));
    assert_eq!(read(&mut client), (PONG, b"ping".to_vec()));
    client.send(frame(TEXT, "bye"));
    assert_eq!(read(&mut client), (CLOSE, code(4000, "so long")));
    client.send(frame(CLOSE, code(4000, "")));
    assert!(client.closed());
}

#[test]
fn the_handshake_is_checked_where_the_gateway_is_the_end() {
    let gateway = gateway::script(
        r#"
        route "GET /ws" { websocket = { protocols = { "v2.chat", "v1.chat" }, message = function(ws, data) return data end } }
        "#,
    )
    .start();
    let ask = |from: &str, to: &str| gateway.raw(HANDSHAKE.replace(from, to));
    ask("sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n", "").refused(400, "websocket.handshake");
    ask("dGhlIHNhbXBsZSBub25jZQ==", "c2hvcnQ=").refused(400, "websocket.handshake");
    let old = ask("version: 13", "version: 8");
    old.refused(426, "websocket.handshake");
    assert_eq!(old.header("sec-websocket-version"), Some("13"));
    let plain = gateway.get("/ws");
    plain.refused(426, "websocket.required");
    assert_eq!(plain.header("upgrade"), Some("websocket"));
    ask("upgrade: websocket", "upgrade: h2c").refused(426, "websocket.required");
    for (offered, chosen) in [("v1.chat, v2.chat", Some("v2.chat")), ("v1.chat", Some("v1.chat")), ("v3", None)] {
        let mut client = gateway.client();
        let fields =
            format!("\r\nsec-websocket-protocol: {offered}\r\nsec-websocket-extensions: permessage-deflate\r\n\r\n");
        client.send(HANDSHAKE.replace("\r\n\r\n", &fields));
        let (answer, _) = client.head();
        assert_eq!((answer.status, answer.header("sec-websocket-protocol")), (101, chosen));
        assert_eq!(answer.header("sec-websocket-extensions"), None, "frames that are read are not compressed");
    }
}

#[test]
fn messages_may_be_rewritten_and_dropped_on_their_way() {
    let service = echo();
    let gateway = gateway::script(
        r#"route "GET /ws" { to = "service", websocket = { message = function(ws, data) if data == "drop" then return false end return data:upper() end } }"#,
    )
    .service("service", &service)
    .start();
    let mut client = frames::open(&gateway, "/ws");
    client.send(frame(TEXT, "drop"));
    client.send(frame(TEXT, "keep"));
    assert_eq!(read(&mut client), (TEXT, b"KEEP".to_vec()));
}

#[test]
fn a_third_parameter_sees_what_the_service_says_and_two_do_not() {
    let service = echo();
    let gateway = gateway::script(
        r#"
        route "GET /both" { to = "service", websocket = { message = function(ws, data, from) return from .. "(" .. data .. ")" end } }
        route "GET /one" { to = "service", websocket = { message = function(ws, data) return "one(" .. data .. ")" end } }
        route "GET /none" { to = "service", websocket = { open = function(ws) ws:send("hello", "service") end } }
        "#,
    )
    .service("service", &service)
    .start();
    for (target, said) in [("/both", "service(client(x))"), ("/one", "one(x)")] {
        let mut client = frames::open(&gateway, target);
        client.send(frame(TEXT, "x"));
        assert_eq!(read(&mut client), (TEXT, said.as_bytes().to_vec()));
    }
    let mut client = frames::open(&gateway, "/none");
    assert_eq!(read(&mut client), (TEXT, b"hello".to_vec()), "the service echoes what the gateway said to it");
    client.send(frame(BYTES, [0xff, 0xfe]));
    assert_eq!(read(&mut client), (BYTES, vec![0xff, 0xfe]), "what no function sees passes");
}

#[test]
fn bytes_are_buffers_and_text_is_utf8() {
    let gateway = gateway::script(
        r#"
        route "GET /ws" { websocket = { message = function(ws, data)
          if type(data) == "buffer" then return buffer.fromstring(buffer.tostring(data):reverse()) end
          if data == "bad" then local fine, why = pcall(function() return ws:send("\xff") end) return tostring(fine) .. why:match("not UTF%-8") end
          if data == "big" then local fine, why = pcall(function() return ws:send(string.rep("x", 2000000)) end) return why:match("limits.buffer") end
          if data == "where" then local _, why = pcall(function() return ws:send("x", "service") end) return why:match("no service") end
          if data == "field" then local _, why = pcall(function() return ws.sned end) return why:match("no `sned`") end
        end } }
        "#,
    )
    .start();
    let mut client = frames::open(&gateway, "/ws");
    client.send(frame(BYTES, [1, 2, 0xff]));
    assert_eq!(read(&mut client), (BYTES, vec![0xff, 2, 1]));
    for (said, answer) in
        [("bad", "falsenot UTF-8"), ("big", "limits.buffer"), ("where", "no service"), ("field", "no `sned`")]
    {
        client.send(frame(TEXT, said));
        assert_eq!(read(&mut client), (TEXT, answer.as_bytes().to_vec()), "{said}");
    }
}

#[test]
fn order_is_kept_while_functions_wait_and_pings_are_answered() {
    let gateway = gateway::script(
        r#"
        route "GET /ws" { websocket = { message = function(ws, data)
          if data == "0" then sleep "300ms" end
          ws:send(data)
        end } }
        "#,
    )
    .start();
    let mut client = frames::open(&gateway, "/ws");
    client.send(frame(TEXT, "0"));
    client.send(frame(PING, "still there?"));
    assert_eq!(read(&mut client), (PONG, b"still there?".to_vec()), "while the function waits");
    for n in 1..50 {
        client.send(frame(TEXT, n.to_string()));
    }
    for n in 0..50 {
        assert_eq!(read(&mut client), (TEXT, n.to_string().into_bytes()));
    }
}

#[test]
fn fragments_are_joined_and_control_frames_may_stand_between() {
    let gateway = gateway::script(
        r#"route "GET /ws" { websocket = { message = function(ws, data) return "[" .. data .. "]" end } }"#,
    )
    .start();
    let mut client = frames::open(&gateway, "/ws");
    client.send(masked(TEXT, "gr\u{fc}".as_bytes().split_last().unwrap().1));
    client.send(frame(PING, "x"));
    client.send(masked(0, &"\u{fc}".as_bytes()[1..]));
    client.send(masked(0x80, "\u{df}e".as_bytes()));
    assert_eq!(read(&mut client), (PONG, b"x".to_vec()));
    assert_eq!(read(&mut client), (TEXT, "[gr\u{fc}\u{df}e]".as_bytes().to_vec()));
}

#[test]
fn functions_may_fetch_and_use_stores_and_what_they_spawn_runs_at_once() {
    let service = crate::support::upstream::says("fetched");
    let gateway = gateway::script(
        r#"
        local seen = store "seen" {}
        route "GET /ws" { websocket = { message = function(ws, data)
          seen:incr("n")
          local text = fetch("service/x"):text()
          spawn(function() ws:send("spawned") end)
          return text .. seen:get("n")
        end } }
        "#,
    )
    .service("service", &service)
    .start();
    let mut client = frames::open(&gateway, "/ws");
    client.send(frame(TEXT, "x"));
    assert_eq!(read(&mut client), (TEXT, b"fetched1".to_vec()));
    assert_eq!(read(&mut client), (TEXT, b"spawned".to_vec()));
}

#[test]
fn whoever_leaves_how_ever_close_hears_of_it_once() {
    let gateway = gateway::script(
        r#"
        local ends = store "ends" {}
        route "GET /ws" { websocket = { message = function(ws, data) return data end, close = function(ws, code, reason)
          assert(ws.closed and ws:send("x") == false)
          sleep "1ms"
          ends:incr(code .. " " .. reason)
        end } }
        route "GET /ends" { function() local all = {} for _, key in ends:keys("") do all[key] = ends:get(key) end return { json = all } end }
        "#,
    )
    .start();
    frames::open(&gateway, "/ws").reset();
    drop(frames::open(&gateway, "/ws"));
    let mut polite = frames::open(&gateway, "/ws");
    polite.send(frame(CLOSE, code(3001, "enough")));
    assert_eq!(read(&mut polite), (CLOSE, code(3001, "enough")));
    let mut terse = frames::open(&gateway, "/ws");
    terse.send(frame(CLOSE, ""));
    assert_eq!(read(&mut terse), (CLOSE, Vec::new()));
    wait::until("all have ended", || gateway.get("/ends").text() == r#"{"1005 ":1,"1006 ":2,"3001 enough":1}"#);
}

#[test]
fn a_close_goes_on_to_the_other_side() {
    let (told, hears) = std::sync::mpsc::channel();
    let service = frames::service(move |conn, opcode, payload| match (opcode, payload.as_slice()) {
        (CLOSE, _) => {
            told.send(payload.clone()).unwrap();
            conn.send(plain(CLOSE, payload));
        }
        (_, b"leave") => _ = conn.send(plain(CLOSE, code(4001, "full"))),
        (_, b"vanish") => conn.reset(),
        _ => {}
    });
    let gateway =
        gateway::script(r#"route "GET /ws" { to = "service", websocket = { message = function(ws, data) end } }"#)
            .service("service", &service)
            .start();
    let mut client = frames::open(&gateway, "/ws");
    client.send(frame(TEXT, "leave"));
    assert_eq!(read(&mut client), (CLOSE, code(4001, "full")));
    client.send(frame(CLOSE, code(4001, "")));
    assert!(client.closed());
    let mut client = frames::open(&gateway, "/ws");
    client.send(frame(TEXT, "vanish"));
    assert_eq!(read(&mut client), (CLOSE, code(1011, "")));
    let answered = hears.recv_timeout(wait::PATIENCE).unwrap();
    assert_eq!(answered, code(4001, "full"), "the gateway answers the service's close");
    let mut client = frames::open(&gateway, "/ws");
    client.send(frame(CLOSE, code(4002, "bye")));
    assert_eq!(hears.recv_timeout(wait::PATIENCE).unwrap(), code(4002, "bye"));
    assert_eq!(read(&mut client), (CLOSE, code(4002, "bye")));
    frames::open(&gateway, "/ws").reset();
    assert_eq!(hears.recv_timeout(wait::PATIENCE).unwrap(), code(1001, ""));
}

#[test]
fn a_mistake_closes_its_own_socket_and_the_log_says_where() {
    let gateway = binary::script(
        r#"
        route "GET /ws" { websocket = { message = function(ws, data)
          if data == "loop" then while true do end end
          if data == "odd" then return {} end
          if data == "no" then reject(403, "not you") end
          local x = nil + 1
        end } }
        route "GET /" { function() return 204 end }
        "#,
    )
    .start();
    for (said, close) in
        [("x", code(1011, "")), ("loop", code(1011, "")), ("odd", code(1011, "")), ("no", code(1008, "not you"))]
    {
        let mut client = gateway.client();
        client.send(HANDSHAKE);
        assert_eq!(client.head().0.status, 101);
        client.send(frame(TEXT, said));
        assert_eq!(read(&mut client), (CLOSE, close), "{said}");
        gateway.client().get("/").with(204);
    }
    gateway.logs("gateway.lua:6");
    gateway.logs("gateway.lua:3");
    gateway.logs("text or a buffer, not table");
}

#[test]
fn a_function_that_waits_too_long_is_given_up() {
    let clock = Clock::fake(Duration::from_secs(1_800_000_000));
    let gateway = gateway::script(
        r#"route "GET /ws" { timeout = "10s", websocket = { message = function(ws, data) sleep "1h" ws:send("late") end } }"#,
    )
    .clock(&clock)
    .start();
    let mut client = frames::open(&gateway, "/ws");
    client.send(frame(TEXT, "x"));
    let reading = std::thread::spawn(move || read(&mut client));
    wait::until("it is given up", || {
        clock.advance(Duration::from_secs(1));
        std::thread::sleep(Duration::from_millis(1));
        reading.is_finished()
    });
    assert_eq!(reading.join().unwrap(), (CLOSE, code(1011, "")));
}

#[test]
fn idle_and_max_hold_where_functions_read() {
    for limit in [r#"idle = "60s""#, r#"max = "60s""#] {
        let clock = Clock::fake(Duration::from_secs(1_800_000_000));
        let gateway = gateway::script(&format!(
            "route \"GET /ws\" {{ websocket = {{ {limit}, message = function(ws, data) return data end }} }}"
        ))
        .clock(&clock)
        .start();
        let mut client = frames::open(&gateway, "/ws");
        for _ in 0..50 {
            clock.advance(Duration::from_secs(1));
            client.send(frame(TEXT, "x"));
            assert_eq!(read(&mut client), (TEXT, b"x".to_vec()));
        }
        let reading = std::thread::spawn(move || read(&mut client));
        let mut seconds = 50;
        wait::until("it is closed", || {
            clock.advance(Duration::from_secs(1));
            seconds += 1;
            std::thread::sleep(Duration::from_millis(1));
            reading.is_finished()
        });
        let (opcode, payload) = reading.join().unwrap();
        assert_eq!((opcode, &payload[..2]), (CLOSE, &code(1001, "")[..]));
        let least = if limit.starts_with("idle") { 109 } else { 59 };
        assert!(seconds > least, "{limit}: closed after {seconds} s");
    }
}

#[test]
fn sockets_live_on_over_reloads_with_their_own_functions_and_a_stop_closes_them() {
    let script = |word: &str| {
        format!("route \"GET /ws\" {{ websocket = {{ message = function(ws, data) return \"{word} \" .. data end }} }}")
    };
    let gateway = gateway::script(&script("old")).start();
    let mut before = frames::open(&gateway, "/ws");
    gateway.edit(&script("new")).unwrap();
    let mut after = frames::open(&gateway, "/ws");
    before.send(frame(TEXT, "x"));
    after.send(frame(TEXT, "x"));
    assert_eq!(read(&mut before), (TEXT, b"old x".to_vec()));
    assert_eq!(read(&mut after), (TEXT, b"new x".to_vec()));
    let stopping = std::thread::spawn(move || gateway.stop());
    for mut client in [before, after] {
        assert_eq!(read(&mut client), (CLOSE, code(1001, "going away")));
    }
    stopping.join().unwrap();
}
