//! `Proxy-Status` (RFC 9209): what went wrong on the way to a service, where the script wants clients to know.

use crate::http::Response;
use crate::plan::ProxyStatus;
use crate::proxy::Code;
use crate::proxy::Exchange;

/// Tells why the gateway itself made this answer.
pub(crate) fn failed(exchange: &Exchange, response: &mut Response) {
    let wanted = exchange.site.shared.plan.gateway.proxy_status;
    if wanted == ProxyStatus::Off {
        return;
    }
    let failure = exchange.failure.borrow();
    let error = failure
        .as_ref()
        .map_or("proxy_internal_response", |failure| error_type(&failure.code, failure.status, &failure.cause));
    let host = failure.as_ref().and_then(|failure| failure.host.clone());
    add(response, format!("moongate; error={error}"), host.as_deref().filter(|_| wanted == ProxyStatus::Full));
}

/// Tells that the service itself answered with a failure; what stands there already was said behind it.
pub(crate) fn received(exchange: &Exchange, response: &mut Response) {
    let wanted = exchange.site.shared.plan.gateway.proxy_status;
    if wanted == ProxyStatus::Off {
        return;
    }
    let host = response.host.clone().filter(|_| wanted == ProxyStatus::Full);
    add(response, format!("moongate; received-status={}", response.status), host.as_deref());
}

fn add(response: &mut Response, mut value: String, next_hop: Option<&str>) {
    if let Some(host) = next_hop {
        let plain = |byte: &u8| matches!(byte, b' '..=b'~') && !matches!(byte, b'"' | b'\\');
        value.push_str("; next-hop=\"");
        value.extend(host.bytes().filter(plain).map(char::from));
        value.push('"');
    }
    response.headers.add("Proxy-Status", &value);
}

/// The error type (RFC 9209 §2.3) of a failure.
fn error_type(code: &Code, status: u16, cause: &str) -> &'static str {
    match code {
        Code::UpstreamConnect if cause.ends_with("has no address") => "dns_error",
        Code::UpstreamConnect => "connection_refused",
        Code::UpstreamConnectTimeout => "connection_timeout",
        Code::UpstreamTimeout | Code::RouteTimeout => "http_response_timeout",
        Code::UpstreamIdle => "connection_read_timeout",
        Code::UpstreamReset | Code::UpstreamResetReused => "connection_terminated",
        Code::UpstreamProtocol => "http_protocol_error",
        Code::UpstreamTls if cause.contains("certificate") => "tls_certificate_error",
        Code::UpstreamTls => "tls_protocol_error",
        Code::UpstreamNoneHealthy => "destination_unavailable",
        Code::UpstreamUnknown => "destination_not_found",
        Code::UpstreamTooLarge => "http_response_body_size",
        Code::UpstreamOverload => "connection_limit_reached",
        Code::RequestLoop => "proxy_loop_detected",
        Code::ScriptError | Code::ScriptTimeout | Code::ScriptMemory | Code::ScriptAnswer | Code::NoAnswer => {
            "proxy_internal_error"
        }
        _ if code.as_str().starts_with("request.") || code.as_str().starts_with("body.") => "http_request_error",
        _ if (400..500).contains(&status) => "http_request_denied",
        _ => "proxy_internal_response",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failures_have_the_types_of_the_registry() {
        for (code, status, cause, told) in [
            (Code::UpstreamConnect, 502, "upstream `s`: a:80: refused", "connection_refused"),
            (Code::UpstreamConnect, 502, "upstream `s`: a:80: its name has no address", "dns_error"),
            (Code::UpstreamTls, 502, "invalid peer certificate: UnknownIssuer", "tls_certificate_error"),
            (Code::UpstreamTls, 502, "received fatal alert", "tls_protocol_error"),
            (Code::RequestMalformed, 400, "", "http_request_error"),
            (Code::BodyTooLarge, 413, "", "http_request_error"),
            (Code::RateLimitExceeded, 429, "", "http_request_denied"),
            (Code::Custom("mine".into()), 403, "", "http_request_denied"),
            (Code::Custom("mine".into()), 500, "", "proxy_internal_response"),
            (Code::Maintenance, 503, "", "proxy_internal_response"),
        ] {
            assert_eq!(error_type(&code, status, cause), told, "{code:?}");
        }
    }

    #[test]
    fn the_next_hop_stays_within_its_quotes() {
        let mut response = Response::new(502);
        response.headers.add("Proxy-Status", "origin; error=x");
        add(&mut response, "moongate; error=y".into(), Some("unix:/a\"b\\c\u{e9}\r\n.sock"));
        let all: Vec<_> = response.headers.all("proxy-status").map(<[u8]>::to_vec).collect();
        assert_eq!(all, [b"origin; error=x".to_vec(), b"moongate; error=y; next-hop=\"unix:/abc.sock\"".to_vec()]);
    }
}
