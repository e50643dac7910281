//! A worker thread: accepts connections, serves them, and changes generation when told.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::future::Future;
use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering;
use std::thread::JoinHandle;
use std::time::Duration;

use serde_json::Value;
use tokio::sync::mpsc;
use tokio::sync::oneshot;
use tokio::task::spawn_local;

use crate::clock::Clock;
use crate::clock::Moment;
use crate::downstream::Listen;
use crate::downstream::accept::Acceptor;
use crate::downstream::bind::Listening;
use crate::downstream::gate::Gate;
use crate::gateway::build::Parts;
use crate::gateway::inquiry;
use crate::proxy;
use crate::proxy::Caught;
use crate::proxy::Site;
use crate::proxy::Worker;
use crate::script::Seat;
use crate::script::live::Live;
use crate::script::suite::Asked;
use crate::telemetry::AccessWriter;
use crate::telemetry::log;
use crate::telemetry::metrics::Registry;

/// What every worker is given.
#[derive(Clone)]
pub(super) struct Kit {
    pub(super) clock: Clock,
    pub(super) metrics: Registry,
    pub(super) access: AccessWriter,
    pub(super) live: Arc<Live>,
    pub(super) gate: Gate,
    pub(super) workers: usize,
}

/// What a worker can be told.
pub(super) enum Order {
    /// Open this generation beside the running one, and say whether that worked.
    Open(Arc<Parts>, oneshot::Sender<Result<(), String>>),
    /// New requests go to the generation opened last.
    Switch,
    /// The generation opened last does not take over.
    Discard,
    /// Send this request through the gateway, and say what became of it.
    Inquire(Box<Asked>, oneshot::Sender<Result<Value, String>>),
    /// The machine of new requests is worn out.
    Renew,
    /// Accept connections here.
    Listen(Listen, Listening),
    /// No longer accept connections here; those that wait in the queue are still served.
    Unlisten(Listen),
    /// Answers close their connection from now on, new connections are still accepted.
    Announce,
    /// Stop accepting, close idle connections, let the others end after their answer.
    Drain,
}

/// The control thread's end of a worker.
pub(super) struct Handle {
    orders: mpsc::UnboundedSender<Order>,
    idle: Arc<AtomicBool>,
    thread: JoinHandle<()>,
}

impl Handle {
    /// Starts worker number `index`.
    pub(super) fn start(index: usize, kit: Kit) -> io::Result<Self> {
        let (orders, receiver) = mpsc::unbounded_channel();
        let idle = Arc::<AtomicBool>::default();
        let told = Arc::clone(&idle);
        // weak: a worker ends when the control thread lets go of it
        let own = orders.downgrade();
        let (tell, ready) = std::sync::mpsc::channel();
        let thread = std::thread::Builder::new().name(format!("worker-{index}")).spawn(move || {
            // Whoever starts a worker waits for this word.
            let _ = match super::runtime() {
                Ok(runtime) => {
                    let heard = tell.send(Ok(()));
                    runtime.block_on(work(index, kit, receiver, own, told));
                    heard
                }
                Err(error) => tell.send(Err(error)),
            };
        })?;
        ready.recv().unwrap_or_else(|_| Err(io::Error::other("a worker thread ended")))?;
        Ok(Self { orders, idle, thread })
    }

    /// Tells the worker.
    pub(super) fn tell(&self, order: Order) {
        // A worker that is gone has nothing to do; opening a generation notices.
        let _ = self.orders.send(order);
    }

    /// Has the worker open a generation; ready when it did.
    pub(super) fn open(&self, parts: &Arc<Parts>) -> impl Future<Output = Result<(), String>> + use<> {
        let (reply, answer) = oneshot::channel();
        self.tell(Order::Open(Arc::clone(parts), reply));
        async { answer.await.unwrap_or_else(|_| Err("a worker is gone".to_owned())) }
    }

    /// Whether, once told to drain, connections or tasks are left.
    pub(super) fn is_busy(&self) -> bool {
        !self.idle.load(Ordering::Relaxed)
    }

    /// Ends the worker with all that is left of its connections.
    pub(super) fn stop(self) {
        drop(self.orders);
        if self.thread.join().is_err() {
            log::error("a worker thread panicked", &[]);
        }
    }
}

/// A worker's life. When it returns, what still runs on the thread is dropped.
async fn work(
    index: usize,
    kit: Kit,
    mut orders: mpsc::UnboundedReceiver<Order>,
    own: mpsc::WeakUnboundedSender<Order>,
    idle: Arc<AtomicBool>,
) {
    let worker = super::new_worker(index, &kit);
    spawn_local(Rc::clone(&worker).housekeeping(move || {
        let _ = own.upgrade().map(|orders| orders.send(Order::Renew));
    }));
    let mut crew = Crew {
        worker,
        kit,
        idle,
        connections: Rc::default(),
        opened: None,
        running: None,
        patience: Moment::default(),
        listeners: BTreeMap::new(),
    };
    while let Some(order) = orders.recv().await {
        crew.obey(order).await;
    }
    crew.worker.access.flush();
}

struct Crew {
    worker: Rc<Worker>,
    kit: Kit,
    idle: Arc<AtomicBool>,
    connections: Rc<Cell<usize>>,
    /// The generation opened last, which may not run yet, and the one that runs.
    opened: Option<(Arc<Parts>, Rc<Site>)>,
    running: Option<Arc<Parts>>,
    /// Not before this is a machine replaced again.
    patience: Moment,
    /// Dropping the sender stops the listener.
    listeners: BTreeMap<Listen, oneshot::Sender<()>>,
}

impl Crew {
    async fn obey(&mut self, order: Order) {
        match order {
            Order::Open(parts, reply) => {
                let result = self.open(&parts).await;
                // Nobody waits any more when the control thread is leaving.
                let _ = reply.send(result);
            }
            Order::Switch => {
                if let Some((parts, site)) = self.opened.take() {
                    self.worker.switch(site);
                    self.running = Some(parts);
                }
            }
            Order::Discard => self.opened = None,
            Order::Renew => self.renew().await,
            Order::Inquire(asked, reply) => {
                let worker = Rc::clone(&self.worker);
                self.worker.spawn(Caught::new(inquiry::answer(worker, *asked, reply), &self.kit.metrics));
            }
            Order::Listen(listen, socket) => self.listen(listen, socket),
            Order::Unlisten(listen) => drop(self.listeners.remove(&listen)),
            Order::Announce => self.worker.drain.announce(),
            Order::Drain => {
                self.listeners.clear();
                self.worker.drain.begin();
                spawn_local(report(Rc::clone(&self.worker), Rc::clone(&self.connections), Arc::clone(&self.idle)));
            }
        }
    }

    async fn open(&mut self, parts: &Arc<Parts>) -> Result<(), String> {
        self.opened = Some((Arc::clone(parts), self.site(parts).await?));
        Ok(())
    }

    async fn site(&self, parts: &Parts) -> Result<Rc<Site>, String> {
        let seat =
            Seat { worker: Rc::clone(&self.worker), live: Arc::clone(&self.kit.live), control: false, offline: None };
        Ok(parts.site(&self.worker, parts.program.open(&seat).await?))
    }

    /// A machine that ran out of memory serves no new requests: they get a fresh one of the same generation.
    async fn renew(&mut self) {
        let worn = self.worker.site().is_some_and(|site| site.hooks.worn());
        let Some(parts) = self.running.clone().filter(|_| worn && self.worker.clock.now() >= self.patience) else {
            return;
        };
        self.patience = self.worker.clock.now().after(PATIENCE);
        match self.site(&parts).await {
            Ok(site) => {
                log::warn("a machine was short of memory and was replaced", &[("worker", &self.worker.index)]);
                self.worker.switch(site);
            }
            Err(error) => log::error("a machine cannot be replaced", &[("cause", &error)]),
        }
    }

    fn listen(&mut self, listen: Listen, socket: Listening) {
        let acceptor = match Acceptor::new(socket, self.kit.clock.clone()) {
            Ok(acceptor) => acceptor,
            Err(error) => return log::error("cannot accept connections", &[("cause", &error)]),
        };
        let (stop, stopped) = oneshot::channel();
        let at = Rc::new(listen.clone());
        self.listeners.insert(listen, stop);
        let (worker, gate) = (Rc::clone(&self.worker), self.kit.gate.clone());
        let admit = move || {
            let most = worker.site().map_or(usize::MAX, |site| site.shared.plan.gateway.limits.connections);
            let ticket = gate.enter(most);
            if ticket.is_none() {
                proxy::enter::turned_away(&worker, "connections", &"");
            }
            ticket
        };
        let worker = Rc::clone(&self.worker);
        let connections = Rc::clone(&self.connections);
        let mut last = None;
        spawn_local(acceptor.run(async { drop(stopped.await) }, admit, move |stream, peer, ticket| {
            // A generation without this listener still serves who came before it: as the one before it did.
            if let Some(door) = worker.site().and_then(|site| site.shared.door(&at).cloned()) {
                last = Some(door);
            }
            // Caught before it is spawned: a task that took it up by value would keep the room for it twice.
            let work = proxy::enter(Rc::clone(&worker), last.clone(), Rc::clone(&at), stream, peer, ticket);
            let work = Caught::new(work, &worker.metrics);
            let counted = Counted::new(&connections);
            spawn_local(async move {
                work.await;
                drop(counted);
            });
        }));
    }
}

/// Says when the last connection and the last task have ended.
async fn report(worker: Rc<Worker>, connections: Rc<Cell<usize>>, idle: Arc<AtomicBool>) {
    while connections.get() > 0 || worker.tasks.get() > 0 {
        worker.clock.sleep(LOOK).await;
    }
    idle.store(true, Ordering::Relaxed);
}

/// One connection, for as long as it is open.
struct Counted(Rc<Cell<usize>>);

impl Counted {
    fn new(count: &Rc<Cell<usize>>) -> Self {
        count.set(count.get() + 1);
        Self(Rc::clone(count))
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.set(self.0.get() - 1);
    }
}

/// Between two replacements of a machine.
const PATIENCE: Duration = Duration::from_millis(500);
/// How often we look whether all is done.
const LOOK: Duration = Duration::from_millis(10);
