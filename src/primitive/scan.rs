//! JSON text (RFC 8259) token by token, without a tree: strict, borrowed where nothing is escaped.

use std::borrow::Cow;
use std::fmt;

/// A reader of one JSON text.
#[derive(Clone)]
pub struct Scan<'a> {
    text: &'a str,
    at: usize,
}

/// What kind of value comes next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// `{`
    Object,
    /// `[`
    List,
    /// `"`
    Text,
    /// `-` or a digit
    Number,
    /// `true` or `false`
    Bool,
    /// `null`
    Null,
}

/// A text that is no JSON.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{what} at offset {at}")]
pub struct ScanFault {
    /// What is wrong.
    pub what: What,
    /// The byte, from 0.
    pub at: usize,
}

/// What is wrong with a text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum What {
    /// This character, or the end, where something else belongs.
    Unexpected(Option<char>, &'static str),
    /// A control character that is not escaped.
    Control,
    /// Half of a surrogate pair, whose escape begins at this byte.
    Lone(usize),
    /// Anything that one sentence says.
    Other(Cow<'static, str>),
}

impl fmt::Display for What {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unexpected(None, place) => write!(f, "unexpected end {place}"),
            Self::Unexpected(Some(symbol), place) => write!(f, "unexpected `{}` {place}", shown(*symbol)),
            Self::Control => f.write_str("control character in a string"),
            Self::Lone(_) => f.write_str("half of a surrogate pair"),
            Self::Other(said) => f.write_str(said),
        }
    }
}

/// A character in a message: a control character by its escape.
fn shown(symbol: char) -> String {
    if symbol.is_control() { symbol.escape_default().to_string() } else { symbol.to_string() }
}

/// The deepest nesting that [`Scan::skip`] passes over; readers that go down themselves keep to it too.
pub const DEEPEST: usize = 127;

/// Longer numbers are nobody's; exact ones live outside a machine's memory limit.
const DIGITS: usize = 4096;

impl<'a> Scan<'a> {
    /// A reader at the start of `text`. A byte order mark may be ignored (RFC 8259 §8.1).
    pub fn new(text: &'a [u8]) -> Result<Self, ScanFault> {
        match std::str::from_utf8(text) {
            Ok(text) => Ok(Self { text, at: if text.starts_with('\u{feff}') { 3 } else { 0 } }),
            Err(error) => Err(ScanFault { what: What::Other("invalid UTF-8".into()), at: error.valid_up_to() }),
        }
    }

    /// How far it has read, in bytes.
    pub fn at(&self) -> usize {
        self.at
    }

    /// What was read since `start`.
    pub fn since(&self, start: usize) -> &'a str {
        &self.text[start..self.at]
    }

    /// The kind of the value that comes next.
    pub fn kind(&mut self) -> Result<Kind, ScanFault> {
        self.space();
        match self.peek() {
            Some(b'{') => Ok(Kind::Object),
            Some(b'[') => Ok(Kind::List),
            Some(b'"') => Ok(Kind::Text),
            Some(b'-' | b'0'..=b'9') => Ok(Kind::Number),
            Some(b't' | b'f') => Ok(Kind::Bool),
            Some(b'n') => Ok(Kind::Null),
            _ => Err(self.unexpected("where a value should be")),
        }
    }

    /// Enters an object or list whose [`Kind`] was just told: whether it holds anything.
    pub fn enter(&mut self, end: u8) -> bool {
        self.at += 1;
        self.space();
        let empty = self.peek() == Some(end);
        self.at += usize::from(empty);
        !empty
    }

    /// After an element: whether another one follows.
    pub fn more(&mut self, end: u8) -> Result<bool, ScanFault> {
        self.space();
        match self.peek() {
            Some(b',') => {
                self.at += 1;
                Ok(true)
            }
            Some(byte) if byte == end => {
                self.at += 1;
                Ok(false)
            }
            _ if end == b']' => Err(self.unexpected("where `,` or `]` should be")),
            _ => Err(self.unexpected("where `,` or `}` should be")),
        }
    }

    /// A member's name and its colon.
    pub fn name(&mut self) -> Result<Cow<'a, str>, ScanFault> {
        self.space();
        if self.peek() != Some(b'"') {
            return Err(self.unexpected("where a name should be"));
        }
        let name = self.text()?;
        self.space();
        if self.peek() != Some(b':') {
            return Err(self.unexpected("where `:` should be"));
        }
        self.at += 1;
        Ok(name)
    }

    /// A string whose quote was just seen.
    pub fn text(&mut self) -> Result<Cow<'a, str>, ScanFault> {
        self.at += 1;
        let start = self.at;
        self.plain();
        if self.peek() == Some(b'"') {
            self.at += 1;
            return Ok(Cow::Borrowed(&self.text[start..self.at - 1]));
        }
        let mut whole = self.text[start..self.at].to_owned();
        loop {
            match self.peek() {
                Some(b'"') => break self.at += 1,
                Some(b'\\') => whole.push(self.escape()?),
                Some(_) => return Err(ScanFault { what: What::Control, at: self.at }),
                None => return Err(self.fault("unfinished string")),
            }
            let start = self.at;
            self.plain();
            whole.push_str(&self.text[start..self.at]);
        }
        Ok(Cow::Owned(whole))
    }

    /// A number, as its digits.
    pub fn number(&mut self) -> Result<&'a str, ScanFault> {
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
            let said = format!("a number of more than {DIGITS} digits");
            return Err(ScanFault { what: What::Other(said.into()), at: start });
        }
        Ok(&self.text[start..self.at])
    }

    /// `true`, `false` or `null`.
    pub fn word(&mut self) -> Result<Option<bool>, ScanFault> {
        for (word, value) in [("true", Some(true)), ("false", Some(false)), ("null", None)] {
            if self.text.as_bytes()[self.at..].starts_with(word.as_bytes()) {
                self.at += word.len();
                return Ok(value);
            }
        }
        Err(self.unexpected("where a value should be"))
    }

    /// Passes over one value of any depth up to [`DEEPEST`].
    pub fn skip(&mut self) -> Result<(), ScanFault> {
        // One bit a level: whether it is an object.
        let (mut objects, mut depth) = (0_u128, 0_usize);
        loop {
            let kind = self.kind()?;
            let entered = match kind {
                Kind::Object => self.enter(b'}'),
                Kind::List => self.enter(b']'),
                Kind::Text => self.text().map(|_| false)?,
                Kind::Number => self.number().map(|_| false)?,
                Kind::Bool | Kind::Null => self.word().map(|_| false)?,
            };
            if entered {
                if depth == DEEPEST {
                    return Err(self.fault("nested too deeply"));
                }
                objects = objects << 1 | u128::from(kind == Kind::Object);
                depth += 1;
            }
            while !entered && depth > 0 && !self.more(if objects & 1 == 1 { b'}' } else { b']' })? {
                objects >>= 1;
                depth -= 1;
            }
            if depth == 0 {
                return Ok(());
            }
            if objects & 1 == 1 {
                self.name()?;
            }
        }
    }

    /// Nothing but space may follow.
    pub fn end(&mut self) -> Result<(), ScanFault> {
        self.space();
        if self.at < self.text.len() { Err(self.unexpected("after the value")) } else { Ok(()) }
    }

    /// A fault at this place.
    pub fn fault(&self, what: &'static str) -> ScanFault {
        ScanFault { what: What::Other(what.into()), at: self.at }
    }

    /// Passes over characters that stand for themselves.
    fn plain(&mut self) {
        let (words, rest) = self.text.as_bytes()[self.at..].as_chunks();
        for word in words {
            let ends = ends(u64::from_le_bytes(*word));
            if ends != 0 {
                self.at += ends.trailing_zeros() as usize / 8;
                return;
            }
            self.at += 8;
        }
        let length = rest.iter().position(|&byte| byte == b'"' || byte == b'\\' || byte < b' ');
        self.at += length.unwrap_or(rest.len());
    }

    fn escape(&mut self) -> Result<char, ScanFault> {
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

    fn unicode(&mut self) -> Result<char, ScanFault> {
        let start = self.at - 1;
        let first = self.hex()?;
        let mut code = first;
        if (0xd800..0xdc00).contains(&first) && self.text.as_bytes()[self.at..].starts_with(b"\\u") {
            self.at += 1;
            let second = self.hex()?;
            if (0xdc00..0xe000).contains(&second) {
                code = 0x10000 + ((first - 0xd800) << 10) + (second - 0xdc00);
            }
        }
        char::from_u32(code).ok_or(ScanFault { what: What::Lone(start), at: self.at })
    }

    /// The four digits after `u`.
    fn hex(&mut self) -> Result<u32, ScanFault> {
        let digits = self.text.as_bytes().get(self.at + 1..self.at + 5);
        let digits = digits.filter(|digits| digits.iter().all(u8::is_ascii_hexdigit));
        let nibble = |digit: u8| char::from(digit).to_digit(16).unwrap_or(0);
        let value = digits.map(|digits| digits.iter().fold(0, |sum, &digit| sum * 16 + nibble(digit)));
        let value = value.ok_or_else(|| self.fault("`\\u` needs four hexadecimal digits"))?;
        self.at += 5;
        Ok(value)
    }

    fn digits(&mut self) -> Result<(), ScanFault> {
        let rest = &self.text.as_bytes()[self.at..];
        let length = rest.iter().position(|byte| !byte.is_ascii_digit()).unwrap_or(rest.len());
        if length == 0 {
            return Err(self.unexpected("where a digit should be"));
        }
        self.at += length;
        Ok(())
    }

    fn space(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.at += 1;
        }
    }

    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn unexpected(&self, place: &'static str) -> ScanFault {
        let found = self.text.get(self.at..).and_then(|rest| rest.chars().next());
        ScanFault { what: What::Unexpected(found, place), at: self.at }
    }
}

/// Marks those of eight bytes that do not stand for themselves in a string: a quote, a backslash, a control character. The
/// lowest mark is right; those above it may be for its sake.
#[inline]
fn ends(word: u64) -> u64 {
    const ONES: u64 = 0x0101_0101_0101_0101;
    const HIGH: u64 = ONES * 0x80;
    let zero = |word: u64| word.wrapping_sub(ONES) & !word;
    let control = word.wrapping_sub(ONES * 0x20) & !word;
    (control | zero(word ^ (ONES * u64::from(b'"'))) | zero(word ^ (ONES * u64::from(b'\\')))) & HIGH
}

#[cfg(test)]
mod tests;
