//! One client connection over HTTP/2: its requests side by side, each with its answer and a life of its own.

use std::future::Future;
use std::rc::Rc;

use crate::clock::Alarm;
use crate::downstream::Arrival;
use crate::downstream::Gone;
use crate::downstream::Peer;
use crate::downstream::Refusal;
use crate::downstream::serve_h2::Connection;
use crate::downstream::serve_h2::Reply;
use crate::http::Headers;
use crate::http::Method;
use crate::http::Request;
use crate::http::Response;
use crate::http::Version;
use crate::proxy::Caught;
use crate::proxy::Code;
use crate::proxy::Exchange;
use crate::proxy::Failure;
use crate::proxy::Worker;
use crate::proxy::answer;
use crate::proxy::refused;
use crate::proxy::serve::After;
use crate::proxy::serve::Client;
use crate::proxy::serve::Job;
use crate::proxy::serve::go_on;
use crate::proxy::serve::refuse;
use crate::proxy::way::Way;
use crate::proxy::websocket::handshake;

/// One stream of a connection.
pub(crate) struct Stream {
    reply: Reply,
    arrival: Rc<Arrival>,
}

impl Way for Stream {
    fn arrival(&self) -> Option<&Rc<Arrival>> {
        Some(&self.arrival)
    }

    fn received(&self) -> u64 {
        self.reply.received()
    }

    fn gone(&self) -> impl Future<Output = ()> {
        self.reply.gone()
    }

    fn hint(&self, fields: &Headers) {
        self.reply.hint(fields);
    }

    /// To an extended CONNECT every 2xx says that the tunnel stands (RFC 8441 §5).
    async fn decide(&self, exchange: &Rc<Exchange>, alarm: &Alarm) -> Response {
        let response = answer(exchange, alarm).await;
        if !self.reply.is_connect() || !(200..300).contains(&response.status) {
            return response;
        }
        let failure = Failure::new(Code::WebsocketHandshake, "no WebSocket is served here").status(501);
        Box::pin(refused(exchange, alarm, failure)).await
    }

    fn answer(&mut self, response: &mut Response, head: bool) -> impl Future<Output = Result<u64, Gone>> {
        self.reply.answer(response, head)
    }

    fn conclude(&mut self, trailers: &Headers) {
        self.reply.conclude(trailers);
    }
}

/// Takes what comes on a connection until it closes. Requests are answered beside it, and end with it.
pub(crate) async fn converse(worker: Rc<Worker>, mut connection: Connection, peer: Peer) {
    while let Some((request, reply)) = connection.next(|| worker.limits()).await {
        let Some(site) = worker.site() else { return };
        let client = Client::new(&worker, Stream { reply, arrival: Rc::clone(connection.arrival()) });
        match request {
            Ok(mut request) => {
                if request.upgrade.is_some() {
                    handshake::complete(&mut request.headers, (worker.chance(), worker.chance()));
                }
                let head = request.method == Method::Head;
                let exchange = Exchange::begin(&worker, site, request, peer);
                worker.spawn(Caught::new(live(Rc::clone(&worker), Job { client, exchange, head }), &worker.metrics));
            }
            Err(refusal) => {
                worker.spawn(Caught::new(turn_away(Rc::clone(&worker), client, refusal, peer), &worker.metrics));
            }
        }
    }
}

async fn turn_away(worker: Rc<Worker>, mut client: Box<Client<Stream>>, refusal: Refusal, peer: Peer) {
    let blank = Request { version: Version::Http2, ..Request::default() };
    refuse(&worker, &mut client, refusal, blank, peer).await;
}

/// One request, and what its stream may become.
async fn live(worker: Rc<Worker>, job: Job<Stream>) {
    let (client, after) = worker.streams.work(job).await;
    if let After::Upgraded(upgraded) = after {
        let tunnel = client.way.reply.into_tunnel().map(|tunnel| (tunnel, Vec::new()));
        Box::pin(go_on(worker, tunnel, *upgraded)).await;
    }
}
