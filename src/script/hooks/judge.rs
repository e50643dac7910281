//! Steps whose refusals say something else (`status`, `detail`) or do not count (`enforce = false`).

use std::rc::Rc;

use mlua::Function;
use mlua::Lua;
use mlua::MultiValue;
use mlua::Table;
use mlua::Value;

use super::answer;
use crate::http::Response;
use crate::proxy::Code;
use crate::proxy::Exchange;
use crate::proxy::Failure;
use crate::script::context::Context;
use crate::script::driver;
use crate::script::driver::Outcome;
use crate::script::driver::fault;
use crate::script::handle;
use crate::script::wait;
use crate::telemetry::log;

/// `judge(step, req, next)`: runs a step that is called inside a function, as its `status`, `detail` and `enforce` say.
pub(crate) fn judge(lua: &Lua) -> mlua::Result<Function> {
    wait::function(lua, "a step", |lua, (step, req, next): (Table, Value, Option<Function>)| {
        let context = Context::of(lua);
        let exchange = context.exchange().ok_or_else(|| mlua::Error::runtime("a step belongs to a request"))?;
        let call: Function = step.raw_get("call")?;
        let word: String = step.raw_get("word")?;
        let status: Option<u16> = step.raw_get("status")?;
        let detail: Option<String> = step.raw_get("detail")?;
        let enforce = step.raw_get::<Option<bool>>("enforce")?.unwrap_or(true);
        let lua = lua.clone();
        Ok(Box::pin(async move {
            let (asked, wraps) = (exchange.finishers.borrow().len(), next.is_some());
            let outcome = driver::drive(&context, Some(Rc::clone(&exchange)), &call, (req, next)).get().await;
            if !enforce {
                if !wraps {
                    exchange.finishers.borrow_mut().truncate(asked);
                }
                if let Some(would) = would(outcome)? {
                    tell(&exchange, &word, &would);
                }
                return Ok(MultiValue::new());
            }
            let value = outcome.map_err(|failure| fault::raise(said(failure, status, detail.as_deref())))?.pop_front();
            let Some(value) = value.filter(|value| !value.is_nil()) else { return Ok(MultiValue::new()) };
            let answer = answer::response(&lua, &context, value).map_err(fault::raise)?;
            let response = refusal(answer.response, status, detail.as_deref()).map_err(fault::raise)?;
            Ok(MultiValue::from_vec(vec![handle::answered(&lua, Some(&exchange), response, answer.failure)?]))
        }))
    })
}

/// What a step that does not count would have answered; a mistake of the script counts all the same.
pub(super) fn would(outcome: Outcome) -> mlua::Result<Option<String>> {
    match outcome {
        Ok(values) => match values.front() {
            None | Some(Value::Nil) => Ok(None),
            Some(Value::Table(answer)) => answer.raw_get::<Value>("status")?.to_string().map(Some),
            Some(other) => other.to_string().map(Some),
        },
        Err(failure) if failure.code.as_str().starts_with("script.") => Err(fault::raise(failure)),
        Err(failure) => Ok(Some(format!("{} ({})", failure.status, failure.code.as_str()))),
    }
}

/// Counts and logs it.
pub(super) fn tell(exchange: &Rc<Exchange>, word: &str, would: &str) {
    let help = "Refusals of steps with `enforce = false`, which were not applied.";
    exchange.worker.metrics.counter("moongate_dry_refusals_total", help, &[("step", word)]).add(1);
    let fields: [(&str, &dyn std::fmt::Display); 3] =
        [("step", &word), ("answer", &would), ("request_id", exchange.id())];
    log::info("a step with `enforce = false` would have refused", &fields);
}

/// A refusal with the status and detail that the step was given.
pub(super) fn said(mut failure: Failure, status: Option<u16>, detail: Option<&str>) -> Failure {
    if !failure.code.as_str().starts_with("script.") {
        failure.status = status.unwrap_or(failure.status);
        if let Some(detail) = detail {
            detail.clone_into(&mut failure.detail);
        }
    }
    failure
}

/// An answer of 400 and above is a refusal: with a detail of the step's own it becomes a problem document.
pub(super) fn refusal(mut response: Response, status: Option<u16>, detail: Option<&str>) -> Result<Response, Failure> {
    if response.status < 400 {
        return Ok(response);
    }
    response.status = status.unwrap_or(response.status);
    let Some(detail) = detail else { return Ok(response) };
    let mut failure = Failure::new(Code::Rejected, detail).status(response.status);
    let fields = response.headers.iter().filter(|(_, name, _)| !name.eq_ignore_ascii_case(b"content-type"));
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    failure.headers = fields.map(|(_, name, value)| (text(name), text(value))).collect();
    Err(failure)
}
