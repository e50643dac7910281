//! Problem documents (RFC 9457): how the gateway says no.

use serde_json::Map;
use serde_json::Value;

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

/// The usual phrase of a status (RFC 9110 §15 and the registry).
pub fn reason(status: u16) -> &'static str {
    match status {
        100 => "Continue",
        101 => "Switching Protocols",
        103 => "Early Hints",
        200 => "OK",
        201 => "Created",
        202 => "Accepted",
        203 => "Non-Authoritative Information",
        204 => "No Content",
        205 => "Reset Content",
        206 => "Partial Content",
        207 => "Multi-Status",
        300 => "Multiple Choices",
        301 => "Moved Permanently",
        302 => "Found",
        303 => "See Other",
        304 => "Not Modified",
        307 => "Temporary Redirect",
        308 => "Permanent Redirect",
        400 => "Bad Request",
        401 => "Unauthorized",
        402 => "Payment Required",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        406 => "Not Acceptable",
        408 => "Request Timeout",
        409 => "Conflict",
        410 => "Gone",
        411 => "Length Required",
        412 => "Precondition Failed",
        413 => "Content Too Large",
        414 => "URI Too Long",
        415 => "Unsupported Media Type",
        416 => "Range Not Satisfiable",
        417 => "Expectation Failed",
        418 => "I'm a teapot",
        421 => "Misdirected Request",
        422 => "Unprocessable Content",
        423 => "Locked",
        424 => "Failed Dependency",
        425 => "Too Early",
        426 => "Upgrade Required",
        428 => "Precondition Required",
        429 => "Too Many Requests",
        431 => "Request Header Fields Too Large",
        451 => "Unavailable For Legal Reasons",
        499 => "Client Closed Request",
        500 => "Internal Server Error",
        501 => "Not Implemented",
        502 => "Bad Gateway",
        503 => "Service Unavailable",
        504 => "Gateway Timeout",
        505 => "HTTP Version Not Supported",
        507 => "Insufficient Storage",
        508 => "Loop Detected",
        511 => "Network Authentication Required",
        _ => "",
    }
}
