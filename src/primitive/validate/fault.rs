//! Single faults and where they are.

use std::borrow::Cow;
use std::fmt::Write;

/// Faults told of one request.
pub const MOST: usize = 10;

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// Where, as a JSON Pointer (RFC 6901).
    pub pointer: String,
    /// What, as a sentence without its subject.
    pub message: String,
}

/// The way from the root to a value, kept on the stack.
#[derive(Clone, Copy)]
pub(super) struct Path<'p> {
    /// One level further out.
    pub(super) outer: Option<&'p Self>,
    /// The last step.
    pub(super) step: Step<'p>,
}

#[derive(Clone, Copy)]
pub(super) enum Step<'p> {
    Root,
    Name(&'p str),
    Index(usize),
}

impl<'p> Path<'p> {
    pub(super) const ROOT: Path<'static> = Path { outer: None, step: Step::Root };

    pub(super) fn name<'q>(&'q self, name: &'q str) -> Path<'q>
    where
        'p: 'q,
    {
        Path { outer: Some(self), step: Step::Name(name) }
    }

    pub(super) fn index<'q>(&'q self, index: usize) -> Path<'q>
    where
        'p: 'q,
    {
        Path { outer: Some(self), step: Step::Index(index) }
    }

    pub(super) fn pointer(&self) -> String {
        let mut text = self.outer.map(Self::pointer).unwrap_or_default();
        match self.step {
            Step::Root => {}
            Step::Name(name) => {
                text.push('/');
                text.push_str(&escape(name));
            }
            Step::Index(index) => drop(write!(text, "/{index}")),
        }
        text
    }
}

/// A name as one step of a pointer.
pub(in crate::primitive) fn escape(name: &str) -> Cow<'_, str> {
    if name.contains(['~', '/']) { name.replace('~', "~0").replace('/', "~1").into() } else { name.into() }
}

impl Fault {
    pub(super) fn at(path: &Path<'_>, message: impl Into<String>) -> Self {
        Self { pointer: path.pointer(), message: message.into() }
    }
}
