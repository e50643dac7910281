//! From where a running script was (file, line, word, option) to the characters of its source.

use super::sketch::Call;
use super::sketch::Sketch;
use super::sketch::Span;
use super::sketch::Table;

/// A place inside a declaration, as the running script knows it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Anchor {
    /// The file, relative to the config folder.
    pub(crate) file: String,
    /// The line of the call.
    pub(crate) line: u32,
    /// The word called.
    pub(crate) word: String,
    /// Its text argument.
    pub(crate) subject: Option<String>,
    /// From its table inwards.
    pub(crate) path: Vec<Segment>,
    /// Which part to underline.
    pub(crate) spot: Spot,
    /// Of a text only this part: from which byte, how many.
    pub(crate) within: Option<(usize, usize)>,
}

/// One step inwards.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Segment {
    /// A named entry.
    Key(String),
    /// An entry of the list part, from 1.
    Index(usize),
}

/// Which part to underline.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Spot {
    /// The word itself.
    #[default]
    Word,
    /// The text argument.
    Subject,
    /// The key that the path ends in.
    Key,
    /// The value that the path ends in.
    Value,
}

/// The characters `anchor` means, as near as the source shows.
pub(crate) fn resolve(sketch: &Sketch, anchor: &Anchor) -> Option<Span> {
    let span = whole(sketch, anchor)?;
    // One more for the quote. Escapes in the text would move the place; then the whole is underlined.
    Some(match anchor.within {
        Some((from, width)) if span.width != u32::MAX && from + width + 2 <= span.width as usize => {
            let number = |value: usize| u32::try_from(value).unwrap_or_default();
            Span { column: span.column + number(from) + 1, width: number(width), ..span }
        }
        _ => span,
    })
}

fn whole(sketch: &Sketch, anchor: &Anchor) -> Option<Span> {
    let call = find(sketch, anchor)?;
    match anchor.spot {
        Spot::Word => Some(call.span),
        Spot::Subject => Some(call.subject.as_ref().map_or(call.span, |(_, span)| *span)),
        Spot::Key | Spot::Value => Some(follow(sketch, call, anchor).unwrap_or(call.span)),
    }
}

/// The innermost call of that word around the line, the one with the same text first.
fn find<'a>(sketch: &'a Sketch, anchor: &Anchor) -> Option<&'a Call> {
    let around = |call: &&Call| call.word == anchor.word && call.span.line <= anchor.line && anchor.line <= call.end;
    let mut calls: Vec<&Call> = sketch.calls.iter().filter(around).collect();
    if let Some(subject) = &anchor.subject {
        let same = |call: &&&Call| call.subject.as_ref().is_some_and(|(text, _)| text == subject);
        if let Some(call) = calls.iter().filter(same).max_by_key(|call| call.span.line) {
            return Some(call);
        }
    }
    calls.sort_by_key(|call| call.span.line);
    calls.pop()
}

fn follow(sketch: &Sketch, call: &Call, anchor: &Anchor) -> Option<Span> {
    let Some(table) = &call.table else {
        return elsewhere(sketch, anchor).or_else(|| argument(call, anchor));
    };
    let (last, before) = anchor.path.split_last()?;
    let mut table = table;
    for segment in before {
        match entry(table, segment).and_then(|entry| entry.table.as_ref()) {
            Some(inner) => table = inner,
            None => return entry(table, segment).map(|entry| entry.value),
        }
    }
    let entry = entry(table, last)?;
    Some(match (anchor.spot, &entry.key) {
        (Spot::Key, Some((_, span))) => *span,
        _ => entry.value,
    })
}

/// `timeout "soon"`: the first argument itself.
fn argument(call: &Call, anchor: &Anchor) -> Option<Span> {
    (anchor.path.first() == Some(&Segment::Index(1))).then(|| call.arguments.first().copied())?
}

/// The table was made elsewhere (`local options = { … }`): the only entry of that name in the file.
fn elsewhere(sketch: &Sketch, anchor: &Anchor) -> Option<Span> {
    let Some(Segment::Key(name)) = anchor.path.last() else { return None };
    let mut found = Vec::new();
    for call in &sketch.calls {
        if let Some(table) = &call.table {
            collect(table, name, &mut found);
        }
    }
    match found.as_slice() {
        [one] => Some(*one),
        _ => None,
    }
}

fn collect(table: &Table, name: &str, found: &mut Vec<Span>) {
    for entry in &table.entries {
        if let Some((key, span)) = &entry.key
            && key == name
        {
            found.push(*span);
        }
        if let Some(inner) = &entry.table {
            collect(inner, name, found);
        }
    }
}

fn entry<'a>(table: &'a Table, segment: &Segment) -> Option<&'a super::sketch::Entry> {
    table.entries.iter().find(|entry| match segment {
        Segment::Key(name) => entry.key.as_ref().is_some_and(|(key, _)| key == name),
        Segment::Index(index) => entry.index == *index,
    })
}
