use std::net::SocketAddr;
use std::sync::Arc;

use super::Shared;
use crate::upstream::Address;
use crate::upstream::Config;
use crate::upstream::HostConfig;
use crate::upstream::resolve::Question;
use crate::upstream::tests::backend::config;

fn named(host: &str) -> HostConfig {
    HostConfig { address: Address::Tcp { host: host.into(), port: 80, tls: false }, weight: 2, backup: false }
}

fn addresses(list: &[&str]) -> Vec<SocketAddr> {
    list.iter().map(|text| text.parse().unwrap()).collect()
}

fn labels(shared: &Shared) -> Vec<String> {
    shared.members().iter().map(|member| member.host.label().to_string()).collect()
}

#[test]
fn literals_need_no_resolver_and_names_have_no_host_before_it_answered() {
    let unix = HostConfig { address: Address::Unix("/run/a.sock".into()), weight: 1, backup: false };
    let echo = HostConfig { address: Address::Echo, weight: 0, backup: false };
    let shared = Shared::new(config(vec![named("10.0.0.1"), named("::1"), unix, echo, named("a.test")]), None).unwrap();
    assert_eq!(labels(&shared), ["10.0.0.1:80", "[::1]:80", "unix:/run/a.sock", "echo:"]);
    let question = Question::Name { name: "a.test".into(), port: 80, server: None };
    assert_eq!(shared.questions(), [(4, question)]);
    assert_eq!(shared.members()[3].weight, 1, "no host without a share");
}

#[test]
fn a_name_is_as_many_hosts_as_it_has_addresses_and_families_are_paired() {
    let shared = Shared::new(config(vec![named("a.test")]), None).unwrap();
    shared.resolve(0, addresses(&["10.0.0.2:80", "10.0.0.1:80"]));
    assert_eq!(labels(&shared), ["10.0.0.1:80", "10.0.0.2:80"]);
    shared.resolve(0, addresses(&["127.0.0.1:80", "[::1]:80"]));
    assert_eq!(labels(&shared), ["a.test:80"]);
    assert_eq!(shared.members()[0].host.reach(), addresses(&["[::1]:80", "127.0.0.1:80"]));
}

#[test]
fn an_unchanged_set_in_another_order_changes_nothing_and_an_empty_one_keeps_the_last_good() {
    let shared = Shared::new(config(vec![named("a.test")]), None).unwrap();
    shared.resolve(0, addresses(&["10.0.0.1:80", "10.0.0.2:80"]));
    let version = shared.version();
    shared.resolve(0, addresses(&["10.0.0.2:80", "10.0.0.1:80", "10.0.0.2:80"]));
    shared.resolve(0, Vec::new());
    assert_eq!((shared.version(), shared.members().len()), (version, 2));
}

#[test]
fn hosts_that_stay_keep_their_counts_and_those_that_leave_are_retired() {
    let shared = Shared::new(config(vec![named("a.test")]), None).unwrap();
    shared.resolve(0, addresses(&["10.0.0.1:80", "10.0.0.2:80"]));
    let before = shared.members();
    let _busy = before[1].host.enter();
    shared.resolve(0, addresses(&["10.0.0.2:80", "10.0.0.3:80"]));
    let after = shared.members();
    assert!(Arc::ptr_eq(&before[1].host, &after[0].host));
    assert_eq!(after[0].host.in_flight(), 1);
    assert!(before[0].host.is_retired() && !after[0].host.is_retired() && !after[1].host.is_retired());
}

#[test]
fn a_reload_keeps_addresses_and_hosts_but_not_across_another_tls_identity() {
    let first = Shared::new(config(vec![named("a.test"), named("10.0.0.9")]), None).unwrap();
    first.resolve(0, addresses(&["10.0.0.1:80"]));
    let more = Config { hosts: vec![named("10.0.0.8"), named("a.test")], ..config(vec![]) };
    let second = Shared::new(more.clone(), Some(&first)).unwrap();
    assert_eq!(labels(&second), ["10.0.0.8:80", "a.test:80"]);
    assert!(Arc::ptr_eq(&first.members()[0].host, &second.members()[1].host));
    let mut other = more;
    other.tls.verify = false;
    let third = Shared::new(other, Some(&second)).unwrap();
    assert_eq!(labels(&third), ["10.0.0.8:80", "a.test:80"], "addresses are known all the same");
    assert!(!Arc::ptr_eq(&second.members()[1].host, &third.members()[1].host));
}

#[test]
fn an_address_written_twice_stays_two_hosts_across_a_reload() {
    let twice = config(vec![named("10.0.0.1"), named("10.0.0.1")]);
    let first = Shared::new(twice.clone(), None).unwrap();
    let second = Shared::new(twice, Some(&first)).unwrap();
    let (before, after) = (first.members(), second.members());
    assert!(Arc::ptr_eq(&before[0].host, &after[0].host) && Arc::ptr_eq(&before[1].host, &after[1].host));
    assert!(!Arc::ptr_eq(&after[0].host, &after[1].host));
}
