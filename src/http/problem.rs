//! Problem documents (RFC 9457): how the gateway says no.

use crate::http::h1::write::reason;
use crate::http::quote::quote;

/// The facts of one problem; absent ones are left out.
pub struct Problem<'a> {
    /// The status answered with.
    pub status: u16,
    /// The stable name of the failure.
    pub code: &'a str,
    /// One sentence for the client.
    pub detail: &'a str,
    /// Which request it was; empty where requests have no ids.
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
        let mut out = String::with_capacity(320);
        out.push_str("{\"title\":");
        quote(&mut out, reason(self.status));
        out.push_str(",\"status\":");
        out.push_str(itoa::Buffer::new().format(self.status));
        member(&mut out, "code", Some(self.code));
        member(&mut out, "detail", Some(self.detail).filter(|detail| !detail.is_empty()));
        if !self.errors.is_empty() {
            out.push_str(",\"errors\":[");
            for (index, (pointer, detail)) in self.errors.iter().enumerate() {
                out.push_str(if index == 0 { "{\"pointer\":" } else { ",{\"pointer\":" });
                quote(&mut out, pointer);
                member(&mut out, "detail", Some(detail));
                out.push('}');
            }
            out.push(']');
        }
        member(&mut out, "request_id", Some(self.request_id).filter(|id| !id.is_empty()));
        member(&mut out, "trace_id", self.trace_id);
        member(&mut out, "debug", self.debug);
        out.push('}');
        out
    }
}

fn member(out: &mut String, name: &str, value: Option<&str>) {
    let Some(value) = value else { return };
    out.push_str(",\"");
    out.push_str(name);
    out.push_str("\":");
    quote(out, value);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_document_holds_what_there_is_in_order_and_escaped() {
        let errors = [("/a\"b".to_owned(), "not\nso".to_owned()), (String::new(), "x".to_owned())];
        let mut problem = Problem {
            status: 422,
            code: "request.body",
            detail: "",
            request_id: "r1",
            trace_id: None,
            errors: &[],
            debug: None,
        };
        let plain = r#"{"title":"Unprocessable Content","status":422,"code":"request.body","request_id":"r1"}"#;
        assert_eq!(problem.to_json(), plain);
        (problem.detail, problem.errors) = ("a \"b\"", &errors);
        (problem.trace_id, problem.debug) = (Some("t"), Some("at\t1"));
        let whole = serde_json::json!({
            "title": "Unprocessable Content", "status": 422, "code": "request.body", "detail": "a \"b\"",
            "errors": [{ "pointer": "/a\"b", "detail": "not\nso" }, { "pointer": "", "detail": "x" }],
            "request_id": "r1", "trace_id": "t", "debug": "at\t1",
        });
        assert_eq!(problem.to_json(), whole.to_string());
    }
}
