//! Range requests (RFC 9110 §14): which part of a body a client wants.

use std::ops::Range;

/// What a `Range` field comes to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Part {
    /// Everything: no range, one of another unit, or several, which are answered whole (§14.2 allows it).
    Whole,
    /// These bytes, at least one.
    Bytes(Range<u64>),
    /// None of the bytes there are: 416.
    Unsatisfiable,
}

/// Reads `bytes=0-499`, `bytes=500-` or `bytes=-500` for a body of `length` bytes.
pub fn part(field: Option<&[u8]>, length: u64) -> Part {
    let Some(set) = field.and_then(|field| field.strip_prefix(b"bytes=")) else { return Part::Whole };
    let Ok(set) = std::str::from_utf8(set) else { return Part::Whole };
    let Some((first, last)) = set.trim().split_once('-') else { return Part::Whole };
    match (number(first), number(last)) {
        (Some(None), Some(Some(0))) => Part::Unsatisfiable,
        (Some(None), Some(Some(_))) if length == 0 => Part::Unsatisfiable,
        (Some(None), Some(Some(suffix))) => Part::Bytes(length.saturating_sub(suffix)..length),
        (Some(Some(first)), Some(last)) => {
            if last.is_some_and(|last| last < first) {
                return Part::Whole;
            }
            if first >= length {
                return Part::Unsatisfiable;
            }
            Part::Bytes(first..last.map_or(length, |last| last.saturating_add(1).min(length)))
        }
        _ => Part::Whole,
    }
}

/// Digits, nothing (`Some(None)`), or something else (`None`).
fn number(text: &str) -> Option<Option<u64>> {
    if text.is_empty() {
        return Some(None);
    }
    if !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    // A number too large for us lies behind the end of any body.
    Some(Some(text.parse().unwrap_or(u64::MAX)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(field: &str) -> Part {
        part(Some(field.as_bytes()), 1_000)
    }

    #[test]
    fn a_range_is_cut_at_the_end_of_the_body() {
        assert_eq!(of("bytes=0-499"), Part::Bytes(0..500));
        assert_eq!(of("bytes=500-"), Part::Bytes(500..1_000));
        assert_eq!(of("bytes=-300"), Part::Bytes(700..1_000));
        assert_eq!(of("bytes=-5000"), Part::Bytes(0..1_000));
        assert_eq!(of("bytes=999-99999999999999999999999"), Part::Bytes(999..1_000));
        assert_eq!(of("bytes=0-0"), Part::Bytes(0..1));
    }

    #[test]
    fn what_lies_behind_the_end_cannot_be_had() {
        assert_eq!(of("bytes=1000-"), Part::Unsatisfiable);
        assert_eq!(of("bytes=-0"), Part::Unsatisfiable);
        assert_eq!(part(Some(b"bytes=-5"), 0), Part::Unsatisfiable);
    }

    #[test]
    fn what_is_no_single_range_gets_everything() {
        for field in
            ["bytes=5-2", "bytes=a-b", "bytes=0-1,4-5", "items=0-1", "bytes=", "bytes=-", "bytes=1", "bytes=0x1-2"]
        {
            assert_eq!(of(field), Part::Whole, "{field}");
        }
        assert_eq!(part(None, 5), Part::Whole);
    }
}
