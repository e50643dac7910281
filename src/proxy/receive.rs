//! A request becomes an exchange: who sent it, what may be believed of what it says about itself.

use std::cell::Cell;
use std::cell::OnceCell;
use std::cell::RefCell;
use std::rc::Rc;

use crate::clock::Moment;
use crate::downstream::Peer;
use crate::http::Request;
use crate::http::headers::Known;
use crate::net::identity;
use crate::proxy::Exchange;
use crate::proxy::Site;
use crate::proxy::User;
use crate::proxy::Worker;
use crate::proxy::exchange::Record;
use crate::proxy::limits::Limits;
use crate::proxy::request_id::RequestId;
use crate::proxy::watch;

impl Exchange {
    /// The exchange of a request whose head is complete.
    pub fn begin(worker: &Rc<Worker>, site: Rc<Site>, request: impl Into<Box<Request>>, peer: Peer) -> Rc<Self> {
        let mut request = request.into();
        let started = worker.clock.turn();
        let trust = &site.shared.plan.gateway.trust;
        let address = peer.address.map(|address| address.ip());
        let trusted = trust.believes(address);
        let client = trust.client(address, &request.headers);
        let id = OnceCell::new();
        drop_certificates(&mut request);
        if trusted {
            request.scheme = identity::scheme(&request.headers).unwrap_or(request.scheme);
            if let Some(given) = request.headers.known(Known::XRequestId).next().and_then(sound_id) {
                let _ = id.set(RequestId::Given(given.into()));
            }
        } else {
            drop_claims(&mut request);
        }
        let site = if site.shared.watches.is_armed() { watch::begin(worker, site, &mut request, client) } else { site };
        let deadline = started.after(site.shared.plan.gateway.timeout.head);
        worker.in_flight.set(worker.in_flight.get() + 1);
        worker.meter.active(1);
        Rc::new(Self {
            request: RefCell::new(request),
            peer: peer.address,
            arrival: OnceCell::new(),
            client: Cell::new(client),
            route: Cell::new(None),
            params: RefCell::default(),
            user: User::default(),
            typed: RefCell::default(),
            id,
            started,
            deadline: Cell::new(deadline),
            end: Cell::new(Moment::NEVER),
            trace: OnceCell::new(),
            unrouted: RefCell::default(),
            cors: OnceCell::new(),
            finishers: RefCell::default(),
            limits: Limits::default(),
            failure: RefCell::default(),
            record: RefCell::new(Record::default()),
            hooks: RefCell::default(),
            place: Cell::default(),
            hints: RefCell::default(),
            upgraded: Cell::new(false),
            twin_of: None,
            worker: Rc::clone(worker),
            site,
        })
    }
}

impl Drop for Exchange {
    fn drop(&mut self) {
        self.worker.in_flight.set(self.worker.in_flight.get() - 1);
        self.worker.meter.active(-1);
    }
}

/// A client's certificate is what its handshake showed, and never what somebody says about it: RFC 9440 §4 leaves no
/// way to tell a proxy's word from one that passed through it.
fn drop_certificates(request: &mut Request) {
    let is_word = |known, name: &[u8]| {
        known == Known::Other
            && (name.eq_ignore_ascii_case(b"client-cert") || name.eq_ignore_ascii_case(b"client-cert-chain"))
    };
    if request.headers.iter().any(|(known, name, _)| is_word(known, name)) {
        request.headers.retain(|known, name, _| !is_word(known, name));
    }
}

/// What only a trusted proxy may say (S-20, S-73) goes before any step could believe it.
fn drop_claims(request: &mut Request) {
    if request.headers.iter().any(|(known, ..)| is_claim(known)) {
        request.headers.retain(|known, _, _| !is_claim(known));
    }
}

fn is_claim(known: Known) -> bool {
    known.is_forwarding() || known == Known::XRealIp
}

/// An id another gateway gave: short, and nothing that could break a log line or a header.
fn sound_id(id: &[u8]) -> Option<&str> {
    let sound = (1..=128).contains(&id.len())
        && id.iter().all(|byte| byte.is_ascii_alphanumeric() || b"-_.:+/=".contains(byte));
    sound.then(|| std::str::from_utf8(id).ok()).flatten()
}
