//! Tokens that were verified a moment ago: a map bounded in number and bytes, whose entries end with their token, with
//! their key, or after a minute.

use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;

use crate::lru::Lru;

/// What was found out about a token.
#[derive(Clone, Debug)]
pub struct Known {
    /// Its claims.
    pub claims: Arc<Value>,
    /// When it must be looked at again, in seconds since 1970.
    until: f64,
    /// Which keys verified it.
    keys: u64,
}

/// Verified tokens by their whole text, behind a hash whose key only this process knows.
pub struct Cache {
    entries: Lru<Known>,
    bytes: usize,
    most: usize,
}

impl Cache {
    /// A cache for so many tokens at most; none keeps nothing.
    pub fn new(most: usize) -> Self {
        Self { entries: Lru::default(), bytes: 0, most }
    }

    /// What is known of `token` at `now`, if it was verified with `keys`, the keys of now.
    pub fn get(&mut self, token: &str, keys: u64, now: Duration) -> Option<Arc<Value>> {
        let known = self.entries.get(token)?;
        if known.keys == keys && now.as_secs_f64() < known.until {
            return Some(Arc::clone(&known.claims));
        }
        self.entries.remove(token);
        self.bytes -= size(token);
        None
    }

    /// Keeps what was found out: `token` is good until `until`.
    pub fn put(&mut self, token: &str, claims: Arc<Value>, keys: u64, until: f64, now: Duration) {
        if self.most == 0 {
            return;
        }
        let until = until.min((now + LONGEST).as_secs_f64());
        if self.entries.insert(token, Known { claims, until, keys }).is_none() {
            self.bytes += size(token);
        }
        while self.entries.len() > self.most || self.bytes > MOST_BYTES {
            let Some((token, _)) = self.entries.pop_oldest() else { break };
            self.bytes -= size(&token);
        }
    }

    /// How many tokens are known.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether none is.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }
}

/// The text and, in about twice its room, its claims.
fn size(token: &str) -> usize {
    token.len() * 3 + 256
}

/// A token is looked at again after this.
const LONGEST: Duration = Duration::from_secs(60);
/// Room for one cache.
const MOST_BYTES: usize = 8 << 20;
