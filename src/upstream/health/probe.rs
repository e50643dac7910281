//! One check of one host, over a connection of its own: that a host still accepts one is half of the answer.

use std::io;

use tokio::io::AsyncReadExt as _;
use tokio::io::AsyncWriteExt as _;

use crate::clock::Clock;
use crate::http::h1::HeadLimits;
use crate::http::h1::Scan;
use crate::http::h1::response;
use crate::upstream::Address;
use crate::upstream::Host;
use crate::upstream::Protocol;
use crate::upstream::connect;
use crate::upstream::connect::Failed;
use crate::upstream::h2::call;
use crate::upstream::h2::get as get_h2;
use crate::upstream::health::Check;
use crate::upstream::health::grpc;
use crate::upstream::socket::Socket;
use crate::upstream::tls::Offer;
use crate::upstream::tls::Tls;

/// The most of an answer that is read; its head must lie within.
const MOST: usize = 16 << 10;

/// Asks `host`; why it is not well, in a few words. It takes as long as the host does.
pub(super) async fn ask(host: &Host, check: &Check, tls: Option<&Tls>, clock: &Clock) -> Result<(), String> {
    if host.address == Address::Echo {
        return Ok(());
    }
    let grpc = matches!(check, Check::Grpc { .. });
    let h2 = grpc || matches!(host.protocol, Protocol::H2 | Protocol::Grpc);
    let offer = if h2 { Offer::Http2 } else { Offer::Http1 };
    let mut socket = connect::open(host, None, tls, offer, clock).await.map_err(|failed| match failed {
        Failed::Refused(cause) | Failed::Tls(cause) => cause,
        Failed::Late => "no connection in time".to_owned(),
    })?;
    let secure = host.address.is_secure();
    if grpc && secure && !socket.agreed_h2() {
        return Err("it did not agree to HTTP/2 (ALPN)".to_owned());
    }
    match check {
        Check::Tcp => Ok(()),
        Check::Grpc { service, host: asked } => {
            let asked = asked.as_deref().unwrap_or(&host.authority);
            grpc::verdict(&call(socket, grpc::CHECK, asked, secure, grpc::question(service)).await?)
        }
        Check::Http { path, host: asked, status } => {
            let asked = asked.as_deref().unwrap_or(&host.authority);
            let found =
                if h2 { get_h2(socket, path, asked, secure).await? } else { get(&mut socket, path, asked).await? };
            let good = status.iter().any(|(first, last)| (*first..=*last).contains(&found));
            if good { Ok(()) } else { Err(format!("status {found}")) }
        }
    }
}

/// The status that `GET path` is answered with.
async fn get(socket: &mut Socket, path: &str, host: &str) -> Result<u16, String> {
    let failed = |error: io::Error| error.to_string();
    let request = format!(
        "GET {path} HTTP/1.1\r\nhost: {host}\r\nuser-agent: moongate-health\r\naccept: */*\r\nconnection: close\r\n\r\n"
    );
    socket.write_all(request.as_bytes()).await.map_err(failed)?;
    socket.flush().await.map_err(failed)?;
    let (mut input, mut scan) = (Vec::with_capacity(1024), Scan::default());
    loop {
        match response(&input, HeadLimits::default(), &mut scan, false, None) {
            Ok(Some((head, length))) if head.status < 200 && head.status != 101 => drop(input.drain(..length)),
            Ok(Some((head, _))) => return Ok(head.status),
            Ok(None) if input.len() >= MOST => return Err("the head of its answer is too long".to_owned()),
            Ok(None) => {
                if socket.read_buf(&mut input).await.map_err(failed)? == 0 {
                    return Err("it closed the connection without an answer".to_owned());
                }
            }
            Err(fault) => return Err(format!("its answer is no HTTP: {fault}")),
        }
    }
}
