//! Durations (`"250ms"`, `"1h"`, or seconds) and sizes (`"64KB"`) as scripts write them.

use std::time::Duration;

use crate::suggest::did_you_mean;

/// A value that is no duration or size.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct UnitError(pub String);

/// A duration as text: `"250ms" "5s" "2m" "1h" "7d"`, also `"1.5s"`, or a plain number of seconds.
pub fn duration(text: &str) -> Result<Duration, UnitError> {
    let (number, unit) = split(text).ok_or_else(|| bad_duration(text))?;
    let seconds = match unit {
        "" | "s" => 1.0,
        "ms" => 0.001,
        "us" => 0.000_001,
        "m" => 60.0,
        "h" => 3600.0,
        "d" => 86_400.0,
        other => return Err(unit_fault(text, other)),
    };
    seconds_checked(number * seconds).ok_or_else(|| UnitError(format!("duration `{text}` is too long")))
}

/// A number of seconds.
pub fn seconds(number: f64) -> Result<Duration, UnitError> {
    if number.is_nan() || number < 0.0 {
        return Err(UnitError(format!("a duration cannot be {number}")));
    }
    seconds_checked(number).ok_or_else(|| UnitError(format!("duration {number} is too long")))
}

/// Two durations: `"25ms..250ms"`, or one that is both.
pub fn range(text: &str) -> Result<(Duration, Duration), UnitError> {
    let (from, to) = match text.split_once("..") {
        Some((from, to)) => (duration(from.trim())?, duration(to.trim())?),
        None => (duration(text)?, duration(text)?),
    };
    if from > to {
        return Err(UnitError(format!("`{text}` begins with the longer duration")));
    }
    Ok((from, to))
}

/// A size as text: `"64KB" "10MB"` (1 KB = 1024 B), or a plain number of bytes.
pub fn size(text: &str) -> Result<u64, UnitError> {
    let (number, unit) = split(text).ok_or_else(|| bad_size(text))?;
    let factor: u64 = match unit.to_ascii_uppercase().as_str() {
        "" | "B" => 1,
        "K" | "KB" | "KIB" => 1 << 10,
        "M" | "MB" | "MIB" => 1 << 20,
        "G" | "GB" | "GIB" => 1 << 30,
        "T" | "TB" | "TIB" => 1 << 40,
        _ => return Err(UnitError(format!("size `{text}`: no unit `{unit}`; write B, KB, MB or GB"))),
    };
    let bytes = number * factor as f64;
    if bytes > MOST_BYTES {
        return Err(UnitError(format!("size `{text}` is too large")));
    }
    Ok(bytes as u64)
}

/// A duration in the largest unit that fits it: `250ms`, `90s`, `2h`.
pub fn shown(duration: Duration) -> String {
    let nanos = duration.as_nanos();
    let units = [("d", 86_400_000_000_000), ("h", 3_600_000_000_000), ("m", 60_000_000_000), ("s", 1_000_000_000)];
    let whole = units.iter().find(|(_, unit)| nanos >= *unit && nanos.is_multiple_of(*unit));
    match whole {
        Some((name, unit)) => format!("{}{name}", nanos / unit),
        None if nanos == 0 => "0s".to_owned(),
        None if nanos.is_multiple_of(1_000_000) => format!("{}ms", nanos / 1_000_000),
        None => format!("{}us", nanos as f64 / 1000.0),
    }
}

/// A decimal number without sign, and what follows it.
fn split(text: &str) -> Option<(f64, &str)> {
    let text = text.trim();
    let end = text.find(|char: char| !(char.is_ascii_digit() || char == '.')).unwrap_or(text.len());
    let number = &text[..end];
    (!number.is_empty() && !number.starts_with('.') && !number.ends_with('.'))
        .then(|| number.parse().ok())
        .flatten()
        .map(|number| (number, text[end..].trim_start()))
}

fn seconds_checked(seconds: f64) -> Option<Duration> {
    (seconds <= MOST_SECONDS).then(|| Duration::from_nanos((seconds * 1e9).round() as u64))
}

fn bad_duration(text: &str) -> UnitError {
    UnitError(format!("`{text}` is no duration; write \"250ms\", \"5s\", \"2m\", \"1h\" or \"7d\""))
}

fn bad_size(text: &str) -> UnitError {
    UnitError(format!("`{text}` is no size; write \"64KB\" or \"10MB\""))
}

fn unit_fault(text: &str, unit: &str) -> UnitError {
    let number = &text.trim()[..text.trim().len() - unit.len()];
    let number = number.trim_end();
    let ours = match unit.to_ascii_lowercase().as_str() {
        "sec" | "secs" | "second" | "seconds" => Some("s"),
        "min" | "mins" | "minute" | "minutes" => Some("m"),
        "hour" | "hours" | "hr" | "hrs" => Some("h"),
        "day" | "days" => Some("d"),
        "msec" | "millis" | "milliseconds" => Some("ms"),
        _ => None,
    };
    let advice = match ours {
        Some(ours) => format!("; write \"{number}{ours}\""),
        None if unit.starts_with(|char: char| char.is_ascii_digit() || char == '.') => String::new(),
        None => did_you_mean(unit, ["ms", "s", "m", "h", "d"]),
    };
    UnitError(format!("duration `{text}`: no unit `{unit}`; there are ms, s, m, h and d{advice}"))
}

/// A hundred years; beyond it a duration is a mistake.
const MOST_SECONDS: f64 = 100.0 * 365.0 * 86_400.0;
/// A pebibyte.
const MOST_BYTES: f64 = (1_u64 << 50) as f64;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_as_written() {
        for (text, millis) in [
            ("250ms", 250),
            ("5s", 5000),
            ("2m", 120_000),
            ("1h", 3_600_000),
            ("7d", 604_800_000),
            ("1.5s", 1500),
            ("30", 30_000),
            (" 10 s ", 10_000),
            ("0s", 0),
        ] {
            assert_eq!(duration(text), Ok(Duration::from_millis(millis)), "{text}");
        }
        assert_eq!(duration("1.001s"), Ok(Duration::from_millis(1001)), "no float dust");
        assert_eq!(seconds(0.25), Ok(Duration::from_millis(250)));
        assert_eq!(range("25ms..250ms"), Ok((Duration::from_millis(25), Duration::from_millis(250))));
        assert_eq!(range("1s"), Ok((Duration::from_secs(1), Duration::from_secs(1))));
    }

    #[test]
    fn what_is_no_duration_names_the_value() {
        for (text, says) in [
            ("", "`` is no duration"),
            ("soon", "`soon` is no duration"),
            ("-5s", "`-5s` is no duration"),
            ("5min", "write \"5m\""),
            ("5 seconds", "write \"5s\""),
            ("5x", "there are ms, s, m, h and d"),
            ("1h30m", "no unit `h30m`"),
            ("1.s", "is no duration"),
            ("1.2.3s", "is no duration"),
            ("999999999d", "too long"),
            ("1e9s", "no unit `e9s`"),
            ("5é", "no unit `é`"),
        ] {
            let error = duration(text).expect_err(text).to_string();
            assert!(error.contains(says), "{text}: {error}");
        }
        assert!(seconds(f64::NAN).is_err() && seconds(-1.0).is_err() && seconds(f64::INFINITY).is_err());
        assert!(range("2s..1s").is_err());
    }

    #[test]
    fn sizes_as_written() {
        for (text, bytes) in
            [("64KB", 65_536), ("10MB", 10 << 20), ("1GB", 1 << 30), ("1.5kb", 1536), ("100", 100), ("0B", 0)]
        {
            assert_eq!(size(text), Ok(bytes), "{text}");
        }
        for text in ["", "MB", "-1KB", "5XB", "99999999TB"] {
            assert!(size(text).is_err_and(|error| error.to_string().contains(text)), "{text}");
        }
    }

    #[test]
    fn a_duration_is_shown_in_its_largest_unit() {
        for text in ["250ms", "90s", "2m", "1h", "7d", "36h", "0s"] {
            assert_eq!(shown(duration(text).expect(text)), text);
        }
        assert_eq!(shown(Duration::from_micros(1500)), "1500us");
    }

    proptest::proptest! {
        #[test]
        fn no_text_makes_them_panic(text in "[0-9. a-zA-Zé-]{0,10}") {
            let _ = (duration(&text), size(&text), range(&text));
        }
    }
}
