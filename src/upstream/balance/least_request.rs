//! Power of two choices: of two hosts drawn by weight, the one with less under way for its weight.

use crate::upstream::balance::Candidate;
use crate::upstream::balance::random;

/// Draws two different hosts by weight and takes the less loaded; the first drawn when they are even, so an idle
/// upstream is shared out by weight.
pub(super) fn pick<C: Candidate>(
    hosts: &[C],
    chance: &impl Fn() -> u64,
    may: &impl Fn(usize) -> bool,
) -> Option<usize> {
    let first = random::pick(hosts, chance(), may)?;
    let Some(second) = random::pick(hosts, chance(), &|index| index != first && may(index)) else {
        return Some(first);
    };
    let burden = |of: usize, other: usize| u64::from(hosts[of].load()) * u64::from(hosts[other].weight());
    Some(if burden(second, first) < burden(first, second) { second } else { first })
}
