//! One request and its answer, owned by one worker for as long as it lives.

use std::any::Any;
use std::cell::Cell;
use std::cell::OnceCell;
use std::cell::RefCell;
use std::net::IpAddr;
use std::net::SocketAddr;
use std::rc::Rc;

use std::time::Duration;

use crate::clock::Moment;
use crate::downstream::Arrival;
use crate::downstream::tls::Session;
use crate::http::Headers;
use crate::http::Request;
use crate::http::Response;
use crate::http::headers::Known;
use crate::http::hex;
use crate::net::Certificate;
use crate::proxy::Failure;
use crate::proxy::User;
use crate::proxy::cors::Standing;
use crate::proxy::limits::Limits;
use crate::proxy::request_id::RequestId;
use crate::proxy::site::Setting;
use crate::proxy::trace::Trace;
use crate::proxy::tunnel::Place;
use crate::route::Params;
use crate::upstream::Hear;

/// What belongs to one request: shared between the data path and the hooks of one worker, by `Rc`.
///
/// Interior cells are borrowed for an instant only, never across an await.
pub struct Exchange {
    /// The request as it will be sent on; steps edit it in place.
    pub request: RefCell<Box<Request>>,
    /// The peer's socket address; `None` on a Unix socket.
    pub peer: Option<SocketAddr>,
    /// How the connection came in, where there is more to say than its address: TLS, a client's certificate.
    pub arrival: OnceCell<Rc<Arrival>>,
    /// The client's address after `trust_proxies`.
    pub client: Cell<Option<IpAddr>>,
    /// The route's index in the plan, once chosen.
    pub route: Cell<Option<usize>>,
    /// Path parameters, percent-decoded.
    pub params: RefCell<Params>,
    /// Who the caller is, once a step knows.
    pub user: User,
    /// Query parameters that a validation read as something else than text.
    pub typed: RefCell<Vec<(Box<str>, serde_json::Value)>>,
    /// The request id: a trusted client's, else a UUIDv7 made on first use.
    pub id: OnceCell<RequestId>,
    /// When the head was complete.
    pub started: Moment,
    /// When the answer's head must be there.
    pub deadline: Cell<Moment>,
    /// When the answer's last byte must be there; [`Moment::NEVER`] without `timeout.total`.
    pub end: Cell<Moment>,
    /// The trace this request belongs to, begun or carried on when first asked for.
    pub trace: OnceCell<Trace>,
    /// Why no route was chosen: what [`crate::proxy::forward()`] answers then.
    pub unrouted: RefCell<Option<Unrouted>>,
    /// The cross-origin policy in force and the origin it decides about; found once, only where there is one.
    pub cors: OnceCell<Option<Standing>>,
    /// What steps asked to be done to the answer once it is known, whatever it is; the last asked is done first.
    pub finishers: RefCell<Vec<Finisher>>,
    /// What limits said, and the permits held.
    pub limits: Limits,
    /// The failure in force, if the answer is one.
    pub failure: RefCell<Option<Rc<Failure>>>,
    /// What the log will say.
    pub record: RefCell<Record>,
    /// The hooks' own state (handles, `ctx`, coroutines); dropped with the exchange.
    pub hooks: RefCell<Option<Box<dyn Any>>>,
    /// Its place among its route's upgraded connections, from the handshake on.
    pub place: Cell<Option<Place>>,
    /// What a service said ahead of its answer (103), until the client is told.
    pub hints: RefCell<Vec<Headers>>,
    /// Functions talk on its socket: the request as such is over.
    pub upgraded: Cell<bool>,
    /// The exchange this one is the twin of, see [`Exchange::twin`].
    pub twin_of: Option<Rc<Self>>,
    /// The worker this request lives on.
    pub worker: Rc<crate::proxy::Worker>,
    /// The generation this request is pinned to.
    pub site: Rc<crate::proxy::Site>,
}

/// Does something to an answer on its way out, after every function.
pub type Finisher = Rc<dyn Fn(&Exchange, &mut Response)>;

/// Why a request has no route.
#[derive(Clone, Debug)]
pub enum Unrouted {
    /// Nothing matches.
    None,
    /// The path exists for these methods only.
    Method(String),
    /// The other form of a trailing slash: the path to redirect to.
    Redirect(String),
}

impl Exchange {
    /// The request id: a trusted client's, else a UUIDv7 (RFC 9562) made on first use.
    pub fn id(&self) -> &RequestId {
        self.id.get_or_init(|| {
            let millis = self.worker.clock.turn_millis();
            RequestId::Made(hex::uuid7(millis, (self.worker.chance(), self.worker.chance())))
        })
    }

    /// The trace, carried on from the client's `traceparent` or begun here.
    pub fn trace(&self) -> &Trace {
        self.trace.get_or_init(|| {
            let request = self.request.borrow();
            Trace::of(request.headers.known(Known::Traceparent).next(), &mut || self.worker.chance())
        })
    }

    /// The TLS session this request came by.
    pub fn tls(&self) -> Option<&Session> {
        self.arrival.get()?.tls.as_deref()
    }

    /// The certificate the client showed, which `client_ca` signed.
    pub fn client_certificate(&self) -> Option<&Certificate> {
        self.tls()?.client.as_ref()
    }

    /// The settings of the chosen route.
    pub fn setting(&self) -> Option<&Setting> {
        self.site.shared.settings.get(self.route.get()?)
    }

    /// How much of the request's time is left.
    pub fn left(&self) -> Duration {
        self.deadline.get().since(self.worker.clock.now())
    }

    /// Puts `failure` in force and into the record.
    pub fn fail(&self, failure: &Rc<Failure>) {
        self.record.borrow_mut().reason = Some(Rc::from(failure.code.as_str()));
        *self.failure.borrow_mut() = Some(Rc::clone(failure));
    }
}

impl Hear for Exchange {
    fn hint(&self, fields: Headers) {
        self.hints.borrow_mut().push(fields);
    }
}

/// Facts of an exchange for the access log, metrics and `on_log`.
#[derive(Clone, Default)]
pub struct Record {
    /// Status sent; 0 while none was.
    pub status: u16,
    /// Who made the answer.
    pub origin: crate::http::message::Origin,
    /// Body bytes received from the client.
    pub bytes_in: u64,
    /// Body bytes sent to the client.
    pub bytes_out: u64,
    /// The upstream asked last.
    pub upstream: Option<Rc<str>>,
    /// The host asked last.
    pub host: Option<Rc<str>>,
    /// How many attempts were made.
    pub attempts: u32,
    /// From the first byte of the attempt to the answer's head, in nanoseconds.
    pub upstream_time: u64,
    /// The failure's code when there is one, or `client.gone`.
    pub reason: Option<Rc<str>>,
    /// From start to the last byte, in nanoseconds.
    pub took: u64,
    /// Further fields of the access log line.
    pub noted: Vec<(String, serde_json::Value)>,
    /// No access log line for this one.
    pub silent: bool,
    /// The fields of the answer, where a function is going to look at what was sent.
    pub headers: Option<Box<Headers>>,
}
