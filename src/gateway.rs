//! A running gateway: what lives across reloads and what does not.

mod acme;
mod admin;
mod build;
mod control;
pub mod diff;
mod expiry;
mod export;
mod hosts;
mod inquiry;
mod limits;
mod listeners;
pub mod listing;
mod reload;
mod rollback;
mod signals;
pub mod stage;
pub mod state;
mod status;
mod vigil;
mod watch;
mod worker;

#[cfg(test)]
pub(crate) mod scratch;

pub use listeners::BindError;

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::mpsc::Sender;
use std::thread::JoinHandle;

use tokio::runtime::LocalOptions;
use tokio::runtime::LocalRuntime;
use tokio::sync::mpsc;
use tokio::sync::oneshot;

use crate::clock;
use crate::clock::Clock;
use crate::downstream::Listen;
use crate::downstream::gate::Gate;
use crate::proxy::Worker;
use crate::script::Program;
use crate::script::diagnose::Faults;
use crate::script::live::Live;
use crate::telemetry::AccessWriter;
use crate::telemetry::access::Batch;
use crate::telemetry::access::Target;
use crate::telemetry::log::Level;
use crate::telemetry::metrics::Counter;
use crate::telemetry::metrics::Registry;
use build::Parts;
use control::Control;
use control::Event;
use control::Events;
use status::Status;
use worker::Kit;

/// What a gateway is started with.
#[derive(Clone)]
pub struct Options {
    /// The script.
    pub file: PathBuf,
    /// Instead of the script's listeners.
    pub listen: Option<Vec<Listen>>,
    /// The admin listener.
    pub admin: AdminOption,
    /// How many worker threads.
    pub workers: usize,
    /// Whether a changed file is loaded.
    pub watch: bool,
    /// Where the last good script is kept.
    pub state: Option<PathBuf>,
    /// Show script errors to clients.
    pub dev: bool,
    /// Time.
    pub clock: Clock,
    /// The environment a script sees.
    pub env: BTreeMap<String, String>,
    /// Where secrets lie as files.
    pub secrets: Option<PathBuf>,
    /// Listen also where another process still does: it is about to leave.
    pub takeover: bool,
    /// React to HUP, TERM and INT.
    pub signals: bool,
    /// Run from a terminal: leave without delay.
    pub terminal: bool,
    /// Instead of the script's log level.
    pub log: Option<Level>,
}

/// Where the admin listener is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum AdminOption {
    /// Where the script says, else at the default address.
    #[default]
    Script,
    /// Nowhere.
    Off,
    /// Here.
    At(Listen),
}

/// Why a gateway does not start.
#[derive(thiserror::Error)]
pub enum StartError {
    /// The script does not load.
    #[error("{}", .0.render(false))]
    Script(Faults),
    /// An address is taken.
    #[error(transparent)]
    Bind(BindError),
    /// The script loads, but the gateway it describes cannot be built.
    #[error("{0}")]
    Build(String),
    /// The system does not give what is needed.
    #[error("{0}")]
    System(String),
}

/// A gateway that serves. Dropping it lets it run on.
pub struct Running {
    events: Events,
    thread: JoinHandle<()>,
    status: Arc<Status>,
    started: Started,
}

/// What is known once it serves.
struct Started {
    addresses: Vec<SocketAddr>,
    admin: Option<SocketAddr>,
    banner: Vec<String>,
}

impl Options {
    /// A gateway of `file` as tests want it: real time, one worker, nothing around it.
    pub fn new(file: impl Into<PathBuf>) -> Self {
        Self {
            file: file.into(),
            listen: None,
            admin: AdminOption::Script,
            workers: 1,
            watch: false,
            state: None,
            dev: false,
            clock: Clock::real(),
            env: BTreeMap::new(),
            secrets: None,
            takeover: false,
            signals: false,
            terminal: true,
            log: None,
        }
    }
}

/// Starts a gateway; returns once it serves.
pub fn start(options: Options) -> Result<Running, StartError> {
    limits::use_small_pages();
    limits::raise_open_files();
    let system = |error: io::Error| StartError::System(error.to_string());
    let metrics = Registry::default();
    let status = Arc::new(Status::new(&metrics));
    let dropped = metrics.counter("moongate_access_log_dropped_total", "Access log lines that were lost.", &[]);
    let (posts, batches) = mpsc::channel(export::WAITING);
    let kit = Kit {
        clock: options.clock.clone(),
        metrics,
        access: AccessWriter::start(Target::Stdout, dropped.clone(), posts).map_err(system)?,
        live: Arc::new(Live::in_folder(options.state.clone())),
        gate: Gate::default(),
        workers: options.workers.max(1),
    };
    let (events, received) = mpsc::unbounded_channel();
    let (tell, told) = std::sync::mpsc::channel();
    let (sender, shown) = (events.clone(), Arc::clone(&status));
    let thread = std::thread::Builder::new().name("control".into()).spawn(move || {
        let runtime = match runtime() {
            Ok(runtime) => runtime,
            // Who does not wait any more has no use for the reason.
            Err(error) => return drop(tell.send(Err(StartError::System(error.to_string())))),
        };
        runtime.block_on(control(options, kit, shown, (sender, received), (batches, dropped), &tell));
        // A name lookup that hangs must not keep us.
        runtime.shutdown_background();
    });
    let thread = thread.map_err(system)?;
    match told.recv() {
        Ok(Ok(started)) => Ok(Running { events, thread, status, started }),
        Ok(Err(error)) => Err(error),
        Err(_) => Err(StartError::System("the control thread panicked".into())),
    }
}

/// Builds what can be built of `program` without a socket: what a start would refuse.
pub fn check(program: &Arc<Program>) -> Result<(), String> {
    Parts::build(Arc::clone(program), 1, false, None, &program.plan().gateway.listen, &|_| Arc::default()).map(drop)
}

async fn control(
    options: Options,
    kit: Kit,
    status: Arc<Status>,
    events: (Events, mpsc::UnboundedReceiver<Event>),
    posts: (mpsc::Receiver<Batch>, Counter),
    tell: &Sender<Result<Started, StartError>>,
) {
    match Control::start(options, kit, status, events, posts).await {
        Ok(control) => {
            let _ = tell.send(Ok(control.started()));
            control.run().await;
        }
        Err(error) => drop(tell.send(Err(error))),
    }
}

impl Running {
    /// The TCP addresses clients are accepted on.
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.started.addresses
    }

    /// The admin listener's address.
    pub fn admin(&self) -> Option<SocketAddr> {
        self.started.admin
    }

    /// What a user wants to see at the start: listeners, routes, admin.
    pub fn banner(&self) -> &[String] {
        &self.started.banner
    }

    /// Loads the script now; the generation that runs then, or why none took over.
    pub fn reload(&self) -> Result<u64, String> {
        let (reply, answer) = oneshot::channel();
        let gone = || "the gateway has left".to_owned();
        self.events.send(Event::Reload(Some(reply))).map_err(|_| gone())?;
        answer.blocking_recv().unwrap_or_else(|_| Err(gone()))
    }

    /// The generation that runs.
    pub fn generation(&self) -> u64 {
        self.status.now().generation
    }

    /// Leaves gracefully; returns when it has.
    pub fn stop(self) {
        let _ = self.events.send(Event::Stop);
        let _ = self.wait();
    }

    /// Leaves at once, whatever is under way.
    pub fn kill(self) {
        let _ = self.events.send(Event::Stop);
        self.stop();
    }

    /// Waits until it has left; an error when a bug ended it (which was printed when it happened).
    pub fn wait(self) -> Result<(), StartError> {
        self.thread.join().map_err(|_| StartError::System("a bug ended the control thread".into()))
    }
}

impl std::fmt::Debug for StartError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{self}")
    }
}

/// The runtime of this thread. Its tasks stay here: between an event and its task stands one queue, not two.
fn runtime() -> io::Result<LocalRuntime> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .on_thread_unpark(clock::begin)
        .build_local(LocalOptions::default())
}

/// A worker's own things. The control thread is number `kit.workers`.
fn new_worker(index: usize, kit: &Kit) -> Rc<Worker> {
    Worker::new(index, kit.workers, kit.clock.clone(), kit.metrics.clone(), kit.access.lines())
}

#[cfg(test)]
mod tests;
