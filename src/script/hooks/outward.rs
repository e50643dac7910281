//! `on_response`: every answer on its way out, inner level first.

use std::rc::Rc;

use mlua::Lua;
use mlua::Table;
use mlua::Value;

use super::Inner;
use super::answer;
use crate::http::Response;
use crate::proxy::Exchange;
use crate::proxy::Failure;
use crate::proxy::Run;
use crate::proxy::respond;
use crate::script::context::Context;
use crate::script::driver;
use crate::script::driver::Outcome;
use crate::script::driver::fault;
use crate::script::handle;

/// Another answer than the one there was, as a `res` for the next function.
pub(super) fn adopt(lua: &Lua, value: Value) -> mlua::Result<Value> {
    if handle::held(lua, &value).is_some() {
        return Ok(value);
    }
    let answer = answer::response(lua, &Context::of(lua), value).map_err(fault::raise)?;
    handle::answered(lua, Context::of(lua).exchange().as_deref(), answer.response, answer.failure)
}

impl Inner {
    pub(super) fn on_response(self: &Rc<Self>, exchange: &Rc<Exchange>, response: Response) -> Run<Response> {
        let route = exchange.route.get();
        let prepared = self.pipeline(route);
        let Some(function) = &prepared.outward else { return Run::Done(response) };
        let made = handle::answered(&self.lua, Some(exchange), response, exchange.failure.borrow().clone());
        let made = made.and_then(|res| Ok((res, self.slot()?)));
        let (res, slot) = match made {
            Ok(made) => made,
            Err(error) => return Run::Done(respond::problem(exchange, &fault::failure(&self.context, error))),
        };
        let args = (self.request(exchange), &slot, 1, &res);
        match driver::drive(&self.context, Some(Rc::clone(exchange)), function, args) {
            Run::Done(Ok(values)) => {
                let sent = self.sent(values.front());
                self.give(slot);
                match sent {
                    Ok(response) => Run::Done(response),
                    Err(failure) => Run::Done(respond::problem(exchange, &failure)),
                }
            }
            Run::Done(outcome) => self.outwards_again(exchange, slot, outcome),
            Run::Wait(future) => {
                let (this, exchange) = (Rc::clone(self), Rc::clone(exchange));
                Run::Wait(Box::pin(async move {
                    let outcome = future.await;
                    this.outwards_again(&exchange, slot, outcome).get().await
                }))
            }
        }
    }

    /// A failure goes to the next level out, once; the levels beyond it still see the answer.
    fn outwards_again(self: &Rc<Self>, exchange: &Rc<Exchange>, slot: Table, outcome: Outcome) -> Run<Response> {
        let failure = match outcome.and_then(|values| self.sent(values.front())) {
            Ok(response) => return Run::Done(response),
            Err(failure) => failure,
        };
        let at = slot.raw_get::<Option<usize>>(1).ok().flatten().unwrap_or(1);
        let (this, exchange) = (Rc::clone(self), Rc::clone(exchange));
        Run::Wait(Box::pin(async move {
            let level = this.pipeline(exchange.route.get()).responders.get(at - 1).copied().unwrap_or_default();
            let response = this.explain(&exchange, blamed(&this, &exchange, failure, level), level + 1).await;
            let last = this.finish(&exchange, &slot, at + 1, response).await;
            this.give(slot);
            last
        }))
    }

    /// The functions from `at` on, with another answer; if one of them fails too, the plain problem is sent.
    async fn finish(self: &Rc<Self>, exchange: &Rc<Exchange>, slot: &Table, at: usize, response: Response) -> Response {
        let Some(function) = self.pipeline(exchange.route.get()).outward.clone() else { return response };
        let made = handle::answered(&self.lua, Some(exchange), response, exchange.failure.borrow().clone());
        let outcome = match made {
            Ok(res) => {
                let args = (self.request(exchange), slot, at, res);
                driver::drive(&self.context, Some(Rc::clone(exchange)), &function, args).get().await
            }
            Err(error) => Err(fault::failure(&self.context, error)),
        };
        match outcome.and_then(|values| self.sent(values.front())) {
            Ok(response) => response,
            Err(failure) => {
                respond::report(exchange, &failure);
                exchange.fail(&Rc::new(failure.clone()));
                respond::problem(exchange, &failure)
            }
        }
    }

    /// The response behind the `res` that came out.
    fn sent(&self, value: Option<&Value>) -> Result<Response, Failure> {
        let value = value.cloned().unwrap_or(Value::Nil);
        answer::response(&self.lua, &self.context, value).map(|answer| answer.response)
    }

    /// A failure of a function that shapes answers, as an answer: the levels from `level` on are asked.
    async fn explain(self: &Rc<Self>, exchange: &Rc<Exchange>, failure: Failure, level: usize) -> Response {
        exchange.fail(&Rc::new(failure.clone()));
        respond::report(exchange, &failure);
        match self.on_failure(exchange, failure, level).get().await {
            Ok(response) => response,
            Err(failure) => respond::problem(exchange, &failure),
        }
    }
}

fn blamed(hooks: &Inner, exchange: &Exchange, mut failure: Failure, level: usize) -> Failure {
    failure.step.get_or_insert_with(|| "on_response".into());
    if let Some(level) = hooks.pipeline(exchange.route.get()).levels.get(level) {
        failure.level.get_or_insert(level.name);
    }
    failure
}
