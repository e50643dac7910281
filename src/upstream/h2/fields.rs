//! Heads and trailers between our lines and HTTP/2's fields.

use std::borrow::Cow;

use http::HeaderMap;
use http::HeaderName;
use http::HeaderValue;
use http::Request;
use http::Uri;
use http::header;
use percent_encoding::AsciiSet;
use percent_encoding::utf8_percent_encode;

use crate::http::Headers;
use crate::http::Method;
use crate::http::Version;
use crate::http::h1::Framing;
use crate::http::h1::ResponseHead;
use crate::http::h2;
use crate::http::headers::Known;
use crate::upstream::Outbound;
use crate::upstream::Protocol;
use crate::upstream::host::Host;

/// The head of a request to `host`; says what of it HTTP/2 cannot carry.
pub(super) fn request(outbound: &Outbound, host: &Host, framing: Framing) -> Result<Request<()>, String> {
    let scheme = if host.address.is_secure() { "https" } else { "http" };
    let authority = outbound.host.as_deref().unwrap_or(&host.authority);
    let uri = |target: &str| Uri::builder().scheme(scheme).authority(authority).path_and_query(target).build();
    let uri = uri(&outbound.target).or_else(|_| uri(&encoded(&outbound.target)));
    let mut request = Request::new(());
    *request.method_mut() = http::Method::from_bytes(outbound.method.as_str().as_bytes()).map_err(text)?;
    *request.uri_mut() = uri.map_err(|error| format!("`{authority}` or the path: {error}"))?;
    *request.version_mut() = http::Version::HTTP_2;
    *request.headers_mut() = lines(&outbound.fields)?;
    let headers = request.headers_mut();
    match framing {
        Framing::Length(length) => drop(headers.try_insert(header::CONTENT_LENGTH, length.into()).map_err(text)?),
        // a method that usually has a body says so when there is none (RFC 9110 §8.6)
        Framing::None if matches!(outbound.method, Method::Post | Method::Put | Method::Patch) => {
            headers.try_insert(header::CONTENT_LENGTH, 0.into()).map_err(text)?;
        }
        _ => {}
    }
    let grpc = |value: &HeaderValue| value.as_bytes().starts_with(b"application/grpc");
    if host.protocol == Protocol::Grpc || headers.get(header::CONTENT_TYPE).is_some_and(grpc) {
        headers.try_insert(header::TE, HeaderValue::from_static("trailers")).map_err(text)?;
    }
    Ok(request)
}

/// What a target may not hold in HTTP/2 as our libraries see it, percent-encoded.
fn encoded(target: &str) -> Cow<'_, str> {
    const UNSAFE: &AsciiSet = &percent_encoding::CONTROLS.add(b' ').add(b'"').add(b'<').add(b'>').add(b'`').add(b'#');
    utf8_percent_encode(target, UNSAFE).into()
}

/// Field lines as fields. What belongs to a connection has no place here (RFC 9113 §8.2.2), whoever let it through.
fn lines(fields: &[u8]) -> Result<HeaderMap, String> {
    let mut map = HeaderMap::new();
    let mut rest = fields;
    while let Some(end) = memchr::memmem::find(rest, b"\r\n") {
        let (line, next) = (&rest[..end], &rest[end + 2..]);
        rest = next;
        let Some(colon) = memchr::memchr(b':', line) else { return Err("a field without a colon".into()) };
        let (name, value) = (&line[..colon], line[colon + 1..].trim_ascii());
        let known = Known::of(name);
        if is_told_otherwise(known) || h2::is_of_a_connection(known) {
            continue;
        }
        let name = HeaderName::from_bytes(name).map_err(text)?;
        map.try_append(name, HeaderValue::from_bytes(value).map_err(text)?).map_err(text)?;
    }
    Ok(map)
}

/// Trailers as fields.
pub(super) fn trailers(headers: &Headers) -> HeaderMap {
    h2::map(headers, |known, _| !is_told_otherwise(known))
}

/// What the authority and the framing of a request say.
fn is_told_otherwise(known: Known) -> bool {
    matches!(known, Known::Host | Known::ContentLength)
}

/// The head of an answer, and how long its body is where that was said. `to_head`: to a request that was `HEAD`.
pub(super) fn response(parts: http::response::Parts, to_head: bool) -> (ResponseHead, Option<u64>) {
    let bodiless = to_head || parts.status == 304;
    let length = parts.headers.get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse().ok());
    let head = ResponseHead {
        status: parts.status.as_u16(),
        version: Version::Http2,
        // the length only where it stands for a body that does not come
        headers: h2::headers(&parts.headers, |known, _, _| bodiless || known != Known::ContentLength),
        framing: Framing::None,
        keep_alive: true,
        idle: None,
        upgrade: None,
    };
    (head, length.filter(|_| !bodiless))
}

fn text(error: impl ToString) -> String {
    error.to_string()
}
