//! Defaults of a schema, put into a value that fits it.

use serde_json::Value;

use super::read::target;

/// Whether any member of an object has a default somewhere in `document`.
pub(in crate::primitive) fn has_defaults(document: &Value) -> bool {
    match document {
        Value::Object(members) => {
            let own = members.get("properties").and_then(Value::as_object);
            let told = own.is_some_and(|own| own.values().any(|schema| schema.get("default").is_some()))
                // A property may be a reference, and what it leads to says the default.
                || members.get("default").is_some() && members.contains_key("type");
            told || members.values().any(has_defaults)
        }
        Value::Array(items) => items.iter().any(has_defaults),
        _ => false,
    }
}

/// Gives `value` the members that it lacks and `schema`, a piece of `document`, has a default for: also in objects and
/// lists inside it, through references and `allOf`, not through `anyOf` and `oneOf`. Whether there was one.
pub(in crate::primitive) fn fill(schema: &Value, document: &Value, value: &mut Value) -> bool {
    Filler { document, left: MOST }.walk(schema, value, HOPS)
}

struct Filler<'a> {
    document: &'a Value,
    /// Schemas that may still be looked at.
    left: usize,
}

impl<'a> Filler<'a> {
    /// Where a reference leads.
    fn target(&self, schema: &Value) -> Option<&'a Value> {
        target(self.document, schema.get("$ref")?.as_str()?)
    }

    fn walk(&mut self, schema: &Value, value: &mut Value, hops: usize) -> bool {
        if hops == 0 || self.left == 0 {
            return false;
        }
        self.left -= 1;
        let mut filled = false;
        if let Some(target) = self.target(schema) {
            filled |= self.walk(target, value, hops - 1);
        }
        for branch in schema["allOf"].as_array().into_iter().flatten() {
            filled |= self.walk(branch, value, hops - 1);
        }
        match value {
            Value::Object(members) => {
                for (name, schema) in schema["properties"].as_object().into_iter().flatten() {
                    if let Some(member) = members.get_mut(name) {
                        filled |= self.walk(schema, member, HOPS);
                    } else if let Some(default) = self.default(schema) {
                        members.insert(name.clone(), default.clone());
                        filled = true;
                    }
                }
            }
            Value::Array(items) if schema["items"].is_object() => {
                for item in items {
                    filled |= self.walk(&schema["items"], item, HOPS);
                }
            }
            _ => {}
        }
        filled
    }

    /// The default of a member, unless only an answer has it.
    fn default<'s>(&self, mut schema: &'s Value) -> Option<&'s Value>
    where
        'a: 's,
    {
        for _ in 0..HOPS {
            if schema["readOnly"].as_bool() == Some(true) {
                return None;
            }
            if let Some(default) = schema.get("default") {
                return Some(default);
            }
            schema = self.target(schema)?;
        }
        None
    }
}

/// References that lead to references.
const HOPS: usize = 16;
/// Schemas looked at for one value.
const MOST: usize = 100_000;

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn filled(schema: &Value, mut value: Value) -> Option<Value> {
        fill(schema, schema, &mut value).then_some(value)
    }

    #[test]
    fn absent_members_get_their_defaults_and_nothing_else_changes() {
        let schema = json!({
            "properties": {
                "n": { "type": "integer", "default": 18446744073709551617_u128.to_string() },
                "tag": { "$ref": "#/$defs/tag" },
                "id": { "type": "string", "readOnly": true, "default": "x" },
                "inner": { "properties": { "a": { "default": [] } } },
                "list": { "items": { "allOf": [{ "properties": { "b": { "default": null } } }] } },
            },
            "$defs": { "tag": { "type": "string", "default": "none" } },
        });
        assert!(has_defaults(&schema));
        let whole = json!({ "n": "1", "tag": "t" });
        assert_eq!(filled(&schema, whole), None);
        let made = filled(&schema, json!({ "z": 1, "n": "1", "inner": {}, "list": [{}, { "b": 1 }, 7] })).unwrap();
        let wanted =
            json!({ "z": 1, "n": "1", "inner": { "a": [] }, "list": [{ "b": null }, { "b": 1 }, 7], "tag": "none" });
        assert_eq!(made, wanted);
        assert_eq!(filled(&schema, json!([{}])), None);
    }

    #[test]
    fn schemas_that_lead_to_themselves_end() {
        let schema = json!({
            "$ref": "#", "allOf": [{ "$ref": "#" }, { "$ref": "#" }, { "$ref": "#" }],
            "properties": { "me": { "$ref": "#" }, "a": { "default": 1 }, "b": { "$ref": "#/properties/b" } },
        });
        assert_eq!(filled(&schema, json!({ "me": { "me": {} } })).unwrap()["a"], 1);
    }

    #[test]
    fn a_document_without_defaults_is_known() {
        assert!(!has_defaults(
            &json!({ "responses": { "default": { "description": "" } }, "properties": { "default": {} } })
        ));
    }
}
