//! What `req` and `res` do beside their hot fields: ordinary mlua functions.

mod body;
mod coding;
mod fields;
mod forward;
mod maps;
mod stream;

use std::rc::Rc;

use bytes::Bytes;
use mlua::Lua;
use mlua::Table;
use mlua::Value;

pub(crate) use fields::certificate;
pub(crate) use fields::media_type;

use super::Held;
use super::raw::Parts;
use crate::http::Body;
use crate::proxy::Exchange;
use crate::script::wait;

/// Whose body, headers or fields a method is about.
#[derive(Clone)]
pub(super) enum Subject {
    /// `req`
    Request(Rc<Exchange>),
    /// `res`
    Response(Rc<Held>),
}

impl Subject {
    /// The `req` or `res` that `value` is.
    fn of(lua: &Lua, value: &Value) -> mlua::Result<Self> {
        if let Some(exchange) = super::exchange(lua, value)? {
            return Ok(Self::Request(exchange));
        }
        let held = super::held(lua, value).ok_or_else(|| error("call it with `:` on a request or a response"))?;
        Ok(Self::Response(held))
    }
}

/// The whole body of a request, decoded; it stays in memory as it came.
pub(crate) async fn request_body(exchange: &Rc<Exchange>, limit: usize) -> mlua::Result<Bytes> {
    coding::whole(&Subject::Request(Rc::clone(exchange)), limit).await
}

/// The whole body of a response, decoded; it stays in memory as it came.
pub(crate) async fn response_body(held: &Rc<Held>, limit: usize) -> mlua::Result<Bytes> {
    coding::whole(&Subject::Response(Rc::clone(held)), limit).await
}

/// Another body for a request: what described the old one goes.
pub(crate) fn replace_body(exchange: &Exchange, bytes: Bytes) {
    let mut request = exchange.request.borrow_mut();
    request.body = Body::from(bytes);
    coding::forget_body(&mut request.headers);
}

/// The parts of `req`.
pub(super) fn request_methods(lua: &Lua) -> mlua::Result<Parts> {
    let methods = lua.create_table()?;
    shared_methods(lua, &methods)?;
    methods.raw_set("form", wait::function(lua, "req:form", body::form)?)?;
    methods.raw_set("multipart", wait::function(lua, "req:multipart", body::multipart)?)?;
    methods.raw_set("accepts", wait::strict(lua, "req:accepts", fields::accepts)?)?;
    methods.raw_set("bearer", wait::strict(lua, "req:bearer", fields::bearer)?)?;
    methods.raw_set("elapsed", wait::strict(lua, "req:elapsed", fields::elapsed)?)?;
    methods.raw_set("left", wait::strict(lua, "req:left", fields::left)?)?;
    methods.raw_set("forward", wait::function(lua, "req:forward", forward::forward)?)?;
    Ok(Parts {
        methods,
        index: lua.create_function(fields::request)?,
        newindex: lua.create_function(fields::set_request)?,
        tostring: lua.create_function(fields::show)?,
        iterate: None,
    })
}

/// The parts of `res`.
pub(super) fn response_methods(lua: &Lua) -> mlua::Result<Parts> {
    let methods = lua.create_table()?;
    shared_methods(lua, &methods)?;
    methods.raw_set("lines", wait::strict(lua, "res:lines", stream::lines)?)?;
    methods.raw_set("sse", wait::strict(lua, "res:sse", stream::sse)?)?;
    methods.raw_set("replace", wait::strict(lua, "res:replace", stream::replace)?)?;
    methods.raw_set("copy", wait::function(lua, "res:copy", forward::copy)?)?;
    Ok(Parts {
        methods,
        index: lua.create_function(fields::response)?,
        newindex: lua.create_function(fields::set_response)?,
        tostring: lua.create_function(fields::show)?,
        iterate: None,
    })
}

/// What both have.
fn shared_methods(lua: &Lua, methods: &Table) -> mlua::Result<()> {
    methods.raw_set("text", wait::function(lua, "text", body::text)?)?;
    methods.raw_set("json", wait::function(lua, "json", body::json)?)?;
    methods.raw_set("try_json", wait::function(lua, "try_json", body::try_json)?)?;
    methods.raw_set("set_body", wait::strict(lua, "set_body", body::set_body)?)?;
    methods.raw_set("set_json", wait::strict(lua, "set_json", body::set_json)?)?;
    methods.raw_set("chunks", wait::strict(lua, "chunks", stream::chunks)?)?;
    methods.raw_set("map", wait::strict(lua, "map", stream::map)?)
}

/// The parts of their maps.
pub(super) fn map_methods(lua: &Lua) -> mlua::Result<Parts> {
    let methods = lua.create_table()?;
    methods.raw_set("get", lua.create_function(maps::get)?)?;
    methods.raw_set("all", lua.create_function(maps::all)?)?;
    methods.raw_set("add", lua.create_function(maps::add)?)?;
    methods.raw_set("set", lua.create_function(maps::set)?)?;
    methods.raw_set("each", lua.create_function(maps::each)?)?;
    Ok(Parts {
        methods,
        index: lua.create_function(maps::get)?,
        newindex: lua.create_function(maps::set)?,
        tostring: lua.create_function(fields::show)?,
        iterate: Some(lua.create_function(maps::iterate)?),
    })
}

fn error(text: impl Into<String>) -> mlua::Error {
    mlua::Error::runtime(text.into())
}

fn over() -> mlua::Error {
    error("the response is over")
}
