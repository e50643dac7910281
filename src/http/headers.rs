//! Header fields as flat positions into one buffer: parsing fills it, edits append to it, nothing is copied between.

mod field;
mod known;
mod spare;

use std::borrow::Cow;
use std::ops::Range;

pub(crate) use field::Field;
use field::range;
use field::span;
pub use known::Known;

/// A list of fields in the order received; names compare without case.
///
/// One pointer: heads are passed on by value through every level of a request's life. A copy is in memory of its own and
/// takes no more than it needs: copies are kept.
#[derive(Clone, Default)]
pub struct Headers(Option<Box<List>>);

#[derive(Clone, Default)]
struct List {
    bytes: Vec<u8>,
    fields: Vec<Field>,
    /// Which names there are, as a set; it may hold names whose fields were removed.
    present: u64,
}

static NONE: List = List { bytes: Vec::new(), fields: Vec::new(), present: 0 };

impl Headers {
    /// No fields yet, in memory that others have left.
    pub fn with_room() -> Self {
        Self(Some(spare::take()))
    }

    /// Takes over `bytes`, in which positions will be registered with [`Headers::register`].
    pub fn over(bytes: Vec<u8>) -> Self {
        let mut headers = Self::with_room();
        headers.list_mut().bytes = bytes;
        headers
    }

    /// A copy that more is added to and that is soon gone: in memory that others have left, with room.
    pub fn for_now(&self) -> Self {
        let (list, mut copy) = (self.list(), Self::with_room());
        copy.fill(&list.bytes);
        let own = copy.list_mut();
        own.fields.extend_from_slice(&list.fields);
        own.present = list.present;
        copy
    }

    /// The bytes the positions noted so far are in; some room is left behind them for what is added.
    pub(crate) fn fill(&mut self, bytes: &[u8]) {
        let list = self.list_mut();
        list.bytes.reserve(bytes.len() + 256);
        list.bytes.extend_from_slice(bytes);
    }

    fn list(&self) -> &List {
        self.0.as_deref().unwrap_or(&NONE)
    }

    fn list_mut(&mut self) -> &mut List {
        self.0.get_or_insert_with(spare::take)
    }

    /// Notes a field that stands in the buffer already.
    pub fn register(&mut self, name: Range<usize>, value: Range<usize>) {
        let known = Known::of(&self.list().bytes[name.clone()]);
        self.note(Field::new(known, name, value, false));
    }

    /// Notes a field that stands in the buffer already, or will.
    #[inline]
    pub(crate) fn note(&mut self, field: Field) {
        self.list_mut().push(field);
    }

    /// Writes the fields for which `keep` holds as lines ended by CRLF, as they stand on the wire.
    pub fn write_to(&self, out: &mut Vec<u8>, mut keep: impl FnMut(Known) -> bool) {
        let list = self.list();
        out.reserve(list.bytes.len() + 4 * list.fields.len());
        // neighbours that are kept are one piece
        let mut piece = 0..0;
        for field in &list.fields {
            if !keep(field.known) {
                continue;
            }
            let (start, end) = (field.name.0 as usize, (field.value.0 + field.value.1) as usize + 2);
            if field.whole && piece.end == start {
                piece.end = end;
                continue;
            }
            out.extend_from_slice(&list.bytes[piece]);
            piece = if field.whole { start..end } else { 0..0 };
            if !field.whole {
                out.extend_from_slice(list.at(field.name));
                out.extend_from_slice(b": ");
                out.extend_from_slice(list.at(field.value));
                out.extend_from_slice(b"\r\n");
            }
        }
        out.extend_from_slice(&list.bytes[piece]);
    }

    /// The buffer the positions point into.
    pub fn buffer(&self) -> &[u8] {
        &self.list().bytes
    }

    /// The first value of `name`.
    pub fn get(&self, name: &str) -> Option<&[u8]> {
        let (list, known) = (self.list(), Known::of(name.as_bytes()));
        list.among(known).iter().find(|field| list.is(field, known, name.as_bytes())).map(|field| list.at(field.value))
    }

    /// The first value of `name` as text, when it is UTF-8.
    pub fn text(&self, name: &str) -> Option<&str> {
        self.get(name).and_then(|value| std::str::from_utf8(value).ok())
    }

    /// Every value of `name`, in order.
    pub fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a [u8]> + 'a {
        let (list, known) = (self.list(), Known::of(name.as_bytes()));
        list.among(known)
            .iter()
            .filter(move |field| list.is(field, known, name.as_bytes()))
            .map(|field| list.at(field.value))
    }

    /// Every value of a well-known name, in order.
    pub fn known(&self, known: Known) -> impl Iterator<Item = &[u8]> {
        let list = self.list();
        list.among(known).iter().filter(move |field| field.known == known).map(|field| list.at(field.value))
    }

    /// Whether a field of this name is there.
    pub fn has(&self, name: &str) -> bool {
        self.get(name).is_some()
    }

    /// Every field: known name, name as written, value.
    pub fn iter(&self) -> impl Iterator<Item = (Known, &[u8], &[u8])> {
        let list = self.list();
        list.fields.iter().map(|field| (field.known, list.at(field.name), list.at(field.value)))
    }

    /// How many fields there are.
    pub fn len(&self) -> usize {
        self.list().fields.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.list().fields.is_empty()
    }

    /// Replaces every value of `name` with this one. The caller has made sure of [`is_name`] and [`is_value`].
    pub fn set(&mut self, name: &str, value: impl AsRef<[u8]>) {
        self.set_known(Known::of(name.as_bytes()), name, value.as_ref());
    }

    /// As [`Headers::set`], of a name that was looked up.
    pub(crate) fn set_known(&mut self, known: Known, name: &str, value: &[u8]) {
        if self.list().present & known.bit() == 0 {
            return self.put(known, name, value);
        }
        let list = self.list_mut();
        let place = list.append(value);
        let mut placed = false;
        let bytes = &list.bytes;
        list.fields.retain_mut(|field| {
            let same = field.known == known
                && (known != Known::Other || slice(bytes, field.name).eq_ignore_ascii_case(name.as_bytes()));
            if !same {
                return true;
            }
            (field.value, field.whole) = (place, false);
            !std::mem::replace(&mut placed, true)
        });
        if !placed {
            let name = list.append(name.as_bytes());
            list.push(Field { name, value: place, known, whole: false });
        }
    }

    /// Adds a field after the others. The caller has made sure of [`is_name`] and [`is_value`].
    pub fn add(&mut self, name: &str, value: impl AsRef<[u8]>) {
        self.put(Known::of(name.as_bytes()), name, value.as_ref());
    }

    /// Adds a field whose name was looked up, as it stands on the wire.
    pub(crate) fn put(&mut self, known: Known, name: &str, value: &[u8]) {
        let list = self.list_mut();
        list.bytes.reserve(name.len() + value.len() + 4);
        let name = list.append(name.as_bytes());
        list.bytes.extend_from_slice(b": ");
        let value = list.append(value);
        list.bytes.extend_from_slice(b"\r\n");
        list.push(Field { name, value, known, whole: true });
    }

    /// Removes every field of this name; says whether there was one.
    pub fn remove(&mut self, name: &str) -> bool {
        let known = Known::of(name.as_bytes());
        if self.list().present & known.bit() == 0 {
            return false;
        }
        let before = self.len();
        let named = |field: &[u8]| known != Known::Other || field.eq_ignore_ascii_case(name.as_bytes());
        self.retain(|other, field, _| other != known || !named(field));
        before != self.len()
    }

    /// Keeps the fields for which `keep` holds.
    pub fn retain(&mut self, mut keep: impl FnMut(Known, &[u8], &[u8]) -> bool) {
        let list = self.list_mut();
        let bytes = &list.bytes;
        list.fields.retain(|field| keep(field.known, slice(bytes, field.name), slice(bytes, field.value)));
    }

    /// All values of `name` joined by `, ` (RFC 9110 §5.3); `None` when there is none.
    pub fn joined(&self, name: &str) -> Option<Cow<'_, [u8]>> {
        let (list, known) = (self.list(), Known::of(name.as_bytes()));
        let named = list.among(known).iter().filter(|field| list.is(field, known, name.as_bytes()));
        let mut values = named.map(|field| list.at(field.value));
        let first = values.next()?;
        let Some(second) = values.next() else { return Some(first.into()) };
        let mut joined = first.to_vec();
        let separator: &[u8] = if known == Known::Cookie { b"; " } else { b", " };
        for value in std::iter::once(second).chain(values) {
            joined.extend_from_slice(separator);
            joined.extend_from_slice(value);
        }
        Some(joined.into())
    }

    /// These fields, for tests.
    #[cfg(test)]
    pub(crate) fn of(fields: &[(&str, &str)]) -> Self {
        let mut headers = Self::default();
        fields.iter().for_each(|(name, value)| headers.add(name, value));
        headers
    }
}

impl Drop for Headers {
    fn drop(&mut self) {
        if let Some(list) = self.0.take() {
            spare::give(list);
        }
    }
}

impl List {
    #[inline]
    fn push(&mut self, field: Field) {
        self.present |= field.known.bit();
        self.fields.push(field);
    }

    /// The fields among which those of this name are.
    #[inline]
    fn among(&self, known: Known) -> &[Field] {
        if self.present & known.bit() == 0 { &[] } else { &self.fields }
    }

    fn is(&self, field: &Field, known: Known, name: &[u8]) -> bool {
        field.known == known && (known != Known::Other || self.at(field.name).eq_ignore_ascii_case(name))
    }

    fn at(&self, place: (u32, u32)) -> &[u8] {
        slice(&self.bytes, place)
    }

    fn append(&mut self, text: &[u8]) -> (u32, u32) {
        let start = self.bytes.len();
        self.bytes.extend_from_slice(text);
        span(start..self.bytes.len())
    }
}

/// Whether `name` is a token (RFC 9110 §5.6.2).
pub fn is_name(name: &[u8]) -> bool {
    !name.is_empty() && name.iter().all(|&byte| is_token(byte))
}

/// Whether `byte` may stand in a token.
#[inline]
pub fn is_token(byte: u8) -> bool {
    TOKEN[byte as usize]
}

static TOKEN: [bool; 256] = {
    let (mut table, mut at) = ([false; 256], 0);
    while at < 256 {
        let byte = at as u8;
        table[at] = byte.is_ascii_alphanumeric()
            || matches!(
                byte,
                b'!' | b'#' | b'$' | b'%' | b'&' | b'\'' | b'*' | b'+' | b'-' | b'.' | b'^' | b'_' | b'`' | b'|' | b'~'
            );
        at += 1;
    }
    table
};

/// Whether `value` may stand in a field: no control character but tab (RFC 9110 §5.5).
pub fn is_value(value: &[u8]) -> bool {
    let (words, rest) = value.as_chunks::<8>();
    words.iter().all(|word| controls(u64::from_le_bytes(*word)) == 0 || word.iter().all(|&byte| is_text(byte)))
        && rest.iter().all(|&byte| is_text(byte))
}

/// Where the first byte from `at` on is that [`is_value`] may refuse, or a tab; the length when there is none.
#[inline]
pub(crate) fn first_control(bytes: &[u8], at: usize) -> usize {
    let (words, rest) = bytes[at..].as_chunks();
    for (index, word) in words.iter().enumerate() {
        let found = controls(u64::from_le_bytes(*word));
        if found != 0 {
            return at + index * 8 + found.trailing_zeros() as usize / 8;
        }
    }
    let rest = rest.iter().position(|&byte| byte < b' ' || byte == 0x7f).unwrap_or(rest.len());
    at + words.len() * 8 + rest
}

#[inline]
fn is_text(byte: u8) -> bool {
    byte == b'\t' || (byte >= b' ' && byte != 0x7f)
}

/// Marks those of eight bytes that are below a space or DEL. The lowest mark is right; those above it may be for its sake.
#[inline]
fn controls(word: u64) -> u64 {
    const ONES: u64 = 0x0101_0101_0101_0101;
    const HIGH: u64 = ONES * 0x80;
    let delete = word ^ (ONES * 0x7f);
    let below = word.wrapping_sub(ONES * 0x20) & !word;
    let is_delete = delete.wrapping_sub(ONES) & !delete;
    (below | is_delete) & HIGH
}

fn slice(bytes: &[u8], place: (u32, u32)) -> &[u8] {
    &bytes[range(place)]
}
