//! Rules for values: parameters are read as what they should be, JSON texts are checked as they are scanned; every fault
//! has its JSON Pointer, absent members get their defaults.

mod body;
mod fault;
pub(super) mod fill;
pub mod format;
mod params;
mod pattern;
pub mod read;
pub(super) mod schema;

use std::fmt;
use std::sync::Arc;

use serde_json::Value;

pub use body::Checked;
pub use body::check;
pub use fault::Fault;
pub use fault::MOST;
pub(super) use fault::escape;
pub use params::Params;
pub use params::Read;
pub use pattern::Pattern;
pub use schema::Schema;
pub use schema::SchemaError;

use format::Format;

/// What a value must be.
#[derive(Clone, Debug)]
pub enum Rule {
    /// Anything.
    Any,
    /// `true` or `false`.
    Bool,
    /// A whole number within bounds.
    Int(Bounds),
    /// A number within bounds.
    Number(Bounds),
    /// Text.
    Text(Text),
    /// One of these words.
    OneOf(Vec<Box<str>>),
    /// A list.
    List(Box<List>),
    /// An object whose members are all of one kind.
    Map(Box<Self>),
    /// An object with these members.
    Object(Object),
    /// Any of these.
    Either(Vec<Self>),
    /// This, or `null`.
    Nullable(Box<Self>),
    /// What something else decides: a JSON Schema.
    Other(Arc<dyn Judge>),
}

/// A check of whole values that this module knows nothing about.
pub trait Judge: fmt::Debug + Send + Sync {
    /// Adds what is wrong with `value`, `most` faults at most.
    fn judge(&self, value: &Value, most: usize) -> Vec<Fault>;

    /// Gives a value that fits the members it lacks and there are defaults for; whether there was one.
    fn fill(&self, _value: &mut Value) -> bool {
        false
    }

    /// A parameter as the value it should be; what cannot be is left as text, for `judge` to refuse.
    fn read(&self, values: &[&str]) -> Value;
}

/// Least and most.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Bounds {
    /// Not less.
    pub min: Option<f64>,
    /// Not more.
    pub max: Option<f64>,
}

/// Rules of a text.
#[derive(Clone, Debug, Default)]
pub struct Text {
    /// Fewest characters.
    pub min: Option<usize>,
    /// Most characters.
    pub max: Option<usize>,
    /// What it must match, somewhere.
    pub pattern: Option<Pattern>,
    /// What it must be.
    pub format: Option<Format>,
}

/// Rules of a list.
#[derive(Clone, Debug)]
pub struct List {
    /// What each item must be.
    pub items: Rule,
    /// Fewest items.
    pub min: Option<usize>,
    /// Most items.
    pub max: Option<usize>,
}

/// Rules of an object.
#[derive(Clone, Debug, Default)]
pub struct Object {
    /// Its members, sorted by name.
    fields: Vec<Field>,
    /// Whether there may be others.
    extra: bool,
}

/// A member of an object, or a parameter.
#[derive(Clone, Debug)]
pub struct Field {
    /// Its name.
    pub name: Box<str>,
    /// What it must be.
    pub rule: Rule,
    /// Whether it must be there.
    pub required: bool,
    /// What stands there when nothing does.
    pub default: Option<Value>,
}

impl Object {
    /// An object with these members, and with others where `extra`.
    pub fn new(mut fields: Vec<Field>, extra: bool) -> Self {
        fields.sort_by(|a, b| a.name.cmp(&b.name));
        Self { fields, extra }
    }

    fn find(&self, name: &str) -> Option<usize> {
        if self.fields.len() <= FEW {
            // Names of different length are told apart at a glance, which beats halving.
            return self.fields.iter().position(|field| *field.name == *name);
        }
        self.fields.binary_search_by(|field| (*field.name).cmp(name)).ok()
    }
}

/// Members of which one is looked for from the first on.
const FEW: usize = 8;

impl fmt::Display for Rule {
    /// As in "must be …".
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Any => f.write_str("a value"),
            Self::Bool => f.write_str("true or false"),
            Self::Int(bounds) => write!(f, "a whole number{bounds}"),
            Self::Number(bounds) => write!(f, "a number{bounds}"),
            Self::Text(text) => text.fmt(f),
            Self::OneOf(words) => {
                let words: Vec<String> = words.iter().map(|word| format!("{word:?}")).collect();
                f.write_str(&or(&words))
            }
            Self::List(list) => listed(f, list.min, list.max),
            Self::Map(_) | Self::Object(_) => f.write_str("an object"),
            Self::Either(rules) => f.write_str(&or(&rules.iter().map(Self::to_string).collect::<Vec<_>>())),
            Self::Nullable(rule) => write!(f, "{rule} or null"),
            Self::Other(_) => f.write_str("what the schema says"),
        }
    }
}

impl fmt::Display for Bounds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.min, self.max) {
            (None, None) => Ok(()),
            (Some(min), Some(max)) => write!(f, " from {min} to {max}"),
            (Some(min), None) => write!(f, ", {min} or more"),
            (None, Some(max)) => write!(f, ", {max} or less"),
        }
    }
}

impl fmt::Display for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.format.map_or("text", Format::article))?;
        extent(f, self.min, self.max, self.pattern.as_ref().map(|pattern| pattern as &dyn fmt::Display))
    }
}

/// How long a text may be and what it matches, behind what it is.
pub(crate) fn extent(
    f: &mut fmt::Formatter<'_>,
    min: Option<usize>,
    max: Option<usize>,
    pattern: Option<&dyn fmt::Display>,
) -> fmt::Result {
    match (min, max) {
        (Some(min), Some(max)) if min == max => write!(f, " of {min} characters")?,
        (Some(min), Some(max)) => write!(f, " of {min} to {max} characters")?,
        (Some(1), None) => f.write_str(" that is not empty")?,
        (Some(min), None) => write!(f, " of {min} characters or more")?,
        (None, Some(max)) => write!(f, " of {max} characters at most")?,
        (None, None) => {}
    }
    pattern.map_or(Ok(()), |pattern| write!(f, " matching `{pattern}`"))
}

/// A list, and how many items it may have.
pub(crate) fn listed(f: &mut fmt::Formatter<'_>, min: Option<usize>, max: Option<usize>) -> fmt::Result {
    match (min, max) {
        (None, None) => f.write_str("a list"),
        (Some(1), Some(1)) => f.write_str("a list of 1 item"),
        (Some(min), Some(max)) if min == max => write!(f, "a list of {min} items"),
        (Some(min), Some(max)) => write!(f, "a list of {min} to {max} items"),
        (Some(1), None) => f.write_str("a list that is not empty"),
        (Some(min), None) => write!(f, "a list of {min} items or more"),
        (None, Some(1)) => f.write_str("a list of 1 item at most"),
        (None, Some(max)) => write!(f, "a list of {max} items at most"),
    }
}

/// `a, b or c`.
pub(crate) fn or(words: &[String]) -> String {
    match words {
        [] => "nothing".to_owned(),
        [one] => one.clone(),
        [rest @ .., last] => format!("{} or {last}", rest.join(", ")),
    }
}

impl Bounds {
    /// Whether a JSON number lies within, whatever its size.
    pub fn hold(&self, digits: &str) -> bool {
        if self.min.is_none() && self.max.is_none() {
            return true;
        }
        // Doubles compare exactly with integers below 2^53; a larger whole number is compared as the integer it is.
        let whole = (digits.len() >= 16).then(|| digits.parse::<i128>().ok()).flatten();
        let value: f64 = digits.parse().unwrap_or(f64::INFINITY);
        let order = |bound: f64| match whole {
            #[allow(clippy::cast_possible_truncation, reason = "saturates, and bounds beyond 2^127 are none")]
            Some(whole) if bound.fract() == 0.0 => whole.cmp(&(bound as i128)),
            _ => value.total_cmp(&bound),
        };
        self.min.is_none_or(|min| order(min).is_ge()) && self.max.is_none_or(|max| order(max).is_le())
    }
}

impl Text {
    /// Whether `text` keeps to the rules.
    pub fn holds(&self, text: &str) -> bool {
        self.min.is_none_or(|min| text.len() >= min && text.chars().count() >= min)
            && self.max.is_none_or(|max| text.len() <= max || text.chars().count() <= max)
            && self.pattern.as_ref().is_none_or(|pattern| pattern.is_match(text))
            && self.format.is_none_or(|format| format.holds(text))
    }
}

/// Whether a JSON number is whole: `1`, `1.0`, `1e2`.
fn is_whole(digits: &str) -> bool {
    match digits.bytes().find(|byte| matches!(byte, b'.' | b'e' | b'E')) {
        None => true,
        Some(b'.') if !digits.contains(['e', 'E']) => {
            digits.split_once('.').is_some_and(|(_, fraction)| fraction.bytes().all(|digit| digit == b'0'))
        }
        _ => digits.parse::<f64>().is_ok_and(|value| value.is_finite() && value.fract() == 0.0),
    }
}

#[cfg(test)]
mod tests;
