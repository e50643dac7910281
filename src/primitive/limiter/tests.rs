use proptest::prelude::*;

use super::*;

fn limiter(rates: &[&str], window: Window, burst: Option<u64>) -> Limiter {
    Limiter::new(config(rates, window, burst))
}

fn config(rates: &[&str], window: Window, burst: Option<u64>) -> Config {
    let rates = rates.iter().map(|rate| Rate::parse(rate).expect("a rate")).collect();
    Config { rates, window, burst, ..Config::default() }
}

fn at(seconds: f64) -> Now {
    let time = Duration::from_secs_f64(seconds);
    Now { moment: Moment::default().after(time), unix: Duration::from_secs(1_800_000_000) + time }
}

fn passes(limiter: &Limiter, tries: usize, seconds: f64) -> usize {
    (0..tries).filter(|_| limiter.check("k", 1, at(seconds)).ok).count()
}

const ALL: [Window; 4] = [Window::Bucket, Window::Sliding, Window::Fixed, Window::Calendar];

#[test]
fn every_window_lets_the_count_through_and_is_whole_again_after_its_time() {
    for window in ALL {
        let limiter = limiter(&["60/min"], window, None);
        assert_eq!(passes(&limiter, 70, 0.0), 60, "{window:?}");
        let refused = limiter.check("k", 1, at(0.0));
        assert!(!refused.ok && refused.left == 0 && refused.limit == 60, "{window:?}: {refused:?}");
        assert!(refused.retry_after > Duration::ZERO && refused.retry_after <= refused.reset, "{refused:?}");
        assert_eq!(passes(&limiter, 70, 60.0), 60, "{window:?}");
        assert!(limiter.check("other", 1, at(0.0)).ok);
    }
}

#[test]
fn waiting_as_told_is_enough_and_waiting_less_is_not() {
    for window in ALL {
        let limiter = limiter(&["7/10s"], window, None);
        passes(&limiter, 4, 0.0);
        passes(&limiter, 9, 2.5);
        let refused = limiter.check("k", 3, at(2.6));
        let wait = refused.retry_after.as_secs_f64();
        assert!(!limiter.peek("k", 3, at(2.6 + wait - 0.001)).ok, "{window:?} after {wait}");
        assert!(limiter.check("k", 3, at(2.6 + wait)).ok, "{window:?} after {wait}");
    }
}

#[test]
fn a_bucket_fills_evenly_and_takes_its_burst() {
    let limiter = limiter(&["10/s"], Window::Bucket, Some(20));
    assert_eq!(passes(&limiter, 30, 0.0), 20);
    assert_eq!(passes(&limiter, 30, 0.5), 5);
    let refused = limiter.check("k", 1, at(0.5));
    assert_eq!((refused.limit, refused.retry_after), (20, Duration::from_millis(100)));
    assert_eq!(passes(&limiter, 30, 60.0), 20);
}

#[test]
fn a_sliding_window_forgets_each_use_after_its_time() {
    let limiter = limiter(&["2/10s"], Window::Sliding, None);
    assert_eq!((passes(&limiter, 1, 0.0), passes(&limiter, 2, 8.0), passes(&limiter, 1, 9.9)), (1, 1, 0));
    assert_eq!((passes(&limiter, 2, 10.0), passes(&limiter, 2, 18.0)), (1, 1));
}

#[test]
fn a_fixed_window_begins_with_the_first_use_and_a_calendar_with_the_hour() {
    let fixed = limiter(&["2/h"], Window::Fixed, None);
    assert_eq!((passes(&fixed, 3, 100.0), passes(&fixed, 3, 3699.0), passes(&fixed, 3, 3700.0)), (2, 0, 2));
    // 1,800,000,000 is 08:00:00 UTC.
    let calendar = limiter(&["2/h"], Window::Calendar, None);
    assert_eq!((passes(&calendar, 3, 3500.0), passes(&calendar, 3, 3599.0), passes(&calendar, 3, 3600.0)), (2, 0, 2));
    assert_eq!(calendar.peek("k", 1, at(3700.0)).retry_after, Duration::from_secs(3500));
}

#[test]
fn several_rates_must_all_have_room_and_nothing_is_charged_otherwise() {
    let limiter = limiter(&["2/s", "3/min"], Window::Sliding, None);
    assert_eq!(passes(&limiter, 5, 0.0), 2);
    assert_eq!(limiter.check("k", 1, at(0.5)).limit, 2);
    assert_eq!(passes(&limiter, 5, 1.0), 1);
    let refused = limiter.check("k", 1, at(2.0));
    assert_eq!((refused.limit, refused.left, refused.retry_after), (3, 0, Duration::from_secs(58)));
    assert_eq!(limiter.check("k", 0, at(2.0)).left, 0, "the tightest speaks");
}

#[test]
fn cost_peek_debit_and_reset() {
    for window in ALL {
        let limiter = limiter(&["10/min"], window, None);
        assert_eq!(limiter.check("k", 4, at(0.0)).left, 6);
        assert_eq!((limiter.peek("k", 6, at(0.0)).ok, limiter.peek("k", 7, at(0.0)).ok), (true, false));
        let never = limiter.check("k", 11, at(0.0));
        assert!(!never.ok && never.retry_after <= Duration::from_secs(60), "{never:?}");
        assert!(!limiter.debit("k", 100, at(0.0)).ok);
        assert!(!limiter.check("k", 1, at(1.0)).ok);
        limiter.reset("k");
        assert!(limiter.check("k", 10, at(1.0)).ok, "{window:?}");
        assert_eq!(limiter.peek("nobody", 1, at(0.0)).left, 10);
        assert!(limiter.debit("k", u64::MAX, at(1.0)).left == 0 && !limiter.debit("k", u64::MAX, at(20.0)).ok);
        limiter.peek("k", 1, at(1000.0));
        limiter.check("k", 1, at(1e8));
    }
}

#[test]
fn another_rate_keeps_what_was_used() {
    for window in ALL {
        let limiter = limiter(&["10/min"], window, None);
        passes(&limiter, 8, 0.0);
        limiter.configure(config(&["20/min"], window, None));
        assert_eq!(passes(&limiter, 30, 0.0), 12, "{window:?}");
        limiter.configure(config(&["5/min", "100/h"], window, None));
        assert_eq!(passes(&limiter, 1, 0.0), 0, "{window:?}");
        for other in ALL {
            limiter.configure(config(&["20/min"], other, None));
            assert_eq!(passes(&limiter, 1, 0.0), 0, "{window:?} to {other:?}");
        }
    }
}

#[test]
fn the_number_of_keys_is_bounded() {
    let limiter = Limiter::new(Config { keys: 10, ..config(&["1/h"], Window::Bucket, None) });
    for n in 0..1000 {
        limiter.check(&n.to_string(), 1, at(0.0));
        limiter.check("regular", 1, at(0.0));
    }
    assert!(limiter.len() <= 10 && !limiter.is_empty());
    assert!(!limiter.check("regular", 1, at(0.0)).ok);
}

#[test]
fn no_rate_is_no_limit() {
    assert!(limiter(&[], Window::Bucket, None).check("k", 1 << 40, at(0.0)).ok);
}

#[test]
fn a_wall_clock_set_back_gives_no_window_twice() {
    let limiter = limiter(&["2/h"], Window::Calendar, None);
    let later = at(4000.0);
    assert!(limiter.check("k", 2, later).ok);
    let back = Now { moment: later.moment, unix: at(100.0).unix };
    assert!(!limiter.check("k", 1, back).ok);
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    /// Whatever comes when: no stretch of one period holds more than the count.
    #[test]
    fn a_sliding_window_never_lets_too_many_through(gaps in prop::collection::vec(0u64..900, 1..200), cost in 1u64..4) {
        let limiter = limiter(&["10/10s"], Window::Sliding, None);
        let (mut millis, mut passed): (u64, Vec<u64>) = (0, Vec::new());
        for gap in gaps {
            millis += gap;
            if limiter.check("k", cost, at(millis as f64 / 1000.0)).ok {
                passed.push(millis);
            }
        }
        for (place, first) in passed.iter().enumerate() {
            let inside = passed[place..].iter().take_while(|time| **time < first + 10_000).count() as u64;
            prop_assert!(inside * cost <= 10, "{} in one period", inside * cost);
        }
    }

    /// A list of every use says the same: exactly while a key's uses are few, and for many never more, nor much less.
    #[test]
    fn a_sliding_window_is_what_a_plain_list_says(
        steps in prop::collection::vec((0u64..400, 1u64..4), 1..300),
        count in prop::sample::select(vec![5u64, 40, 100, 150]),
    ) {
        let limiter = limiter(&[&format!("{count}/10s")], Window::Sliding, None);
        let (mut millis, mut list): (u64, Vec<(u64, u64)>) = (0, Vec::new());
        for (gap, cost) in steps {
            millis += gap / 4;
            let within = |period: u64| list.iter().filter(|(time, _)| millis - time < period).map(|(_, n)| n).sum::<u64>();
            let decision = limiter.check("k", cost, at(millis as f64 / 1000.0));
            let (used, longer) = (within(10_000), within(10_000 + 10_000 / 62 + 1));
            prop_assert!(!decision.ok || used + cost <= count, "{used} and {cost} of {count}");
            prop_assert!(decision.ok || longer + cost > count, "{longer} and {cost} of {count}, refused");
            if count <= 40 {
                prop_assert_eq!(decision.ok, used + cost <= count);
                prop_assert_eq!(decision.left, count - used - if decision.ok { cost } else { 0 });
            }
            if decision.ok {
                list.push((millis, cost));
            }
        }
    }

    /// A bucket never lets more through than its burst and what flowed in since.
    #[test]
    fn a_bucket_never_lets_too_many_through(gaps in prop::collection::vec(0u64..900, 1..200)) {
        let limiter = limiter(&["10/10s"], Window::Bucket, Some(5));
        let (mut millis, mut passed): (u64, Vec<u64>) = (0, Vec::new());
        for gap in gaps {
            millis += gap;
            if limiter.check("k", 1, at(millis as f64 / 1000.0)).ok {
                passed.push(millis);
            }
        }
        for (place, first) in passed.iter().enumerate() {
            for (count, time) in passed[place..].iter().enumerate() {
                prop_assert!(count as f64 + 1.0 <= 5.0 + (time - first) as f64 / 1000.0 + 0.01);
            }
        }
    }
}

#[test]
fn nothing_is_charged_unless_all_limits_of_a_decision_have_room() {
    let (by_user, by_shop) = (limiter(&["3/min"], Window::Sliding, None), limiter(&["5/min"], Window::Fixed, None));
    let both = |user: &str, shop: &str| {
        let asks = [
            Ask { limiter: &by_user, key: by_user.key(user.as_bytes()), cost: 1, need: 1, config: None },
            Ask { limiter: &by_shop, key: by_shop.key(shop.as_bytes()), cost: 2, need: 2, config: None },
        ];
        let verdict = check(&asks, at(0.0));
        (verdict.refused, verdict.decisions.iter().map(|decision| decision.left).collect::<Vec<_>>())
    };
    assert_eq!(both("a", "s"), (None, vec![2, 3]));
    assert_eq!(both("b", "s"), (None, vec![2, 1]));
    assert_eq!(both("a", "s"), (Some(1), vec![2, 1]));
    assert_eq!((both("a", "t").0, both("a", "u").0), (None, None));
    assert_eq!(both("a", "v"), (Some(0), vec![0, 5]), "the first in the order written answers");
    assert_eq!(by_user.peek("a", 1, at(0.0)).left, 0);
    assert_eq!(by_shop.peek("v", 1, at(0.0)).left, 5);
}

#[test]
fn one_counter_asked_twice_in_a_decision_must_have_room_for_both() {
    let limiter = limiter(&["3/min"], Window::Sliding, None);
    let ask = |cost| Ask { limiter: &limiter, key: limiter.key(b"k"), cost, need: cost, config: None };
    assert_eq!(check(&[ask(2), ask(2)], at(0.0)).refused, Some(1));
    assert_eq!(check(&[ask(2), ask(1)], at(0.0)).refused, None);
    assert_eq!(limiter.peek("k", 0, at(0.0)).left, 0);
}

#[test]
fn rates_chosen_for_a_request_share_what_was_used() {
    let limiter = limiter(&["1/s"], Window::Sliding, None);
    let (free, gold) = (config(&["2/min"], Window::Sliding, None), config(&["5/min"], Window::Sliding, None));
    let ask = |config| {
        check(&[Ask { limiter: &limiter, key: limiter.key(b"u"), cost: 1, need: 1, config: Some(config) }], at(0.0))
    };
    assert_eq!((ask(&free).refused, ask(&free).refused, ask(&free).refused), (None, None, Some(0)));
    let verdict = ask(&gold);
    assert_eq!((verdict.refused, verdict.decisions[0].left), (None, 2));
}

#[test]
fn addresses_are_clients_and_values_never_are() {
    let limiter = limiter(&["1/min"], Window::Fixed, None);
    let address = |text: &str| limiter.client(text.parse().unwrap());
    assert_eq!(limiter.key(b"2001:db8:1:2::1"), address("2001:db8:1:2:ffff::9"));
    assert_eq!(address("::ffff:10.0.0.1"), limiter.key(b"10.0.0.1"));
    assert_ne!(address("2001:db8:1:3::1"), address("2001:db8:1:2::1"));
    assert_ne!(limiter.value(b"10.0.0.1"), limiter.key(b"10.0.0.1"));
    let other = Limiter::new(Config::default());
    assert_eq!(limiter.value(b"ann"), limiter.key(b"ann"));
    assert_ne!(limiter.key(b"ann"), other.key(b"ann"), "the secret differs");
}

#[test]
fn counters_come_back_from_bytes() {
    for window in ALL {
        let limiter = limiter(&["10/min", "20/h"], window, None);
        limiter.remember_changes();
        passes(&limiter, 3, 0.0);
        passes(&limiter, 2, 10.0);
        let saved = limiter.changed(at(12.0));
        assert_eq!((saved.len(), limiter.changed(at(12.0)).len()), (1, 0));
        assert_eq!(limiter.all(at(12.0)), saved);
        let again = Limiter::with_secret((*limiter.config()).clone(), limiter.secret());
        // Another process: its clock began elsewhere, and half a minute has gone by.
        let later = Now { moment: Moment(100_000_000_000), unix: at(42.0).unix };
        again.restore(saved[0].0, &saved[0].1, later);
        let (one, other) = (limiter.peek("k", 1, at(42.0)), again.peek("k", 1, later));
        assert_eq!((one.left, one.limit), (other.left, other.limit), "{window:?}");
        // A machine that began a moment ago cannot count back so far: what was used counts from then, never less.
        let booted = Now { moment: Moment(1_000_000_000), unix: at(42.0).unix };
        again.restore(saved[0].0, &saved[0].1, booted);
        assert!(again.peek("k", 1, booted).left <= one.left, "{window:?}");
        limiter.reset("k");
        for broken in [&saved[0].1[..5], &[9; 40], &[2, 255, 255]] {
            again.restore(limiter.key(b"other"), broken, later);
            assert!(again.check("other", 10, later).ok);
            again.reset("other");
        }
    }
}

/// Many threads at one key, at one time: exactly what is allowed, also where two limits decide together.
#[test]
fn many_threads_at_one_key_never_get_more_than_allowed() {
    for window in ALL {
        let (first, second) = (limiter(&["500/min"], window, None), limiter(&["300/min"], window, None));
        let passed = std::sync::atomic::AtomicU64::new(0);
        std::thread::scope(|scope| {
            for turn in 0..8 {
                let (first, second, passed) = (&first, &second, &passed);
                scope.spawn(move || {
                    for try_ in 0..400u64 {
                        // Half of them lock in the other order.
                        let one = Ask { limiter: first, key: first.key(b"k"), cost: 1, need: 1, config: None };
                        let two = Ask { limiter: second, key: second.key(b"k"), cost: 1, need: 1, config: None };
                        let asks = if turn % 2 == 0 { [one, two] } else { [two, one] };
                        let now = at(try_ as f64 / 1e6);
                        if check(&asks, now).refused.is_none() {
                            passed.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
                        }
                    }
                });
            }
        });
        let bucket = window == Window::Bucket;
        let passed = passed.into_inner();
        assert!(passed == 300 || (bucket && passed <= 301), "{window:?}: {passed}");
        assert!(first.peek("k", 0, at(0.0)).left >= 199, "refused ones charged nothing");
    }
}

/// Prints bytes per key; one test a process, since freed memory would hide what is taken next.
fn measure(window: Window, uses: u32) {
    let resident = || {
        let statm = std::fs::read_to_string("/proc/self/statm").unwrap();
        statm.split_whitespace().nth(1).unwrap().parse::<usize>().unwrap() * 4096
    };
    let (before, limiter) = (resident(), limiter(&["60/min"], window, None));
    let ask = |key: u32, now| {
        let key = limiter.client(key.to_be_bytes().into());
        check(&[Ask { limiter: &limiter, key, cost: 1, need: 1, config: None }], now);
    };
    for turn in 0..uses {
        (0..990_000).for_each(|key| ask(key, at(f64::from(turn) + f64::from(key) / 1e7)));
    }
    let bytes = resident() - before;
    println!("{window:?}, {uses} uses each: {} keys, {} bytes a key", limiter.len(), bytes / limiter.len());
    assert!(limiter.len() > 900_000 && bytes < 150 << 20, "{bytes}");
    (990_000..1_200_000).for_each(|key| ask(key, at(50.0)));
    assert!(limiter.len() <= 1_000_000);
}

/// `cargo test --lib a_million_keys_of_one -- --ignored --nocapture`
#[test]
#[ignore = "takes a while; prints figures"]
fn a_million_keys_of_one_use_fit() {
    measure(Window::Sliding, 1);
}

/// `cargo test --lib a_million_keys_of_ten -- --ignored --nocapture`
#[test]
#[ignore = "takes a while; prints figures"]
fn a_million_keys_of_ten_uses_fit() {
    measure(Window::Sliding, 10);
}
