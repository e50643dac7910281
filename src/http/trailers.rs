//! Fields that may follow a body.

use crate::http::headers::Known;

/// Whether a field of this name may follow a body: nothing that frames, routes or authenticates a message (RFC 9110 §6.5.1).
pub(crate) fn may_trail(name: &[u8]) -> bool {
    !matches!(
        Known::of(name),
        Known::Host
            | Known::Connection
            | Known::ContentLength
            | Known::TransferEncoding
            | Known::ContentType
            | Known::ContentEncoding
            | Known::Te
            | Known::Trailer
            | Known::Upgrade
            | Known::Expect
            | Known::KeepAlive
            | Known::ProxyConnection
            | Known::ProxyAuthenticate
            | Known::ProxyAuthorization
            | Known::Via
            | Known::Forwarded
            | Known::XForwardedFor
            | Known::XForwardedProto
            | Known::XForwardedHost
            | Known::XForwardedPort
            | Known::XRealIp
            | Known::Cookie
            | Known::SetCookie
            | Known::Authorization
            | Known::Location
            | Known::MaxForwards
            | Known::Http2Settings
    ) && !name.get(..8).is_some_and(|start| start.eq_ignore_ascii_case(b"content-"))
}
