//! The field section of a head: which fields frame the message, which end here, which go on.

use std::ops::Range;

use crate::http::Headers;
use crate::http::Version;
use crate::http::h1::Fault;
use crate::http::h1::Framing;
use crate::http::h1::HeadLimits;
use crate::http::h1::Memo;
use crate::http::h1::line;
use crate::http::h1::line::Line;
use crate::http::h1::tokens;
use crate::http::headers::Known;

/// What the fields that concern this connection alone said.
pub(super) struct Hop<'a> {
    version: Version,
    is_request: bool,
    pub length: Option<u64>,
    pub lengths: u32,
    pub chunked: bool,
    pub host: Option<&'a [u8]>,
    pub close: bool,
    pub keep_alive: bool,
    pub wants_upgrade: bool,
    pub upgrade: Option<&'a [u8]>,
    pub trailers: bool,
    pub expect: Option<&'a [u8]>,
    pub keep_alive_field: Option<&'a [u8]>,
    names_others: bool,
}

/// Reads the fields of a head, which begin at `start` of `buf`: hop-by-hop ones are understood by `hop` and left out, the
/// others come back as [`Headers`], with the length of the head. `None` when it is not complete yet. `memo`: what stood in
/// the head before.
pub(super) fn read<'a>(
    buf: &'a [u8],
    start: usize,
    limits: HeadLimits,
    hop: &mut Hop<'a>,
    mut memo: Option<&mut Memo>,
) -> Result<Option<(Headers, usize)>, Fault> {
    let mut headers = Headers::with_room();
    let is_request = hop.is_request;
    let (mut at, mut count) = (start, 0);
    let length = loop {
        let (field, next) = match memo.as_deref().and_then(|memo| memo.line(count, buf, at)) {
            Some(seen) => seen,
            None => match line::field(buf, at)? {
                Line::Field { field, next } => {
                    if let Some(memo) = &mut memo {
                        memo.keep(count, &buf[at..next], field.earlier(at));
                    }
                    (field, next)
                }
                Line::End(length) => break length,
                Line::Partial => return Ok(None),
            },
        };
        (at, count) = (next, count + 1);
        if count > limits.count {
            return Err(Fault::HeadersTooLarge(first_beyond(buf, limits.count)));
        }
        if !hop.takes(field.known(), &buf[field.value()])? {
            if is_request && field.known() == Known::Other && memchr::memchr(b'_', &buf[field.name()]).is_some() {
                return Err(Fault::Malformed("a field name with an underscore"));
            }
            headers.note(field);
        }
    };
    if length > limits.bytes {
        return Err(Fault::HeadersTooLarge(largest(&buf[..length])));
    }
    headers.fill(&buf[..length]);
    if hop.names_others {
        strip_named(&buf[..length], start, &mut headers);
    }
    Ok(Some((headers, length)))
}

impl<'a> Hop<'a> {
    /// Of a head whose first line said this.
    pub(super) fn of(version: Version, is_request: bool) -> Self {
        Self {
            version,
            is_request,
            length: None,
            lengths: 0,
            chunked: false,
            host: None,
            close: false,
            keep_alive: false,
            wants_upgrade: false,
            upgrade: None,
            trailers: false,
            expect: None,
            keep_alive_field: None,
            names_others: false,
        }
    }

    /// Takes a field that ends here; false for one that goes on.
    #[inline]
    fn takes(&mut self, known: Known, value: &'a [u8]) -> Result<bool, Fault> {
        if !ends_here(known, self.is_request) {
            return Ok(false);
        }
        match known {
            Known::ContentLength => self.take_length(value)?,
            Known::TransferEncoding => self.take_coding(value)?,
            Known::Connection => self.take_options(value),
            Known::Host => once(&mut self.host, value, Fault::Malformed("more than one Host"))?,
            Known::Upgrade => once(&mut self.upgrade, value, Fault::Malformed("more than one Upgrade"))?,
            Known::Te => self.trailers |= tokens(value).any(is_trailers),
            Known::KeepAlive => self.keep_alive_field = Some(value),
            Known::Expect => once(&mut self.expect, value, Fault::Expectation)?,
            _ => {}
        }
        Ok(true)
    }

    /// One plain number (RFC 9112 §6.3); a repeated field is refused in requests, a differing one in answers.
    fn take_length(&mut self, value: &[u8]) -> Result<(), Fault> {
        let length = number(value).ok_or(Fault::Malformed("Content-Length is not a number"))?;
        self.lengths += 1;
        if self.lengths > 1 && (self.is_request || self.length != Some(length)) {
            return Err(Fault::Malformed("more than one Content-Length"));
        }
        self.length = Some(length);
        Ok(())
    }

    fn take_coding(&mut self, value: &[u8]) -> Result<(), Fault> {
        if self.version == Version::Http10 {
            return Err(Fault::Malformed("Transfer-Encoding in HTTP/1.0"));
        }
        if self.chunked || !value.eq_ignore_ascii_case(b"chunked") {
            return Err(Fault::Malformed("Transfer-Encoding is not exactly `chunked`"));
        }
        self.chunked = true;
        Ok(())
    }

    fn take_options(&mut self, value: &[u8]) {
        for option in tokens(value) {
            if option.eq_ignore_ascii_case(b"keep-alive") {
                self.keep_alive = true;
            } else if option.eq_ignore_ascii_case(b"close") {
                self.close = true;
            } else if option.eq_ignore_ascii_case(b"upgrade") {
                self.wants_upgrade = true;
            } else {
                self.names_others = true;
            }
        }
    }

    /// What the two framing fields come to, or why they contradict each other. `Length` may be zero here.
    pub(super) fn framing(&self) -> Result<Framing, Fault> {
        match (self.length, self.chunked) {
            (Some(_), true) => Err(Fault::Malformed("both Content-Length and Transfer-Encoding")),
            (Some(length), false) => Ok(Framing::Length(length)),
            (None, true) => Ok(Framing::Chunked),
            (None, false) => Ok(Framing::None),
        }
    }

    /// Whether the connection may carry another message after this one.
    pub(super) fn stays_open(&self) -> bool {
        !self.close && (self.version == Version::Http11 || self.keep_alive)
    }

    /// The protocols asked for or agreed to, HTTP's own left out.
    pub(super) fn protocol(&self) -> Option<String> {
        let value = self.upgrade.filter(|_| self.wants_upgrade)?;
        let mut wanted = String::new();
        for token in tokens(value).filter(|token| !token.eq_ignore_ascii_case(b"h2c")) {
            if !wanted.is_empty() {
                wanted.push_str(", ");
            }
            wanted.push_str(std::str::from_utf8(token).ok()?);
        }
        (!wanted.is_empty()).then_some(wanted)
    }
}

/// Takes a value that may come once.
fn once<'a>(place: &mut Option<&'a [u8]>, value: &'a [u8], again: Fault) -> Result<(), Fault> {
    if place.replace(value).is_some() { Err(again) } else { Ok(()) }
}

/// Whether a field is for this connection alone, or frames the message.
#[inline]
fn ends_here(known: Known, is_request: bool) -> bool {
    match known {
        Known::Host | Known::Expect => is_request,
        Known::ContentLength
        | Known::TransferEncoding
        | Known::Connection
        | Known::Upgrade
        | Known::Te
        | Known::KeepAlive
        | Known::ProxyConnection
        | Known::ProxyAuthenticate
        | Known::ProxyAuthorization
        | Known::Http2Settings => true,
        _ => false,
    }
}

/// Removes what `Connection` names, but never what tells who asks and where the request has been (S-01).
fn strip_named(head: &[u8], start: usize, headers: &mut Headers) {
    let mut at = start;
    let lines = std::iter::from_fn(|| match line::field(head, at) {
        Ok(Line::Field { field, next }) => {
            at = next;
            Some((field.known(), field.value()))
        }
        _ => None,
    });
    let connection = lines.filter(|(known, _)| *known == Known::Connection);
    for name in connection.flat_map(|(_, value)| tokens(&head[value])) {
        let known = Known::of(name);
        let kept = known.is_forwarding() || matches!(known, Known::Via | Known::XRealIp);
        if let (false, Ok(name)) = (kept, std::str::from_utf8(name)) {
            headers.remove(name);
        }
    }
}

/// A plain decimal number that fits, digits only.
pub(crate) fn number(value: &[u8]) -> Option<u64> {
    if value.is_empty() || value.len() > 19 {
        return None;
    }
    value.iter().try_fold(0u64, |number, byte| byte.is_ascii_digit().then(|| number * 10 + u64::from(byte - b'0')))
}

/// Where `part`, a slice of `whole`, stands in it.
pub(super) fn place(whole: &[u8], part: &[u8]) -> Range<usize> {
    let start = (part.as_ptr() as usize).wrapping_sub(whole.as_ptr() as usize);
    if part.is_empty() || start > whole.len() { 0..0 } else { start..start + part.len() }
}

/// The name of the longest field line in a head that is too large; of a head's start, if it is not complete.
pub(super) fn largest(head: &[u8]) -> String {
    let lines = head.split(|&byte| byte == b'\n').skip(1);
    let longest = lines.max_by_key(|line| line.len()).unwrap_or_default();
    let name = longest.split(|&byte| byte == b':').next().unwrap_or_default();
    name.iter().take(64).filter(|byte| byte.is_ascii_graphic()).map(|&byte| char::from(byte)).collect()
}

/// The name of the field after the first `count`.
pub(super) fn first_beyond(head: &[u8], count: usize) -> String {
    let line = head.split(|&byte| byte == b'\n').nth(count + 1).unwrap_or_default();
    let name = line.split(|&byte| byte == b':').next().unwrap_or_default();
    name.iter().take(64).filter(|byte| byte.is_ascii_graphic()).map(|&byte| char::from(byte)).collect()
}

fn is_trailers(token: &[u8]) -> bool {
    token.split(|&byte| byte == b';').next().is_some_and(|name| name.trim_ascii().eq_ignore_ascii_case(b"trailers"))
}
