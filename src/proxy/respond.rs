//! Answers on their way out: failures as problem documents, and the fields every answer carries.

use std::rc::Rc;

use crate::http::Response;
use crate::http::Version;
use crate::http::headers::Known;
use crate::http::message::Origin;
use crate::http::problem;
use crate::http::problem::Problem;
use crate::proxy::Code;
use crate::proxy::Exchange;
use crate::proxy::Failure;
use crate::proxy::exchange::Unrouted;
use crate::proxy::grpc;
use crate::proxy::status;
use crate::telemetry::log;

/// The failure of a request that no route takes.
pub(crate) fn unrouted(exchange: &Exchange) -> Failure {
    match &*exchange.unrouted.borrow() {
        Some(Unrouted::Method(allow)) => {
            Failure::new(Code::RouteMethod, "this method is not allowed here").header("Allow", allow.clone())
        }
        _ => Failure::new(Code::RouteNone, "no route matches this request"),
    }
}

/// Sends a client to the other form of a path (RFC 9110 §15.4.9).
pub(crate) fn redirect(exchange: &Exchange, path: &str) -> Response {
    let request = exchange.request.borrow();
    let location = match &request.query {
        Some(query) => format!("{path}?{query}"),
        None => path.to_owned(),
    };
    let mut response = Response::new(308);
    // A path that begins with two slashes would name another host.
    response.headers.set("location", if location.starts_with("//") { format!("/.{location}") } else { location });
    response
}

/// `failure` as a problem document; what the operator must know goes to the log.
pub(crate) fn problem(exchange: &Exchange, failure: &Failure) -> Response {
    let debug = exchange.site.shared.dev.then(|| debug(failure)).flatten();
    let document = Problem {
        status: failure.status,
        code: failure.code.as_str(),
        detail: &failure.detail,
        request_id: exchange.id(),
        trace_id: Some(exchange.trace().id()),
        errors: &failure.faults,
        debug: debug.as_deref(),
    };
    let mut response = Response::with(failure.status, problem::MEDIA, document.to_json());
    for (name, value) in &failure.headers {
        response.headers.add(name, value);
    }
    response.headers.set("cache-control", "no-store");
    response.origin = Origin::Error;
    response
}

fn debug(failure: &Failure) -> Option<String> {
    let (file, line) = failure.place.as_ref()?;
    let rest = failure.traceback.as_deref().unwrap_or_default();
    Some(format!("{file}:{line}: {}\n{rest}", failure.cause).trim_end().to_owned())
}

/// Tells the operator of a failure that is ours, the script's or a service's; a client's own is in the access log.
pub(crate) fn report(exchange: &Exchange, failure: &Failure) {
    let code = failure.code.as_str();
    let level = if code.starts_with("script.") {
        log::Level::Error
    } else if code.starts_with("upstream.") || code.starts_with("route.no") || code == "header.unsafe" {
        log::Level::Warn
    } else {
        log::Level::Debug
    };
    if code == "route.none" || !log::enabled(level) || (level == log::Level::Warn && !exchange.worker.may_warn()) {
        return;
    }
    let place = failure.place.as_ref().map(|(file, line)| format!("{file}:{line}")).unwrap_or_default();
    let route = exchange.route.get().map_or("", |route| exchange.site.shared.plan.routes[route].name.as_str());
    let mut message = if failure.cause.is_empty() { failure.detail.clone() } else { failure.cause.clone() };
    if let Some(traceback) = &failure.traceback {
        message.push('\n');
        message.push_str(traceback);
    }
    let id: &str = exchange.id();
    let trace: &str = exchange.trace().id();
    log::emit(
        level,
        &message,
        &[("code", &code), ("at", &place), ("route", &route), ("request_id", &id), ("trace_id", &trace)],
    );
}

/// What steps want done to the answer, the last one first.
pub(crate) fn shape(exchange: &Exchange, response: &mut Response) {
    let finishers = std::mem::take(&mut *exchange.finishers.borrow_mut());
    for finish in finishers.iter().rev() {
        finish(exchange, response);
    }
}

/// What every answer carries.
pub(crate) fn finish(exchange: &Rc<Exchange>, response: &mut Response) {
    if response.origin == Origin::Error {
        status::failed(exchange, response);
        grpc::translate(exchange, response);
    } else if response.status >= 500 && response.origin == Origin::Upstream {
        status::received(exchange, response);
    }
    shape(exchange, response);
    exchange.limits.finish(response);
    crate::proxy::cors::finish(exchange, response);
    let via: &[u8] = if exchange.request.borrow().version == Version::Http2 { b"2 moongate" } else { b"1.1 moongate" };
    response.headers.set_known(Known::XRequestId, "X-Request-Id", exchange.id().as_bytes());
    response.headers.put(Known::Via, "Via", via);
}
