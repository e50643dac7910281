//! What one worker thread owns across requests and generations.

use std::cell::Cell;
use std::cell::RefCell;
use std::future::Future;
use std::rc::Rc;

use crate::clock::Alarms;
use crate::clock::Clock;
use crate::http::Buffers;
use crate::proxy::Site;
use crate::telemetry::metrics::Registry;

/// One worker's own things: clock, buffers, pools, counters. Reached from every exchange.
///
/// The control thread has one too (for what functions of `every` and `on` fetch).
pub struct Worker {
    /// This worker's number, from 0.
    pub index: usize,
    /// Time.
    pub clock: Clock,
    /// Deadlines of connections.
    pub alarms: Alarms,
    /// Spare buffers.
    pub buffers: Buffers,
    /// All series of the process.
    pub metrics: Registry,
    /// Requests between head and last byte.
    pub in_flight: Cell<usize>,
    /// Tasks of [`Worker::spawn`] that have not finished.
    pub tasks: Cell<usize>,
    /// The generation new requests get.
    site: RefCell<Option<Rc<Site>>>,
}

impl Worker {
    /// A worker without a generation yet.
    pub fn new(index: usize, clock: Clock, metrics: Registry) -> Rc<Self> {
        Rc::new(Self {
            index,
            clock,
            alarms: Alarms::default(),
            buffers: Buffers::default(),
            metrics,
            in_flight: Cell::new(0),
            tasks: Cell::new(0),
            site: RefCell::new(None),
        })
    }

    /// The generation new requests get.
    pub fn site(&self) -> Option<Rc<Site>> {
        self.site.borrow().clone()
    }

    /// Switches new requests over; the old generation goes when its last request ends.
    pub fn switch(&self, site: Rc<Site>) -> Option<Rc<Site>> {
        self.site.borrow_mut().replace(site)
    }

    /// Runs `task` beside everything else on this worker; drain waits for it.
    pub fn spawn(self: &Rc<Self>, task: impl Future<Output = ()> + 'static) {
        let count = Count::new(self);
        tokio::task::spawn_local(async move {
            let _count = count;
            task.await;
        });
    }
}

/// One of [`Worker::tasks`], for as long as it lives.
struct Count(Rc<Worker>);

impl Count {
    fn new(worker: &Rc<Worker>) -> Self {
        worker.tasks.set(worker.tasks.get() + 1);
        Self(Rc::clone(worker))
    }
}

impl Drop for Count {
    fn drop(&mut self) {
        self.0.tasks.set(self.0.tasks.get() - 1);
    }
}
