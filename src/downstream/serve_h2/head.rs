//! A request's head as it came in a stream, held to the same rules as one of HTTP/1.1 (RFC 9113 §8.3; STANDARDS S-05).
//!
//! What the codec resets by itself never gets here: pseudo-fields out of place, upper-case names, fields of a connection,
//! control characters, a Content-Length that the frames contradict.

use std::rc::Rc;

use http::HeaderMap;
use http::request::Parts;

use crate::downstream::Limits;
use crate::downstream::Refusal;
use crate::http::Headers;
use crate::http::Method;
use crate::http::Request;
use crate::http::Scheme;
use crate::http::Version;
use crate::http::authority;
use crate::http::h1::number;
use crate::http::h2;
use crate::http::headers::Known;
use crate::http::path;

/// A head, understood; the request's body is still to be put in.
pub(super) struct Head {
    pub(super) request: Request,
    /// `Content-Length`, which the codec holds the client to.
    pub(super) length: Option<u64>,
    /// The client waits for `100 Continue`.
    pub(super) expects: bool,
}

/// Reads a head; `ended`: no body follows.
pub(super) fn read(parts: &Parts, ended: bool, scheme: Scheme, limits: &Limits) -> Result<Head, Refusal> {
    let target = target(parts, limits)?;
    measure(&parts.headers, target.len(), limits)?;
    let method = Method::of(parts.method.as_str());
    let upgrade = upgrade(parts, &method, ended)?;
    let (raw_path, query) = match target.split_once('?') {
        Some((path, query)) => (path, Some(query.to_owned())),
        None => (target, None),
    };
    let whole = raw_path == "*" && method == Method::Options;
    if !whole && !raw_path.starts_with('/') {
        return Err(Refusal::Malformed("the target is no path"));
    }
    let host = host(parts, scheme)?;
    let length = length(&parts.headers)?;
    if length.is_some_and(|length| length > limits.body) {
        return Err(Refusal::BodyTooLarge);
    }
    let expects = expects(&parts.headers)?;
    let (path, raw_path) = path::received(raw_path.to_owned(), limits.path).map_err(Refusal::Path)?;
    let request = Request {
        // A handshake is the same whatever it came by (RFC 8441 §5).
        method: if upgrade.is_some() { Method::Get } else { method },
        path,
        raw_path,
        query,
        host,
        scheme,
        version: Version::Http2,
        headers: fields(&parts.headers)?,
        upgrade,
        ..Request::default()
    };
    Ok(Head { request, length, expects: expects && !ended })
}

/// Path and query: visible ASCII without `#`, as in HTTP/1.1.
fn target<'a>(parts: &'a Parts, limits: &Limits) -> Result<&'a str, Refusal> {
    let plain = parts.method == http::Method::CONNECT && parts.extensions.get::<::h2::ext::Protocol>().is_none();
    if plain || parts.method == http::Method::TRACE {
        return Err(Refusal::Method);
    }
    let target = parts.uri.path_and_query().map(http::uri::PathAndQuery::as_str).unwrap_or_default();
    if target.len() > limits.uri {
        return Err(Refusal::UriTooLong);
    }
    if !target.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'#') {
        return Err(Refusal::Malformed("a character in the target that must be escaped"));
    }
    match parts.uri.scheme_str() {
        None | Some("http" | "https") => Ok(target),
        Some(_) => Err(Refusal::Malformed("the scheme is neither http nor https")),
    }
}

/// The same limits as of a head of HTTP/1.1, as if it stood in lines.
fn measure(map: &HeaderMap, target: usize, limits: &Limits) -> Result<(), Refusal> {
    let size = |name: &http::HeaderName, value: &http::HeaderValue| name.as_str().len() + value.len() + 4;
    if map.len() > limits.header_count {
        let beyond = map.keys().last().map(|name| name.as_str().to_owned()).unwrap_or_default();
        return Err(Refusal::HeadersTooLarge(beyond));
    }
    if target + map.iter().map(|(name, value)| size(name, value)).sum::<usize>() > limits.headers {
        let largest = map.iter().max_by_key(|(name, value)| size(name, value));
        return Err(Refusal::HeadersTooLarge(largest.map(|(name, _)| name.as_str().to_owned()).unwrap_or_default()));
    }
    Ok(())
}

/// The protocol an extended CONNECT asks for (RFC 8441 §4).
fn upgrade(parts: &Parts, method: &Method, ended: bool) -> Result<Option<String>, Refusal> {
    match parts.extensions.get::<::h2::ext::Protocol>() {
        None => Ok(None),
        Some(_) if ended => Err(Refusal::Malformed("an extended CONNECT without a stream")),
        Some(protocol) if *method == Method::Connect && protocol.as_str().eq_ignore_ascii_case("websocket") => {
            Ok(Some("websocket".to_owned()))
        }
        Some(_) => Err(Refusal::Method),
    }
}

/// `:authority`, which a `Host` beside it must not contradict (RFC 9113 §8.3.1), else `Host`.
fn host(parts: &Parts, scheme: Scheme) -> Result<Rc<str>, Refusal> {
    let valid = |value: &[u8], why| authority::valid(value).ok_or(Refusal::Malformed(why));
    let mut hosts = parts.headers.get_all(http::header::HOST).iter();
    let field = hosts.next().map(|value| valid(value.as_bytes(), "Host is not a valid authority")).transpose()?;
    if hosts.next().is_some() {
        return Err(Refusal::Malformed("more than one Host"));
    }
    let named = parts.uri.authority().map(|named| valid(named.as_str().as_bytes(), "`:authority` is not valid"));
    match (named.transpose()?, field) {
        (Some(named), Some(field)) if portless(&named, scheme) != portless(&field, scheme) => {
            Err(Refusal::Malformed("`:authority` and Host contradict each other"))
        }
        (Some(named), _) => Ok(named),
        (None, Some(field)) => Ok(field),
        (None, None) => Err(Refusal::Malformed("no `:authority`")),
    }
}

/// Without the scheme's own port.
fn portless(host: &str, scheme: Scheme) -> &str {
    let usual = if scheme == Scheme::Https { ":443" } else { ":80" };
    host.strip_suffix(usual).unwrap_or(host)
}

fn length(map: &HeaderMap) -> Result<Option<u64>, Refusal> {
    let mut lengths = map.get_all(http::header::CONTENT_LENGTH).iter();
    let Some(first) = lengths.next() else { return Ok(None) };
    if lengths.next().is_some() {
        return Err(Refusal::Malformed("more than one Content-Length"));
    }
    number(first.as_bytes()).map(Some).ok_or(Refusal::Malformed("Content-Length is not a number"))
}

fn expects(map: &HeaderMap) -> Result<bool, Refusal> {
    let mut wishes = map.get_all(http::header::EXPECT).iter();
    match (wishes.next(), wishes.next()) {
        (None, _) => Ok(false),
        (Some(wish), None) if wish.as_bytes().eq_ignore_ascii_case(b"100-continue") => Ok(true),
        _ => Err(Refusal::Expectation),
    }
}

/// The fields that go on: without framing and Host; the pieces of `Cookie` joined (RFC 9113 §8.2.3).
fn fields(map: &HeaderMap) -> Result<Headers, Refusal> {
    let mut fault = None;
    let mut headers = h2::headers(map, |known, name, value| {
        if !is_sound(value.as_bytes()) {
            fault = Some("a field value begins or ends with white space");
        }
        if known == Known::Other && name.as_str().contains('_') {
            fault = Some("a field name with an underscore");
        }
        !h2::is_of_a_connection(known)
            && !matches!(
                known,
                Known::Host
                    | Known::ContentLength
                    | Known::Expect
                    | Known::Cookie
                    | Known::ProxyAuthenticate
                    | Known::ProxyAuthorization
            )
    });
    if let Some(fault) = fault {
        return Err(Refusal::Malformed(fault));
    }
    let mut cookies = map.get_all(http::header::COOKIE).iter();
    if let Some(first) = cookies.next() {
        let mut joined = first.as_bytes().to_vec();
        for cookie in cookies {
            joined.extend_from_slice(b"; ");
            joined.extend_from_slice(cookie.as_bytes());
        }
        headers.put(Known::Cookie, "cookie", &joined);
    }
    Ok(headers)
}

fn is_sound(value: &[u8]) -> bool {
    !matches!(value, [b' ' | b'\t', ..] | [.., b' ' | b'\t'])
}

#[cfg(test)]
mod tests;
