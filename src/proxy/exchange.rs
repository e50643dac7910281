//! One request and its answer, owned by one worker for as long as it lives.

use std::any::Any;
use std::cell::Cell;
use std::cell::OnceCell;
use std::cell::RefCell;
use std::net::IpAddr;
use std::net::SocketAddr;
use std::rc::Rc;

use crate::clock::Moment;
use crate::http::Request;
use crate::proxy::Failure;
use crate::route::Params;

/// What belongs to one request: shared between the data path and the hooks of one worker, by `Rc`.
///
/// Interior cells are borrowed for an instant only, never across an await.
pub struct Exchange {
    /// The request as it will be sent on; steps edit it in place.
    pub request: RefCell<Request>,
    /// The peer's socket address; `None` on a Unix socket.
    pub peer: Option<SocketAddr>,
    /// The client's address after `trust_proxies`.
    pub client: Cell<Option<IpAddr>>,
    /// The route's index in the plan, once chosen.
    pub route: Cell<Option<usize>>,
    /// Path parameters, percent-decoded.
    pub params: RefCell<Params>,
    /// The request id: a trusted client's, else a UUIDv7 made on first use.
    pub id: OnceCell<Rc<str>>,
    /// When the head was complete.
    pub started: Moment,
    /// When the answer's head must be there.
    pub deadline: Cell<Moment>,
    /// The failure in force, if the answer is one.
    pub failure: RefCell<Option<Rc<Failure>>>,
    /// What the log will say.
    pub record: RefCell<Record>,
    /// The hooks' own state (handles, `ctx`, coroutines); dropped with the exchange.
    pub hooks: RefCell<Option<Box<dyn Any>>>,
    /// The worker this request lives on.
    pub worker: Rc<crate::proxy::Worker>,
    /// The generation this request is pinned to.
    pub site: Rc<crate::proxy::Site>,
}

/// Facts of an exchange for the access log, metrics and `on_log`.
#[derive(Clone, Debug, Default)]
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
    /// The trace id (32 hex digits).
    pub trace: Option<Box<str>>,
    /// The failure's code when there is one, or `client.gone`.
    pub reason: Option<Rc<str>>,
    /// From start to the last byte, in nanoseconds.
    pub took: u64,
}
