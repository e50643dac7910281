//! The client's side: from a socket to a stream of requests.

pub mod accept;
pub mod bind;
pub mod certs;
pub mod door;
pub mod gate;
pub mod listener;
pub mod proxy_protocol;
pub mod serve_h1;
mod stream;
pub mod tls;
pub mod tools;
mod wire;

pub use door::Arrival;
pub use door::Aside;
pub use door::Door;
pub use listener::Listener;
pub use serve_h1::Connection;
pub use serve_h1::Gone;
pub use serve_h1::Next;
pub use serve_h1::Refusal;
pub use tools::Drain;
pub use tools::Tools;

use std::net::SocketAddr;
use std::time::Duration;

use serde::Deserialize;
use serde::Serialize;

/// A listener as declared.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Listen {
    /// A TCP address; `:8080` is every address, IPv6 and IPv4.
    Tcp(SocketAddr),
    /// `unix:/path`
    Unix(String),
}

/// An accepted connection.
#[derive(Debug)]
pub enum Stream {
    /// TCP, `TCP_NODELAY` set.
    Tcp(tokio::net::TcpStream),
    /// TLS over TCP, boxed: its state is large.
    Tls(Box<tokio_rustls::server::TlsStream<tokio::net::TcpStream>>),
    /// A Unix socket.
    Unix(tokio::net::UnixStream),
    /// Nothing is sent at all: both ends are in this process.
    Memory(tokio::io::DuplexStream),
}

/// Who is at the other end, and which of our addresses was called.
#[derive(Clone, Copy, Debug, Default)]
pub struct Peer {
    /// The peer's socket address; `None` on a Unix socket.
    pub address: Option<SocketAddr>,
    /// Our address: the listener's, so the IP is unspecified where it listens on every address.
    pub local: Option<SocketAddr>,
}

/// What a client may send and how long it may take.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Limits {
    /// Largest request body in bytes; default 100 MB.
    pub body: u64,
    /// Largest head (request line and fields) in bytes; default 64 KB.
    pub headers: usize,
    /// Most header fields; default 100.
    pub header_count: usize,
    /// Longest target in bytes; default 16 KB.
    pub uri: usize,
    /// What a step may buffer of a body; default 1 MB.
    pub buffer: usize,
    /// Most client connections, all workers together; default 20000.
    pub connections: usize,
    /// Most client connections of one address (IPv6: of one /64); default any number.
    pub per_address: Option<usize>,
    /// What happens to escaped slashes and other ambiguous characters in a path.
    pub path: crate::http::path::Ambiguous,
    /// From the first byte (or the accept) to the head's end; default 10 s.
    pub header_timeout: Duration,
    /// Longest wait between two reads of a body; default 30 s.
    pub body_timeout: Duration,
    /// How long an idle connection is kept; default 75 s.
    pub idle: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            body: 100 << 20,
            headers: 64 << 10,
            header_count: 100,
            uri: 16 << 10,
            buffer: 1 << 20,
            connections: 20_000,
            per_address: None,
            path: crate::http::path::Ambiguous::Reject,
            header_timeout: Duration::from_secs(10),
            body_timeout: Duration::from_secs(30),
            idle: Duration::from_secs(75),
        }
    }
}
