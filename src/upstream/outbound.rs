//! What goes out to a service, what comes back, and the ways it can fail.

use std::any::Any;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use crate::clock::Moment;
use crate::http::Body;
use crate::http::BodyError;
use crate::http::Headers;
use crate::http::Method;
use crate::http::Response;
use crate::http::grpc;
use crate::net::proxy_header::Ends;
use crate::upstream::Retry;

/// A request ready to be sent to any host of an upstream, on any attempt.
pub struct Outbound {
    /// The method.
    pub method: Method,
    /// Path and query.
    pub target: String,
    /// The Host field; `None`: the chosen host's own name.
    pub host: Option<Rc<str>>,
    /// Field lines ready for the wire, each ended by CRLF: no Host, no framing, no hop-by-hop fields.
    pub fields: Vec<u8>,
    /// The body. `Full` can be repeated at will; of a stream the first bytes are kept as far as a repeat may need them.
    pub body: Body,
    /// The protocol the client asks to upgrade to (`websocket`); an answer 101 then carries a tunnel.
    pub upgrade: Option<String>,
    /// The `Idempotency-Key` opt-in or an idempotent method: may be repeated after a reset.
    pub repeatable: bool,
    /// When the answer's head must be there, all attempts and waits included.
    pub deadline: Moment,
    /// Instead of the upstream's own.
    pub retry: Option<Arc<Retry>>,
    /// The client, where hosts are told (`proxy_protocol`).
    pub ends: Option<Box<Ends>>,
    /// What `balance = "hash"` chooses by; any number where it does not.
    pub key: u64,
    /// When it was begun to be worked at; noted by whoever does so first.
    pub began: Option<Moment>,
    /// Who hears what a service says ahead of its answer.
    pub hear: Option<Rc<dyn Hear>>,
}

/// Hears what a service says ahead of its answer.
pub trait Hear {
    /// Early hints (103, RFC 8297).
    fn hint(&self, fields: Headers);
}

impl Outbound {
    /// Time has passed since its fields were written: those that tell how much is left tell less.
    pub fn spend(&mut self, elapsed: Duration) {
        grpc::shorten(&mut self.fields, elapsed);
    }
}

/// A service's answer: the head is known, the body still streaming.
pub struct Answer {
    /// The answer, hop-by-hop fields and framing removed; `origin`, `upstream` and `host` are set, and after a 101 that
    /// agrees with `upgrade` `tunnel`.
    pub response: Response,
    /// Attempts made, from 1.
    pub attempts: u32,
    /// When the answer's head was there.
    pub arrived: Moment,
    /// From the first byte of the last attempt to the answer's head.
    pub took: Duration,
    /// What is held for as long as its tunnel is open.
    pub held: Option<Box<dyn Any>>,
}

/// A request that got no answer: why, and after how many attempts.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{error}")]
pub struct Unanswered {
    /// Why.
    pub error: SendError,
    /// Attempts made; 0 when nobody was asked.
    pub attempts: u32,
}

impl From<SendError> for Unanswered {
    /// Of a request that was given up before anybody was asked.
    fn from(error: SendError) -> Self {
        Self { error, attempts: 0 }
    }
}

impl SendError {
    /// The host asked last, where one was asked.
    pub fn host(&self) -> Option<&str> {
        match self {
            Self::Connect { host, .. }
            | Self::Tls { host, .. }
            | Self::Timeout { host, .. }
            | Self::Reset { host, .. }
            | Self::Protocol { host, .. }
            | Self::Overload { host } => Some(host),
            Self::NoneHealthy | Self::Full { .. } | Self::Body(_) => None,
        }
    }
}

/// Why there is no answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SendError {
    /// No connection to any host that was tried.
    #[error("{host}: {cause}")]
    Connect {
        /// The host tried last.
        host: String,
        /// What the system said.
        cause: String,
    },
    /// The handshake or the certificate was not accepted.
    #[error("{host}: {cause}")]
    Tls {
        /// The host.
        host: String,
        /// What was wrong.
        cause: String,
    },
    /// No answer within `timeout.connect`, `timeout.response` or the request's time.
    #[error("{host}: no {phase} in time")]
    Timeout {
        /// The host; empty when none was chosen yet.
        host: String,
        /// `connection`, `answer` or `free connection`.
        phase: &'static str,
    },
    /// The connection died before the answer's head was complete.
    #[error("{host}: connection closed before the answer was complete")]
    Reset {
        /// The host.
        host: String,
        /// It had been used before, and nothing of the answer had come: the classic keep-alive race.
        reused: bool,
    },
    /// The answer breaks HTTP or could be read in two ways.
    #[error("{host}: {cause}")]
    Protocol {
        /// The host.
        host: String,
        /// What was wrong.
        cause: String,
    },
    /// No host may be asked.
    #[error("no host may be asked")]
    NoneHealthy,
    /// All connections are busy and the wait is over.
    #[error("{host}: every connection is busy")]
    Overload {
        /// The host.
        host: String,
    },
    /// As many requests as `limit` allows are under way, and nobody may wait, or has waited long enough.
    #[error("{most} requests are under way, the limit")]
    Full {
        /// `limit.inflight`
        most: u32,
    },
    /// The request's body broke off: the client's fault, never a host's.
    #[error("the request's body: {0}")]
    Body(#[from] BodyError),
}
