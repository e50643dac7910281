//! A second exchange for the same request: what is made for everybody (an answer to be stored) must not depend on the one
//! client who happened to ask first, nor end when they leave.

use std::cell::Cell;
use std::cell::OnceCell;
use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use crate::clock::Moment;
use crate::http::Body;
use crate::http::Method;
use crate::http::Request;
use crate::proxy::Exchange;
use crate::proxy::User;
use crate::proxy::exchange::Record;
use crate::proxy::limits::Limits;

impl Exchange {
    /// The twin of this exchange: the same request, id, trace, route, caller and generation, with a record of its own and as
    /// much time as the route gives from now. HEAD becomes GET, and what concerns this client's own copy is left out:
    /// conditions and ranges (RFC 9110 §13, §14).
    pub fn twin(self: &Rc<Self>) -> Rc<Self> {
        let started = self.worker.clock.now();
        let limit = self.setting().map_or(DEFAULT, |setting| setting.timeout.head);
        let user = User::default();
        user.set_claims(self.user.claims());
        user.set_key(self.user.key());
        if self.user.is_known() {
            user.vouch();
        }
        self.worker.in_flight.set(self.worker.in_flight.get() + 1);
        self.worker.meter.active(1);
        // made where nobody asked for them yet: service, client and log are told the same
        let (_, _) = (self.id(), self.trace());
        Rc::new(Self {
            request: RefCell::new(Box::new(head(&self.request.borrow()))),
            peer: self.peer,
            arrival: self.arrival.clone(),
            client: self.client.clone(),
            route: self.route.clone(),
            params: RefCell::new(self.params.borrow().clone()),
            typed: RefCell::new(self.typed.borrow().clone()),
            user,
            id: self.id.clone(),
            started,
            deadline: Cell::new(started.after(limit)),
            end: Cell::new(Moment::NEVER),
            trace: self.trace.clone(),
            unrouted: RefCell::default(),
            failure: RefCell::default(),
            record: RefCell::new(Record::default()),
            hooks: RefCell::default(),
            cors: OnceCell::new(),
            finishers: RefCell::default(),
            limits: Limits::default(),
            place: Cell::default(),
            hints: RefCell::default(),
            upgraded: Cell::new(false),
            twin_of: Some(Rc::clone(self)),
            worker: Rc::clone(&self.worker),
            site: Rc::clone(&self.site),
        })
    }

    /// Whether this is `other`, or its twin.
    pub fn stands_for(self: &Rc<Self>, other: &Rc<Self>) -> bool {
        Rc::ptr_eq(self, other) || self.twin_of.as_ref().is_some_and(|twin| Rc::ptr_eq(twin, other))
    }
}

fn head(request: &Request) -> Request {
    let mut headers = request.headers.clone();
    for name in ["if-none-match", "if-modified-since", "if-match", "if-unmodified-since", "if-range", "range"] {
        headers.remove(name);
    }
    Request {
        method: if request.method == Method::Head { Method::Get } else { request.method.clone() },
        path: request.path.clone(),
        raw_path: request.raw_path.clone(),
        query: request.query.clone(),
        host: request.host.clone(),
        scheme: request.scheme,
        version: request.version,
        headers,
        upgrade: None,
        body: request.body.at_hand().map_or(Body::Empty, |bytes| Body::Full(bytes.clone())),
    }
}

const DEFAULT: Duration = Duration::from_secs(30);
