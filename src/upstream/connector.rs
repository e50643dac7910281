//! Connections that are made without the system: what stands in for services where there are no sockets.

use tokio::io::DuplexStream;

/// Makes the connections of a worker instead of the system.
pub trait Connector {
    /// Whether it stands in for this upstream, one that needs no connection (`echo:`) too.
    fn stands_for(&self, upstream: &str) -> bool;

    /// A connection to `host` of `upstream`; an error is what the system would have said.
    fn connect(&self, upstream: &str, host: &str) -> Result<DuplexStream, String>;
}
