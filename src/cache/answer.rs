//! From an answer to what is stored of it, and from what is stored to an answer.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use crate::cache::Entry;
use crate::cache::control::TARGETED;
use crate::http::Body;
use crate::http::Headers;
use crate::http::Response;
use crate::http::conditional;
use crate::http::message::Origin;
use crate::http::range;
use crate::http::range::Part;

/// The tags an answer carries (`Surrogate-Key`, separated by space; `Cache-Tag`, by comma), which are for this cache only.
pub fn tags(headers: &Headers) -> Vec<Box<str>> {
    let text = |tag: &[u8]| String::from_utf8_lossy(tag).into_owned().into_boxed_str();
    let keys = headers.all("surrogate-key").flat_map(|line| line.split(|&byte| byte == b' '));
    let tags = headers.all("cache-tag").flat_map(|line| line.split(|&byte| byte == b',')).map(<[u8]>::trim_ascii);
    keys.chain(tags).filter(|tag| !tag.is_empty()).take(MOST_TAGS).map(text).collect()
}

/// Takes out what is for this cache only, or for the proxy that asked (RFC 9111 §3.1).
pub fn strip(headers: &mut Headers) {
    headers.remove("proxy-authentication-info");
    headers.remove("surrogate-key");
    headers.remove("cache-tag");
    headers.remove(TARGETED[0]);
}

/// The fields of a stored answer, brought up to date by those of a 304 (RFC 9111 §3.2).
pub fn freshened(stored: &Headers, new: &Headers) -> Headers {
    let mut headers = stored.clone();
    let text = |name: &[u8]| String::from_utf8_lossy(name).to_ascii_lowercase();
    let mut seen: Vec<String> = Vec::new();
    for (_, name, value) in new.iter() {
        let name = text(name);
        // What describes the body that is stored stays as it is; a cookie is for the one client who asked.
        if matches!(
            name.as_str(),
            "content-length" | "content-encoding" | "content-range" | "transfer-encoding" | "age" | "set-cookie"
        ) {
            continue;
        }
        if seen.contains(&name) {
            headers.add(&name, value);
        } else {
            headers.set(&name, value);
            seen.push(name);
        }
    }
    strip(&mut headers);
    headers
}

/// Whether a 304 is about what is stored: another entity tag than the one that was asked about names another
/// representation (§4.3.4).
pub fn is_about(stored: &Headers, new: &Headers) -> bool {
    match (stored.get("etag"), new.get("etag")) {
        (Some(stored), Some(new)) => conditional::opaque(stored) == conditional::opaque(new),
        _ => true,
    }
}

/// The validators to ask the service with whether a stored answer is still right (§4.3.1).
pub fn validators(entry: &Entry) -> Vec<(&'static str, Vec<u8>)> {
    let etag = entry.headers.get("etag").map(|tag| ("if-none-match", tag.to_vec()));
    let modified = entry.headers.get("last-modified").map(|date| ("if-modified-since", date.to_vec()));
    etag.into_iter().chain(modified).collect()
}

/// The answer to a request from what is stored: whole, a part (206), that nothing changed (304), or that there is no such
/// part (416). `None` when the body's first bytes are gone. `now` in Unix seconds.
pub fn response(entry: &Arc<Entry>, request: &Headers, age: Duration, now: u64) -> Option<Response> {
    let mut response = Response { status: entry.status, origin: Origin::Cache, ..Response::default() };
    response.headers = entry.headers.for_now();
    response.headers.set("age", itoa::Buffer::new().format(age.as_secs()));
    if entry.status == 200 && conditional::not_modified(request, &entry.headers, now) {
        response.status = 304;
        response.headers.retain(|_, name, _| !name.to_ascii_lowercase().starts_with(b"content-") || is_location(name));
        return Some(response);
    }
    match entry.content.whole() {
        Some(whole) => whole_or_part(entry, request, whole, &mut response),
        None => response.body = Body::stream(entry.content.read()?),
    }
    Some(response)
}

fn is_location(name: &[u8]) -> bool {
    name.eq_ignore_ascii_case(b"content-location")
}

fn whole_or_part(entry: &Entry, request: &Headers, whole: Bytes, response: &mut Response) {
    let asked =
        request.get("range").filter(|_| entry.status == 200 && conditional::may_be_partial(request, &entry.headers));
    let length = whole.len() as u64;
    match range::part(asked, length) {
        Part::Whole => response.body = whole.into(),
        #[allow(clippy::cast_possible_truncation, reason = "the part lies within what is in memory")]
        Part::Bytes(part) => {
            response.status = 206;
            response.headers.set("content-range", format!("bytes {}-{}/{length}", part.start, part.end - 1));
            response.body = whole.slice(part.start as usize..part.end as usize).into();
        }
        Part::Unsatisfiable => {
            response.status = 416;
            response.headers = Headers::default();
            response.headers.set("content-range", format!("bytes */{length}"));
        }
    }
}

/// Most tags of one answer.
const MOST_TAGS: usize = 256;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cache::content::Content;
    use crate::cache::freshness::Life;
    use crate::clock::Moment;

    fn entry(fields: &[(&str, &str)]) -> Arc<Entry> {
        Arc::new(Entry {
            status: 200,
            headers: Headers::of(fields),
            life: Life::default(),
            arrived: Moment::default(),
            born: 0,
            key: Box::default(),
            vary: Box::default(),
            tags: Box::default(),
            path: "/".into(),
            content: Content::complete(Bytes::from_static(b"0123456789")),
        })
    }

    fn answer(entry: &Arc<Entry>, request: &[(&str, &str)]) -> (u16, Vec<u8>, Headers) {
        let response = response(entry, &Headers::of(request), Duration::from_secs(7), 1_795_000_000).unwrap();
        let body = response.body.at_hand().map(|body| body.to_vec()).unwrap_or_default();
        (response.status, body, response.headers)
    }

    #[test]
    fn a_stored_answer_tells_its_age() {
        let (status, body, fields) = answer(&entry(&[("content-type", "text/plain")]), &[]);
        assert_eq!((status, body.as_slice(), fields.text("age")), (200, &b"0123456789"[..], Some("7")));
    }

    #[test]
    fn who_has_it_already_is_told_so_without_the_body() {
        let entry = entry(&[("etag", "\"a\""), ("content-type", "text/plain"), ("content-location", "/x")]);
        let (status, body, fields) = answer(&entry, &[("if-none-match", "\"a\""), ("range", "bytes=0-1")]);
        assert_eq!((status, body.len()), (304, 0));
        assert!(fields.has("etag") && fields.has("content-location") && !fields.has("content-type"));
    }

    #[test]
    fn parts_come_from_what_is_complete() {
        let entry = entry(&[("etag", "\"a\"")]);
        let (status, body, fields) = answer(&entry, &[("range", "bytes=2-4")]);
        assert_eq!((status, body.as_slice()), (206, &b"234"[..]));
        assert_eq!(fields.text("content-range"), Some("bytes 2-4/10"));
        let (status, _, fields) = answer(&entry, &[("range", "bytes=10-")]);
        assert_eq!((status, fields.text("content-range")), (416, Some("bytes */10")));
        assert_eq!(answer(&entry, &[("range", "bytes=2-4"), ("if-range", "\"b\"")]).0, 200);
    }

    #[test]
    fn freshening_replaces_fields_but_for_those_of_the_body() {
        let stored = Headers::of(&[("etag", "\"a\""), ("x", "1"), ("x", "2"), ("content-encoding", "gzip")]);
        let new = Headers::of(&[("X", "3"), ("x", "4"), ("content-encoding", "br"), ("surrogate-key", "t")]);
        let fresh = freshened(&stored, &new);
        assert_eq!(fresh.all("x").collect::<Vec<_>>(), [b"3", b"4"]);
        assert_eq!(fresh.text("content-encoding"), Some("gzip"));
        assert!(!fresh.has("surrogate-key") && fresh.has("etag"));
    }

    #[test]
    fn tags_are_read_in_both_spellings() {
        let tags = tags(&Headers::of(&[("surrogate-key", "a b  c"), ("cache-tag", "d, e,,f")]));
        assert_eq!(tags, ["a", "b", "c", "d", "e", "f"].map(Box::from));
    }
}
