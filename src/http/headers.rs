//! Header fields as flat positions into one buffer: parsing fills it, edits append to it, nothing is copied between.

use std::ops::Range;

/// A list of fields in the order received; names compare without case.
#[derive(Clone, Default)]
pub struct Headers {
    bytes: Vec<u8>,
    fields: Vec<Field>,
}

#[derive(Clone, Copy)]
struct Field {
    name: (u32, u32),
    value: (u32, u32),
    known: Known,
}

impl Headers {
    /// No fields, in buffers that a pool handed out.
    pub fn reuse(mut bytes: Vec<u8>, mut others: Self) -> Self {
        bytes.clear();
        others.fields.clear();
        Self { bytes, fields: others.fields }
    }

    /// Takes over `bytes`, in which positions will be registered with [`Headers::register`].
    pub fn over(bytes: Vec<u8>) -> Self {
        Self { bytes, fields: Vec::with_capacity(16) }
    }

    /// As [`Headers::over`], with room for this many fields.
    pub fn with_room(bytes: Vec<u8>, fields: usize) -> Self {
        Self { bytes, fields: Vec::with_capacity(fields) }
    }

    /// The buffer, after the positions in it.
    pub(crate) fn fill(&mut self, bytes: Vec<u8>) {
        self.bytes = bytes;
    }

    /// Notes a field that stands in the buffer already.
    pub fn register(&mut self, name: Range<usize>, value: Range<usize>) {
        let known = Known::of(&self.bytes[name.clone()]);
        self.register_known(known, name, value);
    }

    /// Notes a field that stands in the buffer already, whose name was looked up.
    pub fn register_known(&mut self, known: Known, name: Range<usize>, value: Range<usize>) {
        self.fields.push(Field { name: span(name), value: span(value), known });
    }

    /// Writes the fields for which `keep` holds as lines ended by CRLF, as they stand on the wire.
    pub fn write_to(&self, out: &mut Vec<u8>, mut keep: impl FnMut(Known) -> bool) {
        out.reserve(self.bytes.len() + 4 * self.fields.len());
        for field in &self.fields {
            if !keep(field.known) {
                continue;
            }
            // a field as it was received is one piece: name, colon, space, value, CRLF
            let end = (field.value.0 + field.value.1) as usize;
            let whole = field.value.0 == field.name.0 + field.name.1 + 2
                && self.bytes.get(end..end + 2) == Some(b"\r\n")
                && self.bytes[field.value.0 as usize - 1] == b' ';
            if whole {
                out.extend_from_slice(&self.bytes[field.name.0 as usize..end + 2]);
            } else {
                out.extend_from_slice(self.at(field.name));
                out.extend_from_slice(b": ");
                out.extend_from_slice(self.at(field.value));
                out.extend_from_slice(b"\r\n");
            }
        }
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
        self.fields.iter().find(|field| self.is(field, known, name.as_bytes())).map(|field| self.at(field.value))
    }

    /// The first value of `name` as text, when it is UTF-8.
    pub fn text(&self, name: &str) -> Option<&str> {
        self.get(name).and_then(|value| std::str::from_utf8(value).ok())
    }

    /// Every value of `name`, in order.
    pub fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a [u8]> + 'a {
        let known = Known::of(name.as_bytes());
        self.fields.iter().filter(move |field| self.is(field, known, name.as_bytes())).map(|field| self.at(field.value))
    }

    /// Every value of a well-known name, in order.
    pub fn known(&self, known: Known) -> impl Iterator<Item = &[u8]> {
        self.fields.iter().filter(move |field| field.known == known).map(|field| self.at(field.value))
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
        let known = Known::of(name.as_bytes());
        let value = self.append(value.as_ref());
        let mut placed = false;
        let bytes = &self.bytes;
        self.fields.retain_mut(|field| {
            let same = field.known == known
                && (known != Known::Other || slice(bytes, field.name).eq_ignore_ascii_case(name.as_bytes()));
            if !same {
                return true;
            }
            field.value = value;
            !std::mem::replace(&mut placed, true)
        });
        if !placed {
            let name = self.append(name.as_bytes());
            self.fields.push(Field { name, value, known });
        }
    }

    /// Adds a field after the others. The caller has made sure of [`is_name`] and [`is_value`].
    pub fn add(&mut self, name: &str, value: impl AsRef<[u8]>) {
        let known = Known::of(name.as_bytes());
        let name = self.append(name.as_bytes());
        let value = self.append(value.as_ref());
        self.fields.push(Field { name, value, known });
    }

    /// Removes every field of this name; says whether there was one.
    pub fn remove(&mut self, name: &str) -> bool {
        let known = Known::of(name.as_bytes());
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
        let mut values =
            self.fields.iter().filter(|field| self.is(field, known, name.as_bytes())).map(|field| self.at(field.value));
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
pub(crate) fn first_control(bytes: &[u8], mut at: usize) -> usize {
    while let Some(word) = bytes[at..].first_chunk() {
        let found = controls(u64::from_le_bytes(*word));
        if found != 0 {
            return at + found.trailing_zeros() as usize / 8;
        }
        at += 8;
    }
    bytes[at..].iter().position(|&byte| byte < b' ' || byte == 0x7f).map_or(bytes.len(), |found| at + found)
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

macro_rules! known_names {
    ($($variant:ident $text:literal),* $(,)?) => {
        /// Names the gateway itself looks at, told apart once, when a head is parsed.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[repr(u8)]
        pub enum Known {
            /// Any other name.
            Other,
            $(#[doc = $text] $variant,)*
        }

        impl Known {
            const ALL: &[(Self, &str)] = &[$((Self::$variant, $text),)*];
        }
    };
}

impl Known {
    /// Which one `name` is, without case. Any bytes may be asked for: what is known is a token.
    #[inline]
    pub fn of(name: &[u8]) -> Self {
        if name.is_empty() {
            return Self::Other;
        }
        match TABLE[slot(SALT, name)] {
            Some((known, text)) if is_same(name, text.as_bytes()) => known,
            _ => Self::Other,
        }
    }
}

/// Whether `name` is `lower` but for its case, eight bytes at a time. `lower` holds letters, digits and `-` only; bit 5 is
/// free where bit 6 says that a letter stands, and nowhere else.
#[inline]
fn is_same(name: &[u8], lower: &[u8]) -> bool {
    if name.len() != lower.len() {
        return false;
    }
    let (Some(name_end), Some(lower_end)) = (name.last_chunk::<8>(), lower.last_chunk::<8>()) else {
        return name.eq_ignore_ascii_case(lower);
    };
    let word = |bytes: &[u8; 8]| u64::from_le_bytes(*bytes);
    let same = |a: &[u8; 8], b: &[u8; 8]| word(a) | (word(b) & 0x4040_4040_4040_4040) >> 1 == word(b);
    let (name, lower) = (name.as_chunks().0, lower.as_chunks().0);
    same(name_end, lower_end) && name.iter().zip(lower).all(|(a, b)| same(a, b))
}

/// A perfect hash over the names, found while compiling: one slot to look at, one comparison.
const SALT: u32 = find_salt();
static TABLE: [Option<(Known, &str)>; 256] = table(SALT);

const fn slot(salt: u32, name: &[u8]) -> usize {
    let length = name.len();
    let (first, late, last) = (name[0] | 0x20, name[length * 3 / 4] | 0x20, name[length - 1] | 0x20);
    (u32::from_le_bytes([length as u8, first, late, last]).wrapping_mul(salt) >> 24) as usize
}

const fn find_salt() -> u32 {
    let mut salt = 0x9e37_79b1_u32;
    loop {
        let (mut taken, mut at) = ([false; 256], 0);
        while at < Known::ALL.len() {
            let slot = slot(salt, Known::ALL[at].1.as_bytes());
            if taken[slot] {
                break;
            }
            taken[slot] = true;
            at += 1;
        }
        if at == Known::ALL.len() {
            return salt;
        }
        salt = salt.wrapping_mul(0x0019_660d).wrapping_add(0x3c6e_f35f) | 1;
    }
}

const fn table(salt: u32) -> [Option<(Known, &'static str)>; 256] {
    let (mut table, mut at) = ([None; 256], 0);
    while at < Known::ALL.len() {
        table[slot(salt, Known::ALL[at].1.as_bytes())] = Some(Known::ALL[at]);
        at += 1;
    }
    table
}

known_names! {
    Host "host", Connection "connection", ContentLength "content-length", TransferEncoding "transfer-encoding",
    ContentType "content-type", ContentEncoding "content-encoding", Te "te", Trailer "trailer", Upgrade "upgrade",
    Expect "expect", KeepAlive "keep-alive", ProxyConnection "proxy-connection",
    ProxyAuthenticate "proxy-authenticate", ProxyAuthorization "proxy-authorization", Via "via",
    Forwarded "forwarded", XForwardedFor "x-forwarded-for", XForwardedProto "x-forwarded-proto",
    XForwardedHost "x-forwarded-host", XForwardedPort "x-forwarded-port", XRealIp "x-real-ip",
    XRequestId "x-request-id", Traceparent "traceparent", Tracestate "tracestate", Cookie "cookie",
    SetCookie "set-cookie", Authorization "authorization", Accept "accept", AcceptEncoding "accept-encoding",
    UserAgent "user-agent", Date "date", Server "server", Etag "etag", Origin "origin", Location "location",
    Http2Settings "http2-settings", MaxForwards "max-forwards", CacheControl "cache-control",
    LastModified "last-modified", AcceptRanges "accept-ranges", AcceptLanguage "accept-language", Vary "vary",
    Referer "referer", IfNoneMatch "if-none-match", IfModifiedSince "if-modified-since",
}

#[cfg(test)]
mod tests {
    use super::Known;

    #[test]
    fn known_names_are_found_in_any_case_and_no_others() {
        for (known, name) in Known::ALL {
            assert_eq!(Known::of(name.as_bytes()), *known, "{name}");
            assert_eq!(Known::of(name.to_ascii_uppercase().as_bytes()), *known, "{name}");
            for at in 0..name.len() {
                let mut other = name.as_bytes().to_vec();
                for byte in 0..=u8::MAX {
                    other[at] = byte;
                    let same = other.eq_ignore_ascii_case(name.as_bytes());
                    assert_eq!(Known::of(&other) == *known, same, "{name} with {byte} at {at}");
                }
            }
            assert_eq!(Known::of(&name.as_bytes()[1..]), Known::Other);
        }
        assert_eq!(Known::of(b""), Known::Other);
        assert_eq!(Known::of(b"x"), Known::Other);
    }
}
