//! Parameters of a request: where they are, and where what they were read as goes.

use std::borrow::Cow;

use mlua::Lua;
use mlua::Table;
use mlua::Value as Lual;
use serde_json::Value;

use super::refusal;
use crate::http::Request;
use crate::http::headers::Known;
use crate::http::headers::is_name;
use crate::http::headers::is_value;
use crate::primitive::cookie;
use crate::primitive::openapi::Given;
use crate::primitive::openapi::Place;
use crate::primitive::query;
use crate::primitive::query::Query;
use crate::primitive::validate::Fault;
use crate::primitive::validate::Field;
use crate::primitive::validate::Params;
use crate::primitive::validate::Rule;
use crate::proxy::Code;
use crate::proxy::Exchange;
use crate::proxy::Failure;
use crate::route::Param;
use crate::script::declare::Session;
use crate::script::policy::checks;
use crate::transform::json;

/// The rules of each place.
#[derive(Default)]
pub(super) struct Places {
    path: Option<Params>,
    query: Option<Params>,
    headers: Option<Params>,
    cookies: Option<Params>,
}

/// What parameters were read as: name, value, whether it was absent.
#[derive(Default)]
pub(super) struct Reads {
    path: Vec<(String, Value)>,
    query: Vec<(String, Value, bool)>,
    headers: Vec<(String, Value)>,
}

impl Places {
    pub(super) fn read(lua: &Lua, options: &Table) -> mlua::Result<Self> {
        let one = |place: &'static str| -> mlua::Result<Option<Params>> {
            match options.raw_get::<Lual>(place)? {
                Lual::Nil => Ok(None),
                value => made(lua, place, &value).map(Some).map_err(mlua::Error::runtime),
            }
        };
        Ok(Self { path: one("path")?, query: one("query")?, headers: one("headers")?, cookies: one("cookies")? })
    }

    pub(super) fn is_empty(&self) -> bool {
        [&self.path, &self.query, &self.headers, &self.cookies].iter().all(|place| place.is_none())
    }

    /// Every fault of every place, ten at most.
    pub(super) fn check(&self, exchange: &Exchange) -> Result<Reads, Failure> {
        let (mut faults, mut reads) = (Vec::new(), Reads::default());
        let request = exchange.request.borrow();
        if let Some(params) = &self.path {
            let path = exchange.params.borrow();
            let get = |field: &Field| path.get(&field.name).map(text_of).into_iter().collect();
            let read = params.read(get, &mut faults);
            reads.path = read.into_iter().map(|read| (read.name.to_owned(), read.value)).collect();
        }
        if let Some(params) = &self.query {
            let raw = request.query.as_deref().unwrap_or_default();
            let get =
                |field: &Field| query::pairs(raw).filter(|pair| *pair.0 == *field.name).map(|pair| pair.1).collect();
            let read = params.read(get, &mut faults);
            reads.query = read.into_iter().map(|read| (read.name.to_owned(), read.value, read.filled)).collect();
            strangers(params, query::pairs(raw).map(|pair| pair.0), &mut faults);
        }
        if let Some(params) = &self.headers {
            let read = params.read(|field| fields(&request, field), &mut faults);
            let filled = read.into_iter().filter(|read| read.filled);
            reads.headers = filled.map(|read| (read.name.to_owned(), read.value)).collect();
        }
        if let Some(params) = &self.cookies {
            let pairs = || {
                let fields = request.headers.known(Known::Cookie).filter_map(|field| std::str::from_utf8(field).ok());
                fields.flat_map(cookie::parse)
            };
            let get = |field: &Field| pairs().filter(|pair| *pair.0 == *field.name).map(|pair| pair.1.into()).collect();
            params.read(get, &mut faults);
            strangers(params, pairs().map(|pair| pair.0.into()), &mut faults);
        }
        if faults.is_empty() { Ok(reads) } else { Err(refusal(Code::ValidateParams, faults)) }
    }
}

impl Reads {
    /// What a document's parameters were read as.
    pub(super) fn of(given: Vec<Given>) -> Self {
        let mut reads = Self::default();
        for Given { place, name, value, filled } in given {
            match place {
                Place::Path => reads.path.push((name, value)),
                Place::Query => reads.query.push((name, value, filled)),
                Place::Header if filled && is_name(name.as_bytes()) && is_value(text(&value).as_bytes()) => {
                    reads.headers.push((name, value));
                }
                Place::Header | Place::Cookie => {}
            }
        }
        reads
    }

    /// Once everything is as it should be.
    pub(super) fn apply(self, exchange: &Exchange) {
        if !self.path.is_empty() {
            let mut params = exchange.params.borrow_mut();
            for (name, value) in self.path {
                if let Some(param) = params.list.iter_mut().find(|param| *param.0 == *name) {
                    param.1 = Param::Value(value);
                }
            }
        }
        if self.query.is_empty() && self.headers.is_empty() {
            return;
        }
        let mut request = exchange.request.borrow_mut();
        if self.query.iter().any(|read| read.2) {
            let mut query = Query::parse(request.query.as_deref().unwrap_or_default());
            for (name, value, _) in self.query.iter().filter(|read| read.2) {
                match value {
                    Value::Array(items) => items.iter().for_each(|item| query.add(name, &text(item))),
                    value => query.add(name, &text(value)),
                }
            }
            request.query = query.encode();
        }
        for (name, value) in self.headers {
            request.headers.set(&name, text(&value));
        }
        let typed = self.query.into_iter().filter(|read| !read.1.is_string());
        exchange.typed.borrow_mut().extend(typed.map(|(name, value, _)| (name.into(), value)));
    }
}

fn strangers<'a>(params: &Params, names: impl Iterator<Item = Cow<'a, str>>, faults: &mut Vec<Fault>) {
    if params.is_closed() {
        names.for_each(|name| params.stranger(&name, faults));
    }
}

/// The values of a field; one that holds a list is split.
fn fields<'r>(request: &'r Request, field: &Field) -> Vec<Cow<'r, str>> {
    if Known::of(field.name.as_bytes()) == Known::Host {
        return vec![(&*request.host).into()];
    }
    let Some(joined) = request.headers.joined(&field.name) else { return Vec::new() };
    let joined = String::from_utf8_lossy(&joined).into_owned();
    if matches!(field.rule, Rule::List(_)) {
        return joined.split(',').map(|item| item.trim().to_owned().into()).collect();
    }
    vec![joined.into()]
}

pub(super) fn text_of(param: &Param) -> Cow<'static, str> {
    match param {
        Param::Text(text) => text.clone().into(),
        Param::Int(number) => number.to_string().into(),
        Param::Value(value) => text(value).into(),
    }
}

/// As it stands in a query or a field.
fn text(value: &Value) -> String {
    json::text(value).unwrap_or_default()
}

fn made(lua: &Lua, place: &'static str, value: &Lual) -> Result<Params, String> {
    let (mut fields, extra) = checks::members(place, value)?;
    if !extra && place == "headers" {
        return Err("`headers.extra`: a client sends fields that nobody can list".to_owned());
    }
    for field in &mut fields {
        let name = format!("{place}.{}", field.name);
        flat(&name, &field.rule)?;
        match (place, &field.default) {
            ("path" | "cookies", Some(_)) => {
                return Err(format!("`{name}` cannot have a default: nothing is written there"));
            }
            ("headers", _) if !is_name(field.name.as_bytes()) => return Err(format!("`{name}` is no name of a field")),
            ("headers", Some(default)) if !is_value(text(default).as_bytes()) => {
                return Err(format!("`{name}`: this default cannot stand in a field"));
            }
            _ => {}
        }
        if place == "headers" {
            field.name = field.name.to_ascii_lowercase().into();
        }
    }
    if place == "path"
        && let Ok(session) = Session::of(lua, "validate")
    {
        session.needed.borrow_mut().extend(fields.iter().map(|field| field.name.to_string()));
    }
    Ok(Params::new(place, fields, extra))
}

/// A parameter is text: there is no telling how an object would be written.
fn flat(name: &str, rule: &Rule) -> Result<(), String> {
    match rule {
        Rule::Object(_) | Rule::Map(_) => Err(format!("`{name}`: a parameter cannot be an object")),
        Rule::List(list) => match &list.items {
            Rule::List(_) => Err(format!("`{name}`: a parameter cannot be a list of lists")),
            items => flat(name, items),
        },
        Rule::Either(rules) => rules.iter().try_for_each(|rule| flat(name, rule)),
        Rule::Nullable(rule) => flat(name, rule),
        _ => Ok(()),
    }
}
