//! A path pattern: `/users/{id:int}/{name}.json/{rest*}`, read into segments, with advice for what was meant otherwise.

use std::sync::Arc;

use crate::suggest::did_you_mean;

/// Most parameters one pattern may have.
pub const MOST_PARAMS: usize = 32;

/// A parsed path pattern.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pattern {
    /// What stands between the slashes, in order; a trailing slash is an empty literal.
    pub segments: Vec<Segment>,
    /// Its parameters, in order.
    pub params: Vec<Parameter>,
}

/// A parameter of a pattern.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parameter {
    /// Its name.
    pub name: Arc<str>,
    /// Its type; a tail is text.
    pub kind: Kind,
}

/// What one segment of a path must be.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Segment {
    /// This text, in canonical percent-encoding.
    Literal(String),
    /// A whole segment that is not empty.
    Param(Kind),
    /// Text around one parameter.
    Affix {
        /// Before the parameter.
        prefix: String,
        /// The parameter.
        kind: Kind,
        /// After it.
        suffix: String,
    },
    /// Everything that is left, maybe nothing.
    Tail,
}

/// The type of a parameter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Kind {
    /// `{id:int}`: a decimal integer of 64 bits, maybe negative.
    Int,
    /// `{id:uuid}`: 8-4-4-4-12 hexadecimal digits.
    Uuid,
    /// `{id}`: any text that is not empty.
    Text,
}

/// A pattern that cannot be understood.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct PatternError {
    /// Byte offset in the pattern.
    pub at: usize,
    /// What is wrong and what to write instead.
    pub message: String,
}

impl Kind {
    /// Whether `text` (not empty) is of this type.
    pub fn accepts(self, text: &str) -> bool {
        match self {
            Self::Text => true,
            Self::Int => is_int(text),
            Self::Uuid => is_uuid(text),
        }
    }
}

impl Pattern {
    /// Reads a path pattern (no method, no host).
    pub fn parse(text: &str) -> Result<Self, PatternError> {
        let Some(rest) = text.strip_prefix('/') else {
            return Err(fault(0, format!("a path begins with `/`; write `/{text}`")));
        };
        let mut pattern = Self { segments: Vec::new(), params: Vec::new() };
        let mut at = 1;
        for written in rest.split('/') {
            if pattern.segments.last() == Some(&Segment::Tail) {
                return Err(fault(at - 1, "nothing can follow `{…*}`: it takes the whole rest of the path"));
            }
            let segment = pattern.segment(written, at)?;
            pattern.segments.push(segment);
            at += written.len() + 1;
        }
        if pattern.params.len() > MOST_PARAMS {
            return Err(fault(0, format!("a pattern has at most {MOST_PARAMS} parameters")));
        }
        Ok(pattern)
    }

    /// The names of its parameters, in order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.params.iter().map(|parameter| &*parameter.name)
    }

    fn segment(&mut self, written: &str, at: usize) -> Result<Segment, PatternError> {
        foreign(written, at)?;
        let Some(open) = written.find('{') else {
            if let Some(close) = written.find('}') {
                return Err(fault(at + close, "`}` without `{`"));
            }
            let literal = canonical(written, at)?;
            if matches!(&*literal, "." | "..") {
                return Err(fault(at, format!("`{written}` never matches: dot segments are resolved before routing")));
            }
            return Ok(Segment::Literal(literal));
        };
        let Some(length) = written[open..].find('}') else {
            return Err(fault(at + open, "`{` without `}`"));
        };
        let close = open + length;
        let (prefix, inner, suffix) = (&written[..open], &written[open + 1..close], &written[close + 1..]);
        if let Some(stray) = prefix.find('}') {
            return Err(fault(at + stray, "`}` without `{`"));
        }
        if let Some(second) = suffix.find(['{', '}']) {
            let why = "one parameter a segment; write a second segment, or take the text apart in a function";
            return Err(fault(at + close + 1 + second, why));
        }
        self.parameter(prefix, inner, suffix, at)
    }

    fn parameter(&mut self, prefix: &str, inner: &str, suffix: &str, at: usize) -> Result<Segment, PatternError> {
        let open = at + prefix.len();
        let around = !prefix.is_empty() || !suffix.is_empty();
        if let Some(name) = inner.strip_suffix('*') {
            self.push(name, Kind::Text, open)?;
            if around {
                return Err(fault(
                    open,
                    format!("`{{{inner}}}` takes the rest of the path; no text can stand beside it"),
                ));
            }
            return Ok(Segment::Tail);
        }
        let (name, kind) = match inner.split_once(':') {
            None => (inner, Kind::Text),
            Some((name, "int")) => (name, Kind::Int),
            Some((name, "uuid")) => (name, Kind::Uuid),
            Some((name, other)) => return Err(fault(open + 2 + name.len(), unknown_type(name, other))),
        };
        self.push(name, kind, open)?;
        if !around {
            return Ok(Segment::Param(kind));
        }
        let prefix = canonical(prefix, at)?;
        let suffix = canonical(suffix, open + inner.len() + 2)?;
        Ok(Segment::Affix { prefix, kind, suffix })
    }

    fn push(&mut self, name: &str, kind: Kind, open: usize) -> Result<(), PatternError> {
        if name.is_empty() {
            return Err(fault(open, "a parameter needs a name: `{id}`, `{rest*}`"));
        }
        if let Some(bare) =
            name.strip_prefix('*').or_else(|| name.strip_suffix("...")).or_else(|| name.strip_suffix('+'))
        {
            let bare = bare.trim_matches('*');
            return Err(fault(open, format!("write {{{bare}*}} instead of {{{name}}}")));
        }
        if let Some(bare) = name.strip_suffix('?') {
            let why =
                format!("a parameter cannot be optional; write two routes, or {{{bare}*}} for the rest of the path");
            return Err(fault(open, why));
        }
        let good = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
            && !name.starts_with(|first: char| first.is_ascii_digit());
        if !good {
            let why = format!("`{name}` is no name for a parameter: letters, digits and `_`, no digit first");
            return Err(fault(open, why));
        }
        if self.params.iter().any(|known| *known.name == *name) {
            return Err(fault(open, format!("parameter `{name}` stands twice")));
        }
        self.params.push(Parameter { name: name.into(), kind });
        Ok(())
    }
}

fn fault(at: usize, message: impl Into<String>) -> PatternError {
    PatternError { at, message: message.into() }
}

fn unknown_type(name: &str, written: &str) -> String {
    if written.bytes().any(|byte| b"[]()\\+^$.".contains(&byte)) {
        return "a pattern has no regular expressions; write {id:int} or {id:uuid}, or decide in `when`".to_owned();
    }
    let near = did_you_mean(written, ["int", "uuid"]);
    let near = match written {
        "number" | "integer" | "num" | "digits" => format!("; write {{{name}:int}}"),
        "string" | "str" | "text" | "path" | "any" => format!("; write {{{name}}}"),
        _ => near,
    };
    format!("no type `{written}`; there are int and uuid{near}")
}

/// Spellings of other routers, answered with ours.
fn foreign(written: &str, at: usize) -> Result<(), PatternError> {
    let is_name =
        |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    if let Some(name) = written.strip_prefix(':').filter(|name| is_name(name)) {
        return Err(fault(at, format!("write {{{name}}} instead of :{name}")));
    }
    if let Some(name) = written.strip_prefix('<').and_then(|rest| rest.strip_suffix('>')) {
        let name = name.rsplit(':').next().unwrap_or(name);
        return Err(fault(at, format!("write {{{name}}} instead of {written}")));
    }
    if let Some(name) = written.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
        let ours = name.strip_prefix("...").map_or_else(|| format!("{{{name}}}"), |name| format!("{{{name}*}}"));
        return Err(fault(at, format!("write {ours} instead of {written}")));
    }
    if let Some(star) = written.strip_prefix('*') {
        let name = star.trim_start_matches('*');
        let name = if is_name(name) { name } else { "rest" };
        return Err(fault(at, format!("write {{{name}*}} instead of {written}")));
    }
    let in_braces = |place: usize| written[..place].rfind('{') > written[..place].rfind('}');
    if let Some(place) = written.find(['?', '#']).filter(|place| !in_braces(*place)) {
        let why = "a pattern is a path only; for the query write `match = { query = { … } }`";
        return Err(fault(at + place, why));
    }
    if let Some(place) = written.find('\\') {
        return Err(fault(at + place, "a path has no backslash"));
    }
    Ok(())
}

/// Text as the canonical path spells it: unreserved escapes decoded, the others in upper case, non-ASCII encoded.
fn canonical(written: &str, at: usize) -> Result<String, PatternError> {
    let mut out = String::with_capacity(written.len());
    let mut bytes = written.bytes().enumerate();
    while let Some((place, byte)) = bytes.next() {
        let byte = if byte == b'%' {
            let code = written.get(place + 1..place + 3).and_then(|digits| {
                let hex = digits.bytes().all(|digit| digit.is_ascii_hexdigit());
                hex.then(|| u8::from_str_radix(digits, 16).ok()).flatten()
            });
            let Some(code) = code else {
                return Err(fault(
                    at + place,
                    "`%` begins an escape of two hexadecimal digits; write %25 for a percent sign",
                ));
            };
            bytes.nth(1);
            if !(code.is_ascii_alphanumeric() || b"-._~".contains(&code)) {
                push_escape(&mut out, code);
                continue;
            }
            code
        } else {
            byte
        };
        if byte.is_ascii_graphic() { out.push(char::from(byte)) } else { push_escape(&mut out, byte) }
    }
    Ok(out)
}

fn push_escape(out: &mut String, byte: u8) {
    const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
    out.push('%');
    out.push(char::from(DIGITS[usize::from(byte >> 4)]));
    out.push(char::from(DIGITS[usize::from(byte & 15)]));
}

fn is_int(text: &str) -> bool {
    let digits = text.strip_prefix('-').unwrap_or(text);
    !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit()) && text.parse::<i64>().is_ok()
}

fn is_uuid(text: &str) -> bool {
    text.len() == 36
        && text.bytes().enumerate().all(|(place, byte)| match place {
            8 | 13 | 18 | 23 => byte == b'-',
            _ => byte.is_ascii_hexdigit(),
        })
}
