//! Bodies and queries of `application/x-www-form-urlencoded`.

use std::borrow::Cow;

/// The pairs, in order, `+` and escapes decoded.
pub fn parse(text: &[u8]) -> impl Iterator<Item = (Cow<'_, str>, Cow<'_, str>)> {
    url::form_urlencoded::parse(text)
}

/// Pairs as a body.
pub fn encode<'a>(pairs: impl IntoIterator<Item = (&'a str, &'a str)>) -> String {
    url::form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forms_both_ways() {
        let pairs: Vec<_> = parse(b"a=1&b=x+y%26&a=%C3%A9&&c&=d").collect();
        let plain: Vec<(&str, &str)> = pairs.iter().map(|(name, value)| (&**name, &**value)).collect();
        assert_eq!(plain, [("a", "1"), ("b", "x y&"), ("a", "é"), ("c", ""), ("", "d")]);
        assert_eq!(encode(plain), "a=1&b=x+y%26&a=%C3%A9&c=&=d");
    }
}
