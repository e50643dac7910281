//! gRPC through the gateway: its own failures as `grpc-status` (S-80), a client's deadline kept and passed on (S-81).
//!
//! Everything else about it is HTTP/2: trailers, streams both ways, `te: trailers`.

use percent_encoding::AsciiSet;
use percent_encoding::CONTROLS;
use percent_encoding::utf8_percent_encode;

use crate::clock::Moment;
use crate::http::Body;
use crate::http::Headers;
use crate::http::Response;
use crate::http::grpc::TIMEOUT;
use crate::http::grpc::is_grpc;
use crate::http::grpc::read_timeout;
use crate::http::grpc::write_timeout;
use crate::proxy::Code;
use crate::proxy::Exchange;

/// Puts a failure on its way to a gRPC client into its words: status 200, no body, `grpc-status` and `grpc-message` in
/// the one list of fields there is ("trailers only"). Functions see it as they see any failure.
pub(crate) fn translate(exchange: &Exchange, response: &mut Response) {
    let asked = is_grpc(&exchange.request.borrow().headers);
    if !asked || is_grpc(&response.headers) || response.status == 101 {
        return;
    }
    let failure = exchange.failure.borrow();
    let late = failure.as_ref().is_some_and(|failure| is_late(&failure.code));
    let status = if late { DEADLINE_EXCEEDED } else { of_http(response.status) };
    let detail = failure.as_ref().map(|failure| failure.detail.as_str()).unwrap_or_default();
    // Whoever reads the log wants to know what HTTP would have been told.
    let noted = [("grpc_status", status), ("grpc_from", response.status)];
    exchange.record.borrow_mut().noted.extend(noted.map(|(name, value)| (name.to_owned(), value.into())));
    response.status = 200;
    response.body = Body::Empty;
    let fields = &mut response.headers;
    for name in ["content-length", "content-encoding", "cache-control", "etag"] {
        fields.remove(name);
    }
    fields.set("content-type", "application/grpc");
    fields.set("grpc-status", status.to_string());
    fields.set("grpc-message", utf8_percent_encode(detail, UNSAFE).to_string());
}

/// The trailers that end a stream which breaks off for this reason: a bare reset would leave its client guessing. `None` where
/// the answer is none of gRPC's, or said how long it is, or nobody takes it.
pub(crate) fn broken(exchange: &Exchange, response: &Response, code: &Code) -> Option<Headers> {
    let streams = response.body.left().is_none() && !response.headers.has("content-length");
    if !streams || !is_grpc(&response.headers) || !is_grpc(&exchange.request.borrow().headers) {
        return None;
    }
    let (status, message) = match code {
        Code::ClientGone | Code::ClientSlow => return None,
        code if is_late(code) => (DEADLINE_EXCEEDED, "the request took too long"),
        code => (of_http(code.status()), "the answer broke off"),
    };
    exchange.record.borrow_mut().noted.push(("grpc_status".to_owned(), status.into()));
    let mut trailers = Headers::default();
    trailers.set("grpc-status", status.to_string());
    trailers.set("grpc-message", message);
    Some(trailers)
}

/// Whether it is the time that was over.
fn is_late(code: &Code) -> bool {
    matches!(code, Code::RouteTimeout | Code::UpstreamTimeout)
}

/// Lets a client's `grpc-timeout` end the request, if the route does not end it before.
pub(crate) fn hurry(exchange: &Exchange) {
    let limit = {
        let request = exchange.request.borrow();
        request.headers.text(TIMEOUT).filter(|_| is_grpc(&request.headers)).and_then(read_timeout)
    };
    if let Some(limit) = limit {
        let due = exchange.started.after(limit);
        exchange.deadline.set(exchange.deadline.get().min(due));
        exchange.end.set(exchange.end.get().min(due));
    }
}

/// What is left of the client's time goes on to the service, bounded by the end of the request (`timeout.total`). The limit
/// on the answer's head is none on the call: a stream goes on for as long as its client said. Attempts that come later
/// tell what is left then.
pub(crate) fn pass_on(exchange: &Exchange) {
    let end = exchange.end.get();
    let mut request = exchange.request.borrow_mut();
    if end == Moment::NEVER || !request.headers.has(TIMEOUT) || !is_grpc(&request.headers) {
        return;
    }
    let left = end.since(exchange.worker.clock.now());
    // a step may have made it shorter
    let told = request.headers.text(TIMEOUT).and_then(read_timeout);
    request.headers.set(TIMEOUT, write_timeout(told.map_or(left, |told| told.min(left))));
}

/// What gRPC makes of a status of HTTP.
fn of_http(status: u16) -> u16 {
    match status {
        400 => 13,
        401 => 16,
        403 => 7,
        404 => 12,
        429 | 502..=504 => 14,
        _ => 2,
    }
}

const DEADLINE_EXCEEDED: u16 = 4;

/// What stands in `grpc-message` as it is: printable ASCII but `%`.
const UNSAFE: &AsciiSet = &CONTROLS.add(b'%');
