use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::net::TcpStream;

use super::Failed;
use super::connect;
use crate::clock::Clock;
use crate::upstream::Address;
use crate::upstream::Config;
use crate::upstream::host::Host;
use crate::upstream::socket::Socket;
use crate::upstream::tests::backend::nobody;
use crate::upstream::tests::backend::run;
use crate::upstream::tests::backend::settle;
use crate::upstream::tls::Offer;

const LIMIT: Duration = Duration::from_secs(5);

fn to(reach: Vec<SocketAddr>) -> Arc<Host> {
    let address = Address::Tcp { host: "a.test".into(), port: 80, tls: false };
    Host::new(&address, reach, "a.test:80".into(), &Config::new("s", vec![]))
}

fn refusing() -> SocketAddr {
    let Address::Tcp { host, port, .. } = nobody().address else { unreachable!() };
    SocketAddr::new(host.parse().unwrap(), port)
}

/// A listener whose queue is full: connections to it hang.
async fn hanging() -> (std::net::TcpListener, TcpStream) {
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    let any: SocketAddr = ([127, 0, 0, 1], 0).into();
    socket.bind(&any.into()).unwrap();
    socket.listen(0).unwrap();
    let listener: std::net::TcpListener = socket.into();
    let filled = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
    (listener, filled)
}

#[test]
fn an_address_that_refuses_is_followed_by_the_next_at_once() {
    run(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let there = listener.local_addr().unwrap();
        let clock = Clock::fake(Duration::ZERO);
        let socket =
            connect(&to(vec![refusing(), refusing(), there]), None, None, Offer::Http1, LIMIT, &clock).await.unwrap();
        assert!(matches!(socket, Socket::Tcp(stream) if stream.nodelay().unwrap()));
    });
}

#[test]
fn an_address_that_hangs_is_overtaken_after_a_quarter_second() {
    run(async {
        let (hanging, _filled) = hanging().await;
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let there = listener.local_addr().unwrap();
        let clock = Clock::fake(Duration::ZERO);
        let turned = clock.clone();
        let host = to(vec![hanging.local_addr().unwrap(), there]);
        let attempt =
            tokio::task::spawn_local(
                async move { connect(&host, None, None, Offer::Http1, LIMIT, &clock).await.is_ok() },
            );
        settle().await;
        turned.advance(Duration::from_millis(249));
        settle().await;
        assert!(!attempt.is_finished());
        turned.advance(Duration::from_millis(1));
        assert!(attempt.await.unwrap());
    });
}

#[test]
fn a_connection_that_hangs_ends_with_its_time() {
    run(async {
        let (hanging, _filled) = hanging().await;
        let clock = Clock::fake(Duration::ZERO);
        let turned = clock.clone();
        let host = to(vec![hanging.local_addr().unwrap()]);
        let attempt =
            tokio::task::spawn_local(
                async move { connect(&host, None, None, Offer::Http1, LIMIT, &clock).await.err() },
            );
        settle().await;
        assert!(!attempt.is_finished());
        turned.advance(LIMIT);
        assert!(matches!(attempt.await.unwrap(), Some(Failed::Late)));
    });
}

#[test]
fn nobody_there_is_told_with_the_systems_words() {
    run(async {
        let clock = Clock::real();
        let all =
            connect(&to(vec![refusing(), refusing()]), None, None, Offer::Http1, LIMIT, &clock).await.unwrap_err();
        assert!(matches!(&all, Failed::Refused(cause) if cause.contains("refused")), "{all:?}");
        let none = connect(&to(vec![]), None, None, Offer::Http1, LIMIT, &clock).await.unwrap_err();
        assert!(matches!(&none, Failed::Refused(cause) if cause.contains("no address")), "{none:?}");
        let unix =
            Host::new(&Address::Unix("/nowhere/a.sock".into()), vec![], String::new(), &Config::new("s", vec![]));
        assert!(matches!(connect(&unix, None, None, Offer::Http1, LIMIT, &clock).await, Err(Failed::Refused(_))));
    });
}
