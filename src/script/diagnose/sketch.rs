//! What the source itself says: calls with their tables, names and where they stand; no meaning yet.

use std::collections::BTreeMap;
use std::sync::Arc;

/// A stretch of one line.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Span {
    /// From 1.
    pub(crate) line: u32,
    /// From 1, in characters.
    pub(crate) column: u32,
    /// Characters.
    pub(crate) width: u32,
}

/// A file's calls and names.
#[derive(Clone, Debug, Default)]
pub(crate) struct Sketch {
    /// Every call of a name, in source order.
    pub(crate) calls: Vec<Call>,
    /// Globals that are read: name, place, and whether directly inside `{…}` of a backtick string.
    pub(crate) reads: Vec<(String, Span, bool)>,
    /// `namespace.member` of globals: for members that do not exist.
    pub(crate) members: Vec<(String, String, Span)>,
    /// Globals that are assigned: name, place, whether as `function name()`.
    pub(crate) writes: Vec<(String, Span, bool)>,
    /// Functions that write locals declared outside them.
    pub(crate) functions: Vec<Function>,
    /// Names given to backtick expressions that are plain declared names: name, place.
    pub(crate) backticks: Vec<(String, Span)>,
    /// `req.member` and `res.member` of parameters of those names.
    pub(crate) handles: Vec<(String, String, Span)>,
    /// Second parameters of functions that stand in a list part and look like a response: name, place.
    pub(crate) responses: Vec<(String, Span)>,
    /// Declaring words called in functions that run for requests.
    pub(crate) late: Vec<(String, Span)>,
    /// Only parameters of `on_…` functions that are called after the second one: key, name, place.
    pub(crate) misnamed: Vec<(String, String, Span)>,
    /// Text of `code = "…"`.
    pub(crate) codes: Vec<String>,
}

/// `name "subject" { … }`.
#[derive(Clone, Debug)]
pub(crate) struct Call {
    /// The name called; of `a.b.c` the last.
    pub(crate) word: String,
    /// Where the name stands.
    pub(crate) span: Span,
    /// The last line of the whole call.
    pub(crate) end: u32,
    /// The first text argument.
    pub(crate) subject: Option<(String, Span)>,
    /// The table argument.
    pub(crate) table: Option<Table>,
    /// Where each argument of the first call stands.
    pub(crate) arguments: Vec<Span>,
}

/// A table as written.
#[derive(Clone, Debug, Default)]
pub(crate) struct Table {
    /// Its entries.
    pub(crate) entries: Vec<Entry>,
}

/// One entry of a table.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    /// `key =` or `["key"] =`; `None` in the list part or for a computed key.
    pub(crate) key: Option<(String, Span)>,
    /// Its place in the list part, from 1; 0 for keyed entries.
    pub(crate) index: usize,
    /// Where the value stands.
    pub(crate) value: Span,
    /// The value, if it is a table.
    pub(crate) table: Option<Table>,
    /// The value is a function that does nothing but `return true`.
    pub(crate) always: bool,
}

/// A function that writes outer locals.
#[derive(Clone, Debug)]
pub(crate) struct Function {
    /// The line of `function`.
    pub(crate) line: u32,
    /// Called by the top level itself, so that its writes happen while loading.
    pub(crate) called: bool,
    /// Names and places.
    pub(crate) writes: Vec<(String, Span)>,
    /// Whether another function of the list stands around it.
    pub(crate) nested: bool,
}

/// Reads sources that Luau has compiled already (so that their nesting is bounded); those that cannot be parsed are
/// left out. The parser recurses, so it gets a thread with a large stack of its own.
pub(crate) fn all(texts: &BTreeMap<String, Arc<str>>) -> BTreeMap<String, Sketch> {
    let texts: Vec<(String, Arc<str>)> = texts.iter().map(|(name, text)| (name.clone(), Arc::clone(text))).collect();
    let work = move || texts.iter().filter_map(|(name, text)| Some((name.clone(), parse(text)?))).collect();
    let thread = std::thread::Builder::new().name("sketch".into()).stack_size(STACK);
    thread.spawn(work).ok().and_then(|thread| thread.join().ok()).unwrap_or_default()
}

fn parse(source: &str) -> Option<Sketch> {
    if depth(source) > DEEPEST {
        return None;
    }
    let parsed = full_moon::parse_fallible(source, full_moon::LuaVersion::luau());
    parsed.errors().is_empty().then(|| super::walk::walk(parsed.ast()))
}

/// One source.
#[cfg(test)]
pub(crate) fn read(source: &Arc<str>) -> Option<Sketch> {
    all(&BTreeMap::from([(String::new(), Arc::clone(source))])).remove("")
}

/// Of address space; only what is used becomes memory.
const STACK: usize = 256 << 20;

/// Luau itself refuses deeper nesting.
const DEEPEST: usize = 1000;

/// The deepest nesting of brackets and blocks, roughly.
fn depth(source: &str) -> usize {
    let (mut now, mut most) = (0usize, 0usize);
    for byte in source.bytes() {
        match byte {
            b'(' | b'[' | b'{' => now += 1,
            b')' | b']' | b'}' => now = now.saturating_sub(1),
            _ => {}
        }
        most = most.max(now);
    }
    // Nested functions and blocks have no brackets of their own.
    let openers = source.split(|c: char| !c.is_alphanumeric() && c != '_');
    let mut level = 0usize;
    for word in openers {
        match word {
            "function" | "do" | "then" | "repeat" | "not" => level += 1,
            "end" | "until" | "elseif" => level = level.saturating_sub(1),
            _ => {}
        }
        most = most.max(level);
    }
    most
}
