//! What a text may be beside text.

/// A named form.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// A UUID with hyphens.
    Uuid,
    /// An email address.
    Email,
    /// A URL with a host.
    Url,
    /// `2026-01-31`
    Date,
    /// `2026-01-31T12:00:00Z`
    DateTime,
}

impl Format {
    /// By the name that rules use.
    pub fn named(name: &str) -> Option<Self> {
        Some(match name {
            "uuid" => Self::Uuid,
            "email" => Self::Email,
            "url" => Self::Url,
            "date" => Self::Date,
            "datetime" => Self::DateTime,
            _ => return None,
        })
    }

    /// As in "must be …".
    pub fn article(self) -> &'static str {
        match self {
            Self::Uuid => "a UUID",
            Self::Email => "an email address",
            Self::Url => "a URL",
            Self::Date => "a date such as 2026-01-31",
            Self::DateTime => "a date and time such as 2026-01-31T12:00:00Z",
        }
    }

    /// Whether `text` is one.
    pub fn holds(self, text: &str) -> bool {
        match self {
            Self::Uuid => text.len() == 36 && uuid::Uuid::try_parse(text).is_ok(),
            Self::Email => is_email(text),
            Self::Url => url::Url::parse(text).is_ok_and(|url| url.has_host()),
            Self::Date => text.len() == 10 && text.parse::<jiff::civil::Date>().is_ok(),
            Self::DateTime => is_date_time(text),
        }
    }
}

fn is_email(text: &str) -> bool {
    text.len() <= 254
        && text.split_once('@').is_some_and(|(name, host)| {
            !name.is_empty()
                && host.contains('.')
                && !host.starts_with('.')
                && !host.ends_with('.')
                && !host.contains("..")
                && !host.contains('@')
                && !text.contains(|c: char| c.is_whitespace() || c.is_control())
        })
}

/// RFC 3339: a date, `T`, a time with seconds, and `Z` or an offset.
fn is_date_time(text: &str) -> bool {
    let bytes = text.as_bytes();
    bytes.len() >= 20
        && matches!(bytes[10], b'T' | b't' | b' ')
        && bytes[16] == b':'
        && text.parse::<jiff::Timestamp>().is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forms_are_told_apart() {
        for (format, good, bad) in [
            (Format::Uuid, "123e4567-e89b-12d3-a456-426614174000", "123e4567e89b12d3a456426614174000"),
            (Format::Email, "ann@example.org", "ann@example"),
            (Format::Email, "a+b@x.co", "a b@x.co"),
            (Format::Email, "a@b.c", "a@b@c.d"),
            (Format::Url, "https://example.org/x?y", "/x"),
            (Format::Url, "http://[::1]:80/", "mailto:a@b.c"),
            (Format::Date, "2026-02-28", "2026-02-30"),
            (Format::Date, "2024-02-29", "2024-2-29"),
            (Format::DateTime, "2026-01-31T12:00:00Z", "2026-01-31T12:00Z"),
            (Format::DateTime, "2026-01-31T12:00:00.5+02:00", "2026-01-31T12:00:00"),
        ] {
            assert!(format.holds(good), "{format:?} {good}");
            assert!(!format.holds(bad), "{format:?} {bad}");
        }
    }
}
