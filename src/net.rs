//! Addresses: who a client is behind proxies.

pub mod identity;

pub use identity::Trust;
