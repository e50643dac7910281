//! Cache-Control and its targeted siblings: what a message says about storing it (RFC 9111 §5.2, RFC 9213).

use crate::http::Headers;

/// The directives a shared cache acts on. What is absent is `None` or `false`; unknown directives are passed over.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Control {
    /// Seconds; the largest value where the number overflows (RFC 9111 §1.2.2).
    pub max_age: Option<u64>,
    /// Seconds, for shared caches only (§5.2.2.10).
    pub s_maxage: Option<u64>,
    /// Request: how stale an answer may be; `u64::MAX` when no limit was given (§5.2.1.2).
    pub max_stale: Option<u64>,
    /// Request: how long an answer must still be fresh (§5.2.1.3).
    pub min_fresh: Option<u64>,
    /// Seconds (RFC 5861 §3).
    pub stale_while_revalidate: Option<u64>,
    /// Seconds (RFC 5861 §4).
    pub stale_if_error: Option<u64>,
    /// May not be used without asking again (§5.2.1.4, §5.2.2.4).
    pub no_cache: bool,
    /// May not be stored (§5.2.1.5, §5.2.2.5).
    pub no_store: bool,
    /// Stored by those who understand the status, in spite of `no-store` (§5.2.2.3).
    pub must_understand: bool,
    /// For one user only (§5.2.2.7).
    pub private: bool,
    /// For everybody, also where the request carried credentials (§5.2.2.9).
    pub public: bool,
    /// Never stale without asking (§5.2.2.2), or so for shared caches (§5.2.2.8).
    pub must_revalidate: bool,
    /// Does not change while it is fresh (RFC 8246).
    pub immutable: bool,
    /// Request: an answer from the cache or none (§5.2.1.7).
    pub only_if_cached: bool,
    /// A directive stood there that has no sense, such as `max-age=soon`.
    pub invalid: bool,
}

impl Control {
    /// What a request asks. A `Pragma: no-cache` counts where there is no Cache-Control (§5.4).
    pub fn of_request(headers: &Headers) -> Self {
        let mut control = Self::default();
        control.read(headers, "cache-control");
        if !headers.has("cache-control") && headers.all("pragma").any(|value| value.eq_ignore_ascii_case(b"no-cache")) {
            control.no_cache = true;
        }
        control
    }

    /// What an answer says, by the most specific field that can be read (RFC 9213 §2.2).
    pub fn of_response(headers: &Headers) -> Self {
        for name in TARGETED {
            if headers.has(name) {
                let mut control = Self::default();
                control.read(headers, name);
                if !control.invalid {
                    return control;
                }
            }
        }
        let mut control = Self::default();
        control.read(headers, "cache-control");
        control
    }

    /// The freshness lifetime in seconds that is given explicitly, but for `Expires` (§4.2.1).
    pub fn lifetime(&self) -> Option<u64> {
        self.s_maxage.or(self.max_age)
    }

    fn read(&mut self, headers: &Headers, name: &str) {
        for line in headers.all(name) {
            let mut rest = line;
            while let Some((directive, argument, after)) = next(rest) {
                self.apply(directive, argument);
                rest = after;
            }
        }
    }

    fn apply(&mut self, directive: &[u8], argument: Option<&[u8]>) {
        let seconds = |place: &mut Option<u64>, invalid: &mut bool| match argument.map(delta) {
            // The shorter one rules where a directive stands twice with different numbers (§4.2.1).
            Some(Some(value)) => *place = Some(place.map_or(value, |known| known.min(value))),
            _ => {
                *invalid = true;
                *place = Some(0);
            }
        };
        match directive.to_ascii_lowercase().as_slice() {
            b"max-age" => seconds(&mut self.max_age, &mut self.invalid),
            b"s-maxage" => seconds(&mut self.s_maxage, &mut self.invalid),
            b"min-fresh" => seconds(&mut self.min_fresh, &mut self.invalid),
            b"stale-while-revalidate" => seconds(&mut self.stale_while_revalidate, &mut self.invalid),
            b"stale-if-error" => seconds(&mut self.stale_if_error, &mut self.invalid),
            b"max-stale" if argument.is_none() => self.max_stale = Some(u64::MAX),
            b"max-stale" => seconds(&mut self.max_stale, &mut self.invalid),
            // With field names they forbid those fields only; forbidding all is allowed, and safe (§5.2.2.4, §5.2.2.7).
            b"no-cache" => self.no_cache = true,
            b"private" => self.private = true,
            b"no-store" => self.no_store = true,
            b"must-understand" => self.must_understand = true,
            b"public" => self.public = true,
            b"must-revalidate" | b"proxy-revalidate" => self.must_revalidate = true,
            b"immutable" => self.immutable = true,
            b"only-if-cached" => self.only_if_cached = true,
            _ => {}
        }
    }
}

/// The first directive of a list, its argument (unquoted), and what follows.
#[allow(clippy::type_complexity, reason = "three pieces of one text, taken apart at once")]
fn next(text: &[u8]) -> Option<(&[u8], Option<&[u8]>, &[u8])> {
    let start = text.iter().position(|byte| !matches!(byte, b' ' | b'\t' | b','))?;
    let text = &text[start..];
    let end = text.iter().position(|byte| matches!(byte, b'=' | b',' | b' ' | b'\t')).unwrap_or(text.len());
    let (name, rest) = text.split_at(end);
    let Some(after) = rest.strip_prefix(b"=") else {
        return Some((name, None, past_comma(rest)));
    };
    if let Some(quoted) = after.strip_prefix(b"\"") {
        let close = quoted.iter().position(|&byte| byte == b'"').unwrap_or(quoted.len());
        return Some((name, Some(&quoted[..close]), past_comma(quoted.get(close + 1..).unwrap_or_default())));
    }
    let end = after.iter().position(|&byte| byte == b',').unwrap_or(after.len());
    Some((name, Some(after[..end].trim_ascii()), &after[end..]))
}

/// What follows the next comma.
fn past_comma(text: &[u8]) -> &[u8] {
    text.iter().position(|&byte| byte == b',').map_or(&[], |at| &text[at..])
}

/// delta-seconds; a number that is too large is the largest (RFC 9111 §1.2.2).
fn delta(text: &[u8]) -> Option<u64> {
    if text.is_empty() || !text.iter().all(u8::is_ascii_digit) {
        return None;
    }
    Some(text.iter().fold(0u64, |sum, digit| sum.saturating_mul(10).saturating_add(u64::from(digit - b'0'))).min(MOST))
}

/// As good as for ever: the largest number of seconds that caches are asked to understand.
const MOST: u64 = 1 << 31;

/// Fields meant for caches like this one, the most specific first.
pub const TARGETED: [&str; 2] = ["moongate-cdn-cache-control", "cdn-cache-control"];

#[cfg(test)]
mod tests;
