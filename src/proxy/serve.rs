//! One client connection: its requests one after another, each with its answer.

use std::future::Future;
use std::future::poll_fn;
use std::pin::Pin;
use std::pin::pin;
use std::rc::Rc;
use std::task::Poll;
use std::time::Duration;

use crate::clock::Alarm;
use crate::downstream::Connection;
use crate::downstream::Next;
use crate::downstream::Peer;
use crate::downstream::Refusal;
use crate::downstream::Stream;
use crate::downstream::serve_h1::Broke;
use crate::http::Body;
use crate::http::BodyError;
use crate::http::Method;
use crate::http::Request;
use crate::http::Response;
use crate::http::message::Duplex;
use crate::proxy::Code;
use crate::proxy::Exchange;
use crate::proxy::Failure;
use crate::proxy::Worker;
use crate::proxy::access::Format;
use crate::proxy::grpc;
use crate::proxy::refused;
use crate::proxy::tunnel::Terms;
use crate::proxy::tunnel::join;
use crate::proxy::way::Way;
use crate::proxy::websocket;

/// Where a client's answers go, and the deadline of what it asked for.
pub(crate) struct Client<W> {
    pub(crate) way: W,
    pub(crate) alarm: Alarm,
}

impl<W> Client<W> {
    /// On the heap from the start: what waits for it holds a pointer.
    pub(crate) fn new(worker: &Rc<Worker>, way: W) -> Box<Self> {
        Box::new(Self { way, alarm: worker.alarms.alarm(&worker.clock) })
    }
}

/// A request to answer, and where to.
pub(crate) struct Job<W> {
    pub(crate) client: Box<Client<W>>,
    pub(crate) exchange: Rc<Exchange>,
    pub(crate) head: bool,
}

/// What became of it.
pub(crate) type Done<W> = (Box<Client<W>>, After);

/// Serves a client's connection until it closes.
pub async fn serve(worker: Rc<Worker>, stream: Stream, peer: Peer) {
    let client = Client::new(&worker, Connection::new(stream, peer, worker.tools()));
    converse(worker, client, peer).await;
}

/// Answers what comes on a connection until it closes.
pub(crate) async fn converse(worker: Rc<Worker>, mut client: Box<Client<Connection>>, peer: Peer) {
    loop {
        let after = match turn(&worker, &mut client, peer).await {
            // At a desk of the worker's: an idle connection keeps nothing of it.
            Turn::Answer(exchange, head) => {
                let (done, after) = worker.desks.work(Job { client, exchange, head }).await;
                client = done;
                after
            }
            // The next turn closes the connection, in a way that lets the answer arrive.
            Turn::Refuse(refusal) => Box::pin(refuse(&worker, &mut client, refusal, Request::default(), peer)).await,
            Turn::Close => return,
        };
        match after {
            After::Next => {}
            After::Closed => return,
            After::Upgraded(upgraded) => return Box::pin(go_on(worker, client.way.into_tunnel(), *upgraded)).await,
        }
    }
}

/// What came on a connection; small, since an idle connection holds the room for it.
enum Turn {
    Answer(Rc<Exchange>, bool),
    Refuse(Refusal),
    Close,
}

async fn turn(worker: &Rc<Worker>, client: &mut Client<Connection>, peer: Peer) -> Turn {
    let limits = worker.limits();
    match client.way.next(&limits).await {
        Next::Request(request) => {
            let Some(site) = worker.site() else { return Turn::Close };
            let head = request.method == Method::Head;
            Turn::Answer(Exchange::begin(worker, site, request, peer), head)
        }
        Next::Refused(refusal) => Turn::Refuse(refusal),
        Next::Closed => Turn::Close,
    }
}

/// How a connection goes on after an answer.
pub(crate) enum After {
    Next,
    Closed,
    /// Rare, so not in the room every answer takes.
    Upgraded(Box<Upgraded>),
}

/// What a connection is after a 101.
pub(crate) enum Upgraded {
    /// Bytes both ways; nothing of the generation is held.
    Tunnel(Box<dyn Duplex>, Terms),
    /// Functions read the messages, and keep the exchange they stand on.
    Talk(Rc<Exchange>, Option<Box<dyn Duplex>>),
}

impl Upgraded {
    fn of(exchange: &Rc<Exchange>, service: Option<Box<dyn Duplex>>) -> Option<Self> {
        let terms = exchange.route.get().and_then(|route| exchange.site.shared.plan.routes[route].upgrade.clone());
        if terms.as_ref().is_some_and(|terms| terms.functions) {
            return Some(Self::Talk(Rc::clone(exchange), service));
        }
        let frames = exchange.request.borrow().upgrade.as_deref() == Some("websocket");
        let terms = Terms {
            upgrade: terms.unwrap_or_default(),
            frames,
            _place: exchange.place.take(),
            _held: exchange.limits.held(),
        };
        service.map(|service| Self::Tunnel(service, terms))
    }
}

/// Goes on with what a connection (or a stream of one) has become, and the bytes that came early.
pub(crate) async fn go_on<D: Duplex + 'static>(worker: Rc<Worker>, client: Option<(D, Vec<u8>)>, upgraded: Upgraded) {
    let Some((client, early)) = client else { return };
    match upgraded {
        Upgraded::Tunnel(service, terms) => join(worker, Box::new(client), early, service, terms).await,
        Upgraded::Talk(exchange, service) => websocket::converse(exchange, Box::new(client), early, service).await,
    }
}

/// Nobody waits for the answer any more.
pub(crate) fn abandoned(exchange: &Rc<Exchange>) -> After {
    exchange.record.borrow_mut().reason = Some(Rc::from(Code::ClientGone.as_str()));
    finish(exchange, &Response::new(Code::ClientGone.status()), 0);
    After::Closed
}

/// A request whose body broke off ends as [`Code::ClientGone`], which is logged, never sent.
pub(crate) fn is_for_nobody(exchange: &Exchange, response: &Response) -> bool {
    response.status == Code::ClientGone.status()
        && exchange.failure.borrow().as_ref().is_some_and(|failure| failure.code == Code::ClientGone)
}

/// Writes the answer.
pub(crate) async fn deliver<W: Way>(
    client: &mut Client<W>,
    exchange: &Rc<Exchange>,
    mut response: Response,
    head: bool,
) -> After {
    let Client { way, alarm } = client;
    // Whoever wanted the request's body has it by now; what is left of it goes back to the connection.
    drop(std::mem::take(&mut exchange.request.borrow_mut().body));
    exchange.record.borrow_mut().bytes_in = way.received();
    let done = before_end(exchange, alarm, pin!(way.answer(&mut response, head))).await;
    let (sent, broke) = match done {
        Some(Ok(sent)) => (sent, None),
        Some(Err(gone)) => (gone.sent, Some(reason(gone.why))),
        None => (0, Some(Code::RouteTimeout)),
    };
    if let Some(code) = &broke {
        if let Some(trailers) = grpc::broken(exchange, &response, code) {
            way.conclude(&trailers);
        }
        exchange.record.borrow_mut().reason.get_or_insert_with(|| Rc::from(code.as_str()));
    }
    response.body = Body::Empty;
    finish(exchange, &response, sent);
    match (broke, response.tunnel.take()) {
        (Some(_), _) => After::Closed,
        (None, service) if response.status == 101 => {
            Upgraded::of(exchange, service).map_or(After::Closed, |upgraded| After::Upgraded(Box::new(upgraded)))
        }
        (None, _) => After::Next,
    }
}

/// What an answer that broke off is called.
fn reason(why: Broke) -> Code {
    match why {
        Broke::Client => Code::ClientGone,
        Broke::Slow => Code::ClientSlow,
        Broke::Body(BodyError::Script) => Code::ScriptError,
        Broke::Body(BodyError::Stalled) => Code::UpstreamIdle,
        Broke::Body(BodyError::Request) => Code::ClientGone,
        Broke::Body(BodyError::Malformed) => Code::UpstreamProtocol,
        Broke::Body(_) => Code::UpstreamReset,
    }
}

/// A request that could not be read becomes an answer all the same, and a line in the log. `blank` says what is known.
pub(crate) async fn refuse<W: Way>(
    worker: &Rc<Worker>,
    client: &mut Client<W>,
    refusal: Refusal,
    blank: Request,
    peer: Peer,
) -> After {
    let Some(site) = worker.site() else { return After::Closed };
    let exchange = Exchange::begin(worker, site, blank, peer);
    let response = refused(&exchange, &client.alarm, Failure::from_refusal(refusal)).await;
    deliver(client, &exchange, response, false).await;
    After::Next
}

/// `work`, or `None` when the client leaves: dropping it cancels what was asked of a service. What a service says ahead of
/// its answer goes on at once.
pub(crate) async fn or_gone<W: Way, T>(
    way: &W,
    exchange: &Exchange,
    mut work: Pin<&mut impl Future<Output = T>>,
) -> Option<T> {
    let mut gone = pin!(way.gone());
    poll_fn(|cx| {
        let done = work.as_mut().poll(cx);
        exchange.hints.take().iter().for_each(|fields| way.hint(fields));
        if let Poll::Ready(output) = done {
            return Poll::Ready(Some(output));
        }
        gone.as_mut().poll(cx).map(|()| None)
    })
    .await
}

/// `work`, or `None` when `timeout.total` is over first.
async fn before_end<T>(exchange: &Exchange, alarm: &Alarm, mut work: Pin<&mut impl Future<Output = T>>) -> Option<T> {
    alarm.set(exchange.end.get());
    poll_fn(|cx| {
        if let Poll::Ready(output) = work.as_mut().poll(cx) {
            return Poll::Ready(Some(output));
        }
        alarm.poll(cx).map(|()| None)
    })
    .await
}

/// How long an exchange has taken. The turn's time will do, except in the turn the request came in with.
fn took(exchange: &Exchange) -> Duration {
    let clock = &exchange.worker.clock;
    let turn = clock.turn();
    let over = if turn == exchange.started { clock.now() } else { turn };
    over.since(exchange.started)
}

/// Everything that is told about an exchange once its last byte is out.
fn finish(exchange: &Rc<Exchange>, response: &Response, sent: u64) {
    if response.status != 101 {
        drop(exchange.limits.held());
    }
    let worker = &exchange.worker;
    let took = took(exchange);
    let on_log = exchange.site.hooks.wants(exchange.route.get()).on_log;
    let looks = on_log || exchange.site.shared.access.as_ref().is_some_and(Format::asks);
    {
        let mut record = exchange.record.borrow_mut();
        record.status = response.status;
        record.origin = response.origin;
        record.bytes_out = sent;
        record.took = u64::try_from(took.as_nanos()).unwrap_or(u64::MAX);
        if let Some(reason) = &record.reason {
            worker.meter.failed(worker, reason);
        }
        if looks {
            record.headers = Some(Box::new(response.headers.clone()));
        }
    }
    worker.meter.served(exchange, response.status, took);
    if let Some(format) = &exchange.site.shared.access {
        format.write(exchange, response);
    }
    if on_log {
        exchange.site.hooks.on_log(exchange);
    }
}
