//! A response's head.

use std::time::Duration;

use crate::http::Headers;
use crate::http::Version;
use crate::http::h1::Fault;
use crate::http::h1::Framing;
use crate::http::h1::HeadLimits;
use crate::http::h1::Memo;
use crate::http::h1::Scan;
use crate::http::h1::fields;
use crate::http::h1::fields::Hop;
use crate::http::h1::line;
use crate::http::h1::tokens;

/// An answer's head, understood; 1xx answers come through here too.
pub struct ResponseHead {
    /// 100..=599.
    pub status: u16,
    /// The version.
    pub version: Version,
    /// The fields without framing and hop-by-hop ones. `Content-Length` stays where there is no body but it says
    /// how long one would be (an answer to `HEAD`, a 304).
    pub headers: Headers,
    /// How the body ends; `None` for an answer to `HEAD`, 1xx, 204 and 304.
    pub framing: Framing,
    /// Whether the service is ready for another request on this connection.
    pub keep_alive: bool,
    /// `Keep-Alive: timeout=…`.
    pub idle: Option<Duration>,
    /// The protocol of a 101.
    pub upgrade: Option<String>,
}

/// Parses a head at the start of `buf`; `None` when it is not complete yet. `to_head`: the request was `HEAD`;
/// `memo`: what stood in the head before that came from there.
pub fn response(
    buf: &[u8],
    limits: HeadLimits,
    scan: &mut Scan,
    to_head: bool,
    memo: Option<&mut Memo>,
) -> Result<Option<(ResponseHead, usize)>, Fault> {
    if let Some(seen) = memo.as_deref().and_then(|memo| memo.head(buf, limits, to_head)) {
        *scan = Scan::default();
        return Ok(Some(seen));
    }
    match buf.first() {
        None => return Ok(None),
        Some(b'H') => {}
        Some(_) => return Err(Fault::Malformed("not an HTTP/1 answer")),
    }
    let fresh = scan.is_fresh();
    if !fresh && !scan.complete(buf)? {
        return partial(buf, limits);
    }
    match parse(buf, limits, to_head, memo)? {
        Some(done) => {
            *scan = Scan::default();
            Ok(Some(done))
        }
        None if !fresh || scan.complete(buf)? => Err(Fault::Malformed("the head is malformed")),
        None => partial(buf, limits),
    }
}

fn partial<T>(buf: &[u8], limits: HeadLimits) -> Result<Option<T>, Fault> {
    if buf.len() > limits.bytes { Err(Fault::HeadersTooLarge(fields::largest(buf))) } else { Ok(None) }
}

fn parse(
    buf: &[u8],
    limits: HeadLimits,
    to_head: bool,
    mut memo: Option<&mut Memo>,
) -> Result<Option<(ResponseHead, usize)>, Fault> {
    let Some((status, version, start)) = line::status(buf)? else { return Ok(None) };
    if !(100..=599).contains(&status) {
        return Err(Fault::Malformed("the status is out of range"));
    }
    let mut hop = Hop::of(version, false);
    let Some((mut headers, length)) = fields::read(buf, start, limits, &mut hop, memo.as_deref_mut())? else {
        return Ok(None);
    };
    let framed = hop.framing()?;
    let bodiless = to_head || status < 200 || status == 204 || status == 304;
    if let (Framing::Length(length), true) = (framed, to_head || status == 304) {
        headers.add("content-length", itoa::Buffer::new().format(length));
    }
    let framing = match framed {
        _ if bodiless => Framing::None,
        Framing::Length(0) => Framing::None,
        Framing::None => Framing::Close,
        framing => framing,
    };
    let head = ResponseHead {
        status,
        version,
        headers,
        framing,
        keep_alive: hop.stays_open() && framing != Framing::Close,
        idle: hop.keep_alive_field.and_then(idle),
        upgrade: if status == 101 { hop.protocol() } else { None },
    };
    if let Some(memo) = memo {
        memo.understood(&head, length, limits, to_head);
    }
    Ok(Some((head, length)))
}

fn idle(value: &[u8]) -> Option<Duration> {
    tokens(value).find_map(|parameter| {
        let (name, seconds) = parameter.split_at_checked("timeout=".len())?;
        let seconds = name.eq_ignore_ascii_case(b"timeout=").then(|| fields::number(seconds))??;
        Some(Duration::from_secs(seconds))
    })
}
