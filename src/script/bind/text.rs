//! Text as primitives take it: a string, a number, or a secret, whose results stay secret.

use std::ops::Deref;

use mlua::BorrowedBytes;
use mlua::FromLua;
use mlua::IntoLua;
use mlua::Lua;
use mlua::LuaString;
use mlua::Value;

use crate::script::bind::json::Exact;
use crate::script::secret::Secret;

/// An argument that is text.
pub(crate) enum Text {
    /// An ordinary string.
    Plain(LuaString),
    /// A secret.
    Secret(Secret),
}

/// The bytes of a [`Text`], while they are looked at.
pub(crate) enum Bytes<'a> {
    Plain(BorrowedBytes),
    Secret(&'a [u8]),
}

impl Text {
    /// Its bytes.
    pub(crate) fn bytes(&self) -> Bytes<'_> {
        match self {
            Self::Plain(text) => Bytes::Plain(text.as_bytes()),
            Self::Secret(secret) => Bytes::Secret(secret.reveal()),
        }
    }

    /// Its bytes as UTF-8; `what` names the argument in the message.
    pub(crate) fn utf8(&self, what: &str) -> mlua::Result<String> {
        String::from_utf8(self.bytes().to_vec()).map_err(|_| mlua::Error::runtime(format!("{what}: not UTF-8 text")))
    }

    /// `value` as text that is as secret as this one.
    pub(crate) fn like(&self, lua: &Lua, value: Vec<u8>) -> mlua::Result<Value> {
        match self {
            Self::Plain(_) => lua.create_string(value)?.into_lua(lua),
            Self::Secret(secret) => secret.derive(value).push(lua)?.into_lua(lua),
        }
    }

    /// Refuses text above `limit` bytes.
    pub(crate) fn within(&self, what: &str, limit: usize) -> mlua::Result<()> {
        let length = self.bytes().len();
        if length <= limit {
            return Ok(());
        }
        Err(mlua::Error::runtime(format!("{what}: {length} bytes are more than the {limit} it takes")))
    }
}

impl FromLua for Text {
    fn from_lua(value: Value, lua: &Lua) -> mlua::Result<Self> {
        if let Some(secret) = Secret::of(&value) {
            return Ok(Self::Secret(secret));
        }
        match value {
            Value::String(text) => Ok(Self::Plain(text)),
            Value::Integer(_) | Value::Number(_) => Ok(Self::Plain(lua.create_string(value.to_string()?)?)),
            other => match Exact::of(&other) {
                Some(number) => Ok(Self::Plain(lua.create_string(number.digits())?)),
                None => Err(mlua::Error::runtime(format!("text expected, got {}", kind(&other)))),
            },
        }
    }
}

impl Deref for Bytes<'_> {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match self {
            Self::Plain(bytes) => bytes,
            Self::Secret(bytes) => bytes,
        }
    }
}

/// A value's type as messages name it.
pub(crate) fn kind(value: &Value) -> &'static str {
    match value {
        Value::Integer(_) => "number",
        value if value.is_null() => "json.null",
        value => value.type_name(),
    }
}

/// The largest text a primitive works on in one go: the watchdog cannot stop Rust.
pub(crate) const LARGEST: usize = 16 << 20;
