//! What policies of the standard library are for, where the house itself must know: one table for all who ask.

/// They ask who is calling.
pub(crate) const AUTHENTICATE: &[&str] =
    &["api_key", "basic_auth", "forward_auth", "hmac_auth", "introspect", "jwt", "mtls"];

/// They refuse what breaks a rule.
const LIMIT: &[&str] =
    &["any_of", "authorize", "body_limit", "concurrency", "ip_filter", "json_limit", "quota", "rate_limit", "validate"];

/// They may give a caller what was asked for, and nothing behind them runs.
const SERVE: &[&str] = &["cache", "compose", "mock", "redirect", "static"];

/// Whether the policy asks who is calling.
pub(crate) fn authenticates(word: &str) -> bool {
    AUTHENTICATE.contains(&word)
}

/// Whether a caller is somebody behind it: `req.user` is set by the policy itself.
pub(crate) fn identifies(word: &str) -> bool {
    word == "any_of" || (authenticates(word) && word != "forward_auth")
}

/// Whether it lets some requests pass and others not.
pub fn decides(word: &str) -> bool {
    authenticates(word) || LIMIT.contains(&word)
}

/// Whether it may answer with what was asked for.
pub(crate) fn serves(word: &str) -> bool {
    SERVE.contains(&word)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::script::words::STDLIB;

    #[test]
    fn every_word_is_one_of_the_standard_library() {
        for word in [AUTHENTICATE, LIMIT, SERVE].concat() {
            assert!(STDLIB.contains(&word), "{word}");
        }
        assert!(decides("jwt") && decides("quota") && !decides("cors"));
        assert!(identifies("any_of") && identifies("mtls") && !identifies("forward_auth"));
    }
}
