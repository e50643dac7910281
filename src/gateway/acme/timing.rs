//! When to renew a certificate, and how long to wait after an attempt that failed.

use std::time::Duration;

use crate::net::Certificate;

const DAY: i64 = 24 * 3600;

/// After two thirds of its time; short-lived ones after half. Unix seconds, as everywhere here.
pub(super) fn due(not_before: i64, not_after: i64) -> i64 {
    let life = not_after.saturating_sub(not_before).max(0);
    let rest = if life < 10 * DAY { life / 2 } else { life / 3 };
    not_after.saturating_sub(rest)
}

/// No authority may put it off any further.
pub(super) fn last(leaf: &Certificate) -> i64 {
    leaf.not_after.saturating_sub(leaf.not_after.saturating_sub(leaf.not_before).max(0) / 10)
}

/// A moment between `start` and `end` that is the same each time this certificate asks (RFC 9773 §4.2).
pub(super) fn within(start: i64, end: i64, sha256: &[u8; 32]) -> i64 {
    let (chance, _) = sha256.split_at(4);
    let chance = chance.iter().fold(0_i64, |chance, &byte| chance << 8 | i64::from(byte));
    let room = end.saturating_sub(start).clamp(0, 366 * DAY);
    start.saturating_add((room * chance) >> 32)
}

/// A minute, four, sixteen … six hours, each a quarter more or less: authorities count failures by the hour.
pub(super) fn back_off(failures: u32, chance: u64) -> Duration {
    let steps = failures.saturating_sub(1).min(8);
    let usual = (60_000_u64 << (2 * steps)).min(6 * 3600 * 1000);
    Duration::from_millis(usual - usual / 4 + chance % (usual / 2))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_thirds_of_a_long_life_and_half_of_a_short_one() {
        assert_eq!(due(0, 90 * DAY), 60 * DAY);
        assert_eq!(due(0, 6 * DAY), 3 * DAY);
        assert_eq!(due(100, 50), 50, "a time that ends before it begins");
        due(i64::MIN, i64::MAX);
    }

    #[test]
    fn a_window_gives_one_moment_within_it() {
        for byte in [0, 1, 127, 255] {
            let at = within(1000, 2000, &[byte; 32]);
            assert!((1000..2000).contains(&at), "{at}");
            assert_eq!(at, within(1000, 2000, &[byte; 32]));
        }
        assert_eq!(within(2000, 1000, &[9; 32]), 2000, "an empty window");
        within(i64::MIN, i64::MAX, &[255; 32]);
    }

    #[test]
    fn failures_are_followed_by_longer_and_longer_waits() {
        for (failures, seconds) in [(1, 60), (2, 240), (3, 960), (6, 6 * 3600), (u32::MAX, 6 * 3600)] {
            for chance in [0, 12_345, u64::MAX] {
                let wait = back_off(failures, chance).as_secs_f64() / f64::from(seconds);
                assert!((0.75..=1.25).contains(&wait), "{failures}: {wait}");
            }
        }
    }
}
