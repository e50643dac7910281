//! Who may ask the admin listener: whoever has the token, or, without one, only a client that means this machine.

use std::net::IpAddr;

use aws_lc_rs::constant_time;

/// What a request shows of itself.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Caller<'a> {
    /// The Host field.
    pub(super) host: &'a str,
    /// The Origin field, which browsers send.
    pub(super) origin: Option<&'a str>,
    /// The Authorization field.
    pub(super) authorization: Option<&'a str>,
}

/// Why a request is not answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Refused {
    /// No or the wrong token.
    #[error("this needs the admin token as `Authorization: Bearer …`")]
    Token,
    /// A name that is not this machine's: a page in a browser may be behind it (DNS rebinding).
    #[error("without a token only a loopback Host is answered")]
    Host,
    /// A page of another site sent it.
    #[error("a foreign Origin is not answered")]
    Origin,
}

/// Whether `caller` may see and do everything. With `token`, whoever has it may, from anywhere.
pub(super) fn check(caller: Caller<'_>, token: Option<&str>) -> Result<(), Refused> {
    if let Some(token) = token {
        let given = caller.authorization.and_then(bearer).unwrap_or_default();
        let same = constant_time::verify_slices_are_equal(given.as_bytes(), token.as_bytes()).is_ok();
        return if same { Ok(()) } else { Err(Refused::Token) };
    }
    if !is_loopback(caller.host) {
        return Err(Refused::Host);
    }
    match caller.origin {
        Some(origin) if origin.strip_prefix("http://") != Some(caller.host) => Err(Refused::Origin),
        _ => Ok(()),
    }
}

fn bearer(authorization: &str) -> Option<&str> {
    let (scheme, token) = authorization.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

/// Whether the authority `host` names this machine, with or without a port.
fn is_loopback(host: &str) -> bool {
    let name = match host.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or_default(),
        None => host.split(':').next().unwrap_or_default(),
    };
    match name.parse::<IpAddr>() {
        Ok(address) => address.is_loopback(),
        Err(_) => {
            let name = name.trim_end_matches('.').to_ascii_lowercase();
            name == "localhost" || name.ends_with(".localhost")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn caller(host: &str) -> Caller<'_> {
        Caller { host, ..Caller::default() }
    }

    #[test]
    fn loopback_hosts_are_answered() {
        for host in
            ["localhost", "localhost:9901", "LocalHost.", "a.localhost:1", "127.0.0.1:9901", "127.8.8.8", "[::1]:9901"]
        {
            assert_eq!(check(caller(host), None), Ok(()), "{host}");
        }
    }

    #[test]
    fn other_hosts_are_not() {
        for host in
            ["", "example.org", "10.0.0.1:9901", "localhost.example.org", "notlocalhost", "[::2]", "127.0.0.1.nip.io"]
        {
            assert_eq!(check(caller(host), None), Err(Refused::Host), "{host}");
        }
    }

    #[test]
    fn a_page_of_another_site_is_refused() {
        let from = |origin| check(Caller { origin: Some(origin), ..caller("localhost:9901") }, None);
        assert_eq!(from("http://localhost:9901"), Ok(()));
        for origin in ["http://evil.example", "null", "http://localhost:3000", "https://localhost:9901"] {
            assert_eq!(from(origin), Err(Refused::Origin), "{origin}");
        }
    }

    #[test]
    fn with_a_token_only_the_token_counts() {
        let with = |authorization| check(Caller { authorization, ..caller("gateway.internal") }, Some("s3cret"));
        assert_eq!(with(Some("Bearer s3cret")), Ok(()));
        assert_eq!(with(Some("bearer  s3cret")), Ok(()));
        for wrong in [None, Some("Bearer s3cre"), Some("Basic s3cret"), Some("s3cret"), Some("Bearer ")] {
            assert_eq!(with(wrong), Err(Refused::Token), "{wrong:?}");
        }
        assert_eq!(check(caller("localhost"), Some("s3cret")), Err(Refused::Token), "loopback does not replace it");
    }
}
