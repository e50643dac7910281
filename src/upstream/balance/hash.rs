//! Consistent hashing: the same key finds the same host on every gateway, and a host that comes or goes moves only its own
//! part of the keys.

use crate::upstream::balance::Candidate;

/// Points of a host of weight 1: its part of the keys is then off by 6 % (one standard deviation).
const POINTS: u64 = 256;

/// Points of a ring at most, but for the one that every host has; beyond, every host has fewer.
const MOST: u64 = 1 << 16;

/// A host may be this much busier than the average for its weight before the next on the ring takes over.
const BOUND: f64 = 1.5;

/// What a host may be busy with whatever the average is.
const FREE: u32 = 4;

/// The points of all hosts in the order of their places; built once for a set of hosts, by weight alone, so that a host
/// that is out for a while takes no other's keys along.
pub struct Ring(Box<[(u64, u32)]>);

impl Ring {
    /// The ring of hosts by name and weight; a host's number is its place in the list.
    pub fn new<'a>(hosts: impl Iterator<Item = (&'a str, u32)> + Clone) -> Self {
        let all: u64 = hosts.clone().map(|(_, weight)| u64::from(weight)).sum();
        // halved as often as it takes, also where weights alone are more than a ring has room for
        let halved = (0..u64::BITS).find(|&halved| (all.saturating_mul(POINTS) >> halved) <= MOST).unwrap_or(0);
        let mut points = Vec::new();
        for (number, (name, weight)) in (0_u32..).zip(hosts) {
            let name = digest(name.as_bytes());
            let own = ((u64::from(weight) * POINTS) >> halved).max(1);
            points.extend((0..own).map(|nth| (mixed(name.wrapping_add(mixed(nth))), number)));
        }
        points.sort_unstable();
        Self(points.into())
    }

    /// Numbers of hosts from the place of `key` on, once round; a host comes up many times.
    pub(super) fn from(&self, key: u64) -> impl Iterator<Item = usize> {
        let start = self.0.partition_point(|(place, _)| *place < key);
        self.0[start..].iter().chain(&self.0[..start]).map(|(_, number)| *number as usize)
    }
}

/// How busy a host may be for its weight.
pub(super) struct Bound(f64);

impl Bound {
    pub(super) fn of<C: Candidate>(hosts: &[C]) -> Self {
        let busy: u64 = hosts.iter().map(|host| u64::from(host.load())).sum();
        let weights: f64 = hosts.iter().map(|host| f64::from(host.weight())).sum();
        Self(BOUND * (busy as f64 + 1.0) / weights)
    }

    /// Whether `host` can take one more request.
    pub(super) fn admits(&self, host: &impl Candidate) -> bool {
        is_free(host) || f64::from(host.load()) + 1.0 <= (self.0 * f64::from(host.weight())).ceil()
    }
}

/// Whether `host` has so little to do that it need not be compared with others.
pub(super) fn is_free(host: &impl Candidate) -> bool {
    host.load() < FREE
}

/// A text's place on the ring: the same in every process and version (FNV-1a, then mixed).
pub fn digest(text: &[u8]) -> u64 {
    let fnv = text
        .iter()
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3));
    mixed(fnv)
}

/// Every bit of the result depends on every bit of `bits` (the last step of splitmix64).
#[inline]
pub(crate) fn mixed(bits: u64) -> u64 {
    let bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    bits ^ (bits >> 31)
}
