//! HTTP/2 towards hosts (RFC 9113): many requests at a time on few connections.
//!
//! - A worker keeps as many connections to a host as its streams need, up to `pool.max`; requests are spread over them.
//! - A reader that stops holds up no sibling: a connection has room for all of its streams' windows, and nothing is read
//!   ahead of a client beyond one window. A service that takes nothing of a body holds up the client that sends it.
//! - What a host says it has not looked at (GOAWAY, `REFUSED_STREAM`, RFC 9113 §8.7) goes out again whatever its method.
//! - A stream that ends badly ends alone. One that nobody waits for any more is reset, so that the host stops working.
//! - A connection that gave no sign of life while a request ran out of time takes no further ones, and is asked for one
//!   (PING) whenever its streams are silent.

mod exchange;
mod fields;
mod incoming;
mod outgoing;
mod probe;
mod trunk;
mod trunks;
mod turn;

#[cfg(test)]
mod tests;

pub(crate) use exchange::attempt;
pub(crate) use probe::Heard;
pub(crate) use probe::call;
pub(crate) use probe::get;
pub(crate) use trunks::Trunks;

/// What one answer may send ahead of its reader.
const STREAM_WINDOW: u32 = 128 << 10;

/// Most requests on one connection at a time; a host may allow fewer.
const STREAMS: usize = 100;

/// Room for what all streams of a connection may send ahead.
const CONNECTION_WINDOW: u32 = STREAM_WINDOW * STREAMS as u32;

/// Requests sent on a connection before its host has said how many it takes.
const UNTOLD: usize = 16;

/// The largest head of an answer.
const HEAD: u32 = 64 << 10;
