//! `req` and `res` as scripts see them: raw handles into what Rust owns, nothing converted before it is asked for.
//!
//! `req` is a light userdata: a slot's number and generation, no memory of Lua's. A `req` kept after its request finds
//! another generation in the slot and raises "the request is over"; it never sees another request. `res`, and the maps
//! (`req.headers`, `req.query` …), are tagged userdata.
//!
//! # Safety
//! The C functions of `raw`, `request`, `map` and `response` are the only unsafe code beside the watchdog. What they rely on:
//! - A slot's exchange pointer is set from a live `Rc` and cleared by the `Seat` that the exchange itself owns, so it
//!   never outlives the exchange. Slots themselves live as long as the machine.
//! - Userdata are read only after their tag was checked; tags 1 and 2 are ours alone (mlua uses inline destructors).
//! - No value with a destructor is alive when something that may raise is called: cells are read with
//!   `try_borrow_unguarded`, and what is pushed is a slice of memory that the exchange owns.
//! - Anything that needs more than that is passed on to an ordinary mlua function, kept as an upvalue.
#![allow(unsafe_code)]

mod atoms;
mod calm;
mod cold;
mod error;
mod identity;
mod limits;
mod map;
mod raw;
mod request;
mod response;
mod slots;
mod user;

use std::any::Any;
use std::rc::Rc;

use mlua::Lua;
use mlua::Table;
use mlua::Value;

use crate::http::Response;
use crate::proxy::Exchange;
use crate::proxy::Failure;
use crate::script::context::Context;

pub(crate) use calm::calm;
pub(crate) use cold::certificate;
pub(crate) use cold::media_type;
pub(crate) use cold::replace_body;
pub(crate) use cold::request_body;
pub(crate) use cold::response_body;
pub(crate) use error::error;
pub(super) use identity::Identity;
pub(super) use identity::identity;
pub(super) use identity::put_back;
pub(crate) use limits::limits;
pub(crate) use response::Held;
pub(crate) use slots::Slots;
pub(crate) use user::claims;
pub(crate) use user::identify;
pub(crate) use user::user;

/// Before any string is seen: the atoms by which fields are told apart.
pub(super) fn prepare(lua: &Lua) -> mlua::Result<()> {
    atoms::install(lua);
    lua.set_app_data(Slots::new(lua));
    Ok(())
}

/// The metatables. After every word was installed, since `req` shares its type with `json.null`.
pub(super) fn install(lua: &Lua) -> mlua::Result<()> {
    request::install(lua, &cold::request_methods(lua)?)?;
    map::install(lua, &cold::map_methods(lua)?)?;
    response::install(lua, &cold::response_methods(lua)?)
}

/// `req` for `exchange`: the same value for as long as the exchange lives.
pub(crate) fn request(lua: &Lua, exchange: &Rc<Exchange>) -> Value {
    Value::LightUserData(Slots::of(lua).seat(exchange))
}

/// The exchange that `value` stands for, if it is a `req`; an error when that request is over.
pub(crate) fn exchange(lua: &Lua, value: &Value) -> mlua::Result<Option<Rc<Exchange>>> {
    let Value::LightUserData(handle) = value else { return Ok(None) };
    if !slots::is_request(*handle) {
        return Ok(None);
    }
    Slots::of(lua).exchange(*handle).map(Some).ok_or_else(|| mlua::Error::runtime("the request is over"))
}

/// `res` for `response`, made for the request that the running function works for.
pub(crate) fn response(lua: &Lua, response: Response) -> mlua::Result<Value> {
    answered(lua, Context::of(lua).exchange().as_deref(), response, None)
}

/// `res` for what `next()` came to: an answer, or a failure that was turned into one.
pub(crate) fn answered(
    lua: &Lua,
    exchange: Option<&Exchange>,
    response: Response,
    failure: Option<Rc<Failure>>,
) -> mlua::Result<Value> {
    let held = Held::new(response, failure);
    if let Some(exchange) = exchange {
        slots::own(exchange, &held);
    }
    response::push(lua, held)
}

/// What is behind `value`, if it is a `res`.
pub(crate) fn held(lua: &Lua, value: &Value) -> Option<Rc<Held>> {
    response::held(lua, value)
}

/// `user`, `ctx`, `limits` or `key` of `exchange`, if a step has set it.
pub(crate) fn kept(lua: &Lua, exchange: &Rc<Exchange>, name: &str) -> Option<Value> {
    Slots::of(lua).kept(lua, exchange, name)
}

/// The twin of `exchange`, which keeps what its steps have set so far.
pub(crate) fn twin(lua: &Lua, exchange: &Rc<Exchange>) -> mlua::Result<Rc<Exchange>> {
    let twin = exchange.twin();
    Slots::of(lua).share(lua, exchange, &twin)?;
    Ok(twin)
}

/// Keeps something for as long as `exchange` lives, by a number of the keeper's own.
pub(super) fn stash(exchange: &Rc<Exchange>, key: usize, value: Rc<dyn Any>) {
    slots::stash(exchange, key, value);
}

/// What was kept under `key`.
pub(super) fn stashed(exchange: &Rc<Exchange>, key: usize) -> Option<Rc<dyn Any>> {
    slots::stashed(exchange, key)
}

/// Whether a field belongs to framing and connections.
pub(super) fn is_reserved(name: &str) -> bool {
    map::is_reserved(name.as_bytes())
}

/// Where `req.route` finds the table of a route, by its index in the plan.
pub(super) fn set_routes(lua: &Lua, routes: Table) -> mlua::Result<()> {
    lua.set_named_registry_value(request::ROUTES, routes)
}

#[cfg(test)]
pub(in crate::script) mod tests;
