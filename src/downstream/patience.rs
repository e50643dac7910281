//! How long a client may let us wait for the rest of a body: at once, and over all.

use std::task::Context;
use std::task::Poll;
use std::time::Duration;

use crate::clock::Alarm;
use crate::clock::Clock;
use crate::clock::Moment;

/// Bytes a second a client must reach on average, beyond two `body_timeout`s of waiting: drip-feeding does not hold a connection.
const LEAST_RATE: u64 = 16;

/// The waiting for one body.
pub(super) struct Patience {
    /// Longest wait between two reads.
    timeout: Duration,
    /// Since when nothing has come, while waiting.
    waiting: Option<Moment>,
    /// How long was waited over all.
    waited: Duration,
}

impl Patience {
    pub(super) fn new(timeout: Duration) -> Self {
        Self { timeout, waiting: None, waited: Duration::ZERO }
    }

    /// Something came.
    pub(super) fn arrived(&mut self, clock: &Clock) {
        if let Some(since) = self.waiting.take() {
            self.waited += clock.now().since(since);
        }
    }

    /// Nothing is there: ready when that was so for too long. `received`: how many bytes of the body have come.
    pub(super) fn poll_late(&mut self, cx: &mut Context<'_>, alarm: &Alarm, received: u64) -> Poll<()> {
        if self.waiting.is_none() {
            let now = alarm.clock().now();
            let earned = self.timeout * 2 + Duration::from_secs(received / LEAST_RATE);
            self.waiting = Some(now);
            alarm.set(now.after(self.timeout.min(earned.saturating_sub(self.waited))));
        }
        alarm.poll(cx)
    }
}
