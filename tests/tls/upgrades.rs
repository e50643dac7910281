//! WebSockets over TLS: read by functions, and passed through without a byte held back.

use crate::support::frames;
use crate::support::frames::ACCEPTED;
use crate::support::frames::HANDSHAKE;
use crate::support::frames::TEXT;
use crate::support::frames::frame;
use crate::support::frames::plain;
use crate::support::gateway;
use crate::support::tls::Authority;
use crate::support::tls::Visitor;
use crate::support::upstream;

#[test]
fn sockets_work_over_tls() {
    const LONG: usize = 4 << 20;
    let service = upstream::serve(|conn| {
        if conn.head().is_some() && conn.send(ACCEPTED) && frames::heard(conn).is_some() {
            conn.send(plain(TEXT, vec![b'x'; LONG]));
            conn.linger();
        }
    });
    let authority = Authority::new("CA");
    let pair = authority.server(&["a.dev"]);
    let gateway = gateway::script(
        r#"
        gateway { tls = { cert = "a.pem", key = "a.key" } }
        route "GET /talk" { websocket = { message = function(ws, data) return data:rep(100000) end } }
        route "GET /pass" { to = "service" }
        "#,
    )
    .file("a.pem", &pair.cert)
    .file("a.key", &pair.key)
    .service("service", &service)
    .start();
    for (target, length) in [("/talk", 200_000), ("/pass", LONG)] {
        let mut client = Visitor::of(&authority).offering(&["http/1.1"]).connect(&gateway, "a.dev");
        client.send(HANDSHAKE.replace("/ws", target));
        assert_eq!(client.head().0.status, 101);
        client.send(frame(TEXT, "xx"));
        // The gateway's buffers fill up before anything is read.
        std::thread::sleep(std::time::Duration::from_millis(200));
        let (opcode, payload) = frames::read(&mut client);
        assert_eq!((opcode, payload.len()), (TEXT, length), "{target}");
        assert!(payload.iter().all(|&byte| byte == b'x'));
    }
}
