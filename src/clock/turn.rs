//! The time as a turn of the event loop knows it: looked at once, however often it is asked for.

use std::cell::Cell;
use std::time::Duration;

use super::Moment;

thread_local! {
    /// The time this thread saw last in this turn of its event loop.
    static TURN: Cell<u64> = const { Cell::new(OUTSIDE) };

    /// How many may still be told that.
    static LEFT: Cell<u32> = const { Cell::new(0) };

    /// A moment, and what the system's clock said then.
    static WALL: Cell<(u64, u64)> = const { Cell::new((u64::MAX, 0)) };
}

/// A thread that always has work parks for no moment, and nobody says then that a turn begins: a look serves so many
/// askers, which is some requests.
const ASKERS: u32 = 32;

/// How long a look at the system's clock is good for, in nanoseconds.
const FRESH: u64 = 1_000_000_000;

/// The turn's time was not looked at yet.
const UNSEEN: u64 = 0;
/// The thread has no event loop that calls [`begin`].
const OUTSIDE: u64 = u64::MAX;

/// A turn of this thread's event loop begins.
pub(crate) fn begin() {
    TURN.set(UNSEEN);
}

/// Something took its time: what is known of the turn's is out of date.
#[inline]
pub(crate) fn outdate() {
    if TURN.get() != OUTSIDE {
        TURN.set(UNSEEN);
    }
}

/// The turn's time, looked at where nobody has.
#[inline]
pub(super) fn seen() -> Moment {
    match TURN.get() {
        UNSEEN | OUTSIDE => look(),
        seen => match LEFT.get().checked_sub(1) {
            Some(left) => {
                LEFT.set(left);
                Moment(seen)
            }
            None => look(),
        },
    }
}

/// The time, which is the turn's from here on.
pub(super) fn look() -> Moment {
    let now = monotonic();
    if TURN.get() != OUTSIDE {
        TURN.set(now.0);
        LEFT.set(ASKERS);
    }
    now
}

/// Milliseconds since the Unix epoch at the turn's time, by a look at the system's clock that is less than a second old.
#[inline]
pub(super) fn millis() -> u64 {
    let (turn, (at, wall)) = (seen().0, WALL.get());
    match turn.checked_sub(at) {
        Some(past) if past < FRESH => (wall + past) / 1_000_000,
        _ => compare() / 1_000_000,
    }
}

/// Notes what the two clocks say at one moment, and returns the system's, in nanoseconds since the Unix epoch.
#[cold]
fn compare() -> u64 {
    let wall = u64::try_from(wall().as_nanos()).unwrap_or(u64::MAX);
    WALL.set((look().0, wall));
    wall
}

/// The system's clock, as time since the Unix epoch.
pub(super) fn wall() -> Duration {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Realtime);
    Duration::new(now.tv_sec.unsigned_abs(), u32::try_from(now.tv_nsec).unwrap_or_default())
}

/// Asked several times a request: this is half the price of an `Instant` and a difference.
fn monotonic() -> Moment {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    Moment(now.tv_sec.unsigned_abs() * 1_000_000_000 + now.tv_nsec.unsigned_abs())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Clock;

    #[test]
    fn within_a_turn_it_stands_still_until_somebody_looks() {
        let clock = Clock::real();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().on_thread_unpark(begin).build();
        runtime.unwrap().block_on(async {
            clock.sleep(Duration::from_millis(1)).await;
            let first = clock.turn();
            std::thread::sleep(Duration::from_millis(1));
            assert_eq!(clock.turn(), first);
            let looked = clock.now();
            assert!(looked > first);
            assert_eq!(clock.turn(), looked, "who looks does it for all");
            outdate();
            assert!(clock.turn() > looked);
            let before = clock.turn();
            clock.sleep(Duration::from_millis(1)).await;
            assert!(clock.turn().since(before) >= Duration::from_millis(1), "another turn");
            let (first, mut asked) = (clock.turn(), 0);
            std::thread::sleep(Duration::from_millis(1));
            while clock.turn() == first {
                asked += 1;
            }
            assert!(asked <= ASKERS, "one look serves {asked}");
        });
    }

    #[test]
    fn its_milliseconds_keep_up_with_the_systems_clock() {
        let clock = Clock::real();
        for _ in 0..3 {
            let (before, told) = (clock.unix().as_millis(), u128::from(clock.turn_millis()));
            let after = clock.unix().as_millis();
            assert!(before <= told + 1 && told <= after + 1, "{before} {told} {after}");
            std::thread::sleep(Duration::from_millis(3));
        }
        let fake = Clock::fake(Duration::from_millis(5_000));
        fake.advance(Duration::from_millis(7));
        assert_eq!(fake.turn_millis(), 5_007);
    }

    #[test]
    fn without_an_event_loop_it_is_now() {
        let clock = Clock::real();
        outdate();
        let first = clock.turn();
        std::thread::sleep(Duration::from_millis(1));
        assert!(clock.turn() > first);
    }
}
