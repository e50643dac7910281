//! The admin listener: what runs, how it is, and a reload on demand.

mod access;
mod drain;
mod pages;
mod purge;
mod trace;

pub(super) use pages::Desk;

use std::cell::RefCell;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::task::spawn_local;

use crate::downstream::Connection;
use crate::downstream::Limits;
use crate::downstream::Listen;
use crate::downstream::Next;
use crate::downstream::Peer;
use crate::downstream::Stream;
use crate::downstream::accept::Acceptor;
use crate::downstream::bind::Bound;
use crate::downstream::gate::Gate;
use crate::gateway::AdminOption;
use crate::gateway::Options;
use crate::gateway::control::Event;
use crate::gateway::control::Events;
use crate::gateway::inquiry;
use crate::gateway::listeners::BindError;
use crate::gateway::listing;
use crate::gateway::reload::Refused;
use crate::http::Method;
use crate::http::Request;
use crate::http::Response;
use crate::proxy::Caught;
use crate::proxy::Worker;
use crate::script::Program;
use crate::telemetry::log;
use pages::Page;

/// The listener that runs, if one does.
pub(super) struct Listener {
    desk: Arc<Desk>,
    worker: Rc<Worker>,
    events: Events,
    /// Read by each request: a reload may bring another.
    token: Rc<RefCell<Option<String>>>,
    open: Option<Open>,
}

struct Open {
    listen: Listen,
    bound: Bound,
    _stop: oneshot::Sender<()>,
}

/// What a generation changes about it.
pub(super) struct Change {
    token: Option<String>,
    wanted: Option<Listen>,
    bound: Option<Bound>,
}

impl Listener {
    /// Not listening yet.
    pub(super) fn new(desk: Arc<Desk>, worker: Rc<Worker>, events: Events) -> Self {
        Self { desk, worker, events, token: Rc::default(), open: None }
    }

    /// Where it listens.
    pub(super) fn address(&self) -> Option<SocketAddr> {
        self.open.as_ref()?.bound.address
    }

    /// Binds what `program` and the command line want, where that is another address than before.
    pub(super) fn change(&self, program: &Program, options: &Options) -> Result<Change, Refused> {
        let declared = program.plan().gateway.admin.as_ref();
        let (listen, must) = match (&options.admin, declared) {
            (AdminOption::Off, _) | (AdminOption::Script, None) => {
                return Ok(Change { token: None, wanted: None, bound: None });
            }
            (AdminOption::At(listen), _) => (listen.clone(), true),
            (AdminOption::Script, Some(admin)) => (admin.address.clone(), admin.explicit),
        };
        let token = match declared.and_then(|admin| admin.token.as_deref()) {
            Some(name) => {
                let missing = || Refused::Build(format!("the secret `{name}` of the admin listener is missing"));
                let value = program.secret(name).and_then(|value| String::from_utf8(value).ok());
                Some(value.ok_or_else(missing)?)
            }
            None => None,
        };
        if token.is_none() && !is_private(&listen) {
            let shown = listing::listen(&listen);
            return Err(Refused::Build(format!(
                "admin = \"{shown}\" can be reached from other machines and needs a token: \
                 admin = {{ \"{shown}\", token = secret \"ADMIN_TOKEN\" }}"
            )));
        }
        if self.open.as_ref().is_some_and(|open| open.listen == listen) {
            return Ok(Change { token, wanted: Some(listen), bound: None });
        }
        match Bound::new(&listen, 1, options.takeover) {
            Ok(bound) => Ok(Change { token, wanted: Some(listen), bound: Some(bound) }),
            Err(cause) if must => Err(BindError { listen, cause }.into()),
            Err(cause) => {
                let shown = listing::listen(&listen);
                log::warn("no admin listener, its default address is taken", &[("address", &shown), ("cause", &cause)]);
                Ok(Change { token, wanted: None, bound: None })
            }
        }
    }

    /// Does it.
    pub(super) fn apply(&mut self, change: Change) {
        *self.token.borrow_mut() = change.token;
        let Some(listen) = change.wanted else {
            self.open = None;
            return;
        };
        let Some(mut bound) = change.bound else { return };
        let Some(socket) = bound.sockets.pop() else { return };
        let acceptor = match Acceptor::new(socket, self.worker.clock.clone()) {
            Ok(acceptor) => acceptor,
            Err(error) => return log::error("no admin listener", &[("cause", &error)]),
        };
        let (stop, stopped) = oneshot::channel();
        let gate = Gate::default();
        let desk = Arc::clone(&self.desk);
        let (worker, token, events) = (Rc::clone(&self.worker), Rc::clone(&self.token), self.events.clone());
        spawn_local(acceptor.run(
            async { drop(stopped.await) },
            move || gate.enter(MOST_CONNECTIONS),
            move |stream, peer, ticket| {
                let visit = Visit {
                    desk: Arc::clone(&desk),
                    worker: Rc::clone(&worker),
                    token: Rc::clone(&token),
                    events: events.clone(),
                };
                let metrics = worker.metrics.clone();
                spawn_local(async move {
                    Caught::new(visit.serve(stream, peer), &metrics).await;
                    drop(ticket);
                });
            },
        ));
        self.open = Some(Open { listen, bound, _stop: stop });
    }
}

/// One connection to the admin listener.
struct Visit {
    desk: Arc<Desk>,
    worker: Rc<Worker>,
    token: Rc<RefCell<Option<String>>>,
    events: Events,
}

impl Visit {
    async fn serve(self, stream: Stream, peer: Peer) {
        let mut connection = Connection::new(stream, peer, self.worker.tools());
        let limits = Limits { body: 64 << 10, idle: Duration::from_secs(60), ..Limits::default() };
        loop {
            match connection.next(&limits).await {
                Next::Request(request) => {
                    let head = request.method == Method::Head;
                    let mut answer = self.answer(*request).await;
                    if connection.answer(&mut answer, head).await.is_err() {
                        return;
                    }
                }
                Next::Refused(_) => {
                    let mut answer = *pages::no(400, "request.malformed", "this request cannot be understood");
                    // The client may be gone; the connection is over either way.
                    let _ = connection.answer(&mut answer, false).await;
                    return;
                }
                Next::Closed => return,
            }
        }
    }

    async fn answer(&self, request: Request) -> Response {
        let page = pages::page(&request, self.token.borrow().as_deref());
        match page {
            Err(answer) => *answer,
            Ok((Page::Purge, _)) => purge::purge(&self.desk.live, &request),
            Ok((Page::Drain, _)) => {
                let upstreams = self.desk.hosts.lock().clone();
                drain::drain(&upstreams, &request, self.worker.clock.now())
            }
            Ok((page @ (Page::Trace | Page::Record), _)) => match self.desk.watches.get() {
                Some(shelf) => trace::trace(shelf, &request, page == Page::Record, self.worker.clock.now()),
                None => *pages::no(503, "admin.trace", "nothing runs yet"),
            },
            Ok((Page::Explain, _)) => self.explain(request).await,
            Ok((Page::Reload, _)) => pages::reloaded(self.ask(|reply| Event::Reload(Some(reply))).await),
            Ok((Page::Rollback, _)) => pages::reloaded(self.ask(Event::Rollback).await),
            // Rendering many series takes a while; other visitors and timers go on.
            Ok((page, known)) => {
                let desk = Arc::clone(&self.desk);
                let rendered = tokio::task::spawn_blocking(move || desk.sheet(page, known)).await;
                rendered.map_or_else(
                    |_| *pages::no(500, "admin.failed", "this page cannot be made"),
                    pages::Sheet::into_response,
                )
            }
        }
    }

    async fn explain(&self, mut request: Request) -> Response {
        let Ok(body) = request.body.collect(MOST_QUESTION).await else {
            return *pages::no(413, "admin.explain", "the question is too large");
        };
        let question = match inquiry::read(&body) {
            Ok(question) => question,
            Err(fault) => return *pages::no(400, "admin.explain", &fault),
        };
        match self.ask(|reply| Event::Inquire(Box::new(question), reply)).await {
            Ok(story) => pages::Sheet::json(200, &story).into_response(),
            Err(fault) => *pages::no(502, "admin.explain", &fault),
        }
    }

    async fn ask<T>(&self, event: impl FnOnce(oneshot::Sender<Result<T, String>>) -> Event) -> Result<T, String> {
        let (reply, answer) = oneshot::channel();
        let leaving = || "the gateway is leaving".to_owned();
        self.events.send(event(reply)).map_err(|_| leaving())?;
        answer.await.unwrap_or_else(|_| Err(leaving()))
    }
}

/// Whether only this machine reaches the address.
fn is_private(listen: &Listen) -> bool {
    match listen {
        Listen::Tcp(address) => address.ip().is_loopback(),
        Listen::Unix(_) => true,
    }
}

const MOST_CONNECTIONS: usize = 100;
/// Bytes of a question.
const MOST_QUESTION: usize = 64 << 10;
