//! Failures turned into answers: `errors` and `on_error`, the most specific first; and the events they are.

mod template;

use std::rc::Rc;

use mlua::Value;

use super::Inner;
use super::answer;
use crate::http::Response;
use crate::http::message::Origin;
use crate::proxy::Exchange;
use crate::proxy::Failure;
use crate::proxy::Run;
use crate::proxy::respond;
use crate::script::driver;
use crate::script::driver::fault;
use crate::script::handle;
use crate::script::live::Event;
use crate::store;

impl Inner {
    /// Asks whoever takes this code, at the levels from `level` (0 is the innermost) on.
    pub(super) fn on_failure(
        self: &Rc<Self>,
        exchange: &Rc<Exchange>,
        failure: Failure,
        level: usize,
    ) -> Run<Result<Response, Failure>> {
        self.tell(exchange, &failure);
        let turns = &self.pipeline(exchange.route.get()).answers;
        if !turns.iter().any(|turn| turn.level >= level && turn.takes(failure.code.as_str())) {
            return Run::Done(Err(failure));
        }
        let (this, exchange) = (Rc::clone(self), Rc::clone(exchange));
        Run::Wait(Box::pin(async move { this.ask(&exchange, failure, level).await }))
    }

    async fn ask(
        self: &Rc<Self>,
        exchange: &Rc<Exchange>,
        failure: Failure,
        mut level: usize,
    ) -> Result<Response, Failure> {
        let mut failure = failure;
        // A failure of a function here goes to the next level out, once.
        for attempt in 0..2 {
            match self.round(exchange, &failure, level).await {
                Ok(Some(response)) => return Ok(response),
                Ok(None) => return Err(failure),
                Err((at, mut fresh)) => {
                    fresh.step.get_or_insert_with(|| "on_error".into());
                    respond::report(exchange, &fresh);
                    exchange.fail(&Rc::new(fresh.clone()));
                    (failure, level) = (fresh, at + 1);
                    if attempt == 0 {
                        self.tell(exchange, &failure);
                    }
                }
            }
        }
        Err(failure)
    }

    /// Asks each in turn; the first answer counts. An error says at which level a function failed.
    async fn round(
        self: &Rc<Self>,
        exchange: &Rc<Exchange>,
        failure: &Failure,
        level: usize,
    ) -> Result<Option<Response>, (usize, Failure)> {
        let prepared = self.pipeline(exchange.route.get());
        for turn in prepared.answers.iter().filter(|turn| turn.level >= level && turn.takes(failure.code.as_str())) {
            let answer = match &turn.answer {
                Value::Function(function) => {
                    let err = handle::error(&self.lua, failure);
                    let err = err.map_err(|error| (turn.level, fault::failure(&self.context, error)))?;
                    let args = (self.request(exchange), err);
                    let run = driver::drive(&self.context, Some(Rc::clone(exchange)), function, args);
                    let values = run.get().await.map_err(|failure| (turn.level, failure))?;
                    values.into_iter().next().unwrap_or(Value::Nil)
                }
                declared => template::fill(&self.lua, exchange, declared).map_err(|failure| (turn.level, failure))?,
            };
            if answer.is_nil() {
                continue;
            }
            let fresh = matches!(&answer, Value::Table(table) if table.raw_get::<Value>("status").is_ok_and(|status| status.is_nil()));
            let answer = answer::response(&self.lua, &self.context, answer).map_err(|failure| (turn.level, failure))?;
            let mut response = answer.response;
            if fresh {
                response.status = failure.status;
            }
            for (name, value) in &failure.headers {
                if !response.headers.has(name) {
                    response.headers.add(name, value);
                }
            }
            response.origin = Origin::Error;
            return Ok(Some(response));
        }
        Ok(None)
    }

    /// Each code is an event for `on(code)`, heard by the control thread's machine: plain data.
    fn tell(&self, exchange: &Rc<Exchange>, failure: &Failure) {
        let bus = self.context.live().bus();
        if !bus.hears(failure.code.as_str()) {
            return;
        }
        let err = serde_json::json!({
            "code": failure.code.as_str(), "status": failure.status, "detail": failure.detail,
            "step": failure.step.as_deref(), "level": failure.level, "upstream": failure.upstream.as_deref(),
            "file": failure.place.as_ref().map(|place| &place.0), "line": failure.place.as_ref().map(|place| place.1),
        });
        let mut req = {
            let request = exchange.request.borrow();
            serde_json::json!({
                "method": request.method.as_str(), "path": request.path, "host": request.host, "query": request.query,
                "id": &**exchange.id(), "ip": exchange.client.get().map(|address| address.to_string()),
            })
        };
        if let Some(claims) = handle::claims(&self.lua, exchange) {
            req["user"] = (*claims).clone();
        }
        match exchange.user.key() {
            Some(key) => req["key"] = (*key).into(),
            None => {
                if let Some(kept) = handle::kept(&self.lua, exchange, "key") {
                    req["key"] = super::after::as_json(&kept);
                }
            }
        }
        let args = [err, req].map(|value| Some(store::Value::Json(Box::new(value)))).to_vec();
        bus.emit(Event { name: failure.code.as_str().to_owned(), args });
    }
}
