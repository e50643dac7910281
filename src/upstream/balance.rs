//! Which host gets the next request: pure choices, with time, load and chance as parameters.

mod draw;
mod ewma;
mod hash;
mod round_robin;
#[cfg(test)]
mod tests;

pub use ewma::Latency;
pub use hash::Ring;
pub use hash::digest;

pub(crate) use draw::fraction;
pub(crate) use hash::mixed;

use std::cell::Cell;
use std::rc::Rc;

use crate::clock::Moment;
use crate::upstream::Balance;
use draw::Draw;
use hash::Bound;

/// A host as a balancer sees it.
pub trait Candidate {
    /// Its number among all hosts of the upstream, those that may not be asked among them.
    fn number(&self) -> usize;

    /// Its share, 1 and up.
    fn weight(&self) -> u32;

    /// Requests it is busy with.
    fn load(&self) -> u32;

    /// What its answers took of late, in nanoseconds; 0 when nothing is known.
    fn latency(&self, now: Moment) -> f64;

    /// What smooth round robin remembers of it between two choices.
    fn turn(&self) -> &Cell<i64>;
}

/// What a choice goes by beside the hosts.
pub struct Ask<C> {
    /// The request's place on the ring.
    pub key: u64,
    /// Now.
    pub now: Moment,
    /// Chance, a new number each time.
    pub chance: C,
}

/// Hosts of one rank, made ready once for many choices: a choice among a hundred costs about what one among two does.
pub struct Tier<H> {
    hosts: Box<[H]>,
    draw: Draw,
    /// Whose turn it is where all weigh the same.
    next: Cell<usize>,
    seats: Option<Seats>,
}

/// The ring of all hosts of the upstream, and where in a tier the host of each number is.
struct Seats {
    ring: Rc<Ring>,
    places: Box<[Option<usize>]>,
}

impl<H: Candidate> Tier<H> {
    /// Hosts of one rank; `ring` is of all hosts of the upstream, for [`Balance::Hash`].
    pub fn new(hosts: Vec<H>, ring: Option<&Rc<Ring>>) -> Self {
        let draw = Draw::new(hosts.iter().map(Candidate::weight));
        let seats = ring.map(|ring| Seats { ring: Rc::clone(ring), places: places(&hosts) });
        Self { hosts: hosts.into(), draw, next: Cell::new(0), seats }
    }

    /// Those that may be asked.
    pub fn hosts(&self) -> &[H] {
        &self.hosts
    }

    /// The host to ask, among those that `may` allows.
    pub fn pick(&self, balance: Balance, ask: &Ask<impl Fn() -> u64>, may: impl Fn(&H) -> bool) -> Option<&H> {
        let may = |index: usize| may(&self.hosts[index]);
        let index = match balance {
            _ if self.hosts.len() < 2 => (!self.hosts.is_empty() && may(0)).then_some(0),
            Balance::LeastRequest => self.lighter(ask, may, |host| f64::from(host.load())),
            Balance::Ewma => self.lighter(ask, may, |host| ewma::cost(host, ask.now)),
            Balance::RoundRobin if self.draw.is_even() => self.rotate(may),
            Balance::RoundRobin => round_robin::pick(&self.hosts, may),
            Balance::Random => self.draw.one(&ask.chance, may),
            Balance::First => (0..self.hosts.len()).find(|&index| may(index)),
            Balance::Hash => self.ranked(ask.key, may),
        };
        index.map(|index| &self.hosts[index])
    }

    /// Power of two choices: of two hosts drawn by weight, the one with less burden for its weight; the first drawn when
    /// they are even, so that an idle upstream is shared out by weight.
    fn lighter(
        &self,
        ask: &Ask<impl Fn() -> u64>,
        may: impl Fn(usize) -> bool,
        burden: impl Fn(&H) -> f64,
    ) -> Option<usize> {
        let (first, second) = self.draw.two(&ask.chance);
        let share = |index: usize| burden(&self.hosts[index]) / f64::from(self.hosts[index].weight());
        match (may(first), may(second)) {
            (true, true) => Some(if share(second) < share(first) { second } else { first }),
            (true, false) => Some(first),
            (false, true) => Some(second),
            (false, false) => self.draw.one(&ask.chance, may),
        }
    }

    fn rotate(&self, may: impl Fn(usize) -> bool) -> Option<usize> {
        let count = self.hosts.len();
        let index = (0..count).map(|step| (self.next.get() + step) % count).find(|&index| may(index))?;
        self.next.set(index + 1);
        Some(index)
    }

    /// The first host from the key's place on, round the ring, that has room; the first at all when none has.
    fn ranked(&self, key: u64, may: impl Fn(usize) -> bool) -> Option<usize> {
        let Seats { ring, places } = self.seats.as_ref()?;
        let here = || ring.from(key).filter_map(|number| places.get(number).copied().flatten()).filter(|&at| may(at));
        let first = here().next()?;
        if hash::is_free(&self.hosts[first]) {
            return Some(first);
        }
        let bound = Bound::of(&self.hosts);
        here().find(|&at| bound.admits(&self.hosts[at])).or(Some(first))
    }
}

/// Where in `hosts` the host of each number is.
fn places<H: Candidate>(hosts: &[H]) -> Box<[Option<usize>]> {
    let count = hosts.iter().map(|host| host.number() + 1).max().unwrap_or(0);
    let mut places = vec![None; count];
    for (index, host) in hosts.iter().enumerate() {
        places[host.number()] = Some(index);
    }
    places.into()
}
