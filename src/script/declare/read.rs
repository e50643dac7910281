//! Typed options as Rust values. Everything was checked before; what was refused is absent here.

use std::borrow::Cow;
use std::time::Duration;

use mlua::FromLua;
use mlua::Function;
use mlua::Lua;
use mlua::Table;
use mlua::Value;

/// Where options stand.
pub(crate) trait Fields {
    /// The value at `name`, if it is there and of that Lua type.
    fn field<T: FromLua>(&self, name: &str) -> Option<T>;
}

impl Fields for Table {
    fn field<T: FromLua>(&self, name: &str) -> Option<T> {
        self.raw_get::<Option<T>>(name).ok().flatten()
    }
}

/// Typed options of a declaration. They stand outside the machine: most tables have two of thirty, and a table of Lua's is
/// slow to be made and to say that it has no other.
pub(crate) struct Options {
    lua: Lua,
    list: Vec<(Cow<'static, str>, Value)>,
}

impl Options {
    /// None yet.
    pub(crate) fn new(lua: &Lua) -> Self {
        Self { lua: lua.clone(), list: Vec::new() }
    }

    /// The named entries of `table`.
    pub(crate) fn of(lua: &Lua, table: &Table) -> Self {
        let list = sorted(table).into_iter().map(|(name, value)| (Cow::Owned(name), value)).collect();
        Self { lua: lua.clone(), list }
    }

    /// One more, which is not there yet.
    pub(crate) fn push(&mut self, name: Cow<'static, str>, value: Value) {
        self.list.push((name, value));
    }

    /// Whether `name` is there.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.list.iter().any(|(there, _)| there == name)
    }

    /// As a table of Lua's.
    pub(crate) fn table(&self) -> mlua::Result<Table> {
        self.lua.create_table_from(self.list.iter().map(|(name, value)| (name.as_ref(), value)))
    }
}

impl Fields for Options {
    fn field<T: FromLua>(&self, name: &str) -> Option<T> {
        let (_, value) = self.list.iter().find(|(there, _)| there == name)?;
        T::from_lua(value.clone(), &self.lua).ok()
    }
}

/// An option, if it is there and of that Lua type.
pub(crate) fn get<T: FromLua>(options: &impl Fields, name: &str) -> Option<T> {
    options.field(name)
}

/// A table option.
pub(crate) fn table(options: &impl Fields, name: &str) -> Option<Table> {
    get(options, name)
}

/// A function option.
pub(crate) fn function(options: &impl Fields, name: &str) -> Option<Function> {
    get(options, name)
}

/// A duration, which was typed to seconds.
pub(crate) fn duration(options: &impl Fields, name: &str) -> Option<Duration> {
    get::<f64>(options, name).and_then(|seconds| Duration::try_from_secs_f64(seconds).ok())
}

/// A size or count.
pub(crate) fn size(options: &impl Fields, name: &str) -> Option<u64> {
    #[allow(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "typed: whole, not negative, below 9e15"
    )]
    get::<f64>(options, name).map(|bytes| bytes as u64)
}

/// A size that must fit memory.
pub(crate) fn count(options: &impl Fields, name: &str) -> Option<usize> {
    size(options, name).map(|count| usize::try_from(count).unwrap_or(usize::MAX))
}

/// A number of 32 bits, capped.
pub(crate) fn small(options: &impl Fields, name: &str) -> Option<u32> {
    size(options, name).map(|count| u32::try_from(count).unwrap_or(u32::MAX))
}

/// Text.
pub(crate) fn text(options: &impl Fields, name: &str) -> Option<String> {
    get::<Value>(options, name)?.as_string().map(|text| text.to_string_lossy())
}

/// The values of a list.
pub(crate) fn list(table: &Table) -> Vec<Value> {
    (1..=table.raw_len()).filter_map(|index| table.raw_get(index).ok()).collect()
}

/// The texts of a list.
pub(crate) fn texts(options: &impl Fields, name: &str) -> Vec<String> {
    let values = table(options, name).map(|values| list(&values)).unwrap_or_default();
    values.iter().filter_map(Value::as_string).map(|text| text.to_string_lossy()).collect()
}

/// Named entries, sorted by name: Lua keeps no order.
pub(crate) fn sorted(table: &Table) -> Vec<(String, Value)> {
    let mut entries: Vec<(String, Value)> = table
        .pairs::<Value, Value>()
        .filter_map(Result::ok)
        .filter_map(|(key, value)| match key {
            Value::String(name) => Some((name.to_string_lossy(), value)),
            Value::Integer(number) => Some((number.to_string(), value)),
            _ => None,
        })
        .collect();
    entries.sort_by(|a, b| a.0.cmp(&b.0));
    entries
}
