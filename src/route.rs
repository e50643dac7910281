//! Which route a request belongs to: host, then path segment by segment, then method, then conditions.

mod path;

pub mod explain;
pub mod guard;
pub mod host;
pub mod pattern;
pub mod search;
pub mod table;

pub use explain::Candidate;
pub use explain::Outcome;
pub use guard::Json;
pub use guard::View;
pub use pattern::Pattern;
pub use pattern::PatternError;
pub use search::Found;
pub use table::RouteFault;
pub use table::Table;

use serde::Deserialize;
use serde::Serialize;

/// A route's matching side as declared.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Config {
    /// Methods; empty for any.
    pub methods: Vec<String>,
    /// Exact host, `*.host`, or `None` for any.
    pub host: Option<String>,
    /// `/users/{id}`: group prefixes already joined.
    pub path: String,
    /// Conditions beyond the path; more of them is more specific.
    pub conditions: Vec<Condition>,
    /// Whether a `when` function decides too.
    pub when: bool,
    /// Trailing slash.
    pub slash: Slash,
    /// File and line, for ties and listings.
    pub place: (String, u32),
}

/// A condition of `match = { … }`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Condition {
    /// Where to look.
    pub part: Part,
    /// The field, parameter or cookie name; a JSON Pointer or path for `json`; unused for `sni`.
    pub name: String,
    /// What must stand there.
    pub want: Want,
}

/// Where a condition looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Part {
    /// A header field.
    Header,
    /// A query parameter.
    Query,
    /// A cookie.
    Cookie,
    /// The TLS server name.
    Sni,
    /// A value in a JSON body.
    Json,
}

/// What a condition asks of a value.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Want {
    /// It is there.
    Present,
    /// It equals this text.
    Equals(String),
    /// It matches this glob.
    Glob(String),
    /// It matches this regular expression.
    Regex(String),
}

/// What a trailing slash means.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Slash {
    /// `/a` and `/a/` differ.
    #[default]
    Strict,
    /// The other form is redirected (308) to the written one.
    Redirect,
    /// Both match.
    Ignore,
}

/// Path parameters of a match, in pattern order, percent-decoded.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Params {
    /// Name and value. The names are shared with the table.
    pub list: Vec<(std::sync::Arc<str>, Param)>,
}

/// A parameter's value.
#[derive(Clone, Debug, PartialEq)]
pub enum Param {
    /// Text, decoded.
    Text(String),
    /// `{id:int}`
    Int(i64),
    /// What a validation read it as.
    Value(serde_json::Value),
}

impl Params {
    /// The value of `name`.
    pub fn get(&self, name: &str) -> Option<&Param> {
        self.list.iter().find(|(key, _)| &**key == name).map(|(_, value)| value)
    }
}

#[cfg(test)]
mod tests;
