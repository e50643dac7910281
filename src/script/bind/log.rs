//! `log`: lines of the process log, with fields.

use std::fmt::Display;

use mlua::Lua;
use mlua::Table;
use mlua::Value;

use crate::script::bind::function;
use crate::script::bind::json;
use crate::script::context::Context;
use crate::telemetry::log;
use crate::telemetry::log::Level;

const LEVELS: [(&str, &str, Level); 4] = [
    ("debug", "log.debug", Level::Debug),
    ("info", "log.info", Level::Info),
    ("warn", "log.warn", Level::Warn),
    ("error", "log.error", Level::Error),
];

/// `log`
pub(super) fn install(lua: &Lua, words: &Table) -> mlua::Result<()> {
    let table = lua.create_table()?;
    for (name, label, level) in LEVELS {
        let write = function(lua, label, move |lua, (message, fields): (Value, Option<Table>)| {
            if log::enabled(level) {
                write(lua, level, &message, fields.as_ref())?;
            }
            Ok(())
        })?;
        table.set(name, write)?;
    }
    words.set("log", table)
}

fn write(lua: &Lua, level: Level, message: &Value, fields: Option<&Table>) -> mlua::Result<()> {
    let (message, mut fields) = (flat(&shown(message)), told(fields)?);
    if let Some(id) = Context::of(lua).exchange().and_then(|exchange| exchange.id.get().cloned()) {
        fields.push(("request_id".to_owned(), id.to_string()));
    }
    let fields: Vec<(&str, &dyn Display)> =
        fields.iter().map(|(name, value)| (name.as_str(), value as &dyn Display)).collect();
    log::emit(level, &message, &fields);
    Ok(())
}

/// On one line: a message may hold what a client sent.
pub(crate) fn flat(text: &str) -> String {
    let plain = |symbol: char| !symbol.is_control() || symbol == '\t';
    text.chars().fold(String::with_capacity(text.len()), |mut line, symbol| {
        match plain(symbol) {
            true => line.push(symbol),
            false => line.extend(symbol.escape_default()),
        }
        line
    })
}

/// Names sorted, so that equal calls give equal lines.
fn told(fields: Option<&Table>) -> mlua::Result<Vec<(String, String)>> {
    let mut told = Vec::new();
    for pair in fields.into_iter().flat_map(Table::pairs::<Value, Value>) {
        let (name, value) = pair?;
        if told.len() == MOST {
            break;
        }
        told.push((name_of(&name), shown(&value)));
    }
    told.sort();
    Ok(told)
}

/// A field's name; what would look like the end of one becomes `_`.
fn name_of(name: &Value) -> String {
    let name = name.to_string().unwrap_or_default();
    let plain = |symbol: char| symbol.is_alphanumeric() || matches!(symbol, '_' | '-' | '.');
    name.chars().take(64).map(|symbol| if plain(symbol) { symbol } else { '_' }).collect()
}

/// A value as a line shows it: tables as JSON, secrets as their mark, and not without end.
fn shown(value: &Value) -> String {
    let text = match value {
        Value::String(text) => text.to_string_lossy(),
        Value::Table(_) => json::encode(value).unwrap_or_else(|fault| format!("<{fault}>")),
        other => other.to_string().unwrap_or_else(|_| format!("<{}>", other.type_name())),
    };
    match text.char_indices().nth(LONGEST) {
        Some((cut, _)) => format!("{}…", &text[..cut]),
        None => text,
    }
}

const MOST: usize = 64;
const LONGEST: usize = 8192;
