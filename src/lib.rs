//! Moongate: an API gateway you program instead of configure.
//!
//! The modules, in the order a request meets them:
//!
//! - [`downstream`]: the client's side, from a listening socket to a stream of requests.
//! - [`proxy`]: the life of a request; knows `trait Hooks`, not Lua.
//! - [`route`]: which route a request belongs to.
//! - [`primitive`], [`transform`], [`store`]: pure jobs (limits, templates, bodies, shared values), no Lua, no socket.
//! - [`upstream`]: the service's side, a named set of hosts with pools and balance.
//! - [`plan`]: what a script declares, as plain data. [`script`]: the only place that speaks Lua.
//! - [`gateway`]: a running gateway: workers, generations, reload, watch, drain, admin.
//! - [`cli`]: the command line.
//! - [`http`], [`net`], [`clock`], [`lru`], [`questions`], [`suggest`], [`telemetry`]: what everyone stands on.

pub mod cli;

pub mod gateway;

pub mod script;

pub mod plan;
pub mod proxy;

pub mod downstream;
pub mod primitive;
pub mod route;
pub mod store;
pub mod transform;
pub mod upstream;

pub mod cache;
pub mod clock;
pub mod http;
pub mod lru;
pub mod net;
pub mod questions;
pub mod suggest;
pub mod telemetry;
