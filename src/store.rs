//! Shared values that outlive a request: named stores, seen by all workers, kept across reloads.

pub mod hub;
pub mod journal;
pub mod memory;
pub mod value;

pub use hub::Hub;
pub use hub::Subscription;
pub use memory::Memory;
pub use memory::StoreError;
pub use value::Value;

use std::time::Duration;

use serde::Deserialize;
use serde::Serialize;

/// A store as declared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// How long a value lives when none is said; `None`: until it is evicted.
    pub ttl: Option<Duration>,
    /// Most bytes, keys and overhead included; the least recently used go. Default 64 MB.
    pub max: usize,
}

impl Default for Config {
    fn default() -> Self {
        Self { ttl: None, max: 64 << 20 }
    }
}
