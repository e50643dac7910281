//! Filters: `{x|lower}`, `{x|base64url}`, `{x|"default"}`.

use std::borrow::Cow;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::suggest::did_you_mean;

/// What is done to a value before it is escaped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Filter {
    Lower,
    Upper,
    Base64,
    Base64Url,
    /// Instead of an absent or empty value.
    Default(String),
}

const NAMES: [&str; 4] = ["lower", "upper", "base64", "base64url"];

impl Filter {
    /// A filter by its name.
    pub(super) fn named(name: &str) -> Result<Self, String> {
        Ok(match name {
            "lower" => Self::Lower,
            "upper" => Self::Upper,
            "base64" => Self::Base64,
            "base64url" => Self::Base64Url,
            "" => return Err("a filter is missing after `|`".to_owned()),
            other => {
                let near = did_you_mean(other, NAMES);
                let near = if near.is_empty() { format!(r#"; for a default write `|"{other}"`"#) } else { near };
                return Err(format!("unknown filter `{other}`{near}"));
            }
        })
    }
}

/// The value after all filters, in the order written.
pub(super) fn apply<'a>(filters: &[Filter], value: Cow<'a, str>) -> Cow<'a, str> {
    filters.iter().fold(value, |value, filter| match filter {
        Filter::Lower => value.to_lowercase().into(),
        Filter::Upper => value.to_uppercase().into(),
        Filter::Base64 => STANDARD.encode(value.as_bytes()).into(),
        Filter::Base64Url => URL_SAFE_NO_PAD.encode(value.as_bytes()).into(),
        Filter::Default(text) if value.is_empty() => text.clone().into(),
        Filter::Default(_) => value,
    })
}
