//! What a client, the log and the metrics are told about the cache (RFC 9211).

use std::cell::OnceCell;

use crate::http::Response;
use crate::proxy::Exchange;
use crate::telemetry::metrics::Counter;

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
    /// `res.cache`, and its place among the counters.
    fn word(self) -> (usize, &'static str) {
        match self {
            Self::Hit | Self::Collapsed => (0, "hit"),
            Self::Stale | Self::StandsIn => (1, "stale"),
            Self::Stored | Self::Miss => (2, "miss"),
            Self::Confirmed => (3, "refresh"),
            Self::Bypass => (4, "bypass"),
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

/// How often each thing was done; looked up once.
#[derive(Default)]
pub(super) struct Counts([OnceCell<Counter>; 5]);

impl Counts {
    /// Notes it on the answer and counts it; `left`: for how many seconds a stored answer is still fresh.
    pub(super) fn mark(&self, exchange: &Exchange, response: &mut Response, how: How, left: Option<f64>) {
        let (place, word) = how.word();
        response.cache = Some(word);
        let mut text = String::with_capacity(48);
        text.push_str("moongate; ");
        text.push_str(how.status());
        if let Some(left) = left.filter(|_| matches!(how, How::Hit | How::Stale)) {
            text.push_str("; ttl=");
            #[allow(clippy::cast_possible_truncation, reason = "seconds, rounded down")]
            text.push_str(itoa::Buffer::new().format(left.floor() as i64));
        }
        response.headers.add("cache-status", text);
        let help = "Requests that met a cache, by what it did.";
        let metrics = &exchange.worker.metrics;
        let count = || metrics.counter("moongate_cache_requests_total", help, &[("cache", word)]);
        self.0[place].get_or_init(count).add(1);
    }
}
