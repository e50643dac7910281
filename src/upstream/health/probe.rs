//! One check of one host. A connection of HTTP/1.1 is kept for the next check, but not for long: that a host still
//! accepts one is half of the answer. All others are opened for one check.

use std::io;
use std::time::Duration;

use tokio::io::AsyncReadExt as _;
use tokio::io::AsyncWriteExt as _;

use crate::clock::Clock;
use crate::clock::Moment;
use crate::http::h1::Framing;
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
use crate::upstream::socket::Look;
use crate::upstream::socket::Socket;
use crate::upstream::tls::Offer;
use crate::upstream::tls::Tls;

/// The most of an answer that is read; its head must lie within.
const MOST: usize = 16 << 10;

/// How long a connection is kept from its first check on.
const AGE: Duration = Duration::from_secs(60);

/// A connection that a check has left, and when it was opened.
pub(super) struct Kept(Socket, Moment);

impl Kept {
    fn is_fit(&self, now: Moment) -> bool {
        now.since(self.1) < AGE && self.0.glance() == Look::Quiet
    }
}

/// Asks `host`, over the connection `kept` if it is fit, and leaves there the one for the next check; why the host is
/// not well, in a few words. It takes as long as the host does.
pub(super) async fn ask(
    host: &Host,
    check: &Check,
    tls: Option<&Tls>,
    clock: &Clock,
    kept: &mut Option<Kept>,
) -> Result<(), String> {
    if host.address == Address::Echo {
        return Ok(());
    }
    let grpc = matches!(check, Check::Grpc { .. });
    let h2 = grpc || matches!(host.protocol, Protocol::H2 | Protocol::Grpc);
    let offer = if h2 { Offer::Http2 } else { Offer::Http1 };
    let open = || async {
        connect::open(host, None, tls, offer, clock).await.map_err(|failed| match failed {
            Failed::Refused(cause) | Failed::Tls(cause) => cause,
            Failed::Late => "no connection in time".to_owned(),
        })
    };
    let secure = host.address.is_secure();
    match check {
        Check::Tcp => open().await.map(drop),
        Check::Grpc { service, host: asked } => {
            let (asked, socket) = (asked.as_deref().unwrap_or(&host.authority), open().await?);
            if secure && !socket.agreed_h2() {
                return Err("it did not agree to HTTP/2 (ALPN)".to_owned());
            }
            grpc::verdict(&call(socket, grpc::CHECK, asked, secure, grpc::question(service)).await?)
        }
        Check::Http { path, host: asked, status } => {
            let asked = asked.as_deref().unwrap_or(&host.authority);
            if h2 {
                return verdict(status, get_h2(open().await?, path, asked, secure).await?);
            }
            if let Some(old) = kept.take().filter(|old| old.is_fit(clock.now()))
                && let Ok((found, left)) = get(old, path, asked).await
            {
                *kept = left;
                return verdict(status, found);
            }
            // a connection that broke while it was kept says nothing of the host: a new one does
            let (found, left) = get(Kept(open().await?, clock.now()), path, asked).await?;
            *kept = left;
            verdict(status, found)
        }
    }
}

fn verdict(good: &[(u16, u16)], found: u16) -> Result<(), String> {
    let good = good.iter().any(|(first, last)| (*first..=*last).contains(&found));
    if good { Ok(()) } else { Err(format!("status {found}")) }
}

/// The status that `GET path` is answered with, and the connection if another request can follow. A body is not waited
/// for: the head says enough.
async fn get(mut line: Kept, path: &str, host: &str) -> Result<(u16, Option<Kept>), String> {
    let (failed, socket) = (|error: io::Error| error.to_string(), &mut line.0);
    let request = format!("GET {path} HTTP/1.1\r\nhost: {host}\r\nuser-agent: moongate-health\r\naccept: */*\r\n\r\n");
    socket.write_all(request.as_bytes()).await.map_err(failed)?;
    socket.flush().await.map_err(failed)?;
    let (mut input, mut scan) = (Vec::with_capacity(4096), Scan::default());
    loop {
        match response(&input, HeadLimits::default(), &mut scan, false, None) {
            Ok(Some((head, length))) if head.status < 200 && head.status != 101 => drop(input.drain(..length)),
            Ok(Some((head, length))) => {
                let rest = (input.len() - length) as u64;
                let whole = match head.framing {
                    Framing::None => rest == 0,
                    Framing::Length(expected) => rest == expected,
                    Framing::Chunked | Framing::Close => false,
                };
                return Ok((head.status, (head.keep_alive && whole).then_some(line)));
            }
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
