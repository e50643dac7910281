//! `core.jwt(options)`: a step's work as one call into Rust, everything prepared while loading.

mod bound;
mod from;
mod front;
pub(super) mod options;
mod sources;
mod verify;

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
use crate::script::bind::function;
use crate::script::context::Context;
use crate::script::wait;
pub(super) use front::Front;
use sources::Missing;
use sources::Refused;
use sources::Sources;

/// What a `jwt` step is made of.
struct Step {
    front: Front,
    sources: Sources,
    rules: Rules,
    cache: RefCell<Cache>,
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
        let Some(token) = self.front.token(exchange)? else { return Ok(true) };
        let now = exchange.worker.clock.unix();
        let version = self.sources.version();
        let known = self.cache.borrow_mut().get(&token, version, now);
        let claims = match known {
            Some(claims) => claims,
            None => match self.sources.verify(lua, &token, &self.rules, last) {
                Ok((claims, until)) => {
                    let claims = Arc::new(Json::Object(claims));
                    // Asked again: the first look at a fetched set is what finds it.
                    let version = self.sources.version();
                    self.cache.borrow_mut().put(&token, Arc::clone(&claims), version, until, now);
                    claims
                }
                Err(Refused::Fetch) if !last => return Ok(false),
                Err(Refused::Script(error)) => return Err(error),
                Err(Refused::Fetch | Refused::NoKeys | Refused::Other) => {
                    let failure = Failure::new(Code::JwtKeys, "tokens cannot be verified for now");
                    return wait::fail(failure.header("Retry-After", "5").because("no keys could be fetched yet"));
                }
                Err(Refused::Token(Fault::Expired)) => {
                    let failure = Failure::new(Code::JwtExpired, Fault::Expired.public());
                    return self.front.refuse(exchange, failure, Some("invalid_token"));
                }
                Err(Refused::Token(fault)) => {
                    return self.front.invalid(exchange, fault.public(), fault.to_string());
                }
            },
        };
        self.front.pass(lua, exchange, &token, claims, now)?;
        Ok(true)
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
