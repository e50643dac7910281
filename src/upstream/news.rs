//! What happened to hosts, on its way from whichever worker saw it to the control thread.

use std::collections::VecDeque;
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::Notify;

/// A host went or came back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// The upstream's name.
    pub upstream: String,
    /// The host's label.
    pub host: Arc<str>,
    /// Whether it may be asked now.
    pub up: bool,
    /// Why, in a few words.
    pub reason: String,
}

/// Changes nobody has taken yet; cheap to clone, shared by all upstreams of a gateway.
#[derive(Clone, Default)]
pub struct News(Arc<Inner>);

#[derive(Default)]
struct Inner {
    waiting: Mutex<VecDeque<Change>>,
    told: Notify,
}

/// Changes kept for a reader that is late or not there at all.
const KEPT: usize = 1000;

impl News {
    /// Notes a change; the oldest is forgotten when nobody reads.
    pub(crate) fn tell(&self, change: Change) {
        let mut waiting = self.0.waiting.lock();
        if waiting.len() >= KEPT {
            waiting.pop_front();
        }
        waiting.push_back(change);
        drop(waiting);
        self.0.told.notify_one();
    }

    /// The changes since it was asked last; waits until there are some.
    pub async fn next(&self) -> Vec<Change> {
        loop {
            let told = self.0.told.notified();
            let changes = self.take();
            if !changes.is_empty() {
                return changes;
            }
            told.await;
        }
    }

    /// The changes since it was asked last.
    pub fn take(&self) -> Vec<Change> {
        self.0.waiting.lock().drain(..).collect()
    }
}
