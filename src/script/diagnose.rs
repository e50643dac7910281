//! What a mistake gets: file, line, column, a code frame, a suggestion; ten at most from one load.

mod ids;
mod lint;
mod render;
mod resolve;
pub(crate) mod sketch;
pub(crate) mod sketches;
pub(crate) mod syntax;
mod walk;

use std::path::Path;
use std::path::PathBuf;

pub use ids::LINTS;
pub(crate) use ids::allowed;
pub(crate) use lint::lint;
pub(crate) use lint::unknown;
pub(crate) use lint::written_by;
pub(crate) use resolve::Anchor;
pub(crate) use resolve::Segment;
pub(crate) use resolve::Spot;
pub(crate) use resolve::resolve;

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Severity {
    /// The script does not load.
    Error,
    /// It loads, and probably does not do what was meant.
    Warning,
}

/// One mistake, where it stands, and what to do about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagnostic {
    /// Error or warning.
    pub severity: Severity,
    /// What a warning is known by, see [`LINTS`]; empty for errors.
    pub id: &'static str,
    /// What is wrong.
    pub message: String,
    /// The file, relative to the config folder; empty when it has no place.
    pub file: String,
    /// The line, from 1; 0 when unknown.
    pub line: u32,
    /// The column, from 1, in characters; 0 when unknown.
    pub column: u32,
    /// How many characters to underline.
    pub width: u32,
    /// What stands beside the caret: mostly a suggestion.
    pub label: String,
    /// A sentence or two below the frame.
    pub help: String,
    /// The source line, for the frame.
    pub source: Option<String>,
}

impl Diagnostic {
    /// An error without a place.
    pub fn error(message: impl Into<String>) -> Self {
        Self {
            severity: Severity::Error,
            id: "",
            message: message.into(),
            file: String::new(),
            line: 0,
            column: 0,
            width: 0,
            label: String::new(),
            help: String::new(),
            source: None,
        }
    }

    /// A warning of that id, without a place.
    pub fn warning(id: &'static str, message: impl Into<String>) -> Self {
        Self { severity: Severity::Warning, id, ..Self::error(message) }
    }

    /// In that file, on that line.
    pub fn at(mut self, file: &str, line: u32) -> Self {
        file.clone_into(&mut self.file);
        self.line = line;
        self
    }

    /// In that file, under that span.
    pub(crate) fn under(mut self, file: &str, span: sketch::Span) -> Self {
        self.column = span.column;
        self.width = span.width;
        self.at(file, span.line)
    }

    /// With a text beside the caret.
    pub fn label(mut self, label: impl Into<String>) -> Self {
        self.label = label.into();
        self
    }

    /// With a sentence below the frame.
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help = help.into();
        self
    }
}

/// Why a script does not load: ten mistakes at most, in the order of the source, none twice.
#[derive(Clone, Debug, Default)]
pub struct Faults {
    list: Vec<Diagnostic>,
    more: usize,
    files: Vec<PathBuf>,
}

/// Most mistakes shown from one load.
const MOST: usize = 10;

impl Faults {
    /// Sorts, drops what was said twice, keeps ten, and gives each its source line.
    pub(crate) fn new(list: Vec<Diagnostic>, files: Vec<PathBuf>, source: &dyn Fn(&str) -> Option<String>) -> Self {
        let mut list = tidy(list, source);
        let more = list.len().saturating_sub(MOST);
        list.truncate(MOST);
        Self { list, more, files }
    }

    /// A single fault that has no source line, such as a file that cannot be read.
    pub fn plain(message: impl Into<String>) -> Self {
        Self { list: vec![Diagnostic::error(message)], more: 0, files: Vec::new() }
    }

    /// Each of them.
    pub fn list(&self) -> &[Diagnostic] {
        &self.list
    }

    /// Files read until then: an edit of any of them is worth another try.
    pub fn files(&self) -> &[PathBuf] {
        &self.files
    }

    /// As a terminal shows it.
    pub fn render(&self, color: bool) -> String {
        let mut text = render(&self.list, color);
        if self.more > 0 {
            text.push_str(&format!("\nand {} more\n", self.more));
        }
        text
    }

    /// As programs read it.
    pub fn to_json(&self) -> serde_json::Value {
        serde_json::json!({ "faults": self.list.iter().map(Diagnostic::to_json).collect::<Vec<_>>(), "more": self.more })
    }

    /// The first one in a line, for logs and status pages.
    pub fn summary(&self) -> String {
        let first = self.list.first().map(Diagnostic::line_form).unwrap_or_default();
        match self.list.len() + self.more {
            0 | 1 => first,
            count => format!("{first} (and {} more)", count - 1),
        }
    }

    pub(crate) fn watch(&mut self, path: &Path) {
        if !self.files.iter().any(|file| file == path) {
            self.files.push(path.to_owned());
        }
    }
}

impl std::fmt::Display for Faults {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.render(false).trim_end())
    }
}

impl std::error::Error for Faults {}

/// Several diagnostics as a terminal shows them, a blank line between two.
pub fn render(list: &[Diagnostic], color: bool) -> String {
    list.iter().map(|fault| fault.render(color)).collect::<Vec<_>>().join("\n")
}

/// Sorted by place, each said once, each with its source line.
pub(crate) fn tidy(mut list: Vec<Diagnostic>, source: &dyn Fn(&str) -> Option<String>) -> Vec<Diagnostic> {
    list.sort_by(|a, b| (&a.file, a.line, a.column).cmp(&(&b.file, b.line, b.column)));
    let mut kept: Vec<Diagnostic> = Vec::new();
    for fault in list {
        let twin = kept.iter_mut().find(|one| {
            one.message == fault.message
                && one.file == fault.file
                && one.line == fault.line
                && (one.column == fault.column || one.column == 0 || fault.column == 0)
        });
        match twin {
            Some(twin) if twin.column == 0 => *twin = fault,
            Some(_) => {}
            None => kept.push(fault),
        }
    }
    let mut files: Vec<(String, Option<String>)> = Vec::new();
    for fault in &mut kept {
        if fault.line == 0 || fault.source.is_some() {
            continue;
        }
        if !files.iter().any(|(name, _)| *name == fault.file) {
            files.push((fault.file.clone(), source(&fault.file)));
        }
        let text = files.iter().find(|(name, _)| *name == fault.file).and_then(|(_, text)| text.as_deref());
        fault.source = text.and_then(|text| text.lines().nth(fault.line as usize - 1)).map(str::to_owned);
    }
    kept
}

#[cfg(test)]
mod tests;
