//! Rules of a text: length, pattern, format.

use crate::script::words::Text;

/// Whether `text` keeps to `rule`.
pub(super) fn fits(text: &str, rule: &Text) -> bool {
    let length = || text.chars().count();
    rule.min.is_none_or(|min| length() >= min)
        && rule.max.is_none_or(|max| length() <= max)
        && rule
            .pattern
            .as_ref()
            .is_none_or(|pattern| regex::Regex::new(pattern).is_ok_and(|regex| regex.is_match(text)))
        && rule.format.is_none_or(|format| is_of(text, format))
}

fn is_of(text: &str, format: &str) -> bool {
    match format {
        "uuid" => uuid::Uuid::try_parse(text).is_ok() && text.len() == 36,
        "email" => text.split_once('@').is_some_and(|(name, host)| {
            !name.is_empty() && host.contains('.') && !host.contains('@') && !text.contains(char::is_whitespace)
        }),
        "url" => url::Url::parse(text).is_ok_and(|url| url.has_host()),
        "date" => text.parse::<jiff::civil::Date>().is_ok() && text.len() == 10,
        "datetime" => text.parse::<jiff::Timestamp>().is_ok(),
        _ => true,
    }
}
