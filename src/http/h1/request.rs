//! A request's head.

use std::rc::Rc;

use crate::http::Headers;
use crate::http::Method;
use crate::http::Version;
use crate::http::authority;
use crate::http::h1::Fault;
use crate::http::h1::Framing;
use crate::http::h1::HeadLimits;
use crate::http::h1::Scan;
use crate::http::h1::fields;
use crate::http::h1::fields::Hop;
use crate::http::h1::line;

/// A request's head, understood. What concerns this connection alone is in fields of its own.
pub struct RequestHead {
    /// The method; never `CONNECT` or `TRACE`.
    pub method: Method,
    /// Path and query as received, origin form (or `*`, for `OPTIONS` only).
    pub target: String,
    /// Where in `target` the path ends: at `?`, or its length.
    pub path_end: usize,
    /// The authority, lower case: that of an absolute-form target, else `Host`; empty only in HTTP/1.0.
    pub host: Rc<str>,
    /// The version.
    pub version: Version,
    /// The fields without framing, hop-by-hop ones, `Host` and `Expect`.
    pub headers: Headers,
    /// How the body is told from the next request.
    pub framing: Framing,
    /// Whether the client is ready for another request on this connection.
    pub keep_alive: bool,
    /// `Expect: 100-continue` with a body to come.
    pub expects_continue: bool,
    /// `TE: trailers`.
    pub trailers: bool,
    /// The protocol the client asks to upgrade to.
    pub upgrade: Option<String>,
}

/// Parses a head at the start of `buf`; `None` when it is not complete yet. The number is the head's length in bytes.
pub fn request(buf: &[u8], limits: HeadLimits, scan: &mut Scan) -> Result<Option<(RequestHead, usize)>, Fault> {
    // one empty line before a request is tolerated (RFC 9112 §2.2), no more
    let skipped = if buf.starts_with(b"\r\n") { 2 } else { 0 };
    let buf = &buf[skipped..];
    match buf.first() {
        None => return Ok(None),
        Some(b'\r') if buf.len() == 1 && skipped == 0 => return Ok(None),
        Some(byte) if !byte.is_ascii_graphic() => return Err(Fault::Malformed("the first line is malformed")),
        Some(_) => {}
    }
    let fresh = scan.is_fresh();
    if !fresh && !scan.complete(buf)? {
        return partial(buf, limits);
    }
    match parse(buf, limits)? {
        Some((head, length)) => {
            *scan = Scan::default();
            Ok(Some((head, length + skipped)))
        }
        None if !fresh || scan.complete(buf)? => Err(Fault::Malformed("the head is malformed")),
        None => partial(buf, limits),
    }
}

/// An incomplete head is refused as soon as it is too large.
fn partial<T>(buf: &[u8], limits: HeadLimits) -> Result<Option<T>, Fault> {
    let room = limits.uri.min(limits.bytes);
    if buf.len() > room {
        let line = memchr::memchr(b'\n', buf).unwrap_or(buf.len());
        let target = buf[..line].splitn(3, |&byte| byte == b' ').nth(1).unwrap_or_default();
        if target.len() > limits.uri || (line == buf.len() && line > limits.bytes) {
            return Err(Fault::UriTooLong);
        }
    }
    if buf.len() > limits.bytes { Err(Fault::HeadersTooLarge(fields::largest(buf))) } else { Ok(None) }
}

fn parse(buf: &[u8], limits: HeadLimits) -> Result<Option<(RequestHead, usize)>, Fault> {
    let Some(line) = line::request(buf)? else { return Ok(None) };
    if line.target.len() > limits.uri {
        return Err(Fault::UriTooLong);
    }
    let mut hop = Hop::of(line.version, true);
    let Some((headers, length)) = fields::read(buf, line.next, limits, &mut hop, None)? else { return Ok(None) };
    build(line.method, line.target, line.version, &hop, headers).map(|head| Some((head, length)))
}

fn build(method: &[u8], target: &str, version: Version, hop: &Hop<'_>, headers: Headers) -> Result<RequestHead, Fault> {
    let framing = match hop.framing()? {
        Framing::Length(0) => Framing::None,
        framing => framing,
    };
    let method = Method::of_token(method);
    if matches!(method, Method::Connect | Method::Trace) {
        return Err(Fault::Method);
    }
    let (named, target) = split_target(&method, target)?;
    let host = match (hop.host, version) {
        (Some(host), _) => authority::valid(host).ok_or(Fault::Malformed("Host is not a valid authority"))?,
        (None, Version::Http10) => Rc::default(),
        (None, _) => return Err(Fault::Malformed("no Host")),
    };
    let host = match named {
        Some(named) => authority::valid(named).ok_or(Fault::Malformed("the target's authority is not valid"))?,
        None => host,
    };
    let expects_continue = match hop.expect {
        Some(value) if !value.eq_ignore_ascii_case(b"100-continue") => return Err(Fault::Expectation),
        expect => expect.is_some() && version == Version::Http11 && framing != Framing::None,
    };
    Ok(RequestHead {
        method,
        path_end: memchr::memchr(b'?', target.as_bytes()).unwrap_or(target.len()),
        target: if target.starts_with('?') { format!("/{target}") } else { target.to_owned() },
        host,
        version,
        headers,
        framing,
        keep_alive: hop.stays_open(),
        expects_continue,
        trailers: hop.trailers,
        // a body and a new protocol would compete for the bytes that follow
        upgrade: if framing == Framing::None && version == Version::Http11 { hop.protocol() } else { None },
    }
    .with_root())
}

impl RequestHead {
    /// `http://host?query` has an empty path, which means `/` (RFC 9110 §4.2.3).
    fn with_root(mut self) -> Self {
        if self.path_end == 0 {
            self.path_end = 1;
        }
        self
    }
}

/// The authority, if the target has one, and path with query.
fn split_target<'a>(method: &Method, target: &'a str) -> Result<(Option<&'a [u8]>, &'a str), Fault> {
    if target.starts_with('/') {
        return Ok((None, target));
    }
    if target == "*" {
        return match method {
            Method::Options => Ok((None, target)),
            _ => Err(Fault::Malformed("the target `*` is for OPTIONS")),
        };
    }
    let rest = strip_prefix(target, "http://").or_else(|| strip_prefix(target, "https://"));
    let rest = rest.ok_or(Fault::Malformed("the target is neither a path nor an http URL"))?;
    let end = rest.find(['/', '?']).unwrap_or(rest.len());
    let (authority, path) = rest.split_at(end);
    let path = match (path, method) {
        ("", Method::Options) => "*",
        ("", _) => "/",
        (path, _) => path,
    };
    Ok((Some(authority.as_bytes()), path))
}

fn strip_prefix<'a>(text: &'a str, prefix: &str) -> Option<&'a str> {
    let (start, rest) = text.split_at_checked(prefix.len())?;
    start.eq_ignore_ascii_case(prefix).then_some(rest)
}
