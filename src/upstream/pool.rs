//! One worker's connections: idle ones by host, newest used first, a bound on all of them, and an orderly queue.

mod conn;
mod lane;

pub(crate) use conn::Conn;
pub(crate) use lane::Got;
pub(crate) use lane::Lane;
pub(crate) use lane::Slot;
pub(crate) use lane::Want;
pub(crate) use lane::Way;

use std::cell::Cell;
use std::cell::OnceCell;
use std::cell::RefCell;
use std::collections::HashMap;
use std::hash::BuildHasher;
use std::rc::Rc;
use std::sync::Arc;

use crate::clock::Alarms;
use crate::clock::Clock;
use crate::http::Buffers;
use crate::upstream::Connector;
use crate::upstream::Pool;
use crate::upstream::balance::mixed;
use crate::upstream::host::Host;

/// All connections of one worker to services; lives as long as the worker, across reloads.
pub struct Pools {
    pub(crate) clock: Clock,
    pub(crate) alarms: Alarms,
    pub(crate) buffers: Buffers,
    /// How many workers share a host's `pool.max`.
    workers: u32,
    seed: Cell<u64>,
    lanes: RefCell<HashMap<u64, Rc<Lane>, foldhash::fast::RandomState>>,
    /// Makes connections instead of the system.
    connector: OnceCell<Rc<dyn Connector>>,
}

impl Pools {
    /// Empty pools of a worker, one of `workers`.
    pub fn new(clock: &Clock, alarms: &Alarms, buffers: &Buffers, workers: usize) -> Rc<Self> {
        let hasher = foldhash::fast::RandomState::default();
        Rc::new(Self {
            clock: clock.clone(),
            alarms: alarms.clone(),
            buffers: buffers.clone(),
            workers: u32::try_from(workers).unwrap_or(u32::MAX).max(1),
            seed: Cell::new(hasher.hash_one(workers)),
            lanes: RefCell::new(HashMap::with_hasher(hasher)),
            connector: OnceCell::new(),
        })
    }

    /// Connections are made by `connector` from now on, and chance begins at `seed`: nothing of the system is used.
    pub fn offline(&self, connector: Rc<dyn Connector>, seed: u64) {
        // Once: connections that were made stay what they are.
        let _ = self.connector.set(connector);
        self.seed.set(seed);
    }

    /// What makes connections instead of the system, if anything does.
    pub fn connector(&self) -> Option<&Rc<dyn Connector>> {
        self.connector.get()
    }

    /// Closes what is idle too long, was closed by its host or belongs to a host that is gone; every worker calls it a
    /// few times a second.
    pub fn sweep(&self) {
        let now = self.clock.now();
        let lanes: Vec<_> = self.lanes.borrow().values().cloned().collect();
        lanes.iter().for_each(|lane| lane.sweep(now));
        drop(lanes);
        self.lanes.borrow_mut().retain(|_, lane| lane.open() > 0 || Rc::strong_count(lane) > 1);
    }

    /// Idle connections and all open ones, for listings and metrics.
    pub fn count(&self) -> (usize, usize) {
        let lanes = self.lanes.borrow();
        let idle = lanes.values().map(|lane| lane.idle()).sum();
        (idle, lanes.values().map(|lane| lane.open() as usize).sum())
    }

    /// Chance for choices and jitter; never for secrets (splitmix64).
    pub(crate) fn chance(&self) -> u64 {
        let seed = self.seed.get().wrapping_add(0x9e37_79b9_7f4a_7c15);
        self.seed.set(seed);
        mixed(seed)
    }

    /// The connections to `host`, from now on within `limits`.
    pub(crate) fn lane(&self, host: &Arc<Host>, limits: Pool) -> Rc<Lane> {
        let mut lanes = self.lanes.borrow_mut();
        let lane = lanes.entry(host.id).or_insert_with(|| Lane::new(host));
        lane.limit(limits, limits.max.div_ceil(self.workers).max(1));
        Rc::clone(lane)
    }
}

impl Drop for Pools {
    fn drop(&mut self) {
        self.lanes.borrow().values().for_each(|lane| lane.close());
    }
}
