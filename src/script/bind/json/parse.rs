//! Reads JSON text (RFC 8259) straight into Lua values; strict, bounded in depth and size, exact in its numbers.

use mlua::IntoLua;
use mlua::Lua;
use mlua::LuaString;
use mlua::Value;

use super::DEPTH;
use super::Exact;
use super::shape::END;
use super::shape::Shapes;
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

/// `text` as a Lua value. Lists and the order of names are remembered for encoding.
pub(crate) fn decode(lua: &Lua, text: &[u8]) -> Result<Value, DecodeError> {
    if text.len() > LARGEST {
        let what = format!("the text is larger than {} MB, cut", LARGEST >> 20);
        return Err(DecodeError::Syntax { what, at: LARGEST });
    }
    let text = std::str::from_utf8(text)
        .map_err(|error| DecodeError::Syntax { what: "invalid UTF-8".into(), at: error.valid_up_to() })?;
    let shapes = Shapes::with(lua, |shapes| {
        let mut reader = Reader { lua, shapes, text, at: 0, depth: 0 };
        Ok(reader.document())
    });
    shapes?
}

struct Reader<'a> {
    lua: &'a Lua,
    shapes: &'a Shapes,
    text: &'a str,
    at: usize,
    depth: usize,
}

impl<'a> Reader<'a> {
    fn document(&mut self) -> Result<Value, DecodeError> {
        // A byte order mark may be ignored by a reader (RFC 8259 §8.1), and some services send one.
        if self.text.starts_with('\u{feff}') {
            self.at = '\u{feff}'.len_utf8();
        }
        let value = self.value()?;
        self.space();
        if self.at < self.text.len() { Err(self.unexpected("after the value")) } else { Ok(value) }
    }

    fn value(&mut self) -> Result<Value, DecodeError> {
        self.space();
        match self.peek() {
            Some(b'{') => self.nested(Self::object),
            Some(b'[') => self.nested(Self::list),
            Some(b'"') => Ok(Value::String(self.string()?)),
            Some(b'-' | b'0'..=b'9') => self.number(),
            Some(b't') => self.word("true", Value::Boolean(true)),
            Some(b'f') => self.word("false", Value::Boolean(false)),
            Some(b'n') => self.word("null", Value::NULL),
            _ => Err(self.unexpected("where a value should be")),
        }
    }

    fn nested(&mut self, read: fn(&mut Self) -> Result<Value, DecodeError>) -> Result<Value, DecodeError> {
        if self.depth == DEPTH {
            return Err(self.fault(format!("nested deeper than {DEPTH}")));
        }
        self.depth += 1;
        self.at += 1;
        let value = read(self)?;
        self.depth -= 1;
        Ok(value)
    }

    fn list(&mut self) -> Result<Value, DecodeError> {
        let list = self.lua.create_table()?;
        if !self.closes(b']') {
            loop {
                list.raw_push(self.value()?)?;
                if self.more(b']')? {
                    break;
                }
            }
        }
        list.set_metatable(Some(self.shapes.list()))?;
        Ok(Value::Table(list))
    }

    fn object(&mut self) -> Result<Value, DecodeError> {
        let object = self.lua.create_table()?;
        let (mut joined, mut names) = (Vec::new(), Vec::new());
        if !self.closes(b'}') {
            loop {
                self.space();
                if self.peek() != Some(b'"') {
                    return Err(self.unexpected("where a name should be"));
                }
                let name = self.string()?;
                self.space();
                if self.peek() != Some(b':') {
                    return Err(self.unexpected("where `:` should be"));
                }
                self.at += 1;
                let value = self.value()?;
                joined.extend_from_slice(&name.as_bytes());
                joined.push(END);
                object.raw_set(&name, value)?;
                names.push(name);
                if self.more(b'}')? {
                    break;
                }
            }
        }
        object.set_metatable(Some(self.shapes.order(self.lua, &joined, &names)?))?;
        Ok(Value::Table(object))
    }

    /// Whether the list or object is over before it began.
    fn closes(&mut self, end: u8) -> bool {
        self.space();
        let closes = self.peek() == Some(end);
        self.at += usize::from(closes);
        closes
    }

    /// After an element: `true` at the end, `false` after a comma.
    fn more(&mut self, end: u8) -> Result<bool, DecodeError> {
        self.space();
        match self.peek() {
            Some(b',') => {
                self.at += 1;
                Ok(false)
            }
            Some(byte) if byte == end => {
                self.at += 1;
                Ok(true)
            }
            _ => Err(self.unexpected(if end == b']' {
                "where `,` or `]` should be"
            } else {
                "where `,` or `}` should be"
            })),
        }
    }

    fn string(&mut self) -> Result<LuaString, DecodeError> {
        self.at += 1;
        let start = self.at;
        let end = self.plain();
        if self.peek() == Some(b'"') {
            self.at += 1;
            return Ok(self.lua.create_string(&self.text[start..end])?);
        }
        let mut whole = self.text[start..end].to_owned();
        loop {
            match self.peek() {
                Some(b'"') => break self.at += 1,
                Some(b'\\') => whole.push(self.escape()?),
                Some(_) => return Err(self.fault("control character in a string; escape it".into())),
                None => return Err(self.fault("unfinished string".into())),
            }
            let start = self.at;
            let end = self.plain();
            whole.push_str(&self.text[start..end]);
        }
        Ok(self.lua.create_string(whole)?)
    }

    /// Passes over characters that stand for themselves.
    fn plain(&mut self) -> usize {
        let rest = &self.text.as_bytes()[self.at..];
        let length = rest.iter().position(|&byte| byte == b'"' || byte == b'\\' || byte < b' ').unwrap_or(rest.len());
        self.at += length;
        self.at
    }

    fn escape(&mut self) -> Result<char, DecodeError> {
        self.at += 1;
        let symbol = match self.peek() {
            Some(byte @ (b'"' | b'\\' | b'/')) => char::from(byte),
            Some(b'b') => '\u{8}',
            Some(b'f') => '\u{c}',
            Some(b'n') => '\n',
            Some(b'r') => '\r',
            Some(b't') => '\t',
            Some(b'u') => return self.unicode(),
            _ => return Err(self.unexpected("after `\\`")),
        };
        self.at += 1;
        Ok(symbol)
    }

    fn unicode(&mut self) -> Result<char, DecodeError> {
        let start = self.at - 1;
        let lone = |at| DecodeError::Syntax { what: "half of a surrogate pair".into(), at };
        let first = self.hex()?;
        if !(0xd800..0xe000).contains(&first) {
            return char::from_u32(first).ok_or_else(|| lone(start));
        }
        if first >= 0xdc00 || !self.text[self.at..].starts_with("\\u") {
            return Err(lone(start));
        }
        self.at += 1;
        let second = self.hex()?;
        if !(0xdc00..0xe000).contains(&second) {
            return Err(lone(start));
        }
        char::from_u32(0x10000 + ((first - 0xd800) << 10) + (second - 0xdc00)).ok_or_else(|| lone(start))
    }

    /// The four digits after `u`.
    fn hex(&mut self) -> Result<u32, DecodeError> {
        let digits = self.text.as_bytes().get(self.at + 1..self.at + 5);
        let digits = digits.filter(|digits| digits.iter().all(u8::is_ascii_hexdigit));
        let value = digits.map(|digits| digits.iter().fold(0, |sum, &digit| sum * 16 + nibble(digit)));
        let value = value.ok_or_else(|| self.fault("`\\u` needs four hexadecimal digits".into()))?;
        self.at += 5;
        Ok(value)
    }

    fn number(&mut self) -> Result<Value, DecodeError> {
        let start = self.at;
        self.at += usize::from(self.peek() == Some(b'-'));
        if self.peek() == Some(b'0') {
            self.at += 1;
        } else {
            self.digits()?;
        }
        if self.peek() == Some(b'.') {
            self.at += 1;
            self.digits()?;
        }
        if matches!(self.peek(), Some(b'e' | b'E')) {
            self.at += 1;
            self.at += usize::from(matches!(self.peek(), Some(b'+' | b'-')));
            self.digits()?;
        }
        if self.at - start > DIGITS {
            return Err(DecodeError::Syntax { what: format!("a number of more than {DIGITS} digits"), at: start });
        }
        Ok(number(self.lua, &self.text[start..self.at])?)
    }

    fn digits(&mut self) -> Result<(), DecodeError> {
        let rest = &self.text.as_bytes()[self.at..];
        let length = rest.iter().position(|byte| !byte.is_ascii_digit()).unwrap_or(rest.len());
        if length == 0 {
            return Err(self.unexpected("where a digit should be"));
        }
        self.at += length;
        Ok(())
    }

    fn word(&mut self, word: &str, value: Value) -> Result<Value, DecodeError> {
        if !self.text[self.at..].starts_with(word) {
            return Err(self.unexpected("where a value should be"));
        }
        self.at += word.len();
        Ok(value)
    }

    fn space(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.at += 1;
        }
    }

    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn unexpected(&self, place: &str) -> DecodeError {
        let found = self.text.get(self.at..).and_then(|rest| rest.chars().next());
        let found = found.map_or_else(
            || "the end".to_owned(),
            |symbol| if symbol.is_control() { format!("`{}`", symbol.escape_default()) } else { format!("`{symbol}`") },
        );
        self.fault(format!("unexpected {found} {place}"))
    }

    fn fault(&self, what: String) -> DecodeError {
        DecodeError::Syntax { what, at: self.at }
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

fn nibble(digit: u8) -> u32 {
    char::from(digit).to_digit(16).unwrap_or(0)
}

/// Longer numbers are nobody's; exact ones live outside the machine's memory limit.
const DIGITS: usize = 4096;
/// The largest integer up to which each is a number of its own (2^53 - 1).
const SAFE: f64 = 9_007_199_254_740_991.0;
