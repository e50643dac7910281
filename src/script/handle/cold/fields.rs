//! The fields of `req` and `res` that are asked for now and then, and what may be written to them.

use mlua::IntoLua;
use mlua::Lua;
use mlua::MultiValue;
use mlua::Table;
use mlua::Value;
use mlua::Variadic;

use super::Subject;
use super::error;
use super::over;
use crate::downstream::tls::Session;
use crate::http::Scheme;
use crate::http::headers::Known;
use crate::http::path;
use crate::net::Certificate;
use crate::primitive::accept;
use crate::proxy::Code;
use crate::proxy::Exchange;
use crate::proxy::Failure;
use crate::script::bind::text::Text;
use crate::script::context::Context;
use crate::script::driver::fault;
use crate::script::handle;

/// `req.name`, for names that are no hot field and no method.
pub(super) fn request(lua: &Lua, (this, name): (Value, Value)) -> mlua::Result<Value> {
    let exchange = handle::exchange(lua, &this)?.ok_or_else(|| error("attempt to index null"))?;
    let name = name.to_string()?;
    let request = exchange.request.borrow();
    match &*name {
        "user" => handle::user(lua, &exchange),
        "limits" => handle::limits(lua, &exchange),
        "key" => exchange.user.key().as_deref().into_lua(lua),
        "scheme" => request.scheme.as_str().into_lua(lua),
        "raw_path" => request.raw_path().into_lua(lua),
        "version" => request.version.as_str().into_lua(lua),
        "type" => media_type(&request.headers).into_lua(lua),
        "id" => (**exchange.id()).into_lua(lua),
        "port" => exchange.peer.map(|peer| peer.port()).into_lua(lua),
        "tls" => exchange.tls().map(|session| tls(lua, session)).transpose().map(|tls| tls.unwrap_or(Value::Nil)),
        "bytes" => Ok(Value::Nil),
        "raw_query" => request.query.as_deref().into_lua(lua),
        _ => Err(error(format!("a request has no field `{name}`"))),
    }
}

/// `req.tls`
fn tls(lua: &Lua, session: &Session) -> mlua::Result<Value> {
    let table = lua.create_table()?;
    table.raw_set("version", session.version)?;
    table.raw_set("sni", session.sni.as_deref())?;
    table.raw_set("alpn", session.alpn)?;
    if let Some(shown) = &session.client {
        table.raw_set("cert", certificate(lua, shown)?)?;
    }
    Ok(Value::Table(table))
}

/// `req.tls.cert`
pub(crate) fn certificate(lua: &Lua, shown: &Certificate) -> mlua::Result<Table> {
    let table = lua.create_table()?;
    table.raw_set("subject", shown.subject.as_str())?;
    table.raw_set("common_name", shown.common_name.as_deref())?;
    table.raw_set("issuer", shown.issuer.as_str())?;
    table.raw_set("serial", shown.serial.as_str())?;
    table.raw_set("san", lua.create_sequence_from(shown.names.iter().map(ToString::to_string))?)?;
    table.raw_set("fingerprint", shown.fingerprint())?;
    table.raw_set("not_before", shown.not_before)?;
    table.raw_set("not_after", shown.not_after)?;
    Ok(table)
}

/// The media type without parameters, lower case. More than one, of which a service might take any, are a list: no type.
pub(crate) fn media_type(headers: &crate::http::Headers) -> Option<String> {
    let field = headers.joined("content-type")?;
    let media = |field: &str| field.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    let media = String::from_utf8_lossy(&field).split(',').map(media).collect::<Vec<_>>().join(", ");
    (!media.is_empty()).then_some(media)
}

/// `req.name = value`
pub(super) fn set_request(lua: &Lua, (this, name, value): (Value, Value, Value)) -> mlua::Result<()> {
    let exchange = handle::exchange(lua, &this)?.ok_or_else(|| error("attempt to index null"))?;
    let name = name.to_string()?;
    if !matches!(&*name, "method" | "path" | "host" | "scheme") {
        return Err(error(format!("`{name}` of a request cannot be set; method, path, host and scheme can")));
    }
    let Value::String(text) = &value else { return Err(error(format!("`{name}` is text, not {}", value.type_name()))) };
    let text = text.to_str()?;
    match &*name {
        "path" => set_path(lua, &exchange, &text),
        "host" => {
            let host = host(Some(&text))?;
            exchange.request.borrow_mut().host = host.into();
            Ok(())
        }
        "scheme" => {
            let scheme = match &*text {
                "http" => Scheme::Http,
                "https" => Scheme::Https,
                _ => return Err(error("`scheme` is \"http\" or \"https\"")),
            };
            exchange.request.borrow_mut().scheme = scheme;
            Ok(())
        }
        _ => Err(error("a method is one word, such as \"GET\"")),
    }
}

fn set_path(lua: &Lua, exchange: &Exchange, text: &str) -> mlua::Result<()> {
    let (target, query) = match text.split_once('?') {
        Some((target, query)) => (target, Some(query)),
        None => (text, None),
    };
    let ambiguous = Context::of(lua).limits().path;
    let refused = |cause: &str| fault::raise(Failure::new(Code::RequestPath, format!("the new path: {cause}")));
    if !target.starts_with('/') {
        return Err(error("a path starts with `/`"));
    }
    if !target.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'#') {
        return Err(refused("characters that must be escaped"));
    }
    let canonical = path::canonical(target, ambiguous).map_err(refused)?.into_owned();
    let query = query.map(|query| match query.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'#') {
        true => Ok(query.to_owned()),
        false => Err(refused("characters in the query that must be escaped")),
    });
    let query = query.transpose()?;
    let mut request = exchange.request.borrow_mut();
    request.set_path(canonical);
    if let Some(query) = query {
        request.query = (!query.is_empty()).then_some(query);
    }
    Ok(())
}

/// A host that may be asked for.
pub(super) fn host(text: Option<&str>) -> mlua::Result<String> {
    let text = text.unwrap_or_default();
    let fit = |byte: u8| byte.is_ascii_alphanumeric() || b"-._:[]~%!$&'()*+,;=".contains(&byte);
    if text.is_empty() || !text.bytes().all(fit) {
        return Err(fault::raise(Failure::new(Code::HeaderUnsafe, "a host with characters that no host has")));
    }
    Ok(text.to_ascii_lowercase())
}

/// `res.name`, for names that are no hot field and no method.
pub(super) fn response(lua: &Lua, (this, name): (Value, Value)) -> mlua::Result<Value> {
    let held = handle::held(lua, &this).ok_or_else(|| error("a response is expected"))?;
    let name = name.to_string()?;
    let record = |read: fn(&crate::proxy::exchange::Record) -> u64| {
        Context::of(lua).exchange().map(|exchange| read(&exchange.record.borrow()))
    };
    #[allow(clippy::cast_precision_loss, reason = "seconds and bytes for a log")]
    match &*name {
        "error" => match held.failure() {
            Some(failure) => handle::error(lua, failure),
            None => Ok(Value::Nil),
        },
        "cache" => held.read(|response| response.cache).ok_or_else(over)?.into_lua(lua),
        "took" => record(|record| record.took).map(|nanos| nanos as f64 / 1e9).into_lua(lua),
        "bytes" => record(|record| record.bytes_out).map(|bytes| bytes as f64).into_lua(lua),
        "from" => held.read(|response| response.origin.as_str()).ok_or_else(over)?.into_lua(lua),
        "upstream" => {
            held.read(|response| response.upstream.as_deref().map(str::to_owned)).ok_or_else(over)?.into_lua(lua)
        }
        "host" => held.read(|response| response.host.as_deref().map(str::to_owned)).ok_or_else(over)?.into_lua(lua),
        "type" => held.read(|response| media_type(&response.headers)).ok_or_else(over)?.into_lua(lua),
        _ => Err(error(format!("a response has no field `{name}`"))),
    }
}

/// `res.name = value`
pub(super) fn set_response(lua: &Lua, (this, name, value): (Value, Value, Value)) -> mlua::Result<()> {
    let held = handle::held(lua, &this).ok_or_else(|| error("a response is expected"))?;
    let name = name.to_string()?;
    if name != "status" {
        return Err(error(format!("`{name}` of a response cannot be set; status can, and headers by name")));
    }
    if held.read(|_| ()).is_none() {
        return Err(over());
    }
    Err(error(format!("a status is a whole number from 200 to 599, not {}", value.to_string()?)))
}

/// `tostring(req)`
pub(super) fn show(lua: &Lua, this: Value) -> mlua::Result<String> {
    if this.is_null() {
        return Ok("null".to_owned());
    }
    Ok(match Subject::of(lua, &this) {
        Ok(Subject::Request(exchange)) => {
            let request = exchange.request.borrow();
            format!("request: {} {}", request.method, request.path)
        }
        Ok(Subject::Response(held)) => match held.read(|response| response.status) {
            Some(status) => format!("response: {status}"),
            None => "response: over".to_owned(),
        },
        Err(_) => "request or map".to_owned(),
    })
}

/// `req:accepts("json", "xml")`: the one the client likes best, nil when none will do.
pub(super) fn accepts(lua: &Lua, (this, offers): (Value, Variadic<String>)) -> mlua::Result<Option<String>> {
    let Subject::Request(exchange) = Subject::of(lua, &this)? else { return Ok(None) };
    let offers: Vec<&str> = offers.iter().map(String::as_str).collect();
    let request = exchange.request.borrow();
    let field = request.headers.joined("accept").map(|field| String::from_utf8_lossy(&field).into_owned());
    Ok(accept::negotiate(field.as_deref(), &offers)
        .and_then(|place| offers.get(place))
        .map(|offer| (*offer).to_owned()))
}

/// `req:bearer()`: the token of `Authorization: Bearer`.
pub(super) fn bearer(lua: &Lua, this: Value) -> mlua::Result<Value> {
    let Subject::Request(exchange) = Subject::of(lua, &this)? else { return Ok(Value::Nil) };
    let request = exchange.request.borrow();
    let mut fields = request.headers.known(Known::Authorization);
    let token = match (fields.next(), fields.next()) {
        (Some(field), None) if field.len() > 7 && field[..7].eq_ignore_ascii_case(b"bearer ") => {
            field[7..].trim_ascii()
        }
        _ => return Ok(Value::Nil),
    };
    if token.is_empty() { Ok(Value::Nil) } else { lua.create_string(token).map(Value::String) }
}

/// `req:elapsed()`: seconds since the head was complete.
pub(super) fn elapsed(lua: &Lua, this: Value) -> mlua::Result<f64> {
    let Subject::Request(exchange) = Subject::of(lua, &this)? else { return Ok(0.0) };
    Ok(Context::of(lua).clock().now().since(exchange.started).as_secs_f64())
}

/// `req:left()`: seconds until the answer's head must be there.
pub(super) fn left(lua: &Lua, this: Value) -> mlua::Result<f64> {
    let Subject::Request(exchange) = Subject::of(lua, &this)? else { return Ok(0.0) };
    Ok(exchange.deadline.get().since(Context::of(lua).clock().now()).as_secs_f64())
}

/// Text of an argument that may be absent.
pub(super) fn optional_text(value: Value, lua: &Lua) -> mlua::Result<Option<Text>> {
    if value.is_nil() { Ok(None) } else { <Text as mlua::FromLua>::from_lua(value, lua).map(Some) }
}

/// One value as results.
pub(super) fn one(value: Value) -> MultiValue {
    MultiValue::from_vec(vec![value])
}
