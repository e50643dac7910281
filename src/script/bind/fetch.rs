//! `fetch` and `try_fetch`: a request of the script's own, to a declared upstream or any URL.

mod redirect;
mod request;

use std::rc::Rc;
use std::time::Duration;

use mlua::IntoLuaMulti;
use mlua::Lua;
use mlua::MultiValue;
use mlua::Table;
use mlua::Value;

use crate::clock::Moment;
use crate::http::Response;
use crate::proxy;
use crate::proxy::Call;
use crate::proxy::Code;
use crate::proxy::Exchange;
use crate::proxy::Failure;
use crate::proxy::Site;
use crate::proxy::Worker;
use crate::script::bind::text::Text;
use crate::script::context::Context;
use crate::script::driver::fault;
use crate::script::handle;
use crate::script::wait;
use crate::script::wait::Waiting;
use request::Ask;

/// `fetch`, `try_fetch`
pub(super) fn install(lua: &Lua, words: &Table) -> mlua::Result<()> {
    let fetch =
        wait::function(lua, "fetch", |lua, (target, options): (Text, Option<Table>)| -> mlua::Result<Waiting> {
            let (lua, work) = (lua.clone(), start(lua, &target, options.as_ref())?);
            Ok(Box::pin(async move {
                let response = work.finish().await.map_err(fault::raise)?;
                handle::response(&lua, response)?.into_lua_multi(&lua)
            }))
        })?;
    let try_fetch =
        wait::function(lua, "try_fetch", |lua, (target, options): (Text, Option<Table>)| -> mlua::Result<Waiting> {
            let (lua, work) = (lua.clone(), start(lua, &target, options.as_ref())?);
            Ok(Box::pin(async move { tried(&lua, work.finish().await) }))
        })?;
    words.set("fetch", fetch)?;
    words.set("try_fetch", try_fetch)
}

fn tried(lua: &Lua, outcome: Result<Response, Failure>) -> mlua::Result<MultiValue> {
    match outcome {
        Ok(response) => handle::response(lua, response)?.into_lua_multi(lua),
        Err(failure) => (Value::Nil, handle::error(lua, &failure)?).into_lua_multi(lua),
    }
}

/// A fetch under way.
struct Fetch {
    worker: Rc<Worker>,
    site: Rc<Site>,
    ask: Ask,
    due: Moment,
}

fn start(lua: &Lua, target: &Text, options: Option<&Table>) -> mlua::Result<Fetch> {
    let context = Context::of(lua);
    let (worker, exchange) = (context.worker()?, context.exchange());
    let mut ask = Ask::read(lua, target, options)?;
    if let Some(exchange) = &exchange {
        trace(&mut ask, exchange);
    }
    let now = context.clock().now();
    let due = now.after(ask.timeout.unwrap_or(LONGEST)).min(left(exchange.as_deref()));
    Ok(Fetch { site: context.site()?, worker, ask, due })
}

/// When the request must be answered; once it is (`on_log`), its time bounds nothing.
fn left(exchange: Option<&Exchange>) -> Moment {
    match exchange {
        Some(exchange) if exchange.record.borrow().status == 0 => exchange.deadline.get(),
        _ => Moment::NEVER,
    }
}

/// The call belongs to the request's trace and carries its id, unless the script says otherwise.
fn trace(ask: &mut Ask, exchange: &Exchange) {
    if !ask.headers.has("traceparent") {
        let mut parent = Vec::new();
        exchange.trace().write(&mut parent, exchange.worker.chance());
        ask.headers.set("traceparent", parent);
    }
    if !ask.headers.has("x-request-id") {
        ask.headers.set("x-request-id", exchange.id().as_bytes());
    }
}

impl Fetch {
    /// The answer, redirects followed as far as they may be.
    async fn finish(mut self) -> Result<Response, Failure> {
        for left in (0..=self.ask.redirects).rev() {
            let response = self.call().await?;
            if left == 0 || !self.ask.follow(&response) {
                return Ok(response);
            }
        }
        Err(Failure::new(Code::UpstreamProtocol, "too many redirects"))
    }

    async fn call(&self) -> Result<Response, Failure> {
        let timeout = self.due.since(self.worker.clock.now());
        if timeout.is_zero() {
            return Err(Failure::new(Code::UpstreamTimeout, "the service did not answer in time")
                .because(format!("no time was left to ask `{}`", self.ask.target)));
        }
        let call = Call {
            target: self.ask.target.clone(),
            method: self.ask.method.clone(),
            headers: self.ask.headers.clone(),
            body: self.ask.body.clone(),
            timeout: Some(timeout),
            retries: self.ask.retries,
        };
        // The name is looked up outside the upstream's own timers, so the whole call has the limit too.
        match self.worker.clock.timeout(timeout, proxy::call(&self.worker, &self.site, call)).await {
            Some(answer) => answer,
            None => Err(Failure::new(Code::UpstreamTimeout, "the service did not answer in time")
                .because(format!("`{}`: no answer within {timeout:?}", self.ask.target))),
        }
    }
}

/// How long a call takes at most unless the script says otherwise.
const LONGEST: Duration = Duration::from_secs(30);

#[cfg(test)]
mod tests;
