//! What a gateway reads of gRPC over HTTP/2: whose messages they are, and how much time a call has left.

use std::ops::Range;
use std::time::Duration;

use crate::http::Headers;
use crate::http::headers::Known;

/// How long a call may take from now on, told at every hop.
pub const TIMEOUT: &str = "grpc-timeout";

/// Whether a message is of gRPC.
pub fn is_grpc(headers: &Headers) -> bool {
    is_media(headers.known(Known::ContentType).next().unwrap_or_default())
}

/// `application/grpc` and its kin; gRPC-Web is not, it has its trailers in the body.
pub fn is_media(media: &[u8]) -> bool {
    let Some(rest) = media.get(..16).filter(|start| start.eq_ignore_ascii_case(b"application/grpc")) else {
        return false;
    };
    matches!(media[rest.len()..].first(), None | Some(b'+' | b';' | b' '))
}

/// A value of [`TIMEOUT`]: at most eight digits and a unit.
pub fn read_timeout(text: &str) -> Option<Duration> {
    let (digits, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    if digits.len() > 8 || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let value: u64 = digits.parse().ok()?;
    match unit {
        "H" => Some(Duration::from_secs(value * 3600)),
        "M" => Some(Duration::from_secs(value * 60)),
        "S" => Some(Duration::from_secs(value)),
        "m" => Some(Duration::from_millis(value)),
        "u" => Some(Duration::from_micros(value)),
        "n" => Some(Duration::from_nanos(value)),
        _ => None,
    }
}

/// A value of [`TIMEOUT`] in the finest unit that has room; never more than `left`.
pub fn write_timeout(left: Duration) -> String {
    const MOST: u128 = 99_999_999;
    match (left.as_micros(), left.as_millis()) {
        (micros, _) if micros <= MOST => format!("{micros}u"),
        (_, millis) if millis <= MOST => format!("{millis}m"),
        _ => format!("{}S", u128::from(left.as_secs()).min(MOST)),
    }
}

/// Takes `elapsed` off the time that the field lines of a call tell its service; other messages stay as they are.
pub fn shorten(lines: &mut Vec<u8>, elapsed: Duration) {
    if !value_of(lines, b"content-type").is_some_and(|value| is_media(&lines[value])) {
        return;
    }
    let Some(place) = value_of(lines, TIMEOUT.as_bytes()) else { return };
    if let Some(told) = std::str::from_utf8(&lines[place.clone()]).ok().and_then(read_timeout) {
        lines.splice(place, write_timeout(told.saturating_sub(elapsed)).into_bytes());
    }
}

/// Where the value of `name` stands in field lines, each ended by CRLF.
fn value_of(lines: &[u8], name: &[u8]) -> Option<Range<usize>> {
    let mut at = 0;
    while let Some(length) = memchr::memmem::find(&lines[at..], b"\r\n") {
        let line = &lines[at..at + length];
        if line.get(name.len()) == Some(&b':') && line[..name.len()].eq_ignore_ascii_case(name) {
            let value = &line[name.len() + 1..];
            let start = at + line.len() - value.trim_ascii_start().len();
            return Some(start..start + value.trim_ascii().len());
        }
        at += length + 2;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timeouts_are_read_and_never_grow() {
        for (text, nanos) in [("1H", 3_600_000_000_000), ("2M", 120_000_000_000), ("99999999n", 99_999_999), ("0S", 0)]
        {
            assert_eq!(read_timeout(text), Some(Duration::from_nanos(nanos)), "{text}");
        }
        for text in ["", "S", "1", "1s", "123456789S", "-1S", "+1S", "1.5S", "1S ", "\u{e9}S", "1\u{e9}"] {
            assert_eq!(read_timeout(text), None, "{text}");
        }
        for left in [0, 1_500, 99_999_999_000, 100_000_000_123, 99_999_999_000_000, 99_999_999_000_000_000] {
            let left = Duration::from_nanos(left);
            let told = read_timeout(&write_timeout(left)).unwrap();
            assert!(told <= left && left - told < Duration::from_secs(1), "{left:?} became {told:?}");
        }
    }

    #[test]
    fn a_media_type_says_who_is_a_client_of_grpc() {
        for (media, yes) in [
            ("application/grpc", true),
            ("Application/gRPC+proto", true),
            ("application/grpc; charset=x", true),
            ("application/grpc-web", false),
            ("application/grpc-web+proto", false),
            ("application/json", false),
            ("", false),
        ] {
            assert_eq!(is_grpc(&Headers::of(&[("content-type", media)])), yes, "{media}");
        }
        assert!(!is_grpc(&Headers::default()));
    }

    #[test]
    fn time_that_passed_is_taken_off_what_the_lines_of_a_call_tell() {
        let call = "content-type: application/grpc\r\n";
        for (lines, then) in [
            (
                format!("{call}grpc-timeout: 60000000u\r\nx: y\r\n"),
                format!("{call}grpc-timeout: 50000000u\r\nx: y\r\n"),
            ),
            (format!("Grpc-Timeout:  1M \r\n{call}"), format!("Grpc-Timeout:  50000000u \r\n{call}")),
            (format!("{call}grpc-timeout: 3S\r\n"), format!("{call}grpc-timeout: 0u\r\n")),
            (format!("{call}grpc-timeout: soon\r\n"), format!("{call}grpc-timeout: soon\r\n")),
            (format!("{call}x-grpc-timeout: 1M\r\n"), format!("{call}x-grpc-timeout: 1M\r\n")),
            ("grpc-timeout: 1M\r\n".to_owned(), "grpc-timeout: 1M\r\n".to_owned()),
            (String::new(), String::new()),
        ] {
            let mut shorter = lines.clone().into_bytes();
            shorten(&mut shorter, Duration::from_secs(10));
            assert_eq!(String::from_utf8(shorter).unwrap(), then, "{lines:?}");
        }
    }
}
