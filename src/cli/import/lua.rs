//! Values and names as Lua has them.

use std::fmt::Write as _;

use crate::cli::docs;
use crate::script::words;

/// A text.
pub(super) fn text(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    for symbol in text.chars() {
        match symbol {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            symbol if symbol.is_control() => {
                let _ = write!(out, "\\u{{{:x}}}", u32::from(symbol));
            }
            symbol => out.push(symbol),
        }
    }
    out.push('"');
    out
}

/// A text of the script that is no template: braces stand for themselves.
pub(super) fn plain(text_of: &str) -> String {
    text(&text_of.replace('{', "{{").replace('}', "}}"))
}

/// Several texts; one is written by itself.
pub(super) fn texts<T: AsRef<str>>(list: &[T]) -> String {
    match list {
        [one] => text(one.as_ref()),
        several => self::list(several),
    }
}

/// Several texts, or one, as a table.
pub(super) fn list<T: AsRef<str>>(list: &[T]) -> String {
    table(list.iter().map(|one| text(one.as_ref())))
}

/// A table with these entries.
pub(super) fn table(entries: impl IntoIterator<Item = String>) -> String {
    let entries: Vec<_> = entries.into_iter().collect();
    if entries.is_empty() { "{}".to_owned() } else { format!("{{ {} }}", entries.join(", ")) }
}

/// `name = value` of a table.
pub(super) fn entry(name: &str, value: impl std::fmt::Display) -> String {
    if is_name(name) { format!("{name} = {value}") } else { format!("[{}] = {value}", text(name)) }
}

/// A name for a local, out of whatever somebody has named something; no word of the vocabulary.
pub(super) fn name(of: &str) -> String {
    let mut name = slug(of).replace('-', "_");
    if name.is_empty() || name.starts_with(|first: char| first.is_ascii_digit()) {
        name.insert(0, '_');
    }
    let taken = KEYWORDS.contains(&name.as_str())
        || words::find(&name).is_some()
        || docs::policies().iter().any(|policy| policy.name == name);
    if taken { name + "_" } else { name }
}

/// Letters, digits and dashes.
pub(super) fn slug(of: &str) -> String {
    let mut slug = String::new();
    for symbol in of.chars() {
        if symbol.is_ascii_alphanumeric() {
            slug.push(symbol.to_ascii_lowercase());
        } else if !slug.is_empty() && !slug.ends_with('-') {
            slug.push('-');
        }
    }
    slug.trim_end_matches('-').to_owned()
}

fn is_name(name: &str) -> bool {
    let mut letters = name.chars();
    letters.next().is_some_and(|first| first.is_ascii_alphabetic() || first == '_')
        && letters.all(|letter| letter.is_ascii_alphanumeric() || letter == '_')
        && !KEYWORDS.contains(&name)
}

/// What Luau keeps for itself.
const KEYWORDS: &[&str] = &[
    "and", "break", "continue", "do", "else", "elseif", "end", "export", "false", "for", "function", "if", "in",
    "local", "nil", "not", "or", "repeat", "return", "then", "true", "type", "until", "while",
];
