//! One worker's view of an upstream: who may be asked, ready to be chosen from; made anew only when that changes.

use std::cell::Cell;
use std::rc::Rc;
use std::sync::Arc;

use crate::clock::Moment;
use crate::upstream::Balance;
use crate::upstream::Member;
use crate::upstream::Shared;
use crate::upstream::balance::Ask;
use crate::upstream::balance::Candidate;
use crate::upstream::balance::Ring;
use crate::upstream::balance::Tier;
use crate::upstream::lineup::Lineup;
use crate::upstream::pool::Lane;
use crate::upstream::pool::Pools;

/// A member with this worker's connections to it.
pub(super) struct Spot {
    lane: Rc<Lane>,
    number: usize,
    weight: u32,
}

impl Candidate for Spot {
    fn number(&self) -> usize {
        self.number
    }

    fn weight(&self) -> u32 {
        self.weight
    }

    fn load(&self) -> u32 {
        self.lane.host.in_flight()
    }

    fn latency(&self, now: Moment) -> f64 {
        self.lane.host.vitals().latency.at(now)
    }

    fn turn(&self) -> &Cell<i64> {
        &self.lane.turn
    }
}

/// The hosts as they were at one version.
pub(super) struct View {
    version: u64,
    until: Moment,
    members: Arc<Vec<Member>>,
    ring: Option<Rc<Ring>>,
    first: Tier<Spot>,
    backups: Tier<Spot>,
    trials: Vec<Rc<Lane>>,
}

impl View {
    /// Of an upstream that was not looked at yet.
    pub(super) fn new() -> Self {
        Self {
            version: 0,
            until: Moment::NEVER,
            members: Arc::default(),
            ring: None,
            first: Tier::new(Vec::new(), None),
            backups: Tier::new(Vec::new(), None),
            trials: Vec::new(),
        }
    }

    /// Looks again if anything changed, or time alone has changed something.
    #[inline]
    pub(super) fn refresh(&mut self, shared: &Shared, pools: &Pools, now: Moment) {
        if self.version != shared.version() || now >= self.until {
            self.look(shared, pools, now);
        }
    }

    #[cold]
    fn look(&mut self, shared: &Shared, pools: &Pools, now: Moment) {
        let config = shared.config();
        self.version = shared.version();
        let members = shared.members();
        if config.balance == Balance::Hash && !Arc::ptr_eq(&members, &self.members) {
            let hosts = members.iter().map(|member| (member.host.place(), member.weight)).collect::<Vec<_>>();
            self.ring = Some(Rc::new(Ring::new(hosts.iter().map(|(place, weight)| (place.as_str(), *weight)))));
        }
        let lineup = Lineup::of(&members, config, now);
        let spot = |number: &usize| {
            let member = &members[*number];
            let mut weight = member.weight;
            if !config.slow_start.is_zero() {
                weight = weight.saturating_mul(member.host.vitals().ramp(now, config.slow_start).0);
            }
            Spot { lane: pools.lane(&member.host, config.kept()), number: *number, weight }
        };
        let tier = |numbers: &[usize]| Tier::new(numbers.iter().map(spot).collect(), self.ring.as_ref());
        (self.first, self.backups) = (tier(&lineup.first), tier(&lineup.backups));
        self.trials = lineup.trials.iter().map(|number| spot(number).lane).collect();
        self.until = lineup.until;
        self.members = members;
    }

    /// A host that has not failed this request, as long as there is one.
    pub(super) fn choose(&self, shared: &Shared, ask: &Ask<impl Fn() -> u64>, tried: &[u64]) -> Option<Rc<Lane>> {
        let fresh = |lane: &Lane| !tried.contains(&lane.host.id);
        if !self.trials.is_empty()
            && let Some(lane) = self.trials.iter().find(|lane| fresh(lane) && shared.may_try(&lane.host, ask.now))
        {
            return Some(Rc::clone(lane));
        }
        let balance = shared.config().balance;
        let pick = |tier: &Tier<Spot>, again: bool| {
            let spot = tier.pick(balance, ask, |spot| again || fresh(&spot.lane))?;
            Some(Rc::clone(&spot.lane))
        };
        pick(&self.first, false)
            .or_else(|| pick(&self.backups, false))
            .or_else(|| pick(&self.first, true))
            .or_else(|| pick(&self.backups, true))
    }

    /// Whether every host that may be asked has failed this request.
    pub(super) fn is_exhausted(&self, tried: &[u64]) -> bool {
        let mut spots = self.first.hosts().iter().chain(self.backups.hosts());
        spots.all(|spot| tried.contains(&spot.lane.host.id))
    }

    /// Whether there is a host at all.
    pub(super) fn is_empty(&self) -> bool {
        self.members.is_empty()
    }
}
