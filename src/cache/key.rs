//! Under which key an answer is stored: first what the request is about, then the fields its answer varies by.

use crate::http::Headers;
use crate::http::Request;

/// A key: the primary part, and after it the values of the fields an answer varies by, once they are known.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Key {
    bytes: Vec<u8>,
    primary: usize,
}

/// What a key says beside what every request has.
#[derive(Clone, Copy, Debug, Default)]
pub struct Parts<'a> {
    /// A text of the route's own, in place of path and query.
    pub own: Option<&'a str>,
    /// The user, where each has answers of their own.
    pub user: Option<&'a str>,
    /// A digest of the content, where that is the question (QUERY, RFC 10008).
    pub content: Option<&'a str>,
}

impl Key {
    /// The key of `request`, before it is known what its answer varies by. The buffer is used again.
    pub fn of(mut bytes: Vec<u8>, request: &Request, parts: Parts<'_>) -> Self {
        primary(&mut bytes, request, parts);
        Self { primary: bytes.len(), bytes }
    }

    /// The key of GET at another path and query of the same host.
    pub fn address(request: &Request, path: &str, query: Option<&str>, user: Option<&str>) -> Self {
        let other = Request {
            scheme: request.scheme,
            host: request.host.clone(),
            path: path.to_owned(),
            query: query.map(str::to_owned),
            ..Request::default()
        };
        Self::of(Vec::new(), &other, Parts { user, ..Parts::default() })
    }

    /// A key that is this text and nothing else.
    pub fn text(text: &str) -> Self {
        Self { bytes: text.as_bytes().to_vec(), primary: text.len() }
    }

    /// All of it.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// What the request is about.
    pub fn primary(&self) -> &[u8] {
        &self.bytes[..self.primary]
    }

    /// The text of the route's own in it.
    pub fn own(&self) -> Option<&str> {
        let text = std::str::from_utf8(self.primary()).ok()?;
        // It is the first part behind the address, which has no newline.
        let (length, rest) = text.split_once('\n')?.1.strip_prefix("key ")?.split_once(' ')?;
        rest.get(..length.parse().ok()?)
    }

    /// The key of the variant for a request with these fields.
    pub fn vary(&mut self, names: &[Box<str>], headers: &Headers) {
        self.bytes.truncate(self.primary);
        variant(&mut self.bytes, names, headers);
    }

    /// The buffer, to be used again.
    pub fn into_buffer(self) -> Vec<u8> {
        self.bytes
    }
}

/// Writes the primary key of `request` (RFC 9111 §2) into `key`: scheme, host, path and query, and the parts. Each begins
/// with a newline, which no path has, and says its length: a client may have a say in any of them.
fn primary(key: &mut Vec<u8>, request: &Request, parts: Parts<'_>) {
    key.clear();
    // QUERY and GET of one address are different questions; HEAD is answered from what GET brought.
    if request.method.as_str() == "QUERY" {
        key.extend_from_slice(b"QUERY ");
    }
    key.extend_from_slice(request.scheme.as_str().as_bytes());
    key.extend_from_slice(b"://");
    key.extend_from_slice(request.host.as_bytes());
    if parts.own.is_none() {
        key.extend_from_slice(request.path.as_bytes());
        if let Some(query) = &request.query {
            key.push(b'?');
            key.extend_from_slice(query.as_bytes());
        }
    }
    for (name, part) in [("key", parts.own), ("user", parts.user), ("content", parts.content)] {
        if let Some(part) = part {
            key.extend_from_slice(format!("\n{name} {} ", part.len()).as_bytes());
            key.extend_from_slice(part.as_bytes());
        }
    }
}

/// Adds the values of the fields an answer varies by (§4.1). Absent differs from empty.
fn variant(key: &mut Vec<u8>, names: &[Box<str>], headers: &Headers) {
    for name in names {
        key.push(b'\n');
        key.extend_from_slice(name.as_bytes());
        match headers.joined(name) {
            Some(value) => {
                key.push(b'=');
                // In lists of choices white space says nothing; anywhere else it may.
                let choices = name.starts_with("accept");
                key.extend(value.trim_ascii().iter().filter(|byte| !(choices && matches!(byte, b' ' | b'\t'))));
            }
            None => key.push(b'-'),
        }
    }
}

/// The names in `Vary`, lower case, sorted, each once; with those the route adds.
pub fn names(vary: &Headers, more: &[Box<str>]) -> Vec<Box<str>> {
    let text = |name: &[u8]| String::from_utf8_lossy(name.trim_ascii()).to_ascii_lowercase().into_boxed_str();
    let listed = vary.all("vary").flat_map(|line| line.split(|&byte| byte == b',')).map(text);
    let mut names: Vec<_> = listed.filter(|name| !name.is_empty()).chain(more.iter().cloned()).collect();
    names.sort_unstable();
    names.dedup();
    names
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::Method;

    #[test]
    fn the_own_text_of_a_key_can_be_read_back() {
        let request = Request { host: "shop.example".into(), path: "/a".to_owned(), ..Request::default() };
        for own in ["", "p1", "a b\nuser 3 eve", "ü"] {
            let parts = Parts { own: Some(own), user: Some("ann"), content: None };
            assert_eq!(Key::of(Vec::new(), &request, parts).own(), Some(own));
        }
        let others = Parts { own: None, user: Some("key 3 abc"), content: None };
        assert_eq!(Key::of(Vec::new(), &request, others).own(), None);
        assert_eq!(Key::text("http://a/b").own(), None);
    }

    fn of(path: &str, query: Option<&str>, own: Option<&str>, user: Option<&str>) -> Vec<u8> {
        let request = Request {
            host: "shop.example".into(),
            path: path.to_owned(),
            query: query.map(str::to_owned),
            ..Request::default()
        };
        let mut key = Vec::new();
        primary(&mut key, &request, Parts { own, user, content: None });
        key
    }

    #[test]
    fn host_scheme_path_and_query_are_in_it() {
        assert_eq!(of("/a", Some("b=1"), None, None), b"http://shop.example/a?b=1");
        assert_ne!(of("/a", None, None, None), of("/a", Some(""), None, None));
    }

    #[test]
    fn no_text_of_a_route_or_user_passes_for_another_key() {
        assert_ne!(of("/a", None, None, None), of("/", None, Some("/a"), None));
        assert_ne!(of("/a", None, None, Some("u\nuser 1 x")), of("/a", None, Some("a\nuser 1 x"), Some("u")));
        assert_ne!(of("/a", None, Some("x\nuser 1 y"), None), of("/a", None, Some("x"), Some("y")));
        assert_ne!(of("/a", None, Some("x\nuser 1 y"), None), of("/a", None, Some("x"), Some("y\n")));
    }

    #[test]
    fn head_shares_with_get_and_query_does_not() {
        let key = |method| {
            let mut key = Vec::new();
            primary(&mut key, &Request { method, ..Request::default() }, Parts::default());
            key
        };
        assert_eq!(key(Method::Get), key(Method::Head));
        assert_ne!(key(Method::Get), key(Method::of("QUERY")));
    }

    #[test]
    fn variants_tell_absent_empty_and_different_values_apart() {
        let names: Vec<Box<str>> = vec!["accept".into(), "x-a".into()];
        let of = |fields: &[(&str, &str)]| {
            let mut key = Vec::new();
            variant(&mut key, &names, &Headers::of(fields));
            key
        };
        assert_ne!(of(&[]), of(&[("accept", "")]));
        assert_eq!(of(&[("accept", "a, b")]), of(&[("Accept", "a"), ("accept", "b")]));
        assert_ne!(of(&[("accept", "a")]), of(&[("x-a", "a")]));
    }

    #[test]
    fn names_are_sorted_and_each_once() {
        let mut headers = Headers::default();
        headers.add("vary", "Accept-Encoding, accept");
        headers.add("vary", "ACCEPT,,");
        assert_eq!(
            names(&headers, &["x-shop".into()]),
            ["accept".into(), "accept-encoding".into(), Box::from("x-shop")]
        );
    }
}
