//! Reads JSON text (RFC 8259) straight into Lua values; strict, bounded in depth and size, exact in its numbers.

use mlua::IntoLua;
use mlua::Lua;
use mlua::Value;

use super::DEPTH;
use super::Exact;
use super::shape::END;
use super::shape::Shapes;
use crate::primitive::scan::Kind;
use crate::primitive::scan::Scan;
use crate::primitive::scan::ScanFault;
use crate::primitive::scan::What;
use crate::script::bind::text::LARGEST;

/// Why a text is not JSON, or more than is taken.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DecodeError {
    /// Not JSON.
    #[error("{what} at offset {at}")]
    Syntax {
        /// What is wrong.
        what: String,
        /// The byte, from 0.
        at: usize,
    },
    /// The machine would not take a value: it is out of memory.
    #[error("{0}")]
    Lua(#[from] mlua::Error),
}

impl From<ScanFault> for DecodeError {
    fn from(ScanFault { what, at }: ScanFault) -> Self {
        match what {
            What::Unexpected(None, place) => Self::Syntax { what: format!("unexpected the end {place}"), at },
            What::Control => Self::Syntax { what: format!("{what}; escape it"), at },
            What::Lone(start) => Self::Syntax { what: what.to_string(), at: start },
            what => Self::Syntax { what: what.to_string(), at },
        }
    }
}

/// `text` as a Lua value. Lists and the order of names are remembered for encoding.
pub(crate) fn decode(lua: &Lua, text: &[u8]) -> Result<Value, DecodeError> {
    if text.len() > LARGEST {
        let what = format!("the text is larger than {} MB, cut", LARGEST >> 20);
        return Err(DecodeError::Syntax { what, at: LARGEST });
    }
    let scan = Scan::new(text)?;
    let shapes = Shapes::with(lua, |shapes| {
        let mut reader = Reader { lua, shapes, scan, depth: 0 };
        Ok(reader.document())
    });
    shapes?
}

struct Reader<'a> {
    lua: &'a Lua,
    shapes: &'a Shapes,
    scan: Scan<'a>,
    depth: usize,
}

impl Reader<'_> {
    fn document(&mut self) -> Result<Value, DecodeError> {
        let value = self.value()?;
        self.scan.end()?;
        Ok(value)
    }

    fn value(&mut self) -> Result<Value, DecodeError> {
        match self.scan.kind()? {
            Kind::Object => self.nested(Self::object),
            Kind::List => self.nested(Self::list),
            Kind::Text => Ok(Value::String(self.lua.create_string(&*self.scan.text()?)?)),
            Kind::Number => Ok(number(self.lua, self.scan.number()?)?),
            Kind::Bool | Kind::Null => Ok(self.scan.word()?.map_or(Value::NULL, Value::Boolean)),
        }
    }

    fn nested(&mut self, read: fn(&mut Self) -> Result<Value, DecodeError>) -> Result<Value, DecodeError> {
        if self.depth == DEPTH {
            return Err(DecodeError::Syntax { what: format!("nested deeper than {DEPTH}"), at: self.scan.at() });
        }
        self.depth += 1;
        let value = read(self)?;
        self.depth -= 1;
        Ok(value)
    }

    fn list(&mut self) -> Result<Value, DecodeError> {
        let list = self.lua.create_table()?;
        let mut more = self.scan.enter(b']');
        while more {
            list.raw_push(self.value()?)?;
            more = self.scan.more(b']')?;
        }
        list.set_metatable(Some(self.shapes.list()))?;
        Ok(Value::Table(list))
    }

    fn object(&mut self) -> Result<Value, DecodeError> {
        let object = self.lua.create_table()?;
        let (mut joined, mut names) = (Vec::new(), Vec::new());
        let mut more = self.scan.enter(b'}');
        while more {
            let name = self.lua.create_string(&*self.scan.name()?)?;
            let value = self.value()?;
            joined.extend_from_slice(&name.as_bytes());
            joined.push(END);
            object.raw_set(&name, value)?;
            names.push(name);
            more = self.scan.more(b'}')?;
        }
        object.set_metatable(Some(self.shapes.order(self.lua, &joined, &names)?))?;
        Ok(Value::Table(object))
    }
}

/// A Lua number where it holds the value, else the digits themselves.
pub(super) fn number(lua: &Lua, digits: &str) -> mlua::Result<Value> {
    let value: f64 = digits.parse().unwrap_or(f64::INFINITY);
    let whole = !digits.bytes().any(|byte| matches!(byte, b'.' | b'e' | b'E'));
    if value.is_finite() && (!whole || value.abs() <= SAFE) {
        return Ok(Value::Number(value));
    }
    Exact::new(digits).push(lua)?.into_lua(lua)
}

/// The largest integer up to which each is a number of its own (2^53 - 1).
const SAFE: f64 = 9_007_199_254_740_991.0;
