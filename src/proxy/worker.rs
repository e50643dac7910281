//! What one worker thread owns across requests and generations.

use std::cell::Cell;
use std::cell::RefCell;
use std::future::Future;
use std::hash::BuildHasher;
use std::rc::Rc;
use std::time::Duration;

use crate::clock::Alarms;
use crate::clock::Clock;
use crate::clock::Moment;
use crate::downstream::Connection;
use crate::downstream::Drain;
use crate::downstream::Limits;
use crate::downstream::Tools;
use crate::downstream::tls::Handshakes;
use crate::downstream::tools::DateCache;
use crate::http::Buffers;
use crate::proxy::Site;
use crate::proxy::desk::Desks;
use crate::proxy::dynamic::Dynamic;
use crate::proxy::meter::Meter;
use crate::proxy::multiplex::Stream;
use crate::telemetry::AccessLog;
use crate::telemetry::metrics::Registry;
use crate::upstream::Connector;
use crate::upstream::Pools;

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
    /// Where access log lines go.
    pub access: AccessLog,
    /// Where its requests are worked at.
    pub(crate) desks: Desks<Connection>,
    /// The same for requests that come in streams.
    pub(crate) streams: Desks<Stream>,
    /// Series of the data path.
    pub meter: Meter,
    /// Idle connections to services.
    pub pools: Rc<Pools>,
    /// Upstreams for URLs that only requests know.
    pub dynamic: Dynamic,
    /// The word to leave.
    pub drain: Drain,
    /// The `Date` field's value.
    date: DateCache,
    /// TLS handshakes take turns.
    handshakes: Handshakes,
    /// When the current second of warnings began, and how many there were.
    warned: Cell<(Moment, u32)>,
    /// The state of [`Worker::chance`].
    seed: Cell<u64>,
    /// Tasks of [`Worker::spawn`] that have not finished.
    pub tasks: Cell<usize>,
    /// The generation new requests get.
    site: RefCell<Option<Rc<Site>>>,
    /// Its client-side limits, which waiting connections hold on to.
    limits: RefCell<Rc<Limits>>,
}

impl Worker {
    /// A worker without a generation yet.
    pub fn new(index: usize, workers: usize, clock: Clock, metrics: Registry, access: AccessLog) -> Rc<Self> {
        let (alarms, buffers) = (Alarms::default(), Buffers::default());
        Rc::new(Self {
            index,
            pools: Pools::new(&clock, &alarms, &buffers, workers),
            dynamic: Dynamic::default(),
            drain: Drain::default(),
            date: DateCache::default(),
            handshakes: Handshakes::default(),
            clock,
            alarms,
            buffers,
            in_flight: Cell::new(0),
            access,
            desks: Desks::default(),
            streams: Desks::default(),
            meter: Meter::new(&metrics),
            warned: Cell::default(),
            metrics,
            seed: Cell::new(foldhash::fast::RandomState::default().hash_one(index)),
            tasks: Cell::new(0),
            site: RefCell::new(None),
            limits: RefCell::default(),
        })
    }

    /// Nothing of the system is used from now on: connections are made by `connector`, chance begins at `seed`.
    pub fn offline(&self, connector: Rc<dyn Connector>, seed: u64) {
        self.pools.offline(connector, seed);
        self.seed.set(seed);
    }

    /// Where chance stands.
    pub fn seed(&self) -> u64 {
        self.seed.get()
    }

    /// Chance goes on from `seed`.
    pub fn set_seed(&self, seed: u64) {
        self.seed.set(seed);
    }

    /// What the client connections of this worker use.
    pub fn tools(&self) -> Tools {
        Tools {
            clock: self.clock.clone(),
            alarms: self.alarms.clone(),
            buffers: self.buffers.clone(),
            drain: self.drain.clone(),
            date: self.date.clone(),
            handshakes: self.handshakes.clone(),
        }
    }

    /// The client-side limits of the generation new requests get.
    pub fn limits(&self) -> Rc<Limits> {
        Rc::clone(&self.limits.borrow())
    }

    /// Chance for ids, jitter and choices; never for secrets (wyrand).
    pub fn chance(&self) -> u64 {
        let seed = self.seed.get().wrapping_add(0x2d35_8dcc_aa6c_78a5);
        self.seed.set(seed);
        let wide = u128::from(seed) * u128::from(seed ^ 0x8bb8_4b93_962e_acc9);
        #[allow(clippy::cast_possible_truncation, reason = "both halves are wanted")]
        let folded = (wide ^ (wide >> 64)) as u64;
        folded
    }

    /// Whether one more warning about a request may be written: a service that is down must not flood the log.
    pub fn may_warn(&self) -> bool {
        let now = self.clock.now();
        let (since, count) = self.warned.get();
        if now.since(since) >= Duration::from_secs(1) {
            self.warned.set((now, 1));
            return true;
        }
        self.warned.set((since, count + 1));
        count < Self::WARNINGS
    }

    /// Warnings about requests, a second and worker; the access log and the metrics have every one.
    const WARNINGS: u32 = 20;

    /// What a worker does every [`Alarms::TICK`], for ever: alarms, access log lines on their way, and `worn` where the
    /// machine of new requests is worn out. One timer for all of it: a worker that is idle wakes for nothing else.
    pub async fn housekeeping(self: Rc<Self>, worn: impl Fn()) {
        loop {
            self.clock.sleep(Alarms::TICK).await;
            if self.site().is_some_and(|site| site.hooks.worn()) {
                worn();
            }
            self.alarms.tick(self.clock.now());
            self.access.flush();
            self.pools.sweep();
        }
    }

    /// The generation new requests get.
    pub fn site(&self) -> Option<Rc<Site>> {
        self.site.borrow().clone()
    }

    /// Switches new requests over; the old generation goes when its last request ends.
    pub fn switch(&self, site: Rc<Site>) -> Option<Rc<Site>> {
        *self.limits.borrow_mut() = Rc::new(site.shared.plan.gateway.limits.clone());
        self.site.borrow_mut().replace(site)
    }

    /// No generation any more: this worker is leaving.
    pub fn retire(&self) -> Option<Rc<Site>> {
        self.site.borrow_mut().take()
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
