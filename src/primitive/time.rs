//! Dates as text: ISO 8601, HTTP dates, and strftime patterns, always in UTC.

use std::time::Duration;

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::fmt::rfc2822;
use jiff::fmt::strtime;
use jiff::tz::TimeZone;

/// A date that cannot be written or read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct TimeError(String);

/// How a date looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Style<'a> {
    /// `2026-11-24T10:00:00Z`, with a fraction where there is one.
    Iso,
    /// `Tue, 24 Nov 2026 10:00:00 GMT`
    Http,
    /// A strftime pattern.
    Pattern(&'a str),
}

impl<'a> Style<'a> {
    /// `"iso"`, `"http"`, or a pattern with `%`.
    pub fn named(text: &'a str) -> Result<Self, TimeError> {
        match text {
            "iso" | "rfc3339" => Ok(Self::Iso),
            "http" => Ok(Self::Http),
            pattern if pattern.contains('%') => Ok(Self::Pattern(pattern)),
            other => {
                Err(TimeError(format!("no style `{other}`; write \"iso\", \"http\" or a pattern such as \"%Y-%m-%d\"")))
            }
        }
    }
}

/// Writes seconds since the Unix epoch.
pub fn format(seconds: f64, style: Style<'_>) -> Result<String, TimeError> {
    let stamp = stamp(seconds)?;
    match style {
        Style::Iso => Ok(stamp.to_string()),
        Style::Http => http(stamp),
        Style::Pattern(pattern) => strtime::format(pattern, &stamp.to_zoned(TimeZone::UTC))
            .map_err(|error| TimeError(format!("pattern `{pattern}`: {error}"))),
    }
}

/// Reads a date; seconds since the Unix epoch. Without a style: ISO 8601 or an HTTP date. No zone means UTC.
pub fn parse(text: &str, style: Option<Style<'_>>) -> Result<f64, TimeError> {
    let fault = |why: String| TimeError(format!("`{}` is no date: {why}", text.chars().take(100).collect::<String>()));
    let stamp = match style {
        Some(Style::Pattern(pattern)) => {
            let read = strtime::parse(pattern, text).map_err(|error| fault(error.to_string()))?;
            read.to_timestamp().or_else(|_| {
                let civil = read.to_datetime().or_else(|_| read.to_date().map(DateTime::from));
                civil.and_then(utc)
            })
        }
        Some(Style::Http) => http_stamp(text),
        Some(Style::Iso) => iso(text),
        None => iso(text).or_else(|first| http_stamp(text).map_err(|_| first)),
    };
    stamp.map(|stamp| stamp.as_nanosecond() as f64 / 1e9).map_err(|error| fault(error.to_string()))
}

/// The HTTP date (RFC 9110 §5.6.7) of a time since the Unix epoch; `None` beyond the year 9999.
pub fn http_date(unix: Duration) -> Option<String> {
    let stamp = Timestamp::from_second(i64::try_from(unix.as_secs()).ok()?).ok()?;
    http(stamp).ok()
}

/// A time since the Unix epoch as `2026-11-24T10:00:00.123Z`, in milliseconds.
pub fn rfc3339(unix: Duration) -> String {
    let millis = i64::try_from(unix.as_millis()).unwrap_or(i64::MAX);
    format!("{:.3}", Timestamp::from_millisecond(millis).unwrap_or(Timestamp::MAX))
}

fn http(stamp: Timestamp) -> Result<String, TimeError> {
    rfc2822::DateTimePrinter::new().timestamp_to_rfc9110_string(&stamp).map_err(|error| TimeError(error.to_string()))
}

fn http_stamp(text: &str) -> Result<Timestamp, jiff::Error> {
    rfc2822::DateTimeParser::new().relaxed_weekday(true).parse_timestamp(text)
}

fn iso(text: &str) -> Result<Timestamp, jiff::Error> {
    text.parse::<Timestamp>().or_else(|error| text.parse::<DateTime>().and_then(utc).map_err(|_| error))
}

fn utc(civil: DateTime) -> Result<Timestamp, jiff::Error> {
    civil.to_zoned(TimeZone::UTC).map(|zoned| zoned.timestamp())
}

fn stamp(seconds: f64) -> Result<Timestamp, TimeError> {
    let fault = || TimeError(format!("{seconds} is no time between the years -9999 and 9999"));
    if !seconds.is_finite() || seconds.abs() > 1e12 {
        return Err(fault());
    }
    // Whole microseconds: a number of Lua holds no more of a time of today.
    Timestamp::from_microsecond((seconds * 1e6).round() as i64).map_err(|_| fault())
}

#[cfg(test)]
mod tests {
    use super::*;

    const AT: f64 = 784_111_777.0;

    #[test]
    fn dates_are_written() {
        assert_eq!(format(AT, Style::Iso).as_deref(), Ok("1994-11-06T08:49:37Z"));
        assert_eq!(format(AT + 0.25, Style::Iso).as_deref(), Ok("1994-11-06T08:49:37.25Z"));
        assert_eq!(format(AT, Style::Http).as_deref(), Ok("Sun, 06 Nov 1994 08:49:37 GMT"));
        assert_eq!(format(AT, Style::Pattern("%d/%b/%Y:%H:%M:%S %z")).as_deref(), Ok("06/Nov/1994:08:49:37 +0000"));
        assert_eq!(http_date(Duration::from_secs(784_111_777)).as_deref(), Some("Sun, 06 Nov 1994 08:49:37 GMT"));
        assert_eq!(http_date(Duration::MAX), None);
        assert_eq!(rfc3339(Duration::from_millis(784_111_777_000)), "1994-11-06T08:49:37.000Z");
        assert_eq!(rfc3339(Duration::MAX), "9999-12-30T22:00:00.999Z");
    }

    #[test]
    fn dates_are_read() {
        for text in [
            "1994-11-06T08:49:37Z",
            "1994-11-06 08:49:37+00:00",
            "1994-11-06T09:49:37+01:00",
            "1994-11-06T08:49:37",
            "Sun, 06 Nov 1994 08:49:37 GMT",
        ] {
            assert_eq!(parse(text, None), Ok(AT), "{text}");
        }
        assert_eq!(parse("1994-11-06", None), Ok(784_080_000.0));
        assert_eq!(parse("06.11.1994 08:49:37", Some(Style::Pattern("%d.%m.%Y %H:%M:%S"))), Ok(AT));
        assert_eq!(parse("06.11.1994", Some(Style::Pattern("%d.%m.%Y"))), Ok(784_080_000.0));
        assert_eq!(parse("1994-11-06 09:49 +0100", Some(Style::Pattern("%Y-%m-%d %H:%M %z"))), Ok(784_111_740.0));
        assert_eq!(parse("1994-11-06T08:49:37.5Z", Some(Style::Iso)), Ok(AT + 0.5));
    }

    #[test]
    fn what_is_no_date_says_so() {
        for text in ["", "yesterday", "1994-13-01", "1994-11-06T25:00:00Z"] {
            assert!(parse(text, None).is_err_and(|error| error.to_string().contains("is no date")), "{text}");
        }
        for seconds in [f64::NAN, f64::INFINITY, 1e300] {
            assert!(format(seconds, Style::Iso).is_err(), "{seconds}");
        }
        assert!(format(AT, Style::Pattern("%!")).is_err());
        assert!(Style::named("nice").is_err() && Style::named("%Y").is_ok());
    }

    proptest::proptest! {
        #[test]
        fn what_was_written_is_read(seconds in 0u32..) {
            for style in [Style::Iso, Style::Http] {
                let text = format(f64::from(seconds), style).expect("it can be written");
                proptest::prop_assert_eq!(parse(&text, None), Ok(f64::from(seconds)));
            }
        }
    }
}
