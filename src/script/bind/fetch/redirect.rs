//! Following redirects: where to, and what must not go along.

use bytes::Bytes;

use super::request::Ask;
use crate::http::Method;
use crate::http::Response;
use crate::primitive::url;
use crate::proxy::dynamic::is_url;

/// Stands for a declared upstream while references are resolved; no such host can be named.
const HERE: &str = "http://upstream.invalid";

impl Ask {
    /// Points this request where `response` redirects it; `false` when it does not, or to what is not spoken.
    pub(super) fn follow(&mut self, response: &Response) -> bool {
        if !matches!(response.status, 301 | 302 | 303 | 307 | 308) {
            return false;
        }
        let Some(to) = response.headers.text("location").and_then(|location| self.resolve(location)) else {
            return false;
        };
        if origin(&to) != origin(&self.target) {
            for name in ["authorization", "cookie", "proxy-authorization", "host"] {
                self.headers.remove(name);
            }
        }
        let rewrites = response.status == 303 || (response.status <= 302 && self.method == Method::Post);
        if rewrites && self.method != Method::Head {
            self.method = Method::Get;
            self.body = Bytes::new();
            for name in ["content-type", "content-encoding", "content-language", "content-location"] {
                self.headers.remove(name);
            }
        }
        self.target = to;
        true
    }

    /// The target of a `Location`, as seen from here.
    fn resolve(&self, location: &str) -> Option<String> {
        if is_url(&self.target) {
            let to = url::join(&self.target, location).ok()?;
            return (to.starts_with("http://") || to.starts_with("https://")).then_some(to);
        }
        let (name, path) = self.target.split_at(self.target.find(['/', '?']).unwrap_or(self.target.len()));
        let slash = if path.starts_with('/') { "" } else { "/" };
        let to = url::join(&format!("{HERE}{slash}{path}"), location).ok()?;
        match to.strip_prefix(HERE) {
            Some(path) => Some(format!("{name}{path}")),
            None => (to.starts_with("http://") || to.starts_with("https://")).then_some(to),
        }
    }
}

/// Scheme, host and port, or the upstream's name: credentials go no further.
fn origin(target: &str) -> &str {
    let from = if is_url(target) { target.find("://").map_or(0, |at| at + 3) } else { 0 };
    let end = target[from..].find(['/', '?']).map_or(target.len(), |at| from + at);
    &target[..end]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::Headers;

    fn ask(target: &str, method: Method) -> Ask {
        let mut headers = Headers::default();
        for (name, value) in [("authorization", "Bearer x"), ("content-type", "text/plain"), ("x-a", "1")] {
            headers.set(name, value);
        }
        let body = Bytes::from_static(b"body");
        Ask { target: target.to_owned(), method, headers, body, timeout: None, retries: None, redirects: 5 }
    }

    fn to(status: u16, location: &str) -> Response {
        let mut response = Response::new(status);
        response.headers.set("location", location);
        response
    }

    #[test]
    fn a_reference_is_seen_from_where_it_came() {
        for (from, location, expected) in [
            ("shop/a/b?x=1", "../c", "shop/c"),
            ("shop/a", "/d?y=2", "shop/d?y=2"),
            ("shop", "e", "shop/e"),
            ("shop?x=1", "/f", "shop/f"),
            ("shop/a?to=https://x.dev/", "/g", "shop/g"),
            ("shop/a", "https://other.dev/h", "https://other.dev/h"),
            ("https://x.dev/a/b", "c", "https://x.dev/a/c"),
            ("https://x.dev/a", "//y.dev/z", "https://y.dev/z"),
        ] {
            let mut ask = ask(from, Method::Get);
            assert!(ask.follow(&to(302, location)), "{from} {location}");
            assert_eq!(ask.target, expected, "{from} {location}");
        }
        for location in ["file:///etc/passwd", "gopher://x/", "http://", "//"] {
            let mut ask = ask("https://x.dev/a", Method::Get);
            assert!(!ask.follow(&to(302, location)) || ask.target.starts_with("http"), "{location}: {}", ask.target);
        }
        assert!(!ask("a/b", Method::Get).follow(&Response::new(302)), "without a Location");
        assert!(!ask("a/b", Method::Get).follow(&to(304, "/x")));
    }

    #[test]
    fn credentials_stay_at_their_origin() {
        for (from, location, kept) in [
            ("shop/a", "/b", true),
            ("shop/a", "http://shop/b", false),
            ("https://x.dev/a", "/b", true),
            ("https://x.dev/a", "http://x.dev/b", false),
            ("https://x.dev/a", "https://x.dev:8443/b", false),
            ("https://x.dev/a", "https://x.dev.evil/b", false),
        ] {
            let mut ask = ask(from, Method::Get);
            ask.follow(&to(307, location));
            assert_eq!(ask.headers.has("authorization"), kept, "{from} {location}");
            assert!(ask.headers.has("x-a"));
        }
    }

    #[test]
    fn a_post_becomes_a_get_where_the_standard_says_so() {
        for (status, method, after, body) in [
            (303, Method::Put, Method::Get, false),
            (302, Method::Post, Method::Get, false),
            (301, Method::Put, Method::Put, true),
            (307, Method::Post, Method::Post, true),
            (308, Method::Post, Method::Post, true),
            (303, Method::Head, Method::Head, true),
        ] {
            let mut ask = ask("shop/a", method);
            ask.follow(&to(status, "/b"));
            assert_eq!(
                (ask.method, !ask.body.is_empty(), ask.headers.has("content-type")),
                (after, body, body),
                "{status}"
            );
        }
    }
}
