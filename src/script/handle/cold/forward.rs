//! `req:forward()` and `res:copy()`.

use mlua::IntoLua;
use mlua::Lua;
use mlua::Table;
use mlua::Value;

use super::Subject;
use super::coding;
use super::error;
use super::fields::one;
use super::fields::optional_text;
use crate::http::Response;
use crate::http::headers::is_name;
use crate::http::headers::is_value;
use crate::primitive::units;
use crate::proxy;
use crate::proxy::Code;
use crate::proxy::Failure;
use crate::proxy::Override;
use crate::script::bind::text::Text;
use crate::script::context::Context;
use crate::script::driver::fault;
use crate::script::handle;
use crate::script::wait::Waiting;

/// `req:forward(to?, { path, headers, timeout })`: proxies now; the answer's head is known when it returns.
pub(super) fn forward(lua: &Lua, (this, to, options): (Value, Value, Option<Table>)) -> mlua::Result<Waiting> {
    let Subject::Request(exchange) = Subject::of(lua, &this)? else { return Err(error("`forward` is a request's")) };
    let (to, options) = match to {
        Value::Table(options) => (Value::Nil, Some(options)),
        to => (to, options),
    };
    let mut with = Override { to: optional_text(to, lua)?.map(|to| to.utf8("to")).transpose()?, ..Override::default() };
    if let Some(options) = options {
        for pair in options.pairs::<String, Value>() {
            let (name, value) = pair?;
            set(lua, &mut with, &name, value)?;
        }
    }
    let lua = lua.clone();
    Ok(Box::pin(async move {
        let response = proxy::forward(&exchange, with).await.map_err(fault::raise)?;
        handle::response(&lua, response).map(one)
    }))
}

fn set(lua: &Lua, with: &mut Override, name: &str, value: Value) -> mlua::Result<()> {
    match (name, value) {
        ("path", value) => with.path = Some(<Text as mlua::FromLua>::from_lua(value, lua)?.utf8("path")?),
        ("headers", Value::Table(fields)) => {
            for pair in fields.pairs::<String, Text>() {
                let (name, value) = pair?;
                let value = value.utf8("a header")?;
                if !is_name(name.as_bytes()) || !is_value(value.as_bytes()) {
                    let detail = "a value with control characters would have become a header";
                    return Err(fault::raise(Failure::new(Code::HeaderUnsafe, detail)));
                }
                with.headers.push((name, value));
            }
        }
        ("timeout", value) => {
            let parsed = match &value {
                Value::String(text) => units::duration(&text.to_str()?),
                value => units::seconds(
                    value.as_number().or_else(|| value.as_integer().map(|n| n as f64)).unwrap_or(f64::NAN),
                ),
            };
            with.timeout = Some(parsed.map_err(|fault| error(format!("timeout: {fault}")))?);
        }
        (name, _) => {
            return Err(error(format!("req:forward: the options are path, headers and timeout, not `{name}`")));
        }
    }
    Ok(())
}

/// `res:copy()`: another response with the same head and body; the body is read into memory.
pub(super) fn copy(lua: &Lua, this: Value) -> mlua::Result<Waiting> {
    let held = handle::held(lua, &this).ok_or_else(|| error("`copy` is a response's"))?;
    let limit = Context::of(lua).limits().buffer;
    let lua = lua.clone();
    Ok(Box::pin(async move {
        let subject = Subject::Response(held);
        let mut body = subject.take_body()?;
        let bytes = body.collect(limit).await.map_err(|error| coding::broken(subject.side(), error))?;
        subject.put_body(bytes.clone().into());
        let Subject::Response(held) = &subject else { return Ok(one(Value::Nil)) };
        let copy = held.read(|response| {
            let mut copy = Response::new(response.status);
            copy.headers = response.headers.clone();
            copy.body = bytes.into();
            copy.origin = response.origin;
            copy.upstream.clone_from(&response.upstream);
            copy.host.clone_from(&response.host);
            copy
        });
        match copy {
            Some(copy) => handle::response(&lua, copy).map(one),
            None => Value::Nil.into_lua(&lua).map(one),
        }
    }))
}
