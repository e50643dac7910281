//! What may stand as an option's value, and how a message names it.

use std::borrow::Cow;
use std::fmt;

use super::Opt;
use crate::primitive::validate::extent;
use crate::primitive::validate::listed;
pub(crate) use crate::primitive::validate::or;
use crate::transform::template::Escape;

/// A kind of value. The same kinds serve the built-in words and `is.*` of a script's own policies.
#[derive(Clone, Debug)]
pub enum Type {
    /// Anything but nil.
    Any,
    /// `true` or `false`.
    Bool,
    /// Exactly this one of `true` and `false`.
    Exactly(bool),
    /// Text (a secret counts as text).
    Text(Text),
    /// A whole number within bounds.
    Int(i64, i64),
    /// A number within bounds.
    Number(f64, f64),
    /// `"250ms" "5s" "2m" "1h" "7d"` or seconds.
    Duration,
    /// `"64KB" "10MB"` or bytes.
    Size,
    /// `"100/s"`, `"1000/5min"`.
    Rate,
    /// Text whose `{names}` are filled, escaped for where it ends up.
    Template(Escape),
    /// Any value; every text in it is such a template.
    Templates(Escape),
    /// A function, with its parameters for the message.
    Function(&'static str),
    /// A status code, 100 to 599.
    Status,
    /// One of these words.
    OneOf(Vec<Cow<'static, str>>),
    /// A list of such values: fewest and most of them.
    List(Box<Self>, Option<usize>, Option<usize>),
    /// A table from names to such values.
    Map(Box<Self>),
    /// A table with these options (the list part, where an option is named `1`, holds values of that option's type).
    Table(Vec<Opt>),
    /// Any of these.
    Either(Vec<Self>),
    /// A step: a function or what a policy returned.
    Step,
    /// `regex "…"`.
    Regex,
}

/// Rules of a text.
#[derive(Clone, Debug, Default)]
pub struct Text {
    /// Fewest characters.
    pub min: Option<usize>,
    /// Most characters.
    pub max: Option<usize>,
    /// A regular expression it must match.
    pub pattern: Option<String>,
    /// `uuid`, `email`, `url`, `date`, `datetime`.
    pub format: Option<&'static str>,
}

impl Type {
    /// Plain text.
    pub fn text() -> Self {
        Self::Text(Text::default())
    }

    /// One of a few words.
    pub fn one_of(words: &[&'static str]) -> Self {
        Self::OneOf(words.iter().map(|word| Cow::Borrowed(*word)).collect())
    }

    /// A list of such values.
    pub fn list(of: Self) -> Self {
        Self::List(Box::new(of), None, None)
    }

    /// A table from names to such values.
    pub fn map(of: Self) -> Self {
        Self::Map(Box::new(of))
    }

    /// Zero or more.
    pub fn count() -> Self {
        Self::Int(0, i64::from(u32::MAX))
    }

    /// One or more.
    pub fn positive() -> Self {
        Self::Int(1, i64::from(u32::MAX))
    }

    /// Whether text may stand there, through `Either`.
    pub fn takes_text(&self) -> bool {
        match self {
            Self::Text(_) | Self::Template(_) => true,
            Self::Either(types) => types.iter().any(Self::takes_text),
            _ => false,
        }
    }

    /// The options of a table, through `Either`.
    pub fn table(&self) -> Option<&[Opt]> {
        match self {
            Self::Table(options) => Some(options),
            Self::Either(types) => types.iter().find_map(Self::table),
            _ => None,
        }
    }
}

impl fmt::Display for Type {
    /// As in "must be …".
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Any | Self::Templates(_) => f.write_str("a value"),
            Self::Bool => f.write_str("`true` or `false`"),
            Self::Exactly(value) => write!(f, "`{value}`"),
            Self::Text(text) => text.fmt(f),
            Self::Int(min, max) if *max >= i64::from(u32::MAX) && *min <= 0 => {
                f.write_str(if *min < 0 { "a whole number" } else { "a whole number, 0 or more" })
            }
            Self::Int(min, max) if *max >= i64::from(u32::MAX) => write!(f, "a whole number, {min} or more"),
            Self::Int(min, max) => write!(f, "a whole number from {min} to {max}"),
            Self::Number(min, max) if min.is_infinite() && max.is_infinite() => f.write_str("a number"),
            Self::Number(min, max) if max.is_infinite() => write!(f, "a number, {min} or more"),
            Self::Number(min, max) => write!(f, "a number from {min} to {max}"),
            Self::Duration => f.write_str("a duration (\"250ms\", \"5s\", \"2m\" or seconds)"),
            Self::Size => f.write_str("a size (\"64KB\", \"10MB\" or bytes)"),
            Self::Rate => f.write_str("a rate (\"100/s\", \"1000/5min\")"),
            Self::Template(_) => f.write_str("text"),
            Self::Function(form) => write!(f, "a function({form})"),
            Self::Status => f.write_str("a status code from 100 to 599"),
            Self::OneOf(words) => {
                let number = |word: &str| word.parse::<f64>().is_ok();
                let quoted: Vec<String> = words
                    .iter()
                    .map(|word| if number(word) { word.to_string() } else { format!("{word:?}") })
                    .collect();
                f.write_str(&or(&quoted))
            }
            Self::List(of, min, max) => {
                listed(f, *min, *max)?;
                write!(f, " ({of})")
            }
            Self::Map(of) => write!(f, "a table {{ name = {of} }}"),
            Self::Table(options) => {
                let names: Vec<&str> =
                    options.iter().filter(|option| option.name != "1").map(|option| option.name.as_ref()).collect();
                match names.len() {
                    1..=4 => write!(f, "a table {{ {} }}", names.join(", ")),
                    _ => f.write_str("a table { … }"),
                }
            }
            Self::Either(types) => {
                let all: Vec<String> = types.iter().map(Self::to_string).collect();
                f.write_str(&or(&all))
            }
            Self::Step => f.write_str("a step: a function(req) or a policy"),
            Self::Regex => f.write_str("a regex \"…\""),
        }
    }
}

impl fmt::Display for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.format {
            Some("uuid") => f.write_str("a UUID")?,
            Some("email") => f.write_str("an email address")?,
            Some("url") => f.write_str("a URL such as \"https://example.com/\"")?,
            Some("date") => f.write_str("a date such as \"2026-01-31\"")?,
            Some("datetime") => f.write_str("a date and time such as \"2026-01-31T12:00:00Z\"")?,
            _ => f.write_str("text")?,
        }
        extent(f, self.min, self.max, self.pattern.as_ref().map(|pattern| pattern as &dyn fmt::Display))
    }
}
