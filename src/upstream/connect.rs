//! A new connection to a host: addresses raced as RFC 8305 asks, then the TLS handshake.

use std::future::Future;
use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::Poll;
use std::time::Duration;

use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::net::UnixStream;

use crate::clock::Clock;
use crate::net::proxy_header::Ends;
use crate::upstream::Address;
use crate::upstream::host::Host;
use crate::upstream::socket::Socket;
use crate::upstream::tls::Offer;
use crate::upstream::tls::Tls;

/// How long an address may take before the next one is tried beside it.
const STAGGER: Duration = Duration::from_millis(250);

/// Why there is no connection.
#[derive(Clone, Debug)]
pub(crate) enum Failed {
    /// Nobody accepted.
    Refused(String),
    /// The handshake or the certificate was not accepted.
    Tls(String),
    /// It took longer than `timeout.connect`.
    Late,
}

/// Connects to `host` on behalf of `ends` within `limit`, handshakes included.
pub(crate) async fn connect(
    host: &Host,
    ends: Option<&Ends>,
    tls: Option<&Tls>,
    offer: Offer,
    limit: Duration,
    clock: &Clock,
) -> Result<Socket, Failed> {
    clock.timeout(limit, open(host, ends, tls, offer, clock)).await.unwrap_or(Err(Failed::Late))
}

/// As [`connect`], for as long as it takes.
pub(crate) async fn open(
    host: &Host,
    ends: Option<&Ends>,
    tls: Option<&Tls>,
    offer: Offer,
    clock: &Clock,
) -> Result<Socket, Failed> {
    let refused = |error: io::Error| Failed::Refused(error.to_string());
    let header = host.proxy.map(|version| version.header(ends)).unwrap_or_default();
    let (name, wants_tls) = match &host.address {
        Address::Unix(path) => {
            let mut stream = UnixStream::connect(path).await.map_err(refused)?;
            stream.write_all(&header).await.map_err(refused)?;
            return Ok(Socket::Unix(stream));
        }
        Address::Echo => return Err(Failed::Refused("the built-in service has no socket".into())),
        Address::Tcp { host, tls, .. } => (host, *tls),
    };
    let mut stream = race(&host.reach, clock).await.map_err(refused)?;
    // without it small writes wait for the peer's delayed acknowledgement; a socket that refuses it still works
    let _ = stream.set_nodelay(true);
    stream.write_all(&header).await.map_err(refused)?;
    if !wants_tls {
        return Ok(Socket::Tcp(stream));
    }
    let tls = tls.ok_or_else(|| Failed::Tls("no TLS was prepared".into()))?;
    match tls.handshake(name, offer, stream).await {
        Ok(stream) => Ok(Socket::Tls(Box::new(stream))),
        Err(error) => Err(Failed::Tls(error.to_string())),
    }
}

/// The first of `addresses` to accept; the next is tried when one fails or takes longer than [`STAGGER`].
async fn race(addresses: &[SocketAddr], clock: &Clock) -> io::Result<TcpStream> {
    let (first, others) = match addresses {
        [] => return Err(io::Error::new(io::ErrorKind::NotFound, "its name has no address")),
        [only] => return TcpStream::connect(*only).await,
        [first, others @ ..] => (*first, others),
    };
    let mut waiting = others.iter().copied();
    let mut trying: Vec<Pin<Box<dyn Future<Output = io::Result<TcpStream>>>>> =
        vec![Box::pin(TcpStream::connect(first))];
    let mut stagger = Box::pin(clock.sleep(STAGGER));
    let mut last = None;
    poll_fn(move |cx| {
        loop {
            let mut at = 0;
            while at < trying.len() {
                match trying[at].as_mut().poll(cx) {
                    Poll::Ready(Ok(stream)) => return Poll::Ready(Ok(stream)),
                    Poll::Ready(Err(error)) => {
                        last = Some(error);
                        drop(trying.swap_remove(at));
                    }
                    Poll::Pending => at += 1,
                }
            }
            let next_due = stagger.as_mut().poll(cx).is_ready();
            if !trying.is_empty() && !next_due {
                return Poll::Pending;
            }
            match waiting.next() {
                Some(address) => {
                    trying.push(Box::pin(TcpStream::connect(address)));
                    stagger.set(clock.sleep(STAGGER));
                }
                None if trying.is_empty() => {
                    let nobody = || io::Error::new(io::ErrorKind::NotFound, "no address left");
                    return Poll::Ready(Err(last.take().unwrap_or_else(nobody)));
                }
                None => return Poll::Pending,
            }
        }
    })
    .await
}

#[cfg(test)]
mod tests;
