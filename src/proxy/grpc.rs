//! gRPC through the gateway: its own failures as `grpc-status` (S-80), a client's deadline kept and passed on (S-81).
//!
//! Everything else about it is HTTP/2: trailers, streams both ways, `te: trailers`.

use std::time::Duration;

use percent_encoding::AsciiSet;
use percent_encoding::CONTROLS;
use percent_encoding::utf8_percent_encode;

use crate::http::Body;
use crate::http::Headers;
use crate::http::Response;
use crate::http::headers::Known;
use crate::proxy::Code;
use crate::proxy::Exchange;

const TIMEOUT: &str = "grpc-timeout";

/// Puts a failure on its way to a gRPC client into its words: status 200, no body, `grpc-status` and `grpc-message` in
/// the one list of fields there is ("trailers only"). Functions see it as they see any failure.
pub(crate) fn translate(exchange: &Exchange, response: &mut Response) {
    let asked = is_grpc(&exchange.request.borrow().headers);
    if !asked || is_grpc(&response.headers) || response.status == 101 {
        return;
    }
    let failure = exchange.failure.borrow();
    let late = failure.as_ref().is_some_and(|it| matches!(it.code, Code::RouteTimeout | Code::UpstreamTimeout));
    let status = if late { DEADLINE_EXCEEDED } else { of_http(response.status) };
    let detail = failure.as_ref().map(|failure| failure.detail.as_str()).unwrap_or_default();
    // Whoever reads the log wants to know what HTTP would have been told.
    let noted = [("grpc_status", status), ("grpc_from", response.status)];
    exchange.record.borrow_mut().noted.extend(noted.map(|(name, value)| (name.to_owned(), value.into())));
    response.status = 200;
    response.body = Body::Empty;
    let fields = &mut response.headers;
    for name in ["content-length", "content-encoding", "cache-control", "etag"] {
        fields.remove(name);
    }
    fields.set("content-type", "application/grpc");
    fields.set("grpc-status", status.to_string());
    fields.set("grpc-message", utf8_percent_encode(detail, UNSAFE).to_string());
}

/// Lets a client's `grpc-timeout` end the request, if the route does not end it before.
pub(crate) fn hurry(exchange: &Exchange) {
    let limit = {
        let request = exchange.request.borrow();
        request.headers.text(TIMEOUT).filter(|_| is_grpc(&request.headers)).and_then(read)
    };
    if let Some(limit) = limit {
        let due = exchange.started.after(limit);
        exchange.deadline.set(exchange.deadline.get().min(due));
        exchange.end.set(exchange.end.get().min(due));
    }
}

/// What is left of the time goes on to the service.
pub(crate) fn pass_on(exchange: &Exchange) {
    let left = exchange.left();
    let mut request = exchange.request.borrow_mut();
    if request.headers.has(TIMEOUT) && is_grpc(&request.headers) {
        request.headers.set(TIMEOUT, write(left));
    }
}

/// `application/grpc` and its kin; gRPC-Web is not, it has its trailers in the body.
fn is_grpc(headers: &Headers) -> bool {
    let media = headers.known(Known::ContentType).next().unwrap_or_default();
    let Some(rest) = media.get(..16).filter(|start| start.eq_ignore_ascii_case(b"application/grpc")) else {
        return false;
    };
    matches!(media[rest.len()..].first(), None | Some(b'+' | b';' | b' '))
}

/// What gRPC makes of a status of HTTP.
fn of_http(status: u16) -> u16 {
    match status {
        400 => 13,
        401 => 16,
        403 => 7,
        404 => 12,
        429 | 502..=504 => 14,
        _ => 2,
    }
}

const DEADLINE_EXCEEDED: u16 = 4;

/// What stands in `grpc-message` as it is: printable ASCII but `%`.
const UNSAFE: &AsciiSet = &CONTROLS.add(b'%');

/// At most eight digits and a unit.
fn read(text: &str) -> Option<Duration> {
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

/// In the finest unit that has room; never more than `left`.
fn write(left: Duration) -> String {
    const MOST: u128 = 99_999_999;
    match (left.as_micros(), left.as_millis()) {
        (micros, _) if micros <= MOST => format!("{micros}u"),
        (_, millis) if millis <= MOST => format!("{millis}m"),
        _ => format!("{}S", u128::from(left.as_secs()).min(MOST)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timeouts_are_read_and_never_grow() {
        for (text, nanos) in [("1H", 3_600_000_000_000), ("2M", 120_000_000_000), ("99999999n", 99_999_999), ("0S", 0)]
        {
            assert_eq!(read(text), Some(Duration::from_nanos(nanos)), "{text}");
        }
        for text in ["", "S", "1", "1s", "123456789S", "-1S", "+1S", "1.5S", "1S ", "\u{e9}S", "1\u{e9}"] {
            assert_eq!(read(text), None, "{text}");
        }
        for left in [0, 1_500, 99_999_999_000, 100_000_000_123, 99_999_999_000_000, 99_999_999_000_000_000] {
            let left = Duration::from_nanos(left);
            let told = read(&write(left)).unwrap();
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
}
