//! What the names in a template stand for: `{id}`, `{header.x}`, `{user.sub}`, `{response.status}` and their kin.

use std::borrow::Cow;
use std::rc::Rc;

use serde_json::Value;

use crate::downstream::tls::Session;
use crate::http::Response;
use crate::primitive::cookie;
use crate::primitive::query::Query;
use crate::primitive::time;
use crate::primitive::time::Style;
use crate::proxy::Code;
use crate::proxy::Exchange;
use crate::proxy::Failure;
use crate::route::Param;
use crate::transform::template::Template;

/// Fills `template` with what is known of `exchange` and, where there is one, its answer.
pub fn render(exchange: &Rc<Exchange>, template: &Template, response: Option<&Response>) -> Result<String, Failure> {
    if let Some(text) = template.literal() {
        return Ok(text.to_owned());
    }
    template.render(&mut |names| lookup(exchange, names, response).map(Cow::Owned)).map_err(|fault| {
        Failure::new(Code::HeaderUnsafe, "a value of the request may not stand where it would be put")
            .because(fault.to_string())
    })
}

/// The value of one name; `None` when it is absent.
pub fn lookup(exchange: &Rc<Exchange>, names: &[String], response: Option<&Response>) -> Option<String> {
    let (root, rest) = names.split_first()?;
    let first = rest.first().map(String::as_str);
    let request = exchange.request.borrow();
    match root.as_str() {
        "params" => exchange.params.borrow().get(first?).map(|param| match param {
            Param::Text(text) => text.clone(),
            Param::Int(number) => number.to_string(),
            Param::Value(value) => crate::transform::json::text(value).unwrap_or_default(),
        }),
        "header" => request.headers.joined(first?).map(|value| lossy(&value)),
        "query" => Query::parse(request.query.as_deref()?).get(first?).map(str::to_owned),
        "cookie" => request.headers.joined("cookie").and_then(|line| {
            let line = lossy(&line);
            cookie::parse(&line).find(|(name, _)| Some(*name) == first).map(|(_, value)| value.to_owned())
        }),
        "json" => json_at(request.body.at_hand()?, rest),
        "user" if exchange.user.has_claims() => exchange.user.text(rest),
        "key" if exchange.user.has_key() => exchange.user.key().map(|key| key.to_string()),
        "ip" => exchange.client.get().map(|address| address.to_string()),
        "host" => Some(request.host.to_string()),
        "method" => Some(request.method.as_str().to_owned()),
        "path" => Some(request.path.clone()),
        "scheme" => Some(request.scheme.as_str().to_owned()),
        "request_id" => Some(exchange.id().to_string()),
        "trace_id" => {
            drop(request);
            Some(exchange.trace().id().to_string())
        }
        "route" => Some(exchange.site.shared.plan.routes.get(exchange.route.get()?)?.name.clone()),
        "time" => Some(now(exchange)),
        "tls" => from_tls(exchange.tls()?, first?, rest),
        "response" => from_response(response?, first?, rest),
        "error" => from_failure(exchange, first?),
        _ => {
            drop(request);
            exchange.site.hooks.lookup(exchange, names)
        }
    }
}

fn from_tls(session: &Session, what: &str, rest: &[String]) -> Option<String> {
    match what {
        "version" => Some(session.version.to_owned()),
        "sni" => session.sni.clone(),
        "alpn" => session.alpn.map(str::to_owned),
        "cert" => {
            let shown = session.client.as_ref()?;
            match rest.get(1)?.as_str() {
                "subject" => Some(shown.subject.clone()),
                "common_name" => shown.common_name.clone(),
                "issuer" => Some(shown.issuer.clone()),
                "serial" => Some(shown.serial.clone()),
                "fingerprint" => Some(shown.fingerprint()),
                "san" => {
                    let names: Vec<_> = shown.names.iter().map(ToString::to_string).collect();
                    Some(names.join(","))
                }
                "not_before" => Some(shown.not_before.to_string()),
                "not_after" => Some(shown.not_after.to_string()),
                _ => None,
            }
        }
        _ => None,
    }
}

fn from_response(response: &Response, what: &str, rest: &[String]) -> Option<String> {
    match what {
        "status" => Some(response.status.to_string()),
        "header" => response.headers.joined(rest.get(1)?).map(|value| lossy(&value)),
        "json" => json_at(response.body.at_hand()?, &rest[1..]),
        _ => None,
    }
}

fn from_failure(exchange: &Exchange, what: &str) -> Option<String> {
    let failure = exchange.failure.borrow();
    let failure = failure.as_ref()?;
    match what {
        "code" => Some(failure.code.as_str().to_owned()),
        "status" => Some(failure.status.to_string()),
        "detail" => Some(failure.detail.clone()),
        "upstream" => failure.upstream.as_deref().map(str::to_owned),
        "step" => failure.step.as_deref().map(str::to_owned),
        "level" => failure.level.map(str::to_owned),
        _ => None,
    }
}

/// The current time as ISO 8601, to the second.
pub(crate) fn now(exchange: &Exchange) -> String {
    time::format(exchange.worker.clock.unix().as_secs_f64(), Style::Iso).unwrap_or_default()
}

/// Text as it is, anything else as JSON; `names` are members, or positions in an array from 0.
fn json_at(bytes: &[u8], names: &[String]) -> Option<String> {
    let whole: Value = serde_json::from_slice(bytes).ok()?;
    let value = names.iter().try_fold(&whole, |value, name| match value {
        Value::Array(list) => list.get(name.parse::<usize>().ok()?),
        value => value.get(name),
    })?;
    match value {
        Value::Null => None,
        Value::String(text) => Some(text.clone()),
        value => Some(value.to_string()),
    }
}

fn lossy(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
