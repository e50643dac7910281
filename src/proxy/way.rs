//! The way an answer takes to its client: a connection of HTTP/1.1, or one stream of HTTP/2.

use std::future::Future;
use std::rc::Rc;

use crate::clock::Alarm;
use crate::downstream::Arrival;
use crate::downstream::Connection;
use crate::downstream::Gone;
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

    /// What the request comes to.
    fn decide(&self, exchange: &Rc<Exchange>, alarm: &Alarm) -> impl Future<Output = Response>;

    /// Sends the answer: the number of body bytes, or how it broke off. `head`: without body.
    fn answer(&mut self, response: &mut Response, head: bool) -> impl Future<Output = Result<u64, Gone>>;
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

    fn decide(&self, exchange: &Rc<Exchange>, alarm: &Alarm) -> impl Future<Output = Response> {
        answer(exchange, alarm)
    }

    fn answer(&mut self, response: &mut Response, head: bool) -> impl Future<Output = Result<u64, Gone>> {
        self.answer(response, head)
    }
}
