//! What a function returned, as a response: a status, a table, or a response.

use std::rc::Rc;

use mlua::IntoLua;
use mlua::Lua;
use mlua::Table;
use mlua::Value;

use super::stream;
use crate::http::Body;
use crate::http::Headers;
use crate::http::Response;
use crate::http::headers::is_name;
use crate::http::headers::is_value;
use crate::proxy::Code;
use crate::proxy::Failure;
use crate::script::bind::cookie;
use crate::script::bind::json;
use crate::script::bind::text::Text;
use crate::script::context::Context;
use crate::script::driver::fault;
use crate::script::handle;

/// An answer, and the failure it stands for, if it is one that `next()` met.
pub(super) struct Answer {
    pub(super) response: Response,
    pub(super) failure: Option<Rc<Failure>>,
}

/// Makes a response of what a function returned.
pub(super) fn response(lua: &Lua, context: &Rc<Context>, value: Value) -> Result<Answer, Failure> {
    if let Some(held) = handle::held(lua, &value) {
        let response = held.take().ok_or_else(|| wrong("the response was sent or returned already"))?;
        return Ok(Answer { response, failure: held.failure().cloned() });
    }
    let made = match &value {
        Value::Integer(_) | Value::Number(_) => status(&value).map(Response::new),
        Value::Table(table) => from_table(lua, context, table),
        other => Err(mlua::Error::runtime(format!(
            "a function returned {}: an answer is a status, a table such as {{ text = \"…\" }}, or a response",
            kind(other)
        ))),
    };
    match made {
        Ok(response) => Ok(Answer { response, failure: None }),
        Err(error) => Err(fault::raised(&error).unwrap_or_else(|| wrong(&fault::message(&error)))),
    }
}

fn wrong(cause: &str) -> Failure {
    Failure::new(Code::ScriptAnswer, "a function of the gateway returned no answer").because(cause)
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Boolean(true) => "`true`",
        Value::Boolean(false) => "`false`",
        Value::String(_) => "a text",
        Value::Function(_) => "a function",
        _ => "something else",
    }
}

fn status(value: &Value) -> mlua::Result<u16> {
    let number = value.as_number().or_else(|| value.as_integer().map(|number| number as f64)).unwrap_or(0.0);
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "the range was checked")]
    if (200.0..=599.0).contains(&number) && number.fract() == 0.0 {
        return Ok(number as u16);
    }
    Err(mlua::Error::runtime(format!("a status is a whole number from 200 to 599, not {}", value.to_string()?)))
}

fn from_table(lua: &Lua, context: &Rc<Context>, table: &Table) -> mlua::Result<Response> {
    let mut response = Response::new(200);
    let mut media: Option<&str> = None;
    let mut bodies = 0;
    for pair in table.pairs::<Value, Value>() {
        let (key, value) = pair?;
        let Value::String(key) = &key else {
            return Err(mlua::Error::runtime("a list is no answer; write { json = … }"));
        };
        let key = key.to_str()?;
        let mut body = |response: &mut Response, body: Body, kind: Option<&'static str>| {
            response.body = body;
            media = kind;
            bodies += 1;
        };
        match &*key {
            "status" => response.status = status(&value)?,
            "headers" => headers(lua, &mut response.headers, &value)?,
            "cookies" => cookies(lua, &mut response.headers, &value)?,
            "json" => {
                let text = json::encode(&value).map_err(|fault| mlua::Error::runtime(format!("json: {fault}")))?;
                body(&mut response, text.into(), Some("application/json"));
            }
            "text" => body(&mut response, text(lua, &key, value)?, Some("text/plain; charset=utf-8")),
            "html" => body(&mut response, text(lua, &key, value)?, Some("text/html; charset=utf-8")),
            "xml" => body(&mut response, text(lua, &key, value)?, Some("application/xml")),
            "body" => body(&mut response, text(lua, &key, value)?, None),
            "file" => {
                let (file, kind) = stream::file(context, &value)?;
                body(&mut response, file, Some(kind));
            }
            "stream" => body(&mut response, stream::stream(context, value)?, None),
            other => {
                let known = "status, headers, cookies and one of json, text, html, xml, body, file, stream";
                return Err(mlua::Error::runtime(format!("an answer has {known}, not `{other}`")));
            }
        }
    }
    if bodies > 1 {
        return Err(mlua::Error::runtime("an answer has one of json, text, html, xml, body, file and stream"));
    }
    if let Some(media) = media
        && !response.headers.has("content-type")
    {
        response.headers.set("content-type", media);
    }
    Ok(response)
}

fn text(lua: &Lua, name: &str, value: Value) -> mlua::Result<Body> {
    let text = <Text as mlua::FromLua>::from_lua(value, lua);
    let text = text.map_err(|fault| mlua::Error::runtime(format!("`{name}`: {}", fault::message(&fault))))?;
    Ok(bytes::Bytes::copy_from_slice(&text.bytes()).into())
}

/// `headers = { name = value or list }`
fn headers(lua: &Lua, headers: &mut Headers, value: &Value) -> mlua::Result<()> {
    let Value::Table(table) = value else { return Err(mlua::Error::runtime("`headers` of an answer is a table")) };
    for pair in table.pairs::<String, Value>() {
        let (name, value) = pair.map_err(|_| mlua::Error::runtime("`headers` of an answer has names as keys"))?;
        match value {
            Value::Table(list) => {
                for value in list.sequence_values::<Text>() {
                    field(headers, &name, &value?)?;
                }
            }
            value => {
                let value = <Text as mlua::FromLua>::from_lua(value, lua);
                let value =
                    value.map_err(|fault| mlua::Error::runtime(format!("`{name}`: {}", fault::message(&fault))));
                field(headers, &name, &value?)?;
            }
        }
    }
    Ok(())
}

fn field(headers: &mut Headers, name: &str, value: &Text) -> mlua::Result<()> {
    if !is_name(name.as_bytes()) || !is_value(&value.bytes()) {
        let detail = "a value with control characters would have become a header";
        return Err(fault::raise(Failure::new(Code::HeaderUnsafe, detail)));
    }
    if handle::is_reserved(name) {
        return Ok(());
    }
    headers.add(name, &*value.bytes());
    Ok(())
}

/// `cookies = { name = value, other = { "value", path = "/" } }`
fn cookies(lua: &Lua, headers: &mut Headers, value: &Value) -> mlua::Result<()> {
    let Value::Table(table) = value else { return Err(mlua::Error::runtime("`cookies` of an answer is a table")) };
    let mut pairs = table.pairs::<String, Value>().collect::<mlua::Result<Vec<_>>>()?;
    pairs.sort_by(|a, b| a.0.cmp(&b.0));
    for (name, value) in pairs {
        let (text, options) = match value {
            Value::Table(table) => {
                let options = lua.create_table()?;
                let mut text = Value::Nil;
                for pair in table.pairs::<Value, Value>() {
                    let (key, value) = pair?;
                    let first = key.as_integer() == Some(1) || key.as_string().is_some_and(|key| key == "value");
                    if first { text = value } else { options.raw_set(key, value)? }
                }
                (text, Some(options))
            }
            Value::Boolean(false) => {
                let options = lua.create_table_from([("path", "/".into_lua(lua)?), ("max_age", 0.into_lua(lua)?)])?;
                ("".into_lua(lua)?, Some(options))
            }
            value => (value, None),
        };
        let text = <Text as mlua::FromLua>::from_lua(text, lua)?.utf8("a cookie")?;
        let field = cookie::set_cookie(lua, name, text, options.as_ref())?.encode();
        headers.add("set-cookie", field.map_err(|fault| mlua::Error::runtime(fault.to_string()))?);
    }
    Ok(())
}
