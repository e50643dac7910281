//! What stands in for services: HTTP through memory, answered by the test.

mod answer;
mod socket;

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::future::Future;
use std::future::poll_fn;
use std::pin::pin;
use std::rc::Rc;
use std::task::Poll;

use tokio::io::AsyncWriteExt as _;
use tokio::io::DuplexStream;
use tokio::sync::Notify;

use crate::downstream::Connection;
use crate::downstream::Limits;
use crate::downstream::Next;
use crate::downstream::Peer;
use crate::downstream::Stream;
use crate::downstream::Tools;
use crate::http::Method;
use crate::http::Request;
use crate::http::path::Ambiguous;
use crate::proxy::Worker;
use crate::script::suite::Call;
use crate::script::suite::Fault;
use crate::script::suite::Reply;
use crate::script::suite::StandIn;
use crate::upstream::Connector;
use answer::response;

/// The stand-ins of one gateway.
pub(super) struct Mocks {
    tools: Tools,
    stand_ins: RefCell<BTreeMap<String, StandIn>>,
    /// Answers for every other upstream.
    fallback: RefCell<Option<StandIn>>,
    /// Upstreams that are down, whole or by host.
    down: RefCell<BTreeSet<(String, Option<String>)>>,
    /// Told when that changes: a host that goes down closes the connections it has.
    fallen: Notify,
    trouble: RefCell<Option<String>>,
}

impl Mocks {
    pub(super) fn new(worker: &Rc<Worker>) -> Rc<Self> {
        Rc::new(Self {
            tools: worker.tools(),
            stand_ins: RefCell::default(),
            fallback: RefCell::default(),
            down: RefCell::default(),
            fallen: Notify::new(),
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
            self.fallen.notify_waiters();
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
        while let Some(request) = self.next(&mut connection, &limits, upstream, host).await {
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

    /// The next request, unless the host goes down before it.
    async fn next(
        &self,
        connection: &mut Connection,
        limits: &Limits,
        upstream: &str,
        host: &str,
    ) -> Option<Box<Request>> {
        loop {
            let (mut fallen, mut coming) = (pin!(self.fallen.notified()), pin!(connection.next(limits)));
            let next = poll_fn(|cx| match fallen.as_mut().poll(cx) {
                Poll::Ready(()) => Poll::Ready(None),
                Poll::Pending => coming.as_mut().poll(cx).map(Some),
            });
            match next.await {
                Some(Next::Request(request)) => return Some(request),
                Some(Next::Refused(_) | Next::Closed) => return None,
                None if self.is_down(upstream, host) => return None,
                None => {}
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

/// Bytes on their way between two ends.
const ROOM: usize = 64 << 10;
/// The most of a body that a stand-in reads.
const LARGEST: usize = 64 << 20;
