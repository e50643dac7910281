//! Heads, framing, paths, and fields that say who calls and how long an answer lives.

use std::net::IpAddr;
use std::time::Duration;

use moongate::cache::control::Control;
use moongate::cache::freshness;
use moongate::cache::freshness::Arrival;
use moongate::cache::freshness::Asked;
use moongate::cache::freshness::Rules;
use moongate::downstream::proxy_protocol;
use moongate::http::Headers;
use moongate::http::Method;
use moongate::http::conditional;
use moongate::http::date;
use moongate::http::h1;
use moongate::http::h1::Chunked;
use moongate::http::h1::HeadLimits;
use moongate::http::h1::Memo;
use moongate::http::h1::Piece;
use moongate::http::h1::Scan;
use moongate::http::path as paths;
use moongate::http::path::Ambiguous;
use moongate::http::range;
use moongate::net::Trust;
use moongate::primitive::cookie;

use super::lossy;
use super::two;

const LIMITS: HeadLimits = HeadLimits { bytes: 4000, count: 20, uri: 500 };

/// Taken at once or byte by byte, a head is the same; nothing in it could end a line.
pub(super) fn request(bytes: &[u8]) {
    let whole = h1::request(bytes, LIMITS, &mut Scan::default());
    let mut scan = Scan::default();
    let pieces = (0..=bytes.len()).find_map(|end| match h1::request(&bytes[..end], LIMITS, &mut scan) {
        Ok(None) => None,
        done => Some(done),
    });
    let length = |done: &Result<Option<(h1::RequestHead, usize)>, h1::Fault>| match done {
        Ok(Some((_, length))) => Some(*length),
        _ => None,
    };
    if let Some(done) = &pieces {
        assert_eq!(length(&whole), length(done));
    }
    if let Ok(Some((head, length))) = whole {
        assert!(length <= LIMITS.bytes && head.headers.len() <= LIMITS.count);
        assert!(!head.target.bytes().any(|byte| byte.is_ascii_control() || byte == b' '), "{:?}", head.target);
        sound(&head.headers);
    }
}

pub(super) fn response(bytes: &[u8]) {
    // the second time beside what the first one left
    let mut memo = Memo::default();
    for to_head in [false, true, true] {
        if let Ok(Some((head, length))) = h1::response(bytes, LIMITS, &mut Scan::default(), to_head, Some(&mut memo)) {
            assert!(length <= bytes.len() && (100..=999).contains(&head.status), "{length} {}", head.status);
            sound(&head.headers);
        }
    }
}

fn sound(headers: &Headers) {
    for (_, name, value) in headers.iter() {
        assert!(moongate::http::headers::is_name(name), "{name:?}");
        assert!(!value.iter().any(|byte| matches!(byte, b'\r' | b'\n' | 0)), "{value:?}");
    }
}

/// Taken at once or byte by byte, a body is the same.
pub(super) fn chunks(bytes: &[u8]) {
    let whole = decode(bytes, usize::MAX);
    let crumbs = decode(bytes, 1);
    match (&whole, &crumbs) {
        (Ok(whole), Ok(crumbs)) => assert_eq!(whole, crumbs),
        (Err(()), Err(())) => {}
        other => panic!("{other:?}"),
    }
}

/// What was decoded, and how much of the input was used when the end came.
fn decode(bytes: &[u8], step: usize) -> Result<(Vec<u8>, Option<usize>), ()> {
    let (mut coding, mut data, mut taken, mut shown) = (Chunked::new(), Vec::new(), 0, 0);
    loop {
        let (framing, piece) = coding.next(&bytes[taken..shown]).map_err(|_| ())?;
        taken += framing;
        match piece {
            Piece::Data(ready) => {
                assert!(ready > 0 && taken + ready <= shown);
                data.extend_from_slice(&bytes[taken..taken + ready]);
                taken += ready;
                coding.took(ready);
            }
            Piece::End => {
                coding.trailers().iter().for_each(sound);
                return Ok((data, Some(taken)));
            }
            Piece::More if shown == bytes.len() => return Ok((data, None)),
            Piece::More => shown = shown.saturating_add(step).min(bytes.len()),
        }
    }
}

/// Canonical twice is canonical once; no dot segment is left.
pub(super) fn path(bytes: &[u8]) {
    let raw: String = bytes.iter().filter(|byte| byte.is_ascii_graphic()).map(|&byte| char::from(byte)).collect();
    let raw = format!("/{raw}");
    for policy in [Ambiguous::Reject, Ambiguous::Keep, Ambiguous::Decode] {
        let Ok(once) = paths::canonical(&raw, policy) else { continue };
        assert!(once.starts_with('/'), "{raw} became {once}");
        assert!(!once.split('/').any(|part| matches!(part, "." | "..")), "{raw} became {once}");
        let twice = paths::canonical(&once, policy).unwrap_or_else(|why| panic!("{raw} became {once}: {why}"));
        assert_eq!(once, twice, "{raw}");
        if policy == Ambiguous::Reject {
            assert!(!once.to_lowercase().contains("%2f") && !once.contains(['\\', ';']), "{raw} became {once}");
        }
    }
}

pub(super) fn proxy_protocol(bytes: &[u8]) {
    let _ = proxy_protocol::text(bytes);
    let _ = proxy_protocol::bytes(bytes);
}

/// Forwarding fields never name a client that no trusted peer vouches for.
pub(super) fn forwarded(bytes: &[u8]) {
    let (first, second) = two(bytes);
    let mut headers = Headers::default();
    for (name, value) in [("x-forwarded-for", first), ("forwarded", second)] {
        if moongate::http::headers::is_value(value) {
            headers.add(name, value);
        }
    }
    let peer: IpAddr = [192, 0, 2, 1].into();
    assert_eq!(Trust::Nobody.client(Some(peer), &headers), Some(peer));
    let stranger = Trust::Networks(vec!["10.0.0.0/8".parse().expect("a network")]);
    assert_eq!(stranger.client(Some(peer), &headers), Some(peer));
    let trusting = Trust::Networks(vec!["192.0.2.0/24".parse().expect("a network")]);
    for trust in [trusting, Trust::Hops(1), Trust::Hops(7)] {
        assert!(trust.client(Some(peer), &headers).is_some());
    }
}

/// Any answer can be judged; one that is kept has a life that does not overflow.
pub(super) fn cache_control(bytes: &[u8]) {
    let (first, second) = two(bytes);
    let mut headers = Headers::default();
    for (index, line) in second.split(|&byte| byte == b'\n').enumerate() {
        let name = ["cache-control", "expires", "age", "date", "vary", "etag", "last-modified"][index % 7];
        if moongate::http::headers::is_value(line) {
            headers.add(name, line);
        }
    }
    let mut asked = Headers::default();
    if moongate::http::headers::is_value(first) {
        asked.set("cache-control", first);
        asked.set("if-modified-since", first);
        asked.set("if-none-match", first);
    }
    let control = Control::of_request(&asked);
    let request = Asked { method: &Method::Get, control: &control, identified: bytes.len().is_multiple_of(2) };
    let arrival = Arrival { unix: Duration::from_secs(1_750_000_000), delay: Duration::from_millis(5) };
    if let Ok(life) = freshness::store(request, 200, &headers, &Rules::default(), arrival) {
        for age in [0, 1, 1_000_000] {
            freshness::usable(&life, Duration::from_secs(age), &control, true, false);
        }
    }
    conditional::not_modified(&asked, &headers, 1_750_000_000);
    conditional::may_be_partial(&asked, &headers);
}

/// Small values of single fields.
pub(super) fn fields(bytes: &[u8]) {
    let text = lossy(bytes);
    let _ = date::parse(bytes, 1_750_000_000);
    for length in [0, 1, 100, u64::MAX] {
        range::part(Some(bytes), length);
    }
    let _ = moongate::http::coding::choose(Some(bytes), &[]);
    for (name, _) in cookie::parse(&text) {
        let _ = cookie::find(&text, name);
    }
}
