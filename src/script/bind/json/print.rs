//! Writes Lua values as JSON text: names in the order they were read, else sorted, so that equal values give equal text.

use mlua::LuaString;
use mlua::Table;
use mlua::Value;

use super::Exact;
use super::walk::EncodeError;
use super::walk::Inside;
use super::walk::Walk;
use crate::http::quote::quote;
use crate::script::bind::text::LARGEST;
use crate::script::bind::text::kind;
use crate::script::secret::Secret;

/// `value` as JSON text. A secret is written as its mark.
pub(crate) fn encode(value: &Value) -> Result<String, EncodeError> {
    let mut writer = Writer { out: String::new(), walk: Walk::default() };
    writer.value(value)?;
    Ok(writer.out)
}

struct Writer {
    out: String,
    walk: Walk,
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
        if self.out.len() + bytes.len() > LARGEST {
            return Err(EncodeError::new(format!("the text grows larger than {} MB", LARGEST >> 20)));
        }
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
        match self.walk.enter(table)? {
            Inside::List(length) => self.list(table, length)?,
            Inside::Object(fields) => self.object(&fields)?,
        }
        self.walk.leave();
        Ok(())
    }

    fn list(&mut self, table: &Table, length: usize) -> Result<(), EncodeError> {
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

    fn object(&mut self, fields: &[(LuaString, Value)]) -> Result<(), EncodeError> {
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
}
