//! `next()`: what follows a step that wraps it, as a response; and steps that only say what they would do.

use std::rc::Rc;

use mlua::Function;
use mlua::Lua;
use mlua::MultiValue;
use mlua::Value;

use super::Inner;
use super::judge;
use super::tape;
use crate::http::Response;
use crate::proxy;
use crate::proxy::Exchange;
use crate::proxy::Failure;
use crate::proxy::Override;
use crate::proxy::Verdict;
use crate::script::driver;
use crate::script::driver::fault;
use crate::script::handle;
use crate::script::wait;

/// The function behind `next`: `follow(pipeline, at, req)`.
pub(super) fn follow(lua: &Lua) -> mlua::Result<Function> {
    wait::function(lua, "next", |lua, (pipeline, at, req): (usize, usize, Value)| {
        let hooks = Inner::of(lua)?;
        // A `next` that was kept belongs to its own request (or that one's twin), not to whichever runs now.
        let own = handle::exchange(lua, &req)?.ok_or_else(|| mlua::Error::runtime("`next` belongs to a request"))?;
        let current = hooks.context.exchange().filter(|current| current.stands_for(&own));
        let exchange = current.ok_or_else(|| mlua::Error::runtime("this `next` belongs to another request"))?;
        let lua = lua.clone();
        Ok(Box::pin(async move {
            tape::play(&exchange, at, hooks.context.limits().buffer).map_err(fault::raise)?;
            let (response, failure) = match rest(&hooks, &exchange, pipeline, at).await {
                Ok(answer) => answer,
                Err(failure) => {
                    let shared = Rc::new(failure.clone());
                    (proxy::explain(&exchange, failure).await, Some(shared))
                }
            };
            let response = handle::answered(&lua, Some(&exchange), response, failure)?;
            Ok(MultiValue::from_vec(vec![response]))
        }))
    })
}

/// The steps from `at` on, then the service: an answer, and the failure it stands for, if it is one that a further `next`
/// met. What an earlier call of this `next` met is forgotten.
async fn rest(
    hooks: &Rc<Inner>,
    exchange: &Rc<Exchange>,
    pipeline: usize,
    at: usize,
) -> Result<(Response, Option<Rc<Failure>>), Failure> {
    match hooks.steps(exchange, pipeline.checked_sub(1), at).get().await {
        Verdict::Answer(response) => Ok((response, exchange.failure.borrow().clone())),
        Verdict::Fail(failure) => Err(failure),
        Verdict::Continue => {
            let response = proxy::forward(exchange, Override::default()).await?;
            exchange.record.borrow_mut().reason = None;
            *exchange.failure.borrow_mut() = None;
            Ok((response, None))
        }
    }
}

/// Runs a step with `enforce = false`: what it would have answered is logged and counted, the request goes on.
pub(super) fn dry(lua: &Lua) -> mlua::Result<Function> {
    wait::function(lua, "a step", |lua, (pipeline, at, next): (usize, usize, Option<Function>)| {
        let hooks = Inner::of(lua)?;
        let exchange = hooks.context.exchange().ok_or_else(|| mlua::Error::runtime("a step belongs to a request"))?;
        Ok(Box::pin(async move {
            let prepared = hooks.pipeline(pipeline.checked_sub(1));
            let steps = prepared.steps(&hooks.maker, &exchange)?;
            let Some(step) = steps.get(at.wrapping_sub(1)) else { return Ok(MultiValue::new()) };
            let req = hooks.request(&exchange);
            let asked = exchange.finishers.borrow().len();
            let run = driver::drive(&hooks.context, Some(Rc::clone(&exchange)), &step.call, (req, next));
            let outcome = run.get().await;
            // What wraps has let others run meanwhile, whose wishes count.
            if !step.wraps {
                exchange.finishers.borrow_mut().truncate(asked);
            }
            let Some(would) = judge::would(outcome)? else { return Ok(MultiValue::new()) };
            judge::tell(&exchange, &step.word, &would);
            Ok(MultiValue::new())
        }))
    })
}
