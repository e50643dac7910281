//! Services and upstreams of Kong, as upstreams here.

use serde_json::Value;
use url::Url;

use super::Draft;
use super::items;
use super::lua;
use super::refers;
use super::text;

/// An upstream for each service.
pub(super) fn write(config: &Value, draft: &mut Draft) {
    for service in items(config, "services") {
        let at = Address::of(service);
        let balancer = items(config, "upstreams").iter().find(|upstream| text(upstream, "name") == at.host);
        let mut parts = match balancer {
            Some(balancer) => targets(config, balancer, &at, draft),
            None => vec![lua::text(&at.origin())],
        };
        parts.extend(balancer.and_then(|balancer| balance(balancer, draft)));
        parts.extend(balancer.and_then(health));
        parts.extend(balancer.and_then(eject));
        parts.extend(times(service));
        declare(text(service, "name"), parts, draft);
    }
    draft.gap();
}

/// On one line, where there is room.
fn declare(name: &str, parts: Vec<String>, draft: &mut Draft) {
    let whole = format!("upstream {} {}", lua::text(name), lua::table(parts.iter().cloned()));
    if whole.chars().count() <= WIDEST {
        return draft.line(whole);
    }
    draft.line(format_args!("upstream {} {{", lua::text(name)));
    parts.iter().for_each(|part| draft.line(format_args!("  {part},")));
    draft.line("}");
}

const WIDEST: usize = 100;

/// Where a service is.
pub(super) struct Address {
    scheme: String,
    host: String,
    port: u64,
    /// Its path, without a slash at the end.
    pub(super) path: String,
}

impl Address {
    pub(super) fn of(service: &Value) -> Self {
        if let Ok(url) = Url::parse(text(service, "url")) {
            let port = url.port_or_known_default().unwrap_or(80).into();
            let (scheme, host) = (url.scheme().to_owned(), url.host_str().unwrap_or_default().to_owned());
            return Self { scheme, host, port, path: url.path().trim_end_matches('/').to_owned() };
        }
        let scheme = service["protocol"].as_str().unwrap_or("http").to_owned();
        let port = service["port"].as_u64().unwrap_or(80);
        let path = text(service, "path").trim_end_matches('/').to_owned();
        Self { scheme, host: text(service, "host").to_owned(), port, path }
    }

    /// Whether TLS is spoken there.
    pub(super) fn is_secure(&self) -> bool {
        matches!(self.scheme.as_str(), "https" | "grpcs")
    }

    fn origin(&self) -> String {
        self.named(&format!("{}:{}", self.host, self.port))
    }

    fn named(&self, host: &str) -> String {
        if self.is_secure() { format!("https://{host}") } else { host.to_owned() }
    }
}

fn targets(config: &Value, balancer: &Value, at: &Address, draft: &mut Draft) -> Vec<String> {
    let beside = items(config, "targets").iter().filter(|target| refers(&target["upstream"], balancer));
    let mut hosts = Vec::new();
    for target in items(balancer, "targets").iter().chain(beside) {
        let address = text(target, "target");
        let address = if address.contains(':') { address.to_owned() } else { format!("{address}:8000") };
        let host = lua::text(&at.named(&address));
        match target["weight"].as_u64().unwrap_or(100) {
            0 => draft.note(format!("target {address}: has no weight, and is left out")),
            100 => hosts.push(host),
            weight => hosts.push(format!("{{ {host}, weight = {weight} }}")),
        }
    }
    // A weight stands for itself only beside the usual one.
    let weighted = hosts.iter().any(|host| host.starts_with('{'));
    let full =
        |host: String| if weighted && !host.starts_with('{') { format!("{{ {host}, weight = 100 }}") } else { host };
    hosts.into_iter().map(full).collect()
}

fn balance(balancer: &Value, draft: &mut Draft) -> Option<String> {
    let hashed = |by: String| Some(format!("balance = \"hash\", hash_by = {}", lua::text(&by)));
    match text(balancer, "algorithm") {
        "" | "round-robin" => Some("balance = \"round_robin\"".to_owned()),
        "least-connections" => None,
        "latency" => Some("balance = \"ewma\"".to_owned()),
        "consistent-hashing" => match text(balancer, "hash_on") {
            "consumer" => hashed("{user.sub}".to_owned()),
            "header" => hashed(format!("{{header.{}}}", text(balancer, "hash_on_header").to_ascii_lowercase())),
            "cookie" => hashed(format!("{{cookie.{}}}", text(balancer, "hash_on_cookie"))),
            "path" => hashed("{path}".to_owned()),
            _ => hashed("{ip}".to_owned()),
        },
        other => {
            draft.note(format!("upstream {}: the algorithm {other} is not translated", text(balancer, "name")));
            None
        }
    }
}

fn health(balancer: &Value) -> Option<String> {
    let active = &balancer["healthchecks"]["active"];
    let every = active["healthy"]["interval"].as_f64().filter(|every| *every > 0.0)?;
    let mut parts = match text(active, "type") {
        "tcp" => vec!["tcp = true".to_owned()],
        _ => vec![lua::entry("path", lua::text(active["http_path"].as_str().unwrap_or("/")))],
    };
    parts.push(lua::entry("every", format!("\"{every}s\"")));
    let numbers = [
        ("timeout", &active["timeout"]),
        ("rise", &active["healthy"]["successes"]),
        ("fall", &active["unhealthy"]["http_failures"]),
    ];
    parts.extend(numbers.iter().filter_map(|(name, n)| n.as_u64().filter(|n| *n > 0).map(|n| lua::entry(name, n))));
    Some(lua::entry("health", lua::table(parts)))
}

fn eject(balancer: &Value) -> Option<String> {
    let failures = &balancer["healthchecks"]["passive"]["unhealthy"]["http_failures"];
    failures.as_u64().filter(|n| *n > 0).map(|n| format!("eject = {{ errors = {n} }}"))
}

/// Times and repetitions, where the service has its own.
fn times(service: &Value) -> Vec<String> {
    let millis = |name: &str, of: &str| service[of].as_u64().map(|ms| lua::entry(name, format!("\"{ms}ms\"")));
    let times: Vec<_> =
        [millis("connect", "connect_timeout"), millis("response", "read_timeout")].into_iter().flatten().collect();
    let times = (!times.is_empty()).then(|| lua::entry("timeout", lua::table(times)));
    let retry = service["retries"].as_u64().map(|times| format!("retry = {{ times = {} }}", times.min(10)));
    times.into_iter().chain(retry).collect()
}
