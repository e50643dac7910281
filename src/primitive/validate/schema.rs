//! A JSON Schema as a rule: drafts 2020-12 to 04, references within the document only, formats asserted, patterns in
//! linear time; compiled once.

use std::fmt;

use jsonschema::PatternOptions;
use jsonschema::Validator;
use serde_json::Value;

use super::Fault;
use super::Judge;
use super::read::Types;

/// A compiled schema.
pub struct Schema {
    validator: Validator,
    types: Types,
}

/// A document that is no schema, or needs what is not here.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct SchemaError(pub String);

impl Schema {
    /// Compiles a document.
    pub fn new(document: &Value) -> Result<Self, SchemaError> {
        let validator = options().build(document).map_err(|error| explain(&error.to_string()))?;
        Ok(Self { validator, types: Types::of(document, document) })
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
    let errors = validator.iter_errors(value).take(most);
    errors
        .map(|error| Fault {
            pointer: error.instance_path().as_str().to_owned(),
            message: error.masked_with("the value").to_string().chars().take(300).collect(),
        })
        .collect()
}

impl Judge for Schema {
    fn judge(&self, value: &Value, most: usize) -> Vec<Fault> {
        faults(&self.validator, value, most)
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
