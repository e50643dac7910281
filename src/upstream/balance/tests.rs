use std::cell::Cell;
use std::collections::HashSet;
use std::rc::Rc;
use std::time::Duration;

use super::Ask;
use super::Candidate;
use super::Latency;
use super::Ring;
use super::Tier;
use super::digest;
use super::mixed;
use crate::clock::Moment;
use crate::upstream::Balance;

#[derive(Default)]
struct Host {
    number: usize,
    weight: u32,
    load: Cell<u32>,
    latency: Latency,
    turn: Cell<i64>,
}

impl Candidate for Host {
    fn number(&self) -> usize {
        self.number
    }

    fn weight(&self) -> u32 {
        self.weight
    }

    fn load(&self) -> u32 {
        self.load.get()
    }

    fn latency(&self, now: Moment) -> f64 {
        self.latency.at(now)
    }

    fn turn(&self) -> &Cell<i64> {
        &self.turn
    }
}

const ALL: [Balance; 6] =
    [Balance::First, Balance::Random, Balance::RoundRobin, Balance::LeastRequest, Balance::Ewma, Balance::Hash];

/// The ring of hosts named by their numbers.
fn ring(weights: &[u32]) -> Rc<Ring> {
    let names: Vec<_> = (0..weights.len()).map(|number| format!("10.0.0.{number}:80")).collect();
    Rc::new(Ring::new(names.iter().map(String::as_str).zip(weights.iter().copied())))
}

fn tier(weights: &[u32]) -> Tier<Host> {
    let host = |(number, weight): (usize, &u32)| Host { number, weight: *weight, ..Host::default() };
    Tier::new(weights.iter().enumerate().map(host).collect(), Some(&ring(weights)))
}

/// A generator with a fixed seed, so that a failure repeats.
fn chance() -> impl Fn() -> u64 {
    let seed = Cell::new(7_u64);
    move || {
        seed.set(seed.get().wrapping_add(0x9e37_79b9_7f4a_7c15));
        mixed(seed.get())
    }
}

fn pick(tier: &Tier<Host>, balance: Balance, key: u64, chance: &impl Fn() -> u64) -> Option<usize> {
    let ask = Ask { key, now: Moment(0), chance };
    tier.pick(balance, &ask, |_| true).map(|host| host.number)
}

fn counts(balance: Balance, tier: &Tier<Host>, times: u32) -> Vec<u32> {
    let chance = chance();
    let mut counts = vec![0_u32; tier.hosts().len()];
    for nth in 0..times {
        counts[pick(tier, balance, digest(&nth.to_le_bytes()), &chance).unwrap()] += 1;
    }
    counts
}

fn shares(balance: Balance, tier: &Tier<Host>, times: u32) -> Vec<f64> {
    counts(balance, tier, times).into_iter().map(|count| f64::from(count) / f64::from(times)).collect()
}

fn assert_close(shares: &[f64], wanted: &[f64], slack: f64) {
    for (share, wanted) in shares.iter().zip(wanted) {
        assert!((share - wanted).abs() <= slack, "{shares:?} is not {wanted}");
    }
}

/// Pearson's chi-square of `counts` against `weights`: for n hosts it is about n - 1, give or take its square root.
fn chi_square(counts: &[u32], weights: &[u32]) -> f64 {
    let (all, total) = (counts.iter().sum::<u32>(), weights.iter().sum::<u32>());
    let pairs = counts.iter().zip(weights);
    let terms = pairs.map(|(count, weight)| {
        let expected = f64::from(all) * f64::from(*weight) / f64::from(total);
        (f64::from(*count) - expected).powi(2) / expected
    });
    terms.sum()
}

#[test]
fn round_robin_is_exact_and_smooth() {
    let hosts = tier(&[5, 1, 1]);
    let turns: Vec<_> = (0..7).map(|_| pick(&hosts, Balance::RoundRobin, 0, &|| 0).unwrap()).collect();
    assert_eq!(turns, [0, 0, 1, 0, 2, 0, 0]);
    assert_eq!(counts(Balance::RoundRobin, &hosts, 7_000), [5_000, 1_000, 1_000]);
    assert_eq!(counts(Balance::RoundRobin, &tier(&[3; 100]), 5_000), [50; 100]);
}

#[test]
fn random_follows_the_weights() {
    // 99.9 % of fair draws stay below 13.8 with two degrees of freedom, below 148 with 99
    assert!(chi_square(&counts(Balance::Random, &tier(&[1, 2, 7]), 40_000), &[1, 2, 7]) < 13.8);
    assert!(chi_square(&counts(Balance::Random, &tier(&[1; 100]), 100_000), &[1; 100]) < 148.0);
    let weights: Vec<u32> = (1..=100).collect();
    assert!(chi_square(&counts(Balance::Random, &tier(&weights), 100_000), &weights) < 148.0);
}

#[test]
fn an_idle_upstream_is_shared_out_by_weight_under_least_request_and_ewma() {
    for balance in [Balance::LeastRequest, Balance::Ewma] {
        assert_close(&shares(balance, &tier(&[1, 1]), 40_000), &[0.5, 0.5], 0.01);
        assert_close(&shares(balance, &tier(&[1, 3]), 40_000), &[0.25, 0.75], 0.01);
    }
}

#[test]
fn least_request_levels_the_load_by_weight() {
    let hosts = tier(&[1, 1, 2]);
    let chance = chance();
    for _ in 0..4_000 {
        let index = pick(&hosts, Balance::LeastRequest, 0, &chance).unwrap();
        hosts.hosts()[index].load.set(hosts.hosts()[index].load.get() + 1);
    }
    let loads: Vec<_> = hosts.hosts().iter().map(|host| f64::from(host.load.get())).collect();
    assert_close(&loads, &[1000.0, 1000.0, 2000.0], 20.0);
}

#[test]
fn least_request_leaves_a_host_that_hangs() {
    let hosts = tier(&[1, 1, 1]);
    hosts.hosts()[1].load.set(100);
    assert_close(&shares(Balance::LeastRequest, &hosts, 10_000), &[0.5, 0.0, 0.5], 0.02);
}

#[test]
fn ewma_prefers_who_answers_sooner_and_is_told_of_a_peak_at_once() {
    let hosts = tier(&[1, 1, 1]);
    for (host, millis) in hosts.hosts().iter().zip([10, 10, 200]) {
        host.latency.observe(Duration::from_millis(millis), Moment(0));
    }
    let shares = shares(Balance::Ewma, &hosts, 20_000);
    assert_close(&shares, &[0.5, 0.5, 0.0], 0.02);
    let (peak, quick) = (&hosts.hosts()[0].latency, &hosts.hosts()[1].latency);
    peak.observe(Duration::from_secs(1), Moment(1));
    assert!(peak.at(Moment(1)) >= 1e9 && quick.at(Moment(1)) < 1.1e7);
}

#[test]
fn a_peak_fades_with_quick_answers_and_with_time_alone() {
    let latency = Latency::default();
    let second = |n: u64| Moment(n * 1_000_000_000);
    latency.observe(Duration::from_secs(1), second(1));
    let left = latency.at(second(11));
    assert!((left / 1e9 - (-1.0_f64).exp()).abs() < 0.001, "{left}");
    for n in 12..60 {
        latency.observe(Duration::from_millis(10), second(n));
    }
    assert!((1e7..1.3e7).contains(&latency.at(second(59))), "{}", latency.at(second(59)));
}

#[test]
fn a_host_that_never_answered_gets_one_request_and_then_no_more_until_it_did() {
    let hosts = tier(&[1, 1]);
    hosts.hosts()[0].latency.observe(Duration::from_millis(50), Moment(0));
    let chance = chance();
    assert_eq!(pick(&hosts, Balance::Ewma, 0, &chance), Some(1));
    hosts.hosts()[1].load.set(1);
    assert!((0..1000).all(|_| pick(&hosts, Balance::Ewma, 0, &chance) == Some(0)));
}

#[test]
fn hash_gives_each_host_its_part_and_a_key_always_the_same_host() {
    let hosts = tier(&[1; 10]);
    let shares_of_ten = shares(Balance::Hash, &hosts, 50_000);
    assert_close(&shares_of_ten, &[0.1; 10], 0.02);
    assert_close(&shares(Balance::Hash, &tier(&[1, 2, 5]), 50_000), &[0.125, 0.25, 0.625], 0.03);
    let again = tier(&[1; 10]);
    let chance = chance();
    for key in (0..1000_u32).map(|n| digest(&n.to_le_bytes())) {
        assert_eq!(pick(&hosts, Balance::Hash, key, &chance), pick(&again, Balance::Hash, key, &chance));
    }
}

#[test]
fn one_host_more_moves_its_own_part_of_the_keys_and_no_other() {
    let (ten, eleven) = (tier(&[1; 10]), tier(&[1; 11]));
    let chance = chance();
    let mut moved = 0;
    for key in (0..20_000_u32).map(|n| digest(&n.to_le_bytes())) {
        let (before, after) = (pick(&ten, Balance::Hash, key, &chance), pick(&eleven, Balance::Hash, key, &chance));
        moved += u32::from(before != after);
        assert!(before == after || after == Some(10), "{before:?} became {after:?}");
    }
    let share = f64::from(moved) / 20_000.0;
    assert!((share - 1.0 / 11.0).abs() < 0.02, "{share} of the keys moved");
}

#[test]
fn a_host_that_is_out_gives_its_keys_to_many_and_takes_no_other_along() {
    let all = tier(&[1; 10]);
    let host = |number: usize| Host { number, weight: 1, ..Host::default() };
    let rest = Tier::new((0..10).filter(|number| *number != 3).map(host).collect(), Some(&ring(&[1; 10])));
    let chance = chance();
    let mut heirs = HashSet::new();
    for key in (0..5_000_u32).map(|n| digest(&n.to_le_bytes())) {
        let (before, after) = (pick(&all, Balance::Hash, key, &chance), pick(&rest, Balance::Hash, key, &chance));
        match before {
            Some(3) => drop(heirs.insert(after)),
            _ => assert_eq!(before, after),
        }
    }
    assert!(heirs.len() >= 7, "{heirs:?}");
}

#[test]
fn weights_as_large_as_a_registry_may_tell_make_no_larger_ring() {
    let ring = ring(&[1_000_000, 65_535, 1]);
    assert!((3..=(1 << 16) + 3).contains(&ring.from(0).count()));
}

#[test]
fn the_place_of_a_key_is_the_same_in_every_version() {
    assert_eq!(digest(b""), 0xf52a_15e9_a9b5_e89b, "changing this moves every key of every upstream");
    let hosts = tier(&[1; 10]);
    let chance = chance();
    let picks: Vec<_> = ["u1", "u2", "u3", "u4"]
        .map(|key| pick(&hosts, Balance::Hash, digest(key.as_bytes()), &chance).unwrap())
        .into();
    assert_eq!(picks, PINNED, "and so does this");
}

/// See above.
const PINNED: [usize; 4] = [8, 1, 1, 7];

#[test]
fn one_key_that_everybody_asks_for_stays_within_its_bound() {
    let hosts = tier(&[1; 10]);
    let chance = chance();
    for _ in 0..1000 {
        let index = pick(&hosts, Balance::Hash, digest(b"hot"), &chance).unwrap();
        hosts.hosts()[index].load.set(hosts.hosts()[index].load.get() + 1);
    }
    let most = hosts.hosts().iter().map(|host| host.load.get()).max().unwrap();
    assert!(most <= 151, "{most} of 1000 requests are with one of ten hosts");
    assert!(most >= 140, "{most}: the key has a host of its own for as long as it can");
}

#[test]
fn first_asks_the_first_that_may_be_asked() {
    let hosts = tier(&[1, 9, 9]);
    assert_eq!(pick(&hosts, Balance::First, 0, &|| 1), Some(0));
    let ask = Ask { key: 0, now: Moment(0), chance: || 1 };
    assert_eq!(hosts.pick(Balance::First, &ask, |host| host.number > 0).map(|host| host.number), Some(1));
}

#[test]
fn who_may_not_be_asked_is_not_and_the_only_one_who_may_is_found() {
    for balance in ALL {
        for weights in [&[1, 1, 1, 1][..], &[4, 1, 2, 9]] {
            let (hosts, chance) = (tier(weights), chance());
            for key in 0..200_u32 {
                let ask = Ask { key: digest(&key.to_le_bytes()), now: Moment(0), chance: &chance };
                let other = hosts.pick(balance, &ask, |host| host.number != 2).unwrap();
                assert_ne!(other.number, 2, "{balance:?}");
                assert_eq!(hosts.pick(balance, &ask, |host| host.number == 2).unwrap().number, 2, "{balance:?}");
                assert!(hosts.pick(balance, &ask, |_| false).is_none(), "{balance:?}");
            }
        }
    }
}

#[test]
fn one_host_needs_no_choice_and_none_gives_none() {
    for balance in ALL {
        assert_eq!(pick(&tier(&[3]), balance, 0, &|| panic!("chance asked")), Some(0));
        assert_eq!(pick(&tier(&[]), balance, 0, &|| 0), None);
    }
}
