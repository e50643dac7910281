//! A connection with a small echo service behind it, and a raw client in front.

use std::cell::Cell;
use std::future::Future;
use std::future::poll_fn;
use std::pin::pin;
use std::rc::Rc;
use std::task::Context;
use std::task::Poll;
use std::time::Duration;

use bytes::Bytes;
use tokio::io::AsyncReadExt;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpListener;
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use tokio::task::LocalSet;

use crate::clock::Clock;
use crate::downstream::Connection;
use crate::downstream::Gone;
use crate::downstream::Limits;
use crate::downstream::Next;
use crate::downstream::Peer;
use crate::downstream::Stream;
use crate::downstream::Tools;
use crate::http::Body;
use crate::http::BodyError;
use crate::http::Method;
use crate::http::Request;
use crate::http::Response;
use crate::http::Source;

/// What the server's side saw, for the test to look at.
#[derive(Default)]
pub(super) struct Seen {
    pub requests: Cell<u32>,
    pub gone: Cell<Option<Gone>>,
    pub body: Cell<Option<BodyError>>,
    pub produced: Cell<usize>,
    pub received: Cell<u64>,
    pub reset: Cell<bool>,
}

pub(super) struct Rig {
    pub client: TcpStream,
    pub server: JoinHandle<()>,
    pub tools: Tools,
    pub seen: Rc<Seen>,
}

/// Runs `test` on a runtime as a worker has it.
pub(super) fn run(test: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    LocalSet::new().block_on(&runtime, async {
        let clock = Clock::real();
        clock.timeout(Duration::from_secs(20), test).await.expect("the test hangs");
    });
}

pub(super) fn fake() -> Clock {
    Clock::fake(Duration::from_secs(784_111_777))
}

/// A client and a served connection.
pub(super) async fn rig(limits: Limits, clock: Clock) -> Rig {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let client = TcpStream::connect(listener.local_addr().expect("bound")).await.expect("connected");
    client.set_nodelay(true).expect("a socket");
    let (stream, address) = listener.accept().await.expect("accepted");
    let tools = Tools { clock, ..Tools::default() };
    let seen = Rc::new(Seen::default());
    let peer = Peer { address: Some(address), local: None };
    let connection = Connection::new(Stream::Tcp(stream), peer, tools.clone());
    let server = tokio::task::spawn_local(serve(connection, limits, Rc::clone(&seen)));
    Rig { client, server, tools, seen }
}

pub(super) async fn usual() -> Rig {
    rig(Limits::default(), fake()).await
}

async fn serve(mut connection: Connection, limits: Limits, seen: Rc<Seen>) {
    loop {
        let (mut response, head) = match connection.next(&limits).await {
            Next::Closed => return,
            Next::Refused(refusal) => (Response::with(400, "text/plain", format!("{refusal:?}")), false),
            Next::Request(request) => {
                seen.requests.set(seen.requests.get() + 1);
                let head = request.method == Method::Head;
                if request.path == "/wait" {
                    connection.gone().await;
                    seen.reset.set(true);
                    return;
                }
                (answer(*request, &seen).await, head)
            }
        };
        let answered = connection.answer(&mut response, head).await;
        seen.received.set(connection.received());
        drop(response);
        if let Err(gone) = answered {
            seen.gone.set(Some(gone));
            return;
        }
    }
}

async fn answer(mut request: Request, seen: &Rc<Seen>) -> Response {
    let mut response = Response::new(200);
    match &*request.path {
        "/echo" => response.body = request.body,
        "/ignore" => response.body = Body::from("ignored".to_owned()),
        "/late" => {
            // answers while the body is still held
            response.body = Body::stream(Holding { _held: request.body, text: Body::from("late".to_owned()) });
        }
        "/empty" => {}
        "/204" => response.status = 204,
        "/304" => {
            response.status = 304;
            response.headers.set("content-length", "9");
        }
        "/endless" => response.body = Body::stream(Made { left: None, cut: false, seen: Rc::clone(seen) }),
        "/cut" => response.body = Body::stream(Made { left: Some(100_000), cut: true, seen: Rc::clone(seen) }),
        "/short" => {
            response.body = Body::stream(Announced { length: 10, made: Body::from("four".to_owned()) });
        }
        "/large" => response.body = Body::from("x".repeat(5_000_000)),
        "/pieces" => {
            response.body =
                Body::stream(Pieces { sizes: vec![1, 5000, 3, 70_000, 4096, 4097], at: 0, piece: Vec::new() })
        }
        _ => {
            let body = request.body.collect(1 << 20).await;
            let body = body.unwrap_or_else(|error| {
                seen.body.set(Some(error));
                Bytes::from(format!("{error:?}"))
            });
            let text = format!(
                "{} {} {} {} [{}]",
                request.method,
                request.path,
                request.query.as_deref().unwrap_or("-"),
                request.host,
                String::from_utf8_lossy(&body)
            );
            response.body = text.into();
        }
    }
    response
}

/// A body that says it has no known length and yields for ever, or breaks off.
struct Made {
    left: Option<usize>,
    cut: bool,
    seen: Rc<Seen>,
}

const PIECE: &[u8] = &[b'm'; 1000];

impl Source for Made {
    fn poll_fill(&mut self, _: &mut Context<'_>) -> Poll<Result<&[u8], BodyError>> {
        match self.left {
            Some(0) if self.cut => Poll::Ready(Err(BodyError::Cut)),
            Some(left) => Poll::Ready(Ok(&PIECE[..left.min(PIECE.len())])),
            None => Poll::Ready(Ok(PIECE)),
        }
    }

    fn consume(&mut self, n: usize) {
        self.seen.produced.set(self.seen.produced.get() + n);
        self.left = self.left.map(|left| left - n);
    }
}

/// A body that promises more than it has.
struct Announced {
    length: u64,
    made: Body,
}

impl Source for Announced {
    fn poll_fill(&mut self, cx: &mut Context<'_>) -> Poll<Result<&[u8], BodyError>> {
        self.made.poll_fill(cx)
    }

    fn consume(&mut self, n: usize) {
        self.length -= n as u64;
        self.made.consume(n);
    }

    fn left(&self) -> Option<u64> {
        Some(self.length)
    }
}

/// Holds a request's body while another one is sent.
struct Holding {
    _held: Body,
    text: Body,
}

impl Source for Holding {
    fn poll_fill(&mut self, cx: &mut Context<'_>) -> Poll<Result<&[u8], BodyError>> {
        self.text.poll_fill(cx)
    }

    fn consume(&mut self, n: usize) {
        self.text.consume(n);
    }
}

/// Pieces of these sizes, each at hand only at the second look, the bytes counting up.
struct Pieces {
    sizes: Vec<usize>,
    at: usize,
    piece: Vec<u8>,
}

impl Source for Pieces {
    fn poll_fill(&mut self, cx: &mut Context<'_>) -> Poll<Result<&[u8], BodyError>> {
        if self.piece.is_empty() && !self.sizes.is_empty() {
            let size = self.sizes.remove(0);
            self.piece = (self.at..self.at + size).map(|n| u8::try_from(n % 251).expect("small")).collect();
            self.at += size;
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        Poll::Ready(Ok(&self.piece))
    }

    fn consume(&mut self, n: usize) {
        self.piece.drain(..n);
    }
}

impl Rig {
    pub(super) async fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.client.write_all(bytes.as_ref()).await.expect("sent");
    }

    /// Everything until the server closes; an error is an end too.
    pub(super) async fn rest(&mut self) -> String {
        let mut bytes = Vec::new();
        let _ = self.client.read_to_end(&mut bytes).await;
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// Sends, ends the sending side, and reads to the end.
    pub(super) async fn ask(mut self, bytes: impl AsRef<[u8]>) -> String {
        self.send(bytes).await;
        self.client.shutdown().await.expect("half-closed");
        let text = self.rest().await;
        self.server.await.expect("no panic");
        text
    }

    /// Reads until `end` was seen.
    pub(super) async fn until(&mut self, end: &str) -> String {
        let mut bytes = Vec::new();
        while !bytes.ends_with(end.as_bytes()) {
            let n = self.client.read_buf(&mut bytes).await.expect("more");
            assert!(n > 0, "ended after {:?}", String::from_utf8_lossy(&bytes));
        }
        String::from_utf8(bytes).expect("text")
    }

    /// Turns the clock and lets the alarms ring.
    pub(super) async fn advance(&self, by: Duration) {
        settle().await;
        self.tools.clock.advance(by);
        self.tools.alarms.tick(self.tools.clock.now());
        settle().await;
    }

    /// Whether the server has finished with the connection by now.
    pub(super) async fn is_over(&mut self) -> bool {
        settle().await;
        self.server.is_finished()
    }
}

/// Lets everything that can run do so: what was sent over loopback arrives meanwhile.
pub(super) async fn settle() {
    for _ in 0..3 {
        let mut pause = pin!(Clock::real().sleep(Duration::from_millis(4)));
        poll_fn(|cx| pause.as_mut().poll(cx)).await;
    }
}

/// The bodies of a row of answers, without what changes from run to run.
pub(super) fn bodies(text: &str) -> Vec<&str> {
    text.split("HTTP/1.1 ").skip(1).map(|answer| answer.split_once("\r\n\r\n").map_or("", |(_, body)| body)).collect()
}
