//! What the source itself says: calls with their tables, names and where they stand; no meaning yet.

use super::walk::Walker;

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
    /// Fields of the request that functions read, by whatever way.
    pub(crate) fields: Vec<Field>,
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

/// A field of the request that is read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Field {
    /// Lower case.
    pub(crate) name: String,
    /// Where.
    pub(crate) span: Span,
    /// The lines of the functions around, the outermost first.
    pub(crate) within: Vec<u32>,
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

/// The sketch of a source; `None` if it cannot be parsed.
pub(super) fn parse(source: &str) -> Option<Sketch> {
    if depth(source) > DEEPEST {
        return None;
    }
    in_pieces(source, PIECE).or_else(|| in_pieces(source, usize::MAX))
}

/// A tree takes some four hundred times its source, and its lists are copied as they grow: of a large file only a few
/// statements are in memory at a time.
const PIECE: usize = 512;

/// Parses from one line that may begin a statement to another. A piece that was cut inside something does not parse,
/// and then the file is taken whole.
fn in_pieces(source: &str, size: usize) -> Option<Sketch> {
    let mut walker = Walker::default();
    let (mut begin, mut lines) = (0, 0);
    for end in cuts(source, size) {
        let piece = &source[begin..end];
        let parsed = full_moon::parse_fallible(piece, full_moon::LuaVersion::luau());
        if !parsed.errors().is_empty() {
            return None;
        }
        walker.add(parsed.ast(), lines);
        lines += memchr::memchr_iter(b'\n', piece.as_bytes()).count();
        begin = end;
    }
    Some(walker.finish())
}

/// Where pieces of at least `size` bytes end: before a line that begins with a letter in its first column, and with no word
/// that goes on with what is above it.
fn cuts(source: &str, size: usize) -> Vec<usize> {
    const GOING_ON: &[&str] = &["end", "else", "elseif", "until", "then", "do", "and", "or", "in"];
    let goes_on = |line: &str| {
        let end = line.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(line.len());
        GOING_ON.contains(&&line[..end])
    };
    let mut cuts = Vec::new();
    let (mut at, mut last) = (0, 0);
    for line in source.split_inclusive('\n') {
        if at - last >= size && line.starts_with(|first: char| first.is_ascii_alphabetic()) && !goes_on(line) {
            cuts.push(at);
            last = at;
        }
        at += line.len();
    }
    cuts.push(source.len());
    cuts
}

/// Luau itself refuses deeper nesting.
const DEEPEST: usize = 1000;

/// The deepest nesting of brackets, or of functions and blocks, which have none; roughly.
fn depth(source: &str) -> usize {
    let (mut brackets, mut blocks, mut most) = (0usize, 0usize, 0usize);
    let mut word = 0;
    for (at, byte) in source.bytes().enumerate() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'_' | 0x80.. => continue,
            b'(' | b'[' | b'{' => brackets += 1,
            b')' | b']' | b'}' => brackets = brackets.saturating_sub(1),
            _ => {}
        }
        match &source.as_bytes()[word..at] {
            b"function" | b"do" | b"then" | b"repeat" | b"not" => blocks += 1,
            b"end" | b"until" | b"elseif" => blocks = blocks.saturating_sub(1),
            _ => {}
        }
        word = at + 1;
        most = most.max(brackets).max(blocks);
    }
    most
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_tell_what_the_whole_tells() {
        let mut text = String::from("local auth = function(req) return foo end\n");
        for index in 0..200 {
            text.push_str(&format!("route \"GET /r{index}\" {{\n  auth,\n  timeout = \"3s\",\n  function(req) auth = nil x = bar end,\n}}\n"));
        }
        text.push_str("for i = 1, 2 do\nroute(\"GET /x\" .. i) {}\nend\nreturn 5\n");
        let whole = in_pieces(&text, usize::MAX).expect("it parses");
        assert!(cuts(&text, 300).len() > 30);
        assert_eq!(format!("{:?}", in_pieces(&text, 300).expect("so do its pieces")), format!("{whole:?}"));
        assert_eq!(whole.reads.len(), 402);
    }

    #[test]
    fn a_line_that_goes_on_begins_no_piece() {
        let text = "local function f()\n  g()\nend\nlocal x = y\nor z\nif x then\n  f()\nelse\n  g()\nend\nend_of(x)\n";
        let pieces = cuts(text, 1).len();
        assert_eq!(pieces, 4, "before `local x`, `if` and `end_of`, and at the end");
        assert!(in_pieces(text, 1).is_some());
    }

    #[test]
    fn a_cut_inside_something_is_noticed() {
        for text in
            ["for i = 1, 2 do\nprint(i)\nend\n", "local x = [[\na\n]]\n", "--[[\na\n]]\n", "local t = {\na = 1,\n}\n"]
        {
            assert!(in_pieces(text, 1).is_none(), "{text}");
            assert!(parse(text).is_some(), "{text}");
        }
    }
}
