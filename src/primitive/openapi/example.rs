//! Answers out of the document's own examples; where there are none, out of its schemas.

use serde_json::Map;
use serde_json::Value;

use crate::primitive::validate::read::target;

/// An answer.
#[derive(Clone, Debug, PartialEq)]
pub struct Mock {
    /// Its status.
    pub status: u16,
    /// Its media type; `None` without a body.
    pub media: Option<String>,
    /// Its body.
    pub body: String,
}

/// Schemas inside each other.
const DEEP: usize = 12;

pub(super) fn mock(document: &Value, answer: Option<(&str, &str)>) -> Mock {
    let Some((status, pointer)) = answer else { return Mock { status: 204, media: None, body: String::new() } };
    let status = match status.strip_suffix("xx") {
        Some(class) => class.parse::<u16>().map_or(200, |class| class * 100),
        None => status.parse().unwrap_or(200),
    };
    let content = document.pointer(pointer).and_then(|answer| answer["content"].as_object());
    let is_json = |media: &str| media.contains("json");
    let entry =
        content.and_then(|content| content.iter().find(|(media, _)| is_json(media)).or_else(|| content.iter().next()));
    let Some((media, entry)) = entry else { return Mock { status, media: None, body: String::new() } };
    let value = example(document, entry).unwrap_or_else(|| of_schema(document, &entry["schema"], 0));
    let body = match value {
        Value::String(text) if !is_json(media) => text,
        value => value.to_string(),
    };
    let media = if media.contains('*') { "application/json" } else { media };
    Mock { status, media: Some(media.to_owned()), body }
}

fn example(document: &Value, entry: &Value) -> Option<Value> {
    let first = || {
        let example = entry["examples"].as_object()?.values().next()?;
        let example = example["$ref"].as_str().and_then(|to| target(document, to)).unwrap_or(example);
        example.get("value").cloned()
    };
    entry.get("example").cloned().or_else(first)
}

fn of_schema(document: &Value, schema: &Value, depth: usize) -> Value {
    if depth > DEEP {
        return Value::Null;
    }
    let of = |schema: &Value| of_schema(document, schema, depth + 1);
    if let Some(target) = schema["$ref"].as_str().and_then(|reference| target(document, reference)) {
        return of(target);
    }
    let written = [
        schema.get("example"),
        schema["examples"].get(0),
        schema.get("default"),
        schema.get("const"),
        schema["enum"].get(0),
    ];
    if let Some(value) = written.into_iter().flatten().next() {
        return value.clone();
    }
    if let Some(parts) = schema["allOf"].as_array() {
        let mut whole = own(schema, &of);
        for part in parts.iter().map(of) {
            match (&mut whole, part) {
                (Value::Object(whole), Value::Object(part)) => whole.extend(part),
                (whole, part) if whole.is_null() => *whole = part,
                _ => {}
            }
        }
        return whole;
    }
    if let Some(branch) = schema["oneOf"].get(0).or_else(|| schema["anyOf"].get(0)) {
        return of(branch);
    }
    own(schema, &of)
}

fn own(schema: &Value, of: &dyn Fn(&Value) -> Value) -> Value {
    let kind = match &schema["type"] {
        Value::String(kind) => kind.as_str(),
        Value::Array(kinds) => kinds.iter().filter_map(Value::as_str).find(|kind| *kind != "null").unwrap_or_default(),
        _ if schema.get("properties").is_some() => "object",
        _ if schema.get("items").is_some() => "array",
        _ => "",
    };
    match kind {
        "object" => {
            let properties = schema["properties"].as_object().into_iter().flatten();
            let shown = properties.filter(|(_, schema)| schema["writeOnly"].as_bool() != Some(true));
            Value::Object(shown.map(|(name, schema)| (name.clone(), of(schema))).collect::<Map<_, _>>())
        }
        "array" => Value::Array(vec![of(&schema["items"])]),
        "integer" | "number" => schema.get("minimum").cloned().unwrap_or_else(|| 0.into()),
        "boolean" => true.into(),
        "string" => text(schema).into(),
        _ => Value::Null,
    }
}

fn text(schema: &Value) -> String {
    let text = match schema["format"].as_str() {
        Some("date-time") => "2026-01-31T12:00:00Z",
        Some("date") => "2026-01-31",
        Some("time") => "12:00:00Z",
        Some("uuid") => "123e4567-e89b-12d3-a456-426614174000",
        Some("email") => "ann@example.org",
        Some("uri" | "url") => "https://example.org/",
        Some("ipv4") => "192.0.2.1",
        Some("ipv6") => "2001:db8::1",
        _ => "string",
    };
    let least = schema["minLength"].as_u64().and_then(|least| usize::try_from(least).ok()).unwrap_or(0).min(1000);
    text.chars().cycle().take(least.max(text.len())).collect()
}
