//! Services that speak HTTP/2, in clear text or over TLS, each on a thread of its own.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::Mutex;
use std::thread::JoinHandle;

use bytes::Bytes;
use h2::RecvStream;
use h2::server::SendResponse;
use http::HeaderMap;
use http::HeaderValue;
use http::Request;
use http::Response;
use tokio::io::AsyncRead;
use tokio::io::AsyncWrite;
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio_rustls::TlsAcceptor;

use crate::support::tls::Pair;

/// A service that runs until it is dropped.
pub(crate) struct Service {
    address: SocketAddr,
    seen: Arc<Mutex<Vec<Seen>>>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

/// The head of a request as it arrived, and on which connection (from 0).
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    pub(crate) method: String,
    pub(crate) uri: String,
    pub(crate) headers: HeaderMap,
    pub(crate) connection: usize,
}

/// A whole answer.
#[derive(Clone, Debug)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) fields: Vec<(&'static str, &'static str)>,
    pub(crate) body: Vec<u8>,
    pub(crate) trailers: Vec<(&'static str, &'static str)>,
}

type Fields = &'static [(&'static str, &'static str)];
type Answers = Arc<dyn Fn(&Seen, &[u8]) -> Reply + Send + Sync>;

/// Sends every piece of a request's body back as it comes, ends with `grpc-status: 0` and the trailers it got.
pub(crate) fn echo() -> Service {
    start(None, None, &[])
}

/// Answers every request, read to its end, with what `reply` makes of it.
pub(crate) fn answers(reply: impl Fn(&Seen, &[u8]) -> Reply + Send + Sync + 'static) -> Service {
    start(None, Some(Arc::new(reply)), &[])
}

/// Says this ahead of every answer (103).
pub(crate) fn hinting(fields: &'static [(&'static str, &'static str)]) -> Service {
    start(None, None, fields)
}

/// The same over TLS, for those that agree on one of `protocols`.
pub(crate) fn secure(
    pair: &Pair,
    protocols: &[&str],
    reply: impl Fn(&Seen, &[u8]) -> Reply + Send + Sync + 'static,
) -> Service {
    start(Some(pair.acceptor(protocols)), Some(Arc::new(reply)), &[])
}

fn start(tls: Option<TlsAcceptor>, answers: Option<Answers>, hints: Fields) -> Service {
    let (stop, stopped) = oneshot::channel();
    let (ready, address) = std::sync::mpsc::channel();
    let seen: Arc<Mutex<Vec<Seen>>> = Arc::default();
    let list = Arc::clone(&seen);
    let thread = std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let local = tokio::task::LocalSet::new();
        local.block_on(&runtime, async move {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            ready.send(listener.local_addr().unwrap()).unwrap();
            tokio::task::spawn_local(accept(listener, tls, (answers, hints), list));
            let _ = stopped.await;
        });
    });
    Service { address: address.recv().unwrap(), seen, stop: Some(stop), thread: Some(thread) }
}

async fn accept(
    listener: TcpListener,
    tls: Option<TlsAcceptor>,
    says: (Option<Answers>, Fields),
    seen: Arc<Mutex<Vec<Seen>>>,
) {
    for connection in 0.. {
        let (stream, _) = listener.accept().await.unwrap();
        let (seen, tls, says) = (Arc::clone(&seen), tls.clone(), says.clone());
        tokio::task::spawn_local(async move {
            match tls {
                None => speak(stream, connection, says, seen).await,
                Some(tls) => {
                    let Ok(stream) = tls.accept(stream).await else { return };
                    speak(stream, connection, says, seen).await;
                }
            }
        });
    }
}

async fn speak(
    stream: impl AsyncRead + AsyncWrite + Unpin,
    connection: usize,
    (answers, hints): (Option<Answers>, Fields),
    seen: Arc<Mutex<Vec<Seen>>>,
) {
    let Ok(mut accepted) = h2::server::handshake(stream).await else { return };
    while let Some(Ok((request, mut respond))) = accepted.accept().await {
        if !hints.is_empty() {
            let hint =
                hints.iter().fold(Response::builder().status(103), |hint, (name, value)| hint.header(*name, *value));
            respond.send_informational(hint.body(()).unwrap()).unwrap();
        }
        let head = Seen {
            method: request.method().to_string(),
            uri: request.uri().to_string(),
            headers: request.headers().clone(),
            connection,
        };
        seen.lock().unwrap().push(head.clone());
        match &answers {
            None => tokio::task::spawn_local(back(request, respond)),
            Some(answers) => tokio::task::spawn_local(answer(Arc::clone(answers), head, request, respond)),
        };
    }
}

async fn answer(answers: Answers, head: Seen, request: Request<RecvStream>, mut respond: SendResponse<Bytes>) {
    let (mut body, mut whole) = (request.into_body(), Vec::new());
    while let Some(Ok(piece)) = body.data().await {
        let _ = body.flow_control().release_capacity(piece.len());
        whole.extend_from_slice(&piece);
    }
    let reply = answers(&head, &whole);
    let mut head = Response::builder().status(reply.status);
    for (name, value) in reply.fields {
        head = head.header(name, value);
    }
    let bare = reply.body.is_empty() && reply.trailers.is_empty();
    let Ok(mut stream) = respond.send_response(head.body(()).unwrap(), bare) else { return };
    if bare || stream.send_data(reply.body.into(), reply.trailers.is_empty()).is_err() || reply.trailers.is_empty() {
        return;
    }
    let mut trailers = HeaderMap::new();
    for (name, value) in reply.trailers {
        trailers.insert(name, HeaderValue::from_static(value));
    }
    let _ = stream.send_trailers(trailers);
}

async fn back(request: Request<RecvStream>, mut respond: SendResponse<Bytes>) {
    let media = request.headers().get("content-type").cloned();
    let mut head = Response::builder().status(200);
    if let Some(media) = media {
        head = head.header("content-type", media);
    }
    let Ok(mut stream) = respond.send_response(head.body(()).unwrap(), false) else { return };
    let mut body = request.into_body();
    while let Some(piece) = body.data().await {
        let Ok(piece) = piece else { return };
        let _ = body.flow_control().release_capacity(piece.len());
        if stream.send_data(piece, false).is_err() {
            return;
        }
    }
    let mut trailers = body.trailers().await.ok().flatten().unwrap_or_default();
    trailers.insert("grpc-status", HeaderValue::from_static("0"));
    let _ = stream.send_trailers(trailers);
}

impl Service {
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    pub(crate) fn seen(&self) -> Vec<Seen> {
        self.seen.lock().unwrap().clone()
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
            && !std::thread::panicking()
        {
            panic!("the service panicked");
        }
    }
}
