//! What one worker thread owns across requests and generations.

use std::cell::Cell;

use crate::clock::Clock;

/// One worker's own things: clock, buffers, pools, counters. Reached from every exchange.
pub struct Worker {
    /// This worker's number, from 0.
    pub index: usize,
    /// Time.
    pub clock: Clock,
    /// Requests between head and last byte.
    pub in_flight: Cell<usize>,
}
