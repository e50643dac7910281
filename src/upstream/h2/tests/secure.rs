//! Which protocol is spoken over TLS: what is offered, and what the host chooses.

use std::cell::Cell;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

use h2::server::Builder;
use tokio::io::AsyncReadExt;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpListener;

use crate::clock::Clock;
use crate::upstream::Address;
use crate::upstream::HostConfig;
use crate::upstream::Outbound;
use crate::upstream::Protocol;
use crate::upstream::SendError;
use crate::upstream::TlsConfig;
use crate::upstream::h2::tests::server::serve;
use crate::upstream::tests::backend::Gate;
use crate::upstream::tests::backend::get;
use crate::upstream::tests::backend::run;
use crate::upstream::tests::backend::text;
use crate::upstream::tests::secure::Authority;
use crate::upstream::tests::secure::acceptor;

/// A service that speaks what was agreed on, and counts its connections.
async fn either(authority: &Authority, protocols: &[&[u8]]) -> (SocketAddr, Rc<Cell<u32>>) {
    let acceptor = acceptor(authority, "service.test", false, protocols);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let connections = Rc::new(Cell::new(0));
    let count = Rc::clone(&connections);
    tokio::task::spawn_local(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            count.set(count.get() + 1);
            let acceptor = acceptor.clone();
            tokio::task::spawn_local(async move {
                let Ok(mut stream) = acceptor.accept(stream).await else { return };
                if stream.get_ref().1.alpn_protocol() == Some(b"h2") {
                    let script = |mut call: super::server::Call| async move { call.answer(200, "new") };
                    return serve(stream, &Builder::new(), 1, &Cell::new(0), &script).await;
                }
                let mut buffer = [0; 4096];
                while stream.read(&mut buffer).await.is_ok_and(|length| length > 0) {
                    stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\nold").await.unwrap();
                    stream.flush().await.unwrap();
                }
            });
        }
    });
    (address, connections)
}

fn gate(authority: &Authority, address: SocketAddr, protocol: Protocol) -> Gate {
    let host = Address::Tcp { host: "service.test".into(), port: address.port(), tls: true };
    let gate = Gate::with(vec![HostConfig { address: host, weight: 1, backup: false }], Clock::real(), |config| {
        config.protocol = protocol;
        config.tls = TlsConfig { ca: Some(authority.pem()), ..TlsConfig::default() };
        // handshakes of debug builds on a busy machine
        config.timeout.connect = Duration::from_secs(30);
        config.pool.idle = Duration::from_secs(60);
    });
    gate.upstream.shared().resolve(0, vec![address]);
    gate
}

#[test]
fn auto_speaks_what_the_host_chooses() {
    run(async {
        let authority = Authority::new();
        let both: &[&[u8]] = &[b"h2", b"http/1.1"];
        for (protocols, spoken) in [(both, "new"), (&both[1..], "old"), (&[], "old")] {
            let (address, connections) = either(&authority, protocols).await;
            let gate = gate(&authority, address, Protocol::Auto);
            for _ in 0..3 {
                assert_eq!(gate.text().await, (200, spoken.into()));
            }
            assert_eq!(connections.get(), 1);
            // an upgrade has its place in HTTP/1.1
            let upgrade = Outbound { upgrade: Some("websocket".into()), ..get("/") };
            assert_eq!(text(gate.send(upgrade).await.unwrap()).await, (200, "old".into()));
        }
    });
}

#[test]
fn h2_over_tls_is_agreed_on_or_refused() {
    run(async {
        let authority = Authority::new();
        let (address, _) = either(&authority, &[b"h2"]).await;
        let fine = gate(&authority, address, Protocol::H2);
        assert_eq!(fine.text().await, (200, "new".into()));
        let (address, _) = either(&authority, &[]).await;
        let silent = gate(&authority, address, Protocol::H2);
        assert!(matches!(silent.get().await.err(), Some(SendError::Tls { .. })));
        let upgrade = Outbound { upgrade: Some("websocket".into()), ..get("/") };
        assert!(matches!(fine.send(upgrade).await.err(), Some(SendError::Protocol { .. })));
    });
}
