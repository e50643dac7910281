//! The named part of a table that a function takes at run time: unknown names are refused, values typed.

use std::time::Duration;

use mlua::Lua;
use mlua::Table;
use mlua::Value;

use crate::primitive::units;
use crate::script::bind::text::Text;
use crate::script::bind::text::kind;
use crate::suggest;

/// Options under their owner's name.
pub(crate) struct Options<'a> {
    lua: &'a Lua,
    owner: String,
    table: Option<&'a Table>,
}

impl<'a> Options<'a> {
    /// Reads `table`, which may have these names and no other. Its list part is not looked at.
    pub(crate) fn read(lua: &'a Lua, owner: String, table: Option<&'a Table>, names: &[&str]) -> mlua::Result<Self> {
        for pair in table.into_iter().flat_map(Table::pairs::<Value, Value>) {
            let (key, _) = pair?;
            match key {
                Value::String(name) if names.contains(&&*name.to_string_lossy()) => {}
                Value::String(name) => {
                    let name = name.to_string_lossy();
                    let near = suggest::did_you_mean(&name, names.iter().copied());
                    return Err(mlua::Error::runtime(format!("unknown option `{name}` in {owner}{near}")));
                }
                Value::Integer(_) => {}
                other => return Err(mlua::Error::runtime(format!("{owner}: a {} as an option's name", kind(&other)))),
            }
        }
        Ok(Self { lua, owner, table })
    }

    /// The value of `name`, if it is there.
    pub(crate) fn value(&self, name: &str) -> mlua::Result<Option<Value>> {
        let value = self.table.map(|table| table.get::<Value>(name)).transpose()?;
        Ok(value.filter(|value| !value.is_nil()))
    }

    /// A text.
    pub(crate) fn text(&self, name: &str) -> mlua::Result<Option<String>> {
        match self.bytes(name)? {
            Some(text) => text.utf8(&self.place(name)).map(Some),
            None => Ok(None),
        }
    }

    /// A text of any bytes, perhaps a secret.
    pub(crate) fn bytes(&self, name: &str) -> mlua::Result<Option<Text>> {
        let value = self.value(name)?;
        value.map(|value| self.lua.unpack(value).map_err(|error| self.wrong(name, &error))).transpose()
    }

    /// `true` or `false`.
    pub(crate) fn flag(&self, name: &str) -> mlua::Result<Option<bool>> {
        match self.value(name)? {
            None => Ok(None),
            Some(Value::Boolean(value)) => Ok(Some(value)),
            Some(other) => Err(self.wrong(name, &format!("true or false expected, got {}", kind(&other)))),
        }
    }

    /// A whole number within bounds.
    pub(crate) fn int(&self, name: &str, least: i64, most: i64) -> mlua::Result<Option<i64>> {
        match self.value(name)? {
            None => Ok(None),
            Some(Value::Integer(value)) if (least..=most).contains(&value) => Ok(Some(value)),
            Some(_) => Err(self.wrong(name, &format!("a whole number from {least} to {most} expected"))),
        }
    }

    /// `"5s"` or seconds.
    pub(crate) fn duration(&self, name: &str) -> mlua::Result<Option<Duration>> {
        let value = self.value(name)?;
        value.map(|value| duration(&value).map_err(|fault| self.wrong(name, &fault))).transpose()
    }

    /// `"64KB"` or bytes.
    pub(crate) fn size(&self, name: &str) -> mlua::Result<Option<usize>> {
        let Some(value) = self.value(name)? else { return Ok(None) };
        let size = units::size(&value.to_string()?).map_err(|fault| self.wrong(name, &fault))?;
        usize::try_from(size).map(Some).map_err(|_| self.wrong(name, &"too large"))
    }

    /// A table.
    pub(crate) fn table(&self, name: &str) -> mlua::Result<Option<Table>> {
        match self.value(name)? {
            None => Ok(None),
            Some(Value::Table(table)) => Ok(Some(table)),
            Some(other) => Err(self.wrong(name, &format!("a table expected, got {}", kind(&other)))),
        }
    }

    /// A fault of `name`'s value.
    pub(crate) fn wrong(&self, name: &str, fault: &dyn std::fmt::Display) -> mlua::Error {
        mlua::Error::runtime(format!("{}: {fault}", self.place(name)))
    }

    fn place(&self, name: &str) -> String {
        format!("`{name}` of {}", self.owner)
    }
}

/// `"5s"` or seconds.
pub(crate) fn duration(value: &Value) -> mlua::Result<Duration> {
    let read = match value {
        #[allow(clippy::cast_precision_loss, reason = "a script's integer was a double to begin with")]
        Value::Integer(seconds) => units::seconds(*seconds as f64),
        Value::Number(seconds) => units::seconds(*seconds),
        Value::String(text) => units::duration(&text.to_string_lossy()),
        other => return Err(mlua::Error::runtime(format!("a duration expected (\"5s\"), got {}", kind(other)))),
    };
    read.map_err(|fault| mlua::Error::runtime(fault.to_string()))
}
