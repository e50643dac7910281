//! Sends an exchange's request to its service and returns when the answer's head is known.

use std::net::Ipv4Addr;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use crate::http::Body;
use crate::http::Headers;
use crate::http::Method;
use crate::http::Request;
use crate::http::Response;
use crate::http::Version;
use crate::http::headers::Known;
use crate::net::identity;
use crate::net::proxy_header::Ends;
use crate::proxy::Code;
use crate::proxy::Exchange;
use crate::proxy::Failure;
use crate::proxy::Site;
use crate::proxy::Worker;
use crate::proxy::bounded;
use crate::proxy::grpc;
use crate::proxy::lookup::render;
use crate::proxy::out_of_time;
use crate::proxy::respond::unrouted;
use crate::proxy::target::Destination;
use crate::proxy::target::destination;
use crate::proxy::websocket::handshake;
use crate::upstream::Answer;
use crate::upstream::Balance;
use crate::upstream::Hear;
use crate::upstream::Outbound;
use crate::upstream::Retry;
use crate::upstream::SendError;
use crate::upstream::Unanswered;
use crate::upstream::Upstream;
use crate::upstream::balance::digest;

/// What `req:forward(to, { … })` may set beside the request as it stands.
#[derive(Default)]
pub struct Override {
    /// Another upstream name or URL than the route's.
    pub to: Option<String>,
    /// Another path (with query) than the request's.
    pub path: Option<String>,
    /// Fields set on the copy that is sent.
    pub headers: Vec<(String, String)>,
    /// A shorter limit.
    pub timeout: Option<Duration>,
}

/// What follows the steps: forwards the exchange's request as its route says, or answers that there is no route.
///
/// The body streams unless it was buffered; a buffered one can be sent again.
pub async fn forward(exchange: &Rc<Exchange>, with: Override) -> Result<Response, Failure> {
    if exchange.route.get().is_none() && with.to.is_none() {
        return no_route(exchange);
    }
    if let Some(end) = last_hop(exchange)? {
        return Ok(end);
    }
    if let Some(accepted) = handshake::look(exchange, with.to.is_some())? {
        return Ok(accepted);
    }
    if exchange.setting().is_some_and(|setting| setting.reads_body) {
        crate::proxy::buffer::request(exchange).await?;
    }
    if exchange.request.borrow().version == Version::Http2 {
        grpc::pass_on(exchange);
    }
    let Destination { upstream, target, host } = destination(exchange, &with).await?;
    let key = key(exchange, &upstream)?;
    let mut outbound = outbound(exchange, &with, target, host, key);
    if upstream.names_clients() {
        outbound.ends = ends(exchange).map(Box::new);
    }
    exchange.record.borrow_mut().upstream = Some(Rc::clone(upstream.name()));
    let hedge = exchange.setting().and_then(|setting| setting.hedge);
    let response = match send(&exchange.worker, &exchange.site, &upstream, &mut outbound, hedge).await {
        Ok(answer) => {
            note(exchange, answer.response.host.as_ref(), answer.attempts, answer.took);
            if let Some(held) = answer.held {
                exchange.limits.hold(held);
            }
            answer.response
        }
        Err(failed) => {
            let failure = Failure::from_send(failed, upstream.name());
            note(exchange, failure.host.as_ref(), failure.attempts, Duration::ZERO);
            return Err(whose_time(exchange, failure));
        }
    };
    handshake::check_answer(exchange, &response)?;
    Ok(response)
}

/// Requests that go round (S-02), and `Max-Forwards` of OPTIONS (S-07).
fn last_hop(exchange: &Exchange) -> Result<Option<Response>, Failure> {
    let mut request = exchange.request.borrow_mut();
    let ours = |via: &[u8]| via.split(|&byte| byte == b',').filter(|hop| hop.ends_with(b" moongate")).count();
    if request.headers.known(Known::Via).map(ours).sum::<usize>() >= MOST_TURNS {
        return Err(Failure::new(Code::RequestLoop, "the request goes round in a circle"));
    }
    if request.method != Method::Options {
        return Ok(None);
    }
    match request.headers.text("max-forwards").and_then(|text| text.parse::<u32>().ok()) {
        Some(0) => Ok(Some(Response::new(204))),
        Some(left) => {
            request.headers.set("max-forwards", (left - 1).to_string());
            Ok(None)
        }
        None => Ok(None),
    }
}

/// How often a request may pass a gateway of ours. Several in a row are nothing unusual, and all have one name.
const MOST_TURNS: usize = 8;

fn no_route(exchange: &Rc<Exchange>) -> Result<Response, Failure> {
    use crate::proxy::exchange::Unrouted;
    // A ping of the gateway itself (RFC 9110 §9.3.7).
    if exchange.request.borrow().path == "*" {
        return Ok(Response::new(204));
    }
    let why = exchange.unrouted.borrow().clone();
    match why {
        Some(Unrouted::Redirect(path)) => Ok(crate::proxy::respond::redirect(exchange, &path)),
        _ => Err(unrouted(exchange)),
    }
}

fn outbound(exchange: &Rc<Exchange>, with: &Override, target: String, host: Option<Rc<str>>, key: u64) -> Outbound {
    let fields = fields(exchange, with);
    let deadline = exchange.deadline.get().min(within(&exchange.worker, with.timeout));
    let retry = exchange.setting().and_then(|setting| setting.retry.clone());
    let mut request = exchange.request.borrow_mut();
    let body = match &mut request.body {
        Body::Full(bytes) => Body::Full(bytes.clone()),
        streaming => std::mem::take(streaming),
    };
    let repeatable = request.method.is_idempotent() || request.headers.has("idempotency-key");
    let upgrade = request.upgrade.clone();
    let method = request.method.clone();
    // Who asks for everybody has nobody to tell.
    let hear = takes_hints(&request) && exchange.twin_of.is_none();
    let hear = hear.then(|| Rc::clone(exchange) as Rc<dyn Hear>);
    let (ends, began) = (None, None);
    Outbound { method, target, host, fields, body, upgrade, repeatable, deadline, retry, ends, key, began, hear }
}

/// Whether a client understands an answer ahead of its answer (RFC 8297 §3; S-06): over HTTP/2 all do, over HTTP/1.1 some
/// take it for the answer, but no browser does, nor who passes on what a browser says.
fn takes_hints(request: &Request) -> bool {
    match request.version {
        Version::Http2 => true,
        Version::Http11 => request.headers.known(Known::SecFetchMode).next().is_some(),
        Version::Http10 => false,
    }
}

/// The client and the port it called, for hosts that are told. A client that a proxy told us of has no port of its own,
/// and our address is not known where a listener has all of them.
fn ends(exchange: &Exchange) -> Option<Ends> {
    let client = exchange.client.get()?;
    let port = exchange.peer.filter(|peer| peer.ip().to_canonical() == client).map_or(0, |peer| peer.port());
    let to = identity::port_of(&exchange.request.borrow());
    Some(Ends { from: SocketAddr::new(client, port), to: (Ipv4Addr::UNSPECIFIED, to).into() })
}

/// What `balance = "hash"` chooses a host by; any number where it does not.
fn key(exchange: &Rc<Exchange>, upstream: &Upstream) -> Result<u64, Failure> {
    if upstream.shared().config().balance != Balance::Hash {
        return Ok(0);
    }
    let shared = &exchange.site.shared;
    let index = shared.names.get(upstream.name().as_ref()).copied();
    let text = match index.and_then(|index| shared.hash_by.get(index)) {
        Some(Some(template)) => Some(render(exchange, template, None)?),
        Some(None) => exchange.site.hooks.hash_by(exchange, upstream.name())?,
        None => None,
    };
    let text = text.filter(|text| !text.is_empty());
    let text = text.or_else(|| exchange.client.get().map(|address| address.to_string()));
    Ok(digest(text.unwrap_or_default().as_bytes()))
}

/// The field lines that go out: the client's as steps left them, then our own, which nobody can strip (S-01).
fn fields(exchange: &Rc<Exchange>, with: &Override) -> Vec<u8> {
    let mut out = exchange.worker.buffers.take();
    let request = exchange.request.borrow();
    if with.headers.is_empty() {
        request.headers.write_to(&mut out, |known| !is_ours(known));
    } else {
        for (known, name, value) in request.headers.iter() {
            if !is_ours(known) && !with.headers.iter().any(|(other, _)| other.as_bytes().eq_ignore_ascii_case(name)) {
                line(&mut out, name, value);
            }
        }
    }
    for (name, value) in &with.headers {
        line(&mut out, name.as_bytes(), value.as_bytes());
    }
    out.extend_from_slice(match request.version {
        Version::Http10 => b"Via: 1.0 moongate\r\n",
        Version::Http11 => b"Via: 1.1 moongate\r\n",
        Version::Http2 => b"Via: 2.0 moongate\r\n",
    });
    identity::write_forwarded(&mut out, &request, exchange.peer.map(|peer| peer.ip()));
    drop(request);
    out.extend_from_slice(b"X-Request-Id: ");
    out.extend_from_slice(exchange.id().as_bytes());
    out.extend_from_slice(b"\r\ntraceparent: ");
    exchange.trace().write(&mut out, exchange.worker.chance());
    out.extend_from_slice(b"\r\n");
    if !exchange.trace().carried {
        return out;
    }
    for state in exchange.request.borrow().headers.known(Known::Tracestate) {
        line(&mut out, b"tracestate", state);
    }
    out
}

fn is_ours(known: Known) -> bool {
    known.is_forwarding() || matches!(known, Known::Traceparent | Known::Tracestate)
}

fn line(out: &mut Vec<u8>, name: &[u8], value: &[u8]) {
    out.extend_from_slice(name);
    out.extend_from_slice(b": ");
    out.extend_from_slice(value);
    out.extend_from_slice(b"\r\n");
}

async fn send(
    worker: &Rc<Worker>,
    site: &Site,
    upstream: &Rc<Upstream>,
    outbound: &mut Outbound,
    hedge: Option<Duration>,
) -> Result<Answer, Unanswered> {
    let answer = if hedge.is_none() && upstream.is_plain() {
        upstream.send_in_place(outbound).await
    } else {
        // what is rare is boxed: the future of an ordinary request stays small
        outbound.began = Some(worker.clock.now());
        Box::pin(bounded::send(worker, site, upstream, outbound, hedge)).await
    };
    let (status, end) = match &answer {
        Ok(answer) => (answer.response.status, answer.arrived),
        Err(_) => (0, worker.clock.now()),
    };
    worker.meter.call(worker, upstream.name(), status, end.since(outbound.began.unwrap_or(end)));
    answer
}

fn note(exchange: &Exchange, host: Option<&Rc<str>>, attempts: u32, took: Duration) {
    let mut record = exchange.record.borrow_mut();
    record.host = host.cloned();
    record.attempts += attempts;
    record.upstream_time += u64::try_from(took.as_nanos()).unwrap_or(u64::MAX);
}

/// A service that had less time than it may take is not the one that was late.
fn whose_time(exchange: &Exchange, failure: Failure) -> Failure {
    let late = matches!(failure.code, Code::UpstreamTimeout | Code::UpstreamConnectTimeout);
    if !late || !exchange.left().is_zero() {
        return failure;
    }
    let (upstream, host) = (failure.upstream.clone(), failure.host.clone());
    let mut failure = out_of_time().because(failure.cause.clone());
    (failure.upstream, failure.host) = (upstream, host);
    failure
}

/// A request a function makes of its own accord (`fetch`).
#[derive(Default)]
pub struct Call {
    /// `catalog/products/7` (a declared upstream) or `https://…`.
    pub target: String,
    /// The method.
    pub method: Method,
    /// Fields; framing and Host are ours.
    pub headers: Headers,
    /// The whole body.
    pub body: Bytes,
    /// Total time to the answer's head; also bounded by the exchange's time left.
    pub timeout: Option<Duration>,
    /// Further attempts; `None`: the upstream's.
    pub retries: Option<u32>,
}

/// Performs `call` with the pools of this worker. A status is never a failure.
pub async fn call(worker: &Rc<Worker>, site: &Rc<Site>, call: Call) -> Result<Response, Failure> {
    let (upstream, path) = site.find(worker, &call.target).await?;
    let mut target = if path.starts_with('/') { path } else { format!("/{path}") };
    if target.is_empty() {
        target.push('/');
    }
    let mut fields = worker.buffers.take();
    for (known, name, value) in call.headers.iter() {
        if known != Known::Host {
            line(&mut fields, name, value);
        }
    }
    line(&mut fields, b"Via", b"1.1 moongate");
    let host = call.headers.text("host").map(Rc::from);
    let retry = call.retries.map(|times| Retry { times, ..upstream.shared().config().retry.clone() }).map(Arc::new);
    let deadline = within(worker, Some(call.timeout.unwrap_or(DEFAULT_CALL)));
    let repeatable = call.method.is_idempotent() || call.headers.has("idempotency-key");
    let body = Body::from(call.body);
    let (upgrade, ends, key, began, hear) = (None, None, worker.chance(), None, None);
    let method = call.method;
    let mut outbound =
        Outbound { method, target, host, fields, body, upgrade, repeatable, deadline, retry, ends, key, began, hear };
    let answer = send(worker, site, &upstream, &mut outbound, None).await;
    answer.map(|answer| answer.response).map_err(|failed| Failure::from_send(failed, upstream.name()))
}

/// How long `fetch` waits where nothing else bounds it.
const DEFAULT_CALL: Duration = Duration::from_secs(30);

fn within(worker: &Worker, limit: Option<Duration>) -> crate::clock::Moment {
    limit.map_or(crate::clock::Moment::NEVER, |limit| worker.clock.now().after(limit))
}

impl Failure {
    /// What a client is told of a service that did not answer.
    fn from_send(failed: Unanswered, upstream: &Rc<str>) -> Self {
        use crate::proxy::Code;
        let Unanswered { error, attempts } = failed;
        let (cause, host) = (error.to_string(), error.host().map(Rc::from));
        let (code, detail) = match error {
            SendError::Connect { .. } => (Code::UpstreamConnect, "the service cannot be reached"),
            SendError::Tls { .. } => (Code::UpstreamTls, "the service cannot be reached securely"),
            SendError::Timeout { phase: "connection", .. } => {
                (Code::UpstreamConnectTimeout, "the service cannot be reached in time")
            }
            SendError::Timeout { .. } => (Code::UpstreamTimeout, "the service did not answer in time"),
            SendError::Reset { reused: true, .. } => (Code::UpstreamResetReused, "the service closed the connection"),
            SendError::Reset { .. } => (Code::UpstreamReset, "the service closed the connection before answering"),
            SendError::Protocol { .. } => (Code::UpstreamProtocol, "the service's answer could not be understood"),
            SendError::NoneHealthy => (Code::UpstreamNoneHealthy, "the service is not available"),
            SendError::Overload { .. } | SendError::Full { .. } => (Code::UpstreamOverload, "the service is busy"),
            SendError::Body(error) => {
                let mut failure = Self::from_body(error);
                failure.attempts = attempts;
                return failure;
            }
        };
        let mut failure = Self::new(code, detail).because(format!("upstream `{upstream}`: {cause}"));
        if failure.status == 503 {
            failure = failure.header("Retry-After", "1");
        }
        failure.upstream = Some(Rc::clone(upstream));
        (failure.host, failure.attempts) = (host, attempts);
        failure
    }
}
