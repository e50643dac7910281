//! WebSockets over HTTP/2, by extended CONNECT (RFC 8441): the same handshake, functions and ends as over HTTP/1.1.

use base64::Engine as _;
use bytes::Bytes;
use h2::RecvStream;
use h2::ext::Protocol;
use moongate::primitive::digest::Hash;

use super::clear;
use super::client;
use super::with;
use crate::support::answer::Answer;
use crate::support::frames;
use crate::support::frames::CLOSE;
use crate::support::frames::TEXT;
use crate::support::frames::code;
use crate::support::frames::frame;
use crate::support::frames::plain;
use crate::support::h2::Call;
use crate::support::h2::Client;
use crate::support::upstream;
use crate::support::upstream::Upstream;

/// Accepts the handshake as it came, then sends each text back.
fn echo() -> Upstream {
    upstream::serve(|conn| {
        let Some(seen) = conn.head() else { return };
        let key = seen.header("sec-websocket-key").expect("a key");
        let proof = Hash::Sha1.digest(format!("{key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11").as_bytes());
        let proof = base64::engine::general_purpose::STANDARD.encode(proof);
        conn.send(format!(
            "HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\nconnection: upgrade\r\nsec-websocket-accept: {proof}\r\nx-service: yes\r\n\r\n"
        ));
        while let Some((opcode, payload)) = frames::heard(conn) {
            conn.send(plain(opcode, payload));
        }
    })
}

/// Asks for a socket; the answer, and the stream that may have become one.
fn open(client: &mut Client, target: &str, protocol: &'static str, fields: &[(&str, &str)]) -> (Answer, Socket) {
    // The gateway says that it takes these in its first frame, which comes before any answer.
    client.get("/hello");
    let mut request = http::Request::builder().method("CONNECT").uri(format!("http://test.local{target}"));
    for (name, value) in [("sec-websocket-version", "13")].iter().chain(fields) {
        request = request.header(*name, *value);
    }
    let mut request = request.body(()).unwrap();
    request.extensions_mut().insert(Protocol::from_static(protocol));
    let mut call = client.request(request, false).unwrap();
    let streaming = client.head(&mut call).unwrap();
    (streaming.head, Socket { call, inward: streaming.body, buffer: Vec::new() })
}

struct Socket {
    call: Call,
    inward: RecvStream,
    buffer: Vec<u8>,
}

impl Socket {
    /// The next frame.
    fn read(&mut self, client: &Client) -> (u8, Vec<u8>) {
        loop {
            if let [first, length, rest @ ..] = &self.buffer[..]
                && rest.len() >= usize::from(*length)
            {
                assert!(*length < 126, "short frames only");
                let (opcode, end) = (first & 15, 2 + usize::from(*length));
                let payload = self.buffer[2..end].to_vec();
                self.buffer.drain(..end);
                return (opcode, payload);
            }
            let piece = client.piece(&mut self.inward).expect("more").unwrap();
            self.buffer.extend_from_slice(&piece);
        }
    }

    fn send(&mut self, client: &Client, bytes: &[u8]) {
        client.send(&mut self.call, bytes, false);
    }
}

const HELLO: &str = r#"route "GET /hello" { function() return 204 end }"#;

#[test]
fn a_socket_to_a_service_passes_both_ways() {
    let service = echo();
    let gateway = clear(&format!("{HELLO} route \"GET /ws\" {{ to = \"service\" }}")).service("service", &service);
    let gateway = gateway.start();
    let mut client = client(&gateway);
    let (answer, mut socket) = open(&mut client, "/ws?x=1", "websocket", &[("sec-websocket-protocol", "chat")]);
    assert_eq!((answer.status, answer.header("x-service")), (200, Some("yes")));
    for name in ["sec-websocket-accept", "upgrade", "connection", "content-length"] {
        assert_eq!(answer.header(name), None, "{name}");
    }
    for text in ["one", "two"] {
        socket.send(&client, &frame(TEXT, text));
        assert_eq!(socket.read(&client), (TEXT, text.into()));
    }
    // Requests beside it are served.
    client.get("/hello").with(204);
    let seen = service.last();
    assert_eq!((seen.method.as_str(), seen.target.as_str()), ("GET", "/ws?x=1"));
    assert_eq!((seen.header("upgrade"), seen.header("sec-websocket-protocol")), (Some("websocket"), Some("chat")));
    assert_eq!(gateway.metric("moongate_upgraded_connections{http_route=\"GET /ws\"}"), 1.0);
    // An end is an end on the other side.
    socket.call.body.send_data(Bytes::new(), true).unwrap();
    assert!(client.piece(&mut socket.inward).is_none_or(|piece| piece.is_ok_and(|piece| piece.is_empty())));
    crate::support::wait::until("the service has heard of it", || service.open() == 0);
}

#[test]
fn functions_talk_on_it_with_and_without_a_service() {
    let script = r#"
        route "GET /end" { websocket = {
          open = function(ws) ws:send("welcome") end,
          message = function(ws, data) if data == "bye" then ws:close(4000, "so long") else ws:send(data:upper()) end end,
        } }
        route "GET /between" { to = "service", websocket = { message = function(ws, data, from) return data .. "!" end } }
    "#;
    let service = echo();
    let gateway = clear(&format!("{HELLO} {script}")).service("service", &service).start();
    let mut client = client(&gateway);
    let (answer, mut socket) = open(&mut client, "/end", "websocket", &[]);
    assert_eq!(answer.status, 200);
    assert_eq!(socket.read(&client), (TEXT, b"welcome".to_vec()));
    socket.send(&client, &frame(TEXT, "ann"));
    assert_eq!(socket.read(&client), (TEXT, b"ANN".to_vec()));
    socket.send(&client, &frame(TEXT, "bye"));
    assert_eq!(socket.read(&client), (CLOSE, code(4000, "so long")));
    let (answer, mut socket) = open(&mut client, "/between", "websocket", &[]);
    assert_eq!(answer.status, 200);
    socket.send(&client, &frame(TEXT, "ann"));
    assert!(socket.read(&client).1.starts_with(b"ann!"));
}

#[test]
fn a_handshake_that_is_refused_is_an_ordinary_answer() {
    let service = upstream::says("no upgrade");
    let script = r#"
        route "GET /closed" { function() reject(403, "closed") end, to = "service" }
        route "GET /origin" { to = "service", websocket = { origins = { "https://a.dev" } } }
        route "GET /plain" { to = "service" }
        route "GET /off" { to = "service", websocket = false }
    "#;
    let gateway = clear(&format!("{HELLO} {script}")).service("service", &service).start();
    let mut client = client(&gateway);
    let evil = [("origin", "https://evil.dev")];
    for (target, protocol, fields, status) in [
        ("/closed", "websocket", &[][..], 403),
        ("/origin", "websocket", &evil, 403),
        ("/nowhere", "websocket", &[], 404),
        // A service that answers as if nothing was: the client would take it for a tunnel.
        ("/plain", "websocket", &[], 501),
        ("/off", "websocket", &[], 501),
        ("/plain", "connect-udp", &[], 501),
    ] {
        let (answer, mut socket) = open(&mut client, target, protocol, fields);
        assert_eq!(answer.status, status, "{target} {protocol}: {answer:?}");
        let body = client.piece(&mut socket.inward).unwrap().unwrap();
        assert!(body.starts_with(b"{"), "{body:?}");
    }
}

#[test]
fn a_gateway_that_leaves_closes_it() {
    let service = echo();
    let drain = r#"drain = { delay = "0s", max = "10s" }"#;
    let script = format!("{HELLO} route \"GET /ws\" {{ to = \"service\" }}");
    let gateway = with(drain, &script).service("service", &service).start();
    let mut client = client(&gateway);
    let (_, mut socket) = open(&mut client, "/ws", "websocket", &[]);
    socket.send(&client, &frame(TEXT, "one"));
    assert_eq!(socket.read(&client), (TEXT, b"one".to_vec()));
    let stopping = std::thread::spawn(move || gateway.stop());
    assert_eq!(socket.read(&client), (CLOSE, code(1001, "")));
    socket.send(&client, &frame(CLOSE, code(1001, "")));
    socket.call.body.send_data(Bytes::new(), true).unwrap();
    drop(socket);
    client.over().unwrap();
    stopping.join().unwrap();
}
