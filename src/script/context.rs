//! What functions of one machine may reach: the worker, the request they run for, live objects, time.

use std::cell::Cell;
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use mlua::Lua;
use mlua::MultiValue;
use mlua::Value;
use mlua::WeakLua;

use crate::clock::Clock;
use crate::downstream::Limits;
use crate::proxy::Exchange;
use crate::proxy::Failure;
use crate::proxy::Site;
use crate::proxy::Worker;
use crate::script::driver::Pool;
use crate::script::live::Live;
use crate::script::offline::Offline;
use crate::script::wait::Waiting;
use crate::script::watchdog::Watch;

/// What loading may know of the outside: the same for every worker, so that all compute the same plan.
#[derive(Clone, Debug, Default)]
pub struct Snapshot {
    /// Time since the Unix epoch when loading began.
    pub time: Duration,
    /// Seeds `math.random` while loading.
    pub seed: u64,
    /// The environment.
    pub env: BTreeMap<String, String>,
    /// Where secrets lie as files.
    pub secrets: Option<PathBuf>,
    /// The folder of gateway.lua: nothing outside it is required, included or read.
    pub root: PathBuf,
}

/// What a machine is made with.
pub struct Setting {
    /// The worker; `None` while the control thread loads a file.
    pub worker: Option<Rc<Worker>>,
    /// Stores, limiters and other things of the whole process.
    pub live: Arc<Live>,
    /// Whether this is the control thread's machine, which runs `every`, `after` and `on`.
    pub control: bool,
    /// Time.
    pub clock: Clock,
    /// What loading knows of the outside.
    pub snapshot: Arc<Snapshot>,
    /// Longest run without waiting, in thread CPU time.
    pub step: Duration,
    /// Memory of the machine in bytes.
    pub memory: usize,
    /// The notes of a gateway without sockets, of which this is a machine.
    pub offline: Option<Rc<Offline>>,
}

/// One machine's context, found from any function by [`Context::of`].
pub struct Context {
    lua: WeakLua,
    setting: Setting,
    loading: Cell<bool>,
    exchange: RefCell<Option<Rc<Exchange>>>,
    /// What bodies and paths may be: the plan's, once there is one.
    limits: RefCell<Rc<Limits>>,
    /// The place whose functions may not wait, while one of them runs.
    place: Cell<Option<&'static str>>,
    /// The machine ran out of memory, or nearly: new requests need a fresh one.
    worn: Cell<bool>,
    /// What the running coroutine waits for.
    pub(super) parked: RefCell<Option<Waiting>>,
    /// What its wait came to, until the coroutine takes it.
    pub(super) arrived: RefCell<Option<mlua::Result<MultiValue>>>,
    /// How `reject` or a failing primitive ended the run.
    pub(super) rejected: RefCell<Option<Failure>>,
    /// The answer that a step called inside a function ended the run with.
    pub(super) answered: RefCell<Option<Value>>,
    /// Spare coroutines.
    pub(super) pool: Pool,
    /// Ends runs that overstay.
    pub(super) watch: Watch,
}

impl Context {
    pub(super) fn install(lua: &Lua, setting: Setting, watch: Watch) -> Rc<Self> {
        let context = Rc::new(Self {
            lua: lua.weak(),
            setting,
            loading: Cell::new(true),
            exchange: RefCell::default(),
            limits: RefCell::default(),
            place: Cell::new(None),
            worn: Cell::new(false),
            parked: RefCell::default(),
            arrived: RefCell::default(),
            rejected: RefCell::default(),
            answered: RefCell::default(),
            pool: Pool::default(),
            watch,
        });
        lua.set_app_data(Rc::clone(&context));
        context
    }

    /// The context of the machine that `lua` belongs to.
    pub fn of(lua: &Lua) -> Rc<Self> {
        let context = lua.app_data_ref::<Rc<Self>>().expect("every machine is made with a context");
        Rc::clone(&context)
    }

    /// The machine, for as long as it lives.
    pub fn lua(&self) -> Option<Lua> {
        self.lua.try_upgrade()
    }

    /// The worker; an error while the file is loading on the control thread.
    pub fn worker(&self) -> mlua::Result<Rc<Worker>> {
        self.setting.worker.clone().ok_or_else(|| mlua::Error::runtime("this needs a running gateway"))
    }

    /// The request that the running function works for; `None` in `every`, `on` and while loading.
    pub fn exchange(&self) -> Option<Rc<Exchange>> {
        self.exchange.borrow().clone()
    }

    /// The generation: the request's own, else the one new requests get.
    pub fn site(&self) -> mlua::Result<Rc<Site>> {
        if let Some(exchange) = &*self.exchange.borrow() {
            return Ok(Rc::clone(&exchange.site));
        }
        self.worker()?.site().ok_or_else(|| mlua::Error::runtime("this needs a running gateway"))
    }

    /// Stores, limiters and other things of the whole process.
    pub fn live(&self) -> &Arc<Live> {
        &self.setting.live
    }

    /// Whether this is the control thread's machine.
    pub fn control(&self) -> bool {
        self.setting.control
    }

    /// The notes of a gateway without sockets.
    pub(crate) fn offline(&self) -> Option<&Rc<Offline>> {
        self.setting.offline.as_ref()
    }

    /// Whether the file is still being loaded.
    pub fn loading(&self) -> bool {
        self.loading.get()
    }

    /// Says that loading is over.
    pub fn loaded(&self) {
        self.loading.set(false);
        self.watch.allow(self.setting.step);
    }

    /// Time.
    pub fn clock(&self) -> &Clock {
        &self.setting.clock
    }

    /// Wall time as a script may see it: the snapshot's while loading.
    pub fn unix(&self) -> Duration {
        if self.loading() { self.setting.snapshot.time } else { self.setting.clock.unix() }
    }

    /// What loading knows of the outside.
    pub fn snapshot(&self) -> &Arc<Snapshot> {
        &self.setting.snapshot
    }

    /// What bodies and paths may be.
    pub fn limits(&self) -> Rc<Limits> {
        Rc::clone(&self.limits.borrow())
    }

    /// Says what bodies and paths may be, once the plan is known.
    pub fn set_limits(&self, limits: &Limits) {
        *self.limits.borrow_mut() = Rc::new(limits.clone());
    }

    /// Longest run without waiting.
    pub fn step(&self) -> Duration {
        self.setting.step
    }

    /// Another budget for runs from now on: loading has one of its own. [`Context::step`] is put back by [`Context::loaded`].
    pub fn allow(&self, budget: Duration) {
        self.watch.allow(budget);
    }

    /// Memory of the machine in bytes.
    pub fn memory(&self) -> usize {
        self.setting.memory
    }

    /// Whether new requests need a fresh machine.
    pub fn worn(&self) -> bool {
        self.worn.get()
    }

    /// Says that new requests need a fresh machine.
    pub(super) fn wear(&self) {
        self.worn.set(true);
    }

    /// The place whose functions may not wait, while one of them runs.
    pub fn place(&self) -> Option<&'static str> {
        self.place.get()
    }

    /// Where the place stands, for C code that sets it.
    pub(super) fn place_cell(&self) -> *const Cell<Option<&'static str>> {
        &raw const self.place
    }

    /// Notes that a function runs that may not wait (`when`, `by`, `store:update` …), until the result is dropped.
    pub fn still(self: &Rc<Self>, place: &'static str) -> Still {
        Still { before: self.place.replace(Some(place)), context: Rc::clone(self) }
    }

    /// Makes `exchange` the current one while something of its is polled, until the result is dropped.
    pub(super) fn polling(&self, exchange: Option<Rc<Exchange>>) -> Polling<'_> {
        Polling { context: self, before: self.exchange.replace(exchange) }
    }

    /// Makes `exchange` the current one and starts the clock of the run, until the result is dropped.
    pub(super) fn enter(&self, exchange: Option<Rc<Exchange>>) -> Entered<'_> {
        let before = self.exchange.replace(exchange);
        if self.watch.begin() {
            self.place.set(None);
        }
        Entered { context: self, before }
    }
}

/// A function that may not wait is running.
pub struct Still {
    context: Rc<Context>,
    before: Option<&'static str>,
}

impl Drop for Still {
    fn drop(&mut self) {
        self.context.place.set(self.before);
    }
}

/// What a coroutine waits for is being polled.
pub(super) struct Polling<'a> {
    context: &'a Context,
    before: Option<Rc<Exchange>>,
}

impl Drop for Polling<'_> {
    fn drop(&mut self) {
        let current = self.context.exchange.replace(self.before.take());
        drop(current);
    }
}

/// A run of script code is under way.
pub(super) struct Entered<'a> {
    context: &'a Context,
    before: Option<Rc<Exchange>>,
}

impl Drop for Entered<'_> {
    fn drop(&mut self) {
        self.context.watch.end();
        let current = self.context.exchange.replace(self.before.take());
        drop(current);
    }
}
