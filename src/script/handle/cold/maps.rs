//! The maps of `req` and `res`, where more is asked than one short value.

use std::rc::Rc;

use mlua::Function;
use mlua::IntoLua;
use mlua::Lua;
use mlua::Value;

use super::error;
use super::over;
use crate::http::Headers;
use crate::http::headers::Known;
use crate::http::headers::is_name;
use crate::http::headers::is_value;
use crate::primitive::cookie;
use crate::primitive::query::Query;
use crate::proxy::Code;
use crate::proxy::Exchange;
use crate::proxy::Failure;
use crate::route::Param;
use crate::script::bind::json;
use crate::script::bind::json::Exact;
use crate::script::bind::text::Text;
use crate::script::driver::fault;
use crate::script::handle::Held;
use crate::script::handle::Slots;
use crate::script::handle::map;
use crate::script::handle::map::About;
use crate::script::handle::map::Kind;

/// A map, alive.
enum Map {
    Request(Rc<Exchange>, Kind),
    Response(Rc<Held>),
}

impl Map {
    fn of(lua: &Lua, value: &Value) -> mlua::Result<Self> {
        match map::about(lua, value) {
            Some(About::Response(held)) => Ok(Self::Response(held)),
            Some(About::Request(handle, kind)) => {
                let exchange = Slots::of(lua).exchange(handle).ok_or_else(|| error("the request is over"))?;
                Ok(Self::Request(exchange, kind))
            }
            None => Err(error("call it with `:` on headers, query, cookies or params")),
        }
    }

    /// Every pair, in order.
    fn pairs(&self, lua: &Lua) -> mlua::Result<Vec<(Value, Value)>> {
        let text = |text: &[u8]| lua.create_string(text).map(Value::String);
        match self {
            Self::Response(held) => held.read(|response| fields(lua, &response.headers)).ok_or_else(over)?,
            Self::Request(exchange, kind) => {
                let request = exchange.request.borrow();
                match kind {
                    Kind::Query => {
                        let query = Query::parse(request.query.as_deref().unwrap_or_default());
                        query
                            .iter()
                            .map(|(name, value)| Ok((text(name.as_bytes())?, text(value.as_bytes())?)))
                            .collect()
                    }
                    Kind::Cookies => {
                        let fields = request.headers.known(Known::Cookie);
                        let pairs = fields.filter_map(|field| std::str::from_utf8(field).ok()).flat_map(cookie::parse);
                        pairs.map(|(name, value)| Ok((text(name.as_bytes())?, text(value.as_bytes())?))).collect()
                    }
                    Kind::Params => {
                        let params = exchange.params.borrow();
                        params
                            .list
                            .iter()
                            .map(|(name, value)| Ok((text(name.as_bytes())?, param(lua, value)?)))
                            .collect()
                    }
                    _ => fields(lua, &request.headers),
                }
            }
        }
    }
}

fn fields(lua: &Lua, headers: &Headers) -> mlua::Result<Vec<(Value, Value)>> {
    let text = |text: &[u8]| lua.create_string(text).map(Value::String);
    headers.iter().map(|(_, name, value)| Ok((text(&name.to_ascii_lowercase())?, text(value)?))).collect()
}

fn param(lua: &Lua, value: &Param) -> mlua::Result<Value> {
    match value {
        Param::Text(text) => text.as_str().into_lua(lua),
        Param::Int(number) if number.unsigned_abs() < 1 << 53 => number.into_lua(lua),
        Param::Int(number) => Exact::new(&number.to_string()).push(lua)?.into_lua(lua),
        Param::Value(value) => json::from_json(lua, value),
    }
}

/// `map.name` and `map:get(name)`.
pub(super) fn get(lua: &Lua, (map, name): (Value, Value)) -> mlua::Result<Value> {
    let Value::String(name) = &name else { return Ok(Value::Nil) };
    let name = name.as_bytes();
    let first = |map: &Map| -> mlua::Result<Value> {
        let same = |key: &Value| matches!(key, Value::String(key) if *key.as_bytes() == *name);
        Ok(map.pairs(lua)?.into_iter().find(|(key, _)| same(key)).map_or(Value::Nil, |(_, value)| value))
    };
    let text = |value: Option<&[u8]>| match value {
        Some(value) => lua.create_string(value).map(Value::String),
        None => Ok(Value::Nil),
    };
    let known = String::from_utf8_lossy(&name);
    match Map::of(lua, &map)? {
        Map::Response(held) => {
            held.read(|response| text(response.headers.joined(&known).as_deref())).ok_or_else(over)?
        }
        Map::Request(exchange, Kind::Headers) => {
            let request = exchange.request.borrow();
            match Known::of(&name) {
                Known::Host => text(Some(request.host.as_bytes())),
                Known::ContentLength => {
                    let length = request.body.left().filter(|&left| left > 0).map(|left| left.to_string());
                    text(length.as_ref().map(String::as_bytes))
                }
                _ => text(request.headers.joined(&known).as_deref()),
            }
        }
        Map::Request(exchange, Kind::Query) => {
            let typed = exchange.typed.borrow().iter().find(|pair| *pair.0 == *known).map(|pair| pair.1.clone());
            match typed {
                Some(value) => json::from_json(lua, &value),
                None => first(&Map::Request(exchange, Kind::Query)),
            }
        }
        other => first(&other),
    }
}

/// `map:all(name)`: every value, in order.
pub(super) fn all(lua: &Lua, (map, name): (Value, Text)) -> mlua::Result<Vec<Value>> {
    let map = Map::of(lua, &map)?;
    let headers = matches!(map, Map::Response(_) | Map::Request(_, Kind::Headers));
    let name = name.bytes();
    let same = |key: &Value| {
        let Value::String(key) = key else { return false };
        if headers { key.as_bytes().eq_ignore_ascii_case(&name) } else { *key.as_bytes() == *name }
    };
    Ok(map.pairs(lua)?.into_iter().filter(|(key, _)| same(key)).map(|(_, value)| value).collect())
}

/// `map:each()`: an iterator over every pair.
pub(super) fn each(lua: &Lua, map: Value) -> mlua::Result<Function> {
    let mut pairs = Map::of(lua, &map)?.pairs(lua)?.into_iter();
    lua.create_function_mut(move |_, ()| Ok(pairs.next().unwrap_or((Value::Nil, Value::Nil))))
}

/// `for name, value in map`: every name once, with what `map[name]` says.
pub(super) fn iterate(lua: &Lua, map: Value) -> mlua::Result<Function> {
    let mut names = Vec::new();
    for (name, _) in Map::of(lua, &map)?.pairs(lua)? {
        if !names.contains(&name) {
            names.push(name);
        }
    }
    let mut names = names.into_iter();
    lua.create_function_mut(move |lua, ()| {
        let Some(name) = names.next() else { return Ok((Value::Nil, Value::Nil)) };
        let value = get(lua, (map.clone(), name.clone()))?;
        Ok((name, value))
    })
}

/// `map:add(name, value)`: beside those that are there.
pub(super) fn add(lua: &Lua, (map, name, value): (Value, Text, Value)) -> mlua::Result<()> {
    write(lua, &map, &name, value, true)
}

/// `map.name = value` and `map:set(name, value)`; nil removes.
pub(super) fn set(lua: &Lua, (map, name, value): (Value, Text, Value)) -> mlua::Result<()> {
    write(lua, &map, &name, value, false)
}

fn write(lua: &Lua, map: &Value, name: &Text, value: Value, add: bool) -> mlua::Result<()> {
    let map = Map::of(lua, map)?;
    let name = name.utf8("a name")?;
    if let Value::Table(list) = &value {
        for (place, value) in list.sequence_values::<Value>().enumerate() {
            put(lua, &map, &name, Some(value?), add || place > 0)?;
        }
        return Ok(());
    }
    put(lua, &map, &name, if value.is_nil() { None } else { Some(value) }, add)
}

fn put(lua: &Lua, map: &Map, name: &str, value: Option<Value>, add: bool) -> mlua::Result<()> {
    let text = value.map(|value| <Text as mlua::FromLua>::from_lua(value, lua)).transpose();
    let text = text.map_err(|fault| error(format!("`{name}`: {}", fault::message(&fault))))?;
    let text = text.as_ref().map(Text::bytes);
    match map {
        Map::Request(exchange, Kind::Headers) => {
            let mut request = exchange.request.borrow_mut();
            if Known::of(name.as_bytes()) == Known::Host {
                let host = text.as_deref().and_then(|text| std::str::from_utf8(text).ok());
                request.host = super::fields::host(host)?.into();
                return Ok(());
            }
            field(&mut request.headers, name, text.as_deref(), add)
        }
        Map::Response(held) => {
            held.edit(|response| field(&mut response.headers, name, text.as_deref(), add)).ok_or_else(over)?
        }
        Map::Request(exchange, Kind::Query) => {
            let text = text.as_deref().map(std::str::from_utf8).transpose();
            let text = text.map_err(|_| error(format!("query `{name}`: not UTF-8 text")))?;
            edit_query(exchange, name, text, add);
            Ok(())
        }
        Map::Request(_, _) => Err(error("cookies and params of a request are read-only")),
    }
}

fn edit_query(exchange: &Exchange, name: &str, value: Option<&str>, add: bool) {
    let mut request = exchange.request.borrow_mut();
    let mut query = Query::parse(request.query.as_deref().unwrap_or_default());
    match value {
        Some(value) if add => query.add(name, value),
        Some(value) => query.set(name, value),
        None => drop(query.remove(name)),
    }
    exchange.typed.borrow_mut().retain(|pair| *pair.0 != *name);
    if query.is_changed() {
        request.query = query.encode();
    }
}

/// Writes a field, if name and value may stand in one.
fn field(headers: &mut Headers, name: &str, value: Option<&[u8]>, add: bool) -> mlua::Result<()> {
    if map::is_reserved(name.as_bytes()) {
        if value.is_none() {
            return Ok(());
        }
        return Err(error(format!("`{name}` is set by the gateway itself")));
    }
    if !is_name(name.as_bytes()) {
        return unsafe_field("a name that no header may have");
    }
    match value {
        None => drop(headers.remove(name)),
        Some(value) if !is_value(value) => {
            return unsafe_field("a value with control characters would have become a header");
        }
        Some(value) if add => headers.add(name, value),
        Some(value) => headers.set(name, value),
    }
    Ok(())
}

fn unsafe_field(detail: &str) -> mlua::Result<()> {
    Err(fault::raise(Failure::new(Code::HeaderUnsafe, detail)))
}
