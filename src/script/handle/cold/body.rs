//! Whole bodies: read as text, JSON or form, and replaced.

use bytes::Bytes;
use mlua::IntoLuaMulti;
use mlua::Lua;
use mlua::MultiValue;
use mlua::Value;

use super::Subject;
use super::coding;
use super::coding::Side;
use super::error;
use super::fields::media_type;
use super::fields::one;
use crate::http::Body;
use crate::primitive::form as primitive;
use crate::primitive::multipart;
use crate::proxy::Code;
use crate::proxy::Failure;
use crate::script::bind::json;
use crate::script::bind::text::Text;
use crate::script::context::Context;
use crate::script::driver::fault;
use crate::script::wait::Waiting;

/// The most fields of a form, and parts of a multipart body.
const MOST: usize = 1000;

/// Reads the whole body, then makes of it what `make` does.
fn reading(
    lua: &Lua,
    this: &Value,
    make: impl FnOnce(&Lua, &Subject, Bytes) -> mlua::Result<MultiValue> + 'static,
) -> mlua::Result<Waiting> {
    let subject = Subject::of(lua, this)?;
    let limit = Context::of(lua).limits().buffer;
    let lua = lua.clone();
    Ok(Box::pin(async move {
        let bytes = coding::whole(&subject, limit).await?;
        make(&lua, &subject, bytes)
    }))
}

/// `:text()`
pub(super) fn text(lua: &Lua, this: Value) -> mlua::Result<Waiting> {
    reading(lua, &this, |lua, _, bytes| Ok(one(Value::String(lua.create_string(&bytes)?))))
}

/// `:json()`: a body that is no JSON ends the request.
pub(super) fn json(lua: &Lua, this: Value) -> mlua::Result<Waiting> {
    reading(lua, &this, |lua, subject, bytes| match json::decode(lua, &bytes) {
        Ok(value) => Ok(one(value)),
        Err(json::DecodeError::Lua(error)) => Err(error),
        Err(fault) => Err(fault::raise(match subject.side() {
            Side::Request => Failure::new(Code::BodyBadJson, format!("the body is no JSON: {fault}")),
            Side::Response => {
                Failure::new(Code::UpstreamProtocol, "the service's answer is no JSON").because(fault.to_string())
            }
        })),
    })
}

/// `:try_json()`: the value, or nil and why not.
pub(super) fn try_json(lua: &Lua, this: Value) -> mlua::Result<Waiting> {
    reading(lua, &this, |lua, _, bytes| match json::decode(lua, &bytes) {
        Ok(value) => Ok(one(value)),
        Err(json::DecodeError::Lua(error)) => Err(error),
        Err(fault) => (Value::Nil, fault.to_string()).into_lua_multi(lua),
    })
}

/// `req:form()`: the first value of each name, and every pair in its order.
pub(super) fn form(lua: &Lua, this: Value) -> mlua::Result<Waiting> {
    reading(lua, &this, |lua, subject, bytes| {
        let media = subject.with_headers(|headers| media_type(headers))?;
        if media.as_deref() != Some("application/x-www-form-urlencoded") {
            return Err(bad_form("the body is no application/x-www-form-urlencoded"));
        }
        let (first, pairs) = (lua.create_table()?, lua.create_table()?);
        for (count, (name, value)) in primitive::parse(&bytes).enumerate() {
            if count == MOST {
                return Err(bad_form("the form has too many fields"));
            }
            if !first.contains_key(&*name)? {
                first.raw_set(&*name, &*value)?;
            }
            pairs.raw_push(lua.create_sequence_from([&*name, &*value])?)?;
        }
        (first, pairs).into_lua_multi(lua)
    })
}

/// `req:multipart()`: a list of parts: `name`, `filename`, `type`, `headers`, `body`.
pub(super) fn multipart(lua: &Lua, this: Value) -> mlua::Result<Waiting> {
    reading(lua, &this, |lua, subject, bytes| {
        let field =
            subject.with_headers(|headers| headers.text("content-type").map(str::to_owned))?.unwrap_or_default();
        let boundary = multipart::boundary(&field).ok_or_else(|| bad_form("the body is no multipart/form-data"))?;
        let parts = multipart::parse(&bytes, &boundary, MOST).map_err(bad_form)?;
        let list = lua.create_table()?;
        for part in parts {
            let table = lua.create_table()?;
            table.raw_set("name", part.name)?;
            table.raw_set("filename", part.filename)?;
            table.raw_set("type", part.media)?;
            table.raw_set("headers", lua.create_table_from(part.headers)?)?;
            table.raw_set("body", lua.create_string(part.body)?)?;
            list.raw_push(table)?;
        }
        Ok(one(Value::Table(list)))
    })
}

fn bad_form(detail: &str) -> mlua::Error {
    fault::raise(Failure::new(Code::BodyBadForm, detail))
}

/// `:set_body(text)`
pub(super) fn set_body(lua: &Lua, (this, text): (Value, Text)) -> mlua::Result<()> {
    let subject = Subject::of(lua, &this)?;
    replace(&subject, Bytes::copy_from_slice(&text.bytes()))
}

/// `:set_json(value)`
pub(super) fn set_json(lua: &Lua, (this, value): (Value, Value)) -> mlua::Result<()> {
    let subject = Subject::of(lua, &this)?;
    let text = json::encode(&value).map_err(|fault| error(format!("set_json: {fault}")))?;
    replace(&subject, text.into())?;
    subject.with_headers(|headers| {
        let is_json = media_type(headers).is_some_and(|media| media == "application/json" || media.ends_with("+json"));
        if !is_json {
            headers.set("content-type", "application/json");
        }
    })
}

fn replace(subject: &Subject, bytes: Bytes) -> mlua::Result<()> {
    drop(subject.take_body()?);
    subject.put_body(Body::from(bytes));
    subject.with_headers(coding::forget_body)
}
