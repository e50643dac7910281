//! Problem documents (RFC 9457): how the gateway says no.

use serde_json::Map;
use serde_json::Value;

use crate::http::h1::write::reason;

/// The facts of one problem; absent ones are left out.
pub struct Problem<'a> {
    /// The status answered with.
    pub status: u16,
    /// The stable name of the failure.
    pub code: &'a str,
    /// One sentence for the client.
    pub detail: &'a str,
    /// Which request it was.
    pub request_id: &'a str,
    /// Which trace it belongs to.
    pub trace_id: Option<&'a str>,
    /// Single faults: JSON Pointer and message.
    pub errors: &'a [(String, String)],
    /// Where in the script, and the traceback; only under `--dev`.
    pub debug: Option<&'a str>,
}

/// The media type of [`Problem::to_json`].
pub const MEDIA: &str = "application/problem+json";

impl Problem<'_> {
    /// The document as `application/problem+json`.
    pub fn to_json(&self) -> String {
        let mut object = Map::new();
        object.insert("title".into(), reason(self.status).into());
        object.insert("status".into(), self.status.into());
        object.insert("code".into(), self.code.into());
        if !self.detail.is_empty() {
            object.insert("detail".into(), self.detail.into());
        }
        if !self.errors.is_empty() {
            let errors = self.errors.iter().map(|(pointer, detail)| pair(pointer, detail)).collect();
            object.insert("errors".into(), Value::Array(errors));
        }
        object.insert("request_id".into(), self.request_id.into());
        if let Some(trace) = self.trace_id {
            object.insert("trace_id".into(), trace.into());
        }
        if let Some(debug) = self.debug {
            object.insert("debug".into(), debug.into());
        }
        Value::Object(object).to_string()
    }
}

fn pair(pointer: &str, detail: &str) -> Value {
    serde_json::json!({ "pointer": pointer, "detail": detail })
}
