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
