//! Shared values that outlive a request: named stores, seen by all workers, kept across reloads.

pub mod file;
pub mod hub;
pub mod journal;
pub mod memory;
pub mod redis;
pub mod value;

pub use self::redis::Remote;
pub use hub::Hub;
pub use hub::Subscription;
pub use memory::Memory;
pub use memory::StoreError;
pub use value::Value;

use std::sync::Arc;
use std::time::Duration;

use serde::Deserialize;
use serde::Serialize;

use crate::store::redis::Address;

/// A store as declared.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// How long a value lives when none is said; `None`: until it is evicted.
    pub ttl: Option<Duration>,
    /// Most bytes, keys and overhead included; the least recently used go. Default 64 MB. In memory only.
    pub max: usize,
    /// The file that keeps it across restarts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file: Option<file::Place>,
    /// The server that holds it, instead of memory.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub redis: Option<Address>,
}

impl Default for Config {
    fn default() -> Self {
        Self { ttl: None, max: 64 << 20, file: None, redis: None }
    }
}

/// A store, wherever it is.
#[derive(Clone)]
pub enum Store {
    /// In this process, perhaps kept in a file.
    Memory(Arc<Memory>),
    /// In Redis.
    Redis(Arc<Remote>),
}

impl Store {
    /// Calls `hear` for each message on `channel`, on the thread that publishes or receives: it hands over at once.
    pub fn subscribe(&self, channel: &str, hear: impl Fn(&str, &Arc<Value>) + Send + Sync + 'static) -> Subscription {
        match self {
            Self::Memory(memory) => memory.hub().subscribe(channel, hear),
            Self::Redis(remote) => remote.subscribe(channel, hear),
        }
    }
}
