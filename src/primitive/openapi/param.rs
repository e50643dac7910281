//! Parameters: where they stand, how they are written (`style`, `explode`), what they must be.

use std::sync::Arc;

use serde_json::Value;

use super::OpenapiError;
use super::contract::Contract;
use super::document::slot;
use super::media::json;
use super::spot::Spot;
use crate::primitive::query;
use crate::primitive::validate::Fault;
use crate::primitive::validate::MOST;
use crate::primitive::validate::escape;
use crate::primitive::validate::read::Types;

/// Where a parameter stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// In the path.
    Path,
    /// In the query.
    Query,
    /// A header field.
    Header,
    /// A cookie.
    Cookie,
}

/// What a request says.
pub struct Facts<'a> {
    /// A path parameter, decoded, by the name it has in [`super::Operation::path`].
    pub path: &'a dyn Fn(&str) -> Option<String>,
    /// The query as received.
    pub query: &'a str,
    /// The values of a field, joined.
    pub header: &'a dyn Fn(&str) -> Option<String>,
    /// A cookie.
    pub cookie: &'a dyn Fn(&str) -> Option<String>,
}

/// A parameter that is something else than its text.
#[derive(Clone, Debug, PartialEq)]
pub struct Given {
    /// Where it stands.
    pub place: Place,
    /// Its name; in the path that of the route's parameter.
    pub name: String,
    /// What it is.
    pub value: Value,
    /// Whether it was absent, and this is its default.
    pub filled: bool,
}

#[derive(Clone, Debug)]
pub(super) struct Param {
    place: Place,
    name: String,
    slot: String,
    required: bool,
    allow_empty: bool,
    style: Style,
    explode: bool,
    key: Option<Arc<str>>,
    types: Types,
    default: Option<Value>,
    /// Its text is JSON.
    json: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Style {
    /// `a=1&a=2`, `a=1,2`
    Form,
    /// `a=1 2`
    Space,
    /// `a=1|2`
    Pipe,
    /// `a[b]=1`
    Deep,
    /// `1,2`
    Simple,
    /// `.1.2`
    Label,
    /// `;a=1,2`
    Matrix,
}

impl Param {
    /// `None`: one that the specification says to ignore.
    pub(super) fn new(spot: &Spot<'_>) -> Result<Option<Self>, OpenapiError> {
        let fault = |what: String| OpenapiError(format!("{what} (at {})", spot.pointer));
        let name = spot.text("name").ok_or_else(|| fault("a parameter has no name".into()))?;
        let place = match spot.text("in") {
            Some("path") => Place::Path,
            Some("query") => Place::Query,
            Some("header") => Place::Header,
            Some("cookie") => Place::Cookie,
            other => return Err(fault(format!("a parameter cannot stand in `{}`", other.unwrap_or_default()))),
        };
        let ignored = ["accept", "content-type", "authorization"];
        if place == Place::Header && ignored.iter().any(|ignored| name.eq_ignore_ascii_case(ignored)) {
            return Ok(None);
        }
        let style = match spot.text("style") {
            None if matches!(place, Place::Query | Place::Cookie) => Style::Form,
            None => Style::Simple,
            Some("form") => Style::Form,
            Some("spaceDelimited") => Style::Space,
            Some("pipeDelimited") => Style::Pipe,
            Some("deepObject") => Style::Deep,
            Some("simple") => Style::Simple,
            Some("label") => Style::Label,
            Some("matrix") => Style::Matrix,
            Some(other) => return Err(fault(format!("there is no style `{other}`"))),
        };
        let content = spot.get("content").members()?;
        let (schema, json) = match content.first() {
            Some((media, entry)) => (entry.get("schema"), media.contains("json")),
            None => (spot.get("schema"), false),
        };
        let default = schema.clone().real()?.value.get("default").cloned();
        Ok(Some(Self {
            place,
            name: name.to_owned(),
            slot: slot(name),
            required: spot.flag("required") == Some(true) || place == Place::Path,
            allow_empty: spot.flag("allowEmptyValue") == Some(true),
            style,
            explode: spot.flag("explode").unwrap_or(style == Style::Form),
            key: schema.is_there().then(|| schema.pointer.clone().into()),
            types: Types::of(schema.value, spot.document),
            default,
            json,
        }))
    }

    pub(super) fn key(&self) -> Option<&Arc<str>> {
        self.key.as_ref()
    }

    /// Its value; `None` when it is not there.
    fn read(&self, facts: &Facts<'_>) -> Option<Result<Value, String>> {
        let single = match self.place {
            Place::Query => return self.read_query(facts.query),
            Place::Path => (facts.path)(&self.slot)?,
            Place::Header => (facts.header)(&self.name)?,
            Place::Cookie => (facts.cookie)(&self.name)?,
        };
        if self.json {
            return Some(json(single.as_bytes()));
        }
        let (text, comma) = match self.style {
            Style::Label => (single.strip_prefix('.')?.to_owned(), if self.explode { '.' } else { ',' }),
            Style::Matrix if self.types.is_list() && self.explode => {
                let name = format!(";{}=", self.name);
                (single.strip_prefix(&*name)?.replace(&*name, "\u{1f}"), '\u{1f}')
            }
            Style::Matrix => (single.strip_prefix(&*format!(";{}=", self.name))?.to_owned(), ','),
            _ => (single, ','),
        };
        Some(Ok(self.split(&text, comma)))
    }

    /// One text as a value, a list, or an object.
    fn split(&self, text: &str, comma: char) -> Value {
        let pieces = || text.split(comma).map(str::trim);
        if self.types.is_object() && !self.types.is_list() {
            if self.explode {
                return self.types.read_object(pieces().filter_map(|piece| piece.split_once('=')));
            }
            let pieces: Vec<&str> = pieces().collect();
            return self.types.read_object(pieces.chunks_exact(2).map(|pair| (pair[0], pair[1])));
        }
        if self.types.is_list() {
            return self.types.read(&pieces().collect::<Vec<_>>());
        }
        self.types.read(&[text])
    }

    fn read_query(&self, raw: &str) -> Option<Result<Value, String>> {
        let own = || query::pairs(raw).filter(|pair| pair.0 == self.name);
        if self.json {
            return own().next().map(|pair| json(pair.1.as_bytes()));
        }
        if self.style == Style::Deep {
            let inside =
                |name: &str| name.strip_prefix(&*self.name)?.strip_prefix('[')?.strip_suffix(']').map(str::to_owned);
            let pairs: Vec<(String, String)> =
                query::pairs(raw).filter_map(|pair| Some((inside(&pair.0)?, pair.1.into_owned()))).collect();
            return (!pairs.is_empty()).then(|| Ok(self.types.read_fields(&pairs)));
        }
        if self.types.is_object() && !self.types.is_list() && self.explode {
            let pairs: Vec<(String, String)> = query::pairs(raw)
                .filter(|pair| self.types.members().any(|member| member == pair.0))
                .map(|pair| (pair.0.into_owned(), pair.1.into_owned()))
                .collect();
            return (!pairs.is_empty()).then(|| Ok(self.types.read_fields(&pairs)));
        }
        if self.types.is_list() && self.explode
            || self.style == Style::Form && !self.types.is_object() && !self.types.is_list()
        {
            let values: Vec<String> = own().map(|pair| pair.1.into_owned()).collect();
            let values: Vec<&str> = values.iter().map(String::as_str).collect();
            return (!values.is_empty()).then(|| Ok(self.types.read(&values)));
        }
        let comma = match self.style {
            Style::Space => ' ',
            Style::Pipe => '|',
            _ => ',',
        };
        own().next().map(|pair| Ok(self.split(&pair.1, comma)))
    }

    fn pointer(&self) -> String {
        let place = match self.place {
            Place::Path => "path",
            Place::Query => "query",
            Place::Header => "headers",
            Place::Cookie => "cookies",
        };
        format!("/{place}/{}", escape(&self.name))
    }
}

/// Every parameter of a request: what is more than text, or every fault.
pub(super) fn check(params: &[Param], facts: &Facts<'_>, contract: &Contract) -> Result<Vec<Given>, Vec<Fault>> {
    let (mut given, mut faults) = (Vec::new(), Vec::new());
    for param in params {
        if faults.len() >= MOST {
            break;
        }
        let fault = |message: String| Fault { pointer: param.pointer(), message };
        let name = || if param.place == Place::Path { param.slot.clone() } else { param.name.clone() };
        match param.read(facts) {
            None if param.required => faults.push(fault("is missing".into())),
            None => {
                if let Some(value) =
                    param.default.clone().filter(|_| matches!(param.place, Place::Query | Place::Header))
                {
                    given.push(Given { place: param.place, name: name(), value, filled: true });
                }
            }
            Some(Err(said)) => faults.push(fault(format!("is no JSON: {said}"))),
            Some(Ok(value)) if param.allow_empty && value == "" => {}
            Some(Ok(value)) => {
                if let Some(key) = &param.key {
                    let found = contract.judge(key, value.clone(), MOST - faults.len()).err().unwrap_or_default();
                    let pointer = param.pointer();
                    faults.extend(
                        found
                            .into_iter()
                            .map(|fault| Fault { pointer: format!("{pointer}{}", fault.pointer), ..fault }),
                    );
                }
                if !value.is_string() {
                    given.push(Given { place: param.place, name: name(), value, filled: false });
                }
            }
        }
    }
    if faults.is_empty() { Ok(given) } else { Err(faults) }
}
