//! The one source of time: every wait and deadline goes through a [`Clock`], which tests turn by hand.

mod alarms;
mod turn;

use std::cell::Cell;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::Context;
use std::task::Poll;
use std::task::Waker;
use std::time::Duration;

use parking_lot::Mutex;

pub use alarms::Alarm;
pub use alarms::Alarms;
pub(crate) use turn::begin;
pub(crate) use turn::outdate;

/// A point in monotonic time: nanoseconds since the machine (or the fake clock) began.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Moment(pub u64);

impl Moment {
    /// So far away that it never comes.
    pub const NEVER: Self = Self(u64::MAX);

    /// This moment plus `wait`, saturating at [`Moment::NEVER`].
    pub fn after(self, wait: Duration) -> Self {
        Self(self.0.saturating_add(u64::try_from(wait.as_nanos()).unwrap_or(u64::MAX)))
    }

    /// How long from `earlier` to this moment; zero when it lies ahead.
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }
}

/// A handle on time, cheap to clone and to share between threads.
#[derive(Clone, Default)]
pub struct Clock {
    fake: Option<Arc<Mutex<Fake>>>,
}

impl Clock {
    /// The machine's own clock.
    pub fn real() -> Self {
        Self { fake: None }
    }

    /// A clock that stands still at `wall` (time since the Unix epoch) until [`Clock::advance`] turns it.
    pub fn fake(wall: Duration) -> Self {
        let fake = Fake { now: 0, wall, next: 0, sleepers: Vec::new() };
        Self { fake: Some(Arc::new(Mutex::new(fake))) }
    }

    /// Now, on the monotonic scale.
    #[inline]
    pub fn now(&self) -> Moment {
        match &self.fake {
            None => turn::look(),
            Some(fake) => Moment(fake.lock().now),
        }
    }

    /// When this turn of the thread's event loop began, or a moment of it: half the price of [`Clock::now`] and more.
    ///
    /// For what came in with the turn, and for deadlines, whose alarms are looked at every [`Alarms::TICK`] anyway. It is
    /// never older than that, nor than the end of the last run of a script, and one look serves a few requests at most.
    #[inline]
    pub fn turn(&self) -> Moment {
        match &self.fake {
            None => turn::seen(),
            Some(fake) => Moment(fake.lock().now),
        }
    }

    /// Milliseconds since the Unix epoch at [`Clock::turn`]; a step of the system's clock shows within a second.
    #[inline]
    pub fn turn_millis(&self) -> u64 {
        match &self.fake {
            None => turn::millis(),
            Some(_) => u64::try_from(self.unix().as_millis()).unwrap_or(u64::MAX),
        }
    }

    /// Now, as time since the Unix epoch.
    pub fn unix(&self) -> Duration {
        match &self.fake {
            None => turn::wall(),
            Some(fake) => {
                let fake = fake.lock();
                fake.wall + Duration::from_nanos(fake.now)
            }
        }
    }

    /// Waits for `wait` on this clock.
    pub fn sleep(&self, wait: Duration) -> Sleep {
        match &self.fake {
            None => Sleep::Real(Box::pin(real_sleep(wait))),
            Some(fake) => {
                let mut inner = fake.lock();
                inner.next += 1;
                let due = Moment(inner.now).after(wait);
                Sleep::Fake { fake: Arc::clone(fake), id: inner.next, due }
            }
        }
    }

    /// Waits until `due`.
    pub fn sleep_until(&self, due: Moment) -> Sleep {
        self.sleep(due.since(self.now()))
    }

    /// `work`, or `None` when it has not finished within `limit`.
    pub async fn timeout<F: Future>(&self, limit: Duration, work: F) -> Option<F::Output> {
        let mut work = std::pin::pin!(work);
        let mut sleep = self.sleep(limit);
        std::future::poll_fn(move |cx| {
            if let Poll::Ready(output) = work.as_mut().poll(cx) {
                return Poll::Ready(Some(output));
            }
            Pin::new(&mut sleep).poll(cx).map(|()| None)
        })
        .await
    }

    /// Turns a fake clock by `by` and wakes whoever slept until then. A real clock is left alone.
    pub fn advance(&self, by: Duration) {
        let Some(fake) = &self.fake else { return };
        let mut fake = fake.lock();
        fake.now = Moment(fake.now).after(by).0;
        let now = fake.now;
        fake.sleepers.retain(|sleeper| {
            let due = sleeper.due.0 <= now;
            if due {
                sleeper.waker.wake_by_ref();
            }
            !due
        });
    }

    /// Puts a fake clock back to where it began; nobody sleeps on it then.
    pub fn rewind(&self) {
        let Some(fake) = &self.fake else { return };
        let mut fake = fake.lock();
        fake.now = 0;
        fake.sleepers.clear();
    }

    /// When the next sleeper of a fake clock wakes, if anyone sleeps.
    pub fn next_due(&self) -> Option<Moment> {
        self.fake.as_ref()?.lock().sleepers.iter().map(|sleeper| sleeper.due).min()
    }
}

/// The future of [`Clock::sleep`].
pub enum Sleep {
    /// On the machine's clock.
    Real(Pin<Box<tokio::time::Sleep>>),
    /// On a clock turned by hand.
    Fake {
        /// The clock.
        fake: Arc<Mutex<Fake>>,
        /// This sleeper's number there.
        id: u64,
        /// When to wake.
        due: Moment,
    },
}

impl Future for Sleep {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        match self.get_mut() {
            Self::Real(sleep) => sleep.as_mut().poll(cx),
            Self::Fake { fake, id, due } => fake.lock().poll_sleeper(*id, *due, cx),
        }
    }
}

impl Drop for Sleep {
    fn drop(&mut self) {
        if let Self::Fake { fake, id, .. } = self {
            fake.lock().sleepers.retain(|sleeper| sleeper.id != *id);
        }
    }
}

/// The state of a fake clock.
pub struct Fake {
    now: u64,
    wall: Duration,
    next: u64,
    sleepers: Vec<Sleeper>,
}

impl Fake {
    fn poll_sleeper(&mut self, id: u64, due: Moment, cx: &mut Context<'_>) -> Poll<()> {
        if due.0 <= self.now {
            return Poll::Ready(());
        }
        self.sleepers.retain(|sleeper| sleeper.id != id);
        self.sleepers.push(Sleeper { id, due, waker: cx.waker().clone() });
        Poll::Pending
    }
}

/// Runs `work` on a thread of its own. Virtual time stands still until the result is taken or dropped.
pub fn aside<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Aside<T> {
    ASIDE.set(ASIDE.get() + 1);
    Aside(tokio::task::spawn_blocking(work))
}

/// Whether anything of this thread's is done aside.
pub fn is_aside() -> bool {
    ASIDE.get() > 0
}

thread_local! {
    static ASIDE: Cell<usize> = const { Cell::new(0) };
}

/// What [`aside`] does.
pub struct Aside<T>(tokio::task::JoinHandle<T>);

impl<T> Future for Aside<T> {
    type Output = Result<T, tokio::task::JoinError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        Pin::new(&mut self.0).poll(cx)
    }
}

impl<T> Drop for Aside<T> {
    fn drop(&mut self) {
        ASIDE.set(ASIDE.get().saturating_sub(1));
    }
}

struct Sleeper {
    id: u64,
    due: Moment,
    waker: Waker,
}

#[allow(clippy::disallowed_methods, reason = "this is the clock")]
fn real_sleep(wait: Duration) -> tokio::time::Sleep {
    tokio::time::sleep(wait)
}
