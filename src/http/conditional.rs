//! Conditional requests (RFC 9110 §13): whether a client that has an answer already needs it again.

use crate::http::Headers;
use crate::http::date;

/// Whether the answer with these fields is the one the request says it has: 304 is then enough (§13.2.2). For GET and
/// HEAD; `now` in Unix seconds.
pub fn not_modified(request: &Headers, answer: &Headers, now: u64) -> bool {
    if request.has("if-none-match") {
        // If-Modified-Since is ignored beside it (§13.1.3).
        let own = answer.get("etag").map(opaque);
        return request.all("if-none-match").any(|line| listed(line, own));
    }
    let date = |headers: &Headers, name| headers.get(name).and_then(|text| date::parse(text, now));
    // The answer's date is read only for the few who ask.
    date(request, "if-modified-since")
        .is_some_and(|since| date(answer, "last-modified").is_some_and(|modified| modified <= since))
}

/// Whether `If-Range` allows a part of this answer (§13.1.5): absent, the same strong validator, or the same date.
pub fn may_be_partial(request: &Headers, answer: &Headers) -> bool {
    let Some(asked) = request.get("if-range") else { return true };
    if asked.ends_with(b"\"") {
        return !asked.starts_with(b"W/") && answer.get("etag").is_some_and(|own| own == asked);
    }
    answer.get("last-modified").is_some_and(|own| own == asked)
}

/// Weak comparison (§8.8.3.2) with each tag of a list; `*` is any.
fn listed(line: &[u8], own: Option<&[u8]>) -> bool {
    let Some(own) = own else { return line.trim_ascii() == b"*" };
    let mut rest = line.trim_ascii();
    if rest == b"*" {
        return true;
    }
    // A tag may hold commas: it ends at its quote.
    while let Some(start) = rest.iter().position(|&byte| byte == b'"') {
        let Some(length) = rest[start + 1..].iter().position(|&byte| byte == b'"') else { return false };
        if &rest[start..start + length + 2] == own {
            return true;
        }
        rest = &rest[start + length + 2..];
    }
    false
}

/// A tag without its weakness.
pub(crate) fn opaque(tag: &[u8]) -> &[u8] {
    tag.strip_prefix(b"W/").unwrap_or(tag)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn unchanged(request: &[(&str, &str)], answer: &[(&str, &str)]) -> bool {
        not_modified(&Headers::of(request), &Headers::of(answer), 1_795_000_000)
    }

    const OLD: &str = "Sun, 06 Nov 1994 08:49:37 GMT";
    const NEW: &str = "Sun, 06 Nov 1994 08:49:38 GMT";

    #[test]
    fn a_tag_in_the_list_is_enough_weak_or_strong() {
        let answer = [("etag", "\"a,b\"")];
        for list in ["\"a,b\"", "W/\"a,b\"", "\"x\", \"a,b\"", "*", "\"x\",W/\"a,b\""] {
            assert!(unchanged(&[("if-none-match", list)], &answer), "{list}");
        }
        for list in ["\"a\"", "a,b", "\"\"", "\"a,b", "**"] {
            assert!(!unchanged(&[("if-none-match", list)], &answer), "{list}");
        }
        assert!(unchanged(&[("if-none-match", "\"a\"")], &[("etag", "W/\"a\"")]));
    }

    #[test]
    fn dates_count_where_there_are_no_tags() {
        assert!(unchanged(&[("if-modified-since", OLD)], &[("last-modified", OLD)]));
        assert!(!unchanged(&[("if-modified-since", OLD)], &[("last-modified", NEW)]));
        assert!(!unchanged(&[("if-modified-since", OLD), ("if-none-match", "\"x\"")], &[("last-modified", OLD)]));
        assert!(!unchanged(&[("if-modified-since", "yesterday")], &[("last-modified", OLD)]));
        assert!(!unchanged(&[], &[("last-modified", OLD), ("etag", "\"a\"")]));
    }

    #[test]
    fn a_part_needs_the_very_same_answer() {
        let partial = |asked: &str| {
            may_be_partial(
                &Headers::of(&[("if-range", asked)]),
                &Headers::of(&[("etag", "\"a\""), ("last-modified", OLD)]),
            )
        };
        assert!(partial("\"a\"") && partial(OLD));
        assert!(!partial("W/\"a\"") && !partial("\"b\"") && !partial(NEW));
        assert!(may_be_partial(&Headers::of(&[]), &Headers::of(&[])));
    }
}
