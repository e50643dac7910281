//! `core.mirror(options)`: a function of `req` that sends a copy of it elsewhere, whatever becomes of that.

use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

use bytes::Bytes;
use mlua::Function;
use mlua::Lua;
use mlua::Table;
use mlua::Value;

use super::exchange;
use crate::http::Body;
use crate::http::Headers;
use crate::primitive::chance::falls;
use crate::proxy;
use crate::proxy::Call;
use crate::proxy::Exchange;
use crate::script::declare::Session;
use crate::script::declare::here;
use crate::transform::tee::Tee;

/// Where copies go, and how many.
struct Mirror {
    to: String,
    share: f64,
    /// Copies under way on one worker.
    most: usize,
    max_body: usize,
    timeout: Duration,
    under_way: Cell<usize>,
}

/// Prepared once, when the policy is made.
pub(super) fn mirror(lua: &Lua, options: Table) -> mlua::Result<Function> {
    let to: String = options.raw_get::<Value>("to")?.to_string()?;
    if let Ok(session) = Session::of(lua, "mirror") {
        session.called.borrow_mut().push((to.clone(), here(lua, "mirror", None)));
    }
    let timeout = options.raw_get::<f64>("timeout")?;
    let mirror = Rc::new(Mirror {
        to: to.trim_end_matches('/').to_owned(),
        share: options.raw_get("share")?,
        most: options.raw_get("limit")?,
        max_body: options.raw_get("max_body")?,
        timeout: Duration::try_from_secs_f64(timeout).map_err(|fault| mlua::Error::runtime(fault.to_string()))?,
        under_way: Cell::new(0),
    });
    lua.create_function(move |lua, req: Value| {
        mirror.meet(&exchange(lua, &req)?);
        Ok(())
    })
}

impl Mirror {
    /// Decides about a request as it stands, and has its body copied as it passes.
    fn meet(self: &Rc<Self>, exchange: &Rc<Exchange>) {
        if !falls(self.share, exchange.worker.chance()) || exchange.request.borrow().upgrade.is_some() {
            return;
        }
        if self.under_way.get() >= self.most {
            return count(exchange, "full");
        }
        let body = std::mem::take(&mut exchange.request.borrow_mut().body);
        let large = body.left().is_some_and(|left| left > self.max_body as u64);
        match body {
            body if large => {
                exchange.request.borrow_mut().body = body;
                count(exchange, "too_large");
            }
            Body::Empty => self.send(self.call(exchange), Bytes::new(), exchange),
            Body::Full(bytes) => {
                exchange.request.borrow_mut().body = Body::Full(bytes.clone());
                self.send(self.call(exchange), bytes, exchange);
            }
            body => {
                // The request owns its body, and must not be kept alive by it.
                let (this, call, owner) = (Rc::clone(self), self.call(exchange), Rc::downgrade(exchange));
                let place = Place::take(self);
                let copied = move |copy: Option<Bytes>| {
                    drop(place);
                    let Some(exchange) = owner.upgrade() else { return };
                    match copy {
                        Some(bytes) => this.send(call, bytes, &exchange),
                        None => count(&exchange, "too_large"),
                    }
                };
                exchange.request.borrow_mut().body = Tee::over(body, self.max_body, copied);
            }
        }
    }

    /// The request as it stands, for the other service.
    fn call(&self, exchange: &Exchange) -> Call {
        let request = exchange.request.borrow();
        let query = request.query.as_ref().map(|query| format!("?{query}")).unwrap_or_default();
        let mut headers: Headers = request.headers.clone();
        if !self.to.starts_with("https://") {
            headers.set("host", &*request.host);
        }
        if let Some(client) = exchange.client.get() {
            headers.set("X-Forwarded-For", client.to_string());
        }
        headers.set("X-Forwarded-Proto", request.scheme.as_str());
        headers.set("X-Forwarded-Host", &*request.host);
        headers.set("X-Request-Id", exchange.id().as_bytes());
        Call {
            target: format!("{}{}{query}", self.to, request.path),
            method: request.method.clone(),
            headers,
            body: Bytes::new(),
            timeout: Some(self.timeout),
            retries: Some(0),
        }
    }

    /// Beside everything else; the answer is read and dropped.
    fn send(self: &Rc<Self>, mut call: Call, body: Bytes, exchange: &Rc<Exchange>) {
        call.body = body;
        let place = Place::take(self);
        let (worker, site) = (Rc::clone(&exchange.worker), Rc::clone(&exchange.site));
        exchange.worker.spawn(async move {
            let outcome = match proxy::call(&worker, &site, call).await {
                Ok(mut response) => match response.body.collect(ANSWER).await {
                    // A longer one is not read on: its connection is closed instead.
                    Ok(_) | Err(crate::http::BodyError::TooLarge) => "sent",
                    Err(_) => "failed",
                },
                Err(_) => "failed",
            };
            drop(place);
            told(&worker, outcome);
        });
    }
}

/// One copy under way.
struct Place(Rc<Mirror>);

impl Place {
    fn take(mirror: &Rc<Mirror>) -> Self {
        mirror.under_way.set(mirror.under_way.get() + 1);
        Self(Rc::clone(mirror))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.under_way.set(self.0.under_way.get() - 1);
    }
}

fn count(exchange: &Exchange, outcome: &str) {
    told(&exchange.worker, outcome);
}

fn told(worker: &proxy::Worker, outcome: &str) {
    let help = "Copies of requests by what became of them: sent, failed, full (too many under way), too_large.";
    worker.metrics.counter("moongate_mirrored_requests_total", help, &[("outcome", outcome)]).add(1);
}

/// How much of an answer is read so that its connection can be used again.
const ANSWER: usize = 1 << 20;
