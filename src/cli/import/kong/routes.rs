//! Routes of Kong: every host and path is a route of its own here.

use serde_json::Value;

use super::Draft;
use super::Route;
use super::items;
use super::lua;
use super::services::Address;
use super::text;
use super::texts;

/// The routes that `route` is here, each with `steps`.
pub(super) fn write(route: &Route<'_>, steps: &[String], draft: &mut Draft) {
    let value = route.value;
    let name = text(value, "name");
    let methods = texts(value, "methods");
    let methods = if methods.is_empty() { String::new() } else { format!("{} ", methods.join("|")) };
    let patterns = patterns(value, draft);
    let hosts = hosts(value, draft);
    let only = patterns.len() * hosts.len() == 1;
    for host in &hosts {
        for pattern in &patterns {
            draft.line(format_args!("route {} {{", lua::text(&format!("{methods}{host}{}", pattern.path))));
            if only && !name.is_empty() {
                draft.line(format_args!("  name = {},", lua::text(name)));
            }
            matching(value, draft);
            steps.iter().for_each(|step| draft.line(format_args!("  {step},")));
            target(route, pattern, draft);
            draft.line("}");
            draft.gap();
        }
    }
}

/// A path as it is written here, what of it Kong strips, and what is sent on of it.
struct Pattern {
    path: String,
    prefix: Option<String>,
    sent: String,
}

fn patterns(route: &Value, draft: &mut Draft) -> Vec<Pattern> {
    let paths = items(route, "paths");
    if paths.is_empty() {
        return vec![prefix("/")];
    }
    let mut found = Vec::new();
    for path in paths.iter().filter_map(Value::as_str) {
        match path.strip_prefix('~').map_or_else(|| Some(prefix(path)), expression) {
            Some(pattern) => found.push(pattern),
            None => draft.note(format!(
                "route {}: the expression {path} is not translated; `{{name}}`, `{{id:int}}` and `{{rest*}}` are there",
                text(route, "name")
            )),
        }
    }
    if found.iter().any(|pattern| pattern.prefix.as_deref().is_some_and(|prefix| !prefix.is_empty())) {
        draft.note("paths: a prefix ends at a segment here: /v1 takes /v1 and /v1/x, not /v1x");
    }
    found
}

fn prefix(path: &str) -> Pattern {
    let path = path.trim_end_matches('/');
    Pattern { path: format!("{path}/{{rest*}}"), prefix: Some(path.to_owned()), sent: format!("{path}/{{rest*}}") }
}

/// The plain ones: segments that are text, a number, or anything, with or without a name.
fn expression(text: &str) -> Option<Pattern> {
    let whole = text.ends_with('$');
    let text = text.trim_start_matches('^').trim_end_matches('$');
    let (mut path, mut sent) = (String::new(), String::new());
    for (at, segment) in segments(text).iter().enumerate().skip(1) {
        let (name, inner) = named(segment);
        let name = name.map_or_else(|| format!("p{at}"), str::to_owned);
        let written = match inner {
            "[^/]+" | "[^/]*" | r"\w+" | "[a-zA-Z0-9_-]+" => format!("{{{name}}}"),
            r"\d+" | "[0-9]+" => format!("{{{name}:int}}"),
            ".*" | ".+" => format!("{{{name}*}}"),
            literal => literal_of(literal)?,
        };
        sent.push('/');
        sent.push_str(&if written.starts_with('{') { written.replace(":int", "") } else { written.clone() });
        path.push('/');
        path.push_str(&written);
    }
    if !whole && !path.ends_with("*}") {
        path.push_str("/{rest*}");
        sent.push_str("/{rest*}");
    }
    Some(Pattern { path, prefix: None, sent })
}

/// Parted at each `/` that stands in no bracket.
fn segments(text: &str) -> Vec<&str> {
    let (mut depth, mut begin, mut parts) = (0_u32, 0, Vec::new());
    for (at, symbol) in text.char_indices() {
        match symbol {
            '(' | '[' => depth += 1,
            ')' | ']' => depth = depth.saturating_sub(1),
            '/' if depth == 0 => {
                parts.push(&text[begin..at]);
                begin = at + 1;
            }
            _ => {}
        }
    }
    parts.push(&text[begin..]);
    parts
}

/// `(?<name>inner)` and `(inner)`.
fn named(segment: &str) -> (Option<&str>, &str) {
    let Some(inner) = segment.strip_prefix('(').and_then(|rest| rest.strip_suffix(')')) else { return (None, segment) };
    let named = inner.strip_prefix("?P<").or_else(|| inner.strip_prefix("?<")).and_then(|rest| rest.split_once('>'));
    named.map_or((None, inner), |(name, inner)| (Some(name), inner))
}

fn literal_of(segment: &str) -> Option<String> {
    let plain = segment.replace("\\.", "\u{1}").replace("\\-", "-");
    let special = plain.contains(|symbol: char| "\\^$.|?*+()[]{}".contains(symbol));
    (!special).then(|| plain.replace('\u{1}', "."))
}

fn hosts(route: &Value, draft: &mut Draft) -> Vec<String> {
    let named = texts(route, "hosts");
    if named.is_empty() {
        return vec![String::new()];
    }
    let (fine, others): (Vec<_>, Vec<_>) =
        named.into_iter().partition(|host| !host.ends_with('*') && !host.contains(':'));
    for host in others {
        draft.note(format!("route {}: the host {host} is not translated; *.example.com is there", text(route, "name")));
    }
    fine.into_iter().map(str::to_owned).collect()
}

fn matching(route: &Value, draft: &mut Draft) {
    let mut fields = Vec::new();
    for (name, values) in route["headers"].as_object().into_iter().flatten() {
        let values: Vec<_> = values.as_array().into_iter().flatten().filter_map(Value::as_str).collect();
        let wanted = match &values[..] {
            [one] => lua::text(one),
            several => {
                let any: Vec<_> = several.iter().map(|value| regex::escape(value)).collect();
                format!("regex {}", lua::text(&format!("^({})$", any.join("|"))))
            }
        };
        fields.push(lua::entry(&name.to_ascii_lowercase(), wanted));
    }
    if !fields.is_empty() {
        draft.line(format_args!("  match = {{ header = {} }},", lua::table(fields)));
    }
    if texts(route, "protocols") == ["https"] {
        draft.note("protocols: routes for https only; write gateway { tls = { …, redirect_http = true } }");
    }
}

fn target(route: &Route<'_>, pattern: &Pattern, draft: &mut Draft) {
    let Some(service) = route.service else { return };
    let at = Address::of(service);
    let mut parts = vec![lua::entry("to", lua::text(text(service, "name")))];
    let strips = route.value["strip_path"] != false;
    let rewrite = match (&pattern.prefix, strips) {
        (Some(prefix), true) if at.path.is_empty() => {
            if !prefix.is_empty() {
                parts.push(lua::entry("strip_prefix", lua::text(prefix)));
            }
            None
        }
        (Some(_), true) => Some(format!("{}/{{rest*}}", at.path)),
        (None, true) => Some(format!("{}/{}", at.path, if pattern.sent.ends_with("{rest*}") { "{rest*}" } else { "" })),
        (_, false) if at.path.is_empty() => None,
        (_, false) => Some(format!("{}{}", at.path, pattern.sent)),
    };
    parts.extend(rewrite.map(|path| lua::entry("rewrite", lua::text(&path))));
    match route.value["preserve_host"] == true {
        true if at.is_secure() => parts.push("host = \"keep\"".to_owned()),
        false if !at.is_secure() => parts.push("host = \"upstream\"".to_owned()),
        _ => {}
    }
    draft.line(format_args!("  {},", parts.join(", ")));
}
