//! The authority over our own HTTP client, with our own clock.

use std::cell::Cell;
use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::task::spawn_blocking;
use url::Url;

use crate::downstream::listener::Acme;
use crate::http::Body;
use crate::http::Headers;
use crate::http::Method;
use crate::proxy::Worker;
use crate::upstream;
use crate::upstream::Address;
use crate::upstream::HostConfig;
use crate::upstream::Outbound;
use crate::upstream::Upstream;
use crate::upstream::resolve;
use crate::upstream::resolve::Lookup;

/// A way to one authority.
pub(super) struct Client {
    worker: Rc<Worker>,
    ca: Option<String>,
    /// Clear text is spoken only where the directory is on this machine.
    clear: bool,
    /// How long the authority wants to be left alone after a refusal.
    patience: Rc<Cell<Duration>>,
    known: RefCell<Vec<(String, Rc<Upstream>)>>,
}

/// A whole answer.
pub(super) struct Answer {
    pub(super) status: u16,
    headers: Headers,
    pub(super) body: Bytes,
}

impl Answer {
    /// A field that is text.
    pub(super) fn text(&self, name: &str) -> Option<&str> {
        self.headers.text(name)
    }
}

impl Client {
    /// A client for `acme`; what an authority says about when to come back is noted in `patience`.
    pub(super) fn new(acme: &Acme, worker: Rc<Worker>, patience: Rc<Cell<Duration>>) -> Self {
        let ca = acme.ca.as_ref().map(|pem| pem.as_str().to_owned());
        let clear = acme.directory.starts_with("http://");
        Self { worker, ca, clear, patience, known: RefCell::default() }
    }

    /// Sends a request, with a signed body if it has one.
    pub(super) async fn ask(&self, method: Method, url: &str, signed: Option<Vec<u8>>) -> Result<Answer, String> {
        let url = Url::parse(url).map_err(|error| format!("the authority names {url}: {error}"))?;
        let upstream = self.upstream(&url).await?;
        let mut fields = format!("user-agent: moongate/{}\r\n", env!("CARGO_PKG_VERSION"));
        if signed.is_some() {
            fields.push_str("content-type: application/jose+json\r\n");
        }
        let outbound = Outbound {
            target: url.query().map_or_else(|| url.path().to_owned(), |query| format!("{}?{query}", url.path())),
            host: None,
            fields: fields.into_bytes(),
            body: signed.map_or(Body::Empty, |body| Body::from(Bytes::from(body))),
            upgrade: None,
            repeatable: method.is_safe(),
            deadline: self.worker.clock.now().after(PATIENCE),
            retry: None,
            began: None,
            hear: None,
            ends: None,
            key: 0,
            method,
        };
        let mut response = upstream.send(outbound).await.map_err(|error| error.to_string())?.response;
        let body = self.worker.clock.timeout(PATIENCE, response.body.collect(LARGEST)).await;
        let body = body.ok_or("the authority's answer does not end")?.map_err(|error| error.to_string())?;
        if response.status >= 400 {
            let seconds = upstream::retry_after(&response.headers, || self.worker.clock.unix());
            self.patience.set(Duration::from_secs(seconds.into()).min(LONGEST));
        }
        Ok(Answer { status: response.status, headers: response.headers, body })
    }

    async fn upstream(&self, url: &Url) -> Result<Rc<Upstream>, String> {
        let origin = url.origin().ascii_serialization();
        let known = self.known.borrow().iter().find(|(known, _)| *known == origin).map(|(_, found)| Rc::clone(found));
        if let Some(upstream) = known {
            return Ok(upstream);
        }
        let tls = url.scheme() == "https";
        let port = url.port_or_known_default().filter(|_| tls || (self.clear && url.scheme() == "http"));
        let (Some(host), Some(port)) = (url.host_str(), port) else {
            return Err(format!("the authority names {url}, which is no https:// address"));
        };
        let host = host.trim_start_matches('[').trim_end_matches(']').to_owned();
        let host = HostConfig { address: Address::Tcp { host, port, tls }, weight: 1, backup: false };
        let shared = upstream::Shared::new(self.config(&origin, host), None)?;
        let (asked, lookup) = ([Arc::clone(&shared)], Lookup::system());
        let faults = spawn_blocking(move || resolve::first(&asked, &lookup, CONNECT)).await;
        if let Some(fault) = faults.unwrap_or_default().pop() {
            return Err(fault);
        }
        let upstream = Rc::new(Upstream::new(shared, Rc::clone(&self.worker.pools)));
        self.known.borrow_mut().push((origin, Rc::clone(&upstream)));
        Ok(upstream)
    }

    fn config(&self, origin: &str, host: HostConfig) -> upstream::Config {
        upstream::Config {
            timeout: upstream::Timeouts { connect: CONNECT, ..upstream::Timeouts::default() },
            retry: upstream::Retry { times: 0, ..upstream::Retry::default() },
            tls: upstream::TlsConfig { ca: self.ca.clone(), ..upstream::TlsConfig::default() },
            ..upstream::Config::new(format!("acme {origin}"), vec![host])
        }
    }
}

/// For an answer's head, and for its body.
const PATIENCE: Duration = Duration::from_secs(60);
/// For a name, and for a connection.
const CONNECT: Duration = Duration::from_secs(10);
/// The longest an authority can put us off.
const LONGEST: Duration = Duration::from_secs(24 * 3600);
/// Chains are a few kilobytes.
const LARGEST: usize = 1 << 20;
