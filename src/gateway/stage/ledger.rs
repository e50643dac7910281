//! What becomes of each request of a test, noted beside the script's own hooks.

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;
use std::sync::Arc;

use serde_json::Value;

use super::client::Seat;
use crate::http::Response;
use crate::http::message::Scheme;
use crate::plan::Plan;
use crate::proxy::Exchange;
use crate::proxy::Failure;
use crate::proxy::Hooks;
use crate::proxy::Run;
use crate::proxy::Verdict;
use crate::proxy::Wants;
use crate::proxy::exchange::Record;
use crate::proxy::watch::Trod;
use crate::proxy::websocket::Line;
use crate::proxy::websocket::Talk;
use crate::script::offline::Offline;
use crate::script::suite::Answered;
use crate::script::suite::Asked;

/// The requests under way, by the port they come from.
#[derive(Default)]
pub(super) struct Ledger(RefCell<HashMap<u16, Entry>>);

/// One request.
#[derive(Default)]
pub(super) struct Entry {
    secure: bool,
    user: Option<Value>,
    key: Option<String>,
    record: Record,
    route: Option<usize>,
    failure: Option<Rc<Failure>>,
    steps: Vec<Trod>,
}

impl Ledger {
    pub(super) fn begin(&self, seat: &Seat, asked: &Asked) {
        let entry = Entry { secure: seat.secure, user: asked.user.clone(), key: asked.key.clone(), ..Entry::default() };
        self.0.borrow_mut().insert(seat.from.port(), entry);
    }

    pub(super) fn end(&self, seat: &Seat) -> Entry {
        self.0.borrow_mut().remove(&seat.from.port()).unwrap_or_default()
    }

    pub(super) fn close(&self) {
        self.0.borrow_mut().clear();
    }
}

impl Entry {
    /// The route's index in the plan.
    pub(super) fn route(&self) -> Option<usize> {
        self.route
    }

    /// The steps it met.
    pub(super) fn steps(&self) -> &[Trod] {
        &self.steps
    }

    /// What the client could not see.
    pub(super) fn complete(self, answered: &mut Answered, plan: &Plan) {
        let route = self.route.and_then(|route| plan.routes.get(route));
        answered.route = route.map(|route| (route.name.clone(), route.pattern.clone(), route.place.clone()));
        answered.steps = self.steps;
        answered.upstream = self.record.upstream.as_deref().map(str::to_owned);
        answered.host = self.record.host.as_deref().map(str::to_owned);
        answered.attempts = self.record.attempts;
        answered.code = self.record.reason.as_deref().map(str::to_owned);
        answered.from = self.record.origin.as_str();
        answered.took = std::time::Duration::from_nanos(self.record.took);
        answered.cause = self.failure.and_then(|failure| cause(&failure));
    }
}

/// What the operator is told, with its place.
fn cause(failure: &Failure) -> Option<String> {
    let text = if failure.cause.is_empty() { failure.detail.clone() } else { failure.cause.clone() };
    let script = failure.code.as_str().starts_with("script.");
    let place = failure.place.as_ref().filter(|_| script).map(|(file, line)| format!("{file}:{line}: "));
    (!text.is_empty()).then(|| format!("{}{text}", place.unwrap_or_default()))
}

/// The script's hooks, with somebody who looks on.
pub(super) struct Spy {
    script: Rc<dyn Hooks>,
    ledger: Rc<Ledger>,
    offline: Rc<Offline>,
}

impl Spy {
    pub(super) fn new(script: &Rc<dyn Hooks>, ledger: &Rc<Ledger>, offline: &Rc<Offline>) -> Self {
        Self { script: Rc::clone(script), ledger: Rc::clone(ledger), offline: Rc::clone(offline) }
    }

    /// The request is who the test says it is.
    fn dress(&self, exchange: &Rc<Exchange>) {
        let Some(port) = exchange.peer.map(|peer| peer.port()) else { return };
        let ledger = self.ledger.0.borrow();
        let Some(entry) = ledger.get(&port) else { return };
        if entry.secure {
            exchange.request.borrow_mut().scheme = Scheme::Https;
        }
        if let Some(user) = &entry.user {
            exchange.user.set_claims(Some(Arc::new(user.clone())));
            self.offline.let_pass(exchange);
        }
        if let Some(key) = &entry.key {
            exchange.user.set_key(Some(key.as_str().into()));
        }
    }
}

impl Hooks for Spy {
    fn wants_request(&self) -> bool {
        true
    }

    fn wants(&self, route: Option<usize>) -> Wants {
        Wants { on_log: true, ..self.script.wants(route) }
    }

    fn on_request(&self, exchange: &Rc<Exchange>) -> Run<Verdict> {
        self.dress(exchange);
        if self.script.wants_request() { self.script.on_request(exchange) } else { Run::Done(Verdict::Continue) }
    }

    fn when(&self, exchange: &Rc<Exchange>, route: usize) -> Result<bool, Failure> {
        self.script.when(exchange, route)
    }

    fn cors(&self, exchange: &Rc<Exchange>) -> Result<bool, Failure> {
        self.script.cors(exchange)
    }

    fn steps(&self, exchange: &Rc<Exchange>) -> Run<Verdict> {
        self.script.steps(exchange)
    }

    fn target(&self, exchange: &Rc<Exchange>) -> Run<Result<String, Failure>> {
        self.script.target(exchange)
    }

    fn hash_by(&self, exchange: &Rc<Exchange>, upstream: &str) -> Result<Option<String>, Failure> {
        self.script.hash_by(exchange, upstream)
    }

    fn on_response(&self, exchange: &Rc<Exchange>, response: Response) -> Run<Response> {
        self.script.on_response(exchange, response)
    }

    fn on_failure(&self, exchange: &Rc<Exchange>, failure: Failure) -> Run<Result<Response, Failure>> {
        self.script.on_failure(exchange, failure)
    }

    fn on_log(&self, exchange: &Rc<Exchange>) {
        let steps = self.offline.take(exchange);
        let port = exchange.peer.map(|peer| peer.port()).unwrap_or_default();
        if let Some(entry) = self.ledger.0.borrow_mut().get_mut(&port) {
            entry.record = exchange.record.borrow().clone();
            entry.route = exchange.route.get();
            entry.failure.clone_from(&exchange.failure.borrow());
            entry.steps = steps;
        }
        if self.script.wants(exchange.route.get()).on_log {
            self.script.on_log(exchange);
        }
    }

    fn access(&self, exchange: &Rc<Exchange>) -> Option<Vec<(String, Value)>> {
        self.script.access(exchange)
    }

    fn talk(&self, exchange: &Rc<Exchange>, line: &Rc<Line>) -> Option<Rc<dyn Talk>> {
        self.script.talk(exchange, line)
    }

    fn worn(&self) -> bool {
        self.script.worn()
    }

    fn lookup(&self, exchange: &Rc<Exchange>, name: &[String]) -> Option<String> {
        self.script.lookup(exchange, name)
    }
}
