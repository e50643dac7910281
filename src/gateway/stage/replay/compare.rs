//! What is another in an answer than it was in the recording.

use std::collections::BTreeMap;
use std::collections::BTreeSet;

use serde_json::Value;

use super::body;
use super::fields;
use crate::script::suite::Answered;
use crate::script::suite::Call;

/// One line for each difference that means something.
pub(super) fn differences(story: &Value, now: &Answered, calls: &[Call]) -> Vec<String> {
    let mut lines = Vec::new();
    let before = &story["answer"];
    let mut differ = |what: &str, old: &str, new: &str| {
        if old != new {
            lines.push(format!("{what}: {} -> {}", shown(old), shown(new)));
        }
    };
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    differ("status", &before["status"].to_string(), &now.status.to_string());
    differ("code", &text(&before["code"]), now.code.as_deref().unwrap_or_default());
    let route = now.route.as_ref().map(|(name, ..)| name.as_str()).unwrap_or_default();
    differ("route", &text(&story["route"]["name"]), route);
    lines.extend(changed(fields(&before["headers"]), now.headers.iter().cloned()));
    if before["cut"] != true {
        let (old, new) = (body(before), &now.body);
        if !same(&old, new) {
            let text = |bytes: &[u8]| shown(&String::from_utf8_lossy(bytes));
            lines.push(format!("body: {} -> {}", text(&old), text(new)));
        }
    }
    lines.extend(asked(story, calls));
    lines
}

/// Calls that services no longer get (`-`) and those that are new (`+`), with another body (`~`).
fn asked(story: &Value, calls: &[Call]) -> Vec<String> {
    let name = |upstream: &str, method: &str, path: &str| format!("{upstream} {method} {path}");
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let recorded = story["calls"].as_array().map_or(&[][..], Vec::as_slice);
    // Who could not be reached was not asked then either.
    let refused = story["answer"]["code"] == "upstream.connect";
    let reached = recorded.iter().filter(|call| call["answer"]["status"].is_u64() || !refused);
    let mut old: Vec<_> = reached
        .map(|call| (name(&text(&call["upstream"]), &text(&call["method"]), &text(&call["path"])), call))
        .collect();
    let (mut lines, mut again) = (Vec::new(), BTreeSet::new());
    for call in calls {
        let new = name(&call.upstream, &call.method, &call.path);
        match old.iter().position(|(known, _)| *known == new) {
            // Attempts at a service that fails are one call in the recording.
            None if again.contains(&new) => {}
            None => lines.push(format!("call + {new}")),
            Some(at) => {
                let (_, before) = old.remove(at);
                if before["error"].is_string() {
                    again.insert(new.clone());
                }
                let query = before["query"].as_str().unwrap_or_default();
                let asked = call.query.as_deref().unwrap_or_default();
                if query != asked && !query.contains("redacted-") {
                    lines.push(format!("call ~ {new}: query {} -> {}", shown(query), shown(asked)));
                }
                if before["sent"]["cut"] != true && !same(&body(&before["sent"]), &call.body) {
                    lines.push(format!("call ~ {new}: another body"));
                }
                for line in changed(fields(&before["headers"]), call.headers.iter().cloned()) {
                    lines.push(format!("call ~ {new}: {line}"));
                }
            }
        }
    }
    lines.splice(0..0, old.iter().map(|(known, _)| format!("call - {known}")));
    lines
}

/// Whether two bodies say the same: JSON by its members, without what was hidden and what is new each time.
fn same(old: &[u8], new: &[u8]) -> bool {
    if old == new {
        return true;
    }
    match (serde_json::from_slice::<Value>(old), serde_json::from_slice::<Value>(new)) {
        (Ok(old), Ok(new)) => alike(&old, &new),
        (Ok(_), Err(_)) => false,
        // A text of which something is hidden cannot be compared.
        (Err(_), _) => String::from_utf8_lossy(old).contains(super::HIDDEN),
    }
}

fn alike(old: &Value, new: &Value) -> bool {
    match (old, new) {
        (Value::String(text), _) if text.contains(super::HIDDEN) => true,
        (Value::Object(old), Value::Object(new)) => {
            let named = |name: &str| !BY_CHANCE.contains(&name);
            old.iter()
                .filter(|(name, _)| named(name))
                .all(|(name, value)| new.get(name).is_some_and(|new| alike(value, new)))
                && new.keys().filter(|name| named(name)).all(|name| old.contains_key(name))
        }
        (Value::Array(old), Value::Array(new)) => {
            old.len() == new.len() && old.iter().zip(new).all(|(old, new)| alike(old, new))
        }
        (old, new) => old == new,
    }
}

/// Fields that came, went or changed, one line each.
fn changed(old: impl Iterator<Item = (String, String)>, new: impl Iterator<Item = (String, String)>) -> Vec<String> {
    let (old, new) = (joined(old), joined(new));
    let names = old.keys().chain(new.keys().filter(|name| !old.contains_key(*name)));
    let lines = names.filter(|name| !BY_CHANCE.contains(&name.as_str())).filter_map(|name| {
        let value = |all: &BTreeMap<String, String>| all.get(name).cloned().unwrap_or_default();
        let (old, new) = (value(&old), value(&new));
        (old != new && !old.contains(super::HIDDEN))
            .then(|| format!("header {name}: {} -> {}", shown(&old), shown(&new)))
    });
    lines.collect()
}

/// Fields by name; those of one name are joined.
fn joined(fields: impl Iterator<Item = (String, String)>) -> BTreeMap<String, String> {
    let mut all: BTreeMap<String, String> = BTreeMap::new();
    for (name, value) in fields {
        all.entry(name.to_ascii_lowercase()).and_modify(|all| *all = format!("{all}, {value}")).or_insert(value);
    }
    all
}

fn shown(text: &str) -> String {
    if text.is_empty() {
        return "nothing".to_owned();
    }
    let line = text.trim_end().replace('\n', "\\n");
    match line.char_indices().nth(MOST) {
        Some((end, _)) => format!("{}… ({} bytes)", &line[..end], text.len()),
        None => line,
    }
}

/// Fields and members that are another each time: ids, times, framing, and what counters said that began anew.
const BY_CHANCE: &[&str] = &[
    "date",
    "age",
    "x-request-id",
    "request_id",
    "trace_id",
    "traceparent",
    "ratelimit",
    "content-length",
    "connection",
    "transfer-encoding",
    "host",
    "x-forwarded-port",
];
/// Characters of a value that are shown.
const MOST: usize = 100;
