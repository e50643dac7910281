//! Smooth weighted round robin: turns are spread out, not served in runs.

use crate::upstream::balance::Candidate;

/// Every host earns its weight each turn; the richest is asked and pays the total.
pub(super) fn pick<C: Candidate>(hosts: &[C], may: impl Fn(usize) -> bool) -> Option<usize> {
    let mut total = 0;
    let mut best: Option<(usize, i64)> = None;
    for (index, host) in hosts.iter().enumerate().filter(|(index, _)| may(*index)) {
        let weight = i64::from(host.weight());
        let turn = host.turn().get() + weight;
        host.turn().set(turn);
        total += weight;
        if best.is_none_or(|(_, most)| turn > most) {
            best = Some((index, turn));
        }
    }
    let (index, turn) = best?;
    hosts[index].turn().set(turn - total);
    Some(index)
}
