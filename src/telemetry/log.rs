//! The process log: one line an event, as text or JSON, on stderr.

use std::cell::RefCell;
use std::fmt::Display;
use std::fmt::Write as _;
use std::io::Write as _;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::AtomicU8;
use std::sync::atomic::Ordering;

/// How much an event matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Level {
    /// For whoever looks closely.
    Debug,
    /// What a calm operator wants to know.
    Info,
    /// Something is off, service goes on.
    Warn,
    /// Somebody did not get what they asked for, because of us or the script.
    Error,
}

impl Level {
    /// The level that `word` names.
    pub fn of(word: &str) -> Option<Self> {
        match word {
            "debug" => Some(Self::Debug),
            "info" => Some(Self::Info),
            "warn" => Some(Self::Warn),
            "error" => Some(Self::Error),
            _ => None,
        }
    }

    /// Its word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Debug => "debug",
            Self::Info => "info",
            Self::Warn => "warn",
            Self::Error => "error",
        }
    }
}

static LEAST: AtomicU8 = AtomicU8::new(Level::Info as u8);
static JSON: AtomicBool = AtomicBool::new(false);

/// Sets the lowest level that is written, and whether lines are JSON.
pub fn configure(least: Level, json: bool) {
    LEAST.store(least as u8, Ordering::Relaxed);
    JSON.store(json, Ordering::Relaxed);
}

/// Whether events of `level` are written, or kept, at all.
pub fn enabled(level: Level) -> bool {
    level as u8 >= LEAST.load(Ordering::Relaxed) || KEPT.with_borrow(Option::is_some)
}

/// For whoever looks closely.
pub fn debug(message: &str, fields: &[(&str, &dyn Display)]) {
    emit(Level::Debug, message, fields);
}

/// What a calm operator wants to know.
pub fn info(message: &str, fields: &[(&str, &dyn Display)]) {
    emit(Level::Info, message, fields);
}

/// Something is off, service goes on.
pub fn warn(message: &str, fields: &[(&str, &dyn Display)]) {
    emit(Level::Warn, message, fields);
}

/// Somebody did not get what they asked for.
pub fn error(message: &str, fields: &[(&str, &dyn Display)]) {
    emit(Level::Error, message, fields);
}

/// An event as whoever keeps them sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// How much it matters.
    pub level: Level,
    /// What happened.
    pub message: String,
    /// Names and values.
    pub fields: Vec<(String, String)>,
}

thread_local! {
    static KEPT: RefCell<Option<Vec<Entry>>> = const { RefCell::new(None) };
}

/// From now on events of this thread are kept instead of written, whatever their level.
pub fn keep() {
    KEPT.set(Some(Vec::new()));
}

/// Events of this thread are written again.
pub fn write() {
    KEPT.set(None);
}

/// The events kept so far.
pub fn kept() -> Vec<Entry> {
    KEPT.with_borrow(|kept| kept.clone().unwrap_or_default())
}

/// Keeps one event where that is wished; whether it was.
fn keeps(level: Level, message: &str, fields: &[(&str, &dyn Display)]) -> bool {
    if KEPT.with_borrow(Option::is_none) {
        return false;
    }
    // Made before it is put in: what is shown may log too.
    let fields = fields.iter().map(|(name, value)| ((*name).to_owned(), value.to_string())).collect();
    let entry = Entry { level, message: message.to_owned(), fields };
    KEPT.with_borrow_mut(|kept| kept.as_mut().map(|kept| kept.push(entry))).is_some()
}

/// Writes one event. Control characters are escaped, so that nobody's input becomes a line of its own.
pub fn emit(level: Level, message: &str, fields: &[(&str, &dyn Display)]) {
    if keeps(level, message, fields) || !enabled(level) {
        return;
    }
    let mut line =
        if JSON.load(Ordering::Relaxed) { json(level, message, fields) } else { text(level, message, fields) };
    line.push('\n');
    // A log that cannot be written must not end the process.
    let _ = std::io::stderr().write_all(line.as_bytes());
}

fn text(level: Level, message: &str, fields: &[(&str, &dyn Display)]) -> String {
    let mut line = format!("{} {:<5} ", now(), level.as_str());
    escape(&mut line, message, true);
    for (name, value) in fields {
        let value = value.to_string();
        if value.is_empty() {
            continue;
        }
        let _ = write!(line, " {name}=");
        if value.contains([' ', '"', '=']) {
            line.push('"');
            escape(&mut line, &value.replace('\\', "\\\\").replace('"', "\\\""), false);
            line.push('"');
        } else {
            escape(&mut line, &value, false);
        }
    }
    line
}

fn json(level: Level, message: &str, fields: &[(&str, &dyn Display)]) -> String {
    let mut object = serde_json::Map::new();
    object.insert("time".into(), now().into());
    object.insert("level".into(), level.as_str().into());
    object.insert("message".into(), message.into());
    for (name, value) in fields {
        object.insert((*name).into(), value.to_string().into());
    }
    serde_json::Value::Object(object).to_string()
}

/// Wall time, to the millisecond; no decision hangs on it, so no clock is asked.
pub(crate) fn now() -> String {
    stamp(jiff::Timestamp::now())
}

/// A time as log lines show it, always to the millisecond.
pub(crate) fn stamp(time: jiff::Timestamp) -> String {
    time.strftime("%Y-%m-%dT%H:%M:%S%.3fZ").to_string()
}

/// Appends `text` with control characters escaped; a message may keep its line breaks (code frames have them).
fn escape(line: &mut String, text: &str, breaks: bool) {
    for symbol in text.chars() {
        match symbol {
            '\n' if breaks => line.push('\n'),
            symbol if symbol.is_control() => line.extend(symbol.escape_default()),
            symbol => line.push(symbol),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Level;
    use super::json;
    use super::text;

    #[test]
    fn nobodys_input_becomes_a_line_of_its_own() {
        let line = text(Level::Warn, "odd", &[("name", &"a\nerror forged\u{1b}[31m")]);
        assert_eq!(line.lines().count(), 1);
        assert!(line.ends_with("warn  odd name=\"a\\nerror forged\\u{1b}[31m\""), "{line}");
    }

    #[test]
    fn a_value_with_blanks_is_quoted_and_an_empty_one_left_out() {
        let line = text(Level::Info, "told", &[("at", &""), ("route", &"GET /a"), ("said", &"a \"b\" \\"), ("n", &5)]);
        assert!(line.ends_with(r#"info  told route="GET /a" said="a \"b\" \\" n=5"#), "{line}");
    }

    #[test]
    fn json_lines_are_json() {
        let value: serde_json::Value = serde_json::from_str(&json(Level::Info, "up", &[("n", &"a\"b\n")])).unwrap();
        assert_eq!((value["level"].as_str(), value["n"].as_str()), (Some("info"), Some("a\"b\n")));
    }
}
