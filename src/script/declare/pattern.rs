//! The text of a route or group: methods, host, path.

use crate::script::words;

/// What a route's text says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Text {
    /// Methods; empty for any.
    pub(crate) methods: Vec<String>,
    /// Host, if there is one.
    pub(crate) host: Option<String>,
    /// Path, `/` first; empty for a group without prefix.
    pub(crate) path: String,
}

/// What is wrong with it, and what to write.
pub(crate) struct Fault {
    /// What is wrong.
    pub(crate) message: String,
    /// What to write.
    pub(crate) label: String,
}

fn fault(message: impl Into<String>, label: impl Into<String>) -> Fault {
    Fault { message: message.into(), label: label.into() }
}

const METHODS: &[&str] = &["GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "QUERY"];

/// `[METHOD|METHOD …] [host]/path`
pub(crate) fn route(text: &str) -> Result<Text, Fault> {
    let words: Vec<&str> = text.split_whitespace().collect();
    let owner = format!("route `{text}`");
    let (methods, rest) = match words.as_slice() {
        [] => return Err(fault("a route needs a text", "write route \"GET /path\" { … }")),
        [rest] if rest.contains('/') => ("", *rest),
        [word] if METHODS.contains(&word.to_ascii_uppercase().as_str()) => {
            return Err(fault(format!("{owner} has no path"), format!("write \"{word} /path\"")));
        }
        [word] => return Err(fault(format!("{owner} has no path"), format!("a path begins with `/`: \"/{word}\""))),
        [methods, rest] if rest.contains('/') => (*methods, *rest),
        [_, rest] => {
            return Err(fault(format!("the path of {owner} does not begin with `/`"), format!("write \"/{rest}\"")));
        }
        [methods @ .., path] => {
            let joined = methods.iter().map(|word| word.trim_matches(',')).collect::<Vec<_>>().join("|");
            return Err(fault(format!("{owner} has too many words"), format!("write \"{joined} {path}\"")));
        }
    };
    let methods = self::methods(methods, &owner)?;
    let (host, path) = split(rest);
    Ok(Text { methods, host, path })
}

/// `[host][/prefix]`
pub(crate) fn group(text: &str) -> Result<Text, Fault> {
    let text = text.trim();
    let mut words = text.split_whitespace();
    if let (Some(first), Some(rest)) = (words.next(), words.next()) {
        let said = format!("group `{text}` has a method");
        let label = if METHODS.contains(&first) {
            format!("methods go to the routes inside: group \"{rest}\"")
        } else {
            "one word: host and prefix".to_owned()
        };
        return Err(fault(said, label));
    }
    let (host, path) = split(text);
    let path = path.strip_suffix('/').unwrap_or(&path).to_owned();
    if path.contains('*') && path.ends_with("*}") {
        return Err(fault(format!("group `{text}` ends in a tail"), "the tail `{…*}` goes to the routes inside"));
    }
    Ok(Text { methods: Vec::new(), host, path })
}

fn split(text: &str) -> (Option<String>, String) {
    match text.find('/') {
        Some(0) => (None, text.to_owned()),
        Some(at) if text[..at].ends_with(':') && text[at..].starts_with("//") => {
            // `http://host/path`: the host parser says what to leave out.
            let end = text[at + 2..].find('/').map_or(text.len(), |slash| at + 2 + slash);
            (Some(text[..end].to_owned()), text[end..].to_owned())
        }
        Some(at) => (Some(text[..at].to_owned()), text[at..].to_owned()),
        None if text.is_empty() => (None, String::new()),
        None => (Some(text.to_owned()), String::new()),
    }
}

fn methods(text: &str, owner: &str) -> Result<Vec<String>, Fault> {
    let mut methods: Vec<String> = Vec::new();
    if text.is_empty() {
        return Ok(methods);
    }
    if text.contains(',') {
        return Err(fault(
            format!("the methods of {owner} are separated by commas"),
            format!("write \"{}\"", text.replace(',', "|")),
        ));
    }
    for method in text.split('|') {
        let upper = method.to_ascii_uppercase();
        if method.is_empty() {
            return Err(fault(format!("{owner} has an empty method"), "write \"GET|POST /path\""));
        }
        if matches!(upper.as_str(), "ANY" | "ALL" | "*") {
            return Err(fault(
                format!("`{method}` in {owner} is no method"),
                "leave it out: a route without method takes every one",
            ));
        }
        if matches!(upper.as_str(), "CONNECT" | "TRACE") {
            return Err(fault(
                format!("`{method}` in {owner} is never served"),
                "CONNECT and TRACE are refused before routing",
            ));
        }
        if !METHODS.contains(&method) {
            if let Some(near) = words::nearest(&upper, METHODS.iter().copied())
                .or_else(|| METHODS.iter().copied().find(|known| *known == upper))
            {
                return Err(fault(format!("unknown method `{method}` in {owner}"), format!("did you mean `{near}`?")));
            }
            if !method.bytes().all(|byte| byte.is_ascii_uppercase() || byte == b'-' || byte == b'_') {
                return Err(fault(format!("unknown method `{method}` in {owner}"), "methods are upper-case letters"));
            }
        }
        if !methods.contains(&upper) {
            methods.push(upper);
        }
    }
    Ok(methods)
}

/// Outer prefix and inner path. The root of a group is its prefix.
pub(crate) fn join(prefix: &str, path: &str) -> String {
    match (prefix, path) {
        ("", "") => "/".to_owned(),
        ("", path) => path.to_owned(),
        (prefix, "" | "/") => prefix.to_owned(),
        (prefix, path) => format!("{prefix}{path}"),
    }
}

/// A route as listings show it: `GET|POST example.com/path`.
pub(super) fn named(methods: &[String], host: Option<&str>, path: &str) -> String {
    let methods = methods.join("|");
    [methods.as_str(), if methods.is_empty() { "" } else { " " }, host.unwrap_or_default(), path].concat()
}
