//! How an upstream and its hosts are, as plain data: what listings, pages and scripts show.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;

use crate::clock::Moment;
use crate::upstream::Balance;
use crate::upstream::Member;
use crate::upstream::Shared;
use crate::upstream::vitals::Standing;

/// An upstream at a moment.
#[derive(Clone, Debug, Serialize)]
pub struct State {
    /// Its name.
    pub name: String,
    /// How a host is chosen.
    pub balance: Balance,
    /// Too few hosts are well, and all are asked.
    pub panic: bool,
    /// Its hosts.
    pub hosts: Vec<HostState>,
}

/// A host at a moment.
#[derive(Clone, Debug, Serialize)]
pub struct HostState {
    /// Its address, as logs show it.
    pub host: Arc<str>,
    /// Whether it may be asked.
    pub state: Standing,
    /// Why not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<Arc<str>>,
    /// Seconds until it is tried again, while it is ejected.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retry_in: Option<f64>,
    /// What its last check said: `ok`, or what was wrong.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub check: Option<String>,
    /// What its answers took of late, in milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub latency_ms: Option<f64>,
    /// The addresses its name stands for.
    pub reach: Vec<SocketAddr>,
    /// Its share.
    pub weight: u32,
    /// Used only when no other may be asked.
    pub backup: bool,
    /// Requests it is busy with.
    pub in_flight: u32,
}

impl Shared {
    /// How it is at `now`.
    pub fn state(&self, now: Moment) -> State {
        State {
            name: self.config().name.clone(),
            balance: self.config().balance,
            panic: self.lineup(now).panic,
            hosts: self.members().iter().map(|member| self.host_state(member, now)).collect(),
        }
    }

    fn host_state(&self, member: &Member, now: Moment) -> HostState {
        let vitals = member.host.vitals();
        let state = self.config().standing(vitals, now);
        let left = vitals.until().filter(|_| state != Standing::Up).map(|until| until.since(now));
        let left = left.filter(|left| *left > Duration::ZERO);
        let latency = (self.config().balance == Balance::Ewma).then(|| vitals.latency.at(now) / 1e6);
        let last = vitals.record.lock().last.clone();
        HostState {
            host: Arc::clone(member.host.label()),
            state,
            reason: vitals.reason().filter(|_| state != Standing::Up),
            retry_in: left.map(|left| left.as_secs_f64()),
            check: last.map(|last| last.err().unwrap_or_else(|| "ok".to_owned())),
            latency_ms: latency.filter(|latency| *latency > 0.0),
            reach: member.host.reach().to_vec(),
            weight: member.weight,
            backup: member.backup,
            in_flight: member.host.in_flight(),
        }
    }
}
