//! Rates as scripts write them: `"100/s"`, `"1000/5min"`, `"20/10s"`.

use std::time::Duration;

use serde::Deserialize;
use serde::Serialize;

use crate::suggest::did_you_mean;

/// So many in so long.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Rate {
    /// How many.
    pub count: u64,
    /// How many units.
    pub times: u32,
    /// The unit of time.
    pub unit: Unit,
}

/// A unit of time in a rate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Unit {
    /// `s`
    Second,
    /// `min`
    Minute,
    /// `h`
    Hour,
    /// `day`
    Day,
    /// `week`
    Week,
    /// `month`: 30 days, in a calendar a real month.
    Month,
    /// `year`: 365 days, in a calendar a real year.
    Year,
}

/// A text that is no rate.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct RateError(String);

impl Rate {
    /// Reads a rate.
    pub fn parse(text: &str) -> Result<Self, RateError> {
        let advice = "write \"100/s\", \"60/min\", \"1000/5min\" or \"50000/day\"";
        let bad = || RateError(format!("`{text}` is no rate; {advice}"));
        let (count, period) = text.split_once('/').ok_or_else(bad)?;
        let count = count.trim().replace('_', "");
        if count.is_empty() || !count.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(bad());
        }
        let count: u64 = count.parse().ok().filter(|count| *count <= MOST).ok_or_else(|| too_large(text))?;
        if count == 0 {
            return Err(RateError(format!("rate `{text}` lets nothing through; to refuse everything write reject(…)")));
        }
        let period = period.trim();
        let digits = period.find(|char: char| !char.is_ascii_digit()).unwrap_or(period.len());
        let times: u32 = if digits == 0 { 1 } else { period[..digits].parse().map_err(|_| too_large(text))? };
        let unit = unit(period[digits..].trim()).map_err(|near| RateError(format!("rate `{text}`: {near}")))?;
        let rate = Self { count, times, unit };
        if times == 0 || rate.period() > Duration::from_secs(100 * 365 * 86_400) {
            return Err(RateError(format!(
                "rate `{text}`: its time is {}",
                if times == 0 { "zero" } else { "too long" }
            )));
        }
        Ok(rate)
    }

    /// How long its time is.
    pub fn period(&self) -> Duration {
        let seconds: u64 = match self.unit {
            Unit::Second => 1,
            Unit::Minute => 60,
            Unit::Hour => 3600,
            Unit::Day => 86_400,
            Unit::Week => 604_800,
            Unit::Month => 30 * 86_400,
            Unit::Year => 365 * 86_400,
        };
        Duration::from_secs(seconds * u64::from(self.times))
    }
}

impl std::fmt::Display for Rate {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let unit = match self.unit {
            Unit::Second => "s",
            Unit::Minute => "min",
            Unit::Hour => "h",
            Unit::Day => "day",
            Unit::Week => "week",
            Unit::Month => "month",
            Unit::Year => "year",
        };
        match self.times {
            1 => write!(f, "{}/{unit}", self.count),
            times => write!(f, "{}/{times}{unit}", self.count),
        }
    }
}

fn too_large(text: &str) -> RateError {
    RateError(format!("rate `{text}` is too large"))
}

fn unit(text: &str) -> Result<Unit, String> {
    Ok(match text {
        "s" | "sec" | "second" => Unit::Second,
        "m" | "min" | "minute" => Unit::Minute,
        "h" | "hour" => Unit::Hour,
        "d" | "day" => Unit::Day,
        "w" | "week" => Unit::Week,
        "month" => Unit::Month,
        "year" => Unit::Year,
        other => {
            let near = did_you_mean(other, ["s", "min", "h", "day", "week", "month", "year"]);
            return Err(format!("no unit `{other}`; there are s, min, h, day, week, month and year{near}"));
        }
    })
}

/// Sums of counts stay exact in every arithmetic used on them.
const MOST: u64 = 1 << 50;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_as_written() {
        for (text, count, seconds) in [
            ("100/s", 100, 1),
            ("60/min", 60, 60),
            ("1000/h", 1000, 3600),
            ("50000/day", 50_000, 86_400),
            ("1000/5min", 1000, 300),
            ("20/10s", 20, 10),
            ("1/week", 1, 604_800),
            ("5/month", 5, 2_592_000),
            ("5/year", 5, 31_536_000),
            ("1_000 / 5 min", 1000, 300),
        ] {
            let rate = Rate::parse(text).expect(text);
            assert_eq!((rate.count, rate.period().as_secs()), (count, seconds), "{text}");
            assert_eq!(Rate::parse(&rate.to_string()), Ok(rate), "{text}");
        }
    }

    #[test]
    fn what_is_no_rate_names_the_text() {
        for (text, says) in [
            ("100", "write \"100/s\""),
            ("/s", "is no rate"),
            ("-1/s", "is no rate"),
            ("1.5/s", "is no rate"),
            ("0/s", "lets nothing through"),
            ("5/0s", "its time is zero"),
            ("5/mnth", "did you mean `month`?"),
            ("5/", "no unit ``"),
            ("99999999999999999999/s", "too large"),
            ("5/99999999999s", "too large"),
            ("5/200year", "too long"),
            ("5/s/s", "no unit"),
        ] {
            let error = Rate::parse(text).expect_err(text).to_string();
            assert!(error.contains(says) && error.contains(text), "{text}: {error}");
        }
    }
}
