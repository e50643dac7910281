//! The host part of a route: an exact name, `*.name`, or any.

/// A host pattern in canonical form.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Host {
    /// This name or address.
    Exact(String),
    /// Any name that ends in `.` and this one.
    Below(String),
    /// Every host.
    Any,
}

impl Host {
    /// Reads what a route says before its path.
    pub fn parse(written: &str) -> Result<Self, String> {
        if written == "*" {
            return Ok(Self::Any);
        }
        let (name, below) = match written.strip_prefix("*.") {
            Some(name) => (name, true),
            None => (written, false),
        };
        if name.contains('*') {
            return Err(format!("host `{written}`: `*` can only be the whole first label, as in `*.example.com`"));
        }
        if let Some(scheme) = ["http://", "https://"].iter().find(|scheme| written.starts_with(**scheme)) {
            return Err(format!("host `{written}`: leave out `{scheme}`"));
        }
        if !name.starts_with('[') && name.contains(':') || name.contains("]:") {
            return Err(format!("host `{written}`: routes do not depend on the port; leave it out"));
        }
        let parsed = url::Host::parse(name.strip_suffix('.').unwrap_or(name))
            .map_err(|_| format!("host `{written}` is not a valid host name"))?;
        match parsed {
            url::Host::Domain(name) if below => Ok(Self::Below(name)),
            _ if below => Err(format!("host `{written}`: `*.` goes before a name, not an address")),
            other => Ok(Self::Exact(other.to_string())),
        }
    }
}

/// The host of an authority: without port and trailing dot.
pub fn without_port(authority: &str) -> &str {
    let host = match authority.strip_prefix('[') {
        Some(rest) => match rest.find(']') {
            Some(end) => &authority[..end + 2],
            None => authority,
        },
        // the colon is near the end, if there is one
        None => match authority.bytes().rposition(|byte| byte == b':') {
            Some(colon) => &authority[..colon],
            None => authority,
        },
    };
    host.strip_suffix('.').unwrap_or(host)
}

/// The names above `host`, longest first: `b.c`, `c` for `a.b.c`.
pub fn parents(host: &str) -> impl Iterator<Item = &str> {
    memchr::memchr_iter(b'.', host.as_bytes()).map(|dot| &host[dot + 1..])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_are_read_in_canonical_form() {
        assert_eq!(Host::parse("API.Example.com."), Ok(Host::Exact("api.example.com".into())));
        assert_eq!(Host::parse("*.example.com"), Ok(Host::Below("example.com".into())));
        assert_eq!(Host::parse("bücher.example"), Ok(Host::Exact("xn--bcher-kva.example".into())));
        assert_eq!(Host::parse("[::1]"), Ok(Host::Exact("[::1]".into())));
        assert_eq!(Host::parse("127.0.0.1"), Ok(Host::Exact("127.0.0.1".into())));
        assert_eq!(Host::parse("*"), Ok(Host::Any));
    }

    #[test]
    fn what_is_no_host_says_why() {
        for (written, says) in [
            ("a.*.com", "whole first label"),
            ("https://a.com", "leave out `https://`"),
            ("a.com:8080", "leave it out"),
            ("[::1]:80", "leave it out"),
            ("a b", "not a valid host"),
            ("*.10.0.0.1", "not an address"),
            ("", "not a valid host"),
        ] {
            let error = Host::parse(written).expect_err(written);
            assert!(error.contains(says), "{written}: {error}");
        }
    }

    #[test]
    fn an_authority_loses_its_port() {
        assert_eq!(without_port("a.com:80"), "a.com");
        assert_eq!(without_port("a.com."), "a.com");
        assert_eq!(without_port("[::1]:80"), "[::1]");
        assert_eq!(without_port("[::1]"), "[::1]");
        assert_eq!(without_port("[::1"), "[::1");
        assert_eq!(without_port(""), "");
        assert_eq!(parents("a.b.c").collect::<Vec<_>>(), ["b.c", "c"]);
    }
}
