//! THE table of words and options: it drives option checks, "did you mean", the reference and editor types.

mod declaring;
mod later;
mod level;
mod luau;
mod namespaces;
mod primitives;
pub mod roles;
mod rules;
mod secure;
mod service;
mod types;

pub(crate) use crate::script::load::STDLIB;
use std::borrow::Cow;
use std::sync::LazyLock;

pub use crate::suggest::closest as nearest;
pub use namespaces::functions;
pub use types::Text;
pub use types::Type;

/// What a word is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Declares something while the file loads: `route`, `upstream`, `policy` …
    Declaration,
    /// A step made by the standard library: `mock`, `redirect` …
    Policy,
    /// Callable from any function: `fetch`, `json.decode` …
    Primitive,
    /// Comes with the language: `pairs`, `string` …
    Language,
    /// Promised by the contract, not in this version.
    Later,
}

impl Kind {
    /// How listings call it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Declaration => "declaration",
            Self::Policy => "policy",
            Self::Primitive => "primitive",
            Self::Language => "language",
            Self::Later => "later",
        }
    }
}

/// A word of the vocabulary.
#[derive(Clone, Debug)]
pub struct Word {
    /// As written.
    pub name: &'static str,
    /// What it is for.
    pub kind: Kind,
    /// How it is written: one line.
    pub form: &'static str,
    /// What it does: a sentence or two.
    pub doc: &'static str,
    /// Named options, for words that take a table.
    pub options: Vec<Opt>,
    /// Functions of a namespace, or methods of what the word returns: form and doc.
    pub members: Vec<(&'static str, &'static str)>,
    /// A few lines that run as they stand in a gateway.lua.
    pub example: &'static str,
}

/// A named option.
#[derive(Clone, Debug)]
pub struct Opt {
    /// Its name; `1` is the unnamed argument (`timeout "3s"`).
    pub name: Cow<'static, str>,
    /// What may stand there.
    pub of: Type,
    /// The value when it is absent, as it would be written; empty: none.
    pub default: Cow<'static, str>,
    /// One line.
    pub doc: Cow<'static, str>,
    /// Whether it must be written.
    pub required: bool,
    /// Promised by the contract, not in this version.
    pub later: bool,
}

/// An option with a default (empty: absent when not written).
fn opt(name: &'static str, of: Type, default: &'static str, doc: &'static str) -> Opt {
    Opt { name: name.into(), of, default: default.into(), doc: doc.into(), required: false, later: false }
}

/// An option of a later version.
fn later(name: &'static str) -> Opt {
    Opt { later: true, ..opt(name, Type::Any, "", "not in this version") }
}

/// A word without options.
fn word(kind: Kind, name: &'static str, form: &'static str, doc: &'static str, example: &'static str) -> Word {
    Word { name, kind, form, doc, options: Vec::new(), members: Vec::new(), example }
}

impl Word {
    /// With these options.
    fn takes(mut self, options: Vec<Opt>) -> Self {
        self.options = options;
        self
    }

    /// With these functions or methods.
    fn with(mut self, members: &[(&'static str, &'static str)]) -> Self {
        self.members = members.to_vec();
        self
    }

    /// The option of that name.
    pub fn option(&self, name: &str) -> Option<&Opt> {
        self.options.iter().find(|option| option.name == name)
    }
}

/// Every word but those that a script's own `policy` makes, in the order of the reference.
pub fn all() -> &'static [Word] {
    static WORDS: LazyLock<Vec<Word>> = LazyLock::new(|| {
        let mut words = declaring::words();
        words.extend(primitives::words());
        words.extend(luau::words());
        words.extend(later::words());
        words
    });
    &WORDS
}

/// The word of that name.
pub fn find(name: &str) -> Option<&'static Word> {
    all().iter().find(|word| word.name == name)
}

/// Whether a script may read this global: a word of this version, of the language, or a stdlib policy.
pub fn is_global(name: &str) -> bool {
    STDLIB.contains(&name) || find(name).is_some_and(|word| word.kind != Kind::Later)
}

/// The functions of a namespace (`json.encode` …); empty for other words.
pub(crate) fn members(owner: &str) -> Vec<&'static str> {
    let of_word = find(owner).filter(|word| word.kind != Kind::Later).map(|word| word.members.as_slice());
    let forms = functions(owner).iter().chain(of_word.unwrap_or_default()).map(|(form, _)| *form);
    let forms = forms.filter_map(|form| form.strip_prefix(owner)?.strip_prefix('.'));
    forms.map(|form| form.split(|c: char| !c.is_alphanumeric() && c != '_').next().unwrap_or(form)).collect()
}

/// Every global a script may read, for suggestions.
pub fn globals<'a>() -> impl Iterator<Item = &'a str> {
    all().iter().filter(|word| word.kind != Kind::Later).map(|word| word.name).chain(STDLIB.iter().copied())
}

#[cfg(test)]
mod tests;
