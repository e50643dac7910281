//! `core.jwt(options)`: a step's work as one call into Rust, everything prepared while loading.

mod bound;
mod from;
mod options;
pub(crate) mod verify;

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use mlua::Lua;
use mlua::MultiValue;
use mlua::Table;
use mlua::Value;
use serde_json::Value as Json;

use super::exchange;
use crate::primitive::jwt::Cache;
use crate::primitive::jwt::Fault;
use crate::primitive::jwt::Rules;
use crate::proxy::Code;
use crate::proxy::Exchange;
use crate::proxy::Failure;
use crate::proxy::lookup;
use crate::script::bind::function;
use crate::script::context::Context;
use crate::script::driver::fault;
use crate::script::handle;
use crate::script::wait;
use crate::transform::Template;
pub(crate) use from::From;
use verify::Missing;
use verify::Sources;

/// What a `jwt` step is made of.
struct Step {
    sources: Sources,
    rules: Rules,
    from: Vec<From>,
    optional: bool,
    hide: bool,
    /// What every challenge says besides its scheme: realm, where the resource's metadata is.
    challenge: String,
    bound: bound::Bound,
    cache: RefCell<Cache>,
    /// Fields that only we may set, and what those with a template say.
    forward: Vec<(String, Option<Template>)>,
}

/// Two functions: one that checks a request (false: the keys must be waited for), and one that waits for them.
pub(super) fn jwt(lua: &Lua, table: Table) -> mlua::Result<(mlua::Function, mlua::Function)> {
    let step = Rc::new(options::step(lua, &table)?);
    let waiting = Rc::clone(&step);
    let check = wait::strict(lua, "jwt", move |lua, (req, last): (Value, Option<bool>)| {
        step.check(lua, &exchange(lua, &req)?, last.unwrap_or(false))
    })?;
    let keys = wait::function(lua, "jwt", move |lua, req: Value| {
        let (context, exchange) = (Context::of(lua), exchange(lua, &req)?);
        let missing = waiting.sources.missing();
        Ok(Box::pin(async move {
            if let Some(missing) = missing {
                missing.wait(&context, exchange.left().min(PATIENCE)).await;
            }
            Ok(MultiValue::new())
        }))
    })?;
    Ok((check, keys))
}

impl Step {
    /// Lets the request pass as whom its token says, or ends it; false when keys must be fetched first.
    fn check(&self, lua: &Lua, exchange: &Rc<Exchange>, last: bool) -> mlua::Result<bool> {
        let token = match self.token(exchange) {
            Ok(token) => token,
            Err(failure) => return wait::fail(self.challenged(failure, exchange, Some("invalid_request"))),
        };
        let Some(token) = token else {
            if self.optional {
                self.strip(exchange);
                return Ok(true);
            }
            let failure = Failure::new(Code::JwtMissing, "a token is required");
            return wait::fail(self.challenged(failure, exchange, None));
        };
        let now = exchange.worker.clock.unix();
        let version = self.sources.version();
        let known = self.cache.borrow_mut().get(&token, version, now);
        let claims = match known {
            Some(claims) => claims,
            None => match self.sources.verify(lua, &token, &self.rules, last) {
                Ok((claims, until)) => {
                    let claims = Arc::new(Json::Object(claims));
                    self.cache.borrow_mut().put(&token, Arc::clone(&claims), version, until, now);
                    claims
                }
                Err(verify::Refused::Fetch) if !last => return Ok(false),
                Err(verify::Refused::Script(error)) => return Err(error),
                Err(verify::Refused::Fetch | verify::Refused::NoKeys) => {
                    let failure = Failure::new(Code::JwtKeys, "tokens cannot be verified for now");
                    return wait::fail(failure.header("Retry-After", "5").because("no keys could be fetched yet"));
                }
                Err(verify::Refused::Token(fault)) => return wait::fail(self.refused(&fault, exchange)),
            },
        };
        if let Err((failure, error)) = self.bound.check(exchange, &token, &claims, now) {
            return wait::fail(self.challenged(failure, exchange, Some(error)));
        }
        self.strip(exchange);
        handle::identify(lua, exchange, Some(claims), None)?;
        for (name, template) in &self.forward {
            let Some(template) = template else { continue };
            let value = lookup::render(exchange, template, None).map_err(fault::raise)?;
            if !value.is_empty() {
                exchange.request.borrow_mut().headers.set(name, value);
            }
        }
        if self.hide {
            self.from.iter().for_each(|from| from.hide(exchange));
        }
        Ok(true)
    }

    fn token(&self, exchange: &Exchange) -> Result<Option<String>, Failure> {
        for from in &self.from {
            if let Some(token) = from.find(exchange)? {
                return Ok(Some(token));
            }
        }
        Ok(None)
    }

    /// S-23: what a client says of who it is goes, whatever its token says.
    fn strip(&self, exchange: &Exchange) {
        for (name, _) in &self.forward {
            exchange.request.borrow_mut().headers.remove(name);
        }
    }

    fn refused(&self, fault: &Fault, exchange: &Exchange) -> Failure {
        let code = if *fault == Fault::Expired { Code::JwtExpired } else { Code::JwtInvalid };
        let failure = Failure::new(code, fault.public()).because(fault.to_string());
        self.challenged(failure, exchange, Some("invalid_token"))
    }

    /// RFC 6750 §3, RFC 9449 §7.1: how to come back with a token, and what was wrong with this one.
    fn challenged(&self, failure: Failure, exchange: &Exchange, error: Option<&str>) -> Failure {
        let mut challenge = self.bound.scheme(exchange).to_owned();
        challenge += &self.challenge;
        if let Some(error) = error {
            challenge += &format!(", error=\"{error}\", error_description=\"{}\"", failure.detail);
        }
        let status = if error == Some("invalid_request") { 400 } else { 401 };
        failure.status(status).header("WWW-Authenticate", challenge)
    }
}

impl Missing {
    /// Until the fetch under way has ended, or `most` is over.
    async fn wait(mut self, context: &Context, most: Duration) {
        let clock = context.clock();
        let _ = clock.timeout(most, self.turns.changed()).await;
        self.note(clock.now());
    }
}

/// `core.jwt_tools()`: `verify`, `sign` and `decode` for scripts.
pub(super) fn tools(lua: &Lua) -> mlua::Result<Table> {
    let tools = lua.create_table()?;
    tools.raw_set("verify", verify::function(lua)?)?;
    tools.raw_set("sign", function(lua, "jwt.sign", options::sign)?)?;
    tools.raw_set("decode", function(lua, "jwt.decode", options::decode)?)?;
    Ok(tools)
}

/// How long a request waits for keys at most.
const PATIENCE: Duration = Duration::from_secs(5);
