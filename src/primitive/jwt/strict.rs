//! JSON as RFC 8725 wants it: an object, no member twice.

use std::borrow::Cow;

use serde_json::Map;
use serde_json::Value;

/// The object that `bytes` are.
pub(super) fn object(bytes: &[u8]) -> Result<Map<String, Value>, &'static str> {
    let text = std::str::from_utf8(bytes).map_err(|_| "not UTF-8")?;
    let Value::Object(object) = serde_json::from_str(text).map_err(|_| "not JSON")? else {
        return Err("not a JSON object");
    };
    if unique(text) { Ok(object) } else { Err("a JSON member stands twice") }
}

/// Whether no object in `text`, which is JSON, has a name twice. What serde_json gives a meaning of its own counts too.
fn unique(text: &str) -> bool {
    let bytes = text.as_bytes();
    let mut open: Vec<Vec<Cow<'_, str>>> = Vec::new();
    let mut at = 0;
    while at < bytes.len() {
        match bytes[at] {
            b'{' | b'[' => open.push(Vec::new()),
            b'}' | b']' => {
                let mut names = open.pop().unwrap_or_default();
                names.sort_unstable();
                if names.windows(2).any(|pair| pair[0] == pair[1]) {
                    return false;
                }
            }
            b'"' => {
                let end = string_end(bytes, at);
                let is_name = bytes[end..].iter().find(|byte| !byte.is_ascii_whitespace()) == Some(&b':');
                if is_name {
                    let name = name(&text[at..end]);
                    if name.starts_with("$serde_json::private") {
                        return false;
                    }
                    if let Some(names) = open.last_mut() {
                        names.push(name);
                    }
                }
                at = end;
                continue;
            }
            _ => {}
        }
        at += 1;
    }
    true
}

/// Behind the closing quote of the string that opens at `at`.
fn string_end(bytes: &[u8], at: usize) -> usize {
    let mut end = at + 1;
    while end < bytes.len() {
        match bytes[end] {
            b'\\' => end += 2,
            b'"' => return end + 1,
            _ => end += 1,
        }
    }
    bytes.len()
}

/// A quoted name without its quotes and escapes.
fn name(quoted: &str) -> Cow<'_, str> {
    if quoted.contains('\\') {
        serde_json::from_str::<String>(quoted).map_or(Cow::Borrowed(quoted), Cow::Owned)
    } else {
        Cow::Borrowed(quoted.trim_matches('"'))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_member_stands_twice() {
        for fine in [r#"{}"#, r#"{"a":1,"b":{"a":2}}"#, r#"{"a":[{"x":1},{"x":2}],"x":"a\":1"}"#, r#"{ "a" : "a" }"#] {
            assert!(object(fine.as_bytes()).is_ok(), "{fine}");
        }
        for (bad, why) in [
            (r#"{"a":1,"a":1}"#, "a JSON member stands twice"),
            (r#"{"a":1,"\u0061":2}"#, "a JSON member stands twice"),
            (r#"{"x":{"a":1,"b":2,"a" :3}}"#, "a JSON member stands twice"),
            (r#"{"n":{"$serde_json::private::Number":"5"}}"#, "a JSON member stands twice"),
            (r#"[1]"#, "not a JSON object"),
            (r#"{"a":1} x"#, "not JSON"),
            ("{\"a\":\"\u{0}\"}", "not JSON"),
        ] {
            assert_eq!(object(bad.as_bytes()), Err(why), "{bad}");
        }
        assert_eq!(object(b"\xff"), Err("not UTF-8"));
    }
}
