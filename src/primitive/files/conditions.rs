//! Conditional requests and ranges (RFC 9110 §13, §14): what of a file a client gets.

use std::time::Duration;

use crate::http::Headers;
use crate::primitive::time;

/// What is known of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Facts {
    /// Bytes.
    pub length: u64,
    /// When it was last changed, since the Unix epoch.
    pub modified: Duration,
    /// Its strong validator, with its quotes.
    pub tag: String,
}

/// What a client gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// All of it.
    Whole,
    /// These bytes: the first, and how many.
    Part(u64, u64),
    /// It has it already: 304.
    Unchanged,
    /// It is not what it was to be: 412.
    Failed,
    /// There are no such bytes: 416.
    Beyond,
}

impl Facts {
    /// Facts of a file; the same file in another coding has another validator.
    pub fn new(length: u64, modified: Duration, coding: &str) -> Self {
        let dash = if coding.is_empty() { "" } else { "-" };
        Self { length, modified, tag: format!("\"{:x}-{length:x}{dash}{coding}\"", modified.as_nanos()) }
    }

    /// Judges the conditions in their order (§13.2.2), then the range.
    pub fn judge(&self, headers: &Headers) -> Verdict {
        if let Some(tags) = headers.joined("if-match") {
            if !self.is_among(&tags, true) {
                return Verdict::Failed;
            }
        } else if date(headers, "if-unmodified-since").is_some_and(|since| self.modified.as_secs() > since) {
            return Verdict::Failed;
        }
        if let Some(tags) = headers.joined("if-none-match") {
            if self.is_among(&tags, false) {
                return Verdict::Unchanged;
            }
        } else if date(headers, "if-modified-since").is_some_and(|since| self.modified.as_secs() <= since) {
            return Verdict::Unchanged;
        }
        match headers.text("range") {
            Some(range) if self.is_current(headers) => self.range(range),
            _ => Verdict::Whole,
        }
    }

    /// Whether a list of validators names this file.
    fn is_among(&self, tags: &[u8], strong: bool) -> bool {
        tags.split(|&byte| byte == b',').map(<[u8]>::trim_ascii).any(|tag| {
            let weak = tag.strip_prefix(b"W/");
            tag == b"*" || (weak.is_none() || !strong) && weak.unwrap_or(tag) == self.tag.as_bytes()
        })
    }

    /// Whether a range is of the file as it is (§13.1.5).
    fn is_current(&self, headers: &Headers) -> bool {
        match headers.text("if-range").map(str::trim) {
            None => true,
            Some(tag) if tag.starts_with('"') => tag == self.tag,
            Some(_) => date(headers, "if-range") == Some(self.modified.as_secs()),
        }
    }

    /// One range; several, or what is none, is answered with the whole (§14.2 leaves that open).
    fn range(&self, field: &str) -> Verdict {
        let Some((unit, spec)) = field.split_once('=') else { return Verdict::Whole };
        let Some((first, last)) = spec.trim().split_once('-').filter(|_| !spec.contains(',')) else {
            return Verdict::Whole;
        };
        let number = |text: &str| -> Option<u64> {
            let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
            // More digits than fit are more than any file has.
            digits.then(|| text.parse().unwrap_or(u64::MAX))
        };
        let length = self.length;
        let (first, last) = match (first.trim(), last.trim()) {
            _ if !unit.trim().eq_ignore_ascii_case("bytes") => return Verdict::Whole,
            ("", suffix) => match number(suffix) {
                Some(0) => return Verdict::Beyond,
                Some(suffix) => (length.saturating_sub(suffix), length),
                None => return Verdict::Whole,
            },
            (first, "") => match number(first) {
                Some(first) => (first, length),
                None => return Verdict::Whole,
            },
            (first, last) => match (number(first), number(last)) {
                (Some(first), Some(last)) if first <= last => (first, last.saturating_add(1).min(length)),
                _ => return Verdict::Whole,
            },
        };
        if first >= length { Verdict::Beyond } else { Verdict::Part(first, last - first) }
    }
}

#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "the range was checked")]
fn date(headers: &Headers, name: &str) -> Option<u64> {
    let seconds = time::parse(headers.text(name)?.trim(), Some(time::Style::Http)).ok()?;
    (0.0..1e15).contains(&seconds).then_some(seconds as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn facts() -> Facts {
        Facts::new(100, Duration::new(784_111_777, 5), "")
    }

    fn judged(fields: &[(&str, &str)]) -> Verdict {
        let mut headers = Headers::default();
        for (name, value) in fields {
            headers.add(name, value.replace("TAG", &facts().tag));
        }
        facts().judge(&headers)
    }

    const DATE: &str = "Sun, 06 Nov 1994 08:49:37 GMT";
    const BEFORE: &str = "Sun, 06 Nov 1994 08:49:36 GMT";

    #[test]
    fn ranges() {
        for (range, verdict) in [
            ("bytes=0-0", Verdict::Part(0, 1)),
            ("bytes=10-19", Verdict::Part(10, 10)),
            ("bytes=90-", Verdict::Part(90, 10)),
            ("bytes=-10", Verdict::Part(90, 10)),
            ("bytes=-1000", Verdict::Part(0, 100)),
            ("bytes=90-1000", Verdict::Part(90, 10)),
            ("BYTES = 0-1", Verdict::Part(0, 2)),
            ("bytes=99-99999999999999999999999999", Verdict::Part(99, 1)),
            ("bytes=100-", Verdict::Beyond),
            ("bytes=99999999999999999999999999-", Verdict::Beyond),
            ("bytes=-0", Verdict::Beyond),
            ("bytes=5-4", Verdict::Whole),
            ("bytes=0-1,5-6", Verdict::Whole),
            ("bytes=+1-2", Verdict::Whole),
            ("bytes=-", Verdict::Whole),
            ("bytes=a-b", Verdict::Whole),
            ("lines=0-1", Verdict::Whole),
            ("bytes", Verdict::Whole),
        ] {
            assert_eq!(judged(&[("range", range)]), verdict, "{range}");
        }
        assert_eq!(Facts::new(0, Duration::ZERO, "").judge(&Headers::default()), Verdict::Whole);
    }

    #[test]
    fn conditions_in_their_order() {
        let part = ("range", "bytes=0-9");
        for (fields, verdict) in [
            (vec![("if-none-match", "TAG")], Verdict::Unchanged),
            (vec![("if-none-match", "\"x\", W/TAG")], Verdict::Unchanged),
            (vec![("if-none-match", "*")], Verdict::Unchanged),
            (vec![("if-none-match", "\"x\""), ("if-modified-since", DATE)], Verdict::Whole),
            (vec![("if-modified-since", DATE)], Verdict::Unchanged),
            (vec![("if-modified-since", BEFORE)], Verdict::Whole),
            (vec![("if-modified-since", "yesterday")], Verdict::Whole),
            (vec![("if-match", "TAG")], Verdict::Whole),
            (vec![("if-match", "W/TAG")], Verdict::Failed),
            (vec![("if-match", "*")], Verdict::Whole),
            (vec![("if-match", "\"x\""), ("if-none-match", "TAG")], Verdict::Failed),
            (vec![("if-unmodified-since", DATE)], Verdict::Whole),
            (vec![("if-unmodified-since", BEFORE)], Verdict::Failed),
            (vec![part, ("if-range", "TAG")], Verdict::Part(0, 10)),
            (vec![part, ("if-range", "W/TAG")], Verdict::Whole),
            (vec![part, ("if-range", "\"x\"")], Verdict::Whole),
            (vec![part, ("if-range", DATE)], Verdict::Part(0, 10)),
            (vec![part, ("if-range", BEFORE)], Verdict::Whole),
            (vec![part, ("if-none-match", "TAG")], Verdict::Unchanged),
        ] {
            assert_eq!(judged(&fields), verdict, "{fields:?}");
        }
    }

    #[test]
    fn another_coding_has_another_validator() {
        assert_ne!(Facts::new(1, Duration::ZERO, "br").tag, Facts::new(1, Duration::ZERO, "").tag);
        assert!(facts().tag.starts_with('"') && facts().tag.ends_with('"'));
    }
}
