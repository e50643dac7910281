//! URLs: taken apart, joined, and their components encoded.

use percent_encoding::AsciiSet;
use percent_encoding::NON_ALPHANUMERIC;
use percent_encoding::percent_decode_str;
use percent_encoding::utf8_percent_encode;

/// A URL in parts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Parts {
    /// `https`
    pub scheme: String,
    /// Before the `@`.
    pub user: Option<String>,
    /// Before the `@`, after a `:`.
    pub password: Option<String>,
    /// Host, brackets around IPv6.
    pub host: Option<String>,
    /// The port, the scheme's own included.
    pub port: Option<u16>,
    /// The path, percent-encoded.
    pub path: String,
    /// Without `?`.
    pub query: Option<String>,
    /// Without `#`.
    pub fragment: Option<String>,
}

/// A text that is no URL.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{url}` is no URL: {why}")]
pub struct UrlError {
    url: String,
    why: String,
}

/// Takes an absolute URL apart.
pub fn parse(text: &str) -> Result<Parts, UrlError> {
    let url = read(text)?;
    let user = percent_decode_str(url.username()).decode_utf8_lossy().into_owned();
    Ok(Parts {
        scheme: url.scheme().to_owned(),
        user: (!user.is_empty()).then_some(user),
        password: url.password().map(|text| percent_decode_str(text).decode_utf8_lossy().into_owned()),
        host: url.host_str().map(str::to_owned),
        port: url.port_or_known_default(),
        path: url.path().to_owned(),
        query: url.query().map(str::to_owned),
        fragment: url.fragment().map(str::to_owned),
    })
}

/// A reference as seen from a base (RFC 3986 §5).
pub fn join(base: &str, reference: &str) -> Result<String, UrlError> {
    let joined = read(base)?.join(reference);
    joined.map(String::from).map_err(|error| UrlError { url: short(reference), why: error.to_string() })
}

/// A text as one component: everything but letters, digits, `-`, `.`, `_` and `~` is escaped.
pub fn encode(text: &[u8]) -> String {
    percent_encoding::percent_encode(text, COMPONENT).to_string()
}

/// A text as a path: as [`encode`], but `/` stays.
pub fn encode_path(text: &str) -> String {
    utf8_percent_encode(text, PATH).to_string()
}

/// A component without its escapes; any bytes.
pub fn decode(text: &str) -> Vec<u8> {
    percent_decode_str(text).collect()
}

fn read(text: &str) -> Result<url::Url, UrlError> {
    url::Url::parse(text).map_err(|error| UrlError { url: short(text), why: error.to_string() })
}

fn short(text: &str) -> String {
    text.chars().take(200).collect()
}

const COMPONENT: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');
const PATH: &AsciiSet = &COMPONENT.remove(b'/');

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_in_parts() {
        let parts = parse("https://u%40:p@Example.com/a%20b?q=1#f").expect("a URL");
        let text = |text: &str| Some(text.to_owned());
        let expected = Parts {
            scheme: "https".into(),
            user: text("u@"),
            password: text("p"),
            host: text("example.com"),
            port: Some(443),
            path: "/a%20b".into(),
            query: text("q=1"),
            fragment: text("f"),
        };
        assert_eq!(parts, expected);
        assert_eq!(parse("http://[::1]:8080/").map(|parts| (parts.host, parts.port)), Ok((text("[::1]"), Some(8080))));
        assert!(parse("/only/a/path").is_err_and(|error| error.to_string().contains("`/only/a/path` is no URL")));
    }

    #[test]
    fn joining_and_escaping() {
        assert_eq!(join("http://h/a/b?x", "../c").as_deref(), Ok("http://h/c"));
        assert_eq!(join("http://h/a/", "?q").as_deref(), Ok("http://h/a/?q"));
        assert!(join("nonsense", "x").is_err());
        assert_eq!(encode("a b/é~".as_bytes()), "a%20b%2F%C3%A9~");
        assert_eq!(encode_path("a b/é"), "a%20b/%C3%A9");
        assert_eq!(decode("a%20b%ff%2"), b"a b\xff%2");
    }
}
