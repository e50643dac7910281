//! What steps that take a token have in common: where it stands, what the client is told, what the service is told.

use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use mlua::Lua;
use serde_json::Value as Json;

use super::bound::Bound;
use super::from::From;
use crate::proxy::Code;
use crate::proxy::Exchange;
use crate::proxy::Failure;
use crate::proxy::lookup;
use crate::script::driver::fault;
use crate::script::handle;
use crate::script::wait;
use crate::transform::Template;

/// The client's side of a step that takes a token.
pub(in crate::script::bind::core) struct Front {
    pub(super) from: Vec<From>,
    pub(super) optional: bool,
    pub(super) hide: bool,
    /// What every challenge says besides its scheme: realm, where the resource's metadata is.
    pub(super) challenge: String,
    pub(super) bound: Bound,
    /// Fields that only we may set, and what those with a template say.
    pub(super) forward: Vec<(String, Option<Template>)>,
    /// The failures for no token and for a bad one.
    pub(super) codes: (Code, Code),
}

impl Front {
    /// The token; `None` where the request passes without one.
    pub(in crate::script::bind::core) fn token(&self, exchange: &Exchange) -> mlua::Result<Option<String>> {
        for from in &self.from {
            match from.find(exchange) {
                Ok(None) => {}
                Ok(Some(token)) => {
                    if let Some(watch) = &exchange.site.watch {
                        watch.hide(&token);
                    }
                    return Ok(Some(token));
                }
                Err(why) => {
                    let failure = Failure::new(self.codes.1.clone(), why).status(400);
                    return self.refuse(exchange, failure, Some("invalid_request"));
                }
            }
        }
        if self.optional {
            self.strip(exchange);
            return Ok(None);
        }
        self.refuse(exchange, Failure::new(self.codes.0.clone(), "a token is required"), None)
    }

    /// The request passes as whom `claims` name, if whoever brings the token may.
    pub(in crate::script::bind::core) fn pass(
        &self,
        lua: &Lua,
        exchange: &Rc<Exchange>,
        token: &str,
        claims: Arc<Json>,
        now: Duration,
    ) -> mlua::Result<()> {
        if let Err((mut failure, error)) = self.bound.check(exchange, token, &claims, now) {
            failure.code = self.codes.1.clone();
            return self.refuse(exchange, failure, Some(error));
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
        Ok(())
    }

    /// A token that is not believed.
    pub(in crate::script::bind::core) fn invalid<T>(
        &self,
        exchange: &Exchange,
        why: &str,
        cause: impl Into<String>,
    ) -> mlua::Result<T> {
        let cause = cause.into();
        // the client is told no more than it needs, the operator what it was
        exchange.record.borrow_mut().noted.push(("cause".to_owned(), cause.as_str().into()));
        let failure = Failure::new(self.codes.1.clone(), why).because(cause);
        self.refuse(exchange, failure, Some("invalid_token"))
    }

    /// RFC 6750 §3, RFC 9449 §7.1: how to come back with a token, and what was wrong with this one.
    pub(in crate::script::bind::core) fn refuse<T>(
        &self,
        exchange: &Exchange,
        failure: Failure,
        error: Option<&str>,
    ) -> mlua::Result<T> {
        let mut challenge = self.bound.scheme(exchange).to_owned();
        challenge += &self.challenge;
        if let Some(error) = error {
            challenge += &format!(", error=\"{error}\", error_description=\"{}\"", failure.detail);
        }
        wait::fail(failure.header("WWW-Authenticate", challenge))
    }

    /// S-23: what a client says of who it is goes, whatever its token says.
    fn strip(&self, exchange: &Exchange) {
        for (name, _) in &self.forward {
            exchange.request.borrow_mut().headers.remove(name);
        }
    }
}
