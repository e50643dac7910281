//! Header fields as flat positions into one buffer: parsing fills it, edits append to it, nothing is copied between.

mod known;

use std::ops::Range;

pub use known::Known;

/// A list of fields in the order received; names compare without case.
#[derive(Clone, Default)]
pub struct Headers {
    bytes: Vec<u8>,
    fields: Vec<Field>,
    /// Which names there are, as a set; it may hold names whose fields were removed.
    present: u64,
}

#[derive(Clone, Copy)]
struct Field {
    name: (u32, u32),
    value: (u32, u32),
    known: Known,
    /// It stands in the buffer as on the wire: name, colon, space, value, CRLF.
    whole: bool,
}

impl Headers {
    /// No fields, in buffers that a pool handed out.
    pub fn reuse(mut bytes: Vec<u8>, mut others: Self) -> Self {
        bytes.clear();
        others.fields.clear();
        Self { bytes, fields: others.fields, present: 0 }
    }

    /// Takes over `bytes`, in which positions will be registered with [`Headers::register`].
    pub fn over(bytes: Vec<u8>) -> Self {
        Self { bytes, fields: Vec::with_capacity(16), present: 0 }
    }

    /// As [`Headers::over`], with room for this many fields.
    pub fn with_room(bytes: Vec<u8>, fields: usize) -> Self {
        Self { bytes, fields: Vec::with_capacity(fields), present: 0 }
    }

    /// The buffer, after the positions in it.
    pub(crate) fn fill(&mut self, bytes: Vec<u8>) {
        self.bytes = bytes;
    }

    /// Notes a field that stands in the buffer already.
    pub fn register(&mut self, name: Range<usize>, value: Range<usize>) {
        let known = Known::of(&self.bytes[name.clone()]);
        self.register_known(known, name, value, false);
    }

    /// Notes a field whose name was looked up; `whole`: it is one piece, from the name to the CRLF after the value, with
    /// a single space after the colon.
    #[inline]
    pub fn register_known(&mut self, known: Known, name: Range<usize>, value: Range<usize>, whole: bool) {
        self.push(Field { name: span(name), value: span(value), known, whole });
    }

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

    /// Writes the fields for which `keep` holds as lines ended by CRLF, as they stand on the wire.
    pub fn write_to(&self, out: &mut Vec<u8>, mut keep: impl FnMut(Known) -> bool) {
        out.reserve(self.bytes.len() + 4 * self.fields.len());
        // neighbours that are kept are one piece
        let mut piece = 0..0;
        for field in &self.fields {
            if !keep(field.known) {
                continue;
            }
            let (start, end) = (field.name.0 as usize, (field.value.0 + field.value.1) as usize + 2);
            if field.whole && piece.end == start {
                piece.end = end;
                continue;
            }
            out.extend_from_slice(&self.bytes[piece]);
            piece = if field.whole { start..end } else { 0..0 };
            if !field.whole {
                out.extend_from_slice(self.at(field.name));
                out.extend_from_slice(b": ");
                out.extend_from_slice(self.at(field.value));
                out.extend_from_slice(b"\r\n");
            }
        }
        out.extend_from_slice(&self.bytes[piece]);
    }

    /// The buffer the positions point into.
    pub fn buffer(&self) -> &[u8] {
        &self.bytes
    }

    /// Gives the buffer back, for a pool.
    pub fn into_buffer(self) -> Vec<u8> {
        self.bytes
    }

    /// The first value of `name`.
    pub fn get(&self, name: &str) -> Option<&[u8]> {
        let known = Known::of(name.as_bytes());
        self.among(known).iter().find(|field| self.is(field, known, name.as_bytes())).map(|field| self.at(field.value))
    }

    /// The first value of `name` as text, when it is UTF-8.
    pub fn text(&self, name: &str) -> Option<&str> {
        self.get(name).and_then(|value| std::str::from_utf8(value).ok())
    }

    /// Every value of `name`, in order.
    pub fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a [u8]> + 'a {
        let known = Known::of(name.as_bytes());
        self.among(known)
            .iter()
            .filter(move |field| self.is(field, known, name.as_bytes()))
            .map(|field| self.at(field.value))
    }

    /// Every value of a well-known name, in order.
    pub fn known(&self, known: Known) -> impl Iterator<Item = &[u8]> {
        self.among(known).iter().filter(move |field| field.known == known).map(|field| self.at(field.value))
    }

    /// Whether a field of this name is there.
    pub fn has(&self, name: &str) -> bool {
        self.get(name).is_some()
    }

    /// Every field: known name, name as written, value.
    pub fn iter(&self) -> impl Iterator<Item = (Known, &[u8], &[u8])> {
        self.fields.iter().map(|field| (field.known, self.at(field.name), self.at(field.value)))
    }

    /// How many fields there are.
    pub fn len(&self) -> usize {
        self.fields.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.fields.is_empty()
    }

    /// Replaces every value of `name` with this one. The caller has made sure of [`is_name`] and [`is_value`].
    pub fn set(&mut self, name: &str, value: impl AsRef<[u8]>) {
        self.set_known(Known::of(name.as_bytes()), name, value.as_ref());
    }

    /// As [`Headers::set`], of a name that was looked up.
    pub(crate) fn set_known(&mut self, known: Known, name: &str, value: &[u8]) {
        if self.present & known.bit() == 0 {
            return self.put(known, name, value);
        }
        let place = self.append(value);
        let mut placed = false;
        let bytes = &self.bytes;
        self.fields.retain_mut(|field| {
            let same = field.known == known
                && (known != Known::Other || slice(bytes, field.name).eq_ignore_ascii_case(name.as_bytes()));
            if !same {
                return true;
            }
            (field.value, field.whole) = (place, false);
            !std::mem::replace(&mut placed, true)
        });
        if !placed {
            let name = self.append(name.as_bytes());
            self.push(Field { name, value: place, known, whole: false });
        }
    }

    /// Adds a field after the others. The caller has made sure of [`is_name`] and [`is_value`].
    pub fn add(&mut self, name: &str, value: impl AsRef<[u8]>) {
        self.put(Known::of(name.as_bytes()), name, value.as_ref());
    }

    /// Adds a field whose name was looked up, as it stands on the wire.
    pub(crate) fn put(&mut self, known: Known, name: &str, value: &[u8]) {
        self.bytes.reserve(name.len() + value.len() + 4);
        let name = self.append(name.as_bytes());
        self.bytes.extend_from_slice(b": ");
        let value = self.append(value);
        self.bytes.extend_from_slice(b"\r\n");
        self.push(Field { name, value, known, whole: true });
    }

    /// Removes every field of this name; says whether there was one.
    pub fn remove(&mut self, name: &str) -> bool {
        let known = Known::of(name.as_bytes());
        if self.present & known.bit() == 0 {
            return false;
        }
        let before = self.fields.len();
        let bytes = &self.bytes;
        self.fields.retain(|field| {
            field.known != known
                || (known == Known::Other && !slice(bytes, field.name).eq_ignore_ascii_case(name.as_bytes()))
        });
        before != self.fields.len()
    }

    /// Keeps the fields for which `keep` holds.
    pub fn retain(&mut self, mut keep: impl FnMut(Known, &[u8], &[u8]) -> bool) {
        let bytes = &self.bytes;
        self.fields.retain(|field| keep(field.known, slice(bytes, field.name), slice(bytes, field.value)));
    }

    /// All values of `name` joined by `, ` (RFC 9110 §5.3); `None` when there is none.
    pub fn joined(&self, name: &str) -> Option<std::borrow::Cow<'_, [u8]>> {
        let known = Known::of(name.as_bytes());
        let mut values = self
            .among(known)
            .iter()
            .filter(|field| self.is(field, known, name.as_bytes()))
            .map(|field| self.at(field.value));
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
    &bytes[place.0 as usize..(place.0 + place.1) as usize]
}

#[allow(clippy::cast_possible_truncation, reason = "a head is bounded far below 4 GiB")]
fn span(range: Range<usize>) -> (u32, u32) {
    (range.start as u32, range.len() as u32)
}
