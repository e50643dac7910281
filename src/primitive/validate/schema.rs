//! A JSON Schema as a rule: drafts 2020-12 to 04, references within the document only, formats asserted, patterns in
//! linear time; compiled once.

use std::fmt;

use jsonschema::PatternOptions;
use jsonschema::ValidationError;
use jsonschema::Validator;
use serde_json::Value;

use super::Fault;
use super::Judge;
use super::fill::fill;
use super::fill::has_defaults;
use super::read::Types;

/// A compiled schema.
pub struct Schema {
    validator: Validator,
    types: Types,
    /// The document, where it has defaults.
    defaults: Option<Box<Value>>,
}

/// A document that is no schema, or needs what is not here.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct SchemaError(pub String);

impl Schema {
    /// Compiles a document.
    pub fn new(document: &Value) -> Result<Self, SchemaError> {
        let validator = options().build(document).map_err(|error| explain(&error.to_string()))?;
        let defaults = has_defaults(document).then(|| Box::new(document.clone()));
        Ok(Self { validator, types: Types::of(document, document), defaults })
    }
}

/// What all schemas are compiled with.
pub(in crate::primitive) fn options<'a>() -> jsonschema::ValidationOptions<'a> {
    jsonschema::options().offline().should_validate_formats(true).with_pattern_options(PatternOptions::regex())
}

/// What the compiler says, short.
pub(in crate::primitive) fn explain(said: &str) -> SchemaError {
    let said: String = said.chars().take(300).collect();
    let far = said.contains("retriev") || said.contains("ffline");
    SchemaError(if far { format!("references lead to places in the same document only: {said}") } else { said })
}

/// What a validator finds, `most` faults at most.
pub(in crate::primitive) fn faults(validator: &Validator, value: &Value, most: usize) -> Vec<Fault> {
    if validator.is_valid(value) {
        return Vec::new();
    }
    // All errors are gathered before the first is seen: of a large value one is enough.
    if !is_small(value, &mut { SMALL }) {
        return validator.validate(value).err().map(|error| told(&error)).into_iter().collect();
    }
    validator.iter_errors(value).take(most).map(|error| told(&error)).collect()
}

/// Values in a value whose faults are all looked for.
const SMALL: usize = 5_000;

fn is_small(value: &Value, left: &mut usize) -> bool {
    if *left == 0 {
        return false;
    }
    *left -= 1;
    match value {
        Value::Array(items) => items.iter().all(|item| is_small(item, left)),
        Value::Object(members) => members.values().all(|member| is_small(member, left)),
        _ => true,
    }
}

fn told(error: &ValidationError<'_>) -> Fault {
    Fault {
        pointer: error.instance_path().as_str().to_owned(),
        message: error.masked_with("the value").to_string().chars().take(300).collect(),
    }
}

impl Judge for Schema {
    fn judge(&self, value: &Value, most: usize) -> Vec<Fault> {
        faults(&self.validator, value, most)
    }

    fn fill(&self, value: &mut Value) -> bool {
        self.defaults.as_ref().is_some_and(|document| fill(document, document, value))
    }

    fn read(&self, values: &[&str]) -> Value {
        self.types.read(values)
    }
}

impl fmt::Debug for Schema {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Schema")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn every_draft_is_read_and_formats_hold() {
        for (draft, schema) in [
            ("https://json-schema.org/draft/2020-12/schema", json!({ "prefixItems": [{ "format": "uuid" }] })),
            ("https://json-schema.org/draft/2019-09/schema", json!({ "items": [{ "format": "uuid" }] })),
            ("http://json-schema.org/draft-07/schema#", json!({ "items": [{ "format": "date" }] })),
            ("http://json-schema.org/draft-06/schema#", json!({ "items": { "const": 1 } })),
            ("http://json-schema.org/draft-04/schema#", json!({ "items": { "minimum": 1, "exclusiveMinimum": true } })),
        ] {
            let mut whole = schema.clone();
            whole["$schema"] = draft.into();
            let schema = Schema::new(&whole).unwrap_or_else(|error| panic!("{draft}: {error}"));
            let faults = schema.judge(&json!(["1", 1]), 10);
            assert_eq!(
                faults.first().map(|fault| fault.pointer.as_str()),
                Some(if draft.contains("04") { "/1" } else { "/0" }),
                "{draft} {faults:?}"
            );
        }
    }

    #[test]
    fn nothing_is_fetched_and_nothing_backtracks() {
        for schema in [
            json!({ "$ref": "https://example.org/x" }),
            json!({ "$ref": "file:///etc/passwd" }),
            json!({ "pattern": "(a+)\\1" }),
            json!({ "type": 1 }),
        ] {
            assert!(Schema::new(&schema).is_err(), "{schema}");
        }
        let slow = Schema::new(&json!({ "pattern": "^(a+)+$" })).unwrap();
        assert_eq!(slow.judge(&format!("{}!", "a".repeat(100_000)).into(), 10).len(), 1);
    }

    #[test]
    fn faults_are_few_however_large_the_value_is() {
        let schema = Schema::new(&json!({ "items": { "type": "integer", "maximum": 5 } })).unwrap();
        let wrong = |count: usize| Value::Array(vec!["x".into(); count]);
        assert_eq!(schema.judge(&wrong(100), 10).len(), 10);
        assert_eq!(schema.judge(&wrong(200_000), 10).len(), 1);
        let secret = schema.judge(&json!(["hunter2"]), 10);
        assert!(!secret[0].message.contains("hunter2"), "{secret:?}");
        let big: Value = serde_json::from_str("[18446744073709551617]").unwrap();
        assert_eq!(schema.judge(&big, 10).len(), 1, "beyond 2^64 is more than 5");
    }
}
