//! What the admin listener answers, as a function of the request and of how the gateway is.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::OnceLock;
use std::sync::Weak;

use parking_lot::Mutex;
use serde_json::Value;
use serde_json::json;

use super::access;
use super::access::Caller;
use super::access::Refused;
use crate::clock::Clock;
use crate::gateway::Options;
use crate::gateway::listing;
use crate::gateway::status::Status;
use crate::gateway::vigil;
use crate::gateway::worker::Kit;
use crate::http::Request;
use crate::http::Response;
use crate::http::problem;
use crate::http::problem::Problem;
use crate::proxy::site;
use crate::proxy::watch::Shelf;
use crate::script::live::Live;
use crate::telemetry::metrics::Registry;
use crate::upstream;

/// What the pages are made from.
pub(crate) struct Desk {
    /// How the gateway is.
    pub(crate) status: Arc<Status>,
    /// Time.
    pub(crate) clock: Clock,
    /// All series.
    pub(crate) metrics: Registry,
    /// The script.
    pub(crate) file: PathBuf,
    /// How many workers there are.
    pub(crate) workers: usize,
    /// Where clients are accepted now.
    pub(crate) listeners: Mutex<Vec<String>>,
    /// What lives across generations.
    pub(crate) live: Arc<Live>,
    /// The upstreams that run.
    pub(crate) hosts: Mutex<Vec<Arc<upstream::Shared>>>,
    /// Every generation that may still serve a request.
    generations: Mutex<Vec<Weak<site::Shared>>>,
    /// Which requests are watched, and what was seen; there once a generation is.
    pub(crate) watches: OnceLock<Arc<Shelf>>,
}

/// What a request asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Page {
    Live,
    Ready,
    Metrics,
    State,
    Reload,
    Rollback,
    Purge,
    Drain,
    Trace,
    Record,
    Explain,
    Index,
}

/// A page that has been rendered, away from the thread that answers.
pub(super) struct Sheet {
    status: u16,
    media: &'static str,
    text: String,
}

/// Which page `request` asks for, or why it gets none.
///
/// Also says whether the caller is known; of those that are not, only probes get here.
pub(super) fn page(request: &Request, token: Option<&str>) -> Result<(Page, bool), Box<Response>> {
    let (page, methods): (_, &[&str]) = match request.path.as_str() {
        "/livez" => (Page::Live, READING),
        "/readyz" => (Page::Ready, READING),
        "/metrics" => (Page::Metrics, READING),
        "/state" => (Page::State, READING),
        "/reload" => (Page::Reload, &["POST"]),
        "/rollback" => (Page::Rollback, &["POST"]),
        "/purge" => (Page::Purge, &["POST"]),
        "/drain" => (Page::Drain, &["POST"]),
        "/explain" => (Page::Explain, &["POST"]),
        path if is_below(path, "/trace") => (Page::Trace, WATCHING),
        path if is_below(path, "/record") => (Page::Record, WATCHING),
        "/" => (Page::Index, READING),
        _ => {
            return Err(no(
                404,
                "admin.none",
                "the pages are /livez, /readyz, /metrics, /state, POST /reload, /rollback, /purge, /drain, \
                 /explain, /trace, /record",
            ));
        }
    };
    let checked = access::check(caller(request), token);
    let known = checked.is_ok();
    // Probes of an orchestrator have no token, and learn nothing but yes or no.
    let is_probe = matches!(page, Page::Live | Page::Ready);
    if !(is_probe && token.is_some()) {
        checked.map_err(refused)?;
    }
    let asked = request.method.as_str();
    if !methods.contains(&asked) {
        let mut answer = no(405, "admin.method", "this page has another method");
        answer.headers.set("allow", methods.join(", "));
        return Err(answer);
    }
    Ok((page, known))
}

impl Desk {
    /// The desk of a gateway that is being started.
    pub(crate) fn new(options: &Options, kit: &Kit, status: Arc<Status>) -> Self {
        Self {
            status,
            clock: options.clock.clone(),
            metrics: kit.metrics.clone(),
            file: options.file.clone(),
            workers: kit.workers,
            listeners: Mutex::default(),
            live: Arc::clone(&kit.live),
            hosts: Mutex::default(),
            generations: Mutex::default(),
            watches: OnceLock::new(),
        }
    }

    /// The text of every page that only shows something. Whoever is not `known` learns whether, not why.
    pub(super) fn sheet(&self, page: Page, known: bool) -> Sheet {
        match page {
            Page::Live => Sheet { status: 200, media: TEXT, text: "ok\n".to_owned() },
            Page::Ready => self.ready(known),
            Page::Metrics => Sheet { status: 200, media: PROMETHEUS, text: self.series() },
            Page::State => Sheet::json(200, &self.state()),
            // What does something is answered elsewhere.
            _ => Sheet::text(INDEX.to_owned()),
        }
    }

    /// One more generation that may serve; those that ended are forgotten.
    pub(crate) fn remember(&self, generation: &Arc<site::Shared>) {
        let mut generations = self.generations.lock();
        generations.retain(|earlier| earlier.strong_count() > 0);
        generations.push(Arc::downgrade(generation));
        // All generations have the same.
        let _ = self.watches.set(Arc::clone(&generation.watches));
    }

    fn series(&self) -> String {
        let mut generations = self.generations.lock();
        generations.retain(|generation| generation.strong_count() > 0);
        let help = "Generations that requests still use, the running one among them.";
        let alive = self.metrics.gauge("moongate_generations_alive", help, &[]);
        alive.set(i64::try_from(generations.len()).unwrap_or(i64::MAX));
        drop(generations);
        vigil::measure(&self.hosts.lock().clone(), self);
        self.metrics.render()
    }

    fn ready(&self, known: bool) -> Sheet {
        let now = self.status.now();
        let ready = now.serving() && !self.status.draining();
        let body = json!({
            "ready": ready,
            "draining": self.status.draining(),
            "generation": now.generation,
            "hash": now.hash,
            "last_reload": if now.failure.is_some() { "failed" } else { "ok" },
            "last_failure": now.failure.filter(|_| known).map(|failure| failure.text),
        });
        Sheet::json(if ready { 200 } else { 503 }, &body)
    }

    fn state(&self) -> Value {
        let now = self.status.now();
        let routes = now.plan.as_deref().into_iter().flat_map(listing::routes).collect::<Vec<_>>();
        let time = self.clock.now();
        let upstreams: Vec<_> = self.hosts.lock().iter().map(|shared| listing::upstream(shared, time)).collect();
        let caches: serde_json::Map<_, _> = self
            .live
            .spaces()
            .into_iter()
            .map(|(name, space)| {
                let (entries, bytes) = space.size();
                (name, json!({ "entries": entries, "bytes": bytes }))
            })
            .collect();
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
            "caches": caches,
            "last_failure": now.failure,
        })
    }
}

impl Sheet {
    pub(super) fn text(text: String) -> Self {
        Self { status: 200, media: TEXT, text }
    }

    pub(super) fn json(status: u16, value: &Value) -> Self {
        Self { status, media: "application/json", text: format!("{value}\n") }
    }

    /// The answer that carries it.
    pub(super) fn into_response(self) -> Response {
        let mut answer = Response::with(self.status, self.media, self.text);
        answer.headers.set("cache-control", "no-store");
        answer
    }
}

/// Whether `path` is `page` or something below it.
fn is_below(path: &str, page: &str) -> bool {
    path.strip_prefix(page).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// The answer to `POST /reload`.
pub(super) fn reloaded(result: Result<u64, String>) -> Response {
    match result {
        Ok(generation) => Sheet::json(200, &json!({ "generation": generation })).into_response(),
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

const TEXT: &str = "text/plain; charset=utf-8";
const PROMETHEUS: &str = "text/plain; version=0.0.4; charset=utf-8";
const READING: &[&str] = &["GET", "HEAD"];
/// Methods of the pages that watch requests.
const WATCHING: &[&str] = &["GET", "HEAD", "POST", "DELETE"];
const INDEX: &str = "\
moongate admin
  GET  /livez    the process answers
  GET  /readyz   it wants traffic
  GET  /metrics  for Prometheus
  GET  /state    what runs, as JSON
  POST /reload   load the script now
  POST /rollback back to what ran before the last reload
  POST /purge    forget stored answers: ?tag=a&tag=b, ?key=k, ?prefix=/x, ?tag=*; &hard=true, &space=name
  POST /drain    take a host out: ?upstream=users&host=10.0.0.1:80; &undo=true: in again
  POST /trace    watch requests: ?path=/v1/*&method=GET&header=x-tenant:a&query=q=1&host=…&ip=…&count=1&for=60s,
                 or those with the field that the answer names alone: ?signed=true
  GET  /trace    what is asked for and what was seen; /trace/ID one of them, ?as=text as a waterfall
  DELETE /trace  no longer, and forget
  POST /record   the same with bodies, for `moongate replay`; GET, DELETE /record/ORDER
  POST /explain  one request through the running gateway: { method, url, headers = [[name, value]], body }
";

#[cfg(test)]
mod tests;
