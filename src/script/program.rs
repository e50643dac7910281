//! A loaded script as workers open it: compiled files, the snapshot they see, and the plan all must come to.

use std::path::PathBuf;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use mlua::thread::ThreadStatus;

use crate::plan::Plan;
use crate::proxy::Hooks;
use crate::proxy::Worker;
use crate::route::Table;
use crate::script::context::Context;
use crate::script::context::Setting;
use crate::script::context::Snapshot;
use crate::script::declare;
use crate::script::hooks;
use crate::script::live::Live;
use crate::script::load;
use crate::script::load::files::Files;
use crate::script::load::files::Frozen;
use crate::script::machine;
use crate::script::offline::Offline;
use crate::script::pipeline::Pipelines;

/// A script that loads: the same bytecode, snapshot and plan for every worker.
pub struct Program {
    main: String,
    plan: Arc<Plan>,
    routes: Arc<Table>,
    frozen: Frozen,
    snapshot: Arc<Snapshot>,
    watched: Vec<PathBuf>,
    hash: String,
    beside: bool,
}

/// Where a program is opened.
pub struct Seat {
    /// The worker.
    pub worker: Rc<Worker>,
    /// Stores, limiters and other things of the whole process.
    pub live: Arc<Live>,
    /// The control thread's machine, which runs `every`, `after` and `on`.
    pub control: bool,
    /// Where a gateway without sockets notes what happens.
    pub offline: Option<Rc<Offline>>,
}

/// A program that ran in a machine of a worker and came to the same plan there.
pub struct Opened {
    lua: mlua::Lua,
    context: Rc<Context>,
    pipelines: Pipelines,
    plan: Arc<Plan>,
    slices: load::Slices,
}

impl Opened {
    /// Its hooks; on the control thread timers start.
    pub async fn hooks(self) -> Result<Rc<dyn Hooks>, String> {
        let pause = async || self.slices.pause().await;
        let hooks = hooks::hooks(&self.lua, &self.context, self.pipelines, &self.plan, pause).await;
        hooks.map_err(|error| crate::script::driver::fault::message(&error))
    }
}

impl Program {
    /// `beside`: see [`Program::runs_beside`].
    pub(crate) fn new(
        main: &str,
        (plan, routes): (Plan, Table),
        files: &Files,
        snapshot: Arc<Snapshot>,
        beside: bool,
    ) -> Self {
        let frozen = files.freeze();
        let mut digest = aws_lc_rs::digest::Context::new(&aws_lc_rs::digest::SHA256);
        for (name, text) in &frozen.texts {
            digest.update(name.as_bytes());
            digest.update(&[0]);
            digest.update(&u64::try_from(text.len()).unwrap_or_default().to_le_bytes());
            digest.update(text);
        }
        let hash = digest.finish().as_ref().iter().take(16).map(|byte| format!("{byte:02x}")).collect();
        let (main, plan, routes) = (main.to_owned(), Arc::new(plan), Arc::new(routes));
        Self { main, plan, routes, watched: files.paths(), frozen, snapshot, hash, beside }
    }

    /// What the script declares.
    pub fn plan(&self) -> &Arc<Plan> {
        &self.plan
    }

    /// Which route of the plan a request belongs to.
    pub fn routes(&self) -> &Arc<Table> {
        &self.routes
    }

    /// Whether anything runs beside requests, once per gateway: timers, events, subscriptions, key sets. Without it the
    /// control thread needs no machine.
    pub fn runs_beside(&self) -> bool {
        self.beside
    }

    /// Every file that was read or looked for, and folders that globs looked into: a change there is worth a reload.
    pub fn files(&self) -> &[PathBuf] {
        &self.watched
    }

    /// A hash of everything read, as hexadecimal text.
    pub fn hash(&self) -> &str {
        &self.hash
    }

    /// Name and contents of every file read, for the last good copy.
    pub fn sources(&self) -> impl Iterator<Item = (&str, &[u8])> {
        self.frozen.texts.iter().map(|(name, text)| (name.as_str(), &**text))
    }

    /// Whether `word` stands anywhere in what was read: a word that does not cannot be used.
    pub(crate) fn mentions(&self, word: &str) -> bool {
        self.frozen.texts.values().any(|text| memchr::memmem::find(text, word.as_bytes()).is_some())
    }

    /// The value of a secret that the script named (the admin token).
    pub fn secret(&self, name: &str) -> Option<Vec<u8>> {
        self.frozen.secret(name)
    }

    /// Every secret that the script named and that is there.
    pub(crate) fn secrets(&self) -> Vec<(String, Arc<[u8]>)> {
        self.frozen.secrets()
    }

    /// Opens the script on a worker: its hooks, once it came to the same plan.
    pub async fn open(&self, seat: &Seat) -> Result<Rc<dyn Hooks>, String> {
        self.run(seat).await?.hooks().await
    }

    /// Runs the file in a machine of this worker, pausing between slices, and confirms the plan: the first half of
    /// [`Program::open`], which takes all the time and starts nothing.
    pub async fn run(&self, seat: &Seat) -> Result<Opened, String> {
        let files = Rc::new(Files::known(&self.snapshot.root, self.frozen.clone()));
        let setting = Setting {
            worker: Some(Rc::clone(&seat.worker)),
            live: Arc::clone(&seat.live),
            control: seat.control,
            clock: seat.worker.clock.clone(),
            snapshot: Arc::clone(&self.snapshot),
            // A busy machine must not fail a test: only what never ends is stopped there.
            step: seat.offline.as_ref().map_or(self.plan.gateway.step, |_| self.plan.gateway.step.max(PATIENT)),
            memory: self.plan.gateway.memory,
            offline: seat.offline.clone(),
        };
        let text = |error: mlua::Error| crate::script::driver::fault::message(&error);
        let (lua, context, session) = load::begin(setting, &files).map_err(text)?;
        session.judged.set(true);
        tokio::task::yield_now().await;
        let mut shelf = load::Shelf::open(&lua).map_err(text)?;
        let open = ["_G", "getfenv", "moongate", "openapi"].iter().any(|word| self.mentions(word));
        if seat.offline.is_some() && !open {
            // A machine is made for every test, and most of it would be words that the script cannot name.
            shelf.only(|word| self.mentions(word));
        }
        while shelf.next(&lua).map_err(text)? {
            tokio::task::yield_now().await;
        }
        machine::bound(&lua).map_err(text)?;
        let main = load::chunk(&lua, &session, &self.main)
            .map_err(|fault| fault.map(|fault| fault.line_form()).unwrap_or_default())?;
        let thread = lua.create_thread(main).map_err(text)?;
        let slices = load::Slices::start(&lua, &thread);
        while thread.status() == ThreadStatus::Resumable {
            slices.begin();
            thread.resume::<()>(()).map_err(text)?;
            tokio::task::yield_now().await;
        }
        let (plan, pipelines) = declare::build(&lua, &session, async || slices.pause().await).await;
        load::close(&lua).map_err(text)?;
        if plan != *self.plan {
            return Err(difference(&self.plan, &plan));
        }
        Ok(Opened { lua, context, pipelines, plan: Arc::clone(&self.plan), slices })
    }
}

/// Longest run of a function in a test.
const PATIENT: Duration = Duration::from_secs(10);

/// Where two runs of one file came to different plans.
fn difference(a: &Plan, b: &Plan) -> String {
    let cause = "the file computes something else each time it is run; while loading, time, randomness and files are the same for all workers";
    let routes = a
        .routes
        .iter()
        .zip(&b.routes)
        .find(|(a, b)| a != b)
        .map(|(a, _)| format!("route `{}` at {}:{}", a.pattern, a.place.0, a.place.1));
    let upstreams =
        a.upstreams.iter().zip(&b.upstreams).find(|(a, b)| a != b).map(|(a, _)| format!("upstream `{}`", a.name));
    let what = routes.or(upstreams).unwrap_or_else(|| format!("{} routes against {}", a.routes.len(), b.routes.len()));
    format!("a worker came to another plan ({what}): {cause}")
}

#[cfg(test)]
mod tests;
