//! JSONPath (RFC 9535), and the plain paths among them that may be created where they are missing.

use serde_json::Map;
use serde_json::Value;
use serde_json_path::JsonPath;

/// A parsed path: `$.a.b[0]`, `$..price`, `$.items[?@.id > 3]`; `a.b-c` is short for `$.a['b-c']`.
#[derive(Clone, Debug, PartialEq)]
pub struct Path {
    source: String,
    query: JsonPath,
    plain: Option<Vec<Step>>,
}

/// A step of a plain path.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Step {
    Key(String),
    Index(usize),
}

/// A text that is no path.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{path}` is no JSONPath: {why}")]
pub struct PathError {
    path: String,
    why: String,
}

impl Path {
    /// Reads a path.
    pub fn parse(text: &str) -> Result<Self, PathError> {
        let source = match text.chars().next() {
            Some('$') => text.to_owned(),
            Some('.') => format!("${text}"),
            _ => long_form(text),
        };
        let query = JsonPath::parse(&source)
            .map_err(|error| PathError { path: text.to_owned(), why: error.to_string().to_lowercase() })?;
        let plain = plain(&source);
        Ok(Self { source, query, plain })
    }

    /// In full: `$.a.b[0]`.
    pub fn source(&self) -> &str {
        &self.source
    }

    /// The first value there.
    pub fn get<'a>(&self, value: &'a Value) -> Option<&'a Value> {
        self.query.query(value).first()
    }

    /// Every value there.
    pub fn all<'a>(&self, value: &'a Value) -> Vec<&'a Value> {
        self.query.query(value).all()
    }

    /// Where the values are, as JSON Pointers, each once; inner ones after the outer.
    pub(super) fn places(&self, value: &Value) -> Vec<String> {
        let found = self.query.query_located(value).dedup();
        found.locations().map(serde_json_path::NormalizedPath::to_json_pointer).collect()
    }

    /// Puts `new` at every place; a plain path that is missing is created. Whether anything was put.
    pub fn set(&self, value: &mut Value, new: &Value) -> bool {
        let places = self.places(value);
        if places.is_empty() {
            return self.plain.as_ref().is_some_and(|steps| create(value, steps, new));
        }
        // Inner places first: an outer one replaces them.
        for place in places.iter().rev() {
            if let Some(slot) = value.pointer_mut(place) {
                *slot = new.clone();
            }
        }
        true
    }
}

/// `a.b-c[0]` as `$.a['b-c'][0]`.
fn long_form(text: &str) -> String {
    let mut long = String::from("$");
    for (place, step) in text.split('.').enumerate() {
        let (name, index) = step.split_at(step.find('[').unwrap_or(step.len()));
        let is_word = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_' || !byte.is_ascii());
        match name {
            "" if place == 0 && !index.is_empty() => {}
            "" => long.push('.'),
            "*" => long.push_str(".*"),
            name if is_word && !name.starts_with(|first: char| first.is_ascii_digit()) => long.extend([".", name]),
            name => long.extend(["['", &name.replace('\\', "\\\\").replace('\'', "\\'"), "']"]),
        }
        long.push_str(index);
    }
    long
}

/// The steps of `$.a['b'][0]`; `None` for anything with a wildcard, filter or descent.
fn plain(source: &str) -> Option<Vec<Step>> {
    let mut rest = source.strip_prefix('$')?;
    let mut steps = Vec::new();
    while !rest.is_empty() {
        if let Some(after) = rest.strip_prefix('.') {
            let end = after.find(['.', '[']).unwrap_or(after.len());
            let name = &after[..end];
            if name.is_empty() || name == "*" || name.contains(char::is_whitespace) {
                return None;
            }
            steps.push(Step::Key(name.to_owned()));
            rest = &after[end..];
            continue;
        }
        let inner = rest.strip_prefix('[')?;
        if let Some(quote) = inner.chars().next().filter(|char| matches!(char, '"' | '\'')) {
            let end = inner[1..].find(quote)? + 1;
            let name = &inner[1..end];
            // An escape needs the full grammar; such a path is found but not created.
            if name.contains('\\') {
                return None;
            }
            steps.push(Step::Key(name.to_owned()));
            rest = inner[end + 1..].strip_prefix(']')?;
        } else {
            let end = inner.find(']')?;
            steps.push(Step::Index(inner[..end].parse().ok()?));
            rest = &inner[end + 1..];
        }
    }
    Some(steps)
}

/// Makes what is missing on the way; an array grows by one at most. `false` where something else stands in the way.
fn create(value: &mut Value, steps: &[Step], new: &Value) -> bool {
    let Some((step, rest)) = steps.split_first() else {
        *value = new.clone();
        return true;
    };
    if value.is_null() {
        *value = match step {
            Step::Key(_) => Value::Object(Map::new()),
            Step::Index(_) => Value::Array(Vec::new()),
        };
    }
    match (step, value) {
        (Step::Key(key), Value::Object(map)) => {
            let fresh = !map.contains_key(key);
            let made = create(map.entry(key.clone()).or_insert(Value::Null), rest, new);
            if fresh && !made {
                map.shift_remove(key);
            }
            made
        }
        (Step::Index(index), Value::Array(list)) if *index <= list.len() => {
            let fresh = *index == list.len();
            if fresh {
                list.push(Value::Null);
            }
            let made = create(&mut list[*index], rest, new);
            if fresh && !made {
                list.pop();
            }
            made
        }
        _ => false,
    }
}
