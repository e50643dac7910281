//! All schemas of one direction, compiled together: what they share is compiled once.

use std::fmt;
use std::sync::Arc;

use jsonschema::Draft;
use jsonschema::Validator;
use percent_encoding::AsciiSet;
use percent_encoding::CONTROLS;
use serde_json::Map;
use serde_json::Value;

use super::OpenapiError;
use super::document;
use super::shim;
use crate::primitive::validate::Fault;
use crate::primitive::validate::schema;

/// Which way a message goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Side {
    Request,
    Answer,
}

/// A schema for an object with one member for each place a schema stands at.
pub(super) struct Contract(Validator);

/// Nested schemas are compiled by functions that call themselves.
const STACK: usize = 64 << 20;

/// What may not stand in a fragment of a URI.
const FRAGMENT: &AsciiSet = &CONTROLS
    .add(b' ')
    .add(b'"')
    .add(b'<')
    .add(b'>')
    .add(b'`')
    .add(b'{')
    .add(b'}')
    .add(b'%')
    .add(b'^')
    .add(b'|')
    .add(b'\\')
    .add(b'[')
    .add(b']')
    .add(b'#');

impl Contract {
    pub(super) fn new<'a>(
        document: &Value,
        side: Side,
        keys: impl Iterator<Item = &'a Arc<str>>,
    ) -> Result<Self, OpenapiError> {
        let mut root = shim::translate(document, side, document::is_old(document));
        let mut members = Map::new();
        for key in keys {
            if !members.contains_key(&**key) {
                let fragment = percent_encoding::utf8_percent_encode(key, FRAGMENT);
                members.insert(key.to_string(), serde_json::json!({ "$ref": format!("#{fragment}") }));
            }
        }
        root.insert("properties".to_owned(), Value::Object(members));
        let root = Value::Object(root);
        let compile = || schema::options().with_draft(Draft::Draft202012).build(&root);
        let compiled = std::thread::scope(|scope| {
            let thread = std::thread::Builder::new().name("openapi".into()).stack_size(STACK);
            thread.spawn_scoped(scope, compile).ok().and_then(|thread| thread.join().ok())
        });
        match compiled {
            Some(Ok(validator)) => Ok(Self(validator)),
            Some(Err(error)) => {
                let at = error.instance_path().as_str().to_owned();
                let said = schema::explain(&error.to_string()).0;
                Err(OpenapiError(if at.is_empty() { said } else { format!("{said} (at {at})") }))
            }
            None => Err(OpenapiError("its schemas could not be compiled".into())),
        }
    }

    /// `value`, if it is as the schema at `key` says, else what is wrong with it.
    pub(super) fn judge(&self, key: &str, value: Value, most: usize) -> Result<Value, Vec<Fault>> {
        let mut value = Value::Object(Map::from_iter([(key.to_owned(), value)]));
        let mut faults = schema::faults(&self.0, &value, most);
        if faults.is_empty() {
            return Ok(value[key].take());
        }
        // Pointers begin with the member that stands for the schema.
        for fault in &mut faults {
            fault.pointer = match fault.pointer.get(1..).and_then(|rest| rest.find('/')) {
                Some(at) => fault.pointer.split_off(at + 1),
                None => String::new(),
            };
        }
        Err(faults)
    }
}

impl fmt::Debug for Contract {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Contract")
    }
}
