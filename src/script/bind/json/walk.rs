//! Goes through the tables of a value that shall become JSON: lists and objects told apart, names in their order.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::ffi::c_void;

use mlua::LuaString;
use mlua::Table;
use mlua::Value;

use super::DEPTH;
use super::shape::Form;

/// Why a value has no JSON form.
#[derive(Debug, thiserror::Error)]
#[error("{what} at ${path}")]
pub(crate) struct EncodeError {
    what: String,
    path: String,
}

impl EncodeError {
    pub(super) fn new(what: impl Into<String>) -> Self {
        Self { what: what.into(), path: String::new() }
    }

    /// The same, met below `step`.
    pub(super) fn below(mut self, step: &str) -> Self {
        self.path.insert_str(0, step);
        self
    }
}

impl From<mlua::Error> for EncodeError {
    fn from(error: mlua::Error) -> Self {
        Self::new(error.to_string())
    }
}

/// Where in a value one stands.
#[derive(Default)]
pub(super) struct Walk {
    depth: usize,
    /// Positions of names, by the order they come from.
    orders: HashMap<*const c_void, HashMap<*const c_void, usize>>,
}

/// What a table is.
pub(super) enum Inside {
    /// A list of this length without holes.
    List(usize),
    /// Names and values.
    Object(Vec<(LuaString, Value)>),
}

impl Walk {
    /// Steps into `table`.
    pub(super) fn enter(&mut self, table: &Table) -> Result<Inside, EncodeError> {
        if self.depth == DEPTH {
            return Err(EncodeError::new(format!("nested deeper than {DEPTH} (or a table within itself)")));
        }
        self.depth += 1;
        match Form::of(table)? {
            Form::List => list(table),
            Form::Free if table.raw_len() > 0 => list(table),
            Form::Free => self.object(table, None),
            Form::Object(order) => self.object(table, Some(&order)),
        }
    }

    /// Steps out again.
    pub(super) fn leave(&mut self) {
        self.depth -= 1;
    }

    fn object(&mut self, table: &Table, order: Option<&Table>) -> Result<Inside, EncodeError> {
        let mut fields = Vec::new();
        for pair in table.pairs::<Value, Value>() {
            match pair? {
                (Value::String(name), value) => fields.push((name, value)),
                (key, _) => return Err(EncodeError::new(nameless(&key))),
            }
        }
        self.arrange(&mut fields, order)?;
        Ok(Inside::Object(fields))
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

/// A list, without names and holes.
fn list(table: &Table) -> Result<Inside, EncodeError> {
    let length = table.raw_len();
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
    if count < length {
        return Err(EncodeError::new("a list with holes (write json.null there)"));
    }
    Ok(Inside::List(length))
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

fn positions(order: &Table) -> mlua::Result<HashMap<*const c_void, usize>> {
    let mut positions = HashMap::new();
    for (position, name) in order.sequence_values::<LuaString>().enumerate() {
        // Luau interns strings: one text is one pointer for as long as it lives, and the order holds it.
        positions.entry(name?.to_pointer()).or_insert(position);
    }
    Ok(positions)
}
