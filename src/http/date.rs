//! HTTP dates in their three forms (RFC 9110 §5.6.7), read into seconds since the Unix epoch.

/// `Sun, 06 Nov 1994 08:49:37 GMT`, `Sunday, 06-Nov-94 08:49:37 GMT` or `Sun Nov  6 08:49:37 1994`. `None` for what is
/// no date, or lies before 1970; `now` (Unix seconds) says which century a year of two digits means.
pub fn parse(text: &[u8], now: u64) -> Option<u64> {
    let text = std::str::from_utf8(text).ok()?;
    match text.split_once(", ") {
        Some((_, rest)) if rest.contains('-') => rfc850(rest, now),
        Some((_, rest)) => imf(rest),
        None => asctime(text),
    }
}

/// `06 Nov 1994 08:49:37 GMT`
fn imf(text: &str) -> Option<u64> {
    let mut parts = text.split(' ');
    let (day, month, year) = (parts.next()?, parts.next()?, parts.next()?);
    let (clock, zone) = (parts.next()?, parts.next()?);
    if !matches!(zone, "GMT" | "UTC") || parts.next().is_some() {
        return None;
    }
    seconds(digits(year, 4)?, month, digits(day, 2)?, clock)
}

/// `06-Nov-94 08:49:37 GMT`
fn rfc850(text: &str, now: u64) -> Option<u64> {
    let (date, rest) = text.split_once(' ')?;
    let mut parts = date.split('-');
    let (day, month, year) = (parts.next()?, parts.next()?, digits(parts.next()?, 2)?);
    let clock = rest.strip_suffix(" GMT")?;
    let this_year = 1970 + now / 31_556_952;
    let mut full = this_year - this_year % 100 + year;
    // A year that seems more than 50 years ahead lies in the past.
    if full > this_year + 50 {
        full -= 100;
    }
    seconds(full, month, digits(day, 2)?, clock)
}

/// `Sun Nov  6 08:49:37 1994`
fn asctime(text: &str) -> Option<u64> {
    let mut parts = text.split_ascii_whitespace().skip(1);
    let (month, day, clock, year) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
    let day = day.parse::<u64>().ok()?;
    seconds(digits(year, 4)?, month, day, clock)
}

fn seconds(year: u64, month: &str, day: u64, clock: &str) -> Option<u64> {
    let month = MONTHS.iter().position(|name| *name == month)? as u64 + 1;
    let mut parts = clock.split(':');
    let (hour, minute) = (digits(parts.next()?, 2)?, digits(parts.next()?, 2)?);
    let second = digits(parts.next()?, 2)?;
    let there = (1..=31).contains(&day) && hour < 24 && minute < 60 && second <= 60 && parts.next().is_none();
    if !there || year < 1970 {
        return None;
    }
    Some(days(year, month, day) * 86_400 + hour * 3_600 + minute * 60 + second)
}

/// Days since 1970-01-01 in the Gregorian calendar, counted in years that begin with March.
fn days(year: u64, month: u64, day: u64) -> u64 {
    let year = if month <= 2 { year - 1 } else { year };
    let (era, of_era) = (year / 400, year % 400);
    let of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468
}

fn digits(text: &str, count: usize) -> Option<u64> {
    (text.len() == count && text.bytes().all(|byte| byte.is_ascii_digit())).then(|| text.parse().ok())?
}

const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

#[cfg(test)]
mod tests {
    use super::parse;

    const NOW: u64 = 1_795_000_000; // in November 2026

    #[test]
    fn the_three_forms_mean_the_same() {
        for text in ["Sun, 06 Nov 1994 08:49:37 GMT", "Sunday, 06-Nov-94 08:49:37 GMT", "Sun Nov  6 08:49:37 1994"] {
            assert_eq!(parse(text.as_bytes(), NOW), Some(784_111_777), "{text}");
        }
    }

    #[test]
    fn leap_days_and_ends_of_years_are_counted() {
        assert_eq!(parse(b"Thu, 01 Jan 1970 00:00:00 GMT", NOW), Some(0));
        assert_eq!(parse(b"Thu, 29 Feb 2024 00:00:00 GMT", NOW), Some(1_709_164_800));
        assert_eq!(parse(b"Wed, 31 Dec 2025 23:59:59 GMT", NOW), Some(1_767_225_599));
        assert_eq!(parse(b"Fri, 01 Mar 2024 00:00:00 GMT", NOW), Some(1_709_251_200));
    }

    #[test]
    fn two_digits_are_the_nearest_century() {
        assert_eq!(parse(b"Friday, 01-Jan-27 00:00:00 GMT", NOW), Some(1_798_761_600));
        assert!(parse(b"Friday, 01-Jan-99 00:00:00 GMT", NOW).unwrap() < 1_000_000_000);
    }

    #[test]
    fn what_is_no_date_is_none() {
        for text in [
            "0",
            "-1",
            "",
            "Sun, 06 Nov 1994",
            "Sun, 6 Nov 1994 08:49:37 GMT",
            "Sun, 06 Nov 1994 08:49:37 EST",
            "Sun, 06 Nov 1994 24:00:00 GMT",
            "Sun, 99 Nov 1994 00:00:00 GMT",
            "Sun, 06 Nov 1900 00:00:00 GMT",
            ", , ",
            "\u{e9}",
        ] {
            assert_eq!(parse(text.as_bytes(), NOW), None, "{text}");
        }
    }
}
