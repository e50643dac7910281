//! From text to pieces, keeping track of what surrounds each name.

use super::Escape;
use super::Piece;
use super::TemplateError;
use super::Value;
use super::escape::Tracker;
use super::filter::Filter;
use super::names;

pub(super) fn pieces(text: &str, escape: Escape, params: &[String]) -> Result<Vec<Piece>, TemplateError> {
    let mut parser = Parser { pieces: Vec::new(), literal: String::new(), tracker: Tracker::new(escape) };
    let mut at = 0;
    while let Some(found) = text[at..].find(['{', '}']) {
        let brace = at + found;
        parser.text(&text[at..brace]);
        at = if text[brace..].starts_with("{{") || text[brace..].starts_with("}}") {
            parser.text(&text[brace..=brace]);
            brace + 2
        } else if text[brace..].starts_with('}') {
            return Err(fault(brace, "`}` without `{`; write `}}` for a brace"));
        } else {
            parser.value(text, brace, params)?
        };
    }
    parser.text(&text[at..]);
    parser.flush();
    Ok(parser.pieces)
}

struct Parser {
    pieces: Vec<Piece>,
    literal: String,
    tracker: Tracker,
}

impl Parser {
    fn text(&mut self, text: &str) {
        self.tracker.text(text);
        self.literal.push_str(text);
    }

    fn flush(&mut self) {
        if !self.literal.is_empty() {
            self.pieces.push(Piece::Text(std::mem::take(&mut self.literal)));
        }
    }

    /// The value that opens at `brace`; where the text goes on.
    fn value(&mut self, text: &str, brace: usize, params: &[String]) -> Result<usize, TemplateError> {
        let (inner, end) = inner(text, brace)?;
        let start = brace + 1;
        let name_end = inner.find('|').unwrap_or(inner.len());
        let written = inner[..name_end].trim();
        let (name, whole) = match written.strip_suffix('*') {
            Some(name) => (name, true),
            None => (written, false),
        };
        if name.is_empty() || name.starts_with(['"', '\'']) || name.contains([' ', ':', '\n']) {
            return Err(fault(brace, format!("`{{{inner}}}` is no name; write `{{{{` for a brace")));
        }
        let parts = names::resolve(name, params).map_err(|message| fault(start, message))?;
        let filters = filters(inner, name_end, start)?;
        self.flush();
        let spot = self.tracker.spot(whole, &parts);
        self.pieces.push(Piece::Value(Value { written: written.to_owned(), parts, filters, spot }));
        self.tracker.value(spot);
        Ok(end)
    }
}

/// What stands between the braces, and where the text goes on. A `}` inside a quoted default does not close.
fn inner(text: &str, brace: usize) -> Result<(&str, usize), TemplateError> {
    let mut quoted = false;
    let mut escaped = false;
    for (place, byte) in text.bytes().enumerate().skip(brace + 1) {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if quoted => escaped = true,
            b'"' => quoted = !quoted,
            b'}' if !quoted => return Ok((&text[brace + 1..place], place + 1)),
            b'{' if !quoted => break,
            _ => {}
        }
    }
    Err(fault(brace, "`{` without `}`; write `{{` for a brace"))
}

/// The filters after the name: `inner[from..]` is empty or begins with `|`.
fn filters(inner: &str, from: usize, start: usize) -> Result<Vec<Filter>, TemplateError> {
    let mut filters = Vec::new();
    let mut at = from;
    while at < inner.len() {
        let begin = at + 1;
        let rest = &inner[begin..];
        let blank = rest.len() - rest.trim_start().len();
        if rest.trim_start().starts_with('"') {
            let (text, length) = quoted(&rest[blank..]).map_err(|message| fault(start + begin + blank, message))?;
            filters.push(Filter::Default(text));
            at = begin + blank + length;
            let gap = &inner[at..];
            at += gap.len() - gap.trim_start().len();
            if at < inner.len() && !inner[at..].starts_with('|') {
                return Err(fault(start + at, "after a default comes `|` or `}`"));
            }
        } else {
            let end = rest.find('|').map_or(inner.len(), |length| begin + length);
            let filter =
                Filter::named(inner[begin..end].trim()).map_err(|message| fault(start + begin + blank, message))?;
            filters.push(filter);
            at = end;
        }
    }
    Ok(filters)
}

/// A text in double quotes, with `\"` and `\\`; and how long it is as written.
fn quoted(text: &str) -> Result<(String, usize), String> {
    let mut out = String::new();
    let mut chars = text.char_indices().skip(1);
    while let Some((place, char)) = chars.next() {
        match char {
            '"' => return Ok((out, place + 1)),
            '\\' => out.extend(chars.next().map(|(_, escaped)| escaped)),
            other => out.push(other),
        }
    }
    Err("a default without its closing quote".to_owned())
}

fn fault(at: usize, message: impl Into<String>) -> TemplateError {
    TemplateError { at, message: message.into() }
}
