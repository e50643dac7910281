use std::collections::BTreeSet;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;

use super::Lookup;
use super::first;
use super::keep;
use super::told;
use crate::clock::Clock;
use crate::upstream::Address;
use crate::upstream::HostConfig;
use crate::upstream::Shared;
use crate::upstream::tests::backend::config;
use crate::upstream::tests::backend::run;

fn upstream(name: &str) -> Arc<Shared> {
    let address = Address::Tcp { host: name.into(), port: 80, tls: false };
    Shared::new(config(vec![HostConfig { address, weight: 1, backup: false }]), None).unwrap()
}

fn label(shared: &Shared) -> Option<SocketAddr> {
    shared.members().first().map(|member| member.host.reach()[0])
}

/// A resolver that answers what the test says at the moment, and counts.
#[derive(Clone, Default)]
struct Zone(Arc<Mutex<(Option<SocketAddr>, u32)>>);

impl Zone {
    fn set(&self, address: Option<&str>) {
        self.0.lock().0 = address.map(|text| text.parse().unwrap());
    }

    fn asked(&self) -> u32 {
        self.0.lock().1
    }

    fn lookup(&self) -> Lookup {
        let zone = self.clone();
        Lookup::with(move |_, _| {
            let mut zone = zone.0.lock();
            zone.1 += 1;
            zone.0.map(|address| vec![address]).ok_or_else(|| io::Error::other("no such name"))
        })
    }
}

#[test]
fn names_are_looked_up_when_loading_and_each_only_once() {
    let zone = Zone::default();
    zone.set(Some("10.0.0.1:80"));
    let (a, b) = (upstream("a.test"), upstream("a.test"));
    assert_eq!(first(&[Arc::clone(&a), Arc::clone(&b)], &zone.lookup(), Duration::from_secs(30)), [""; 0]);
    assert_eq!((label(&a), zone.asked()), (label(&b), 1));
    assert!(label(&a).is_some());
    first(&[a], &zone.lookup(), Duration::from_secs(30));
    assert_eq!(zone.asked(), 1, "what is known is not asked again");
}

#[test]
fn a_name_that_is_not_found_or_not_answered_is_a_warning() {
    let faults = first(&[upstream("a.test")], &Zone::default().lookup(), Duration::from_secs(30));
    assert_eq!(faults, ["`a.test`: no such name"]);
    let (held, hold) = std::sync::mpsc::channel::<()>();
    let hold = Mutex::new(hold);
    let stuck = Lookup::with(move |_, _| {
        let _ = hold.lock().recv();
        Ok(Vec::new())
    });
    let faults = first(&[upstream("a.test")], &stuck, Duration::from_millis(1));
    assert_eq!(faults, ["`a.test`: no answer from the resolver yet"]);
    drop(held);
}

#[test]
fn a_told_host_that_cannot_be_looked_up_keeps_its_last_addresses() {
    run(async {
        let (zone, shared) = (Zone::default(), upstream("declared.test"));
        let host = |name: &str| HostConfig {
            address: Address::Tcp { host: name.into(), port: 80, tls: false },
            weight: 1,
            backup: false,
        };
        let mut failing = BTreeSet::new();
        zone.set(Some("10.0.0.1:80"));
        told(&shared, vec![host("a.test")], &zone.lookup(), &mut failing).await;
        zone.set(None);
        told(&shared, vec![host("a.test"), host("10.0.0.2"), host("b.test")], &zone.lookup(), &mut failing).await;
        let labels: Vec<_> = shared.members().iter().map(|member| member.host.label().to_string()).collect();
        assert_eq!(labels, ["a.test:80", "10.0.0.2:80"]);
        // what is said of these is said once
        assert_eq!(failing.len(), 2);
        zone.set(Some("10.0.0.1:80"));
        told(&shared, vec![host("a.test")], &zone.lookup(), &mut failing).await;
        assert!(failing.is_empty());
    });
}

#[test]
fn the_system_knows_localhost() {
    let shared = upstream("localhost");
    assert_eq!(first(&[Arc::clone(&shared)], &Lookup::system(), Duration::from_secs(30)), [""; 0]);
    assert!(label(&shared).is_some_and(|address| address.ip().is_loopback()));
}

#[test]
fn a_change_is_followed_and_an_outage_changes_nothing() {
    run(async {
        let (zone, clock, shared) = (Zone::default(), Clock::fake(Duration::ZERO), upstream("a.test"));
        zone.set(Some("10.0.0.1:80"));
        let task = tokio::spawn(keep(vec![Arc::clone(&shared)], clock.clone(), zone.lookup()));
        // each turn lets the task sleep, turns the clock and waits for the lookup it then makes
        let turn = async |by: u64| {
            let asked = zone.asked();
            while clock.next_due().is_none() {
                tokio::task::yield_now().await;
            }
            clock.advance(Duration::from_secs(by));
            while zone.asked() == asked || clock.next_due().is_none() {
                tokio::task::yield_now().await;
            }
            label(&shared).map(|address| address.to_string())
        };
        assert_eq!(turn(1).await.as_deref(), Some("10.0.0.1:80"), "a name without address is tried every second");
        zone.set(None);
        assert_eq!(turn(10).await.as_deref(), Some("10.0.0.1:80"));
        zone.set(Some("10.0.0.2:80"));
        assert_eq!(turn(10).await.as_deref(), Some("10.0.0.2:80"));
        task.abort();
        assert!(task.await.unwrap_err().is_cancelled());
        tokio::task::yield_now().await;
        assert_eq!(clock.next_due(), None, "nothing goes on after it was dropped");
    });
}
