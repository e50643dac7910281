//! The hooks of a request that is watched: the script's own, with somebody who notes what came of them.

use std::rc::Rc;

use serde_json::Value;

use crate::http::Response;
use crate::proxy::Exchange;
use crate::proxy::Failure;
use crate::proxy::Hooks;
use crate::proxy::Run;
use crate::proxy::Verdict;
use crate::proxy::Wants;
use crate::proxy::watch::Watch;
use crate::proxy::websocket::Line;
use crate::proxy::websocket::Talk;

/// The script's hooks, watched.
pub(super) struct Spy {
    pub(super) script: Rc<dyn Hooks>,
    pub(super) watch: Rc<Watch>,
}

impl Hooks for Spy {
    fn wants_request(&self) -> bool {
        self.watch.records() || self.script.wants_request()
    }

    fn wants(&self, route: Option<usize>) -> Wants {
        Wants { on_response: true, on_log: true, ..self.script.wants(route) }
    }

    fn on_request(&self, exchange: &Rc<Exchange>) -> Run<Verdict> {
        if self.watch.records() {
            // The first to ask comes last: it sees the body as it goes out.
            let sent = Rc::clone(&self.watch.sent);
            let keep = move |_: &Exchange, response: &mut Response| {
                response.body = sent.over(std::mem::take(&mut response.body));
            };
            exchange.finishers.borrow_mut().push(Rc::new(keep));
        }
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
        let run = match self.script.wants(exchange.route.get()).on_response {
            true => self.script.on_response(exchange, response),
            false => Run::Done(response),
        };
        match run {
            Run::Done(response) => {
                self.watch.answered(exchange, &response);
                Run::Done(response)
            }
            Run::Wait(waiting) => {
                let (watch, exchange) = (Rc::clone(&self.watch), Rc::clone(exchange));
                Run::Wait(Box::pin(async move {
                    let response = waiting.await;
                    watch.answered(&exchange, &response);
                    response
                }))
            }
        }
    }

    fn on_failure(&self, exchange: &Rc<Exchange>, failure: Failure) -> Run<Result<Response, Failure>> {
        self.script.on_failure(exchange, failure)
    }

    fn on_log(&self, exchange: &Rc<Exchange>) {
        if self.script.wants(exchange.route.get()).on_log {
            self.script.on_log(exchange);
        }
        self.watch.close(exchange);
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
