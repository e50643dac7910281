//! The way an answer takes to its client: a connection of HTTP/1.1, or one stream of HTTP/2.

use std::future::Future;
use std::rc::Rc;

use crate::clock::Alarm;
use crate::downstream::Arrival;
use crate::downstream::Connection;
use crate::downstream::Gone;
use crate::http::Headers;
use crate::http::Response;
use crate::proxy::Exchange;
use crate::proxy::answer;

/// What the life of a request asks of its client's side.
pub(crate) trait Way: 'static {
    /// How the connection came in, where there is more to say than its address.
    fn arrival(&self) -> Option<&Rc<Arrival>>;

    /// Bytes of the request's body received so far.
    fn received(&self) -> u64;

    /// Resolves when nobody waits for an answer any more.
    fn gone(&self) -> impl Future<Output = ()>;

    /// Tells the client these hints (103, RFC 8297) before its answer, where it takes them.
    fn hint(&self, fields: &Headers);

    /// What the request comes to.
    fn decide(&self, exchange: &Rc<Exchange>, alarm: &Alarm) -> impl Future<Output = Response>;

    /// Sends the answer: the number of body bytes, or how it broke off. `head`: without body.
    fn answer(&mut self, response: &mut Response, head: bool) -> impl Future<Output = Result<u64, Gone>>;

    /// Ends an answer that broke off with these fields, where that can be told from a whole one.
    fn conclude(&mut self, trailers: &Headers);
}

impl Way for Connection {
    fn arrival(&self) -> Option<&Rc<Arrival>> {
        self.arrival()
    }

    fn received(&self) -> u64 {
        self.received()
    }

    fn gone(&self) -> impl Future<Output = ()> {
        self.gone()
    }

    fn hint(&self, fields: &Headers) {
        self.hint(fields);
    }

    fn decide(&self, exchange: &Rc<Exchange>, alarm: &Alarm) -> impl Future<Output = Response> {
        answer(exchange, alarm)
    }

    fn answer(&mut self, response: &mut Response, head: bool) -> impl Future<Output = Result<u64, Gone>> {
        self.answer(response, head)
    }

    /// Here a body that breaks off closes the connection, and nothing can follow.
    fn conclude(&mut self, _: &Headers) {}
}
