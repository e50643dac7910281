//! Counters as bytes and back, for limits that outlive the process: times are those of the wall there.

use super::Limiter;
use super::Now;
use super::key::Key;
use super::log::Log;
use super::state::State;

/// A counter under its key; no bytes: nothing is left of it.
pub type Saved = (Key, Vec<u8>);

impl Limiter {
    /// The secret that its keys are hashed with: whoever keeps counters keeps it too.
    pub fn secret(&self) -> [u64; 2] {
        self.secret
    }

    /// Notes from now on which counters change, for [`Limiter::changed`].
    pub fn remember_changes(&self) {
        for shard in &self.shards {
            shard.lock().changed.get_or_insert_default();
        }
    }

    /// The counters that changed since this was last asked.
    pub fn changed(&self, now: Now) -> Vec<Saved> {
        let mut saved = Vec::new();
        for shard in &self.shards {
            let mut shard = shard.lock();
            let Some(changed) = shard.changed.as_mut().map(std::mem::take) else { continue };
            saved.extend(
                changed.into_iter().map(|key| (key, shard.peek(key).map(|own| write(own, now)).unwrap_or_default())),
            );
        }
        saved
    }

    /// Every counter that holds anything.
    pub fn all(&self, now: Now) -> Vec<Saved> {
        let mut saved = Vec::new();
        for shard in &self.shards {
            let shard = shard.lock();
            saved.extend(shard.iter().map(|(key, own)| (key, write(own, now))).filter(|(_, bytes)| !bytes.is_empty()));
        }
        saved
    }

    /// Puts a counter back; bytes that nobody can read are no counter.
    pub fn restore(&self, key: Key, bytes: &[u8], now: Now) {
        let config = self.config.load();
        let states = read(bytes, now);
        if states.is_empty() {
            return;
        }
        let mut shard = self.shard(key).lock();
        let place = shard.touch(key, (config.keys / self.shards.len()).max(1));
        let mut entries = 0;
        for (own, state) in shard.at(place).iter_mut().zip(states) {
            entries += state.entries();
            *own = state;
        }
        shard.uses += entries;
    }
}

const BUCKET: u8 = 1;
const SLIDING: u8 = 2;
const FIXED: u8 = 3;
const CALENDAR: u8 = 4;

/// Nothing when no state holds anything.
fn write(states: &[State], now: Now) -> Vec<u8> {
    if states.iter().all(|state| state.used() == 0) {
        return Vec::new();
    }
    let wall = |at: u64| unix(now).saturating_sub(now.moment.0.saturating_sub(at));
    let mut bytes = Vec::new();
    let mut put = |kind: u8, uses: &[(u64, u64)]| {
        bytes.push(kind);
        bytes.extend(u16::try_from(uses.len()).unwrap_or(u16::MAX).to_le_bytes());
        for (at, used) in uses.iter().take(usize::from(u16::MAX)) {
            bytes.extend(at.to_le_bytes());
            bytes.extend(used.to_le_bytes());
        }
    };
    for state in states {
        match state {
            State::Unused => put(0, &[]),
            State::Bucket { used, since } => put(BUCKET, &[(wall(*since), used.to_bits())]),
            State::Once { at, used } => put(SLIDING, &[(wall(*at), *used)]),
            State::Sliding(log) => {
                let uses: Vec<_> = log.uses().iter().map(|(at, used)| (wall(*at), *used)).collect();
                put(SLIDING, &uses);
            }
            State::Fixed { begin, used } => put(FIXED, &[(wall(*begin), *used)]),
            State::Calendar { begin, used } => put(CALENDAR, &[(*begin, *used)]),
        }
    }
    bytes
}

fn read(mut bytes: &[u8], now: Now) -> Vec<State> {
    // What lies before the machine began is as if it had just happened then: never too early.
    let moment = |at: u64| now.moment.0.saturating_sub(unix(now).saturating_sub(at));
    let mut states = Vec::new();
    while let Some((head, rest)) = bytes.split_first_chunk::<3>() {
        let count = usize::from(u16::from_le_bytes([head[1], head[2]]));
        let Some((body, rest)) = rest.split_at_checked(count * 16) else { return Vec::new() };
        let number = |bytes: &[u8]| u64::from_le_bytes(bytes.try_into().expect("eight bytes"));
        let uses: Vec<(u64, u64)> =
            body.chunks_exact(16).map(|use_| (number(&use_[..8]), number(&use_[8..]))).collect();
        let first = uses.first().copied();
        let state = match (head[0], first) {
            (BUCKET, Some((since, used))) => {
                let used = f64::from_bits(used);
                State::Bucket { used: if used.is_finite() { used.max(0.0) } else { 0.0 }, since: moment(since) }
            }
            (SLIDING, Some((at, used))) if uses.len() == 1 => State::Once { at: moment(at), used },
            (SLIDING, Some(_)) => State::Sliding(Log::with(uses.into_iter().map(|(at, used)| (moment(at), used)))),
            (FIXED, Some((begin, used))) => State::Fixed { begin: moment(begin), used },
            (CALENDAR, Some((begin, used))) => State::Calendar { begin, used },
            _ => State::Unused,
        };
        states.push(state);
        bytes = rest;
    }
    states
}

fn unix(now: Now) -> u64 {
    u64::try_from(now.unix.as_nanos()).unwrap_or(u64::MAX)
}
