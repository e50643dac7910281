//! Schemas of the document as JSON Schema 2020-12: the dialect of 3.0 translated, and what only one direction carries.

use serde_json::Map;
use serde_json::Value;

use super::contract::Side;

/// The document with every schema translated, and no more than what schemas may refer to.
pub(super) fn translate(document: &Value, side: Side, old: bool) -> Map<String, Value> {
    let shim = Shim { side, old };
    let mut root = Map::new();
    for part in ["components", "paths"] {
        if let Some(value) = document.get(part) {
            root.insert(part.to_owned(), shim.around(value, part == "components"));
        }
    }
    root
}

struct Shim {
    side: Side,
    old: bool,
}

impl Shim {
    /// What holds schemas somewhere: under `schema`, and under `schemas` of `components`.
    fn around(&self, value: &Value, components: bool) -> Value {
        match value {
            Value::Object(object) => {
                let kept = object
                    .iter()
                    .filter(|(name, _)| !name.starts_with("x-") && !matches!(name.as_str(), "example" | "examples"));
                let entry = |(name, value): (&String, &Value)| {
                    let value = match (name.as_str(), value) {
                        ("schema", value) if value.is_object() || value.is_boolean() => self.schema(value),
                        ("schemas", Value::Object(_)) if components => self.each(value),
                        (_, value) => self.around(value, false),
                    };
                    (name.clone(), value)
                };
                Value::Object(kept.map(entry).collect())
            }
            Value::Array(items) => items.iter().map(|item| self.around(item, false)).collect(),
            other => other.clone(),
        }
    }

    fn each(&self, value: &Value) -> Value {
        match value {
            Value::Object(object) => {
                Value::Object(object.iter().map(|(name, value)| (name.clone(), self.schema(value))).collect())
            }
            Value::Array(items) => items.iter().map(|item| self.schema(item)).collect(),
            other => other.clone(),
        }
    }

    fn schema(&self, value: &Value) -> Value {
        let Value::Object(object) = value else { return value.clone() };
        if self.old
            && let Some(reference) = object.get("$ref")
        {
            // What stands beside a reference is not looked at in 3.0.
            return Value::Object(Map::from_iter([("$ref".to_owned(), reference.clone())]));
        }
        let mut made = Map::with_capacity(object.len());
        for (name, value) in object {
            let value = match name.as_str() {
                "example" | "examples" | "externalDocs" | "xml" | "discriminator" => continue,
                name if name.starts_with("x-") => continue,
                "properties" | "patternProperties" | "$defs" | "definitions" | "dependentSchemas" | "allOf"
                | "anyOf" | "oneOf" | "prefixItems" => self.each(value),
                "items"
                | "additionalProperties"
                | "not"
                | "if"
                | "then"
                | "else"
                | "contains"
                | "propertyNames"
                | "unevaluatedItems"
                | "unevaluatedProperties" => self.schema(value),
                "required" => self.required(object, value),
                _ => value.clone(),
            };
            made.insert(name.clone(), value);
        }
        if self.old {
            bounds(&mut made);
            nullable(&mut made);
        }
        Value::Object(made)
    }

    /// What only the other side sends need not be there.
    fn required(&self, schema: &Map<String, Value>, required: &Value) -> Value {
        let foreign = if self.side == Side::Request { "readOnly" } else { "writeOnly" };
        let is_foreign = |name: &Value| {
            let property = name.as_str().and_then(|name| schema.get("properties")?.get(name));
            property.is_some_and(|property| property[foreign].as_bool() == Some(true))
        };
        required
            .as_array()
            .map_or_else(|| required.clone(), |names| names.iter().filter(|name| !is_foreign(name)).cloned().collect())
    }
}

/// `minimum: 0, exclusiveMinimum: true`
fn bounds(schema: &mut Map<String, Value>) {
    for (bound, exclusive) in [("minimum", "exclusiveMinimum"), ("maximum", "exclusiveMaximum")] {
        if let Some(&Value::Bool(strict)) = schema.get(exclusive) {
            schema.remove(exclusive);
            if strict && let Some(value) = schema.remove(bound) {
                schema.insert(exclusive.to_owned(), value);
            }
        }
    }
}

/// `type: string, nullable: true`
fn nullable(schema: &mut Map<String, Value>) {
    if schema.remove("nullable") != Some(Value::Bool(true)) {
        return;
    }
    if let Some(kind @ Value::String(_)) = schema.get_mut("type") {
        *kind = Value::Array(vec![kind.take(), "null".into()]);
    }
    if let Some(Value::Array(values)) = schema.get_mut("enum")
        && !values.contains(&Value::Null)
    {
        values.push(Value::Null);
    }
}
