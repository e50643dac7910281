//! What a route asks beyond host and path: its methods, and the conditions of `match`.

use std::borrow::Cow;

use globset::GlobBuilder;
use globset::GlobMatcher;
use regex::Regex;
use regex::RegexBuilder;
use serde_json::Value;
use serde_json_path::JsonPath;

use crate::http::Headers;
use crate::http::Method;
use crate::http::headers::Known;
use crate::http::headers::is_name;
use crate::route::Condition;
use crate::route::Part;
use crate::route::Want;

/// A request as far as routing looks at it.
#[derive(Clone, Copy)]
pub struct View<'a> {
    /// The method.
    pub method: &'a Method,
    /// The authority: host, maybe with a port.
    pub host: &'a str,
    /// The canonical path.
    pub path: &'a str,
    /// The query as received, without `?`.
    pub query: Option<&'a str>,
    /// The header fields.
    pub headers: &'a Headers,
    /// The TLS server name.
    pub sni: Option<&'a str>,
    /// The body as JSON.
    pub json: Json<'a>,
}

/// What is known of the body as JSON.
#[derive(Clone, Copy, Debug, Default)]
pub enum Json<'a> {
    /// The body was not read; a condition that needs it makes the lookup say so.
    #[default]
    Unread,
    /// There is none, or it is no JSON: conditions on it do not hold.
    None,
    /// This value.
    Value(&'a Value),
}

/// A set of methods.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Methods {
    list: Vec<Method>,
}

/// How closely a route's methods meet a request's; smaller is closer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Closeness {
    Named,
    HeadAsGet,
    Any,
}

impl Methods {
    /// Reads the methods as written; none is any.
    pub(crate) fn parse(written: &[String]) -> Result<Self, String> {
        let mut list: Vec<Method> = Vec::with_capacity(written.len());
        for token in written {
            if !is_name(token.as_bytes()) {
                return Err(format!("`{token}` is no method"));
            }
            let upper = token.to_ascii_uppercase();
            if upper != *token && !matches!(Method::of(&upper), Method::Other(_)) {
                return Err(format!("methods are case-sensitive; write {upper} instead of {token}"));
            }
            let method = Method::of(token);
            if !list.contains(&method) {
                list.push(method);
            }
        }
        Ok(Self { list })
    }

    /// The methods; empty for any.
    pub(crate) fn list(&self) -> &[Method] {
        &self.list
    }

    pub(crate) fn closeness(&self, method: &Method) -> Option<Closeness> {
        if self.list.is_empty() {
            return Some(Closeness::Any);
        }
        if self.list.contains(method) {
            return Some(Closeness::Named);
        }
        (*method == Method::Head && self.list.contains(&Method::Get)).then_some(Closeness::HeadAsGet)
    }
}

/// Whether a condition holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Holds {
    Yes,
    No,
    /// The body must be read first.
    NeedsBody,
}

/// A compiled condition.
#[derive(Debug)]
pub(crate) struct Guard {
    part: Part,
    name: String,
    pointer: Option<JsonPath>,
    test: Test,
}

#[derive(Debug)]
enum Test {
    Present,
    Equals(String),
    Glob(GlobMatcher),
    Regex(Regex),
}

impl Guard {
    /// Compiles a condition.
    pub(crate) fn new(condition: &Condition) -> Result<Self, String> {
        let name = &condition.name;
        let pointer = match condition.part {
            Part::Json => Some(json_path(name)?),
            Part::Header if !is_name(name.as_bytes()) => return Err(format!("`{name}` is no name for a header field")),
            _ => None,
        };
        let test = match &condition.want {
            Want::Present => Test::Present,
            Want::Equals(text) => Test::Equals(text.clone()),
            Want::Glob(text) => Test::Glob(glob(text)?),
            Want::Regex(text) => Test::Regex(regex(text)?),
        };
        Ok(Self { part: condition.part, name: condition.name.clone(), pointer, test })
    }

    /// Whether it looks into the body.
    pub(crate) fn needs_body(&self) -> bool {
        self.part == Part::Json
    }

    pub(crate) fn holds(&self, view: &View<'_>) -> Holds {
        let holds = match self.part {
            Part::Header => self.header(view.headers),
            Part::Query => self.maybe(view.query.and_then(|query| query_value(query, &self.name))),
            Part::Cookie => self.maybe(cookie_value(view.headers, &self.name)),
            Part::Sni => self.maybe(view.sni.map(Cow::Borrowed)),
            Part::Json => match view.json {
                Json::Unread => return Holds::NeedsBody,
                Json::None => false,
                Json::Value(value) => self.json(value),
            },
        };
        if holds { Holds::Yes } else { Holds::No }
    }

    /// A field matches when its joined value or one of its lines does.
    fn header(&self, headers: &Headers) -> bool {
        let Some(joined) = headers.joined(&self.name) else { return false };
        self.accepts(&String::from_utf8_lossy(&joined))
            || headers.all(&self.name).any(|line| self.accepts(&String::from_utf8_lossy(line)))
    }

    fn maybe(&self, value: Option<Cow<'_, str>>) -> bool {
        value.is_some_and(|value| self.accepts(&value))
    }

    fn json(&self, body: &Value) -> bool {
        let Some(value) = self.pointer.as_ref().and_then(|path| path.query(body).first()) else { return false };
        match value {
            Value::Null => false,
            Value::String(text) => self.accepts(text),
            other => self.accepts(&other.to_string()),
        }
    }

    fn accepts(&self, value: &str) -> bool {
        match &self.test {
            Test::Present => true,
            Test::Equals(text) if self.part == Part::Sni => value.eq_ignore_ascii_case(text),
            Test::Equals(text) => value == text,
            Test::Glob(glob) => glob.is_match(value),
            Test::Regex(regex) => regex.is_match(value),
        }
    }
}

/// The order among equally many conditions: exact values before globs before expressions before presence, then by text.
pub(crate) fn rank(condition: &Condition) -> (u8, Part, &str, &str) {
    let (kind, text) = match &condition.want {
        Want::Equals(text) => (0, text.as_str()),
        Want::Glob(text) => (1, text.as_str()),
        Want::Regex(text) => (2, text.as_str()),
        Want::Present => (3, ""),
    };
    (kind, condition.part, &condition.name, text)
}

fn glob(text: &str) -> Result<GlobMatcher, String> {
    let built = GlobBuilder::new(text).literal_separator(false).build();
    built.map(|glob| glob.compile_matcher()).map_err(|error| format!("glob `{text}`: {}", error.kind()))
}

fn regex(text: &str) -> Result<Regex, String> {
    let built = RegexBuilder::new(text).size_limit(1 << 20).dfa_size_limit(1 << 20).build();
    built.map_err(|error| format!("regular expression `{text}`: {error}"))
}

/// A JSON Pointer (`/a/0`), a JSONPath (`$.a[0]`) or a dotted path (`a.0`).
fn json_path(written: &str) -> Result<JsonPath, String> {
    let step = |token: &str| match token.parse::<u32>() {
        Ok(index) => format!("[{index}]"),
        Err(_) => format!("[{}]", Value::from(token)),
    };
    let path = if written.starts_with('$') {
        written.to_owned()
    } else if let Some(pointer) = written.strip_prefix('/') {
        let tokens = pointer.split('/').map(|token| step(&token.replace("~1", "/").replace("~0", "~")));
        std::iter::once("$".to_owned()).chain(tokens).collect()
    } else {
        std::iter::once("$".to_owned()).chain(written.split('.').map(step)).collect()
    };
    JsonPath::parse(&path).map_err(|error| format!("json `{written}`: {error}"))
}

/// The first value of `name` in a query, decoded.
fn query_value<'a>(query: &'a str, name: &str) -> Option<Cow<'a, str>> {
    url::form_urlencoded::parse(query.as_bytes()).find(|(key, _)| key == name).map(|(_, value)| value)
}

/// The first cookie called `name`.
fn cookie_value<'a>(headers: &'a Headers, name: &str) -> Option<Cow<'a, str>> {
    headers.known(Known::Cookie).find_map(|line| {
        line.split(|byte| *byte == b';').find_map(|pair| {
            let equals = pair.iter().position(|byte| *byte == b'=')?;
            let (key, value) = (pair[..equals].trim_ascii(), pair[equals + 1..].trim_ascii());
            (key == name.as_bytes()).then(|| String::from_utf8_lossy(value))
        })
    })
}
