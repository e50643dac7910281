use std::time::Duration;

use super::Budget;
use super::Next;
use super::Setback;
use super::Standing;
use super::backoff;
use super::next;
use super::retry_after;
use crate::http::Headers;
use crate::upstream::Retry;

const GET: Standing = Standing { repeatable: true, replayable: true, spent: 1, resent: false };
const POST: Standing = Standing { repeatable: false, ..GET };

#[test]
fn a_failed_connection_is_tried_elsewhere_for_any_method() {
    let policy = Retry::default();
    assert_eq!(next(&policy, Setback::Connect, GET), Next::Elsewhere { paid: false });
    assert_eq!(next(&policy, Setback::Connect, POST), Next::Elsewhere { paid: false });
    let never = Retry { on_connect: false, ..Retry::default() };
    assert_eq!(next(&never, Setback::Connect, GET), Next::Stop);
}

#[test]
fn what_never_left_is_sent_again_once_even_without_retries() {
    let none = Retry { times: 0, ..Retry::default() };
    assert_eq!(next(&none, Setback::Unsent, POST), Next::Resend);
    assert_eq!(next(&none, Setback::Unsent, Standing { resent: true, ..POST }), Next::Stop);
}

#[test]
fn a_reset_repeats_only_what_may_be_repeated() {
    let policy = Retry::default();
    assert_eq!(next(&policy, Setback::Reset, GET), Next::Again);
    assert_eq!(next(&policy, Setback::Reset, POST), Next::Stop);
    assert_eq!(next(&Retry { is_unsafe: true, ..Retry::default() }, Setback::Reset, POST), Next::Again);
    assert_eq!(next(&policy, Setback::Reset, Standing { replayable: false, ..GET }), Next::Stop);
    assert_eq!(next(&Retry { on_reset: false, ..Retry::default() }, Setback::Reset, GET), Next::Stop);
}

#[test]
fn a_listed_status_repeats_only_what_may_be_repeated_even_with_unsafe() {
    let policy = Retry { is_unsafe: true, ..Retry::default() };
    assert_eq!(next(&policy, Setback::Status(503), GET), Next::Elsewhere { paid: true });
    assert_eq!(next(&policy, Setback::Status(504), GET), Next::Stop);
    assert_eq!(next(&policy, Setback::Status(503), POST), Next::Stop);
    assert_eq!(next(&policy, Setback::Status(503), Standing { replayable: false, ..GET }), Next::Stop);
}

#[test]
fn what_may_have_killed_or_stalled_a_host_is_sent_to_another_one_or_not_at_all() {
    let policy = Retry::default();
    assert_eq!(next(&policy, Setback::Died, GET), Next::Aside);
    assert_eq!(next(&policy, Setback::Late, GET), Next::Stop);
    let waiting = Retry { on_timeout: true, is_unsafe: true, ..Retry::default() };
    assert_eq!(next(&waiting, Setback::Late, GET), Next::Aside);
    for setback in [Setback::Died, Setback::Late] {
        assert_eq!(next(&waiting, setback, POST), Next::Stop);
        assert_eq!(next(&waiting, setback, Standing { replayable: false, ..GET }), Next::Stop);
        assert_eq!(next(&waiting, setback, Standing { spent: 2, ..GET }), Next::Stop);
    }
}

#[test]
fn a_host_says_when_to_come_back_in_seconds_or_as_a_date() {
    let of = |value: &str| retry_after(&Headers::of(&[("Retry-After", value)]), || Duration::from_secs(784_111_777));
    assert_eq!(of("3"), 3);
    assert_eq!(of("Sun, 06 Nov 1994 08:49:39 GMT"), 2);
    assert_eq!(of("Sun, 06 Nov 1994 08:49:36 GMT"), 0);
    for nonsense in ["soon", "-1", "", "99999999999999999999999"] {
        assert_eq!(of(nonsense), 0, "{nonsense}");
    }
    assert_eq!(retry_after(&Headers::default(), || Duration::ZERO), 0);
}

#[test]
fn times_are_counted() {
    let policy = Retry { times: 2, ..Retry::default() };
    for (spent, wanted) in [(1, Next::Again), (2, Next::Again), (3, Next::Stop)] {
        assert_eq!(next(&policy, Setback::Reset, Standing { spent, ..GET }), wanted);
    }
}

#[test]
fn waits_double_and_are_jittered_within_bounds() {
    let policy = Retry::default();
    let ms = Duration::from_millis;
    assert_eq!(backoff(&policy, 1, 0), ms(25) / 2);
    assert!(backoff(&policy, 1, u64::MAX) <= ms(25));
    assert_eq!(backoff(&policy, 2, 0), ms(25));
    assert_eq!(backoff(&policy, 9, 0), ms(125));
    assert!(backoff(&policy, u32::MAX, u64::MAX) <= ms(250));
}

#[test]
fn a_budget_bounds_retries_to_a_share_of_requests() {
    let budget = Budget::new();
    let mut retries = 0;
    for _ in 0..1000 {
        budget.earn(0.2);
        retries += u32::from(budget.spend());
    }
    assert!((200..=210).contains(&retries), "{retries}");
}

#[test]
fn a_budget_of_nothing_runs_dry() {
    let budget = Budget::new();
    let spent = (0..100).filter(|_| {
        budget.earn(0.0);
        budget.spend()
    });
    assert_eq!(spent.count(), 10);
}
