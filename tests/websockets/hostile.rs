//! Those who mean harm: frames that break RFC 6455, floods, and peers that never read.

use std::time::Duration;

use moongate::clock::Clock;

use crate::support::frames;
use crate::support::frames::BYTES;
use crate::support::frames::CLOSE;
use crate::support::frames::HANDSHAKE;
use crate::support::frames::PING;
use crate::support::frames::TEXT;
use crate::support::frames::code;
use crate::support::frames::frame;
use crate::support::frames::masked;
use crate::support::frames::read;
use crate::support::gateway;
use crate::support::wait;

#[test]
fn who_does_not_read_is_not_listened_to_and_cut_in_the_end() {
    let clock = Clock::fake(Duration::from_secs(1_800_000_000));
    let gateway = gateway::script(
        r#"
        local ends = store "ends" {}
        route "GET /ws" { timeout = "10m", websocket = {
          message = function(ws, data) ends:incr("heard") for _ = 1, 100 do ws:send(string.rep("x", 100000)) end end,
          close = function(ws, code) ends:set("code", code) end,
        } }
        route "GET /ends" { function() return { json = { heard = ends:get("heard"), code = ends:get("code") } } end }
        "#,
    )
    .clock(&clock)
    .start();
    let mut client = frames::open(&gateway, "/ws");
    for _ in 0..100 {
        client.send(frame(TEXT, "more"));
    }
    wait::until("one is heard", || gateway.get("/ends").text().contains("heard"));
    std::thread::sleep(Duration::from_millis(100));
    assert_eq!(gateway.get("/ends").text(), r#"{"heard":1}"#, "the first answer has nowhere to go yet");
    wait::until("it is cut", || {
        clock.advance(Duration::from_secs(1));
        std::thread::sleep(Duration::from_millis(1));
        gateway.get("/ends").text() == r#"{"code":1006,"heard":1}"#
    });
}

#[test]
fn broken_frames_end_their_own_socket() {
    let gateway = gateway::script(
        r#"
        gateway { limits = { buffer = "100KB" } }
        route "GET /ws" { websocket = { message = function(ws, data) ws:send(data) end } }
        route "GET /" { function() return 204 end }
        "#,
    )
    .start();
    let bomb: Vec<u8> =
        std::iter::once(masked(BYTES, &[7; 1000])).chain((0..200).map(|_| masked(0, &[7; 1000]))).flatten().collect();
    for (what, broken, told) in [
        ("unmasked", vec![0x81, 0x05, b'h', b'e', b'l', b'l', b'o'], 1002),
        ("reserved bits", vec![0xf1, 0x80, 0, 0, 0, 0], 1002),
        ("a reserved opcode", vec![0x83, 0x80, 0, 0, 0, 0], 1002),
        ("a reserved control opcode", vec![0x8b, 0x80, 0, 0, 0, 0], 1002),
        ("a fragmented ping", vec![0x09, 0x80, 0, 0, 0, 0], 1002),
        ("a ping of 126 bytes", masked(0x89, &[7; 126]), 1002),
        ("a close of one byte", frame(CLOSE, [7]), 1002),
        ("a continuation of nothing", masked(0x80, b"x"), 1002),
        ("a message inside another", [masked(TEXT, b"x"), frame(TEXT, "y")].concat(), 1002),
        ("far too long", vec![0x81, 0xff, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0], 1009),
        ("a length with its highest bit", [&[0x82, 0xff][..], &[0xff; 8], &[0; 4]].concat(), 1009),
        ("longer than limits.buffer", frame(BYTES, vec![7; 200 << 10]), 1009),
        ("a bomb of fragments", bomb, 1009),
        ("text that is not UTF-8", frame(TEXT, [0xff, 0xfe]), 1007),
        ("a surrogate in UTF-8", frame(TEXT, [0xed, 0xa0, 0x80]), 1007),
        ("UTF-8 cut short", frame(TEXT, [b'a', 0xc3]), 1007),
        ("a reason that is not UTF-8", frame(CLOSE, [3, 232, 0xff]), 1007),
    ] {
        let mut client = frames::open(&gateway, "/ws");
        client.try_send(&broken);
        let (opcode, payload) = read(&mut client);
        assert_eq!((opcode, &payload[..2]), (CLOSE, &code(told, "")[..]), "{what}");
        drop(client);
        gateway.get("/").with(204);
    }
}

#[test]
fn a_flood_of_pings_from_one_who_reads_nothing_is_not_kept() {
    let gateway =
        gateway::script(r#"route "GET /ws" { websocket = { message = function(ws, data) return data end } }"#).start();
    let client = frames::open(&gateway, "/ws");
    let flood: Vec<u8> = (0..1000).flat_map(|_| frame(PING, [7; 125])).collect();
    let mut writer = client.writer();
    writer.set_write_timeout(Some(Duration::from_millis(300))).unwrap();
    let mut sent = 0;
    while std::io::Write::write_all(&mut writer, &flood).is_ok() && sent < 200 << 20 {
        sent += flood.len();
    }
    assert!(sent < 100 << 20, "the gateway took {sent} bytes of pings whose answers went nowhere");
}

#[test]
fn a_service_that_breaks_the_protocol_is_dropped() {
    for (what, answer, status) in [
        (
            "extensions",
            frames::ACCEPTED.replace("\r\n\r\n", "\r\nsec-websocket-extensions: permessage-deflate\r\n\r\n"),
            502,
        ),
        ("another key", frames::ACCEPTED.replace("s3pP", "AAAA"), 502),
        ("masked frames", frames::ACCEPTED.to_owned(), 101),
    ] {
        let service = crate::support::upstream::serve(move |conn| {
            let Some(seen) = conn.head() else { return };
            assert_eq!(seen.header("sec-websocket-extensions"), None, "extensions would hide what messages say");
            conn.send(&answer);
            conn.send(frame(TEXT, "masked"));
            conn.linger();
        });
        let gateway = gateway::script(
            r#"route "GET /ws" { to = "service", websocket = { message = function(ws, data, from) end } }"#,
        )
        .service("service", &service)
        .start();
        let mut client = gateway.client();
        client.send(HANDSHAKE.replace("\r\n\r\n", "\r\nsec-websocket-extensions: permessage-deflate\r\n\r\n"));
        assert_eq!(client.head().0.status, status, "{what}");
        if status == 101 {
            assert_eq!(read(&mut client), (CLOSE, code(1011, "")), "{what}");
        }
    }
}
