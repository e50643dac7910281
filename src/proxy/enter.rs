//! A connection's way in: through its listener's door, and which of its requests may go on from there.

use std::fmt::Display;
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;

use crate::clock::Alarm;
use crate::downstream::Arrival;
use crate::downstream::Aside;
use crate::downstream::Connection;
use crate::downstream::Door;
use crate::downstream::Listen;
use crate::downstream::Peer;
use crate::downstream::Stream;
use crate::downstream::door::Visitor;
use crate::downstream::door::Welcome;
use crate::downstream::gate::Ticket;
use crate::downstream::serve_h2;
use crate::http::Body;
use crate::http::Response;
use crate::http::message::Origin;
use crate::proxy::Code;
use crate::proxy::Exchange;
use crate::proxy::Failure;
use crate::proxy::Worker;
use crate::proxy::multiplex;
use crate::proxy::refused;
use crate::proxy::respond;
use crate::proxy::serve::Client;
use crate::proxy::serve::converse;
use crate::route::host::without_port;
use crate::telemetry::log;

/// Takes a connection through `door` and serves it.
pub async fn enter(
    worker: Rc<Worker>,
    door: Option<Arc<Door>>,
    at: Rc<Listen>,
    stream: Stream,
    mut peer: Peer,
    mut ticket: Ticket,
) {
    // In boxes of their own: a connection that is passed on by value is kept twice, for as long as it is idle.
    let client = match door.filter(|door| !door.is_plain()) {
        None if !has_room(&worker, &mut ticket, &peer) => return,
        None => Client::new(&worker, Connection::new(stream, peer, worker.tools())),
        Some(door) => match Box::pin(through(&worker, &door, &at, stream, &mut peer, &mut ticket)).await {
            Some(visitor) if visitor.http2 => return multiplexed(worker, visitor, peer).await,
            Some(Visitor { stream, early, arrival, .. }) => {
                let connection = Connection::new(stream, peer, worker.tools()).begun(&early);
                Client::new(&worker, connection.arrived(arrival))
            }
            None => return,
        },
    };
    converse(worker, client, peer).await;
}

/// Serves a connection of HTTP/2.
fn multiplexed(worker: Rc<Worker>, visitor: Visitor, peer: Peer) -> Pin<Box<dyn Future<Output = ()>>> {
    let Visitor { stream, early, arrival, .. } = visitor;
    let connection = serve_h2::Connection::new(stream, early, arrival, worker.tools(), &worker.limits());
    Box::pin(multiplex::converse(worker, connection, peer))
}

/// Whether `limits.per_address` lets one more come from there. Proxies we trust speak for many and are not counted.
fn has_room(worker: &Worker, ticket: &mut Ticket, peer: &Peer) -> bool {
    let (Some(site), Some(address)) = (worker.site(), peer.address) else { return true };
    let gateway = &site.shared.plan.gateway;
    let Some(most) = gateway.limits.per_address else { return true };
    let room = gateway.trust.believes(Some(address.ip())) || ticket.belongs_to(address.ip(), most);
    if !room {
        turned_away(worker, "per_address", &address.ip());
    }
    room
}

/// Notes a connection that is one too many.
pub fn turned_away(worker: &Worker, limit: &'static str, who: &dyn Display) {
    let help = "Connections closed at once because there were too many.";
    worker.metrics.counter("moongate_connections_refused_total", help, &[("limit", limit)]).add(1);
    if worker.may_warn() {
        log::warn("a connection is one too many", &[("limit", &limit), ("client", who)]);
    }
}

async fn through(
    worker: &Worker,
    door: &Door,
    at: &Listen,
    stream: Stream,
    peer: &mut Peer,
    ticket: &mut Ticket,
) -> Option<Visitor> {
    let limit = worker.limits().header_timeout;
    let who = *peer;
    match door.enter(at, stream, peer, &worker.tools(), limit, |peer| has_room(worker, ticket, peer)).await {
        Ok(visitor) => {
            if let Some(welcome) = visitor.welcome {
                count(worker, welcome);
            }
            Some(visitor)
        }
        Err((welcome, cause)) => {
            count(worker, welcome);
            let who = who.address.map(|address| address.ip().to_string()).unwrap_or_default();
            log::debug(
                "a connection did not come in",
                &[("client", &who), ("result", &welcome.as_str()), ("cause", &cause)],
            );
            None
        }
    }
}

/// A handshake costs a hundred times what this look-up does.
fn count(worker: &Worker, welcome: Welcome) {
    let labels = [("result", welcome.as_str())];
    let help = "Connections by how their TLS handshake or PROXY header ended.";
    worker.metrics.counter("moongate_tls_handshakes_total", help, &labels).add(1);
}

/// The answer to a request that may not go on by the way its connection came; `None` lets it pass.
pub(crate) async fn stopped(exchange: &Rc<Exchange>, arrival: &Rc<Arrival>, alarm: &Alarm) -> Option<Response> {
    let _ = exchange.arrival.set(Rc::clone(arrival));
    if let Some(proof) = proof(exchange, arrival) {
        return Some(proof);
    }
    let failure = match arrival.aside {
        None if is_at_home(exchange, arrival) => return None,
        None => Failure::new(Code::RequestMisdirected, "ask for this host on a connection of its own"),
        Some(Aside::Redirect(port)) => match elsewhere(exchange, port) {
            Some(response) => return Some(response),
            None => Failure::new(Code::RequestClearText, "ask with https"),
        },
        Some(Aside::Refuse) => Failure::new(Code::RequestClearText, "this port speaks TLS; ask with https"),
    };
    let mut response = refused(exchange, alarm, failure).await;
    response.headers.set("connection", "close");
    Some(response)
}

/// What an authority that wants to know whether a name is ours is told.
fn proof(exchange: &Rc<Exchange>, arrival: &Arrival) -> Option<Response> {
    let issued = arrival.issued.as_ref()?;
    let text = {
        let request = exchange.request.borrow();
        issued.iter().find_map(|issued| issued.answer(&request.path))?
    };
    let mut response = Response::new(200);
    response.headers.set("content-type", "application/octet-stream");
    response.body = Body::from(text);
    respond::finish(exchange, &mut response);
    Some(response)
}

/// Whether the request's host has the terms that the connection was made under.
fn is_at_home(exchange: &Exchange, arrival: &Arrival) -> bool {
    let Some(session) = &arrival.tls else { return true };
    let door = exchange.site.shared.door(&arrival.at);
    let request = exchange.request.borrow();
    session.may_ask(without_port(&request.host), door.and_then(|door| door.tls.as_ref()))
}

/// The same address over TLS (RFC 9110 §15.4.9: the method stays).
fn elsewhere(exchange: &Rc<Exchange>, port: Option<u16>) -> Option<Response> {
    let mut response = Response::new(308);
    {
        let request = exchange.request.borrow();
        let authority = match port {
            None => request.host.to_string(),
            Some(443) => without_port(&request.host).to_owned(),
            Some(port) => format!("{}:{port}", without_port(&request.host)),
        };
        if authority.is_empty() || authority.starts_with(':') {
            return None;
        }
        let mut target = format!("https://{authority}{}", request.raw_path());
        if let Some(query) = &request.query {
            target.push('?');
            target.push_str(query);
        }
        response.headers.set("location", &target);
    }
    response.origin = Origin::Step;
    respond::finish(exchange, &mut response);
    Some(response)
}
