//! JSON that loses nothing: numbers keep every digit, objects their order; depth and size are bounded.

pub mod edit;
pub mod path;

pub use edit::Edit;
pub use path::Path;

use serde_json::Value;

/// What a JSON text may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Most bytes.
    pub size: usize,
    /// Most arrays and objects inside each other, 127 at most.
    pub depth: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { size: 64 << 20, depth: DEEPEST }
    }
}

/// A text that is no JSON, or more than is allowed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum JsonFault {
    /// More bytes than allowed.
    #[error("the JSON text is larger than {0} bytes")]
    Size(usize),
    /// Too many levels.
    #[error("the JSON text is more than {0} levels deep")]
    Depth(usize),
    /// No JSON.
    #[error("{message} at line {line}, column {column}")]
    Syntax {
        /// What is wrong.
        message: String,
        /// From 1.
        line: usize,
        /// From 1.
        column: usize,
    },
}

/// Reads a JSON text.
pub fn decode(text: &[u8], limits: Limits) -> Result<Value, JsonFault> {
    if text.len() > limits.size {
        return Err(JsonFault::Size(limits.size));
    }
    let most = limits.depth.min(DEEPEST);
    if depth(text) > most {
        return Err(JsonFault::Depth(most));
    }
    serde_json::from_slice(text).map_err(|error| {
        let (line, column) = (error.line(), error.column());
        let message = error.to_string();
        let message = message.split(" at line ").next().unwrap_or(&message).to_owned();
        JsonFault::Syntax { message, line, column }
    })
}

/// Writes a value, without spaces.
pub fn encode(value: &Value) -> String {
    value.to_string()
}

/// The text at `path` (keys and indices): strings bare, everything else as JSON; `None` when it is not there or null.
pub fn text_at(body: &[u8], path: &[String]) -> Option<String> {
    let value = decode(body, Limits::default()).ok()?;
    text(walk(&value, path)?)
}

/// A value as text: strings bare, everything else as JSON, null as nothing.
pub fn text(value: &Value) -> Option<String> {
    match value {
        Value::Null => None,
        Value::String(text) => Some(text.clone()),
        other => Some(other.to_string()),
    }
}

/// The value at `path`: keys of objects, indices of arrays.
pub fn walk<'a>(value: &'a Value, path: &[String]) -> Option<&'a Value> {
    path.iter().try_fold(value, |value, step| match value {
        Value::Object(map) => map.get(step),
        Value::Array(list) => list.get(step.parse::<usize>().ok()?),
        _ => None,
    })
}

/// How deep brackets nest outside strings; the text need not be JSON.
fn depth(text: &[u8]) -> usize {
    let (mut depth, mut deepest, mut quoted, mut escaped) = (0_usize, 0, false, false);
    for byte in text {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if quoted => escaped = true,
            b'"' => quoted = !quoted,
            b'{' | b'[' if !quoted => {
                depth += 1;
                deepest = deepest.max(depth);
            }
            b'}' | b']' if !quoted => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    deepest
}

/// What the parser itself takes.
const DEEPEST: usize = 127;

#[cfg(test)]
mod tests;
