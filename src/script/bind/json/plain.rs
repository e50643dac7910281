//! Values that leave a machine as plain data (`store`, `emit`, `flags`) and come back in another.

use mlua::IntoLua;
use mlua::Lua;
use mlua::Table;
use mlua::Value;
use serde_json::Number;
use serde_json::Value as Json;

use super::Exact;
use super::shape::END;
use super::shape::Shapes;
use super::walk::EncodeError;
use super::walk::Inside;
use super::walk::Walk;
use crate::script::bind::text::LARGEST;
use crate::script::bind::text::kind;
use crate::store;

/// `value` as a store holds it; `None` for `nil`. Functions, handles and secrets are no plain data.
pub(crate) fn plain(value: &Value) -> Result<Option<store::Value>, EncodeError> {
    Ok(Some(match value {
        Value::Nil => return Ok(None),
        Value::Boolean(value) => store::Value::Bool(*value),
        Value::Integer(number) => store::Value::Int(*number),
        Value::Number(number) => store::Value::Number(*number),
        Value::String(text) => store::Value::text(text.as_bytes()),
        other => store::Value::Json(Box::new(to_json(other)?)),
    }))
}

/// A stored value in this machine.
pub(crate) fn value(lua: &Lua, value: &store::Value) -> mlua::Result<Value> {
    match value {
        store::Value::Bool(value) => Ok(Value::Boolean(*value)),
        #[allow(clippy::cast_precision_loss, reason = "guarded")]
        store::Value::Int(number) if number.unsigned_abs() < 1 << 53 => Ok(Value::Number(*number as f64)),
        store::Value::Int(number) => Exact::new(&number.to_string()).push(lua)?.into_lua(lua),
        store::Value::Number(number) => Ok(Value::Number(*number)),
        store::Value::Text(text) => lua.create_string(text)?.into_lua(lua),
        store::Value::Json(json) => from_json(lua, json),
    }
}

/// `value` as a JSON tree.
pub(crate) fn to_json(value: &Value) -> Result<Json, EncodeError> {
    Builder { walk: Walk::default(), size: 0 }.value(value)
}

struct Builder {
    walk: Walk,
    size: usize,
}

impl Builder {
    fn value(&mut self, value: &Value) -> Result<Json, EncodeError> {
        self.grow(size_of::<Json>())?;
        Ok(match value {
            value if value.is_null() => Json::Null,
            Value::Nil => Json::Null,
            Value::Boolean(value) => Json::Bool(*value),
            Value::Integer(number) => Json::Number((*number).into()),
            Value::Number(number) => {
                let number = Number::from_f64(*number);
                Json::Number(number.ok_or_else(|| EncodeError::new("a number that is not finite"))?)
            }
            Value::String(text) => Json::String(self.text(&text.as_bytes())?),
            Value::Table(table) => self.table(table)?,
            other => match Exact::of(other) {
                Some(exact) => Json::Number(Number::from_string_unchecked(exact.digits().to_owned())),
                None => return Err(EncodeError::new(format!("a {} is no plain data", kind(other)))),
            },
        })
    }

    fn text(&mut self, bytes: &[u8]) -> Result<String, EncodeError> {
        self.grow(bytes.len())?;
        let text = std::str::from_utf8(bytes);
        text.map(str::to_owned).map_err(|_| EncodeError::new("text inside a table that is not UTF-8"))
    }

    fn table(&mut self, table: &Table) -> Result<Json, EncodeError> {
        let json = match self.walk.enter(table)? {
            Inside::List(length) => {
                let mut list = Vec::with_capacity(length);
                for index in 1..=length {
                    let value: Value = table.raw_get(index)?;
                    list.push(self.value(&value).map_err(|error| error.below(&format!("[{index}]")))?);
                }
                Json::Array(list)
            }
            Inside::Object(fields) => {
                let mut object = serde_json::Map::with_capacity(fields.len());
                for (name, value) in fields {
                    let value = self.value(&value);
                    let value = value.map_err(|error| error.below(&format!(".{}", name.to_string_lossy())))?;
                    object.insert(self.text(&name.as_bytes())?, value);
                }
                Json::Object(object)
            }
        };
        self.walk.leave();
        Ok(json)
    }

    fn grow(&mut self, by: usize) -> Result<(), EncodeError> {
        self.size += by;
        let fits = self.size <= LARGEST;
        if fits { Ok(()) } else { Err(EncodeError::new(format!("more than {} MB of data", LARGEST >> 20))) }
    }
}

/// A JSON tree as Lua values; its nesting is bounded by whoever made it.
pub(crate) fn from_json(lua: &Lua, json: &Json) -> mlua::Result<Value> {
    Shapes::with(lua, |shapes| from(lua, shapes, json))
}

fn from(lua: &Lua, shapes: &Shapes, json: &Json) -> mlua::Result<Value> {
    Ok(match json {
        Json::Null => Value::NULL,
        Json::Bool(value) => Value::Boolean(*value),
        Json::Number(number) => super::parse::number(lua, number.as_str())?,
        Json::String(text) => Value::String(lua.create_string(text)?),
        Json::Array(list) => {
            let table = lua.create_table_with_capacity(list.len(), 0)?;
            for item in list {
                table.raw_push(from(lua, shapes, item)?)?;
            }
            table.set_metatable(Some(shapes.list()))?;
            Value::Table(table)
        }
        Json::Object(fields) => {
            let table = lua.create_table_with_capacity(0, fields.len())?;
            let (mut joined, mut names) = (Vec::new(), Vec::with_capacity(fields.len()));
            for (name, value) in fields {
                joined.extend_from_slice(name.as_bytes());
                joined.push(END);
                let name = lua.create_string(name)?;
                table.raw_set(&name, from(lua, shapes, value)?)?;
                names.push(name);
            }
            table.set_metatable(Some(shapes.order(lua, &joined, &names)?))?;
            Value::Table(table)
        }
    })
}

/// Makes a value that several requests see unchangeable, to its depths.
pub(crate) fn freeze(value: &Value) -> mlua::Result<()> {
    if let Value::Table(table) = value {
        table.set_readonly(true);
        for pair in table.pairs::<Value, Value>() {
            freeze(&pair?.1)?;
        }
    }
    Ok(())
}
