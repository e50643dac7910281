//! Time that moves only when nothing else can happen, or when it is told to.

use std::cell::Cell;
use std::future::Future;
use std::future::poll_fn;
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::Poll;
use std::task::Waker;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::runtime::Builder;
use tokio::runtime::LocalOptions;
use tokio::runtime::LocalRuntime;

use crate::clock;
use crate::clock::Clock;
use crate::clock::Moment;
use crate::proxy::Worker;

/// Runs what is under way, and turns the clock.
pub(super) struct Driver {
    clock: Clock,
    idle: Arc<Mutex<Idle>>,
    /// Something is run: a stand-in must not call the gateway.
    busy: Cell<bool>,
}

/// What the runtime tells when it is about to wait: nothing can run.
#[derive(Default)]
struct Idle {
    noticed: bool,
    waker: Option<Waker>,
}

/// A runtime without timers and sockets, and what drives it.
pub(super) fn driver(clock: &Clock) -> Result<(Driver, LocalRuntime), String> {
    let idle: Arc<Mutex<Idle>> = Arc::default();
    let told = Arc::clone(&idle);
    let notice = move || {
        // What is done on another thread ends by itself; no time passes for it.
        if clock::is_aside() {
            return;
        }
        let mut idle = told.lock();
        idle.noticed = true;
        if let Some(waker) = idle.waker.take() {
            waker.wake();
        }
    };
    let runtime = Builder::new_current_thread().on_thread_park(notice).build_local(LocalOptions::default());
    let runtime = runtime.map_err(|error| error.to_string())?;
    Ok((Driver { clock: clock.clone(), idle, busy: Cell::new(false) }, runtime))
}

impl Driver {
    pub(super) fn now(&self) -> Moment {
        self.clock.now()
    }

    pub(super) fn unix(&self) -> Duration {
        self.clock.unix()
    }

    /// The output of `work`; while nothing can run, the clock jumps to the next timer.
    pub(super) fn run<T>(
        &self,
        runtime: &LocalRuntime,
        workers: &[Rc<Worker>],
        work: impl Future<Output = T>,
    ) -> Result<T, String> {
        let started = self.clock.now();
        let mut work = pin!(work);
        self.block(
            runtime,
            poll_fn(|cx| {
                loop {
                    if let Poll::Ready(output) = work.as_mut().poll(cx) {
                        return Poll::Ready(Ok(output));
                    }
                    if !self.take(cx.waker()) {
                        return Poll::Pending;
                    }
                    if self.next_due(workers).is_none() {
                        return Poll::Ready(Err("nothing ends this: nothing is under way, and no timer is set".into()));
                    }
                    if self.clock.now().since(started) > LONGEST {
                        let hours = LONGEST.as_secs() / 3600;
                        return Poll::Ready(Err(format!(
                            "nothing ends this: {hours} hours went by on the test's clock"
                        )));
                    }
                    self.turn(None, workers);
                }
            }),
        )?
    }

    /// Runs whatever can run without the clock being turned.
    pub(super) fn settle(&self, runtime: &LocalRuntime) -> Result<(), String> {
        self.block(runtime, poll_fn(|cx| if self.take(cx.waker()) { Poll::Ready(()) } else { Poll::Pending }))
    }

    fn block<T>(&self, runtime: &LocalRuntime, work: impl Future<Output = T>) -> Result<T, String> {
        if self.busy.replace(true) {
            return Err("a mock's function cannot call the gateway it is called by".to_owned());
        }
        *self.idle.lock() = Idle::default();
        let output = runtime.block_on(work);
        self.busy.set(false);
        Ok(output)
    }

    /// Whether nothing can run; else `waker` is told once that is so.
    fn take(&self, waker: &Waker) -> bool {
        let mut idle = self.idle.lock();
        if std::mem::take(&mut idle.noticed) {
            return true;
        }
        idle.waker = Some(waker.clone());
        false
    }

    /// When the next timer is due that anybody waits for.
    pub(super) fn next_due(&self, workers: &[Rc<Worker>]) -> Option<Moment> {
        let alarms = workers.iter().filter_map(|worker| worker.alarms.next_due());
        alarms.chain(self.clock.next_due()).min()
    }

    /// Turns the clock `by` this, or to the next timer, and wakes who waited for it.
    pub(super) fn turn(&self, by: Option<Duration>, workers: &[Rc<Worker>]) {
        let next = || self.next_due(workers).map_or(Duration::ZERO, |due| due.since(self.clock.now()));
        self.clock.advance(by.unwrap_or_else(next));
        let now = self.clock.now();
        for worker in workers {
            worker.alarms.tick(now);
            worker.pools.sweep();
        }
    }
}

/// What takes longer than this has no end.
const LONGEST: Duration = Duration::from_secs(24 * 60 * 60);
