//! Writes Lua values as JSON text: names in the order they were read, else sorted, so that equal values give equal text.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::ffi::c_void;
use std::fmt::Write as _;

use mlua::LuaString;
use mlua::Table;
use mlua::Value;

use super::DEPTH;
use super::Exact;
use super::shape::Form;
use crate::script::bind::text::LARGEST;
use crate::script::bind::text::kind;
use crate::script::secret::Secret;

/// Why a value has no JSON form.
#[derive(Debug, thiserror::Error)]
#[error("{what} at ${path}")]
pub(crate) struct EncodeError {
    what: String,
    path: String,
}

impl EncodeError {
    fn new(what: impl Into<String>) -> Self {
        Self { what: what.into(), path: String::new() }
    }

    /// The same, met below `step`.
    fn below(mut self, step: &str) -> Self {
        self.path.insert_str(0, step);
        self
    }
}

impl From<mlua::Error> for EncodeError {
    fn from(error: mlua::Error) -> Self {
        Self::new(error.to_string())
    }
}

/// `value` as JSON text. A secret is written as its mark.
pub(crate) fn encode(value: &Value) -> Result<String, EncodeError> {
    let mut writer = Writer { out: String::new(), depth: 0, orders: HashMap::new() };
    writer.value(value)?;
    Ok(writer.out)
}

/// `text` in quotes, escaped.
fn quote(out: &mut String, text: &str) {
    out.push('"');
    let mut start = 0;
    for (at, byte) in text.bytes().enumerate() {
        if byte >= b' ' && byte != b'"' && byte != b'\\' && byte != 0x7f {
            continue;
        }
        out.push_str(&text[start..at]);
        start = at + 1;
        match byte {
            b'"' => out.push_str("\\\""),
            b'\\' => out.push_str("\\\\"),
            b'\n' => out.push_str("\\n"),
            b'\r' => out.push_str("\\r"),
            b'\t' => out.push_str("\\t"),
            byte => drop(write!(out, "\\u{byte:04x}")),
        }
    }
    out.push_str(&text[start..]);
    out.push('"');
}

struct Writer {
    out: String,
    depth: usize,
    /// Positions of names, by the order they come from.
    orders: HashMap<*const c_void, HashMap<*const c_void, usize>>,
}

impl Writer {
    fn value(&mut self, value: &Value) -> Result<(), EncodeError> {
        if self.out.len() > LARGEST {
            return Err(EncodeError::new(format!("the text grows larger than {} MB", LARGEST >> 20)));
        }
        match value {
            Value::Nil => self.out.push_str("null"),
            value if value.is_null() => self.out.push_str("null"),
            Value::Boolean(value) => self.out.push_str(if *value { "true" } else { "false" }),
            Value::Integer(number) => self.out.push_str(itoa::Buffer::new().format(*number)),
            Value::Number(number) => self.number(*number)?,
            Value::String(text) => self.text(text)?,
            Value::Table(table) => self.table(table)?,
            other => self.other(other)?,
        }
        Ok(())
    }

    fn number(&mut self, number: f64) -> Result<(), EncodeError> {
        if !number.is_finite() {
            return Err(EncodeError::new(format!("{number} has no JSON form")));
        }
        let number = serde_json::Number::from_f64(number).ok_or_else(|| EncodeError::new("no number"))?;
        self.out.push_str(number.as_str());
        Ok(())
    }

    fn text(&mut self, text: &LuaString) -> Result<(), EncodeError> {
        let bytes = text.as_bytes();
        let text = std::str::from_utf8(&bytes)
            .map_err(|_| EncodeError::new("text that is not UTF-8 has no JSON form (base64.encode it)"))?;
        quote(&mut self.out, text);
        Ok(())
    }

    fn other(&mut self, value: &Value) -> Result<(), EncodeError> {
        if let Some(exact) = Exact::of(value) {
            self.out.push_str(exact.digits());
        } else if let Some(secret) = Secret::of(value) {
            quote(&mut self.out, &secret.mark());
        } else {
            return Err(EncodeError::new(format!("a {} has no JSON form", kind(value))));
        }
        Ok(())
    }

    fn table(&mut self, table: &Table) -> Result<(), EncodeError> {
        if self.depth == DEPTH {
            return Err(EncodeError::new(format!("nested deeper than {DEPTH} (or a table within itself)")));
        }
        self.depth += 1;
        match Form::of(table)? {
            Form::List => self.list(table)?,
            Form::Object(order) => self.object(table, Some(&order))?,
            Form::Free if table.raw_len() > 0 => self.list(table)?,
            Form::Free => self.object(table, None)?,
        }
        self.depth -= 1;
        Ok(())
    }

    fn list(&mut self, table: &Table) -> Result<(), EncodeError> {
        let length = table.raw_len();
        check_list(table, length)?;
        self.out.push('[');
        for index in 1..=length {
            if index > 1 {
                self.out.push(',');
            }
            let value: Value = table.raw_get(index)?;
            self.value(&value).map_err(|error| error.below(&format!("[{index}]")))?;
        }
        self.out.push(']');
        Ok(())
    }

    fn object(&mut self, table: &Table, order: Option<&Table>) -> Result<(), EncodeError> {
        let mut fields = Vec::new();
        for pair in table.pairs::<Value, Value>() {
            match pair? {
                (Value::String(name), value) => fields.push((name, value)),
                (key, _) => return Err(EncodeError::new(nameless(&key))),
            }
        }
        self.arrange(&mut fields, order)?;
        self.out.push('{');
        for (index, (name, value)) in fields.iter().enumerate() {
            if index > 0 {
                self.out.push(',');
            }
            self.text(name)?;
            self.out.push(':');
            self.value(value).map_err(|error| error.below(&format!(".{}", name.to_string_lossy())))?;
        }
        self.out.push('}');
        Ok(())
    }

    /// Names of `order` first and in its order, the others after them by their bytes.
    fn arrange(&mut self, fields: &mut [(LuaString, Value)], order: Option<&Table>) -> Result<(), EncodeError> {
        let Some(order) = order else {
            fields.sort_by_cached_key(|(name, _)| name.as_bytes().to_vec());
            return Ok(());
        };
        let positions = match self.orders.entry(order.to_pointer()) {
            Entry::Occupied(known) => known.into_mut(),
            Entry::Vacant(empty) => empty.insert(positions(order)?),
        };
        let place = |name: &LuaString| positions.get(&name.to_pointer()).copied().unwrap_or(usize::MAX);
        fields.sort_by(|(a, _), (b, _)| place(a).cmp(&place(b)).then_with(|| a.as_bytes().cmp(&b.as_bytes())));
        Ok(())
    }
}

fn positions(order: &Table) -> mlua::Result<HashMap<*const c_void, usize>> {
    let mut positions = HashMap::new();
    for (position, name) in order.sequence_values::<LuaString>().enumerate() {
        // Luau interns strings: one text is one pointer for as long as it lives, and the order holds it.
        positions.entry(name?.to_pointer()).or_insert(position);
    }
    Ok(positions)
}

/// Refuses what a list cannot hold: names, and holes.
fn check_list(table: &Table, length: usize) -> Result<(), EncodeError> {
    let mut count = 0;
    for pair in table.pairs::<Value, Value>() {
        let (key, _) = pair?;
        match key {
            Value::Integer(index) if usize::try_from(index).is_ok_and(|index| (1..=length).contains(&index)) => {
                count += 1;
            }
            Value::Integer(index) => {
                return Err(EncodeError::new(format!("a list with holes before [{index}] (write json.null there)")));
            }
            key => return Err(EncodeError::new(format!("a table with a list part and also {}", named(&key)))),
        }
    }
    if count < length { Err(EncodeError::new("a list with holes (write json.null there)")) } else { Ok(()) }
}

fn nameless(key: &Value) -> String {
    match key {
        Value::Integer(_) | Value::Number(_) => {
            format!("a table with the number {} as a name (use tostring)", key.to_string().unwrap_or_default())
        }
        other => format!("a table with a {} as a name", other.type_name()),
    }
}

fn named(key: &Value) -> String {
    match key {
        Value::String(name) => format!("the name `{}`", name.to_string_lossy()),
        other => format!("a {} as a name", other.type_name()),
    }
}
