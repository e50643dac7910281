use std::cell::Cell;

use super::Candidate;
use super::pick;
use crate::upstream::Balance;

#[derive(Default)]
struct Host {
    weight: u32,
    load: Cell<u32>,
    backup: bool,
    turn: Cell<i64>,
}

impl Candidate for Host {
    fn weight(&self) -> u32 {
        self.weight
    }

    fn load(&self) -> u32 {
        self.load.get()
    }

    fn backup(&self) -> bool {
        self.backup
    }

    fn turn(&self) -> &Cell<i64> {
        &self.turn
    }
}

fn hosts<const N: usize>(weights: [u32; N]) -> Vec<Host> {
    weights.into_iter().map(|weight| Host { weight, ..Host::default() }).collect()
}

/// A generator with a fixed seed, so that a failure repeats.
fn chance() -> impl Fn() -> u64 {
    let seed = Cell::new(7_u64);
    move || {
        seed.set(seed.get().wrapping_add(0x9e37_79b9_7f4a_7c15));
        let mixed = (seed.get() ^ (seed.get() >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }
}

fn shares(balance: Balance, hosts: &[Host], times: u32) -> Vec<f64> {
    let chance = chance();
    let mut counts = vec![0_u32; hosts.len()];
    for _ in 0..times {
        counts[pick(balance, hosts, &chance, |_| true).unwrap()] += 1;
    }
    counts.into_iter().map(|count| f64::from(count) / f64::from(times)).collect()
}

fn assert_close(shares: &[f64], wanted: &[f64], slack: f64) {
    for (share, wanted) in shares.iter().zip(wanted) {
        assert!((share - wanted).abs() <= slack, "{shares:?} is not {wanted}");
    }
}

#[test]
fn round_robin_is_exact_and_smooth() {
    let hosts = hosts([5, 1, 1]);
    let turns: Vec<_> = (0..7).map(|_| pick(Balance::RoundRobin, &hosts, || 0, |_| true).unwrap()).collect();
    assert_eq!(turns, [0, 0, 1, 0, 2, 0, 0]);
    assert_close(&shares(Balance::RoundRobin, &hosts, 7_000), &[5.0 / 7.0, 1.0 / 7.0, 1.0 / 7.0], 0.0);
}

#[test]
fn random_follows_the_weights() {
    assert_close(&shares(Balance::Random, &hosts([1, 2, 7]), 40_000), &[0.1, 0.2, 0.7], 0.01);
}

#[test]
fn an_idle_upstream_is_shared_out_by_weight_under_least_request() {
    assert_close(&shares(Balance::LeastRequest, &hosts([1, 1]), 40_000), &[0.5, 0.5], 0.01);
    assert_close(&shares(Balance::LeastRequest, &hosts([1, 3]), 40_000), &[0.25, 0.75], 0.01);
}

#[test]
fn least_request_levels_the_load_by_weight() {
    let hosts = hosts([1, 1, 2]);
    let chance = chance();
    for _ in 0..4_000 {
        let index = pick(Balance::LeastRequest, &hosts, &chance, |_| true).unwrap();
        hosts[index].load.set(hosts[index].load.get() + 1);
    }
    let loads: Vec<_> = hosts.iter().map(|host| f64::from(host.load.get())).collect();
    assert_close(&loads, &[1000.0, 1000.0, 2000.0], 20.0);
}

#[test]
fn least_request_leaves_a_host_that_hangs() {
    let hosts = hosts([1, 1, 1]);
    hosts[1].load.set(100);
    assert_close(&shares(Balance::LeastRequest, &hosts, 10_000), &[0.5, 0.0, 0.5], 0.02);
}

#[test]
fn first_asks_the_first_that_may_be_asked() {
    let hosts = hosts([1, 9, 9]);
    assert_eq!(pick(Balance::First, &hosts, || 1, |_| true), Some(0));
    assert_eq!(pick(Balance::First, &hosts, || 1, |index| index > 0), Some(1));
}

#[test]
fn a_backup_is_asked_only_when_nobody_else_may_be() {
    let mut hosts = hosts([1, 1, 1]);
    hosts[1].backup = true;
    for balance in [Balance::First, Balance::Random, Balance::RoundRobin, Balance::LeastRequest] {
        let chance = chance();
        for _ in 0..200 {
            assert_ne!(pick(balance, &hosts, &chance, |_| true), Some(1), "{balance:?}");
            assert_eq!(pick(balance, &hosts, &chance, |index| index == 1), Some(1), "{balance:?}");
        }
        assert_eq!(pick(balance, &hosts, &chance, |_| false), None, "{balance:?}");
    }
}

#[test]
fn one_host_needs_no_choice_and_none_gives_none() {
    for balance in [Balance::First, Balance::Random, Balance::RoundRobin, Balance::LeastRequest] {
        assert_eq!(pick(balance, &hosts([3]), || panic!("chance asked"), |_| true), Some(0));
        assert_eq!(pick(balance, &hosts([]), || 0, |_| true), None);
    }
}
