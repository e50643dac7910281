//! A host by weighted lot.

use crate::upstream::balance::Candidate;

/// The host on which `lot` falls when each holds as many tickets as its weight.
pub(super) fn pick<C: Candidate>(hosts: &[C], lot: u64, may: &impl Fn(usize) -> bool) -> Option<usize> {
    let allowed = || hosts.iter().enumerate().filter(|(index, _)| may(*index));
    let total: u64 = allowed().map(|(_, host)| u64::from(host.weight())).sum();
    let mut ticket = below(lot, total)?;
    for (index, host) in allowed() {
        match ticket.checked_sub(u64::from(host.weight())) {
            None => return Some(index),
            Some(rest) => ticket = rest,
        }
    }
    None
}

/// `lot` mapped evenly onto `0..total`.
fn below(lot: u64, total: u64) -> Option<u64> {
    #[allow(clippy::cast_possible_truncation, reason = "the upper half of a product with `total` is below `total`")]
    let ticket = ((u128::from(lot) * u128::from(total)) >> 64) as u64;
    (total > 0).then_some(ticket)
}
