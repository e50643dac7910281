//! The service's side: a named set of hosts, how one is chosen, and the connections to it.

pub mod balance;
mod connect;
mod connector;
mod echo;
mod h1;
pub mod host;
pub mod outbound;
mod pool;
pub mod resolve;
mod retry;
mod send;
mod shared;
mod socket;
mod tls;

#[cfg(test)]
mod tests;

pub use connector::Connector;
pub use h1::Tunnel;
pub use host::Host;
pub use outbound::Answer;
pub use outbound::Outbound;
pub use outbound::SendError;
pub use pool::Pools;
pub use send::Upstream;
pub use shared::Member;
pub use shared::NOWHERE;
pub use shared::Shared;

use std::time::Duration;

use serde::Deserialize;
use serde::Serialize;

/// An upstream as declared; plain data.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The name routes use. A URL used directly in `to` gets an upstream of its own, named by its origin.
    pub name: String,
    /// Its hosts, in the order written.
    pub hosts: Vec<HostConfig>,
    /// How one is chosen.
    pub balance: Balance,
    /// Per attempt.
    pub timeout: Timeouts,
    /// When to try again.
    pub retry: Retry,
    /// Connections kept and allowed, per host.
    pub pool: Pool,
    /// TLS towards `https://` hosts.
    pub tls: TlsConfig,
    /// Where it was declared: file and line, for listings.
    pub place: (String, u32),
}

/// One host of an upstream.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HostConfig {
    /// Where it listens.
    pub address: Address,
    /// Share of the load, 1 and up.
    pub weight: u32,
    /// Used only when no host without this mark may be asked.
    pub backup: bool,
}

/// An address a script wrote.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Address {
    /// Name or IP literal, port, and whether TLS is spoken. Names are re-resolved.
    Tcp {
        /// Host name or IP literal without brackets.
        host: String,
        /// Port.
        port: u16,
        /// `https://`
        tls: bool,
    },
    /// `unix:/path`
    Unix(String),
    /// `echo:`, the built-in service that answers with the request it got.
    Echo,
}

/// Balancing algorithms.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Balance {
    /// Power of two choices on requests in flight over weight.
    #[default]
    LeastRequest,
    /// Smooth weighted round robin.
    RoundRobin,
    /// Weighted random.
    Random,
    /// The first host that may be asked.
    First,
}

/// Limits of one attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Timeouts {
    /// To a connection (handshakes included); default 1 s.
    pub connect: Duration,
    /// From the request's last byte to the answer's head; default 30 s.
    pub response: Duration,
    /// Longest wait between two reads of the answer's body; default 60 s.
    pub idle: Duration,
}

/// When and how often to try again.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Retry {
    /// Further attempts after the first; default 1.
    pub times: u32,
    /// Retry when no connection could be made.
    pub on_connect: bool,
    /// Retry when a reused connection died before any byte of the answer.
    pub on_reset: bool,
    /// Retry on these statuses (idempotent methods with a body that can be replayed); default 502, 503.
    pub on_status: Vec<u16>,
    /// First and largest wait between attempts (jittered).
    pub backoff: (Duration, Duration),
    /// Retries as a share of requests, 0..=1; default 0.2.
    pub budget: f64,
    /// Repeat POST and PATCH too when a reused connection died before any byte of the answer.
    pub is_unsafe: bool,
}

/// Connections per host, all workers together counted per worker share.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pool {
    /// Most connections per host; default 256.
    pub max: u32,
    /// Idle connections are closed after this; default 4 s (below Node's 5 s).
    pub idle: Duration,
    /// A connection is not reused after this age; default 10 min.
    pub max_age: Duration,
}

/// TLS towards a host.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TlsConfig {
    /// PEM bundle to trust instead of the system's (contents, read at load).
    pub ca: Option<String>,
    /// Client certificate chain, PEM contents.
    pub cert: Option<String>,
    /// Client key, PEM contents.
    pub key: Option<String>,
    /// Name to ask for and verify, instead of the host's.
    pub sni: Option<String>,
    /// Whether the certificate is verified.
    pub verify: bool,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self { connect: Duration::from_secs(1), response: Duration::from_secs(30), idle: Duration::from_secs(60) }
    }
}

impl Default for Retry {
    fn default() -> Self {
        Self {
            times: 1,
            on_connect: true,
            on_reset: true,
            on_status: vec![502, 503],
            backoff: (Duration::from_millis(25), Duration::from_millis(250)),
            budget: 0.2,
            is_unsafe: false,
        }
    }
}

impl Default for Pool {
    fn default() -> Self {
        Self { max: 256, idle: Duration::from_secs(4), max_age: Duration::from_secs(600) }
    }
}

impl Default for TlsConfig {
    fn default() -> Self {
        Self { ca: None, cert: None, key: None, sni: None, verify: true }
    }
}
