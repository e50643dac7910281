//! Runs a file's top level under its budget: to the end on the control thread, in slices on a worker.

use std::cell::Cell;
use std::future::Future;
use std::rc::Rc;
use std::task::Context;
use std::task::Poll;
use std::task::Waker;
use std::time::Duration;

use mlua::Lua;
use mlua::VmState;

use super::raised;
use crate::script::declare::Session;
use crate::script::declare::place;

/// CPU time a top level may take.
const MOST: Duration = Duration::from_secs(if cfg!(test) { 2 } else { 5 });

/// What the message says when it is over.
pub(super) const OVER: &str = "loading took longer than 5 s of CPU time";

/// CPU time of this thread.
fn spent() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    Duration::new(u64::try_from(time.tv_sec).unwrap_or_default(), u32::try_from(time.tv_nsec).unwrap_or_default())
}

/// Stops an endless top level.
pub(crate) struct Budget;

impl Budget {
    /// From now on, until the interrupt is removed.
    pub(crate) fn start(lua: &Lua) {
        let begun = spent();
        let turns = Cell::new(0u32);
        lua.set_interrupt(move |lua| {
            turns.set(turns.get().wrapping_add(1));
            if turns.get().is_multiple_of(TURNS) && spent().saturating_sub(begun) > MOST {
                turns.set(TURNS - 1);
                let (file, line) = place(lua);
                return Err(mlua::Error::runtime(format!("{file}:{line}: {OVER}")));
            }
            Ok(VmState::Continue)
        });
    }
}

/// Reading the clock costs more than a turn.
const TURNS: u32 = 64;

/// Pauses the load every so often, so that requests are served between two slices.
pub(crate) struct Slices {
    begun: Rc<Cell<Duration>>,
    asked: Cell<u32>,
}

impl Slices {
    /// Longest stretch between two pauses, with room for a turn that takes its time.
    const LONGEST: Duration = Duration::from_millis(1);

    /// `thread` pauses from now on.
    pub(crate) fn start(lua: &Lua, thread: &mlua::Thread) -> Self {
        let begun = Rc::new(Cell::new(spent()));
        let (own, first, turns) = (Rc::clone(&begun), spent(), Cell::new(0u32));
        let main = thread.to_pointer();
        lua.set_interrupt(move |lua| {
            turns.set(turns.get().wrapping_add(1));
            if !turns.get().is_multiple_of(TURNS) {
                return Ok(VmState::Continue);
            }
            let now = spent();
            if now.saturating_sub(first) > MOST * 2 {
                turns.set(TURNS - 1);
                return Err(mlua::Error::runtime(OVER));
            }
            // A script's own coroutine must not be seen to yield.
            let pause = now.saturating_sub(own.get()) > Self::LONGEST && lua.current_thread().to_pointer() == main;
            Ok(if pause { VmState::Yield } else { VmState::Continue })
        });
        Self { begun, asked: Cell::new(0) }
    }

    /// Lets others have a turn where this one has had its time; it is asked after each route, which is a small part of that.
    pub(crate) async fn pause(&self) {
        self.asked.set(self.asked.get().wrapping_add(1));
        if self.asked.get().is_multiple_of(8) && spent().saturating_sub(self.begun.get()) > Self::LONGEST {
            tokio::task::yield_now().await;
            self.begin();
        }
    }

    /// A slice begins.
    pub(crate) fn begin(&self) {
        self.begun.set(spent());
    }
}

/// What comes of `work`, which never waits when nobody else is there to be served.
pub(crate) fn at_once<T>(work: impl Future<Output = T>) -> T {
    match std::pin::pin!(work).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(done) => done,
        Poll::Pending => unreachable!("it has nothing to wait for"),
    }
}

/// Runs the main file; what it raises is noted with everything else.
pub(crate) fn to_the_end(lua: &Lua, session: &Session, name: &str) {
    let main = match super::chunk(lua, session, name) {
        Ok(main) => main,
        Err(fault) => {
            session.diagnostics.borrow_mut().extend(fault);
            return;
        }
    };
    Budget::start(lua);
    let result = main.call::<()>(());
    lua.remove_interrupt();
    if let Err(error) = result {
        let told = raised::explain(&error, session);
        session.diagnostics.borrow_mut().push(told);
    }
}
