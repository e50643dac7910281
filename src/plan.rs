//! What a script declares, as plain data: every worker must compute the same plan, and a reload compares two of them.
//!
//! Functions stay in the machines; the plan knows that they exist and where they stand. Indices into
//! [`Plan::routes`] are the names both sides use.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Deserialize;
use serde::Serialize;

use crate::downstream::Limits;
use crate::downstream::Listen;
use crate::downstream::Listener;
use crate::downstream::listener::TlsConfig;
pub use crate::net::Trust;
use crate::route::RouteFault;
use crate::route::Table;

/// A whole gateway.lua.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Plan {
    /// `gateway { … }`, or its defaults.
    pub gateway: Gateway,
    /// `upstream "name" { … }` in the order written, then those made for URLs in `to`.
    pub upstreams: Vec<crate::upstream::Config>,
    /// `route "…" { … }` in the order written.
    pub routes: Vec<Route>,
    /// `limiter`, `store`, `metrics.*` and other live objects, by identity; equal text is an unchanged object.
    pub objects: BTreeMap<String, String>,
    /// `every`, `after`, `on`: word, argument, place.
    pub timers: Vec<(String, String, Place)>,
}

impl Plan {
    /// Which route a request belongs to, by index; every fault of the routes at once.
    pub fn table(&self) -> Result<Table, Vec<RouteFault>> {
        Table::build(&self.routes.iter().map(|route| &route.matcher).collect::<Vec<_>>())
    }
}

/// File (relative to the config root) and line, from 1.
pub type Place = (String, u32);

/// `gateway { … }`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Gateway {
    /// Listeners.
    pub listen: Vec<Listener>,
    /// `tls`, for listeners that have none of their own.
    pub tls: Option<TlsConfig>,
    /// The admin listener; `None` when off.
    pub admin: Option<Admin>,
    /// Whose forwarding fields are believed.
    pub trust: Trust,
    /// What clients are told of failures on the way to services.
    pub proxy_status: ProxyStatus,
    /// Limits and client-side timeouts.
    pub limits: Limits,
    /// Longest run of script code without waiting, in thread CPU time; default 100 ms.
    pub step: Duration,
    /// Memory of one worker's machine in bytes; default 256 MB.
    pub memory: usize,
    /// Time of a whole request.
    pub timeout: Timeout,
    /// Graceful stop.
    pub drain: Drain,
    /// When a reload takes itself back.
    pub guard: Option<Guard>,
    /// Process log and access log.
    pub log: Log,
    /// Steps before those of groups and routes.
    pub steps: Vec<Step>,
    /// `allow` list of `fetch` beyond the default refusals: globs and CIDRs.
    pub fetch_allow: Vec<String>,
    /// Host globs that a template in the host of `to` may produce.
    pub to_hosts: Vec<String>,
    /// The `cors` of the gateway's own list: in force where no inner level has one, and for requests without a route.
    pub cors: Option<Cors>,
    /// Functions at gateway level.
    pub hooks: Levels,
    /// Where it was declared.
    pub place: Place,
}

/// `proxy_status`: whether answers carry `Proxy-Status` (RFC 9209).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ProxyStatus {
    /// They do not.
    Off,
    /// What kind of failure it was.
    Plain,
    /// Which host it was at, too.
    Full,
}

/// The admin listener.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Admin {
    /// Address.
    pub address: Listen,
    /// Name of the secret that holds the bearer token.
    pub token: Option<String>,
    /// Written in the script: then it must bind. The default address only warns.
    pub explicit: bool,
}

/// `timeout` of gateway, group or route.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Timeout {
    /// From the request's head to the answer's head; default 30 s.
    pub head: Duration,
    /// From the request's head to the last byte of the answer; `None`: no hard end.
    pub total: Option<Duration>,
}

/// `drain = { delay, max }`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Drain {
    /// Readiness is 503 and connections are still accepted; `None`: 5 s, or 0 from a terminal.
    pub delay: Option<Duration>,
    /// Then requests in flight get this long; default 20 s.
    pub max: Duration,
}

/// `guard = { script_errors, within }`.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Guard {
    /// The largest share of requests that may end in an error of the script, 0..=1.
    pub script_errors: f64,
    /// For how long after a reload that counts; default 60 s.
    pub within: Duration,
}

/// `log = { … }`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Log {
    /// `debug`, `info`, `warn`, `error`.
    pub level: String,
    /// `text` or `json`.
    pub format: String,
    /// The access log; `None` when off.
    pub access: Option<Access>,
}

/// The access log.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Access {
    /// Further fields: name and template; `None` for a function.
    pub fields: Vec<(String, Option<String>)>,
    /// `stdout`, `stderr`, `file:path`, `syslog://…`, `https://…`; empty is stdout.
    pub to: String,
    /// Whether a `when` function chooses.
    pub when: bool,
}

/// Which functions a level declares.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Levels {
    /// `on_request`, gateway only.
    pub on_request: bool,
    /// `on_response`.
    pub on_response: bool,
    /// `on_error`.
    pub on_error: bool,
    /// `errors` table.
    pub errors: bool,
    /// `on_log`.
    pub on_log: bool,
}

/// A step, for listings, diffs and identity; what it does stays in the machines.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Step {
    /// The policy's word, or `function`.
    pub word: String,
    /// Its options as JSON (secrets by name, functions as `function@file:line`).
    pub options: String,
    /// `gateway`, `group` or `route`: which level's list holds it.
    pub level: String,
    /// Where it stands.
    pub place: Place,
}

/// `cors`: the one policy that acts outside its place.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cors {
    /// Who may do what.
    pub policy: crate::primitive::cors::Config,
    /// Whether a `when` function chooses.
    pub when: bool,
}

/// `route "…" { … }`, groups flattened into it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Route {
    /// `name`, else the pattern as written (`GET /users/{id}`), group prefixes joined.
    pub name: String,
    /// Methods, host and path as one text, for listings and metrics.
    pub pattern: String,
    /// What it matches.
    pub matcher: crate::route::Config,
    /// Every step that runs for it, outer levels first.
    pub steps: Vec<Step>,
    /// The innermost `cors` that is not skipped.
    pub cors: Option<Cors>,
    /// Where it goes; `None`: the steps answer.
    pub to: Option<To>,
    /// `rewrite` template.
    pub rewrite: Option<String>,
    /// `strip_prefix`.
    pub strip_prefix: Option<String>,
    /// `host`.
    pub host: HostRule,
    /// `timeout` of the innermost level that sets one; `None`: the gateway's.
    pub timeout: Option<Timeout>,
    /// `retry`; `None`: the upstream's.
    pub retry: Option<crate::upstream::Retry>,
    /// When another host is asked beside a slow one.
    pub hedge: Option<Duration>,
    /// `websocket`; `None`: upgrades are not passed on.
    pub upgrade: Option<Upgrade>,
    /// Host globs that a template in the host of `to` may produce: the route's own and the gateway's.
    pub to_hosts: Vec<String>,
    /// `doc`.
    pub doc: Option<String>,
    /// Functions of the route and its groups (any level but the gateway's).
    pub hooks: Levels,
    /// Where it was declared.
    pub place: Place,
}

/// `websocket = { … }`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Upgrade {
    /// An upgraded connection is closed after this long without a byte.
    pub idle: Option<Duration>,
    /// The longest life of an upgraded connection.
    pub max: Option<Duration>,
    /// Globs of the origins whose pages may open a WebSocket; empty: any.
    pub origins: Vec<String>,
    /// Subprotocols, the most wanted first, where the gateway is the end.
    pub protocols: Vec<String>,
    /// Most upgraded connections at a time, all workers together.
    pub connections: Option<u32>,
    /// Whether functions read the messages.
    pub functions: bool,
}

/// `to`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum To {
    /// An upstream by name, and a path to put before the request's (from a URL in `to`; mostly empty).
    Upstream(String, String),
    /// Text with templates: an upstream name or URL known per request only.
    Template(String),
    /// A function decides.
    Function,
    /// A stable split: `(upstream name, weight)` and the template of the key.
    Split(Vec<(String, f64)>, String),
}

/// `host` of a route.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum HostRule {
    /// `keep`, except `upstream` towards an `https://` address given by name.
    #[default]
    Auto,
    /// What the client asked for.
    Keep,
    /// The host's own name.
    Upstream,
    /// A template.
    Template(String),
}

impl Default for Gateway {
    fn default() -> Self {
        Self {
            listen: vec![Listener::usual(
                Listen::Tcp(std::net::SocketAddr::from((std::net::Ipv6Addr::UNSPECIFIED, 8080))),
                None,
            )],
            tls: None,
            admin: Some(Admin {
                address: Listen::Tcp(std::net::SocketAddr::from(([127, 0, 0, 1], 9901))),
                token: None,
                explicit: false,
            }),
            trust: Trust::Nobody,
            proxy_status: ProxyStatus::Off,
            limits: Limits::default(),
            // code that was not optimised takes ten times as long, and a busy machine lets tests wait
            step: Duration::from_millis(if cfg!(debug_assertions) { 1_000 } else { 100 }),
            memory: 256 << 20,
            timeout: Timeout::default(),
            drain: Drain { delay: None, max: Duration::from_secs(20) },
            guard: None,
            log: Log { level: "info".into(), format: "text".into(), access: Some(Access::default()) },
            steps: Vec::new(),
            fetch_allow: Vec::new(),
            to_hosts: Vec::new(),
            cors: None,
            hooks: Levels::default(),
            place: Place::default(),
        }
    }
}

impl Default for Timeout {
    fn default() -> Self {
        Self { head: Duration::from_secs(30), total: None }
    }
}
