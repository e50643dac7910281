//! Typed options as Rust values. Everything was checked before; what was refused is absent here.

use std::time::Duration;

use mlua::FromLua;
use mlua::Function;
use mlua::Table;
use mlua::Value;

/// An option, if it is there and of that Lua type.
pub(crate) fn get<T: FromLua>(table: &Table, name: &str) -> Option<T> {
    table.raw_get::<Option<T>>(name).ok().flatten()
}

/// A table option.
pub(crate) fn table(table: &Table, name: &str) -> Option<Table> {
    get(table, name)
}

/// A function option.
pub(crate) fn function(table: &Table, name: &str) -> Option<Function> {
    get(table, name)
}

/// A duration, which was typed to seconds.
pub(crate) fn duration(table: &Table, name: &str) -> Option<Duration> {
    get::<f64>(table, name).and_then(|seconds| Duration::try_from_secs_f64(seconds).ok())
}

/// A size or count.
pub(crate) fn size(table: &Table, name: &str) -> Option<u64> {
    #[allow(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "typed: whole, not negative, below 9e15"
    )]
    get::<f64>(table, name).map(|bytes| bytes as u64)
}

/// A size that must fit memory.
pub(crate) fn count(table: &Table, name: &str) -> Option<usize> {
    size(table, name).map(|count| usize::try_from(count).unwrap_or(usize::MAX))
}

/// A number of 32 bits, capped.
pub(crate) fn small(table: &Table, name: &str) -> Option<u32> {
    size(table, name).map(|count| u32::try_from(count).unwrap_or(u32::MAX))
}

/// Text.
pub(crate) fn text(table: &Table, name: &str) -> Option<String> {
    let value: Value = table.raw_get(name).ok()?;
    value.as_string().map(|text| text.to_string_lossy())
}

/// The values of a list.
pub(crate) fn list(table: &Table) -> Vec<Value> {
    (1..=table.raw_len()).filter_map(|index| table.raw_get(index).ok()).collect()
}

/// The texts of a list.
pub(crate) fn texts(table: &Table, name: &str) -> Vec<String> {
    let values = self::table(table, name).map(|values| list(&values)).unwrap_or_default();
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
