//! One access log line an answer: a fixed schema, then what the script adds; nothing in it can end the line.

use std::io::Write;
use std::rc::Rc;
use std::time::Duration;

use serde_json::Map;
use serde_json::Value;

use crate::http::Response;
use crate::http::Version;
use crate::plan;
use crate::proxy::Exchange;
use crate::proxy::lookup::render;
use crate::telemetry::access::Target;
use crate::telemetry::log;
use crate::transform::template::Escape;
use crate::transform::template::Template;

/// How a line looks.
pub struct Format {
    json: bool,
    fields: Vec<(String, Template)>,
    /// Functions add fields or choose: the hooks are asked.
    asks: bool,
}

impl Format {
    /// From `log = { … }`; `None` when there is no access log.
    pub fn build(log: &plan::Log) -> Result<Option<Self>, String> {
        let Some(access) = &log.access else { return Ok(None) };
        let posted = matches!(Target::parse(&access.to)?, Target::Post(_));
        let mut fields = Vec::new();
        let mut asks = access.when;
        for (name, template) in &access.fields {
            match template {
                Some(text) => fields.push((
                    name.clone(),
                    Template::parse(text, Escape::Plain, &[]).map_err(|fault| fault.to_string())?,
                )),
                None => asks = true,
            }
        }
        Ok(Some(Self { json: log.format == "json" || posted, fields, asks }))
    }

    /// Whether functions see what was sent.
    pub(crate) fn asks(&self) -> bool {
        self.asks
    }

    /// Writes the line of an exchange that is over.
    pub(crate) fn write(&self, exchange: &Rc<Exchange>, response: &Response) {
        if exchange.record.borrow().silent {
            return;
        }
        let asked = if self.asks { exchange.site.hooks.access(exchange) } else { Some(Vec::new()) };
        let Some(asked) = asked else { return };
        let templates = self.fields.iter().map(|(name, template)| {
            (name.clone(), Value::String(render(exchange, template, Some(response)).unwrap_or_default()))
        });
        let noted = std::mem::take(&mut exchange.record.borrow_mut().noted);
        let extra: Vec<_> = templates.chain(asked).chain(noted).collect();
        let facts = Facts::of(exchange);
        exchange.worker.access.line(|out| if self.json { facts.json(out, extra) } else { facts.text(out, &extra) });
    }
}

/// The fixed part.
struct Facts<'a> {
    time: String,
    method: String,
    path: String,
    host: String,
    status: u16,
    took: Duration,
    bytes: u64,
    bytes_in: u64,
    ip: String,
    version: Version,
    from: &'static str,
    route: &'a str,
    upstream: Option<Rc<str>>,
    upstream_host: Option<Rc<str>>,
    upstream_time: Duration,
    attempts: u32,
    reason: Option<Rc<str>>,
    id: &'a str,
    trace: &'a str,
}

impl<'a> Facts<'a> {
    fn of(exchange: &'a Exchange) -> Self {
        let record = exchange.record.borrow();
        let request = exchange.request.borrow();
        Self {
            time: time(exchange),
            method: request.method.as_str().to_owned(),
            path: path(request.raw_path(), request.query.as_deref()),
            host: request.host.to_string(),
            status: record.status,
            took: Duration::from_nanos(record.took),
            bytes: record.bytes_out,
            bytes_in: record.bytes_in,
            ip: exchange.client.get().map(|address| address.to_string()).unwrap_or_default(),
            version: request.version,
            from: record.origin.as_str(),
            route: exchange.route.get().map_or("", |route| exchange.site.shared.plan.routes[route].name.as_str()),
            upstream: record.upstream.clone(),
            upstream_host: record.host.clone(),
            upstream_time: Duration::from_nanos(record.upstream_time),
            attempts: record.attempts,
            reason: record.reason.clone(),
            id: exchange.id(),
            trace: {
                drop(request);
                exchange.trace().id()
            },
        }
    }

    fn text(&self, out: &mut Vec<u8>, extra: &[(String, Value)]) {
        // Writing to memory cannot fail.
        let _ = write!(out, "{} {} ", self.time, self.method);
        escape(out, &self.path);
        let _ = write!(out, " {} {} {}B ip={}", self.status, millis(self.took), self.bytes, self.ip);
        let attempts = (self.attempts > 1).then(|| self.attempts.to_string());
        let version = (self.version != Version::Http11).then(|| self.version.as_str());
        for (name, value) in [
            ("http", version),
            ("route", Some(self.route).filter(|route| !route.is_empty())),
            ("upstream", self.upstream.as_deref()),
            ("host", self.upstream_host.as_deref()),
            ("attempts", attempts.as_deref()),
            ("reason", self.reason.as_deref()),
            ("id", Some(self.id)),
            ("trace", Some(self.trace)),
        ] {
            if let Some(value) = value {
                field(out, name, value);
            }
        }
        for (name, value) in extra {
            field(out, name, &value.as_str().map_or_else(|| value.to_string(), str::to_owned));
        }
    }

    fn json(&self, out: &mut Vec<u8>, extra: Vec<(String, Value)>) {
        let mut line = Map::new();
        let mut put = |name: &str, value: Value| line.insert(name.to_owned(), value);
        put("time", self.time.as_str().into());
        put("method", self.method.as_str().into());
        put("path", self.path.as_str().into());
        put("host", self.host.as_str().into());
        put("status", self.status.into());
        put("duration_ms", (self.took.as_secs_f64() * 1e3).into());
        put("bytes", self.bytes.into());
        put("bytes_in", self.bytes_in.into());
        put("ip", self.ip.as_str().into());
        put("http_version", self.version.as_str().into());
        put("from", self.from.into());
        put("route", self.route.into());
        put("upstream", self.upstream.as_deref().into());
        put("upstream_host", self.upstream_host.as_deref().into());
        put("upstream_ms", (self.upstream_time.as_secs_f64() * 1e3).into());
        put("attempts", self.attempts.into());
        put("reason", self.reason.as_deref().into());
        put("request_id", self.id.into());
        put("trace_id", self.trace.into());
        for (name, value) in extra {
            put(&name, value);
        }
        let _ = write!(out, "{}", Value::Object(line));
    }
}

fn time(exchange: &Exchange) -> String {
    let unix = exchange.worker.clock.unix();
    log::stamp(jiff::Timestamp::UNIX_EPOCH.checked_add(unix).unwrap_or(jiff::Timestamp::UNIX_EPOCH))
}

fn millis(took: Duration) -> String {
    format!("{:.1}ms", took.as_secs_f64() * 1e3)
}

fn field(out: &mut Vec<u8>, name: &str, value: &str) {
    let _ = write!(out, " {name}=");
    let bare = !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'"');
    if bare {
        out.extend_from_slice(value.as_bytes());
    } else {
        let _ = write!(out, "{value:?}");
    }
}

fn escape(out: &mut Vec<u8>, text: &str) {
    for symbol in text.chars() {
        if symbol.is_control() || symbol == ' ' {
            let _ = write!(out, "{}", symbol.escape_unicode());
        } else {
            let _ = write!(out, "{symbol}");
        }
    }
}

/// Path and query, with the values of what is likely a credential left out (U-84).
fn path(path: &str, query: Option<&str>) -> String {
    let Some(query) = query else { return path.to_owned() };
    let pairs: Vec<_> = query.split('&').map(redacted).collect();
    format!("{path}?{}", pairs.join("&"))
}

fn redacted(pair: &str) -> String {
    let Some((name, _)) = pair.split_once('=') else { return pair.to_owned() };
    let lower = name.to_ascii_lowercase();
    let secret = ["token", "key", "secret", "password", "code"].iter().any(|word| lower.contains(word));
    if secret { format!("{name}=<redacted>") } else { pair.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::field;
    use super::path;

    #[test]
    fn credentials_in_a_query_are_left_out() {
        assert_eq!(
            path("/a", Some("q=1&api_key=abc&access_token=x&flag")),
            "/a?q=1&api_key=<redacted>&access_token=<redacted>&flag"
        );
    }

    #[test]
    fn a_value_cannot_begin_a_line_of_its_own() {
        let mut out = Vec::new();
        field(&mut out, "agent", "a\nGET / 200");
        assert_eq!(String::from_utf8(out).unwrap(), " agent=\"a\\nGET / 200\"");
    }
}
