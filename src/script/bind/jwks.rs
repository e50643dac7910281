//! Key sets are fetched here, in the control thread's machine: at start, ahead of their time, and when a token asks.

use std::future::Future;
use std::future::poll_fn;
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use serde_json::Value;

use crate::http::Headers;
use crate::primitive::jwt::Key;
use crate::proxy;
use crate::proxy::Call;
use crate::script::context::Context;
use crate::script::live::KeySet;
use crate::telemetry::log;

/// Keeps `set` fresh for as long as the machine's tasks run.
pub(super) async fn keep(context: Rc<Context>, set: Arc<KeySet>) {
    let clock = context.clock().clone();
    loop {
        if let Some(due) = set.due() {
            tell_age(&context, &set);
            either(clock.sleep_until(due.min(clock.now().after(LOOK))), set.wanted()).await;
        }
        if set.due().is_some_and(|due| due > clock.now()) {
            continue;
        }
        let turn = set.begin();
        let outcome = fetch(&context, &set).await;
        settle(&context, &set, &set.source().address, outcome);
        drop(turn);
    }
}

/// Fetches a set that nobody keeps fresh, where it is time: in a task that outlives whoever asked.
pub(super) fn look(context: &Rc<Context>, set: &Arc<KeySet>) -> mlua::Result<()> {
    let Some(turn) = set.take_turn(context.clock().now()) else { return Ok(()) };
    let (worker, context, set) = (context.worker()?, Rc::clone(context), Arc::clone(set));
    worker.spawn(async move {
        let outcome = fetch(&context, &set).await;
        // Addresses that functions name are no closed set, as labels must be.
        settle(&context, &set, "function", outcome);
        drop(turn);
    });
    Ok(())
}

async fn either(one: impl Future<Output = ()>, other: impl Future<Output = ()>) {
    let (mut one, mut other) = (pin!(one), pin!(other));
    poll_fn(|cx| if one.as_mut().poll(cx).is_ready() { Poll::Ready(()) } else { other.as_mut().poll(cx) }).await;
}

/// How old the keys are, for whoever watches: keys that nobody can refresh are used on.
fn tell_age(context: &Context, set: &KeySet) {
    let (Some(age), Ok(worker)) = (set.age(context.clock().now()), context.worker()) else { return };
    let help = "Age of the keys of an issuer.";
    let gauge = worker.metrics.gauge("moongate_jwks_age_seconds", help, &[("url", &set.source().address)]);
    gauge.set(i64::try_from(age.as_secs()).unwrap_or(i64::MAX));
}

/// What a fetch came to.
struct Found {
    keys: Vec<Key>,
    issuer: Option<String>,
    fresh: Duration,
}

fn settle(context: &Context, set: &KeySet, label: &str, outcome: Result<Found, String>) {
    let (now, address) = (context.clock().now(), set.source().address.as_str());
    let result = if outcome.is_ok() { "ok" } else { "failed" };
    if let Ok(worker) = context.worker() {
        let help = "Fetches of key sets, by address and result.";
        worker.metrics.counter("moongate_jwks_fetches_total", help, &[("url", label), ("result", result)]).add(1);
    }
    match outcome {
        Ok(found) => {
            let count = found.keys.len();
            if set.found(found.keys, found.issuer, found.fresh, now) {
                log::info("keys of an issuer", &[("url", &address), ("keys", &count)]);
            }
        }
        Err(cause) => {
            set.failed(now);
            let kept = set.keys().len();
            log::warn(
                "keys of an issuer could not be fetched",
                &[("url", &address), ("cause", &cause), ("kept", &kept)],
            );
        }
    }
}

async fn fetch(context: &Rc<Context>, set: &KeySet) -> Result<Found, String> {
    let source = set.source();
    let (address, issuer) = if source.discovery {
        let (base, document) = discovery(&source.address);
        let (text, _) = get(context, &document).await?;
        let found: Value = serde_json::from_slice(&text).map_err(|fault| format!("{document} is not JSON: {fault}"))?;
        let issuer = found.get("issuer").and_then(Value::as_str).unwrap_or_default();
        if issuer.trim_end_matches('/') != base.trim_end_matches('/') {
            return Err(format!("{document} is the document of `{issuer}`, not of `{base}`"));
        }
        let keys = found.get("jwks_uri").and_then(Value::as_str).unwrap_or_default();
        safe(keys, &source.address)?;
        (keys.to_owned(), Some(issuer.to_owned()))
    } else {
        (source.address.clone(), None)
    };
    let (text, fresh) = get(context, &address).await?;
    let keys = Key::set(&text).map_err(|fault| format!("{address}: {fault}"))?;
    if keys.is_empty() {
        return Err(format!("{address} has no key for signatures"));
    }
    Ok(Found { keys, issuer, fresh })
}

/// The issuer, and where its document is (OpenID Connect Discovery §4).
fn discovery(address: &str) -> (&str, String) {
    let base = issuer(address);
    (base, format!("{}{WELL_KNOWN}", base.trim_end_matches('/')))
}

/// The issuer whose address this is, be it written with its document or without.
pub(super) fn issuer(address: &str) -> &str {
    address.strip_suffix(WELL_KNOWN).unwrap_or(address)
}

/// What a document points to is no less safe than the document.
fn safe(address: &str, from: &str) -> Result<(), String> {
    if address.starts_with("https://") || (address.starts_with("http://") && !from.starts_with("https://")) {
        return Ok(());
    }
    Err(format!("`jwks_uri` of {from} is `{address}`, which is no https:// address"))
}

/// A small document, and for how long it may be kept.
async fn get(context: &Rc<Context>, address: &str) -> Result<(Vec<u8>, Duration), String> {
    let worker = context.worker().map_err(|error| error.to_string())?;
    let site = loop {
        match context.site() {
            Ok(site) => break site,
            // The machine starts a moment before its generation is in force.
            Err(_) => context.clock().sleep(Duration::from_millis(10)).await,
        }
    };
    let mut headers = Headers::default();
    headers.set("accept", "application/json, application/jwk-set+json");
    let call = Call { target: address.to_owned(), headers, timeout: Some(TIME), ..Call::default() };
    let work = async {
        let mut response = proxy::call(&worker, &site, call).await.map_err(|failure| failure.facts().cause)?;
        if response.status != 200 {
            return Err(format!("{address} answered {}", response.status));
        }
        let fresh = fresh(response.headers.text("cache-control"));
        let body = response.body.collect(SIZE).await.map_err(|fault| format!("{address}: {fault}"))?;
        Ok((body.to_vec(), fresh))
    };
    let timed = context.clock().timeout(TIME, work).await;
    timed.unwrap_or_else(|| Err(format!("{address}: no answer within {TIME:?}")))
}

/// `max-age` within bounds, else five minutes.
fn fresh(field: Option<&str>) -> Duration {
    let age =
        field.and_then(|field| field.split(',').find_map(|part| part.trim().strip_prefix("max-age=")?.parse().ok()));
    age.map_or(USUAL, |age| Duration::from_secs(age).clamp(SHORTEST, LONGEST))
}

const WELL_KNOWN: &str = "/.well-known/openid-configuration";
/// How often the age is told.
const LOOK: Duration = Duration::from_secs(10);
/// How long a fetch takes at most.
const TIME: Duration = Duration::from_secs(5);
/// And how large a document is.
const SIZE: usize = 256 << 10;
const USUAL: Duration = Duration::from_secs(300);
const SHORTEST: Duration = Duration::from_secs(60);
const LONGEST: Duration = Duration::from_secs(86_400);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn documents_are_kept_within_bounds() {
        let seconds = |field| fresh(field).as_secs();
        assert_eq!(seconds(None), 300);
        assert_eq!(seconds(Some("public, max-age=3600")), 3600);
        assert_eq!(seconds(Some("max-age=1")), 60);
        assert_eq!(seconds(Some("max-age=999999999")), 86_400);
        assert_eq!(seconds(Some("max-age=x, no-store")), 300);
    }

    #[test]
    fn a_document_points_to_what_is_as_safe_as_itself() {
        assert_eq!(discovery("https://a/t/"), ("https://a/t/", format!("https://a/t{WELL_KNOWN}")));
        assert_eq!(discovery(&format!("https://a{WELL_KNOWN}")).0, "https://a");
        assert!(safe("https://a/k", "https://a").is_ok() && safe("http://a/k", "http://127.0.0.1:1").is_ok());
        assert!(safe("http://a/k", "https://a").is_err());
        for bad in ["", "/keys", "upstream/keys", "file:///etc/passwd"] {
            assert!(safe(bad, "http://127.0.0.1").is_err(), "{bad}");
        }
    }
}
