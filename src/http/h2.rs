//! Fields between our lines and the maps that HTTP/2 is spoken in, and the room that a stream has.

use std::task::Context;
use std::task::Poll;
use std::task::ready;

use bytes::Buf;
use h2::SendStream;
use http::HeaderMap;
use http::HeaderName;
use http::HeaderValue;

use crate::http::Headers;
use crate::http::headers::Known;
use crate::http::trailers::may_trail;

/// The largest piece a stream is handed at a time: one frame of the usual size.
pub(crate) const PIECE: usize = 16 << 10;

/// What belongs to a connection and has no place in HTTP/2 (RFC 9113 §8.2.2).
pub(crate) fn is_of_a_connection(known: Known) -> bool {
    matches!(
        known,
        Known::Connection
            | Known::KeepAlive
            | Known::ProxyConnection
            | Known::TransferEncoding
            | Known::Te
            | Known::Upgrade
            | Known::Http2Settings
    )
}

/// The fields of `map` for which `keep` holds, in our form.
pub(crate) fn headers(map: &HeaderMap, mut keep: impl FnMut(Known, &HeaderName, &HeaderValue) -> bool) -> Headers {
    let mut headers = Headers::with_room();
    for (name, value) in map {
        let known = Known::of(name.as_str().as_bytes());
        if keep(known, name, value) {
            headers.put(known, name.as_str(), value.as_bytes());
        }
    }
    headers
}

/// The fields for which `keep` holds, as HTTP/2 carries them. One that it cannot carry is left out: names and values
/// were checked when they were set.
pub(crate) fn map(headers: &Headers, mut keep: impl FnMut(Known, &[u8]) -> bool) -> HeaderMap {
    let mut map = HeaderMap::with_capacity(headers.len() + 2);
    for (known, name, value) in headers.iter() {
        if is_of_a_connection(known) || !keep(known, name) {
            continue;
        }
        if let (Ok(name), Ok(value)) = (HeaderName::from_bytes(name), HeaderValue::from_bytes(value)) {
            // More names than a map takes are more than any peer does.
            let _ = map.try_append(name, value);
        }
    }
    map
}

/// The fields after a body; `None` when none of them may stand there.
pub(crate) fn trailers(map: &HeaderMap) -> Option<Headers> {
    let headers = headers(map, |_, name, _| may_trail(name.as_str().as_bytes()));
    (!headers.is_empty()).then_some(headers)
}

/// How many of `wanted` bytes the other side of a stream takes now, at least one; `None` when it takes no more.
pub(crate) fn poll_room<B: Buf>(
    stream: &mut SendStream<B>,
    cx: &mut Context<'_>,
    wanted: usize,
) -> Poll<Option<Result<usize, h2::Error>>> {
    stream.reserve_capacity(wanted);
    while stream.capacity() == 0 {
        match ready!(stream.poll_capacity(cx)) {
            Some(Ok(_)) => {}
            over => return Poll::Ready(over),
        }
    }
    Poll::Ready(Some(Ok(stream.capacity().min(wanted))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_come_back_as_they_were_but_for_those_of_a_connection() {
        let mut ours = Headers::of(&[("X-A", "1"), ("connection", "x"), ("te", "trailers"), ("x-b", ""), ("x-a", "2")]);
        ours.add("X-Raw", b"caf\xe9");
        let map = map(&ours, |_, _| true);
        let back = headers(&map, |_, _, _| true);
        assert_eq!(back.all("x-a").collect::<Vec<_>>(), [b"1", b"2"]);
        assert_eq!((back.get("x-b"), back.get("x-raw")), (Some(&b""[..]), Some(&b"caf\xe9"[..])));
        assert_eq!((back.len(), back.has("connection"), back.has("te")), (4, false, false));
        let mut lines = Vec::new();
        back.write_to(&mut lines, |_| true);
        assert!(lines.starts_with(b"x-a: 1\r\nx-a: 2\r\n"), "{:?}", String::from_utf8_lossy(&lines));
    }

    #[test]
    fn what_could_break_a_line_is_no_field() {
        let map = map(&Headers::of(&[("x-a", "b\r\nx-c: d"), ("x y", "1"), ("x-ok", "1")]), |_, _| true);
        assert_eq!(map.len(), 1);
    }

    #[test]
    fn trailers_frame_and_route_nothing() {
        let sent = Headers::of(&[("x-sum", "42"), ("content-length", "3"), ("cookie", "a=b"), ("content-md5", "x")]);
        let trailers = trailers(&map(&sent, |_, _| true)).unwrap();
        assert_eq!((trailers.len(), trailers.text("x-sum")), (1, Some("42")));
        assert!(super::trailers(&HeaderMap::new()).is_none());
    }
}
