//! A place in the document: its value, and the JSON Pointer that leads there.

use serde_json::Value;

use super::OpenapiError;
use crate::primitive::validate::escape;
use crate::primitive::validate::read::target;

#[derive(Clone, Debug)]
pub(super) struct Spot<'a> {
    pub(super) document: &'a Value,
    pub(super) value: &'a Value,
    pub(super) pointer: String,
}

/// References that lead to references.
const HOPS: usize = 16;

impl<'a> Spot<'a> {
    pub(super) fn root(document: &'a Value) -> Self {
        Self { document, value: document, pointer: String::new() }
    }

    /// The member of that name; null when it is not there.
    pub(super) fn get(&self, name: &str) -> Self {
        Self { value: &self.value[name], pointer: format!("{}/{}", self.pointer, escape(name)), ..self.clone() }
    }

    /// The members of an object, references followed.
    pub(super) fn members(&self) -> Result<Vec<(&'a str, Self)>, OpenapiError> {
        let names = self.value.as_object().into_iter().flat_map(|object| object.keys());
        names.map(|name| Ok((name.as_str(), self.get(name).real()?))).collect()
    }

    /// The items of a list, references followed.
    pub(super) fn items(&self) -> Result<Vec<Self>, OpenapiError> {
        let items = self.value.as_array().into_iter().flatten().enumerate();
        items
            .map(|(index, value)| Self { value, pointer: format!("{}/{index}", self.pointer), ..self.clone() }.real())
            .collect()
    }

    pub(super) fn is_there(&self) -> bool {
        !self.value.is_null()
    }

    pub(super) fn text(&self, name: &str) -> Option<&'a str> {
        self.value[name].as_str()
    }

    pub(super) fn flag(&self, name: &str) -> Option<bool> {
        self.value[name].as_bool()
    }

    /// Where its reference leads, if it is one.
    pub(super) fn real(self) -> Result<Self, OpenapiError> {
        let mut spot = self;
        for _ in 0..HOPS {
            let Some(reference) = spot.value.get("$ref").and_then(Value::as_str) else { return Ok(spot) };
            let Some(value) = target(spot.document, reference) else {
                let why = if reference.starts_with('#') { "leads nowhere" } else { "leads out of the document" };
                return Err(OpenapiError(format!("`{reference}` at {} {why}", spot.pointer)));
            };
            let pointer = percent_encoding::percent_decode_str(&reference[1..]).decode_utf8_lossy().into_owned();
            spot = Self { document: spot.document, value, pointer };
        }
        Err(OpenapiError(format!("the references at {} lead in a circle", spot.pointer)))
    }
}
