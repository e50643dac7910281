//! Which host gets the next request: pure choices, with chance and load as parameters.

mod first;
mod least_request;
mod random;
mod round_robin;
#[cfg(test)]
mod tests;

use std::cell::Cell;

use crate::upstream::Balance;

/// A host as a balancer sees it.
pub trait Candidate {
    /// Its share, 1 and up.
    fn weight(&self) -> u32;

    /// Requests it is busy with.
    fn load(&self) -> u32;

    /// Whether it stands in only when no other may be asked.
    fn backup(&self) -> bool;

    /// What smooth round robin remembers of it between two choices.
    fn turn(&self) -> &Cell<i64>;
}

/// The index of the host to ask, among those that `may` allows; a backup only when no other may be asked.
pub fn pick<C: Candidate>(
    balance: Balance,
    hosts: &[C],
    chance: impl Fn() -> u64,
    may: impl Fn(usize) -> bool,
) -> Option<usize> {
    if let [only] = hosts {
        let _ = only;
        return may(0).then_some(0);
    }
    among(balance, hosts, &chance, &|index| !hosts[index].backup() && may(index))
        .or_else(|| among(balance, hosts, &chance, &|index| hosts[index].backup() && may(index)))
}

fn among<C: Candidate>(
    balance: Balance,
    hosts: &[C],
    chance: &impl Fn() -> u64,
    may: &impl Fn(usize) -> bool,
) -> Option<usize> {
    match balance {
        Balance::LeastRequest => least_request::pick(hosts, chance, may),
        Balance::RoundRobin => round_robin::pick(hosts, may),
        Balance::Random => random::pick(hosts, chance(), may),
        Balance::First => first::pick(hosts.len(), may),
    }
}
