//! How the gateway is: which generation runs, what the last reload came to, whether it wants traffic.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering;
use std::time::Duration;

use parking_lot::Mutex;
use serde::Serialize;
use serde_json::Value;

use crate::plan::Plan;
use crate::telemetry::metrics::Counter;
use crate::telemetry::metrics::Gauge;
use crate::telemetry::metrics::Registry;

/// Written by the control thread, read by the admin listener and whoever holds the gateway.
pub(crate) struct Status {
    draining: AtomicBool,
    now: Mutex<Now>,
    series: Series,
    metrics: Registry,
}

/// A moment's view.
#[derive(Clone, Default)]
pub(crate) struct Now {
    /// The generation that new requests get; 0 before the first.
    pub(crate) generation: u64,
    /// Its sources' hash.
    pub(crate) hash: String,
    /// Since when, in seconds of Unix time.
    pub(crate) since: u64,
    /// What it declares.
    pub(crate) plan: Option<Arc<Plan>>,
    /// The script is broken and the last good one runs instead.
    pub(crate) last_good: bool,
    /// The last reload, if it failed.
    pub(crate) failure: Option<Failure>,
}

/// A reload that changed nothing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Failure {
    /// When, in seconds of Unix time.
    pub(crate) at: u64,
    /// As shown in the log, without colours.
    pub(crate) text: String,
    /// The faults one by one, where it was the script.
    pub(crate) faults: Value,
}

struct Series {
    generation: Gauge,
    success: Gauge,
    loaded: Counter,
    failed: Counter,
}

impl Status {
    /// Nothing runs yet.
    pub(crate) fn new(metrics: &Registry) -> Self {
        let reloads = |result| {
            metrics.counter("moongate_config_reloads_total", "Loads of the script, by result.", &[("result", result)])
        };
        let series = Series {
            generation: metrics.gauge("moongate_config_generation", "The generation that runs.", &[]),
            success: metrics.gauge(
                "moongate_config_last_reload_success",
                "Whether the last load of the script took over (1) or changed nothing (0).",
                &[],
            ),
            loaded: reloads("ok"),
            failed: reloads("failed"),
        };
        Self { draining: AtomicBool::new(false), now: Mutex::default(), series, metrics: metrics.clone() }
    }

    /// A new generation took over.
    pub(crate) fn took_over(&self, generation: u64, hash: &str, plan: Arc<Plan>, unix: Duration, last_good: bool) {
        let mut now = self.now.lock();
        now.generation = generation;
        hash.clone_into(&mut now.hash);
        now.since = unix.as_secs();
        now.plan = Some(plan);
        now.last_good = last_good;
        if !last_good {
            now.failure = None;
        }
        let name = "moongate_config_info";
        self.metrics.forget(name);
        self.metrics.gauge(name, "The script that runs, by the hash of everything read.", &[("sha", hash)]).set(1);
        self.series.generation.set(i64::try_from(generation).unwrap_or(i64::MAX));
        self.series.success.set(i64::from(!last_good));
        self.series.loaded.add(1);
    }

    /// A load changed nothing.
    pub(crate) fn failed(&self, text: &str, faults: Value, unix: Duration) {
        self.now.lock().failure = Some(Failure { at: unix.as_secs(), text: text.to_owned(), faults });
        self.series.success.set(0);
        self.series.failed.add(1);
    }

    /// The script is what runs already: a failure in between is over.
    pub(crate) fn restored(&self) {
        self.now.lock().failure = None;
        self.series.success.set(1);
    }

    /// From now on no new traffic is wanted.
    pub(crate) fn drain(&self) {
        self.draining.store(true, Ordering::Relaxed);
    }

    /// Whether no new traffic is wanted.
    pub(crate) fn draining(&self) -> bool {
        self.draining.load(Ordering::Relaxed)
    }

    /// How it is now.
    pub(crate) fn now(&self) -> Now {
        self.now.lock().clone()
    }
}

impl Now {
    /// Whether requests are answered by a generation.
    pub(crate) fn serving(&self) -> bool {
        self.generation > 0
    }
}
