//! A script as it is written, and what its reader must know.

use std::collections::BTreeSet;
use std::fmt;
use std::fmt::Write as _;

/// Lines of Lua, and notes.
#[derive(Default)]
pub(super) struct Draft {
    lines: String,
    notes: Vec<String>,
    known: BTreeSet<String>,
}

impl Draft {
    /// One line more.
    pub(super) fn line(&mut self, line: impl fmt::Display) {
        // A text takes whatever is written to it.
        let _ = writeln!(self.lines, "{line}");
    }

    /// An empty line, unless there is one.
    pub(super) fn gap(&mut self) {
        if !self.lines.is_empty() && !self.lines.ends_with("\n\n") {
            self.lines.push('\n');
        }
    }

    /// Something to know, said once.
    pub(super) fn note(&mut self, note: impl Into<String>) {
        let note = note.into();
        if self.known.insert(note.clone()) {
            self.notes.push(note);
        }
    }

    /// The script.
    pub(super) fn text(&self) -> &str {
        &self.lines
    }

    /// What is left to do, in the order it was met.
    pub(super) fn notes(&self) -> &[String] {
        &self.notes
    }
}
