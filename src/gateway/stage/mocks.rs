//! What stands in for services: HTTP through memory, answered by the test.

mod socket;

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::collections::VecDeque;
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::task::Context;
use std::task::Poll;
use std::task::ready;
use std::time::Duration;

use bytes::Bytes;
use tokio::io::AsyncWriteExt as _;
use tokio::io::DuplexStream;

use crate::clock::Clock;
use crate::clock::Sleep;
use crate::downstream::Connection;
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
use crate::http::path::Ambiguous;
use crate::proxy::Worker;
use crate::script::suite::Call;
use crate::script::suite::Fault;
use crate::script::suite::Reply;
use crate::script::suite::StandIn;
use crate::upstream::Connector;

/// The stand-ins of one gateway.
pub(super) struct Mocks {
    tools: Tools,
    stand_ins: RefCell<BTreeMap<String, StandIn>>,
    /// Answers for every other upstream.
    fallback: RefCell<Option<StandIn>>,
    /// Upstreams that are down, whole or by host.
    down: RefCell<BTreeSet<(String, Option<String>)>>,
    trouble: RefCell<Option<String>>,
}

impl Mocks {
    pub(super) fn new(worker: &Rc<Worker>) -> Rc<Self> {
        Rc::new(Self {
            tools: worker.tools(),
            stand_ins: RefCell::default(),
            fallback: RefCell::default(),
            down: RefCell::default(),
            trouble: RefCell::default(),
        })
    }

    pub(super) fn put(&self, upstream: String, stand_in: StandIn) {
        self.stand_ins.borrow_mut().insert(upstream, stand_in);
    }

    /// `stand_in` answers for every upstream that has none of its own.
    pub(super) fn fall_back(&self, stand_in: StandIn) {
        *self.fallback.borrow_mut() = Some(stand_in);
    }

    fn find(&self, upstream: &str) -> Option<StandIn> {
        let own = self.stand_ins.borrow().get(upstream).cloned();
        own.or_else(|| self.fallback.borrow().clone())
    }

    pub(super) fn down(&self, upstream: String, host: Option<&str>, down: bool) {
        let entry = (upstream, host.map(str::to_owned));
        if down {
            self.down.borrow_mut().insert(entry);
        } else {
            self.down.borrow_mut().retain(|known| known.0 != entry.0 || (entry.1.is_some() && known.1 != entry.1));
        }
    }

    /// The first thing that the test has done wrong, once.
    pub(super) fn trouble(&self) -> Option<String> {
        self.trouble.take()
    }

    fn blame(&self, what: String) {
        self.trouble.borrow_mut().get_or_insert(what);
    }

    fn is_down(&self, upstream: &str, host: &str) -> bool {
        let down = self.down.borrow();
        down.iter().any(|(name, at)| name == upstream && at.as_deref().is_none_or(|at| at == host))
    }
}

/// The way to the stand-ins, for the pools of a worker.
pub(super) struct Line(pub(super) Rc<Mocks>);

impl Connector for Line {
    fn stands_for(&self, upstream: &str) -> bool {
        let down = self.0.down.borrow().iter().any(|(name, _)| name == upstream);
        down || self.0.find(upstream).is_some()
    }

    fn connect(&self, upstream: &str, host: &str) -> Result<DuplexStream, String> {
        if self.0.is_down(upstream, host) {
            return Err("connection refused".to_owned());
        }
        if self.0.find(upstream).is_none() {
            let said = format!("upstream `{upstream}` was called and has no mock: write gw:mock(\"{upstream}\", …)");
            self.0.blame(said);
            return Err("nothing stands in for it".to_owned());
        }
        let (ours, theirs) = tokio::io::duplex(ROOM);
        let (mocks, upstream, host) = (Rc::clone(&self.0), upstream.to_owned(), host.to_owned());
        tokio::task::spawn_local(async move { mocks.serve(theirs, &upstream, &host).await });
        Ok(ours)
    }
}

impl Mocks {
    async fn serve(&self, stream: DuplexStream, upstream: &str, host: &str) {
        let mut connection = Connection::new(Stream::Memory(stream), Peer::default(), self.tools.clone());
        let limits = Limits {
            path: Ambiguous::Keep,
            body: u64::MAX,
            headers: 1 << 20,
            header_count: 10_000,
            uri: 1 << 20,
            ..Limits::default()
        };
        while let Next::Request(request) = connection.next(&limits).await {
            let head = request.method == Method::Head;
            let key = socket::key(&request);
            let Some(call) = call(*request, upstream, host).await else { return };
            let Some(reply) = self.reply(call) else { return };
            if !reply.delay.is_zero() {
                self.tools.clock.sleep(reply.delay).await;
            }
            match reply.fault {
                Some(Fault::Reset) => return,
                Some(Fault::Hang) => std::future::pending().await,
                Some(Fault::Garbage) => {
                    if let Some((mut stream, _)) = connection.into_tunnel() {
                        // Who does not read it any more need not be told.
                        let _ = stream.write_all(b"this is no HTTP\r\n\r\n").await;
                    }
                    return;
                }
                Some(Fault::Cut) | None => {}
            }
            let attendant = reply.attendant.clone();
            let mut response = response(reply, &self.tools.clock);
            if let Some(attendant) = attendant {
                return self.talk(connection, response, key, attendant).await;
            }
            if connection.answer(&mut response, head).await.is_err() {
                return;
            }
        }
    }

    /// What the test answers; a mistake of its is noted, and looks like a service that breaks off.
    fn reply(&self, call: Call) -> Option<Reply> {
        let stand_in = self.find(&call.upstream)?;
        stand_in(call).map_err(|said| self.blame(said)).ok()
    }
}

async fn call(mut request: Request, upstream: &str, at: &str) -> Option<Call> {
    let body = request.body.collect(LARGEST).await.ok()?;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let headers = request.headers.iter().map(|(_, name, value)| (text(name).to_ascii_lowercase(), text(value)));
    Some(Call {
        upstream: upstream.to_owned(),
        at: at.to_owned(),
        method: request.method.as_str().to_owned(),
        path: request.raw_path().to_owned(),
        query: request.query.clone(),
        host: request.host.to_string(),
        headers: headers.collect(),
        body,
    })
}

fn response(reply: Reply, clock: &Clock) -> Response {
    let mut response = Response::new(reply.status);
    for (name, value) in &reply.headers {
        response.headers.add(name, value);
    }
    let cut = reply.fault == Some(Fault::Cut);
    if let [only] = &reply.pieces[..]
        && !cut
    {
        response.body = Body::from(only.clone());
    } else if !reply.pieces.is_empty() || cut {
        let pieces = Pieces { left: reply.pieces.into(), every: reply.every, wait: None, cut, clock: clock.clone() };
        response.body = Body::stream(pieces);
    }
    response
}

/// A body that comes in pieces, with time between them, and may break off instead of ending.
struct Pieces {
    left: VecDeque<Bytes>,
    every: Duration,
    wait: Option<Sleep>,
    cut: bool,
    clock: Clock,
}

impl Source for Pieces {
    fn poll_fill(&mut self, cx: &mut Context<'_>) -> Poll<Result<&[u8], BodyError>> {
        if let Some(wait) = &mut self.wait {
            ready!(Pin::new(wait).poll(cx));
            self.wait = None;
        }
        match self.left.front() {
            Some(piece) => Poll::Ready(Ok(piece)),
            None if self.cut => Poll::Ready(Err(BodyError::Cut)),
            None => Poll::Ready(Ok(&[])),
        }
    }

    fn consume(&mut self, n: usize) {
        let Some(piece) = self.left.front_mut() else { return };
        drop(piece.split_to(n.min(piece.len())));
        if piece.is_empty() {
            self.left.pop_front();
            if !self.every.is_zero() && !self.left.is_empty() {
                self.wait = Some(self.clock.sleep(self.every));
            }
        }
    }
}

/// Bytes on their way between two ends.
const ROOM: usize = 64 << 10;
/// The most of a body that a stand-in reads.
const LARGEST: usize = 64 << 20;
