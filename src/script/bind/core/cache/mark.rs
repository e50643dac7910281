//! What a client, the log and the metrics are told about the cache (RFC 9211).

use std::rc::Rc;

use crate::http::Response;
use crate::proxy::Exchange;

/// What the cache did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum How {
    /// It was stored and fresh.
    Hit,
    /// It was stored and stale, and allowed to be.
    Stale,
    /// Another request brought it at that moment.
    Collapsed,
    /// It was asked for and is stored.
    Stored,
    /// It was asked for and is not stored.
    Miss,
    /// What was stored was confirmed by the service.
    Confirmed,
    /// What was stored stands in for a service that failed.
    StandsIn,
    /// The request is none that a cache answers.
    Bypass,
}

impl How {
    /// `res.cache`.
    fn word(self) -> &'static str {
        match self {
            Self::Hit | Self::Collapsed => "hit",
            Self::Stale | Self::StandsIn => "stale",
            Self::Stored | Self::Miss => "miss",
            Self::Confirmed => "refresh",
            Self::Bypass => "bypass",
        }
    }

    /// What `Cache-Status` says behind the name of this cache.
    fn status(self) -> &'static str {
        match self {
            Self::Hit | Self::Stale => "hit",
            Self::Collapsed => "fwd=miss; collapsed",
            Self::Stored => "fwd=miss; stored",
            Self::Miss => "fwd=miss",
            Self::Confirmed => "fwd=stale; fwd-status=304; stored",
            Self::StandsIn => "fwd=stale; detail=stale-if-error",
            Self::Bypass => "fwd=method",
        }
    }
}

/// Notes it on the answer and counts it; `left`: for how many seconds a stored answer is still fresh.
pub(super) fn mark(exchange: &Rc<Exchange>, response: &mut Response, how: How, left: Option<f64>) {
    response.cache = Some(how.word());
    let mut text = format!("moongate; {}", how.status());
    if let Some(left) = left.filter(|_| matches!(how, How::Hit | How::Stale)) {
        text.push_str("; ttl=");
        #[allow(clippy::cast_possible_truncation, reason = "seconds, rounded down")]
        text.push_str(itoa::Buffer::new().format(left.floor() as i64));
    }
    response.headers.add("cache-status", text);
    let help = "Requests that met a cache, by what it did.";
    exchange.worker.metrics.counter("moongate_cache_requests_total", help, &[("cache", how.word())]).add(1);
}
