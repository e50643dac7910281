//! `multipart/form-data` (RFC 7578) in memory: strict, so that nothing is read in two ways.

use std::borrow::Cow;

use memchr::memmem;

/// One part.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part<'a> {
    /// Of the form's field.
    pub name: String,
    /// Of a file, as the client says.
    pub filename: Option<String>,
    /// Its `Content-Type`.
    pub media: Option<String>,
    /// Every field of its head, names in lower case.
    pub headers: Vec<(String, String)>,
    /// What it holds.
    pub body: &'a [u8],
}

/// The boundary that a `Content-Type` field of multipart/form-data names.
pub fn boundary(field: &str) -> Option<String> {
    let (media, rest) = field.split_once(';')?;
    if !media.trim().eq_ignore_ascii_case("multipart/form-data") {
        return None;
    }
    let boundary = parameter(rest, "boundary")?;
    let fit = (1..=70).contains(&boundary.len()) && boundary.bytes().all(|byte| (b' '..0x7f).contains(&byte));
    fit.then(|| boundary.into_owned())
}

/// Every part, `most` of them, or what is wrong.
pub fn parse<'a>(bytes: &'a [u8], boundary: &str, most: usize) -> Result<Vec<Part<'a>>, &'static str> {
    const BROKEN: &str = "the multipart body is broken off";
    let opening = format!("--{boundary}");
    let between = format!("\r\n--{boundary}");
    let start = memmem::find(bytes, opening.as_bytes()).ok_or(BROKEN)?;
    if start != 0 && !bytes[..start].ends_with(b"\r\n") {
        return Err(BROKEN);
    }
    let mut rest = &bytes[start + opening.len()..];
    let mut parts = Vec::new();
    loop {
        if rest.starts_with(b"--") {
            return Ok(parts);
        }
        rest = rest.trim_ascii_start_spaces().strip_prefix(b"\r\n").ok_or(BROKEN)?;
        let end = memmem::find(rest, between.as_bytes()).ok_or(BROKEN)?;
        if parts.len() == most {
            return Err("the multipart body has too many parts");
        }
        parts.push(part(&rest[..end])?);
        rest = &rest[end + between.len()..];
    }
}

fn part(bytes: &[u8]) -> Result<Part<'_>, &'static str> {
    const BROKEN: &str = "a part of the multipart body has a broken head";
    let (head, body) = match bytes.strip_prefix(b"\r\n") {
        Some(body) => (&[][..], body),
        None => {
            let end = memmem::find(bytes, b"\r\n\r\n").ok_or(BROKEN)?;
            (&bytes[..end], &bytes[end + 4..])
        }
    };
    let head = std::str::from_utf8(head).map_err(|_| BROKEN)?;
    let mut headers = Vec::new();
    for line in head.split("\r\n").filter(|line| !line.is_empty()) {
        let (name, value) = line.split_once(':').ok_or(BROKEN)?;
        if !crate::http::headers::is_name(name.as_bytes()) || headers.len() == 32 {
            return Err(BROKEN);
        }
        headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
    }
    let field = |name: &str| headers.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str());
    let disposition = field("content-disposition").ok_or(BROKEN)?;
    let rest = disposition.strip_prefix("form-data").ok_or(BROKEN)?;
    let name = parameter(rest, "name").ok_or("a part of the multipart body has no name")?.into_owned();
    let filename = parameter(rest, "filename").map(Cow::into_owned);
    let media = field("content-type").map(str::to_owned);
    Ok(Part { name, filename, media, headers, body })
}

/// The parameter `name` of a field: a token or a quoted string.
fn parameter<'a>(text: &'a str, name: &str) -> Option<Cow<'a, str>> {
    let mut rest = text;
    loop {
        rest = rest.trim_start_matches([';', ' ', '\t']);
        let (key, after) = rest.split_once('=')?;
        let (value, next) = match after.strip_prefix('"') {
            Some(quoted) => quoted_string(quoted)?,
            None => {
                let end = after.find(';').unwrap_or(after.len());
                (Cow::Borrowed(after[..end].trim()), &after[end..])
            }
        };
        if key.trim().eq_ignore_ascii_case(name) {
            return Some(value);
        }
        rest = next;
    }
}

/// What stands before the closing quote, and the rest after it.
fn quoted_string(text: &str) -> Option<(Cow<'_, str>, &str)> {
    let mut value = String::new();
    let mut symbols = text.char_indices();
    while let Some((at, symbol)) = symbols.next() {
        match symbol {
            '"' => return Some((Cow::Owned(value), &text[at + 1..])),
            // Browsers escape only the quote; a backslash before anything else is one (paths of old browsers).
            '\\' if text[at + 1..].starts_with('"') => value.extend(symbols.next().map(|(_, symbol)| symbol)),
            symbol => value.push(symbol),
        }
    }
    None
}

trait TrimSpaces {
    fn trim_ascii_start_spaces(&self) -> &[u8];
}

impl TrimSpaces for [u8] {
    /// Without the spaces and tabs that may follow a boundary.
    fn trim_ascii_start_spaces(&self) -> &[u8] {
        let skip = self.iter().take_while(|byte| matches!(byte, b' ' | b'\t')).count();
        &self[skip..]
    }
}
