//! Edits of a header list, in this order: remove, rename, set, default (where absent), add.

use std::borrow::Cow;

use crate::http::Headers;
use crate::http::headers::Known;
use crate::http::headers::is_name;
use crate::http::headers::is_value;
use crate::transform::template::Template;
use crate::transform::template::Unsafe;

/// What to change.
#[derive(Clone, Debug, Default)]
pub struct Edits {
    /// These fields go; a name that ends in `*` means all that begin so.
    pub remove: Vec<String>,
    /// These fields get another name.
    pub rename: Vec<(String, String)>,
    /// These fields get one value, whatever they had.
    pub set: Vec<(String, Template)>,
    /// These fields get a value where they have none.
    pub default: Vec<(String, Template)>,
    /// These lines are added.
    pub add: Vec<(String, Template)>,
}

/// Edits whose values are known.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rendered {
    /// As in [`Edits`].
    pub remove: Vec<String>,
    /// As in [`Edits`].
    pub rename: Vec<(String, String)>,
    /// As in [`Edits`].
    pub set: Vec<(String, String)>,
    /// As in [`Edits`].
    pub default: Vec<(String, String)>,
    /// As in [`Edits`].
    pub add: Vec<(String, String)>,
}

/// A name that an edit may not have.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// No token.
    #[error("`{0}` is no name for a header field")]
    NotAName(String),
    /// One that belongs to the connection.
    #[error("`{0}` belongs to the connection, not to the message; the gateway writes it itself")]
    Framing(String),
}

impl Edits {
    /// Whether nothing would change.
    pub fn is_empty(&self) -> bool {
        self.remove.is_empty()
            && self.rename.is_empty()
            && self.set.is_empty()
            && self.default.is_empty()
            && self.add.is_empty()
    }

    /// Checks every name.
    pub fn check(&self) -> Result<(), NameError> {
        for name in &self.remove {
            check_name(name.strip_suffix('*').filter(|start| !start.is_empty()).unwrap_or(name))?;
        }
        let valued = [&self.set, &self.default, &self.add].into_iter().flatten().map(|(name, _)| name);
        let renamed = self.rename.iter().flat_map(|(from, to)| [from, to]);
        valued.chain(renamed).try_for_each(|name| check_name(name))
    }

    /// Fills the templates; they see the list as it is before any change.
    pub fn render<'a>(&self, lookup: &mut dyn FnMut(&[String]) -> Option<Cow<'a, str>>) -> Result<Rendered, Unsafe> {
        let mut fill = |list: &[(String, Template)]| {
            list.iter().map(|(name, value)| Ok((name.clone(), value.render(lookup)?))).collect::<Result<Vec<_>, _>>()
        };
        Ok(Rendered {
            remove: self.remove.clone(),
            rename: self.rename.clone(),
            set: fill(&self.set)?,
            default: fill(&self.default)?,
            add: fill(&self.add)?,
        })
    }
}

impl Rendered {
    /// Makes the changes; a value that cannot stand in a field is left out.
    pub fn apply(&self, headers: &mut Headers) {
        for name in &self.remove {
            match name.strip_suffix('*') {
                Some(start) => headers.retain(|_, field, _| {
                    !field.get(..start.len()).is_some_and(|own| own.eq_ignore_ascii_case(start.as_bytes()))
                }),
                None => drop(headers.remove(name)),
            }
        }
        for (from, to) in &self.rename {
            rename(headers, from, to);
        }
        let fine = |(_, value): &&(String, String)| is_value(value.as_bytes());
        for (name, value) in self.set.iter().filter(fine) {
            headers.set(name, value);
        }
        for (name, value) in self.default.iter().filter(fine) {
            if !headers.has(name) {
                headers.set(name, value);
            }
        }
        for (name, value) in self.add.iter().filter(fine) {
            headers.add(name, value);
        }
    }
}

/// Moves every line of `from` to `to`, which loses its own; nothing happens where there is no `from`.
fn rename(headers: &mut Headers, from: &str, to: &str) {
    let values: Vec<Vec<u8>> = headers.all(from).map(<[u8]>::to_vec).collect();
    if values.is_empty() || from.eq_ignore_ascii_case(to) {
        return;
    }
    headers.remove(from);
    headers.remove(to);
    for value in values {
        headers.add(to, value);
    }
}

/// Whether a message may be given a field of this name.
pub fn check_name(name: &str) -> Result<(), NameError> {
    if !is_name(name.as_bytes()) {
        return Err(NameError::NotAName(name.to_owned()));
    }
    let framing = matches!(
        Known::of(name.as_bytes()),
        Known::Connection
            | Known::KeepAlive
            | Known::ProxyConnection
            | Known::Te
            | Known::Trailer
            | Known::TransferEncoding
            | Known::Upgrade
            | Known::ContentLength
            | Known::Host
    );
    if framing { Err(NameError::Framing(name.to_owned())) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::transform::template::Escape;

    fn list(headers: &Headers) -> Vec<String> {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        headers.iter().map(|(_, name, value)| format!("{}: {}", text(name), text(value))).collect()
    }

    fn values(list: &[(&str, &str)]) -> Vec<(String, Template)> {
        let template = |text: &str| Template::parse(text, Escape::Header, &[]).expect(text);
        list.iter().map(|(name, value)| ((*name).to_owned(), template(value))).collect()
    }

    #[test]
    fn edits_run_in_their_order() {
        let mut fields = Headers::of(&[
            ("X-A", "1"),
            ("x-debug-b", "2"),
            ("X-Debug-C", "3"),
            ("old", "4"),
            ("old", "5"),
            ("new", "6"),
        ]);
        let edits = Edits {
            remove: vec!["x-debug-*".into(), "none".into()],
            rename: vec![("OLD".into(), "New".into()), ("none".into(), "x".into())],
            set: values(&[("x-a", "{header.old}!")]),
            default: values(&[("x-a", "no"), ("x-d", "yes")]),
            add: values(&[("x-a", "more")]),
        };
        assert_eq!(edits.check(), Ok(()));
        let before = fields.clone();
        let rendered = edits.render(&mut |parts| before.text(&parts[1]).map(|text| text.to_owned().into()));
        rendered.expect("safe values").apply(&mut fields);
        assert_eq!(list(&fields), ["X-A: 4!", "New: 4", "New: 5", "x-d: yes", "x-a: more"]);
    }

    #[test]
    fn a_value_cannot_begin_another_field() {
        let edits = Edits { set: values(&[("x-a", "{query.a}")]), ..Edits::default() };
        let unsafe_value = edits.render(&mut |_| Some("x\r\nset-cookie: y".into()));
        assert_eq!(unsafe_value, Err(Unsafe { name: "query.a".into() }));
        let mut fields = Headers::default();
        Rendered { add: vec![("x-a".into(), "a\nb".into())], ..Rendered::default() }.apply(&mut fields);
        assert!(fields.is_empty());
    }

    #[test]
    fn names_of_the_connection_are_refused() {
        for name in ["content-length", "Transfer-Encoding", "connection", "host", "upgrade", "te"] {
            assert_eq!(check_name(name), Err(NameError::Framing(name.into())));
        }
        for name in ["", "a b", "a:", "é", "a\r"] {
            assert_eq!(check_name(name), Err(NameError::NotAName(name.into())));
        }
        let bad = Edits { rename: vec![("a".into(), "b c".into())], ..Edits::default() };
        assert!(bad.check().is_err() && Edits { remove: vec!["*".into()], ..Edits::default() }.check().is_ok());
        assert!(!bad.is_empty() && Edits::default().is_empty());
    }
}
