//! The series of the data path, found once and kept by index: no label is hashed per request.

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;
use std::time::Duration;

use foldhash::fast::RandomState;

use crate::http::Method;
use crate::http::Request;
use crate::http::Version;
use crate::proxy::Exchange;
use crate::proxy::Worker;
use crate::telemetry::metrics::Counter;
use crate::telemetry::metrics::Gauge;
use crate::telemetry::metrics::Histogram;
use crate::telemetry::metrics::Registry;

/// One worker's handles on the shared series.
pub struct Meter {
    active: Gauge,
    failures: RefCell<HashMap<String, Counter, RandomState>>,
    served: RefCell<Served>,
    /// Few: an upstream answers with few statuses, and the usual one moves to the front.
    calls: RefCell<Vec<(Rc<str>, u16, Histogram)>>,
}

#[derive(Default)]
struct Served {
    /// Route indices mean something within one generation only.
    generation: u64,
    series: HashMap<(usize, u8, u16), Histogram, RandomState>,
}

impl Meter {
    /// Handles on `registry`.
    pub fn new(registry: &Registry) -> Self {
        Self {
            active: registry.gauge("http_server_active_requests", "Requests between head and last byte.", &[]),
            failures: RefCell::default(),
            served: RefCell::default(),
            calls: RefCell::default(),
        }
    }

    /// Requests begun (1) or ended (-1).
    pub(crate) fn active(&self, by: i64) {
        self.active.add(by);
    }

    /// Notes a request that is over.
    pub(crate) fn served(&self, exchange: &Exchange, status: u16, took: Duration) {
        let route = exchange.route.get().unwrap_or(usize::MAX);
        let request = exchange.request.borrow();
        let mut served = self.served.borrow_mut();
        let generation = exchange.site.shared.generation;
        if served.generation != generation {
            served.generation = generation;
            served.series.clear();
        }
        served
            .series
            .entry((route, kind_index(&request), status))
            .or_insert_with(|| {
                let name = exchange.site.shared.plan.routes.get(route).map_or("", |route| route.name.as_str());
                exchange.worker.metrics.histogram(
                    "http_server_request_duration_seconds",
                    "Time from a request's head to the last byte of its answer.",
                    &[
                        ("http_request_method", method_label(&request.method)),
                        ("http_route", name),
                        ("http_response_status_code", &status.to_string()),
                        ("network_protocol_version", request.version.as_str()),
                    ],
                )
            })
            .observe(nanos(took));
    }

    /// Notes a failure by its code.
    pub(crate) fn failed(&self, worker: &Worker, code: &str) {
        if let Some(counter) = self.failures.borrow().get(code) {
            return counter.add(1);
        }
        let counter = worker.metrics.counter(
            "moongate_failures_total",
            "Requests that ended in a failure, by its code.",
            &[("code", code)],
        );
        counter.add(1);
        if self.failures.borrow().len() < KEPT {
            self.failures.borrow_mut().insert(code.to_owned(), counter);
        }
    }

    /// Notes a request to a service; status 0 when none was answered.
    pub(crate) fn call(&self, worker: &Worker, upstream: &Rc<str>, status: u16, took: Duration) {
        let mut calls = self.calls.borrow_mut();
        let found = calls
            .iter()
            .position(|(name, code, _)| *code == status && (Rc::ptr_eq(name, upstream) || name == upstream));
        let at = found.unwrap_or_else(|| {
            if calls.len() >= KEPT {
                calls.clear();
            }
            calls.push((Rc::clone(upstream), status, call_series(worker, upstream, status)));
            calls.len() - 1
        });
        calls[at].2.observe(nanos(took));
        if at > 0 {
            calls.swap(at, at - 1);
        }
    }
}

fn call_series(worker: &Worker, upstream: &str, status: u16) -> Histogram {
    let text = status.to_string();
    let outcome = if status == 0 { ("error_type", "no_answer") } else { ("http_response_status_code", text.as_str()) };
    worker.metrics.histogram(
        "http_client_request_duration_seconds",
        "Time from sending a request to a service to the head of its answer, attempts and waits included.",
        &[("upstream", upstream), outcome],
    )
}

/// Handles kept by a worker; the series themselves are bounded by the registry.
const KEPT: usize = 512;

fn nanos(took: Duration) -> u64 {
    u64::try_from(took.as_nanos()).unwrap_or(u64::MAX)
}

/// Unknown methods share a label, so that a client cannot make series (S-71).
fn method_label(method: &Method) -> &str {
    if let Method::Other(_) = method { "_OTHER" } else { method.as_str() }
}

/// Method and version in one.
fn kind_index(request: &Request) -> u8 {
    let version = match request.version {
        Version::Http11 => 0,
        Version::Http2 => 16,
        Version::Http10 => 32,
    };
    version
        + match request.method {
            Method::Get => 0,
            Method::Head => 1,
            Method::Post => 2,
            Method::Put => 3,
            Method::Delete => 4,
            Method::Patch => 5,
            Method::Options => 6,
            Method::Query => 7,
            Method::Trace => 8,
            Method::Connect => 9,
            Method::Other(_) => 10,
        }
}
