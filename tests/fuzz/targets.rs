//! What is fuzzed: everything that reads bytes from outside, each with what must hold of it whatever they are.

// Said twice over: this file is a module of libFuzzer's program and of the tests.
#[path = "targets/heads.rs"]
mod heads;
#[path = "targets/messages.rs"]
mod messages;
#[path = "targets/values.rs"]
mod values;

/// A name, and what must hold.
pub(crate) type Target = (&'static str, fn(&[u8]));

/// Every target; its cases lie in `tests/fuzz/corpus/NAME`.
pub(crate) const TARGETS: &[Target] = &[
    ("request", heads::request),
    ("response", heads::response),
    ("chunks", heads::chunks),
    ("path", heads::path),
    ("proxy_protocol", heads::proxy_protocol),
    ("forwarded", heads::forwarded),
    ("cache_control", heads::cache_control),
    ("fields", heads::fields),
    ("template", values::template),
    ("pattern", values::pattern),
    ("json", values::json),
    ("json_path", values::json_path),
    ("url", values::url),
    ("certificate", values::certificate),
    ("form", values::form),
    ("token", messages::token),
    ("signature", messages::signature),
    ("multipart", messages::multipart),
    ("frames", messages::frames),
    ("dns", messages::dns),
    ("grpc", messages::grpc_lines),
    ("script", values::script),
];

/// Text as most parsers of fields get it.
fn lossy(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// The first line apart, for targets that take two things.
fn two(bytes: &[u8]) -> (&[u8], &[u8]) {
    let end = bytes.iter().position(|&byte| byte == b'\n').unwrap_or(bytes.len());
    (&bytes[..end], bytes.get(end + 1..).unwrap_or_default())
}
