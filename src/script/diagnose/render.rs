//! The text and JSON forms of a diagnostic.

use serde_json::json;

use super::Diagnostic;
use super::Severity;

impl Severity {
    fn as_str(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warning => "warning",
        }
    }
}

impl Diagnostic {
    /// As a terminal shows it: message, place, frame, caret, label, help.
    pub fn render(&self, color: bool) -> String {
        let paint = Paint(color);
        let tint = if self.severity == Severity::Error { "1;31" } else { "1;33" };
        let mut text =
            format!("{}{}\n", paint.with(tint, &self.kind()), paint.with("1", &format!(": {}", self.message)));
        if self.line == 0 && self.file.is_empty() {
            self.foot(&mut text, 0, &paint, !self.label.is_empty());
            return text;
        }
        let number = self.line.to_string();
        let margin = " ".repeat(number.len());
        let column = if self.column > 0 { format!(":{}", self.column) } else { String::new() };
        let line = if self.line > 0 { format!(":{number}") } else { String::new() };
        text.push_str(&format!("{margin}{} {}{line}{column}\n", paint.with("1;34", "-->"), self.file));
        let Some(source) = self.source.as_deref().filter(|source| source.chars().count() <= LONGEST) else {
            self.foot(&mut text, number.len(), &paint, !self.label.is_empty());
            return text;
        };
        text.push_str(&format!("{margin} {}\n", paint.with("1;34", "|")));
        text.push_str(&format!("{} {}\n", paint.with("1;34", &format!("{number} |")), visible(source.trim_end())));
        if self.column > 0 {
            let caret = format!("{} {}", "^".repeat(self.width.max(1) as usize), self.label);
            let bar = paint.with("1;34", "|");
            text.push_str(&format!(
                "{margin} {bar} {}{}\n",
                pad(source, self.column),
                paint.with(tint, caret.trim_end())
            ));
        }
        self.foot(&mut text, number.len(), &paint, self.column == 0 && !self.label.is_empty());
        text
    }

    /// `error`, or `warning[id]`.
    fn kind(&self) -> String {
        let severity = self.severity.as_str();
        if self.id.is_empty() { severity.to_owned() } else { format!("{severity}[{}]", self.id) }
    }

    fn foot(&self, text: &mut String, margin: usize, paint: &Paint, label: bool) {
        let notes = [self.label.as_str()].into_iter().filter(|_| label).chain([self.help.as_str()]);
        for note in notes.filter(|note| !note.is_empty()) {
            for (index, line) in note.lines().enumerate() {
                let lead = if index == 0 { paint.with("1;34", "=") } else { " ".to_owned() };
                text.push_str(&format!("{} {lead} {line}\n", " ".repeat(margin)));
            }
        }
    }

    /// In one line: `gateway.lua:1: unknown name …; did you mean …?`
    pub fn line_form(&self) -> String {
        let place = match (self.file.is_empty(), self.line) {
            (true, _) => String::new(),
            (false, 0) => format!("{}: ", self.file),
            (false, line) => format!("{}:{line}: ", self.file),
        };
        let label = if self.label.is_empty() { String::new() } else { format!("; {}", self.label) };
        format!("{place}{}{label}", self.message)
    }

    /// As programs read it.
    pub fn to_json(&self) -> serde_json::Value {
        let number = |value: u32| if value == 0 { serde_json::Value::Null } else { value.into() };
        let text = |value: &str| if value.is_empty() { serde_json::Value::Null } else { value.into() };
        json!({
            "severity": self.severity.as_str(),
            "id": text(self.id),
            "message": self.message,
            "file": text(&self.file),
            "line": number(self.line),
            "column": number(self.column),
            "width": number(self.width),
            "label": text(&self.label),
            "help": text(&self.help),
        })
    }
}

/// A longer line is somebody's data; showing it helps nobody.
const LONGEST: usize = 300;

/// What brings the caret below `column`: tabs stay tabs, so that any tab width fits.
fn pad(source: &str, column: u32) -> String {
    source.chars().take(column as usize - 1).map(|symbol| if symbol == '\t' { '\t' } else { ' ' }).collect()
}

/// Control characters other than tabs would move the cursor.
fn visible(source: &str) -> String {
    source.chars().map(|symbol| if symbol.is_control() && symbol != '\t' { '\u{fffd}' } else { symbol }).collect()
}

struct Paint(bool);

impl Paint {
    fn with(&self, code: &str, text: &str) -> String {
        if self.0 { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
    }
}
