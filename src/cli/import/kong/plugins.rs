//! Plugins of Kong as steps.

use serde_json::Value;

use super::Draft;
use super::lua;
use super::people::People;
use super::text;
use super::texts;

/// The higher, the earlier Kong runs it.
pub(super) fn priority(kind: &str) -> i32 {
    match kind {
        "correlation-id" => 100_001,
        "cors" => 2000,
        "jwt" => 1450,
        "key-auth" => 1250,
        "basic-auth" => 1100,
        "ip-restriction" => 990,
        "request-size-limiting" => 951,
        "acl" => 950,
        "rate-limiting" => 910,
        "request-transformer" => 801,
        "response-transformer" => 800,
        "proxy-cache" => 100,
        "request-termination" => 2,
        _ => 0,
    }
}

/// The step for a plugin; `None` for what needs none, or is noted as not translated.
pub(super) fn step(kind: &str, config: &Value, people: &People, draft: &mut Draft) -> Option<String> {
    if !config["anonymous"].is_null() {
        draft.note(format!("{kind}: `anonymous` is not translated: whoever is unknown is refused"));
    }
    match kind {
        "key-auth" => Some(key_auth(config)),
        "basic-auth" => Some(BASIC.to_owned()),
        "jwt" => Some(jwt(config, people, draft)),
        "acl" => Some(acl(config)),
        "rate-limiting" => rate_limit(config, draft),
        "ip-restriction" => Some(call("ip_filter", [list(config, "allow", "allow"), list(config, "deny", "deny")])),
        "cors" => Some(cors(config)),
        "request-size-limiting" => {
            let unit = match text(config, "size_unit") {
                "kilobytes" => "KB",
                "bytes" => "B",
                _ => "MB",
            };
            let size = config["allowed_payload_size"].as_u64().unwrap_or(128);
            Some(if unit == "B" { format!("body_limit({size})") } else { format!("body_limit \"{size}{unit}\"") })
        }
        "request-transformer" => transform("transform_request", config),
        "response-transformer" => transform("transform_response", config),
        "proxy-cache" => Some(cache(config, draft)),
        "request-termination" => Some(termination(config)),
        "correlation-id" => {
            let header = config["header_name"].as_str().unwrap_or("Kong-Request-ID").to_ascii_lowercase();
            Some(call("request_id", [Some(lua::entry("header", lua::text(&header)))]))
        }
        "prometheus" => {
            draft.note("prometheus: /metrics of the admin listener is there without a plugin");
            None
        }
        "file-log" | "http-log" | "tcp-log" | "udp-log" | "syslog" | "loggly" => {
            draft.note(format!("{kind}: not translated; see gateway {{ log = {{ access = {{ to = … }} }} }}"));
            None
        }
        other => {
            draft.note(format!("plugin {other}: not translated"));
            None
        }
    }
}

/// A policy with the options that are there.
fn call<const N: usize>(word: &str, options: [Option<String>; N]) -> String {
    format!("{word} {}", lua::table(options.into_iter().flatten()))
}

fn list(config: &Value, from: &str, name: &str) -> Option<String> {
    let values = texts(config, from);
    (!values.is_empty()).then(|| lua::entry(name, lua::texts(&values)))
}

fn key_auth(config: &Value) -> String {
    let names = texts(config, "key_names");
    let names = if names.is_empty() { vec!["apikey"] } else { names };
    let places = [("key_in_header", "header"), ("key_in_query", "query")];
    let from = places.iter().filter(|(allowed, _)| config[*allowed] != false);
    let from: Vec<_> = from.flat_map(|(_, place)| names.iter().map(move |name| format!("{place}:{name}"))).collect();
    let hide = (config["hide_credentials"] != true).then(|| "hide = false".to_owned());
    call("api_key", [Some(lua::entry("from", lua::texts(&from))), Some("keys = keys".to_owned()), hide])
}

fn jwt(config: &Value, people: &People, draft: &mut Draft) -> String {
    let claim = config["key_claim_name"].as_str().unwrap_or("iss");
    let keys = people.token_keys(claim, draft);
    draft.note(
        "jwt: req.user is what the token says, not the consumer; exp is required; write who you are: audience = \"…\"",
    );
    call("jwt", [Some(keys)])
}

fn acl(config: &Value) -> String {
    let denied = texts(config, "deny");
    if denied.is_empty() {
        return call("authorize", [list(config, "allow", "role")]);
    }
    let groups = lua::list(&denied);
    format!(
        "authorize(function(req)\n    for _, role in req.user.roles or {{}} do\n      if table.find({groups}, role) then return false end\n    end\n    return true\n  end)"
    )
}

fn rate_limit(config: &Value, draft: &mut Draft) -> Option<String> {
    let rates =
        [("second", "s"), ("minute", "min"), ("hour", "h"), ("day", "day"), ("month", "month"), ("year", "year")];
    let rates = rates.iter().filter_map(|(name, unit)| Some(format!("\"{}/{unit}\"", config[*name].as_u64()?)));
    let rates: Vec<_> = rates.collect();
    if rates.is_empty() {
        draft.note("rate-limiting: an instance without a limit is left out");
        return None;
    }
    let by = match text(config, "limit_by") {
        "ip" => None,
        "header" => Some(format!("{{header.{}}}", text(config, "header_name").to_ascii_lowercase())),
        "path" => Some("{path}".to_owned()),
        "service" => Some("all".to_owned()),
        _ => Some("user".to_owned()),
    };
    if text(config, "policy") == "redis" {
        draft.note("rate-limiting: counts here; with store = store \"shared\" { redis = \"redis://…\" } several gateways count together");
    }
    let by = by.map(|by| lua::entry("by", lua::text(&by)));
    Some(format!("rate_limit {}", lua::table(rates.into_iter().chain(by).chain(["window = \"fixed\"".to_owned()]))))
}

fn cors(config: &Value) -> String {
    let origins = texts(config, "origins");
    let origins = if origins.is_empty() { vec!["*"] } else { origins };
    let flag = |from: &str, name: &str| (config[from] == true).then(|| format!("{name} = true"));
    let any = origins.contains(&"*");
    let parts = [
        Some(lua::entry("origins", lua::texts(&origins))),
        list(config, "methods", "methods"),
        list(config, "headers", "headers"),
        list(config, "exposed_headers", "expose"),
        // Together they are refused, by browsers too.
        flag("credentials", "credentials").filter(|_| !any),
        config["max_age"].as_u64().map(|age| lua::entry("max_age", age)),
        flag("private_network", "private_network"),
    ];
    call("cors", parts)
}

fn transform(word: &str, config: &Value) -> Option<String> {
    let pairs = |of: &str, part: &str| {
        texts(&config[of], part)
            .into_iter()
            .filter_map(|text| text.split_once(':'))
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect()
    };
    let table = |name: &str, pairs: Vec<(String, String)>, quote: fn(&str) -> String| {
        let entries = pairs.iter().map(|(name, value)| lua::entry(name, quote(value)));
        (!pairs.is_empty()).then(|| lua::entry(name, lua::table(entries)))
    };
    let edits = |part: &str| {
        let removed = texts(&config["remove"], part);
        let removed = (!removed.is_empty()).then(|| lua::entry("remove", lua::list(&removed)));
        // Kong replaces what is there and adds what is not; both leave the field with this value, or add a line.
        [
            removed,
            table("rename", pairs("rename", part), lua::text),
            table("set", pairs("replace", part), lua::plain),
            table("default", pairs("add", part), lua::plain),
            table("add", pairs("append", part), lua::plain),
        ]
    };
    let mut parts: Vec<_> = edits("headers").into_iter().flatten().collect();
    let query: Vec<_> = edits("querystring").into_iter().flatten().collect();
    if !query.is_empty() {
        parts.push(lua::entry("query", lua::table(query)));
    }
    (!parts.is_empty()).then(|| format!("{word} {}", lua::table(parts)))
}

fn cache(config: &Value, draft: &mut Draft) -> String {
    draft.note("proxy-cache: RFC 9111 rules here; after a step that knows the caller only shared answers are stored, or with private = true");
    let time = config["cache_ttl"].as_u64().unwrap_or(300);
    let vary = texts(config, "vary_headers");
    let vary = (!vary.is_empty()).then(|| lua::entry("vary", lua::list(&vary)));
    call("cache", [Some(format!("\"{time}s\"")), vary])
}

fn termination(config: &Value) -> String {
    let status = config["status_code"].as_u64().unwrap_or(503);
    let (body, message) = (text(config, "body"), text(config, "message"));
    let said = match (body, message) {
        ("", "") => None,
        ("", message) => Some(lua::entry("json", lua::table([lua::entry("message", lua::text(message))]))),
        (body, _) => Some(lua::entry("text", lua::text(body))),
    };
    let headers = config["content_type"].as_str().filter(|_| !body.is_empty());
    let headers = headers.map(|media| format!("headers = {{ [\"content-type\"] = {} }}", lua::text(media)));
    call("mock", [Some(lua::entry("status", status)), said, headers])
}

/// Passwords are compared in constant time.
const BASIC: &str = "basic_auth { function(name, password)
    local one = passwords[name]
    return one and crypto.equal(one.password, password) and one.user or nil
  end }";
