//! The vocabulary: a service driven by a script, and a gateway's side to call it with.

use std::cell::Cell;
use std::future::Future;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::io::AsyncReadExt;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpListener;
use tokio::net::TcpStream;
use tokio::task::LocalSet;

use crate::clock::Alarms;
use crate::clock::Clock;
use crate::clock::Moment;
use crate::http::Body;
use crate::http::Buffers;
use crate::http::Method;
use crate::upstream::Address;
use crate::upstream::Answer;
use crate::upstream::Balance;
use crate::upstream::Config;
use crate::upstream::HostConfig;
use crate::upstream::Outbound;
use crate::upstream::Pools;
use crate::upstream::SendError;
use crate::upstream::Shared;
use crate::upstream::Upstream;

/// Runs a test on a worker of its own.
pub(in crate::upstream) fn run(test: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    LocalSet::new().block_on(&runtime, test);
}

/// Lets every other task run as far as it can, with the network in between.
pub(in crate::upstream) async fn settle() {
    for _ in 0..200 {
        tokio::task::yield_now().await;
    }
}

/// A service.
pub(in crate::upstream) struct Backend {
    pub(in crate::upstream) address: SocketAddr,
    seen: Rc<Seen>,
}

#[derive(Default)]
struct Seen {
    connections: Cell<u32>,
    requests: Cell<u32>,
    closed: Cell<u32>,
}

impl Backend {
    /// Each connection is given to `script`, with its number from 1.
    pub(in crate::upstream) async fn start<F: Future<Output = ()> + 'static>(
        script: impl Fn(Talk) -> F + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let seen = Rc::new(Seen::default());
        let counts = Rc::clone(&seen);
        tokio::task::spawn_local(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                stream.set_nodelay(true).unwrap();
                counts.connections.set(counts.connections.get() + 1);
                let number = counts.connections.get();
                let talk = Talk { stream, number, seen: Rc::clone(&counts), buffer: Vec::new() };
                tokio::task::spawn_local(script(talk));
            }
        });
        Self { address, seen }
    }

    /// Answers every request on every connection with `answer`.
    pub(in crate::upstream) async fn answering(answer: &'static str) -> Self {
        Self::start(move |mut talk| async move {
            while talk.request().await.is_some() {
                talk.send(answer).await;
            }
        })
        .await
    }

    /// Requests whose head and body arrived in full.
    pub(in crate::upstream) fn requests(&self) -> u32 {
        self.seen.requests.get()
    }

    /// Connections accepted.
    pub(in crate::upstream) fn connections(&self) -> u32 {
        self.seen.connections.get()
    }

    /// Connections whose end was seen while a request was awaited.
    pub(in crate::upstream) fn closed(&self) -> u32 {
        self.seen.closed.get()
    }

    pub(in crate::upstream) fn host(&self) -> HostConfig {
        host(self.address)
    }
}

pub(in crate::upstream) fn host(address: SocketAddr) -> HostConfig {
    let tcp = Address::Tcp { host: address.ip().to_string(), port: address.port(), tls: false };
    HostConfig { address: tcp, weight: 1, backup: false }
}

/// An address where nobody listens. It stays taken: no other test is given it meanwhile.
pub(in crate::upstream) fn nobody() -> HostConfig {
    let taken = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    taken.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into()).unwrap();
    let address = taken.local_addr().unwrap().as_socket().unwrap();
    std::mem::forget(taken);
    host(address)
}

/// One connection from the service's end.
pub(in crate::upstream) struct Talk {
    pub(in crate::upstream) stream: TcpStream,
    pub(in crate::upstream) number: u32,
    seen: Rc<Seen>,
    buffer: Vec<u8>,
}

impl Talk {
    /// The next request's head, its body read too when its length is told; `None` when the connection ended.
    pub(in crate::upstream) async fn request(&mut self) -> Option<String> {
        let head = self.head().await?;
        let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
        let length: usize = length.map_or(0, |length| length.parse().unwrap());
        while self.buffer.len() < length {
            self.read().await?;
        }
        self.buffer.drain(..length);
        self.count();
        Some(head)
    }

    /// The next request's head alone.
    pub(in crate::upstream) async fn head(&mut self) -> Option<String> {
        loop {
            if let Some(at) = self.buffer.windows(4).position(|window| window == b"\r\n\r\n") {
                let head: Vec<u8> = self.buffer.drain(..at + 4).collect();
                return Some(String::from_utf8(head).unwrap());
            }
            if self.read().await.is_none() {
                self.seen.closed.set(self.seen.closed.get() + 1);
                return None;
            }
        }
    }

    /// Everything that arrives, up to and with `end`.
    pub(in crate::upstream) async fn until(&mut self, end: &[u8]) -> Option<Vec<u8>> {
        while !self.buffer.ends_with(end) {
            self.read().await?;
        }
        Some(std::mem::take(&mut self.buffer))
    }

    pub(in crate::upstream) fn count(&self) {
        self.seen.requests.set(self.seen.requests.get() + 1);
    }

    pub(in crate::upstream) async fn read(&mut self) -> Option<usize> {
        match self.stream.read_buf(&mut self.buffer).await {
            Ok(0) | Err(_) => None,
            Ok(length) => Some(length),
        }
    }

    pub(in crate::upstream) async fn send(&mut self, bytes: impl AsRef<[u8]>) {
        // a gateway that left is what some tests are about
        let _ = self.stream.write_all(bytes.as_ref()).await;
    }

    /// Ends the connection with a reset.
    pub(in crate::upstream) fn reset(self) {
        socket2::SockRef::from(&self.stream).set_linger(Some(Duration::ZERO)).unwrap();
    }
}

/// The gateway's side.
pub(in crate::upstream) struct Gate {
    pub(in crate::upstream) clock: Clock,
    pub(in crate::upstream) pools: Rc<Pools>,
    pub(in crate::upstream) alarms: Alarms,
    pub(in crate::upstream) upstream: Rc<Upstream>,
}

impl Gate {
    /// An upstream of these hosts, asked in the order given, on the machine's clock.
    pub(in crate::upstream) fn to(hosts: Vec<HostConfig>) -> Self {
        Self::with(hosts, Clock::real(), |_| {})
    }

    /// As declared by `change`, on `clock`.
    pub(in crate::upstream) fn with(hosts: Vec<HostConfig>, clock: Clock, change: impl FnOnce(&mut Config)) -> Self {
        let mut config = config(hosts);
        change(&mut config);
        let alarms = Alarms::default();
        let pools = Pools::new(&clock, &alarms, &Buffers::default(), 1);
        let upstream = Rc::new(Upstream::new(Shared::new(config, None).unwrap(), Rc::clone(&pools)));
        let (ticking, ticked) = (clock.clone(), alarms.clone());
        tokio::task::spawn_local(async move {
            loop {
                ticking.sleep(Alarms::TICK).await;
                ticked.tick(ticking.now());
            }
        });
        Self { clock, pools, alarms, upstream }
    }

    /// Turns a fake clock, in steps that alarms notice.
    pub(in crate::upstream) async fn advance(&self, by: Duration) {
        settle().await;
        self.clock.advance(by);
        self.alarms.tick(self.clock.now());
        settle().await;
    }

    pub(in crate::upstream) async fn send(&self, outbound: Outbound) -> Result<Answer, SendError> {
        self.upstream.send(outbound).await.map_err(|failed| failed.error)
    }

    pub(in crate::upstream) async fn get(&self) -> Result<Answer, SendError> {
        self.send(get("/")).await
    }

    /// The status and body of an answer to `GET /`.
    pub(in crate::upstream) async fn text(&self) -> (u16, String) {
        text(self.get().await.unwrap()).await
    }

    /// Requests counted as in flight, over all hosts.
    pub(in crate::upstream) fn in_flight(&self) -> u32 {
        let members: Arc<Vec<_>> = self.upstream.shared().members();
        members.iter().map(|member| member.host.in_flight()).sum()
    }
}

pub(in crate::upstream) fn config(hosts: Vec<HostConfig>) -> Config {
    let place = ("gateway.lua".into(), 1);
    Config { balance: Balance::First, place, ..Config::new("service", hosts) }
}

pub(in crate::upstream) fn get(target: &str) -> Outbound {
    Outbound {
        method: Method::Get,
        target: target.into(),
        host: None,
        fields: b"accept: */*\r\n".to_vec(),
        body: Body::Empty,
        upgrade: None,
        repeatable: true,
        deadline: Moment::NEVER,
        retry: None,
        began: None,
        hear: None,
        ends: None,
        key: 0,
    }
}

pub(in crate::upstream) fn post(body: impl Into<Bytes>) -> Outbound {
    let body = Body::from(body.into());
    Outbound { method: Method::Post, body, repeatable: false, ..get("/") }
}

/// Status and whole body.
pub(in crate::upstream) async fn text(mut answer: Answer) -> (u16, String) {
    let body = answer.response.body.collect(1 << 24).await.unwrap();
    (answer.response.status, String::from_utf8(body.to_vec()).unwrap())
}

/// An answer with this body.
pub(in crate::upstream) const OK: &str = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";
