//! What the admin listener answers, as a function of the request and of how the gateway is.

use std::path::PathBuf;
use std::sync::Arc;

use parking_lot::Mutex;
use serde_json::Value;
use serde_json::json;

use super::access;
use super::access::Caller;
use super::access::Refused;
use crate::gateway::listing;
use crate::gateway::status::Status;
use crate::http::Request;
use crate::http::Response;
use crate::http::problem;
use crate::http::problem::Problem;
use crate::telemetry::metrics::Registry;

/// What the pages are made from.
pub(crate) struct Desk {
    /// How the gateway is.
    pub(crate) status: Arc<Status>,
    /// All series.
    pub(crate) metrics: Registry,
    /// The script.
    pub(crate) file: PathBuf,
    /// How many workers there are.
    pub(crate) workers: usize,
    /// Where clients are accepted now.
    pub(crate) listeners: Mutex<Vec<String>>,
    /// The hosts of the upstreams that run, with their load, by upstream.
    pub(crate) hosts: Box<dyn Fn() -> Vec<Value> + Send + Sync>,
}

/// What a request asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Page {
    Live,
    Ready,
    Metrics,
    State,
    Reload,
    Index,
}

/// Which page `request` asks for, or why it gets none.
pub(super) fn page(request: &Request, token: Option<&str>) -> Result<Page, Box<Response>> {
    let (page, method) = match request.path.as_str() {
        "/livez" => (Page::Live, "GET"),
        "/readyz" => (Page::Ready, "GET"),
        "/metrics" => (Page::Metrics, "GET"),
        "/state" => (Page::State, "GET"),
        "/reload" => (Page::Reload, "POST"),
        "/" => (Page::Index, "GET"),
        _ => return Err(no(404, "admin.none", "the pages are /livez, /readyz, /metrics, /state and POST /reload")),
    };
    // Probes of an orchestrator have no token, and learn nothing but yes or no.
    let is_probe = matches!(page, Page::Live | Page::Ready);
    if !(is_probe && token.is_some()) {
        access::check(caller(request), token).map_err(refused)?;
    }
    let asked = request.method.as_str();
    if asked != method && !(method == "GET" && asked == "HEAD") {
        let mut answer = no(405, "admin.method", "this page has another method");
        answer.headers.set("allow", if method == "GET" { "GET, HEAD" } else { method });
        return Err(answer);
    }
    Ok(page)
}

impl Desk {
    /// The answer of every page but `reload`.
    pub(super) fn answer(&self, page: Page) -> Response {
        match page {
            Page::Live => Response::with(200, TEXT, "ok\n".to_owned()),
            Page::Ready => self.ready(),
            Page::Metrics => Response::with(200, PROMETHEUS, self.metrics.render()),
            Page::State => json_answer(200, &self.state()),
            Page::Index | Page::Reload => Response::with(200, TEXT, INDEX.to_owned()),
        }
    }

    fn ready(&self) -> Response {
        let now = self.status.now();
        let ready = now.serving() && !self.status.draining();
        let body = json!({
            "ready": ready,
            "draining": self.status.draining(),
            "generation": now.generation,
            "hash": now.hash,
            "last_reload": if now.failure.is_some() { "failed" } else { "ok" },
        });
        json_answer(if ready { 200 } else { 503 }, &body)
    }

    fn state(&self) -> Value {
        let now = self.status.now();
        let (routes, upstreams) = match &now.plan {
            Some(plan) => (listing::routes(plan), listing::upstreams(plan)),
            None => (Vec::new(), Vec::new()),
        };
        json!({
            "version": env!("CARGO_PKG_VERSION"),
            "file": self.file,
            "generation": now.generation,
            "hash": now.hash,
            "since": now.since,
            "last_good": now.last_good,
            "draining": self.status.draining(),
            "workers": self.workers,
            "listeners": &*self.listeners.lock(),
            "routes": routes,
            "upstreams": upstreams,
            "hosts": (self.hosts)(),
            "last_failure": now.failure,
        })
    }
}

/// The answer to `POST /reload`.
pub(super) fn reloaded(result: Result<u64, String>) -> Response {
    match result {
        Ok(generation) => json_answer(200, &json!({ "generation": generation })),
        Err(text) => *no(422, "script.load", &text),
    }
}

/// A problem document.
pub(super) fn no(status: u16, code: &str, detail: &str) -> Box<Response> {
    let problem = Problem { status, code, detail, request_id: "", trace_id: None, errors: &[], debug: None };
    Box::new(Response::with(status, problem::MEDIA, problem.to_json()))
}

fn caller(request: &Request) -> Caller<'_> {
    Caller {
        host: &request.host,
        origin: request.headers.text("origin"),
        authorization: request.headers.text("authorization"),
    }
}

fn refused(why: Refused) -> Box<Response> {
    let status = if why == Refused::Token { 401 } else { 403 };
    let mut answer = no(status, "admin.denied", &why.to_string());
    if status == 401 {
        answer.headers.set("www-authenticate", "Bearer");
    }
    answer
}

fn json_answer(status: u16, value: &Value) -> Response {
    let mut answer = Response::with(status, "application/json", format!("{value}\n"));
    answer.headers.set("cache-control", "no-store");
    answer
}

const TEXT: &str = "text/plain; charset=utf-8";
const PROMETHEUS: &str = "text/plain; version=0.0.4; charset=utf-8";
const INDEX: &str = "\
moongate admin
  GET  /livez    the process answers
  GET  /readyz   it wants traffic
  GET  /metrics  for Prometheus
  GET  /state    what runs, as JSON
  POST /reload   load the script now
";

#[cfg(test)]
mod tests;
