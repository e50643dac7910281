//! The control thread: one event after another, never in a request's way.

use std::path::PathBuf;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;
use std::time::SystemTime;

use serde_json::Value;
use tokio::sync::mpsc;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::task::spawn_local;

use crate::clock::Moment;
use crate::gateway::Options;
use crate::gateway::StartError;
use crate::gateway::Started;
use crate::gateway::acme::Keeper;
use crate::gateway::admin;
use crate::gateway::admin::Desk;
use crate::gateway::build::Parts;
use crate::gateway::export;
use crate::gateway::export::Standing;
use crate::gateway::listeners::Listeners;
use crate::gateway::reload;
use crate::gateway::rollback::Retreat;
use crate::gateway::signals;
use crate::gateway::state::State;
use crate::gateway::status::Status;
use crate::gateway::vigil;
use crate::gateway::watch::Watch;
use crate::gateway::worker::Handle;
use crate::gateway::worker::Kit;
use crate::gateway::worker::Order;
use crate::proxy::Worker;
use crate::script::live;
use crate::script::suite::Asked;
use crate::telemetry::access::Batch;
use crate::telemetry::log;
use crate::telemetry::metrics::Counter;
use crate::upstream::news::News;

/// What can happen to a gateway.
pub(super) enum Event {
    /// These files differ from what was loaded.
    Changed(Vec<PathBuf>),
    /// Somebody asks for a reload, and may wait for the result.
    Reload(Option<oneshot::Sender<Result<u64, String>>>),
    /// Back to the generation before.
    Rollback(oneshot::Sender<Result<u64, String>>),
    /// Somebody wants to know what becomes of a request of theirs.
    Inquire(Box<Asked>, oneshot::Sender<Result<Value, String>>),
    /// Leave; said twice: now.
    Stop,
}

/// The sending end of a control thread's events.
pub(super) type Events = mpsc::UnboundedSender<Event>;

/// Everything the control thread owns.
pub(super) struct Control {
    pub(super) options: Options,
    pub(super) kit: Kit,
    pub(super) status: Arc<Status>,
    pub(super) desk: Arc<Desk>,
    pub(super) workers: Vec<Handle>,
    pub(super) listeners: Listeners,
    pub(super) admin: admin::Listener,
    /// For what functions of `every` and `on` do.
    pub(super) worker: Rc<Worker>,
    /// The generation that runs.
    pub(super) running: Option<Arc<Parts>>,
    /// What there is to go back to.
    pub(super) retreat: Retreat,
    /// Keeps the names of its upstreams resolved.
    pub(super) resolver: Option<JoinHandle<()>>,
    /// Gets certificates from authorities.
    pub(super) acme: Keeper,
    /// Checks the hosts of its upstreams.
    pub(super) prober: Option<JoinHandle<()>>,
    /// Where they tell what happens to them.
    pub(super) news: News,
    /// Hands over the hosts that functions tell.
    pub(super) hosts: Option<JoinHandle<()>>,
    /// Warns of certificates that end.
    pub(super) expiry: Option<JoinHandle<()>>,
    /// Posts access log lines, and by which generation's rules.
    pub(super) standing: Standing,
    posts: JoinHandle<()>,
    pub(super) state: Option<State>,
    follow: Option<mpsc::UnboundedSender<(Vec<PathBuf>, SystemTime)>>,
    events: mpsc::UnboundedReceiver<Event>,
}

impl Control {
    /// Starts the workers and the first generation.
    pub(super) async fn start(
        options: Options,
        kit: Kit,
        status: Arc<Status>,
        (sender, events): (Events, mpsc::UnboundedReceiver<Event>),
        (batches, dropped): (mpsc::Receiver<Batch>, Counter),
    ) -> Result<Self, StartError> {
        let failed = |error: std::io::Error| StartError::System(error.to_string());
        let state = options.state.as_ref().map(State::open).transpose().map_err(failed)?;
        let worker = super::new_worker(kit.workers, &kit);
        spawn_local(Rc::clone(&worker).housekeeping(|| {}));
        let standing = Standing::default();
        let posts = spawn_local(export::run(Rc::clone(&worker), Rc::clone(&standing), batches, dropped));
        let desk = Arc::new(Desk::new(&options, &kit, Arc::clone(&status)));
        let news = News::default();
        spawn_local(vigil::keep(news.clone(), Arc::clone(&desk)));
        let mut workers = Vec::new();
        for index in 0..kit.workers {
            workers.push(Handle::start(index, kit.clone()).map_err(failed)?);
        }
        let follow = options.watch.then(|| watch(&options, sender.clone()));
        if options.signals {
            signals::listen(&sender).map_err(failed)?;
        }
        let mut control = Self {
            admin: admin::Listener::new(Arc::clone(&desk), Rc::clone(&worker), sender),
            acme: Keeper::new(Rc::clone(&worker), options.state.clone()),
            options,
            kit,
            status,
            desk,
            workers,
            listeners: Listeners::default(),
            worker,
            running: None,
            retreat: Retreat::default(),
            resolver: None,
            prober: None,
            news,
            hosts: None,
            expiry: None,
            standing,
            posts,
            state,
            follow,
            events,
        };
        control.first().await?;
        Ok(control)
    }

    /// What whoever started us wants to know.
    pub(super) fn started(&self) -> Started {
        Started { addresses: self.listeners.addresses(), admin: self.admin.address(), banner: reload::banner(self) }
    }

    /// Handles events until it is time to leave, and leaves.
    pub(super) async fn run(mut self) {
        while let Some(event) = self.next().await {
            match event {
                Event::Changed(files) => drop(self.changed(&files).await),
                Event::Reload(reply) => {
                    let result = self.reload().await;
                    if let Some(reply) = reply {
                        // Whoever asked may be gone.
                        let _ = reply.send(result);
                    }
                }
                Event::Rollback(reply) => drop(reply.send(self.roll_back("somebody asked for it").await)),
                Event::Inquire(asked, reply) => {
                    if let Some(worker) = self.workers.first() {
                        worker.tell(Order::Inquire(asked, reply));
                    }
                }
                Event::Stop => break,
            }
        }
        self.leave().await;
    }

    /// The next event; a reload that is watched is looked at meanwhile.
    async fn next(&mut self) -> Option<Event> {
        while let Some(patience) = self.retreat.patience() {
            if let Some(event) = self.kit.clock.timeout(patience, self.events.recv()).await {
                return event;
            }
            self.judge().await;
        }
        self.events.recv().await
    }

    /// Watches exactly these files; what was loaded was read after `since`.
    pub(super) fn follow(&self, files: Vec<PathBuf>, since: SystemTime) {
        if let Some(follow) = &self.follow {
            let _ = follow.send((files, since));
        }
    }

    /// Lets what is under way end, but not for ever.
    async fn leave(mut self) {
        self.status.drain();
        let drain = self.running.as_ref().map(|parts| parts.shared.plan.gateway.drain);
        let usual = if self.options.terminal { Duration::ZERO } else { DELAY };
        let delay = drain.and_then(|drain| drain.delay).unwrap_or(usual);
        let most = drain.map_or(Duration::ZERO, |drain| drain.max);
        log::info("leaving", &[("delay", &seconds(delay)), ("max", &seconds(most))]);
        for worker in &self.workers {
            worker.tell(Order::Announce);
        }
        let hurry = !delay.is_zero() && self.stopped_within(delay).await;
        for worker in &self.workers {
            worker.tell(Order::Drain);
        }
        self.worker.drain.begin();
        let end = self.kit.clock.now().after(most);
        let mut patient = !hurry && self.ended(end, |control| !control.workers.iter().any(Handle::is_busy)).await;
        let stop = self.kit.live.bus().tell(live::Event { name: "stop".to_owned(), args: Vec::new() });
        let end = end.max(self.kit.clock.now().after(LAST_WORDS));
        patient = patient && self.ended(end, |_| stop.strong_count() == 0).await;
        drop(self.worker.retire());
        if patient {
            self.ended(end, |control| control.worker.tasks.get() == 0).await;
        }
        let left = self.workers.iter().filter(|worker| worker.is_busy()).count();
        if !patient {
            // nobody was asked what is under way
            log::info("told twice, leaving at once", &[]);
        } else if left > 0 {
            log::warn("leaving with requests still under way", &[("workers", &left)]);
        }
        for worker in self.workers.drain(..) {
            worker.stop();
        }
        self.kit.live.flush();
        self.kit.access.flush();
        self.kit.access.close();
        let _ = self.kit.clock.timeout(LAST_WORDS, &mut self.posts).await;
    }

    /// Waits until `done`, until `end`, or until we are told once more; false for the last.
    async fn ended(&mut self, end: Moment, done: impl Fn(&Self) -> bool) -> bool {
        while !done(self) && self.kit.clock.now() < end {
            if self.stopped_within(LOOK).await {
                return false;
            }
        }
        true
    }

    /// Whether, within `wait`, we were told to leave once more.
    async fn stopped_within(&mut self, wait: Duration) -> bool {
        let end = self.kit.clock.now().after(wait);
        loop {
            let left = end.since(self.kit.clock.now());
            match self.kit.clock.timeout(left, self.events.recv()).await {
                None => return false,
                Some(Some(Event::Changed(_))) => {}
                Some(Some(Event::Reload(reply))) => {
                    let _ = reply.map(|reply| reply.send(Err("the gateway is leaving".to_owned())));
                }
                Some(Some(Event::Rollback(reply))) => drop(reply.send(Err("the gateway is leaving".to_owned()))),
                Some(Some(Event::Inquire(_, reply))) => drop(reply.send(Err("the gateway is leaving".to_owned()))),
                Some(Some(Event::Stop) | None) => return true,
            }
        }
    }
}

/// Starts watching; the files come with the first load.
fn watch(options: &Options, events: Events) -> mpsc::UnboundedSender<(Vec<PathBuf>, SystemTime)> {
    let (follow, followed) = mpsc::unbounded_channel();
    let watch = Watch::new(options.clock.clone());
    spawn_local(watch.run(followed, move |files| events.send(Event::Changed(files)).is_ok()));
    follow
}

fn seconds(time: Duration) -> String {
    format!("{}s", time.as_secs_f64())
}

/// How long new connections are accepted while readiness is 503, when the script does not say.
const DELAY: Duration = Duration::from_secs(5);
/// What functions of `on("stop", …)` get in any case, and lines of the access log on their way.
const LAST_WORDS: Duration = Duration::from_secs(2);
/// How often we look whether all is done.
const LOOK: Duration = Duration::from_millis(10);
