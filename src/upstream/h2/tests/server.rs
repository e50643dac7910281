//! The vocabulary: services that speak HTTP/2, one by the book and one frame by frame.

use std::cell::Cell;
use std::future::Future;
use std::future::poll_fn;
use std::net::SocketAddr;
use std::pin::pin;
use std::rc::Rc;
use std::task::Poll;

use bytes::Bytes;
use h2::RecvStream;
use h2::SendStream;
use h2::server::Builder;
use h2::server::SendResponse;
use http::HeaderMap;
use http::Request;
use tokio::io::AsyncRead;
use tokio::io::AsyncReadExt;
use tokio::io::AsyncWrite;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpListener;
use tokio::net::TcpStream;

use crate::clock::Clock;
use crate::upstream::Config;
use crate::upstream::HostConfig;
use crate::upstream::Protocol;
use crate::upstream::tests::backend::Gate;
use crate::upstream::tests::backend::host;

/// One request from the service's end.
pub(super) struct Call {
    pub(super) head: Request<()>,
    pub(super) body: RecvStream,
    pub(super) respond: SendResponse<Bytes>,
    /// On which connection, from 1.
    pub(super) connection: u32,
}

impl Call {
    /// Begins the answer.
    pub(super) fn begin(&mut self, status: u16) -> SendStream<Bytes> {
        let head = http::Response::builder().status(status).body(()).unwrap();
        self.respond.send_response(head, false).unwrap()
    }

    /// The whole answer.
    pub(super) fn answer(&mut self, status: u16, body: &'static str) {
        self.begin(status).send_data(Bytes::from_static(body.as_bytes()), true).unwrap();
    }

    /// The whole body and its trailers.
    pub(super) async fn read(&mut self) -> (Vec<u8>, Option<HeaderMap>) {
        let mut whole = Vec::new();
        while let Some(piece) = self.body.data().await {
            let Ok(piece) = piece else { break };
            self.body.flow_control().release_capacity(piece.len()).unwrap();
            whole.extend_from_slice(&piece);
        }
        (whole, self.body.trailers().await.ok().flatten())
    }

    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.head.headers().get(name).map(|value| value.to_str().unwrap())
    }
}

/// A service.
pub(super) struct Server {
    pub(super) address: SocketAddr,
    pub(super) connections: Rc<Cell<u32>>,
    pub(super) requests: Rc<Cell<u32>>,
    /// Connections that ended.
    pub(super) closed: Rc<Cell<u32>>,
}

impl Server {
    /// Each request is given to `script`.
    pub(super) async fn start<F: Future<Output = ()> + 'static>(script: impl Fn(Call) -> F + 'static) -> Self {
        Self::with(Builder::new(), script).await
    }

    /// As `terms` say.
    pub(super) async fn with<F: Future<Output = ()> + 'static>(
        terms: Builder,
        script: impl Fn(Call) -> F + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let server = Self { address, connections: Rc::default(), requests: Rc::default(), closed: Rc::default() };
        let (connections, requests, closed) =
            (Rc::clone(&server.connections), Rc::clone(&server.requests), Rc::clone(&server.closed));
        let script = Rc::new(script);
        tokio::task::spawn_local(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                connections.set(connections.get() + 1);
                let number = connections.get();
                let (script, requests, closed) = (Rc::clone(&script), Rc::clone(&requests), Rc::clone(&closed));
                let terms = terms.clone();
                tokio::task::spawn_local(async move {
                    serve(stream, &terms, number, &requests, &*script).await;
                    closed.set(closed.get() + 1);
                });
            }
        });
        server
    }

    pub(super) fn host(&self) -> HostConfig {
        host(self.address)
    }
}

/// Serves one connection; each request is counted and given to `script`.
pub(super) async fn serve<F: Future<Output = ()> + 'static>(
    stream: impl AsyncRead + AsyncWrite + Unpin,
    terms: &Builder,
    connection: u32,
    requests: &Cell<u32>,
    script: &impl Fn(Call) -> F,
) {
    let Ok(mut accepted) = terms.handshake(stream).await else { return };
    while let Some(Ok((request, respond))) = accepted.accept().await {
        requests.set(requests.get() + 1);
        let (head, body) = request.into_parts();
        let head = Request::from_parts(head, ());
        tokio::task::spawn_local(script(Call { head, body, respond, connection }));
    }
}

/// Both outcomes of two waits at the same time.
pub(super) async fn together<A, B>(one: impl Future<Output = A>, two: impl Future<Output = B>) -> (A, B) {
    let (mut one, mut two) = (pin!(one), pin!(two));
    let (mut first, mut second) = (None, None);
    poll_fn(|cx| {
        if first.is_none()
            && let Poll::Ready(outcome) = one.as_mut().poll(cx)
        {
            first = Some(outcome);
        }
        if second.is_none()
            && let Poll::Ready(outcome) = two.as_mut().poll(cx)
        {
            second = Some(outcome);
        }
        if first.is_some() && second.is_some() { Poll::Ready(()) } else { Poll::Pending }
    })
    .await;
    (first.unwrap(), second.unwrap())
}

/// The gateway's side of an HTTP/2 upstream.
pub(super) fn gate(hosts: Vec<HostConfig>, clock: Clock, change: impl FnOnce(&mut Config)) -> Gate {
    Gate::with(hosts, clock, |config| {
        config.protocol = Protocol::H2;
        change(config);
    })
}

pub(super) const DATA: u8 = 0;
pub(super) const HEADERS: u8 = 1;
pub(super) const RESET: u8 = 3;
pub(super) const SETTINGS: u8 = 4;
pub(super) const PING: u8 = 6;
pub(super) const GOAWAY: u8 = 7;
/// `:status: 200`, as HPACK has it.
pub(super) const STATUS_200: &[u8] = &[0x88];

/// A connection frame by frame.
pub(super) struct Raw {
    pub(super) stream: TcpStream,
}

#[derive(Debug)]
pub(super) struct Frame {
    pub(super) kind: u8,
    pub(super) flags: u8,
    pub(super) id: u32,
    pub(super) payload: Vec<u8>,
}

impl Raw {
    /// Each connection is given to `script` after the prefaces, with its number from 1.
    pub(super) async fn start<F: Future<Output = ()> + 'static>(
        script: impl Fn(Self, u32) -> F + 'static,
    ) -> HostConfig {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::task::spawn_local(async move {
            for number in 1.. {
                let (mut stream, _) = listener.accept().await.unwrap();
                let mut preface = [0; 24];
                stream.read_exact(&mut preface).await.unwrap();
                let mut raw = Self { stream };
                raw.send(SETTINGS, 0, 0, &[]).await;
                tokio::task::spawn_local(script(raw, number));
            }
        });
        host(address)
    }

    pub(super) async fn send(&mut self, kind: u8, flags: u8, id: u32, payload: &[u8]) {
        let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
        let mut frame = vec![length[1], length[2], length[3], kind, flags];
        frame.extend_from_slice(&id.to_be_bytes());
        frame.extend_from_slice(payload);
        let _ = self.stream.write_all(&frame).await;
    }

    /// The next frame; settings are acknowledged on the way.
    pub(super) async fn frame(&mut self) -> Option<Frame> {
        let mut head = [0; 9];
        self.stream.read_exact(&mut head).await.ok()?;
        let mut payload = vec![0; u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize];
        self.stream.read_exact(&mut payload).await.ok()?;
        let id = u32::from_be_bytes([head[5], head[6], head[7], head[8]]);
        let frame = Frame { kind: head[3], flags: head[4], id, payload };
        if frame.kind == SETTINGS && frame.flags == 0 {
            self.send(SETTINGS, 1, 0, &[]).await;
        }
        Some(frame)
    }

    /// The stream of the next request's head.
    pub(super) async fn head(&mut self) -> Option<u32> {
        self.next(HEADERS).await.map(|frame| frame.id)
    }

    /// The next frame of this kind.
    pub(super) async fn next(&mut self, kind: u8) -> Option<Frame> {
        loop {
            let frame = self.frame().await?;
            if frame.kind == kind {
                return Some(frame);
            }
        }
    }

    /// `ok` to the request on `id`.
    pub(super) async fn ok(&mut self, id: u32) {
        self.send(HEADERS, 4, id, STATUS_200).await;
        self.send(DATA, 1, id, b"ok").await;
    }
}
