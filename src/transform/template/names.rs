//! Which names a template may use.

use crate::suggest::did_you_mean;

/// The first parts a name can have; everything else is a path parameter or a mistake.
pub const ROOTS: &[&str] = &[
    "params",
    "user",
    "key",
    "header",
    "query",
    "cookie",
    "json",
    "ctx",
    "ip",
    "host",
    "method",
    "path",
    "request_id",
    "route",
    "time",
    "tls",
    "response",
    "error",
];

/// What a client's certificate tells.
const CERTIFICATE: &[&str] =
    &["subject", "common_name", "issuer", "serial", "san", "fingerprint", "not_before", "not_after"];

/// What may follow a root.
enum Rest {
    /// Nothing.
    None,
    /// Nothing, or a path into it.
    Maybe,
    /// One name, which may contain dots.
    One,
    /// A path.
    Path,
    /// One of these.
    Of(&'static [&'static str]),
}

fn rest(root: &str) -> Option<Rest> {
    Some(match root {
        "user" | "json" => Rest::Maybe,
        "ctx" => Rest::Path,
        "header" | "query" | "cookie" | "params" => Rest::One,
        "tls" => Rest::Of(&["version", "sni", "alpn", "cert"]),
        "response" => Rest::Of(&["status", "header", "json"]),
        "error" => Rest::Of(&["code", "status", "detail", "step", "level", "upstream"]),
        "key" | "ip" | "host" | "scheme" | "method" | "path" | "request_id" | "trace_id" | "route" | "time" => {
            Rest::None
        }
        _ => return None,
    })
}

/// The parts of a name; a path parameter in scope becomes `["params", name]`.
pub(super) fn resolve(name: &str, params: &[String]) -> Result<Vec<String>, String> {
    if params.iter().any(|param| param == name) {
        return Ok(vec!["params".to_owned(), name.to_owned()]);
    }
    let (root, tail) = first(name);
    let Some(rest) = rest(root) else {
        let near = did_you_mean(root, params.iter().map(String::as_str).chain(ROOTS.iter().copied()));
        return Err(format!("unknown name `{root}`{near}"));
    };
    let mut parts = vec![root.to_owned()];
    match (rest, tail) {
        (Rest::None | Rest::Maybe, None) => {}
        (Rest::None, Some(_)) => return Err(format!("`{root}` has no parts; write `{{{root}}}`")),
        (_, None) => return Err(format!("`{root}` needs a name: `{{{root}.…}}`")),
        (Rest::One, Some(tail)) => parts.push(one(root, tail, params)?),
        (Rest::Maybe | Rest::Path, Some(tail)) => path(&mut parts, name, tail)?,
        (Rest::Of(known), Some(tail)) => listed(&mut parts, name, tail, known)?,
    }
    Ok(parts)
}

/// The first part of a name, and what follows its dot or begins with `[`.
fn first(name: &str) -> (&str, Option<&str>) {
    match name.find(['.', '[']) {
        Some(end) if name[end..].starts_with('.') => (&name[..end], Some(&name[end + 1..])),
        Some(end) => (&name[..end], Some(&name[end..])),
        None => (name, None),
    }
}

fn one(root: &str, tail: &str, params: &[String]) -> Result<String, String> {
    if tail.is_empty() {
        return Err(format!("`{root}.` needs a name after the dot"));
    }
    if root == "params" && !params.iter().any(|param| param == tail) {
        let near = did_you_mean(tail, params.iter().map(String::as_str));
        return Err(format!("no path parameter `{tail}`{near}"));
    }
    Ok(if root == "header" { tail.to_ascii_lowercase() } else { tail.to_owned() })
}

fn listed(parts: &mut Vec<String>, name: &str, tail: &str, known: &[&str]) -> Result<(), String> {
    let (first, after) = first(tail);
    if !known.contains(&first) {
        let near = did_you_mean(first, known.iter().copied());
        return Err(format!("`{}` has no `{first}`{near}", parts[0]));
    }
    parts.push(first.to_owned());
    match (first, after) {
        ("header", Some(field)) if !field.is_empty() => parts.push(field.to_ascii_lowercase()),
        ("header" | "cert", None) => return Err(format!("`{name}` needs a name: `{{{name}.…}}`")),
        ("json", Some(after)) => path(parts, name, after)?,
        ("cert", Some(after)) if CERTIFICATE.contains(&after) => parts.push(after.to_owned()),
        ("cert", Some(after)) => {
            let near = did_you_mean(after, CERTIFICATE.iter().copied());
            return Err(format!("a certificate has no `{after}`{near}"));
        }
        (_, None) => {}
        (_, Some(_)) => return Err(format!("`{}.{first}` has no parts", parts[0])),
    }
    Ok(())
}

/// `a.b[0].c` into `a`, `b`, `0`, `c`.
fn path(parts: &mut Vec<String>, name: &str, tail: &str) -> Result<(), String> {
    for step in tail.split('.') {
        let (key, mut indices) = match step.find('[') {
            Some(open) => (&step[..open], &step[open..]),
            None => (step, ""),
        };
        if !key.is_empty() {
            parts.push(key.to_owned());
        } else if indices.is_empty() {
            return Err(format!("`{name}` has an empty part"));
        }
        while let Some(inner) = indices.strip_prefix('[') {
            let Some(close) = inner.find(']') else { return Err(format!("`{name}`: `[` without `]`")) };
            let index = &inner[..close];
            if index.is_empty() || !index.bytes().all(|byte| byte.is_ascii_digit()) {
                return Err(format!("`{name}`: an index is a number, as in `[0]`"));
            }
            parts.push(index.to_owned());
            indices = &inner[close + 1..];
        }
        if !indices.is_empty() {
            return Err(format!("`{name}`: write a dot after `]`"));
        }
    }
    Ok(())
}
