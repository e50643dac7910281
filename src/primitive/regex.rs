//! Regular expressions over any bytes, in time linear in the text: patterns meet attackers' input.

use regex::bytes::Captures;
use regex::bytes::Regex as Compiled;
use regex::bytes::RegexBuilder;

/// A compiled expression.
#[derive(Clone, Debug)]
pub struct Regex(Compiled);

/// An expression that cannot be compiled.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("regular expression `{pattern}`: {why}")]
pub struct RegexError {
    pattern: String,
    why: String,
}

/// A result that would be larger than allowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the result would be larger than {0} bytes")]
pub struct Grown(pub usize);

/// A match: the whole and its groups, as byte ranges.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Match {
    /// Group 0 is the whole; `None` for a group that took no part.
    pub groups: Vec<Option<(usize, usize)>>,
}

impl Regex {
    /// Compiles an expression; its size is bounded.
    pub fn new(pattern: &str) -> Result<Self, RegexError> {
        let built = RegexBuilder::new(pattern).size_limit(SIZE).dfa_size_limit(SIZE).nest_limit(100).build();
        built.map(Self).map_err(|error| {
            let why = match error {
                regex::Error::CompiledTooBig(_) => "it compiles to something too large".to_owned(),
                other => explain(&other.to_string()),
            };
            RegexError { pattern: pattern.chars().take(200).collect(), why }
        })
    }

    /// Whether it matches anywhere in the text.
    pub fn is_match(&self, text: &[u8]) -> bool {
        self.0.is_match(text)
    }

    /// The first match at or after `from`.
    pub fn find(&self, text: &[u8], from: usize) -> Option<Match> {
        if from > text.len() {
            return None;
        }
        let captures = self.0.captures_at(text, from)?;
        Some(Match { groups: captures.iter().map(|group| group.map(|group| (group.start(), group.end()))).collect() })
    }

    /// Names of the groups; `None` for one without. Group 0 is the whole.
    pub fn names(&self) -> impl Iterator<Item = Option<&str>> {
        self.0.capture_names()
    }

    /// Replaces the first `limit` matches (0: all); `$1`, `${name}` and `$$` are filled in. Bounded by `most` bytes.
    pub fn replace(&self, text: &[u8], with: &[u8], limit: usize, most: usize) -> Result<Vec<u8>, Grown> {
        self.replace_with(text, limit, most, |captures, out| captures.expand(with, out))
    }

    fn replace_with(
        &self,
        text: &[u8],
        limit: usize,
        most: usize,
        mut fill: impl FnMut(&Captures<'_>, &mut Vec<u8>),
    ) -> Result<Vec<u8>, Grown> {
        let (mut out, mut at) = (Vec::with_capacity(text.len().min(most)), 0);
        for (count, captures) in self.0.captures_iter(text).enumerate() {
            if limit > 0 && count == limit {
                break;
            }
            let Some(whole) = captures.get(0) else { continue };
            out.extend_from_slice(&text[at..whole.start()]);
            fill(&captures, &mut out);
            at = whole.end();
            if out.len() > most {
                return Err(Grown(most));
            }
        }
        out.extend_from_slice(&text[at..]);
        if out.len() > most { Err(Grown(most)) } else { Ok(out) }
    }

    /// The pieces between matches, `limit` at most (0: all); the last holds the rest.
    pub fn split<'a>(&self, text: &'a [u8], limit: usize) -> Vec<&'a [u8]> {
        if limit == 0 { self.0.split(text).collect() } else { self.0.splitn(text, limit).collect() }
    }

    /// The expression as written.
    pub fn source(&self) -> &str {
        self.0.as_str()
    }
}

/// The reason out of the engine's multi-line report.
fn explain(report: &str) -> String {
    let reason = report.lines().rev().find_map(|line| line.trim().strip_prefix("error: "));
    let reason = reason.unwrap_or_else(|| report.lines().next_back().unwrap_or(report).trim());
    if reason.contains("look-around") || reason.contains("backreferences") {
        return format!("{reason} (it would not be linear)");
    }
    reason.to_owned()
}

/// Bytes of a compiled expression.
const SIZE: usize = 1 << 20;

#[cfg(test)]
mod tests {
    use super::*;

    fn regex(pattern: &str) -> Regex {
        Regex::new(pattern).expect(pattern)
    }

    #[test]
    fn find_tells_groups() {
        let found = regex(r"(?<year>\d{4})-(\d\d)(x)?").find(b"on 2026-11-24", 0).expect("a match");
        assert_eq!(found.groups, [Some((3, 10)), Some((3, 7)), Some((8, 10)), None]);
        assert_eq!(regex("a").find(b"aba", 1).expect("a match").groups, [Some((2, 3))]);
        assert_eq!(regex("^a").find(b"aa", 1), None);
        assert_eq!(regex("a").find(b"a", 9), None);
        assert_eq!(regex("(?<n>a)(b)").names().collect::<Vec<_>>(), [None, Some("n"), None]);
    }

    #[test]
    fn replace_fills_groups_and_is_bounded() {
        let swap = regex(r"(\w+) (?<b>\w+)");
        assert_eq!(swap.replace(b"a b, c d", b"${b}-$1$$", 0, 100).expect("small"), b"b-a$, d-c$");
        assert_eq!(swap.replace(b"a b, c d", b"x", 1, 100).expect("small"), b"x, c d");
        assert_eq!(regex("").replace(b"ab", b"-", 0, 100).expect("small"), b"-a-b-");
        assert_eq!(regex("a").replace(&[b'a'; 1000], &[b'x'; 1000], 0, 10_000), Err(Grown(10_000)));
        assert_eq!(regex("z").replace(&[b'a'; 100], b"", 0, 10), Err(Grown(10)));
    }

    #[test]
    fn split_and_bytes_that_are_no_text() {
        assert_eq!(regex(", *").split(b"a, b,c", 0), [&b"a"[..], b"b", b"c"]);
        assert_eq!(regex(",").split(b"a,b,c", 2), [&b"a"[..], b"b,c"]);
        assert!(regex("b").is_match(b"\xffb") && regex(r"(?-u)\xff").is_match(b"\xff"));
    }

    #[test]
    fn a_bad_expression_says_why() {
        for (pattern, says) in [
            ("(", "unclosed group"),
            ("(?=a)", "not be linear"),
            (r"(a)\1", "not be linear"),
            ("a{1000}{1000}", "too large"),
        ] {
            let error = Regex::new(pattern).expect_err(pattern).to_string();
            assert!(error.contains(says) && error.contains(pattern) && !error.contains('\n'), "{error}");
        }
    }

    #[test]
    fn what_makes_others_explode_stays_linear() {
        assert!(!regex("(a+)+$").is_match(&[&[b'a'; 100_000][..], b"!"].concat()));
    }
}
