//! A stored answer: its head, how long it may be used, its tags, and the body it shares with its readers.

use std::sync::Arc;
use std::time::Duration;

use crate::cache::content::Content;
use crate::cache::freshness::Life;
use crate::clock::Moment;
use crate::http::Headers;

/// A stored answer. Freshening makes a new one over the same body.
pub struct Entry {
    /// The status.
    pub status: u16,
    /// The fields that go to clients: without framing, `Age`, and those meant for this cache.
    pub headers: Headers,
    /// How long it may be used.
    pub life: Life,
    /// When it arrived, or was found to be still right.
    pub arrived: Moment,
    /// The count of purges when it was asked for.
    pub born: u64,
    /// Its key, with the variant.
    pub key: Box<[u8]>,
    /// The fields of the request that it differs by.
    pub vary: Box<[Box<str>]>,
    /// What it may be purged by.
    pub tags: Box<[Box<str>]>,
    /// Its path, to be purged by prefix.
    pub path: Box<str>,
    /// The body.
    pub content: Arc<Content>,
}

impl Entry {
    /// How old it is (RFC 9111 §4.2.3).
    pub fn age(&self, now: Moment) -> Duration {
        self.life.initial_age + now.since(self.arrived)
    }

    /// How much memory it takes: body, head, tags and what holds them together.
    pub fn weight(&self) -> usize {
        let tags: usize = self.tags.iter().map(|tag| tag.len() + 16).sum();
        self.content.arrived()
            + self.headers.buffer().len()
            + 24 * self.headers.len()
            + tags
            + self.path.len()
            + self.key.len()
            + OVERHEAD
    }
}

/// What an entry takes besides: keys, counts, the map's own.
const OVERHEAD: usize = 512;
