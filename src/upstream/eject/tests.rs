use std::sync::Arc;
use std::time::Duration;

use super::Eject;
use super::Said;
use super::Tally;
use crate::clock::Moment;
use crate::http::BodyError;
use crate::upstream::Address;
use crate::upstream::Config;
use crate::upstream::HostConfig;
use crate::upstream::SendError;
use crate::upstream::Shared;
use crate::upstream::Timeouts;
use crate::upstream::news::News;
use crate::upstream::tests::backend::config;
use crate::upstream::vitals::Standing;

fn second(n: u64) -> Moment {
    Moment(n * 1_000_000_000)
}

fn upstream(hosts: u16, rule: Eject) -> (Arc<Shared>, News) {
    let host = |port| HostConfig {
        address: Address::Tcp { host: "10.0.0.1".into(), port, tls: false },
        weight: 1,
        backup: false,
    };
    let config = Config { eject: Some(rule), ..config((1..=hosts).map(host).collect()) };
    let (shared, news) = (Shared::new(config, None).unwrap(), News::default());
    shared.report_to(&news);
    (shared, news)
}

/// `times` failures of the host at `index`, each taking no time.
fn fail(shared: &Shared, index: usize, times: u32, now: Moment) {
    let members = shared.members();
    (0..times).for_each(|_| shared.note(&members[index].host, Said::Ill, now, now));
}

fn standings(shared: &Shared, now: Moment) -> Vec<Standing> {
    shared.members().iter().map(|member| member.host.vitals().standing(now)).collect()
}

fn told(news: &News) -> Vec<(bool, String)> {
    news.take().into_iter().map(|change| (change.up, change.reason)).collect()
}

#[test]
fn errors_count_in_a_row_and_none_that_is_long_ago() {
    let rule = Eject { errors: Some(3), ..Eject::default() };
    let tally = Tally::default();
    let count = |said, at| tally.count(&rule, said, second(at));
    assert_eq!([count(Said::Ill, 1), count(Said::Ill, 2), count(Said::Well, 3)], [None, None, None]);
    assert_eq!([count(Said::Ill, 4), count(Said::Ill, 5), count(Said::Ill, 15)], [None, None, None]);
    assert_eq!([count(Said::Ill, 16), count(Said::Ill, 17)], [None, Some("3 errors in a row".into())]);
}

#[test]
fn a_share_counts_only_among_enough_requests_of_one_window() {
    let rule = Eject { errors: None, ratio: Some(0.5), sample: 10, ..Eject::default() };
    let tally = Tally::default();
    for nth in 0..9 {
        assert_eq!(tally.count(&rule, if nth % 2 == 0 { Said::Ill } else { Said::Well }, second(20)), None);
    }
    assert_eq!(tally.count(&rule, Said::Ill, second(20)), Some("6 of 10 requests failed".into()));
    assert_eq!(tally.count(&rule, Said::Ill, second(31)), None, "a new window");
}

#[test]
fn what_is_not_the_hosts_doing_says_nothing_about_it() {
    let host = || "a:80".to_owned();
    let said = |error: SendError, millis| Said::error(&error, Duration::from_millis(millis), &Timeouts::default());
    assert_eq!(said(SendError::Overload { host: host() }, 1), None);
    assert_eq!(said(SendError::Body(BodyError::Cut), 1), None);
    assert_eq!(said(SendError::NoneHealthy, 1), None);
    assert_eq!(said(SendError::Reset { host: host(), reused: true }, 1), None, "closed while it was idle");
    let late = |phase| SendError::Timeout { host: host(), phase };
    assert_eq!(said(late("free connection"), 9999), None);
    assert_eq!(said(late("answer"), 999), None, "the request's own time was over");
    assert_eq!(said(late("answer"), 1000), Some(Said::Ill));
    assert_eq!(said(late("connection"), 1000), Some(Said::Ill));
    let quick = Timeouts { response: Duration::from_millis(200), ..Timeouts::default() };
    assert_eq!(Said::error(&late("answer"), Duration::from_millis(200), &quick), Some(Said::Ill));
    for error in [
        SendError::Connect { host: host(), cause: String::new() },
        SendError::Tls { host: host(), cause: String::new() },
        SendError::Protocol { host: host(), cause: String::new() },
        SendError::Reset { host: host(), reused: false },
    ] {
        assert_eq!(said(error, 0), Some(Said::Ill));
    }
    let ill: Vec<u16> = (100..600).filter(|status| Said::status(*status) == Said::Ill).collect();
    assert_eq!(ill, [500, 502, 503, 504]);
}

#[test]
fn after_the_cooldown_one_request_tries_and_decides_for_all() {
    let (shared, news) = upstream(2, Eject::default());
    let host = Arc::clone(&shared.members()[0].host);
    fail(&shared, 0, 5, second(1));
    assert_eq!(standings(&shared, second(2)), [Standing::Ejected, Standing::Up]);
    assert_eq!(told(&news), [(false, "5 errors in a row".into())]);
    assert!(!shared.may_try(&host, second(30)));

    assert_eq!(standings(&shared, second(31)), [Standing::HalfOpen, Standing::Up]);
    let tries = (0..1000).filter(|_| shared.may_try(&host, second(31))).count();
    assert_eq!(tries, 1, "no herd");
    assert_eq!(standings(&shared, second(32)), [Standing::Ejected, Standing::Up], "while it is tried");
    shared.note(&host, Said::Ill, second(31), second(32));
    assert_eq!(standings(&shared, second(61)), [Standing::Ejected, Standing::Up], "another 30 seconds");
    assert_eq!(told(&news), []);

    assert!(shared.may_try(&host, second(62)));
    shared.note(&host, Said::Well, second(62), second(63));
    assert_eq!(standings(&shared, second(63)), [Standing::Up, Standing::Up]);
    assert_eq!(told(&news), [(true, "a trial succeeded".into())]);
}

#[test]
fn a_trial_whose_client_left_is_followed_by_another_and_an_answer_from_before_decides_nothing() {
    let (shared, _) = upstream(2, Eject::default());
    let host = Arc::clone(&shared.members()[0].host);
    fail(&shared, 0, 5, second(5));
    shared.note(&host, Said::Well, second(4), second(6));
    assert_eq!(standings(&shared, second(7))[0], Standing::Ejected);
    assert!(shared.may_try(&host, second(40)));
    assert!(!shared.may_try(&host, second(69)));
    assert!(shared.may_try(&host, second(70)));
}

#[test]
fn no_more_than_most_are_ejected_and_one_always_may_be() {
    let (shared, _) = upstream(5, Eject::default());
    (0..5).for_each(|index| fail(&shared, index, 50, second(1)));
    let out = standings(&shared, second(1)).iter().filter(|standing| **standing == Standing::Ejected).count();
    assert_eq!(out, 2, "half of five");
    for (hosts, most, expected) in [(1, 0.5, 1), (1, 0.0, 1), (2, 0.5, 1), (10, 0.3, 3), (10, 1.0, 10)] {
        assert_eq!(Eject { most, ..Eject::default() }.most_of(hosts), expected);
    }
    let (alone, _) = upstream(1, Eject::default());
    fail(&alone, 0, 5, second(1));
    assert_eq!(standings(&alone, second(1)), [Standing::Ejected], "a circuit breaker");
    assert_eq!(alone.lineup(second(1)).first, Vec::<usize>::new());
}

#[test]
fn an_ejection_outlives_a_reload_and_ends_when_the_rule_is_gone() {
    let (first, news) = upstream(2, Eject::default());
    fail(&first, 1, 5, second(1));
    let second_one = Shared::new(first.config().clone(), Some(&first)).unwrap();
    second_one.settle(second(2));
    assert_eq!(standings(&second_one, second(2)), [Standing::Up, Standing::Ejected]);
    told(&news);
    let third = Shared::new(Config { eject: None, ..first.config().clone() }, Some(&second_one)).unwrap();
    assert_eq!(standings(&third, second(2))[1], Standing::Ejected, "it is not in force yet");
    third.settle(second(2));
    assert_eq!(standings(&third, second(2))[1], Standing::Up);
    assert_eq!(told(&news), [(true, "no longer ejected".into())]);
}

#[test]
fn a_request_from_before_the_rule_was_taken_away_puts_nobody_out() {
    let (first, _) = upstream(2, Eject::default());
    let without = Shared::new(Config { eject: None, ..first.config().clone() }, Some(&first)).unwrap();
    without.settle(second(1));
    fail(&first, 1, 5, second(2));
    assert_eq!(first.lineup(second(2)).first, [0]);
    for now in [second(2), second(60)] {
        assert_eq!(without.lineup(now).first, [0, 1]);
        assert_eq!(without.state(now).hosts[1].state, Standing::Up);
    }
}

#[test]
fn a_drained_host_counts_for_nothing_until_it_is_taken_in_again() {
    let (shared, news) = upstream(2, Eject::default());
    let version = shared.version();
    assert_eq!(shared.drain("10.0.0.1:2", true, second(1)), 1);
    assert_eq!(shared.drain("10.0.0.9:2", true, second(1)), 0);
    assert!(shared.version() > version, "workers look again");
    assert_eq!(shared.lineup(second(1)).first, [0]);
    assert_eq!(told(&news), [], "nobody is down");
    shared.drain("10.0.0.1:2", false, second(1));
    assert_eq!(shared.lineup(second(1)).first, [0, 1]);
}

#[test]
fn a_host_that_comes_back_gets_its_share_in_steps() {
    let (shared, _) = upstream(2, Eject::default());
    let host = Arc::clone(&shared.members()[0].host);
    let slow = Duration::from_secs(10);
    assert_eq!(host.vitals().ramp(second(1), slow), (100, Moment::NEVER), "there from the beginning");
    fail(&shared, 0, 5, second(1));
    assert!(shared.may_try(&host, second(40)));
    shared.note(&host, Said::Well, second(40), second(41));
    assert_eq!(host.vitals().ramp(second(41), slow), (10, second(42)));
    assert_eq!(host.vitals().ramp(second(45), slow), (50, second(46)));
    assert_eq!(host.vitals().ramp(second(51), slow), (100, Moment::NEVER));
    assert_eq!(host.vitals().ramp(second(41), Duration::ZERO), (100, Moment::NEVER));
}
