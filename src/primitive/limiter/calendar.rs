//! Windows of the calendar, in UTC.

use std::time::Duration;

use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;

use crate::primitive::rate::Rate;
use crate::primitive::rate::Unit;

/// Begin and end of the window that holds `unix`, since the epoch.
pub(super) fn window(rate: &Rate, unix: Duration) -> (Duration, Duration) {
    match rate.unit {
        Unit::Second | Unit::Minute | Unit::Hour | Unit::Day => aligned(unix, rate.period(), Duration::ZERO),
        // The epoch was a Thursday; weeks begin on Monday.
        Unit::Week => aligned(unix, rate.period(), Duration::from_secs(4 * 86_400)),
        Unit::Month => months(unix, i64::from(rate.times)),
        Unit::Year => months(unix, 12 * i64::from(rate.times)),
    }
}

fn aligned(unix: Duration, period: Duration, origin: Duration) -> (Duration, Duration) {
    let period = period.as_nanos();
    let since = unix.as_nanos() + period - origin.as_nanos() % period;
    let begin = unix.as_nanos().saturating_sub(since % period);
    (nanos(begin), nanos(begin + period))
}

fn nanos(nanos: u128) -> Duration {
    Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
}

/// Windows of so many months, counted from January 1970.
fn months(unix: Duration, step: i64) -> (Duration, Duration) {
    let seconds = i64::try_from(unix.as_secs()).unwrap_or(i64::MAX);
    let date = Timestamp::from_second(seconds).unwrap_or(Timestamp::MAX).to_zoned(TimeZone::UTC).date();
    let index = i64::from(date.year() - 1970) * 12 + i64::from(date.month()) - 1;
    let begin = index - index.rem_euclid(step);
    (month(begin), month(begin + step))
}

fn month(index: i64) -> Duration {
    let year = i16::try_from(1970 + index.div_euclid(12)).unwrap_or(i16::MAX);
    let month = i8::try_from(index.rem_euclid(12) + 1).unwrap_or(1);
    let date = Date::new(year, month, 1).and_then(|date| date.to_zoned(TimeZone::UTC));
    date.map_or(Duration::MAX, |date| Duration::from_secs(u64::try_from(date.timestamp().as_second()).unwrap_or(0)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(rate: &str, at: &str) -> (String, String) {
        let at: Timestamp = at.parse().expect("a time");
        let unix = Duration::from_nanos(u64::try_from(at.as_nanosecond()).expect("after 1970"));
        let (begin, end) = window(&Rate::parse(rate).expect("a rate"), unix);
        let show = |time: Duration| {
            Timestamp::from_second(i64::try_from(time.as_secs()).expect("small")).expect("a time").to_string()
        };
        (show(begin), show(end))
    }

    #[test]
    fn windows_are_those_of_the_calendar() {
        for (rate, at, begin, end) in [
            ("1/min", "2026-11-24T10:17:30.5Z", "2026-11-24T10:17:00Z", "2026-11-24T10:18:00Z"),
            ("1/5min", "2026-11-24T10:17:30Z", "2026-11-24T10:15:00Z", "2026-11-24T10:20:00Z"),
            ("1/h", "2026-11-24T10:17:30Z", "2026-11-24T10:00:00Z", "2026-11-24T11:00:00Z"),
            ("1/day", "2026-11-24T23:59:59.999Z", "2026-11-24T00:00:00Z", "2026-11-25T00:00:00Z"),
            ("1/week", "2026-11-24T10:00:00Z", "2026-11-23T00:00:00Z", "2026-11-30T00:00:00Z"),
            ("1/month", "2028-02-29T10:00:00Z", "2028-02-01T00:00:00Z", "2028-03-01T00:00:00Z"),
            ("1/month", "2026-12-31T23:59:59Z", "2026-12-01T00:00:00Z", "2027-01-01T00:00:00Z"),
            ("1/3month", "2026-11-24T10:00:00Z", "2026-10-01T00:00:00Z", "2027-01-01T00:00:00Z"),
            ("1/year", "2026-11-24T10:00:00Z", "2026-01-01T00:00:00Z", "2027-01-01T00:00:00Z"),
        ] {
            assert_eq!(shown(rate, at), (begin.to_owned(), end.to_owned()), "{rate} at {at}");
        }
    }

    #[test]
    fn any_time_is_inside_its_window() {
        for rate in ["1/s", "1/week", "7/2week", "1/month", "1/year"] {
            let rate = Rate::parse(rate).expect("a rate");
            for unix in [0, 1, 345_600, 1_000_000_000, 4_000_000_000, u64::MAX / 1_000_000_000].map(Duration::from_secs)
            {
                let (begin, end) = window(&rate, unix);
                assert!(begin <= unix && unix < end, "{rate} at {unix:?}: {begin:?} {end:?}");
            }
        }
    }
}
