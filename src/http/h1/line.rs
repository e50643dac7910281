//! The lines of a head, one after another: where their parts stand. Nothing is copied, and nothing is read in two ways.

use crate::http::Version;
use crate::http::h1::Fault;
use crate::http::headers::Field;
use crate::http::headers::Known;
use crate::http::headers::first_control;
use crate::http::headers::is_name;
use crate::http::headers::is_token;

/// A request's first line.
pub(super) struct RequestLine<'a> {
    pub(super) method: &'a [u8],
    /// Visible ASCII without `#`.
    pub(super) target: &'a str,
    pub(super) version: Version,
    /// Where the next line begins.
    pub(super) next: usize,
}

/// What stands where a field may.
pub(super) enum Line {
    Field {
        /// Where its parts stand; what is whole may go on as it does.
        field: Field,
        /// Where the next line begins.
        next: usize,
    },
    /// The empty line; the head ends here.
    End(usize),
    /// The line is not complete yet.
    Partial,
}

const MALFORMED: Fault = Fault::Malformed("the first line is malformed");
const BARE: Fault = Fault::Malformed("a line ends without CR");

/// The first line of a request; `None` when it is not complete yet.
pub(super) fn request(buf: &[u8]) -> Result<Option<RequestLine<'_>>, Fault> {
    let Some(end) = buf.iter().position(|&byte| !is_token(byte)) else { return Ok(None) };
    if end == 0 || buf[end] != b' ' {
        return Err(MALFORMED);
    }
    let (method, rest) = (&buf[..end], &buf[end + 1..]);
    let Some(end) = rest.iter().position(|&byte| !TARGET[usize::from(byte)]) else { return Ok(None) };
    let (target, rest) = (&rest[..end], &rest[end..]);
    if rest[0] != b' ' || target.is_empty() {
        return Err(match rest[0] {
            b' ' | b'\r' | b'\n' => MALFORMED,
            _ => Fault::Malformed("a character in the target that must be escaped"),
        });
    }
    let version = match rest.first_chunk() {
        Some(b" HTTP/1.1\r\n") => Version::Http11,
        Some(b" HTTP/1.0\r\n") => Version::Http10,
        _ => return no_version(&rest[1..]).map(|()| None),
    };
    // the table lets nothing but ASCII pass
    let target = std::str::from_utf8(target).map_err(|_| MALFORMED)?;
    Ok(Some(RequestLine { method, target, version, next: method.len() + target.len() + 12 }))
}

/// `rest` is not (or not yet) a version of ours with its line's end.
fn no_version(rest: &[u8]) -> Result<(), Fault> {
    let version = rest.split(|&byte| byte == b'\n').next().unwrap_or_default();
    if version.len() == rest.len() {
        let begun = b"HTTP/1.1\r\n".starts_with(rest) || b"HTTP/1.0\r\n".starts_with(rest);
        let other = is_other(rest.trim_ascii_end()) || b"HTTP/".starts_with(rest);
        return if begun || other { Ok(()) } else { Err(MALFORMED) };
    }
    match version.trim_ascii_end() {
        b"HTTP/1.1" | b"HTTP/1.0" if version.last() != Some(&b'\r') => Err(BARE),
        text if is_other(text) => Err(Fault::Version),
        _ => Err(MALFORMED),
    }
}

/// Another version than ours, soundly written.
fn is_other(version: &[u8]) -> bool {
    match version.strip_prefix(b"HTTP/") {
        Some([b'1', b'.', b'0' | b'1']) => false,
        Some([major, b'.', minor]) => major.is_ascii_digit() && minor.is_ascii_digit(),
        Some([major]) => major.is_ascii_digit(),
        _ => false,
    }
}

static TARGET: [bool; 256] = {
    let (mut table, mut at) = ([false; 256], 0);
    while at < 256 {
        table[at] = (at as u8).is_ascii_graphic() && at as u8 != b'#';
        at += 1;
    }
    table
};

/// The first line of an answer: its status, its version, and where the next line begins.
pub(super) fn status(buf: &[u8]) -> Result<Option<(u16, Version, usize)>, Fault> {
    const USUAL: &[u8] = b"HTTP/1.1 200 OK\r\n";
    if buf.starts_with(USUAL) {
        return Ok(Some((200, Version::Http11, USUAL.len())));
    }
    let malformed = || Fault::Malformed("the status is malformed");
    let Some(&[b'H', b'T', b'T', b'P', b'/', b'1', b'.', minor, b' ', a, b, c]) = buf.first_chunk() else {
        let begun = buf.len() < 12 && buf.iter().zip(b"HTTP/1.").all(|(a, b)| a == b);
        return if begun { Ok(None) } else { Err(malformed()) };
    };
    let version = match minor {
        b'0' => Version::Http10,
        b'1' => Version::Http11,
        _ => return Err(malformed()),
    };
    if ![a, b, c].iter().all(u8::is_ascii_digit) {
        return Err(malformed());
    }
    let status = [a, b, c].iter().fold(0, |status, digit| status * 10 + u16::from(digit - b'0'));
    match buf.get(12) {
        None => return Ok(None),
        Some(b' ' | b'\r' | b'\n') => {}
        Some(_) => return Err(malformed()),
    }
    Ok(end(buf, 12)?.map(|end| (status, version, end + 2)))
}

/// The field line that begins at `at`.
#[inline(always)]
pub(super) fn field(buf: &[u8], at: usize) -> Result<Line, Fault> {
    let rest = &buf[at..];
    match rest {
        [] => return Ok(Line::Partial),
        [b'\r'] => return Ok(Line::Partial),
        [b'\r', b'\n', ..] => return Ok(Line::End(at + 2)),
        [b'\r' | b'\n', ..] => return Err(BARE),
        _ => {}
    }
    let no_name = || Fault::Malformed("a field name is not a token, or a line is folded");
    let Some(colon) = colon(rest) else {
        return if rest.iter().all(|&byte| is_token(byte)) { Ok(Line::Partial) } else { Err(no_name()) };
    };
    let known = Known::of(&rest[..colon]);
    if known == Known::Other && !is_name(&rest[..colon]) {
        return Err(no_name());
    }
    let mut start = at + colon + 1;
    while let Some(b' ' | b'\t') = buf.get(start) {
        start += 1;
    }
    let Some(end) = end(buf, start)? else { return Ok(Line::Partial) };
    let mut last = end;
    while last > start && matches!(buf[last - 1], b' ' | b'\t') {
        last -= 1;
    }
    let whole = start == at + colon + 2 && buf[start - 1] == b' ' && last == end;
    Ok(Line::Field { field: Field::new(known, at..at + colon, start..last, whole), next: end + 2 })
}

/// Where the first colon is, eight bytes at a time.
#[inline]
fn colon(buf: &[u8]) -> Option<usize> {
    const ONES: u64 = 0x0101_0101_0101_0101;
    let (words, rest) = buf.as_chunks();
    for (index, word) in words.iter().enumerate() {
        let word = u64::from_le_bytes(*word) ^ (ONES * b':' as u64);
        // the lowest byte that is marked is zero; those above it may be marked for its sake
        let found = word.wrapping_sub(ONES) & !word & (ONES * 0x80);
        if found != 0 {
            return Some(index * 8 + found.trailing_zeros() as usize / 8);
        }
    }
    rest.iter().position(|&byte| byte == b':').map(|found| words.len() * 8 + found)
}

/// Where the CR LF is that ends the line around `at`; `None` when it has not come yet. Nothing before it is a control
/// character but tabs.
#[inline]
fn end(buf: &[u8], mut at: usize) -> Result<Option<usize>, Fault> {
    loop {
        at = first_control(buf, at);
        match buf.get(at..) {
            Some([b'\r', b'\n', ..]) => return Ok(Some(at)),
            Some([] | [b'\r']) | None => return Ok(None),
            Some([b'\t', ..]) => at += 1,
            Some([b'\n', ..]) => return Err(BARE),
            Some(_) => return Err(Fault::Malformed("a control character in a field value")),
        }
    }
}
