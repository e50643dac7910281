//! Back to the generation before: by hand, or by a guard that counts the script's errors after a reload.

use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;

use crate::clock::Moment;
use crate::gateway::control::Control;
use crate::script::Program;
use crate::telemetry::log;
use crate::telemetry::metrics::Registry;

/// What there is to go back to, and when that happens by itself.
#[derive(Default)]
pub(super) struct Retreat {
    /// What ran before the running generation.
    before: Option<Arc<Program>>,
    /// The script that was rolled back: it stays out until a file changes.
    out: Option<String>,
    guard: Option<Watch>,
}

/// A reload that is watched.
struct Watch {
    until: Moment,
    share: f64,
    /// Errors and requests when it took over.
    began: (f64, f64),
}

impl Retreat {
    /// Whether a script of this hash was rolled back.
    pub(super) fn keeps_out(&self, hash: &str) -> bool {
        self.out.as_deref() == Some(hash)
    }

    /// How long events are waited for at most, while a reload is watched.
    pub(super) fn patience(&self) -> Option<Duration> {
        self.guard.as_ref().map(|_| LOOK)
    }
}

impl Control {
    /// A reload has taken over from `before`; its own guard watches it from now on.
    pub(super) fn guard(&mut self, before: Option<Arc<Program>>) {
        let guard = self.running.as_ref().and_then(|parts| parts.shared.plan.gateway.guard);
        let watch = guard.filter(|_| before.is_some()).map(|guard| Watch {
            until: self.kit.clock.now().after(guard.within),
            share: guard.script_errors,
            began: counted(&self.kit.metrics),
        });
        self.retreat = Retreat { before, out: None, guard: watch };
    }

    /// Looks how the watched generation fares.
    pub(super) async fn judge(&mut self) {
        let Some(watch) = &self.retreat.guard else { return };
        let (errors, requests) = counted(&self.kit.metrics);
        let (errors, requests) = (errors - watch.began.0, requests - watch.began.1);
        if errors >= FEWEST && errors > requests * watch.share {
            let why = format!("{errors} of {requests} requests ended in an error of the script");
            if let Err(cause) = self.roll_back(&why).await {
                log::error("the guard cannot go back", &[("cause", &cause)]);
                self.retreat.guard = None;
            }
        } else if self.kit.clock.now() >= watch.until {
            self.retreat.guard = None;
        }
    }

    /// The generation before takes over again; the one that ran stays out until a file changes.
    pub(super) async fn roll_back(&mut self, why: &str) -> Result<u64, String> {
        let nothing = || "there is no generation to go back to".to_owned();
        let before = self.retreat.before.clone().ok_or_else(nothing)?;
        let bad = self.running.as_ref().map(|parts| (parts.shared.generation, parts.program.hash().to_owned()));
        self.take_over(before, false).await.map_err(|refused| refused.to_string())?;
        let (generation, hash) = bad.unwrap_or_default();
        self.retreat = Retreat { out: Some(hash), ..Retreat::default() };
        let said = format!("generation {generation} was rolled back: {why}; its script stays out until a file changes");
        log::error(&said, &[("generation", &self.status.now().generation)]);
        self.kit.metrics.counter("moongate_rollbacks_total", "Reloads that were taken back.", &[]).add(1);
        self.status.failed(&said, Value::Null, self.kit.clock.unix());
        Ok(self.status.now().generation)
    }
}

/// Requests that ended in an error of the script, and all.
fn counted(metrics: &Registry) -> (f64, f64) {
    let of = |code: &str| metrics.sum("moongate_failures_total", &[("code".to_owned(), code.to_owned())]);
    let errors = CODES.iter().filter_map(|code| of(code)).sum();
    (errors, metrics.sum("http_server_request_duration_seconds", &[]).unwrap_or_default())
}

/// The script's own failures.
const CODES: &[&str] = &["script.error", "script.timeout", "script.memory", "script.answer"];
/// Fewer errors may be anybody's.
const FEWEST: f64 = 5.0;
/// How often a watched generation is looked at.
const LOOK: Duration = Duration::from_millis(250);
