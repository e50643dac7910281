//! Templates: text with `{names}`, each value escaped for where it stands.

mod escape;
mod filter;
mod names;
mod parse;

pub use names::ROOTS;

use std::borrow::Cow;

use escape::Spot;
use filter::Filter;

/// Where a template's text ends up, which decides how values are escaped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Escape {
    /// A URL or path: one segment in a path (`{rest*}` keeps `/`), one component in a query; dot segments are refused.
    Url,
    /// A field value: CR, LF and NUL are refused.
    Header,
    /// A JSON text: a value inside quotes becomes part of the string, one outside becomes a JSON value.
    Json,
    /// Inside XML or HTML.
    Xml,
    /// Plain text: keys, logs.
    Plain,
}

/// A parsed template.
#[derive(Clone, Debug)]
pub struct Template {
    source: String,
    escape: Escape,
    pieces: Vec<Piece>,
    /// Dot segments that the text itself has; one more after rendering came from a value.
    dots: usize,
}

/// Text, or a name to fill in.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Piece {
    Text(String),
    Value(Value),
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Value {
    /// The name as written, for messages.
    written: String,
    /// `["header", "x-shop"]`; a path parameter is `["params", "id"]`.
    parts: Vec<String>,
    filters: Vec<Filter>,
    spot: Spot,
}

/// A value that must not stand where the template puts it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the value of `{{{name}}}` may not stand there")]
pub struct Unsafe {
    /// The name as written.
    pub name: String,
}

/// A template that cannot be understood.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct TemplateError {
    /// Byte offset in the text.
    pub at: usize,
    /// What is wrong, with a suggestion where there is one.
    pub message: String,
}

impl Template {
    /// Parses `text`; `params` are the path parameters in scope. An unknown name is an error.
    pub fn parse(text: &str, escape: Escape, params: &[String]) -> Result<Self, TemplateError> {
        let pieces = parse::pieces(text, escape, params)?;
        let dots = if escape == Escape::Url { escape::dot_segments(&skeleton(&pieces)) } else { 0 };
        Ok(Self { source: text.to_owned(), escape, pieces, dots })
    }

    /// The text, when it has no names (`{{` and `}}` resolved).
    pub fn literal(&self) -> Option<&str> {
        match &self.pieces[..] {
            [] => Some(""),
            [Piece::Text(text)] => Some(text),
            _ => None,
        }
    }

    /// The text as written.
    pub fn source(&self) -> &str {
        &self.source
    }

    /// Whether any name starts with `root` (`json`, `user`, `response` …).
    pub fn mentions(&self, root: &str) -> bool {
        self.names().any(|parts| parts[0] == root)
    }

    /// The names, as parts: `["header", "x-shop"]`; a path parameter is `["params", "id"]`.
    pub fn names(&self) -> impl Iterator<Item = &[String]> {
        self.pieces.iter().filter_map(|piece| match piece {
            Piece::Text(_) => None,
            Piece::Value(value) => Some(&value.parts[..]),
        })
    }

    /// Whether a value stands in the host of a URL (`https://{tenant}.internal/…`).
    pub fn fills_host(&self) -> bool {
        self.pieces
            .iter()
            .any(|piece| matches!(piece, Piece::Value(value) if matches!(value.spot, Spot::Host | Spot::Authority)))
    }

    /// Whether the text before the first name has the whole origin of a URL, or the whole name of an upstream, and begins a
    /// path: no value can change where that leads.
    pub fn fixes_origin(&self) -> bool {
        let lead = self.source.split('{').next().unwrap_or_default();
        match lead.split_once("://") {
            Some((_, rest)) => rest.contains('/'),
            None => !lead.contains(':') && lead.contains('/'),
        }
    }

    /// Fills the names; `lookup` gets a name's parts (`["header", "x-shop"]`, `["params", "id"]` for a path
    /// parameter), an absent value is empty.
    pub fn render<'a>(&self, lookup: &mut dyn FnMut(&[String]) -> Option<Cow<'a, str>>) -> Result<String, Unsafe> {
        let mut out = String::with_capacity(self.source.len() + 32);
        let mut suspect = None;
        for piece in &self.pieces {
            match piece {
                Piece::Text(text) => out.push_str(text),
                Piece::Value(value) => {
                    let found = filter::apply(&value.filters, lookup(&value.parts).unwrap_or_default());
                    if found.contains('.') || suspect.is_none() {
                        suspect = Some(value);
                    }
                    if !escape::push(&mut out, &found, value) {
                        return Err(value.refused());
                    }
                }
            }
        }
        match suspect {
            Some(value) if self.escape == Escape::Url && self.is_astray(&out) => Err(value.refused()),
            _ => Ok(out),
        }
    }

    /// Whether values made a path leave its folder, or the whole text point to another host.
    fn is_astray(&self, out: &str) -> bool {
        let elsewhere = |text: &str| text.starts_with("//");
        escape::dot_segments(out) != self.dots || elsewhere(out) && !elsewhere(&self.source)
    }
}

impl Value {
    fn refused(&self) -> Unsafe {
        Unsafe { name: self.written.clone() }
    }
}

/// The text with a mark for each value: what it says by itself.
fn skeleton(pieces: &[Piece]) -> String {
    let text = |piece: &Piece| match piece {
        Piece::Text(text) => text.clone(),
        Piece::Value(_) => "x".to_owned(),
    };
    pieces.iter().map(text).collect()
}

#[cfg(test)]
mod tests;
