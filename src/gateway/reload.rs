//! Reload as a transaction: load, check, open everywhere, switch. Any failure before the switch changes nothing.

mod loader;

use std::path::Path;
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;
use std::time::SystemTime;

use serde_json::Value;
use tokio::task::spawn_blocking;
use tokio::task::spawn_local;

use crate::downstream::Listen;
use crate::downstream::Listener;
use crate::gateway::StartError;
use crate::gateway::build::Parts;
use crate::gateway::control::Control;
use crate::gateway::diff::Diff;
use crate::gateway::expiry;
use crate::gateway::hosts;
use crate::gateway::listeners::BindError;
use crate::gateway::listing;
use crate::plan::Plan;
use crate::proxy::Hooks;
use crate::proxy::hooks::NoHooks;
use crate::script::Loaded;
use crate::script::Opened;
use crate::script::Program;
use crate::script::Seat;
use crate::script::diagnose;
use crate::script::diagnose::Faults;
use crate::telemetry::access::Target;
use crate::telemetry::log;
use crate::telemetry::log::Level;
use crate::upstream::health;
use crate::upstream::resolve;
use crate::upstream::resolve::Lookup;
use loader::files;

/// Why a generation did not take over.
#[derive(Debug, thiserror::Error)]
pub(super) enum Refused {
    /// An address is taken.
    #[error(transparent)]
    Bind(#[from] BindError),
    /// Anything else, in words.
    #[error("{0}")]
    Build(String),
}

impl Control {
    /// The first generation: the script, or, when it does not load, the last good one that was kept.
    pub(super) async fn first(&mut self) -> Result<(), StartError> {
        let began = SystemTime::now();
        let faults = match self.load(self.options.file.clone()).await {
            Ok(loaded) => {
                self.follow(files(loaded.program.files(), &[], &self.options.file), began);
                self.warn(&loaded);
                return self.take_over(loaded.program, false).await.map_err(start_error);
            }
            Err(faults) => faults,
        };
        let kept = self.state.as_ref().and_then(|state| state.last_good());
        let Some(kept) = kept else { return Err(StartError::Script(faults)) };
        self.broken(&faults);
        match self.load(kept).await {
            Ok(loaded) => {
                log::warn("the script does not load; the last good one runs instead", &[]);
                self.take_over(loaded.program, true).await.map_err(start_error)?;
                self.follow(files(&[], faults.files(), &self.options.file), began);
                Ok(())
            }
            Err(_) => Err(StartError::Script(faults)),
        }
    }

    /// A reload that somebody asked for: secrets and the environment may differ even where no file does.
    pub(super) async fn reload(&mut self) -> Result<u64, String> {
        self.attempt(true).await
    }

    /// A reload because files changed; none when the script is the one that runs.
    pub(super) async fn changed(&mut self, files: &[PathBuf]) -> Result<u64, String> {
        let names: Vec<_> = files.iter().map(|file| file.display().to_string()).collect();
        log::debug("changed", &[("files", &names.join(", "))]);
        self.attempt(false).await
    }

    async fn attempt(&mut self, always: bool) -> Result<u64, String> {
        let began = SystemTime::now();
        let start = self.kit.clock.now();
        let loaded = match self.load(self.options.file.clone()).await {
            Ok(loaded) => loaded,
            Err(faults) => {
                let text = self.broken(&faults);
                let running = self.running.as_ref().map(|parts| parts.program.files()).unwrap_or_default();
                self.follow(files(running, faults.files(), &self.options.file), began);
                return Err(text);
            }
        };
        self.follow(files(loaded.program.files(), &[], &self.options.file), began);
        let now = self.status.now();
        if !always && !now.last_good && loaded.program.hash() == now.hash {
            if now.failure.is_some() {
                log::info("the script is again the one that runs", &[("generation", &now.generation)]);
                self.status.restored();
            }
            return Ok(now.generation);
        }
        if !always && self.retreat.keeps_out(loaded.program.hash()) {
            log::warn("this script was rolled back, and stays out until it changes", &[]);
            return Ok(now.generation);
        }
        self.warn(&loaded);
        let before = self.running.as_ref().map(|parts| Arc::clone(&parts.program));
        let diff = now.plan.as_deref().map(|plan| Diff::between(plan, loaded.program.plan())).unwrap_or_default();
        if let Err(refused) = self.take_over(loaded.program, false).await {
            let text = refused.to_string();
            log::error("reload failed, nothing changed", &[("cause", &text)]);
            self.status.failed(&text, Value::Null, self.kit.clock.unix());
            return Err(text);
        }
        self.guard(before);
        let took = self.kit.clock.now().since(start);
        self.tell(&diff, took);
        Ok(self.status.now().generation)
    }

    /// Everything that can fail comes before the switch.
    pub(super) async fn take_over(&mut self, program: Arc<Program>, last_good: bool) -> Result<(), Refused> {
        let plan = Arc::clone(program.plan());
        let generation = self.status.now().generation + 1;
        let wanted = self.wanted(&plan);
        self.acme.prepare(&wanted).map_err(Refused::Build)?;
        let issued = |acme: &_| self.acme.issued(acme);
        let parts = Parts::build(program, generation, self.options.dev, self.running.as_deref(), &wanted, &issued);
        let parts = Arc::new(parts.map_err(Refused::Build)?);
        let places: Vec<_> = wanted.iter().map(|listener| listener.at.clone()).collect();
        let listeners = self.listeners.change(&places, self.workers.len(), self.options.takeover)?;
        let admin = self.admin.change(&parts.program, &self.options)?;
        parts.upstreams.iter().for_each(|shared| shared.report_to(&self.news));
        self.resolve(&parts).await;
        self.kit.live.connect(&parts.shared.plan.objects, &self.kit.clock);
        self.open(&parts).await.map_err(Refused::Build)?;

        for worker in &self.workers {
            worker.tell(super::worker::Order::Switch);
        }
        self.listeners.apply(listeners, &self.workers);
        self.admin.apply(admin);
        *self.desk.listeners.lock() = self.listeners.texts();
        self.desk.hosts.lock().clone_from(&parts.upstreams);
        self.desk.remember(&parts.shared);
        self.settle(&parts);
        self.acme.settle(&wanted);
        self.status.took_over(generation, parts.program.hash(), plan, self.kit.clock.unix(), last_good);
        if !last_good {
            self.keep(&parts.program);
        }
        self.running = Some(parts);
        Ok(())
    }

    /// Every worker opens the generation, each beside its requests, and so does the control thread where anything runs
    /// there; its timers start once all did.
    async fn open(&mut self, parts: &Arc<Parts>) -> Result<(), String> {
        let opening: Vec<_> = self.workers.iter().map(|worker| worker.open(parts)).collect();
        let own = self.open_beside(&parts.program).await;
        let mut result = Ok(());
        for opened in opening {
            result = result.and(opened.await);
        }
        let hooks: Result<Rc<dyn Hooks>, _> = match result.and(own) {
            Ok(Some(own)) => own.hooks().await,
            Ok(None) => Ok(Rc::new(NoHooks)),
            Err(why) => Err(why),
        };
        let result = hooks.map(|hooks| drop(self.worker.switch(parts.site(&self.worker, hooks))));
        if result.is_err() {
            for worker in &self.workers {
                worker.tell(super::worker::Order::Discard);
            }
        }
        result
    }

    async fn open_beside(&self, program: &Program) -> Result<Option<Opened>, String> {
        if !program.runs_beside() {
            return Ok(None);
        }
        let seat =
            Seat { worker: Rc::clone(&self.worker), live: Arc::clone(&self.kit.live), control: true, offline: None };
        program.run(&seat).await.map(Some)
    }

    /// Names are looked up before the first request needs them, but a dead resolver does not hold a reload for long.
    async fn resolve(&self, parts: &Parts) {
        let upstreams = parts.upstreams.clone();
        let unknown = spawn_blocking(move || resolve::first(&upstreams, &Lookup::system(), PATIENCE)).await;
        for name in unknown.unwrap_or_default() {
            log::warn("no address yet", &[("name", &name)]);
        }
    }

    /// What follows the running generation without being part of it.
    fn settle(&mut self, parts: &Parts) {
        let plan = &parts.shared.plan;
        self.kit.live.commit(&plan.objects, &self.kit.metrics);
        let keep = resolve::keep(parts.upstreams.clone(), self.kit.clock.clone(), Lookup::system());
        if let Some(before) = self.resolver.replace(spawn_local(keep)) {
            before.abort();
        }
        let now = self.kit.clock.now();
        parts.upstreams.iter().for_each(|shared| shared.settle(now));
        let health = health::keep(parts.upstreams.clone(), self.kit.clock.clone());
        if let Some(before) = self.prober.replace(spawn_local(health)) {
            before.abort();
        }
        let (upstreams, live) = (parts.upstreams.clone(), Arc::clone(&self.kit.live));
        let told = hosts::keep(Arc::clone(plan), upstreams, live, self.kit.clock.clone(), Lookup::system());
        if let Some(before) = self.hosts.replace(spawn_local(told)) {
            before.abort();
        }
        let expiry = expiry::keep(Arc::clone(&parts.shared), self.kit.clock.clone(), self.kit.metrics.clone());
        if let Some(before) = self.expiry.replace(spawn_local(expiry)) {
            before.abort();
        }
        let level = self.options.log.or_else(|| Level::of(&plan.gateway.log.level)).unwrap_or(Level::Info);
        log::configure(level, plan.gateway.log.format == "json");
        *self.standing.borrow_mut() = Some(parts.site(&self.worker, Rc::new(NoHooks)));
        if let Some(access) = &plan.gateway.log.access {
            match Target::parse(&access.to) {
                Ok(target) => self.kit.access.switch(target),
                Err(error) => log::error("the access log stays where it is", &[("cause", &error)]),
            }
        }
    }

    /// The listeners: instead of the script's, those of the command line, each as the script declares it if it does.
    fn wanted(&self, plan: &Plan) -> Vec<Listener> {
        let Some(instead) = &self.options.listen else { return plan.gateway.listen.clone() };
        let declared = |at: &Listen| plan.gateway.listen.iter().find(|listener| listener.at == *at).cloned();
        let usual = |at: &Listen| Listener::usual(at.clone(), plan.gateway.tls.as_ref());
        instead.iter().map(|at| declared(at).unwrap_or_else(|| usual(at))).collect()
    }

    /// The last good bundle on disk is this one from now on.
    fn keep(&self, program: &Program) {
        let Some(state) = &self.state else { return };
        // A certificate elsewhere on the disk is found there again.
        let sources = program.sources().map(|(name, text)| (Path::new(name), text));
        let sources = sources.filter(|(name, _)| !name.is_absolute());
        if let Err(error) = state.keep(&self.options.file, program.hash(), sources) {
            log::warn("this script cannot be kept as the last good one", &[("cause", &error)]);
        }
    }

    fn warn(&self, loaded: &Loaded) {
        if !loaded.warnings.is_empty() {
            log::warn(&format!("about the script\n{}", diagnose::render(&loaded.warnings, false).trim_end()), &[]);
        }
    }

    /// Shows, counts and notes the faults of a script; the text without colours.
    fn broken(&self, faults: &Faults) -> String {
        let text = faults.render(false);
        let goes_on = match &self.running {
            Some(parts) => format!("; generation {} goes on", parts.shared.generation),
            None => String::new(),
        };
        log::error(&format!("the script does not load{goes_on}\n{}", text.trim_end()), &[]);
        self.status.failed(&text, faults.to_json(), self.kit.clock.unix());
        text
    }

    fn tell(&self, diff: &Diff, took: Duration) {
        let generation = self.status.now().generation;
        let what = if diff.is_empty() { "  nothing declared differs\n".to_owned() } else { diff.to_string() };
        let title = format!("generation {generation} took over in {} ms\n{}", took.as_millis(), what.trim_end());
        log::info(&title, &[]);
    }
}

fn start_error(refused: Refused) -> StartError {
    match refused {
        Refused::Bind(error) => StartError::Bind(error),
        Refused::Build(text) => StartError::Build(text),
    }
}

/// The addresses and routes of a gateway that has just started.
pub(super) fn banner(control: &Control) -> Vec<String> {
    let shared = control.running.as_ref().map(|parts| &parts.shared);
    let secure = |at: &Listen| shared.and_then(|shared| shared.door(at)).is_some_and(|door| door.tls.is_some());
    let mut lines: Vec<_> = control.listeners.urls(secure).map(|url| format!("listening on {url}")).collect();
    if let Some(admin) = control.admin.address() {
        lines.push(format!("admin on http://{admin}"));
    }
    let shown: Vec<_> = shared.into_iter().flat_map(|shared| listing::routes(&shared.plan)).take(MOST_ROUTES).collect();
    let mut text = format!("routes\n{}", listing::table(&shown));
    let more = shared.map_or(0, |shared| shared.plan.routes.len() - shown.len());
    if more > 0 {
        text.push_str(&format!("  … and {more} more (`moongate routes`)"));
    }
    lines.push(text.trim_end().to_owned());
    lines
}

/// How long names may take before the first request.
const PATIENCE: Duration = Duration::from_secs(2);
const MOST_ROUTES: usize = 50;
