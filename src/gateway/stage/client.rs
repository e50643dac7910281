//! The client's side of a test: requests through memory into the gateway, by the same client that speaks to services.

use std::cell::Cell;
use std::cell::RefCell;
use std::net::IpAddr;
use std::net::Ipv4Addr;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

use tokio::io::DuplexStream;
use url::Url;

use crate::clock::Moment;
use crate::downstream::Peer;
use crate::downstream::Stream;
use crate::http::Body;
use crate::http::Method;
use crate::http::Response;
use crate::http::message::Duplex;
use crate::proxy;
use crate::proxy::Worker;
use crate::script::suite::Answered;
use crate::script::suite::Asked;
use crate::upstream;
use crate::upstream::Address;
use crate::upstream::Connector;
use crate::upstream::HostConfig;
use crate::upstream::Outbound;
use crate::upstream::Pools;
use crate::upstream::Upstream;

/// Sends the requests of tests.
pub(in crate::gateway) struct Client {
    front: Rc<Front>,
    gateway: Upstream,
    asked: Cell<u16>,
}

/// One request's place: who sends it, and where to.
pub(in crate::gateway) struct Seat {
    /// Where it comes from; the port tells requests apart.
    pub(in crate::gateway) from: SocketAddr,
    /// Whether it asks for https.
    pub(in crate::gateway) secure: bool,
    host: String,
    target: String,
}

impl Seat {
    /// Path and query.
    pub(in crate::gateway) fn target(&self) -> &str {
        &self.target
    }

    /// Whom it asks.
    pub(in crate::gateway) fn host(&self) -> &str {
        &self.host
    }
}

/// What a connection of the client's leads to.
struct Front {
    worker: Rc<Worker>,
    peer: RefCell<Peer>,
}

impl Connector for Front {
    fn stands_for(&self, _: &str) -> bool {
        true
    }

    fn connect(&self, _: &str, _: &str) -> Result<DuplexStream, String> {
        let (ours, theirs) = tokio::io::duplex(ROOM);
        let serving = proxy::serve(Rc::clone(&self.worker), Stream::Memory(theirs), *self.peer.borrow());
        tokio::task::spawn_local(serving);
        Ok(ours)
    }
}

impl Client {
    pub(in crate::gateway) fn new(worker: &Rc<Worker>) -> Self {
        let front = Rc::new(Front { worker: Rc::clone(worker), peer: RefCell::default() });
        let pools = Pools::new(&worker.clock, &worker.alarms, &worker.buffers, 1);
        pools.offline(Rc::clone(&front) as Rc<_>, 0);
        let address = Address::Tcp { host: "127.0.0.1".into(), port: 80, tls: false };
        let config = upstream::Config {
            timeout: upstream::Timeouts { connect: PATIENCE, response: PATIENCE, idle: PATIENCE },
            retry: upstream::Retry { times: 0, ..upstream::Retry::default() },
            // Each request comes by a connection of its own, and so from a port of its own.
            pool: upstream::Pool { max: u32::MAX, idle: Duration::ZERO, ..upstream::Pool::default() },
            ..upstream::Config::new("the gateway", vec![HostConfig { address, weight: 1, backup: false }])
        };
        Self { front, gateway: Upstream::new(upstream::Shared::offline(config), pools), asked: Cell::new(0) }
    }

    /// Where `asked` comes from and goes to.
    pub(in crate::gateway) fn seat(&self, asked: &Asked) -> Result<Seat, String> {
        self.asked.set(self.asked.get().wrapping_add(1));
        let from = SocketAddr::new(asked.ip.unwrap_or(IpAddr::V4(Ipv4Addr::LOCALHOST)), self.asked.get().max(1));
        let named = asked.headers.iter().find(|(name, _)| name.eq_ignore_ascii_case("host"));
        let named = named.map(|(_, host)| host.clone());
        if !asked.url.contains("://") {
            let (host, target) = (named.unwrap_or_else(|| "localhost".to_owned()), asked.url.clone());
            return Ok(Seat { from, secure: false, host, target });
        }
        let url = Url::parse(&asked.url).map_err(|fault| format!("`{}` is no URL: {fault}", asked.url))?;
        let host = match (url.host_str(), url.port()) {
            (Some(host), Some(port)) => format!("{host}:{port}"),
            (Some(host), None) => host.to_owned(),
            (None, _) => return Err(format!("`{}` names no host", asked.url)),
        };
        let query = url.query().map(|query| format!("?{query}")).unwrap_or_default();
        let target = format!("{}{query}", url.path());
        Ok(Seat { from, secure: url.scheme() == "https", host: named.unwrap_or(host), target })
    }

    /// Sends it, and waits for the whole answer.
    pub(in crate::gateway) async fn send(&self, seat: &Seat, asked: &Asked) -> Result<Answered, String> {
        whole(self.head(seat, asked).await?).await
    }

    /// The same, with what the connection has become where that is a tunnel.
    pub(super) async fn open(&self, seat: &Seat, asked: &Asked) -> Result<(Answered, Option<Box<dyn Duplex>>), String> {
        let mut response = self.head(seat, asked).await?;
        let tunnel = response.tunnel.take();
        Ok((whole(response).await?, tunnel))
    }

    /// Sends it, and waits for the answer's head.
    async fn head(&self, seat: &Seat, asked: &Asked) -> Result<Response, String> {
        // Taken when the connection is made, which is before anything is waited for: a pool of this size is never full.
        let local = SocketAddr::from((Ipv4Addr::LOCALHOST, if seat.secure { 443 } else { 80 }));
        *self.front.peer.borrow_mut() = Peer { address: Some(seat.from), local: Some(local) };
        let mut fields = Vec::new();
        let own = ["host", "content-length", "transfer-encoding", "connection", "upgrade"];
        for (name, value) in &asked.headers {
            if !own.iter().any(|own| name.eq_ignore_ascii_case(own)) {
                fields.extend_from_slice(format!("{name}: {value}\r\n").as_bytes());
            }
        }
        let upgrade = asked.headers.iter().find(|(name, _)| name.eq_ignore_ascii_case("upgrade"));
        let outbound = Outbound {
            method: Method::of(&asked.method),
            target: seat.target.clone(),
            host: Some(Rc::from(seat.host.as_str())),
            fields,
            body: Body::from(asked.body.clone()),
            upgrade: upgrade.map(|(_, protocol)| protocol.to_ascii_lowercase()),
            repeatable: false,
            deadline: Moment::NEVER,
            retry: None,
            began: None,
            hear: None,
            ends: None,
            key: 0,
        };
        let answer = self.gateway.send(outbound).await;
        Ok(answer.map_err(|fault| format!("the gateway did not answer: {fault}"))?.response)
    }
}

/// The answer with its whole body.
async fn whole(mut response: Response) -> Result<Answered, String> {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let headers = response.headers.iter().map(|(_, name, value)| (text(name).to_ascii_lowercase(), text(value)));
    let headers = headers.collect();
    let mut answered = Answered { status: response.status, headers, ..Answered::default() };
    let mut body = Vec::new();
    loop {
        match response.body.chunk().await {
            Some(Ok(piece)) if body.len() + piece.len() <= LARGEST => body.extend_from_slice(&piece),
            Some(Ok(_)) => return Err("the answer has more than 64 MB".to_owned()),
            Some(Err(_)) => answered.cut = true,
            None => break,
        }
        if answered.cut {
            break;
        }
    }
    answered.body = body.into();
    Ok(answered)
}

/// Bytes on their way between two ends.
const ROOM: usize = 64 << 10;
/// A test's client waits as long as it takes.
const PATIENCE: Duration = Duration::from_secs(365 * 24 * 60 * 60);
/// The most of an answer that is kept.
const LARGEST: usize = 64 << 20;
