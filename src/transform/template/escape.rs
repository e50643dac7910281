//! How a value is written so that it cannot be more than a value.

use percent_encoding::AsciiSet;
use percent_encoding::NON_ALPHANUMERIC;
use percent_encoding::utf8_percent_encode;

use super::Escape;
use super::Value;

/// Where exactly a value stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Spot {
    /// In the host of a URL: letters, digits, `-`, `.`, `_` only.
    Host,
    /// `{host}` there: a port and an IPv6 address too.
    Authority,
    /// `{path}` in a path or after a host: it is a path in canonical form already.
    Path,
    /// One path segment.
    Segment,
    /// `{rest*}`: segments.
    Segments,
    /// A component of a query.
    Component,
    /// A field value.
    Field,
    /// Inside a JSON string.
    JsonString,
    /// Where a JSON value is expected; `true`: objects and arrays may stand there.
    JsonValue(bool),
    /// Character data or an attribute of XML or HTML.
    Xml,
    /// Anything.
    Plain,
}

/// Follows the text to know what a name stands in.
pub(super) struct Tracker {
    escape: Escape,
    /// The text so far, a mark for each value.
    seen: String,
}

impl Tracker {
    pub(super) fn new(escape: Escape) -> Self {
        Self { escape, seen: String::new() }
    }

    pub(super) fn text(&mut self, text: &str) {
        self.seen.push_str(text);
    }

    /// A value was written.
    pub(super) fn value(&mut self, spot: Spot) {
        self.seen.push_str(if spot == Spot::Path { "/x" } else { "x" });
    }

    /// What a value stands in that comes now; `whole` for `{rest*}`.
    pub(super) fn spot(&self, whole: bool, parts: &[String]) -> Spot {
        match self.escape {
            Escape::Url => match (url_spot(&self.seen), parts) {
                (Spot::Host | Spot::Segment, [root]) if root == "path" => Spot::Path,
                (Spot::Host, [root]) if root == "host" => Spot::Authority,
                (Spot::Segment, _) if whole => Spot::Segments,
                (other, _) => other,
            },
            Escape::Header => Spot::Field,
            Escape::Json if ends_in_string(&self.seen) => Spot::JsonString,
            Escape::Json => Spot::JsonValue(is_structure(parts)),
            Escape::Xml => Spot::Xml,
            Escape::Plain => Spot::Plain,
        }
    }
}

fn url_spot(seen: &str) -> Spot {
    if seen.contains(['?', '#']) {
        return Spot::Component;
    }
    let scheme = seen.find("://").filter(|end| !seen[..*end].contains('/')).map(|end| end + 3);
    let authority = if seen.starts_with("//") { Some(2) } else { scheme };
    match authority {
        Some(start) if !seen[start..].contains('/') => Spot::Host,
        _ => Spot::Segment,
    }
}

/// Whether JSON text ends inside a string.
fn ends_in_string(seen: &str) -> bool {
    let (mut quoted, mut escaped) = (false, false);
    for byte in seen.bytes() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if quoted => escaped = true,
            b'"' => quoted = !quoted,
            _ => {}
        }
    }
    quoted
}

/// Names whose values may be objects; the others are texts that a client wrote.
fn is_structure(parts: &[String]) -> bool {
    match parts[0].as_str() {
        "json" => true,
        "response" => parts[1] == "json",
        "user" => parts.len() == 1,
        _ => false,
    }
}

/// Writes `found` for its spot; `false` when it may not stand there.
pub(super) fn push(out: &mut String, found: &str, value: &Value) -> bool {
    match value.spot {
        Spot::Plain => out.push_str(found),
        Spot::Host => return push_if(out, found, |byte| byte.is_ascii_alphanumeric() || b"-._".contains(&byte)),
        Spot::Authority => {
            return push_if(out, found, |byte| byte.is_ascii_alphanumeric() || b"-._:[]".contains(&byte));
        }
        Spot::Path if found.starts_with('/') => out.extend(utf8_percent_encode(found, ENCODED)),
        Spot::Path => return found.is_empty(),
        Spot::Field => return push_if(out, found, |byte| byte == b'\t' || (byte >= b' ' && byte != 0x7f)),
        // Before the first slash a colon would make a scheme of what stands before it.
        Spot::Segment if !out.contains('/') => out.extend(utf8_percent_encode(found, FIRST_SEGMENT)),
        Spot::Segments if !out.contains('/') => out.extend(utf8_percent_encode(found, FIRST_SEGMENTS)),
        Spot::Segment => out.extend(utf8_percent_encode(found, SEGMENT)),
        Spot::Segments => out.extend(utf8_percent_encode(found, SEGMENTS)),
        Spot::Component => out.extend(utf8_percent_encode(found, COMPONENT)),
        Spot::JsonString => json_string(out, found),
        Spot::JsonValue(structures) => json_value(out, found, structures),
        Spot::Xml => return xml(out, found),
    }
    true
}

fn push_if(out: &mut String, found: &str, allowed: impl Fn(u8) -> bool) -> bool {
    let fine = found.bytes().all(allowed);
    if fine {
        out.push_str(found);
    }
    fine
}

/// What RFC 3986 leaves unreserved stays; so do the sub-delimiters, `:` and `@`, which a segment may hold.
const SEGMENT: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~')
    .remove(b'!')
    .remove(b'$')
    .remove(b'&')
    .remove(b'\'')
    .remove(b'(')
    .remove(b')')
    .remove(b'*')
    .remove(b'+')
    .remove(b',')
    .remove(b'=')
    .remove(b':')
    .remove(b'@');
const SEGMENTS: &AsciiSet = &SEGMENT.remove(b'/');
const FIRST_SEGMENT: &AsciiSet = &SEGMENT.add(b':');
const FIRST_SEGMENTS: &AsciiSet = &SEGMENTS.add(b':');
/// Escapes that are there stay; a backslash or anything else that is no path is escaped.
const ENCODED: &AsciiSet = &SEGMENTS.remove(b'%').remove(b';');
const COMPONENT: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

fn json_string(out: &mut String, found: &str) {
    let quoted = serde_json::Value::from(found).to_string();
    out.push_str(&quoted[1..quoted.len() - 1]);
}

/// A number, `true`, `false` or `null` as it is, so too an object or array where one may stand; else a string.
fn json_value(out: &mut String, found: &str, structures: bool) {
    if found.is_empty() {
        out.push_str("null");
        return;
    }
    match serde_json::from_str::<serde_json::Value>(found) {
        Ok(value) if !value.is_string() && (structures || !(value.is_object() || value.is_array())) => {
            out.push_str(&value.to_string());
        }
        _ => out.push_str(&serde_json::Value::from(found).to_string()),
    }
}

fn xml(out: &mut String, found: &str) -> bool {
    for char in found.chars() {
        match char {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            '\t' | '\n' | '\r' => out.push(char),
            '\0'..=' ' if char != ' ' => return false,
            '\u{fffe}' | '\u{ffff}' => return false,
            other => out.push(other),
        }
    }
    true
}

/// How many segments of the path are `.` or `..`, also when escaped.
pub(super) fn dot_segments(text: &str) -> usize {
    let path = &text[..text.find(['?', '#']).unwrap_or(text.len())];
    path.split('/').filter(|segment| is_dot(segment)).count()
}

fn is_dot(segment: &str) -> bool {
    match segment.len() {
        0 => false,
        1..=2 => segment.bytes().all(|byte| byte == b'.'),
        3..=6 => matches!(&*segment.to_ascii_lowercase(), "%2e" | ".%2e" | "%2e." | "%2e%2e"),
        _ => false,
    }
}
