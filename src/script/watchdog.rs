//! Ends runs of script code that take longer than their budget of CPU time.
//!
//! A machine counts its runs: odd while inside one. One thread for the process looks every few milliseconds; a run whose
//! worker has used more CPU time than the budget since it was first seen gets a killer in the machine's interrupt slot,
//! which Luau calls at every safe point, also inside `string.find` or `table.sort`. The slot stays armed until the run
//! ends, so no `pcall` goes on. While no machine runs anything the thread sleeps; the next run wakes it.
//!
//! # Safety
//! The only unsafe code beside the handles. What it relies on:
//! - `Seat::slot` points at `lua_callbacks(L)->interrupt` and is written by two threads; both go through `AtomicPtr`, and
//!   Luau reads it as one aligned word. A killer that arrives late finds another run number and disarms itself.
//! - The slot is written by the watchdog only while it holds the list's lock and the seat is in the list. The seat leaves
//!   the list under that lock by `Leave`, a userdata that Luau drops in `lua_close`, before the slot's memory is freed.
//! - The killer holds no value with a destructor when it raises.
#![allow(unsafe_code)]

use std::cell::Cell;
use std::ffi::c_int;
use std::ffi::c_void;
use std::ptr;
use std::ptr::NonNull;
use std::sync::Arc;
use std::sync::OnceLock;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::AtomicPtr;
use std::sync::atomic::AtomicU8;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Acquire;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::atomic::Ordering::Release;
use std::sync::atomic::Ordering::SeqCst;
use std::thread::Thread;
use std::time::Duration;

use mlua::Lua;
use mlua::ffi;
use parking_lot::Mutex;

use crate::clock;

/// How often the watchdog looks.
const TICK: Duration = Duration::from_millis(5);
/// After so many looks that found nobody running, it sleeps until somebody does.
const QUIET: u32 = 20;

/// One machine's side of the watchdog.
pub(super) struct Watch {
    seat: Arc<Seat>,
    depth: Cell<u32>,
}

/// What worker and watchdog share about one machine.
struct Seat {
    /// Counts runs: odd inside one.
    run: AtomicU64,
    /// The run that must end.
    armed: AtomicU64,
    /// Why: 0 nothing yet, else [`LATE`] or [`OVER`]. Meaningful while `armed` equals `run`.
    reason: AtomicU8,
    /// The budget in nanoseconds of thread CPU time.
    limit: AtomicU64,
    /// Luau's interrupt slot.
    slot: NonNull<AtomicPtr<c_void>>,
    /// The worker thread's CPU clock.
    clock: libc::clockid_t,
}

/// The run was too long.
const LATE: u8 = 1;
/// The request is over: nothing may go on.
const OVER: u8 = 2;

// SAFETY: every field is atomic or constant; `slot` is used as the module's safety note says.
unsafe impl Send for Seat {}
// SAFETY: as above.
unsafe impl Sync for Seat {}

impl Watch {
    /// A seat for this machine, on this thread's CPU clock.
    pub(super) fn new(lua: &Lua, limit: Duration) -> mlua::Result<Self> {
        // SAFETY: the callbacks live as long as the machine; an `Option<fn>` is one pointer, null when empty.
        let slot = lua.exec_raw_lua(|raw| unsafe { &raw mut (*ffi::lua_callbacks(raw.state())).interrupt });
        let slot = NonNull::new(slot.cast()).expect("a field of a live structure is no null pointer");
        let seat = Arc::new(Seat {
            run: AtomicU64::new(0),
            armed: AtomicU64::new(0),
            reason: AtomicU8::new(0),
            limit: AtomicU64::new(nanos(limit)),
            slot,
            clock: own_clock(),
        });
        note(lua, &seat)?;
        let leave = lua.create_any_userdata(Leave(Arc::clone(&seat)))?;
        lua.set_named_registry_value("moongate.watchdog", leave)?;
        SEATS.lock().push(Watched { seat: Arc::clone(&seat), last: 0, seen: 0, since: 0 });
        WATCHDOG.get_or_init(|| {
            // Without this thread only budgets are lost; a machine that cannot start threads has other sorrows.
            std::thread::Builder::new().name("watchdog".into()).spawn(look).ok().map(|dog| dog.thread().clone())
        });
        Ok(Self { seat, depth: Cell::new(0) })
    }

    /// Another budget from the next run on.
    pub(super) fn allow(&self, limit: Duration) {
        self.seat.limit.store(nanos(limit), Relaxed);
    }

    /// A run begins, or goes deeper; says whether it begins.
    #[inline]
    pub(super) fn begin(&self) -> bool {
        let depth = self.depth.get();
        self.depth.set(depth + 1);
        if depth == 0 {
            self.seat.run.store(self.seat.run.load(Relaxed) + 1, Relaxed);
            if ASLEEP.load(Relaxed) {
                rouse();
            }
        }
        depth == 0
    }

    /// A run ends.
    #[inline]
    pub(super) fn end(&self) {
        let depth = self.depth.get() - 1;
        self.depth.set(depth);
        if depth == 0 {
            let run = self.seat.run.load(Relaxed);
            self.seat.run.store(run + 1, Release);
            clock::outdate();
            if self.seat.armed.load(Acquire) == run {
                self.seat.disarm();
            }
        }
    }

    /// Whether the run under way was ended for its time.
    pub(super) fn fired(&self) -> bool {
        self.seat.armed.load(Acquire) == self.seat.run.load(Relaxed) && self.seat.reason.load(Relaxed) == LATE
    }

    /// Lets the run go on after all: what [`Watch::abort`] was to end is over, and whoever called it knows.
    pub(super) fn pardon(&self) {
        if self.seat.armed.load(Acquire) == self.seat.run.load(Relaxed) && self.seat.reason.load(Relaxed) == OVER {
            self.seat.disarm();
            self.seat.armed.store(0, Release);
        }
    }

    /// Lets nothing go on in this run.
    pub(super) fn abort(&self) {
        self.seat.reason.store(OVER, Relaxed);
        self.seat.arm(self.seat.run.load(Relaxed));
    }
}

impl Seat {
    fn arm(&self, run: u64) {
        self.armed.store(run, SeqCst);
        // SAFETY: see the module's note; `kill` has the signature of the slot.
        unsafe { self.slot.as_ref() }.store(kill as *mut c_void, SeqCst);
    }

    fn disarm(&self) {
        // SAFETY: see the module's note.
        unsafe { self.slot.as_ref() }.store(ptr::null_mut(), SeqCst);
    }
}

/// A seat as the watchdog sees it.
struct Watched {
    seat: Arc<Seat>,
    /// The number of the last look.
    last: u64,
    /// The run seen last.
    seen: u64,
    /// The worker's CPU time when it was first seen.
    since: u64,
}

static SEATS: Mutex<Vec<Watched>> = Mutex::new(Vec::new());
static WATCHDOG: OnceLock<Option<Thread>> = OnceLock::new();
/// The watchdog sleeps, or is about to: whoever begins a run wakes it.
static ASLEEP: AtomicBool = AtomicBool::new(false);

#[cold]
fn rouse() {
    if ASLEEP.swap(false, SeqCst)
        && let Some(Some(watchdog)) = WATCHDOG.get()
    {
        watchdog.unpark();
    }
}

/// Takes a machine off the list when Luau closes it.
struct Leave(Arc<Seat>);

impl Drop for Leave {
    fn drop(&mut self) {
        SEATS.lock().retain(|watched| !Arc::ptr_eq(&watched.seat, &self.0));
    }
}

/// The watchdog's life: it looks while scripts run, and sleeps while none does.
fn look() {
    loop {
        let mut quiet = 0;
        while quiet < QUIET {
            std::thread::sleep(TICK);
            quiet = if anybody() { 0 } else { quiet + 1 };
        }
        ASLEEP.store(true, SeqCst);
        // A run that began without seeing this is seen here: a tick is long enough for its number to arrive.
        std::thread::sleep(TICK);
        if anybody() {
            ASLEEP.store(false, SeqCst);
        }
        while ASLEEP.load(SeqCst) {
            std::thread::park();
        }
    }
}

/// Looks at every machine; whether any ran since the last time.
fn anybody() -> bool {
    let mut seats = SEATS.lock();
    seats.iter_mut().fold(false, |any, watched| watched.check() | any)
}

impl Watched {
    /// Ends a run that is too long; says whether there was a run since the last look.
    fn check(&mut self) -> bool {
        let run = self.seat.run.load(Acquire);
        let moved = self.last != run;
        self.last = run;
        if !run.is_multiple_of(2) && self.seat.armed.load(Acquire) != run {
            self.judge(run);
        }
        moved || !run.is_multiple_of(2)
    }

    fn judge(&mut self, run: u64) {
        let Some(now) = cpu_time(self.seat.clock) else { return };
        if self.seen != run {
            (self.seen, self.since) = (run, now);
        } else if now.saturating_sub(self.since) >= self.seat.limit.load(Relaxed) {
            self.seat.reason.store(LATE, Relaxed);
            self.seat.arm(run);
        }
    }
}

/// What sits in the interrupt slot of a machine whose run must end.
unsafe extern "C-unwind" fn kill(state: *mut ffi::lua_State, gc: c_int) {
    if gc >= 0 {
        return;
    }
    // SAFETY: Luau calls this on the machine's own thread with a live state; the seat is noted in its registry and outlives
    // it (`Leave` holds it). Nothing with a destructor is alive when `lua_error` unwinds.
    unsafe {
        let seat = noted(state);
        let run = (*seat).run.load(Relaxed);
        if (*seat).armed.load(Acquire) != run || run.is_multiple_of(2) {
            (*seat).disarm();
            return;
        }
        let message: &std::ffi::CStr = match (*seat).reason.load(Relaxed) {
            OVER => c"the request is over",
            _ => c"ran longer than `limits.step` without waiting",
        };
        push_with_place(state, message);
        ffi::lua_error(state)
    }
}

/// Pushes `file:line: message`, with the innermost line of the script.
unsafe fn push_with_place(state: *mut ffi::lua_State, message: &std::ffi::CStr) {
    // SAFETY: plain reads of the call stack into a structure of our own; may raise for memory, with nothing to drop.
    unsafe {
        let mut frame: ffi::lua_Debug = std::mem::zeroed();
        for level in 0..ffi::lua_stackdepth(state).min(32) {
            if ffi::lua_getinfo(state, level, c"sl".as_ptr(), &raw mut frame) == 0 {
                break;
            }
            let ours = frame.short_src.is_null() || *frame.short_src == b'[' as std::ffi::c_char;
            if frame.currentline > 0 && !ours {
                ffi::lua_pushfstring(
                    state,
                    c"%s:%d: %s".as_ptr(),
                    frame.short_src,
                    frame.currentline,
                    message.as_ptr(),
                );
                return;
            }
        }
        ffi::lua_pushstring(state, message.as_ptr());
    }
}

/// Where the registry keeps the seat.
static KEY: u8 = 0;

/// Notes the seat in the machine's registry, for the killer.
fn note(lua: &Lua, seat: &Arc<Seat>) -> mlua::Result<()> {
    let pointer = Arc::as_ptr(seat).cast_mut();
    // SAFETY: protected by mlua; pushes two light values and stores one, the stack is as before.
    unsafe {
        lua.exec_raw((), |state| {
            ffi::lua_pushlightuserdata(state, (&raw const KEY).cast_mut().cast());
            ffi::lua_pushlightuserdata(state, pointer.cast());
            ffi::lua_rawset(state, ffi::LUA_REGISTRYINDEX);
        })
    }
}

/// The seat of this machine. Allocates nothing, so it cannot raise.
unsafe fn noted(state: *mut ffi::lua_State) -> *const Seat {
    // SAFETY: `note` put it there when the machine was made.
    unsafe {
        ffi::lua_pushlightuserdata(state, (&raw const KEY).cast_mut().cast());
        ffi::lua_rawget(state, ffi::LUA_REGISTRYINDEX);
        let seat = ffi::lua_touserdata(state, -1);
        ffi::lua_pop(state, 1);
        seat.cast()
    }
}

fn own_clock() -> libc::clockid_t {
    let mut clock = libc::CLOCK_THREAD_CPUTIME_ID;
    // SAFETY: both arguments are valid; on failure the clock stays the caller's own, which then never advances for us.
    unsafe { libc::pthread_getcpuclockid(libc::pthread_self(), &raw mut clock) };
    clock
}

/// The CPU time of the thread behind `clock`; `None` when it is gone.
fn cpu_time(clock: libc::clockid_t) -> Option<u64> {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `time` is a valid place for the answer.
    let gone = unsafe { libc::clock_gettime(clock, &raw mut time) } != 0;
    (!gone).then(|| time.tv_sec.unsigned_abs() * 1_000_000_000 + time.tv_nsec.unsigned_abs())
}

fn nanos(limit: Duration) -> u64 {
    u64::try_from(limit.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests;
