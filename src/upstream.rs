//! The service's side: a named set of hosts, how one is chosen, and the connections to it.

mod attempt;
pub mod balance;
mod connect;
mod connector;
pub mod dns;
mod echo;
mod eject;
mod h1;
mod h2;
pub mod health;
mod hedge;
pub mod host;
mod lineup;
pub mod news;
pub mod outbound;
mod pool;
pub mod resolve;
mod retry;
mod send;
mod shared;
mod socket;
mod tls;
mod upload;
mod verdict;
mod view;
pub mod vitals;

#[cfg(test)]
mod tests;

pub use connector::Connector;
pub use eject::Eject;
pub use h1::Tunnel;
pub use health::Health;
pub use host::Host;
pub use lineup::Lineup;
pub use outbound::Answer;
pub use outbound::Hear;
pub use outbound::Outbound;
pub use outbound::SendError;
pub use outbound::Unanswered;
pub use pool::Pools;
pub(crate) use retry::retry_after;
pub use send::Upstream;
pub use shared::HostState;
pub use shared::Member;
pub use shared::NOWHERE;
pub use shared::Shared;
pub use shared::State;
pub use verdict::Eye;
pub use verdict::Tried;

use std::net::SocketAddr;
use std::time::Duration;

use serde::Deserialize;
use serde::Serialize;

use crate::net::proxy_header;

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
    /// By what, for [`Balance::Hash`].
    pub hash_by: HashBy,
    /// How hosts are checked; `None`: they are not.
    pub health: Option<Health>,
    /// When hosts that fail requests are left alone; `None`: never.
    pub eject: Option<Eject>,
    /// With a smaller share of hosts that are well, 0..=1, all are asked; 0: never; default 0.5.
    pub panic_at: f64,
    /// How long a host that comes in takes to get its full share.
    pub slow_start: Duration,
    /// Per attempt.
    pub timeout: Timeouts,
    /// When to try again.
    pub retry: Retry,
    /// Requests under way at a time, over all workers; `None`: no bound.
    pub limit: Option<Limit>,
    /// Connections kept and allowed, per host.
    pub pool: Pool,
    /// Who is asked for names, or for the hosts themselves.
    pub dns: Dns,
    /// Hosts are told by a function of the script, this often.
    pub refresh: Option<Duration>,
    /// TLS towards `https://` hosts.
    pub tls: TlsConfig,
    /// What is spoken to the hosts.
    pub protocol: Protocol,
    /// Whether hosts are told, by the PROXY protocol, on whose behalf a connection is made.
    pub proxy_protocol: Option<proxy_header::Version>,
    /// Where it was declared: file and line, for listings.
    pub place: (String, u32),
}

impl Config {
    /// An upstream of these hosts with every default.
    pub fn new(name: impl Into<String>, hosts: Vec<HostConfig>) -> Self {
        Self {
            name: name.into(),
            hosts,
            balance: Balance::default(),
            hash_by: HashBy::default(),
            health: None,
            eject: None,
            panic_at: 0.5,
            slow_start: Duration::ZERO,
            timeout: Timeouts::default(),
            retry: Retry::default(),
            limit: None,
            pool: Pool::default(),
            dns: Dns::default(),
            refresh: None,
            tls: TlsConfig::default(),
            protocol: Protocol::default(),
            proxy_protocol: None,
            place: Default::default(),
        }
    }
}

impl Config {
    /// What is kept of connections: none that were made in the name of one client is used for another.
    pub(crate) fn kept(&self) -> Pool {
        match self.proxy_protocol {
            None => self.pool,
            Some(_) => Pool { idle: Duration::ZERO, ..self.pool },
        }
    }
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

/// Who is asked for names.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Dns {
    /// The system's resolver.
    #[default]
    System,
    /// A DNS server, for the names of hosts.
    Server(SocketAddr),
    /// The hosts are those of a service: its SRV records (RFC 2782), as a server of choice or the system's servers know
    /// them.
    Srv {
        /// The name that has the records.
        name: String,
        /// `None`: those of `/etc/resolv.conf`.
        server: Option<SocketAddr>,
        /// Whether TLS is spoken to them.
        tls: bool,
    },
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

impl Address {
    /// Whether TLS is spoken.
    pub fn is_secure(&self) -> bool {
        matches!(self, Self::Tcp { tls: true, .. })
    }
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
    /// Power of two choices on what answers took of late (peak EWMA) and requests in flight over weight.
    Ewma,
    /// Consistent hashing with bounded load, by `hash_by`.
    Hash,
}

/// What a hash is made of.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum HashBy {
    /// A template.
    Template(String),
    /// A function.
    Function,
}

impl Default for HashBy {
    fn default() -> Self {
        Self::Template("{ip}".into())
    }
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

/// What is spoken to the hosts of an upstream.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Protocol {
    /// HTTP/1.1
    #[default]
    Http1,
    /// HTTP/2: agreed on over TLS (ALPN), known beforehand in clear text (RFC 9113 §3.3).
    H2,
    /// HTTP/2 as gRPC uses it: the host is told that trailers are welcome (`te: trailers`).
    Grpc,
    /// Over TLS what the host chooses of HTTP/2 and HTTP/1.1 (ALPN); in clear text HTTP/1.1.
    Auto,
}

/// When and how often to try again.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Retry {
    /// Further attempts after the first; default 1.
    pub times: u32,
    /// Retry when no connection could be made.
    pub on_connect: bool,
    /// Retry when a connection died before any byte of the answer: a reused one at any host, a fresh one at another
    /// host than the one that may have died of the request.
    pub on_reset: bool,
    /// Retry at another host when there was no answer within `timeout.response` (idempotent methods).
    pub on_timeout: bool,
    /// Retry on these statuses (idempotent methods with a body that can be replayed); default 502, 503.
    pub on_status: Vec<u16>,
    /// First and largest wait between attempts (jittered).
    pub backoff: (Duration, Duration),
    /// Retries as a share of requests, 0..=1; default 0.2.
    pub budget: f64,
    /// Repeat POST and PATCH too when a reused connection died before any byte of the answer.
    pub is_unsafe: bool,
}

/// How many requests an upstream takes at a time, over all workers: a service that slows down holds so many and no more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limit {
    /// From the first attempt to the answer's last byte, 1 and up.
    pub inflight: u32,
    /// Requests that wait beyond those; default none.
    pub queue: u32,
    /// How long one waits; default 1 s.
    pub max_wait: Duration,
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
            on_timeout: false,
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
