//! Whom a limit counts: `by = "ip"`, `"user"`, `"key"`, a template or a function. What is absent is the client address.

use std::borrow::Cow;
use std::net::IpAddr;
use std::rc::Rc;

use mlua::Function;
use mlua::Lua;
use mlua::Value;

use super::template;
use crate::primitive::digest::Hash;
use crate::primitive::limiter::Key;
use crate::primitive::limiter::Limiter;
use crate::primitive::limiter::name;
use crate::proxy::Exchange;
use crate::proxy::lookup;
use crate::proxy::user;
use crate::script::context::Context;
use crate::suggest;
use crate::transform::Template;
use crate::transform::template::Escape;

/// Whom.
#[derive(Clone)]
pub(super) enum By {
    /// The client address.
    Ip,
    /// The `id` or `sub` of who the caller is.
    User,
    /// The credential.
    Key,
    /// What a template comes to.
    Template(Rc<Template>),
    /// What a function returns.
    Function(Function),
}

impl By {
    /// As written.
    pub(super) fn read(value: &Value) -> mlua::Result<Self> {
        let text = match value {
            Value::Nil => return Ok(Self::Ip),
            Value::Function(function) => return Ok(Self::Function(function.clone())),
            Value::String(text) => text.to_string_lossy(),
            other => {
                let kind = other.type_name();
                let said = format!("`by` is \"ip\", \"user\", \"key\", a template or a function, not a {kind}");
                return Err(mlua::Error::runtime(said));
            }
        };
        Ok(match text.as_str() {
            "ip" => Self::Ip,
            "user" => Self::User,
            "key" => Self::Key,
            text if text.contains('{') => Self::Template(Rc::new(template::parse(value, Escape::Plain)?)),
            text => {
                let near = suggest::did_you_mean(text, ["ip", "user", "key"]);
                let near = if near.is_empty() { "; a header is \"{header.x-name}\"".to_owned() } else { near };
                return Err(mlua::Error::runtime(format!("`by = \"{text}\"` names nothing{near}")));
            }
        })
    }

    /// How fields of an answer call it; nothing for the client address.
    pub(super) fn shown(&self) -> &'static str {
        match self {
            Self::Ip => "",
            Self::User => " by user",
            Self::Key => " by key",
            Self::Template(_) | Self::Function(_) => " by value",
        }
    }

    /// Whether it needs the body at hand.
    pub(super) fn reads(&self) -> bool {
        matches!(self, Self::Template(template) if template.mentions("json"))
    }

    /// Who it is, as a key of `limiter`.
    pub(super) fn key(&self, lua: &Lua, exchange: &Rc<Exchange>, req: &Value, limiter: &Limiter) -> mlua::Result<Key> {
        let name = self.name(lua, exchange, req)?;
        Ok(match (name, exchange.client.get()) {
            (Some(name), _) if !name.is_empty() => limiter.value(name.as_bytes()),
            (_, Some(address)) => limiter.client(address),
            (_, None) => limiter.nobody(),
        })
    }

    /// Who it is, under a name that other gateways have for it too.
    pub(super) fn who(&self, lua: &Lua, exchange: &Rc<Exchange>, req: &Value) -> mlua::Result<Vec<u8>> {
        let name = self.name(lua, exchange, req)?.filter(|name| !name.is_empty());
        Ok(name.map_or_else(|| name::client(exchange.client.get()), |name| name::value(name.as_bytes())))
    }

    /// Who it is, as bytes: a value never meets an address.
    pub(super) fn bytes(&self, lua: &Lua, exchange: &Rc<Exchange>, req: &Value) -> mlua::Result<Vec<u8>> {
        if let Some(name) = self.name(lua, exchange, req)?.filter(|name| !name.is_empty()) {
            let bytes = name.into_bytes();
            // A long one is kept as its hash.
            let bytes = if bytes.len() > 64 { Hash::Sha256.digest(&bytes).to_vec() } else { bytes };
            return Ok([b"=".as_slice(), &bytes].concat());
        }
        Ok(match exchange.client.get().map(|address| address.to_canonical()) {
            Some(IpAddr::V4(address)) => address.octets().to_vec(),
            Some(IpAddr::V6(address)) => [b"6".as_slice(), &address.octets()[..8]].concat(),
            None => Vec::new(),
        })
    }

    /// What it comes to, where that is not the client address.
    fn name(&self, lua: &Lua, exchange: &Rc<Exchange>, req: &Value) -> mlua::Result<Option<String>> {
        Ok(match self {
            Self::Ip => None,
            Self::User => user::id(exchange),
            Self::Key => lookup::lookup(exchange, &["key".to_owned()], None),
            Self::Template(template) => filled(template, exchange),
            Self::Function(function) => {
                let context = Context::of(lua);
                let _still = context.still("`by`");
                match function.call::<Value>(req)? {
                    Value::Nil | Value::Boolean(false) => None,
                    Value::String(text) => Some(text.to_string_lossy()),
                    number @ (Value::Integer(_) | Value::Number(_)) => Some(number.to_string()?),
                    other => {
                        let said = format!("`by` returns text or nil, not a {}", other.type_name());
                        return Err(mlua::Error::runtime(said));
                    }
                }
            }
        })
    }
}

/// Absent names are the client address; nothing when every name is absent.
fn filled(template: &Template, exchange: &Rc<Exchange>) -> Option<String> {
    let mut found = false;
    let text = template.render(&mut |names| {
        let value = lookup::lookup(exchange, names, None).filter(|value| !value.is_empty());
        found |= value.is_some();
        value.map(Cow::Owned).or_else(|| exchange.client.get().map(|address| Cow::Owned(network(address))))
    });
    text.ok().filter(|_| found)
}

/// The network that stands for a client.
fn network(address: IpAddr) -> String {
    match address.to_canonical() {
        IpAddr::V4(address) => address.to_string(),
        IpAddr::V6(address) => {
            let [a, b, c, d, ..] = address.segments();
            format!("{a:x}:{b:x}:{c:x}:{d:x}::/64")
        }
    }
}
