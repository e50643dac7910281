//! The TLS handshake of a client's connection, within its time and in its turn, and what is known after it.

use std::cell::Cell;
use std::future::Future;
use std::future::poll_fn;
use std::io;
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use rustls::ProtocolVersion;
use rustls::server::Acceptor;
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;
use tokio::sync::Semaphore;
use tokio_rustls::LazyConfigAcceptor;
use tokio_rustls::StartHandshake;
use tokio_rustls::server::TlsStream;

use crate::clock::Clock;
use crate::downstream::certs::Certs;
use crate::downstream::certs::Terms;
use crate::net::Certificate;

/// What is known of a connection over TLS.
#[derive(Debug)]
pub struct Session {
    /// `1.3` or `1.2`.
    pub version: &'static str,
    /// The name the client asked for, in lower case.
    pub sni: Option<String>,
    /// The protocol agreed on by ALPN.
    pub alpn: Option<&'static str>,
    /// The certificate the client showed; it was signed by `client_ca` and in its time when the connection began.
    pub client: Option<Certificate>,
    /// What it showed behind that certificate (DER), in its order.
    pub chain: Vec<Vec<u8>>,
    /// The certificates in force when it began.
    certs: Arc<Certs>,
}

/// How a connection goes on.
pub(crate) enum Greeted {
    /// Over TLS.
    Secure(Box<TlsStream<TcpStream>>, Box<Session>),
    /// The client speaks HTTP in clear text.
    Clear(TcpStream),
}

/// Why a handshake came to nothing.
#[derive(Debug)]
pub(crate) enum Failed {
    /// The client went before it said anything.
    Silent,
    /// It took too long.
    Late,
    /// Too many others are at it.
    Overload,
    /// An authority was shown that a name is ours; that is all it wanted.
    Proved,
    /// Garbage, no common version, a certificate that is not accepted …
    Broken(io::Error),
}

/// Handshakes of one worker: how many are under way, and whose turn it is to compute.
///
/// A signature takes longer than a request. One is made at a time, and between two of them everybody else on the
/// worker has a turn, so that a flood of handshakes does not hold up established connections.
#[derive(Clone)]
pub struct Handshakes {
    turn: Rc<Semaphore>,
    under_way: Rc<Cell<usize>>,
}

impl Default for Handshakes {
    fn default() -> Self {
        Self { turn: Rc::new(Semaphore::new(1)), under_way: Rc::default() }
    }
}

impl Session {
    /// Whether a request for `host` (without port) may come by this connection, where `now` are the certificates in
    /// force: only if that name would have been given the same terms (RFC 9110 §15.5.20).
    pub(crate) fn may_ask(&self, host: &str, now: Option<&Arc<Certs>>) -> bool {
        let now = now.unwrap_or(&self.certs);
        let same = Arc::ptr_eq(&self.certs, now) && self.sni.as_deref() == Some(host);
        same || self.terms() == now.terms(Some(host))
    }

    fn terms(&self) -> Option<&Terms> {
        self.certs.terms(self.sni.as_deref())
    }

    fn of(stream: &TlsStream<TcpStream>, sni: Option<String>, certs: Arc<Certs>) -> Self {
        let connection = stream.get_ref().1;
        let version = match connection.protocol_version() {
            Some(ProtocolVersion::TLSv1_3) => "1.3",
            _ => "1.2",
        };
        let alpn = match connection.alpn_protocol() {
            Some(b"h2") => Some("h2"),
            Some(b"http/1.1") => Some("http/1.1"),
            _ => None,
        };
        let (first, rest) = connection.peer_certificates().and_then(<[_]>::split_first).unzip();
        let client = first.and_then(|der| Certificate::parse(der).ok());
        let chain = rest.into_iter().flatten().map(|der| der.to_vec()).collect();
        Self { version, sni, alpn, client, chain, certs }
    }
}

/// Does the handshake on a fresh connection.
pub(crate) async fn greet(
    stream: TcpStream,
    certs: &Arc<Certs>,
    handshakes: &Handshakes,
    limit: Duration,
    clock: &Clock,
) -> Result<Greeted, Failed> {
    // By its place: passed on by value it would be kept twice, and many clients may wait here.
    let shaking = pin!(shake(stream, certs, handshakes));
    clock.timeout(limit, shaking).await.unwrap_or(Err(Failed::Late))
}

async fn shake(stream: TcpStream, certs: &Arc<Certs>, handshakes: &Handshakes) -> Result<Greeted, Failed> {
    // A client that says nothing costs nothing but its socket.
    let mut first = [0];
    match stream.peek(&mut first).await {
        Ok(1) => {}
        Ok(_) | Err(_) => return Err(Failed::Silent),
    }
    if first[0].is_ascii_alphabetic() {
        return Ok(Greeted::Clear(stream));
    }
    let _guest = handshakes.enter().ok_or(Failed::Overload)?;
    let start = LazyConfigAcceptor::new(Acceptor::default(), stream).await.map_err(Failed::Broken)?;
    // In a box of its own: whoever does not get so far does not pay for it.
    Box::pin(answer(start, certs, handshakes)).await
}

/// What follows the client's first message.
async fn answer(
    start: StartHandshake<TcpStream>,
    certs: &Arc<Certs>,
    handshakes: &Handshakes,
) -> Result<Greeted, Failed> {
    let hello = start.client_hello();
    let sni = hello.server_name().map(|name| name.trim_end_matches('.').to_ascii_lowercase());
    if let Some(proof) = certs.proof(sni.as_deref(), hello.alpn()) {
        let mut stream = start.into_stream(proof).await.map_err(Failed::Broken)?;
        stream.shutdown().await.map_err(Failed::Broken)?;
        return Err(Failed::Proved);
    }
    let turn = handshakes.turn.acquire().await;
    let mut accept = pin!(start.into_stream(Arc::clone(certs.config(sni.as_deref()))));
    let begun = poll_fn(|cx| Poll::Ready(accept.as_mut().poll(cx))).await;
    drop(turn);
    let stream = match begun {
        Poll::Ready(done) => done,
        Poll::Pending => accept.await,
    };
    let stream = stream.map_err(Failed::Broken)?;
    let session = Session::of(&stream, sni, Arc::clone(certs));
    Ok(Greeted::Secure(Box::new(stream), Box::new(session)))
}

impl Handshakes {
    fn enter(&self) -> Option<Guest> {
        let count = self.under_way.get();
        (count < MOST).then(|| {
            self.under_way.set(count + 1);
            Guest(Rc::clone(&self.under_way))
        })
    }
}

/// One handshake under way.
struct Guest(Rc<Cell<usize>>);

impl Drop for Guest {
    fn drop(&mut self) {
        self.0.set(self.0.get() - 1);
    }
}

/// So many clients of one worker may be between their first byte and the end of their handshake; more are let go.
const MOST: usize = 2000;
