//! Bodies by media type.

use std::sync::Arc;

use serde_json::Value;

use super::OpenapiError;
use super::Refusal;
use super::contract::Contract;
use super::parts;
use super::spot::Spot;
use crate::primitive::form;
use crate::primitive::scan::Scan;
use crate::primitive::validate::Fault;
use crate::primitive::validate::MOST;
use crate::primitive::validate::fill::fill;
use crate::primitive::validate::read::Types;

/// What a body may be.
#[derive(Clone, Debug, Default)]
pub(super) struct Content(Vec<(String, Entry)>);

#[derive(Clone, Debug)]
pub(super) struct Entry {
    key: Option<Arc<str>>,
    types: Types,
    /// Of the parts of a multipart body: their media types, where the document says.
    parts: Vec<(String, String)>,
}

impl Content {
    pub(super) fn new(spot: &Spot<'_>) -> Result<Self, OpenapiError> {
        let mut entries = Vec::new();
        for (media, entry) in spot.members()? {
            let schema = entry.get("schema");
            let key = schema.is_there().then(|| schema.pointer.clone().into());
            let media = media_of(media);
            let parts = entry.get("encoding").members()?;
            let parts = parts
                .iter()
                .filter_map(|(name, part)| Some(((*name).to_owned(), part.text("contentType")?.to_ascii_lowercase())));
            let parts = parts.collect();
            entries.push((media, Entry { key, types: Types::of(schema.value, spot.document), parts }));
        }
        Ok(Self(entries))
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn keys(&self) -> impl Iterator<Item = &Arc<str>> {
        self.0.iter().filter_map(|(_, entry)| entry.key.as_ref())
    }

    /// By type, by `image/*`, by `*/*`.
    pub(super) fn of(&self, media: &str) -> Option<&Entry> {
        let named = |wanted: &str| self.0.iter().find(|(name, _)| name == wanted).map(|(_, entry)| entry);
        let family = media.split_once('/').map(|(family, _)| format!("{family}/*"));
        named(media).or_else(|| named(&family?)).or_else(|| named("*/*"))
    }

    pub(super) fn accepted(&self) -> String {
        self.0.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>().join(", ")
    }
}

/// How a body is read.
enum Form {
    Json,
    Pairs,
    Parts,
    Text,
    /// Not at all.
    Opaque,
}

fn form_of(media: &str) -> Form {
    match media {
        _ if is_json(media) => Form::Json,
        "application/x-www-form-urlencoded" => Form::Pairs,
        "multipart/form-data" => Form::Parts,
        _ if media.starts_with("text/") => Form::Text,
        _ => Form::Opaque,
    }
}

/// Whether content of this type is JSON.
pub(super) fn is_json(media: &str) -> bool {
    media.ends_with("/json") || media.ends_with("+json")
}

impl Entry {
    /// Whether the content is looked at.
    pub(super) fn reads(&self, media: &str) -> bool {
        self.key.is_some() && !matches!(form_of(media), Form::Opaque)
    }

    /// The value that a body is, if it is as it should be. `field` is its `Content-Type`.
    pub(super) fn check(&self, field: &str, body: &[u8], contract: &Contract) -> Result<Option<Value>, Refusal> {
        let Some(key) = &self.key else { return Ok(None) };
        let form = form_of(&media_of(field));
        let value = match form {
            Form::Json => json(body).map_err(Refusal::Syntax)?,
            Form::Pairs => self.pairs(body)?,
            Form::Parts => parts::read(field, body, &self.types, &self.parts)?,
            Form::Text => String::from_utf8_lossy(body).into_owned().into(),
            Form::Opaque => return Ok(None),
        };
        let value = contract.judge(key, value, MOST).map_err(Refusal::Faults)?;
        Ok(matches!(form, Form::Json).then_some(value))
    }

    /// Gives a value the members it lacks and there are defaults for; whether there was one.
    pub(super) fn fill(&self, document: &Value, value: &mut Value) -> bool {
        let schema = self.key.as_ref().and_then(|key| document.pointer(key));
        schema.is_some_and(|schema| fill(schema, document, value))
    }

    /// Fields of a form as members: several of one name are a list.
    fn pairs(&self, body: &[u8]) -> Result<Value, Refusal> {
        let pairs: Vec<(String, String)> =
            form::parse(body).take(MANY + 1).map(|(name, value)| (name.to_string(), value.to_string())).collect();
        if pairs.len() > MANY {
            let message = format!("has more than {MANY} fields");
            return Err(Refusal::Faults(vec![Fault { pointer: String::new(), message }]));
        }
        Ok(self.types.read_fields(&pairs))
    }
}

/// The media type of a `Content-Type`.
pub(super) fn media_of(field: &str) -> String {
    field.split(';').next().unwrap_or_default().trim().to_ascii_lowercase()
}

/// More fields are nobody's.
pub(super) const MANY: usize = 1000;

/// Depth is looked at before a tree is made.
pub(super) fn json(body: &[u8]) -> Result<Value, String> {
    let mut scan = Scan::new(body).map_err(|fault| fault.to_string())?;
    scan.skip().and_then(|()| scan.end()).map_err(|fault| fault.to_string())?;
    let body = body.strip_prefix("\u{feff}".as_bytes()).unwrap_or(body);
    serde_json::from_slice(body).map_err(|fault| fault.to_string())
}
