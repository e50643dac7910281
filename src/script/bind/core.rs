//! `core`: the private Rust functions that the policies of the standard library stand on.
//!
//! What a policy keeps between requests (counters, permits, caches) is an [`object::Object`]: the binding that prepares a
//! step declares it with its configuration and keeps the result in the function it returns; [`object::Object::get`] finds
//! the thing itself while requests run. Its Rust side implements [`Kept`](crate::script::live::Kept): made once for an
//! identity, changed in place when its declaration changes, shared by all workers and generations.

mod api_key;
mod authorize;
mod basic;
mod by;
pub(crate) mod cache;
mod chance;
mod compress;
mod cors;
mod edits;
mod fields;
mod files;
mod hmac;
mod identity;
mod introspect;
mod ip;
mod json_limit;
pub(crate) mod jwt;
mod limit;
mod line;
mod mirror;
mod mtls;
mod namespace;
mod networks;
mod oauth;
pub(crate) mod object;
mod sign_upstream;
mod split;
mod template;
mod validate;
mod verdicts;

use std::rc::Rc;

use mlua::Lua;
use mlua::LuaString;
use mlua::Table;
use mlua::Value;

use crate::http::Body;
use crate::primitive::units;
use crate::proxy::Code;
use crate::proxy::Exchange;
use crate::proxy::Failure;
use crate::script::bind::function;
use crate::script::bind::json;
use crate::script::handle;
use crate::script::hooks;
use crate::script::wait;
use crate::transform::limited::Limited;

/// The table that each file of `stdlib/` gets.
pub(crate) fn table(lua: &Lua) -> mlua::Result<Table> {
    let core = lua.create_table()?;
    core.set("template", function(lua, "template", template::template)?)?;
    core.set("mentions", function(lua, "mentions", template::mentions)?)?;
    core.set("edits", function(lua, "edits", edits::edits)?)?;
    core.set("json_edit", function(lua, "json_edit", edits::json_edit)?)?;
    core.set("compress", function(lua, "compress", compress::compress)?)?;
    core.set("cors", function(lua, "cors", cors::cors)?)?;
    core.set("fields", function(lua, "fields", fields::fields)?)?;
    core.set("tell_id", function(lua, "tell_id", fields::tell_id)?)?;
    core.set("networks", function(lua, "networks", networks::networks)?)?;
    core.set("chance", function(lua, "chance", chance::chance)?)?;
    core.set("split", function(lua, "split", split::split)?)?;
    core.set("json_limit", function(lua, "json_limit", json_limit::json_limit)?)?;
    core.set("validate", function(lua, "validate", validate::validate)?)?;
    core.set("static", files::serve(lua)?)?;
    core.set("mirror", function(lua, "mirror", mirror::mirror)?)?;
    core.set("media", function(lua, "media", |_, name: String| Ok(crate::http::media::of(&name)))?)?;
    core.set("throttle", function(lua, "throttle", line::throttle)?)?;
    core.set("concurrency", function(lua, "concurrency", line::concurrency)?)?;
    core.set("limit", function(lua, "limit", limit::limit)?)?;
    core.set("deadline", function(lua, "deadline", deadline)?)?;
    core.set("body_limit", wait::strict(lua, "body_limit", body_limit)?)?;
    core.set("identity", function(lua, "identity", identity::identity)?)?;
    core.set("vouch", function(lua, "vouch", identity::vouch)?)?;
    core.set("identify", function(lua, "identify", identity::identify)?)?;
    core.set("mtls", function(lua, "mtls", mtls::mtls)?)?;
    core.set("client_cert", function(lua, "client_cert", mtls::client_cert)?)?;
    core.set("jwt", function(lua, "jwt", jwt::jwt)?)?;
    core.set("jwt_tools", function(lua, "jwt_tools", |lua, (): ()| jwt::tools(lua))?)?;
    core.set("introspect", function(lua, "introspect", introspect::introspect)?)?;
    core.set("client_credentials", function(lua, "client_credentials", sign_upstream::client_credentials)?)?;
    core.set("namespace", function(lua, "namespace", namespace::namespace)?)?;
    core.set("note", function(lua, "note", note)?)?;
    core.set(
        "silence",
        function(lua, "silence", |lua, req: Value| {
            exchange(lua, &req)?.record.borrow_mut().silent = true;
            Ok(())
        })?,
    )?;
    core.set("fail", wait::strict(lua, "fail", fail)?)?;
    core.set("cache", function(lua, "cache", cache::cache)?)?;
    core.set("cache_tools", function(lua, "cache_tools", cache::tools)?)?;
    core.set("any_of", function(lua, "any_of", hooks::any_of)?)?;
    core.set("api_key", function(lua, "api_key", api_key::make)?)?;
    core.set("authorize", function(lua, "authorize", authorize::authorize)?)?;
    core.set("basic_auth", function(lua, "basic_auth", basic::make)?)?;
    core.set("hmac_auth", function(lua, "hmac_auth", hmac::make)?)?;
    core.set("left", function(lua, "left", verdicts::left)?)?;
    core.set("verdicts", function(lua, "forward_auth", verdicts::make)?)?;
    core.set("denied", wait::strict(lua, "authorize", authorize::denied)?)?;
    core.set("ip_filter", function(lua, "ip_filter", ip::ip_filter)?)?;
    core.set_readonly(true);
    Ok(core)
}

/// Whether a media type is one of JSON.
fn is_json(media: &str) -> bool {
    !media.contains(',') && (media.ends_with("/json") || media.ends_with("+json"))
}

/// The exchange that `req` stands for.
fn exchange(lua: &Lua, req: &Value) -> mlua::Result<Rc<Exchange>> {
    handle::exchange(lua, req)?.ok_or_else(|| mlua::Error::runtime("a step is called with the request: step(req)"))
}

/// A challenge of this scheme (RFC 9110, 11.6.1), to which parameters may be added.
fn challenge(scheme: &str) -> String {
    format!("{scheme} realm=\"api\"")
}

/// The answer's head must be there within `seconds` from now, or when it had to be before, whatever comes first.
fn deadline(lua: &Lua, (req, seconds): (Value, f64)) -> mlua::Result<()> {
    let exchange = exchange(lua, &req)?;
    let limit = units::seconds(seconds).map_err(|fault| mlua::Error::runtime(fault.to_string()))?;
    let due = exchange.worker.clock.now().after(limit);
    exchange.deadline.set(exchange.deadline.get().min(due));
    Ok(())
}

/// Refuses a body that is larger than `most`: at once when its length is known, else where it grows too large.
fn body_limit(lua: &Lua, (req, most): (Value, u64)) -> mlua::Result<()> {
    let exchange = exchange(lua, &req)?;
    let body = std::mem::take(&mut exchange.request.borrow_mut().body);
    if body.left().is_some_and(|left| left > most) {
        exchange.request.borrow_mut().body = body;
        return wait::fail(Failure::new(Code::BodyTooLarge, format!("the body may have {most} bytes at most")));
    }
    let limited = if matches!(body, Body::Stream(_)) { Limited::over(body, most) } else { body };
    exchange.request.borrow_mut().body = limited;
    Ok(())
}

/// Adds a field to the access log line.
fn note(lua: &Lua, (req, name, value): (Value, String, Value)) -> mlua::Result<()> {
    let value = match &value {
        Value::Nil => serde_json::Value::Null,
        Value::String(text) => text.to_string_lossy().into(),
        other => json::to_json(other).unwrap_or_else(|_| other.to_string().unwrap_or_default().into()),
    };
    exchange(lua, &req)?.record.borrow_mut().noted.push((name, value));
    Ok(())
}

/// Ends the request with a failure of the gateway's own:
/// `core.fail("api_key.unknown", detail, { headers = { …  }, faults = { { pointer, message } … }, status =, cause = })`.
fn fail(_: &Lua, (code, detail, more): (String, LuaString, Option<Table>)) -> mlua::Result<()> {
    let known = Code::named(&code).ok_or_else(|| mlua::Error::runtime(format!("there is no failure `{code}`")))?;
    let mut failure = Failure::new(known, detail.to_string_lossy());
    if let Some(more) = more {
        failure.status = more.raw_get::<Option<u16>>("status")?.unwrap_or(failure.status);
        failure.cause = more.raw_get::<Option<String>>("cause")?.unwrap_or_default();
        for pair in more.raw_get::<Option<Table>>("headers")?.iter().flat_map(Table::pairs::<String, String>) {
            failure.headers.push(pair?);
        }
        for fault in more.raw_get::<Option<Table>>("faults")?.iter().flat_map(Table::sequence_values::<Table>) {
            let fault = fault?;
            failure.faults.push((fault.raw_get(1)?, fault.raw_get(2)?));
        }
    }
    wait::fail(failure)
}

#[cfg(test)]
mod tests;
