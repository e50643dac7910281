//! WebSockets whose messages the hooks read: what may be said on one, by whom, and what becomes of it (RFC 6455).
//!
//! A conversation keeps its exchange, and so its generation: the functions on it stand there. A plain upgrade keeps none
//! (see [`crate::proxy::tunnel`]).

mod caller;
mod conversation;
mod end;
pub mod frames;
pub mod handshake;
mod line;

use bytes::Bytes;

use crate::proxy::Failure;
use crate::proxy::Run;

pub use caller::Caller;
pub(crate) use conversation::converse;
pub use line::Line;
pub use line::Shut;

/// One of the two who speak.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// Who opened the socket.
    Client,
    /// Whom the route leads to.
    Service,
}

impl Side {
    /// The word a script uses.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Client => "client",
            Self::Service => "service",
        }
    }

    /// The one at the other end.
    pub fn other(self) -> Self {
        match self {
            Self::Client => Self::Service,
            Self::Service => Self::Client,
        }
    }
}

/// A whole message, its fragments joined.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// Text (then it is UTF-8) or bytes.
    pub text: bool,
    /// What it says.
    pub data: Bytes,
}

/// How a socket was closed, or is to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Close {
    /// The status code (RFC 6455 §7.4); 1005 when the peer gave none, 1006 when it left without a word.
    pub code: u16,
    /// At most 123 bytes.
    pub reason: String,
}

impl Close {
    /// With a reason of ours.
    pub fn new(code: u16, reason: &str) -> Self {
        Self { code, reason: reason.to_owned() }
    }
}

/// What becomes of a message that a function has seen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It goes on as it is.
    Pass,
    /// It goes nowhere.
    Drop,
    /// This one goes on instead.
    Replace(Message),
}

/// The functions on one socket. Each may wait; of one side's messages the next is not begun before the last is done.
pub trait Talk {
    /// Whether it wants to see what comes from there.
    fn hears(&self, from: Side) -> bool;

    /// Once, before any message.
    fn opened(&self) -> Run<Result<(), Failure>>;

    /// A message from one side.
    fn message(&self, from: Side, message: &Message) -> Run<Result<Fate, Failure>>;

    /// Once, when it is over.
    fn closed(&self, close: &Close) -> Run<Result<(), Failure>>;
}
