//! After the answer: `on_log`, the access log's functions, and names that templates ask the script for.

use std::rc::Rc;

use mlua::Lua;
use mlua::Value;

use super::Inner;
use super::truth;
use crate::http::Response;
use crate::proxy::Exchange;
use crate::proxy::Failure;
use crate::proxy::respond;
use crate::script::bind::json;
use crate::script::driver;
use crate::script::handle;

impl Inner {
    /// Every level's `on_log`, inner first, beside the connection's next request.
    pub(super) fn on_log(self: &Rc<Self>, exchange: &Rc<Exchange>) {
        let (this, owner) = (Rc::clone(self), Rc::clone(exchange));
        exchange.worker.spawn(async move {
            for level in &this.pipeline(owner.route.get()).levels {
                let Some(function) = &level.on_log else { continue };
                let Ok(res) = this.sent_response(&owner) else { continue };
                let run = driver::drive(&this.context, Some(Rc::clone(&owner)), function, (this.request(&owner), res));
                if let Err(mut failure) = run.get().await {
                    failure.step.get_or_insert_with(|| "on_log".into());
                    failure.level.get_or_insert(level.name);
                    respond::report(&owner, &failure);
                }
            }
        });
    }

    /// What was sent, as `res`: its head, no body.
    fn sent_response(&self, exchange: &Rc<Exchange>) -> mlua::Result<Value> {
        let record = exchange.record.borrow();
        let mut response = Response::new(record.status);
        response.origin = record.origin;
        response.upstream.clone_from(&record.upstream);
        response.host.clone_from(&record.host);
        response.headers = record.headers.as_deref().cloned().unwrap_or_default();
        handle::answered(&self.lua, None, response, exchange.failure.borrow().clone())
    }

    /// What functions add to the access log line; `None` when `when` says no line.
    pub(super) fn access(&self, exchange: &Rc<Exchange>) -> Option<Vec<(String, serde_json::Value)>> {
        let Ok(res) = self.sent_response(exchange) else { return Some(Vec::new()) };
        let call = |function: &mlua::Function| -> Result<Value, Failure> {
            let args = (self.request(exchange), &res);
            let values = driver::call(&self.context, Some(Rc::clone(exchange)), "the access log", function, args)?;
            Ok(values.into_iter().next().unwrap_or(Value::Nil))
        };
        if let Some(when) = &self.access.when {
            match call(when) {
                Ok(wanted) if !truth(Some(&wanted)) => return None,
                Ok(_) => {}
                Err(failure) => respond::report(exchange, &failure),
            }
        }
        let mut fields = Vec::with_capacity(self.access.fields.len());
        for (name, function) in &self.access.fields {
            match call(function) {
                Ok(Value::Nil) => {}
                Ok(value) => fields.push((name.clone(), as_json(&value))),
                Err(failure) => respond::report(exchange, &failure),
            }
        }
        Some(fields)
    }
}

pub(super) fn as_json(value: &Value) -> serde_json::Value {
    let text = json::encode(value).ok();
    text.and_then(|text| serde_json::from_str(&text).ok()).unwrap_or(serde_json::Value::Null)
}

/// `user`, `user.sub`, `ctx.x`, `key`: text as it is, tables as JSON, nothing for what is absent.
pub(super) fn lookup(lua: &Lua, exchange: &Rc<Exchange>, names: &[String]) -> Option<String> {
    let (root, rest) = names.split_first()?;
    let mut value = handle::kept(lua, exchange, root)?;
    for name in rest {
        let Value::Table(table) = &value else { return None };
        let found = table.raw_get::<Value>(name.as_str()).ok()?;
        value = match (found, name.parse::<i64>()) {
            (Value::Nil, Ok(place)) => table.raw_get(place).ok()?,
            (found, _) => found,
        };
    }
    as_text(&value)
}

/// A value as the text it is used as: tables as JSON, nothing for what is absent.
pub(super) fn as_text(value: &Value) -> Option<String> {
    match value {
        Value::Nil => None,
        Value::String(text) => Some(text.to_string_lossy()),
        Value::Table(_) => json::encode(value).ok(),
        value if value.is_null() => None,
        value => value.to_string().ok(),
    }
}
