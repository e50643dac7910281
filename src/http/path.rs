//! The one canonical path: what is matched is what is forwarded (STANDARDS S-10, U-67 to U-69).

use std::borrow::Cow;

use serde::Deserialize;
use serde::Serialize;

/// What to do with `%2F`, `%5C`, `\`, `;` and encoded NUL in a path.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Ambiguous {
    /// Answer 400.
    #[default]
    Reject,
    /// Match and forward them as they are.
    Keep,
    /// Decode them before matching and forwarding; a backslash then counts as a slash, and NUL is still refused.
    Decode,
}

/// The canonical form of a path as received (without query): unreserved escapes decoded, the other escapes in upper
/// case, dot segments removed (RFC 3986 §6.2.2); `//` stays. Borrowed when it was canonical already.
///
/// `raw` starts with `/` and holds graphic ASCII only, as the head parser makes sure; `*` is left alone.
/// Applied twice it gives the same as once.
pub fn canonical(raw: &str, ambiguous: Ambiguous) -> Result<Cow<'_, str>, &'static str> {
    if is_plain(raw.as_bytes()) {
        return Ok(Cow::Borrowed(raw));
    }
    let decoded = unescape(raw.as_bytes(), ambiguous)?;
    let path = if has_dots(&decoded) { remove_dots(&decoded) } else { decoded };
    String::from_utf8(path).map(Cow::Owned).map_err(|_| "a byte in the path that must be escaped")
}

/// The canonical form of `raw`, and `raw` itself where it is another.
pub(crate) fn received(raw: String, ambiguous: Ambiguous) -> Result<(String, Option<String>), &'static str> {
    let other = match canonical(&raw, ambiguous)? {
        Cow::Borrowed(_) => None,
        Cow::Owned(path) => Some(path),
    };
    Ok(match other {
        Some(path) => (path, Some(raw)),
        None => (raw, None),
    })
}

/// Nothing in it needs a second look: no escape, no ambiguous character, no segment that starts with a dot.
fn is_plain(raw: &[u8]) -> bool {
    let mut before = 0;
    for &byte in raw {
        if matches!(byte, b'%' | b'\\' | b';') || (byte == b'.' && before == b'/') {
            return false;
        }
        before = byte;
    }
    true
}

fn unescape(raw: &[u8], ambiguous: Ambiguous) -> Result<Vec<u8>, &'static str> {
    let mut path = Vec::with_capacity(raw.len());
    let mut at = 0;
    while let Some(&byte) = raw.get(at) {
        at += 1;
        let (byte, escaped) = match (byte, raw.get(at..at + 2)) {
            (b'%', Some(digits)) => {
                at += 2;
                (hex(digits).ok_or("a `%` in the path that is no escape")?, true)
            }
            (b'%', None) => return Err("a `%` in the path that is no escape"),
            (byte, _) => (byte, false),
        };
        match (byte, ambiguous) {
            (b'/', Ambiguous::Reject) if escaped => return Err("an escaped slash in the path"),
            (b'\\', Ambiguous::Reject) => return Err("a backslash in the path"),
            (b';', Ambiguous::Reject) if !escaped => return Err("a `;` in the path"),
            (0, Ambiguous::Reject | Ambiguous::Decode) => return Err("an escaped NUL in the path"),
            (b'/' | b'\\', Ambiguous::Decode) => path.push(b'/'),
            (byte, _) if !escaped || is_unreserved(byte) => path.push(byte),
            (byte, _) => path.extend([b'%', UPPER[usize::from(byte >> 4)], UPPER[usize::from(byte & 15)]]),
        }
    }
    Ok(path)
}

const UPPER: &[u8; 16] = b"0123456789ABCDEF";

fn hex(digits: &[u8]) -> Option<u8> {
    let digit = |byte: u8| char::from(byte).to_digit(16);
    let value = digit(*digits.first()?)? * 16 + digit(*digits.get(1)?)?;
    u8::try_from(value).ok()
}

fn is_unreserved(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~')
}

fn has_dots(path: &[u8]) -> bool {
    path.split(|&byte| byte == b'/').any(|segment| segment == b"." || segment == b"..")
}

/// RFC 3986 §5.2.4; more `..` than segments end at the root.
fn remove_dots(path: &[u8]) -> Vec<u8> {
    let mut out: Vec<u8> = Vec::with_capacity(path.len());
    let mut segments = path.split(|&byte| byte == b'/').skip(1).peekable();
    while let Some(segment) = segments.next() {
        let is_last = segments.peek().is_none();
        match segment {
            b"." | b".." => {
                if segment == b".." {
                    out.truncate(out.iter().rposition(|&byte| byte == b'/').unwrap_or(0));
                }
                if is_last {
                    out.push(b'/');
                }
            }
            segment => {
                out.push(b'/');
                out.extend_from_slice(segment);
            }
        }
    }
    out
}

#[cfg(test)]
mod tests;
