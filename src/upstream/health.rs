//! Active health: hosts are asked how they are, by one prober for the whole gateway.

mod grpc;
mod keep;
mod probe;

pub use keep::keep;

use std::time::Duration;

use serde::Deserialize;
use serde::Serialize;

use crate::clock::Moment;

/// How hosts are checked.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Health {
    /// What is asked.
    pub check: Check,
    /// Between two checks of a host, jittered by a tenth; default 5 s.
    pub every: Duration,
    /// For all of a check, the connection included; default 1 s.
    pub timeout: Duration,
    /// Good checks in a row until a host that was down is up; default 2.
    pub rise: u32,
    /// Bad checks in a row until a host that was up is down; default 3.
    pub fall: u32,
}

/// What a check asks.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Check {
    /// `GET path`, answered with one of these statuses.
    Http {
        /// Path and query.
        path: String,
        /// The Host field; `None`: the host's own name.
        host: Option<String>,
        /// First and last of each range of statuses that are good.
        status: Vec<(u16, u16)>,
    },
    /// A connection, TLS included where it is spoken.
    Tcp,
    /// `grpc.health.v1.Health/Check` over HTTP/2, whatever requests are sent over.
    Grpc {
        /// The service asked about; empty: the host as a whole.
        service: String,
        /// The authority of the call; `None`: the host's own name.
        host: Option<String>,
    },
}

impl Default for Health {
    fn default() -> Self {
        Self { check: Check::Tcp, every: Duration::from_secs(5), timeout: Duration::from_secs(1), rise: 2, fall: 3 }
    }
}

/// How a host's checks went; kept with the host, so that a reload neither forgets nor repeats one.
#[derive(Debug, Default)]
pub(crate) struct Record {
    /// When the last one began.
    pub(crate) began: Option<Moment>,
    /// When the next one is due.
    pub(crate) due: Option<Moment>,
    /// Good or bad ones in a row.
    pub(crate) run: u32,
    /// What the last one said; `None` before the first.
    pub(crate) last: Option<Result<(), String>>,
}

impl Record {
    /// Notes a check; whether the host is up by it, where that is another verdict than before. A host nobody has asked
    /// yet counts as up, and its first check decides alone.
    pub(crate) fn note(&mut self, rule: &Health, result: Result<(), String>, down: bool) -> Option<bool> {
        let good = result.is_ok();
        let first = self.last.is_none();
        let same = self.last.as_ref().is_some_and(|last| last.is_ok() == good);
        self.run = if same { self.run.saturating_add(1) } else { 1 };
        self.last = Some(result);
        let needed = if good { rule.rise } else { rule.fall };
        (good == down && (first || self.run >= needed)).then_some(good)
    }
}

#[cfg(test)]
mod tests;
