//! Bodies of `multipart/form-data` as values: a member a name, several of one name a list, files as text of their length.

use serde_json::Map;
use serde_json::Value;

use super::Refusal;
use super::media::MANY;
use super::media::is_json;
use super::media::json;
use super::media::media_of;
use crate::primitive::multipart;
use crate::primitive::multipart::Part;
use crate::primitive::validate::Fault;
use crate::primitive::validate::escape;
use crate::primitive::validate::read::Types;

/// The value that a body is. `wanted`: media types of parts, as the document says them (`encoding`).
pub(super) fn read(field: &str, body: &[u8], types: &Types, wanted: &[(String, String)]) -> Result<Value, Refusal> {
    let broken = |said: &str| Refusal::Form(said.to_owned());
    let boundary = multipart::boundary(field).ok_or_else(|| broken("the multipart body has no boundary"))?;
    let parts = multipart::parse(body, &boundary, MANY).map_err(broken)?;
    let (mut texts, mut values, mut faults) = (Vec::new(), Vec::new(), Vec::new());
    for part in &parts {
        let fault = |message: String| Fault { pointer: format!("/{}", escape(&part.name)), message };
        let media = part.media.as_deref().map(media_of);
        let wanted = wanted.iter().find(|(name, _)| *name == part.name).map(|(_, wanted)| wanted);
        match (wanted, &media) {
            (Some(wanted), Some(media)) if !is_one_of(media, wanted) => {
                faults.push(fault(format!("must be {wanted}")));
            }
            (Some(wanted), None) if part.filename.is_some() => faults.push(fault(format!("must be {wanted}"))),
            _ => {}
        }
        if holds_json(part, media.as_deref(), types) {
            match json(part.body) {
                Ok(value) => values.push((&part.name, value)),
                Err(said) => faults.push(fault(format!("is no JSON: {said}"))),
            }
        } else {
            texts.push((part.name.clone(), text(part.body)));
        }
    }
    if !faults.is_empty() {
        return Err(Refusal::Faults(faults));
    }
    let mut all = types.read_fields(&texts);
    if let Some(members) = all.as_object_mut() {
        values.into_iter().for_each(|(name, value)| push(members, types, name, value));
    }
    Ok(all)
}

/// Whether a part is JSON: by its type, or because its member is more than text and nothing else is said.
fn holds_json(part: &Part<'_>, media: Option<&str>, types: &Types) -> bool {
    match media {
        Some(media) => is_json(media),
        None => part.filename.is_none() && types.member(&part.name).is_some_and(Types::is_complex),
    }
}

/// One of a list: `image/png, image/*`.
fn is_one_of(media: &str, wanted: &str) -> bool {
    let family = media.split('/').next().unwrap_or_default();
    wanted.split(',').map(str::trim).any(|wanted| match wanted.strip_suffix("/*") {
        Some("*") => true,
        Some(wanted) => wanted == family,
        None => wanted == media,
    })
}

/// Several of one name are a list, be one wanted or not: whichever the service takes, it was looked at.
fn push(members: &mut Map<String, Value>, types: &Types, name: &str, value: Value) {
    let listed = types.member(name).is_some_and(Types::is_list);
    match members.get_mut(name) {
        Some(Value::Array(all)) if listed => all.push(value),
        Some(one) => *one = Value::Array(vec![one.take(), value]),
        None if listed && !value.is_array() => drop(members.insert(name.to_owned(), Value::Array(vec![value]))),
        None => drop(members.insert(name.to_owned(), value)),
    }
}

/// Bytes that are no text are as many characters.
fn text(body: &[u8]) -> String {
    match std::str::from_utf8(body) {
        Ok(text) => text.to_owned(),
        Err(_) => body.iter().map(|byte| char::from(*byte)).collect(),
    }
}
