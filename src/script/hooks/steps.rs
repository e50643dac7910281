//! The steps of a request: one resume of one coroutine for the whole pipeline.

use std::rc::Rc;

use mlua::Table;
use mlua::Value;

use super::Inner;
use super::answer;
use super::judge;
use super::then;
use crate::proxy::Code;
use crate::proxy::Exchange;
use crate::proxy::Failure;
use crate::proxy::Run;
use crate::proxy::Verdict;
use crate::script::driver;
use crate::script::driver::Outcome;
use crate::script::pipeline::Step;

impl Inner {
    /// The steps of a pipeline from the one at `at` (from 1) on.
    pub(super) fn steps(self: &Rc<Self>, exchange: &Rc<Exchange>, route: Option<usize>, at: usize) -> Run<Verdict> {
        let run = match self.pipeline(route).run(&self.maker, exchange) {
            Ok(Some(run)) => run,
            Ok(None) => return Run::Done(Verdict::Continue),
            Err(error) => return Run::Done(Verdict::Fail(driver::fault::failure(&self.context, error))),
        };
        let slot = match self.slot() {
            Ok(slot) => slot,
            Err(error) => return Run::Done(Verdict::Fail(driver::fault::failure(&self.context, error))),
        };
        let req = self.request(exchange);
        match driver::drive(&self.context, Some(Rc::clone(exchange)), run, (req, &slot, at)) {
            Run::Done(outcome) => {
                let verdict = self.verdict(exchange, route, &slot, outcome);
                self.give(slot);
                Run::Done(verdict)
            }
            Run::Wait(future) => {
                let (this, exchange) = (Rc::clone(self), Rc::clone(exchange));
                Run::Wait(Box::pin(async move {
                    let outcome = future.await;
                    let verdict = this.verdict(&exchange, route, &slot, outcome);
                    this.give(slot);
                    verdict
                }))
            }
        }
    }

    fn verdict(&self, exchange: &Rc<Exchange>, route: Option<usize>, slot: &Table, outcome: Outcome) -> Verdict {
        let steps = &self.pipeline(route).steps;
        let step = |at: Option<usize>| at.and_then(|at| steps.get(at.wrapping_sub(1)));
        match outcome {
            Ok(mut values) => match values.pop_front() {
                None | Some(Value::Nil) => Verdict::Continue,
                Some(value) => {
                    let at = values.pop_front().and_then(|at| at.as_usize());
                    self.answered(exchange, step(at), value)
                }
            },
            Err(failure) => {
                let at = slot.raw_get::<Option<usize>>(1).ok().flatten();
                Verdict::Fail(blamed(failure, step(at)))
            }
        }
    }

    /// What a step (or `on_request`) returned, as the answer.
    pub(super) fn answered(&self, exchange: &Rc<Exchange>, step: Option<&Step>, value: Value) -> Verdict {
        let answer = match answer::response(&self.lua, &self.context, value) {
            Ok(answer) => answer,
            Err(failure) => return Verdict::Fail(blamed(failure, step)),
        };
        let response = match step {
            Some(step) => judge::refusal(answer.response, step.status, step.detail.as_deref()),
            None => Ok(answer.response),
        };
        let response = match response {
            Ok(response) => response,
            Err(failure) => return Verdict::Fail(blamed(failure, step)),
        };
        let mut record = exchange.record.borrow_mut();
        record.reason = answer.failure.as_ref().map(|failure| failure.code.as_str().into());
        *exchange.failure.borrow_mut() = answer.failure;
        Verdict::Answer(response)
    }

    /// `on_request`
    pub(super) fn on_request(self: &Rc<Self>, exchange: &Rc<Exchange>) -> Run<Verdict> {
        let Some(function) = &self.on_request else { return Run::Done(Verdict::Continue) };
        let (this, owner) = (Rc::clone(self), Rc::clone(exchange));
        let req = self.request(exchange);
        then(driver::drive(&self.context, Some(Rc::clone(exchange)), function, req), move |outcome| match outcome {
            Ok(mut values) => match values.pop_front() {
                None | Some(Value::Nil) => Verdict::Continue,
                Some(value) => this.answered(&owner, None, value),
            },
            Err(mut failure) => {
                failure.step.get_or_insert_with(|| "on_request".into());
                failure.level.get_or_insert("gateway");
                Verdict::Fail(failure)
            }
        })
    }

    /// `to = function`
    pub(super) fn target(self: &Rc<Self>, exchange: &Rc<Exchange>) -> Run<Result<String, Failure>> {
        let missing = || Failure::new(Code::NoAnswer, "this route leads nowhere");
        let Some(function) = &self.pipeline(exchange.route.get()).target else { return Run::Done(Err(missing())) };
        let req = self.request(exchange);
        then(driver::drive(&self.context, Some(Rc::clone(exchange)), function, req), |outcome| {
            match outcome?.pop_front() {
                Some(Value::String(text)) => Ok(text.to_string_lossy()),
                other => {
                    let kind = other.map_or("nothing", |value| value.type_name());
                    let cause = format!("`to` returns the name of an upstream or a URL, not {kind}");
                    Err(Failure::new(Code::ScriptAnswer, "the gateway could not decide where this goes").because(cause))
                }
            }
        })
    }
}

/// A failure with the step it came from, and what that step's refusals say instead.
fn blamed(mut failure: Failure, step: Option<&Step>) -> Failure {
    let Some(step) = step else { return failure };
    failure.step.get_or_insert_with(|| step.word.as_str().into());
    failure.level.get_or_insert(step.level);
    failure.place.get_or_insert_with(|| step.place.clone());
    judge::said(failure, step.status, step.detail.as_deref())
}
