//! What is noted of one request that somebody watches. Nothing of it is there for any other request: a watched one gets a
//! generation of its own, whose hooks and upstreams tell what they do. All that others pay is one look at a flag.

mod call;
pub mod order;
pub mod redact;
mod shelf;
mod spy;
mod story;
mod trail;

use std::cell::Cell;
use std::cell::RefCell;
use std::net::IpAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use crate::clock::Moment;
use crate::http::Request;
use crate::http::Response;
use crate::proxy::Exchange;
use crate::proxy::Site;
use crate::proxy::Worker;
use crate::proxy::site;
use call::Call;
use call::Passed;
use redact::Redactor;
pub use shelf::MOST_KEPT;
pub use shelf::Order;
pub use shelf::Shelf;
use spy::Spy;
pub use story::step;
pub use trail::Outcome;
pub use trail::Trail;
pub use trail::Trod;
pub use trail::key;

/// The field by which a request asks to be watched; it never goes on to a service.
pub const HEADER: &str = "x-moongate-trace";

/// One request, watched.
pub struct Watch {
    /// The steps it meets.
    pub trail: Trail,
    order: Arc<Order>,
    shared: Arc<site::Shared>,
    came: Came,
    began: Moment,
    /// The same on the wall's clock.
    at: Duration,
    /// Where the worker's chance stood.
    seed: u64,
    worker: usize,
    body: Rc<Passed>,
    /// The answer's body as the client gets it.
    sent: Rc<Passed>,
    calls: RefCell<Vec<Rc<Call>>>,
    /// When the answer's head was known, and what a cache did about it.
    head: Cell<Option<(Moment, Option<&'static str>)>>,
    /// Credentials that steps found.
    found: RefCell<Vec<Vec<u8>>>,
    closed: Cell<bool>,
}

/// The request as it came.
struct Came {
    method: String,
    host: String,
    target: String,
    scheme: &'static str,
    version: &'static str,
    client: Option<IpAddr>,
    fields: Vec<(String, String)>,
}

/// The generation of a request that begins while something is armed: its own, if somebody watches it.
#[cold]
pub(super) fn begin(worker: &Rc<Worker>, site: Rc<Site>, request: &mut Request, client: Option<IpAddr>) -> Rc<Site> {
    let signed = request.headers.text(HEADER).map(str::to_owned);
    request.headers.remove(HEADER);
    let now = worker.clock.now();
    let Some(order) = site.shared.watches.take(request, client, signed.as_deref(), now) else { return site };
    let most = if order.records { MOST_BODY } else { 0 };
    let watch = Rc::new(Watch {
        trail: Trail::default(),
        order,
        shared: Arc::clone(&site.shared),
        came: came(request, client),
        began: now,
        at: worker.clock.unix(),
        seed: worker.seed(),
        worker: worker.index,
        body: Passed::new(most),
        sent: Passed::new(most),
        calls: RefCell::default(),
        head: Cell::default(),
        found: RefCell::default(),
        closed: Cell::new(false),
    });
    request.body = watch.body.over(std::mem::take(&mut request.body));
    Rc::new(Site {
        shared: Arc::clone(&site.shared),
        upstreams: site.upstreams.iter().map(|upstream| Rc::new(upstream.watched(None))).collect(),
        hooks: Rc::new(Spy { script: Rc::clone(&site.hooks), watch: Rc::clone(&watch) }),
        watch: Some(watch),
    })
}

fn came(request: &Request, client: Option<IpAddr>) -> Came {
    let query = request.query.as_ref().map(|query| format!("?{query}")).unwrap_or_default();
    Came {
        method: request.method.as_str().to_owned(),
        host: request.host.to_string(),
        target: format!("{}{query}", request.raw_path()),
        scheme: request.scheme.as_str(),
        version: request.version.as_str(),
        client,
        fields: call::fields(&request.headers),
    }
}

impl Watch {
    /// A credential that a step found in the request: wherever it stands, it is not shown.
    pub fn hide(&self, credential: impl AsRef<[u8]>) {
        let mut found = self.found.borrow_mut();
        if found.len() < MOST_FOUND {
            found.push(credential.as_ref().to_vec());
        }
    }

    /// What hides credentials from whoever watches.
    pub fn redactor(&self) -> Redactor<'_> {
        Redactor { key: self.shared.watches.key(), secrets: &self.shared.secrets, found: self.found.borrow().clone() }
    }

    /// How much of a body is kept.
    fn keeps(&self) -> usize {
        self.body.most
    }

    /// Whether bodies are kept.
    fn records(&self) -> bool {
        self.order.records
    }

    /// The answer's head is known.
    fn answered(&self, exchange: &Exchange, response: &Response) {
        if exchange.twin_of.is_none() {
            self.head.set(Some((exchange.worker.clock.now(), response.cache)));
        }
    }

    /// The last byte is out, or nobody waits for it any more.
    fn close(&self, exchange: &Rc<Exchange>) {
        if exchange.twin_of.is_some() || self.closed.replace(true) {
            return;
        }
        let now = exchange.worker.clock.now();
        self.shared.watches.keep(&self.order, |id| self.story(id, exchange, now), now);
    }
}

/// The most of a body that a recording keeps.
const MOST_BODY: usize = 64 << 10;
/// Credentials that are looked for.
const MOST_FOUND: usize = 16;
