use std::time::Duration;

use super::*;
use crate::clock::Clock;
use crate::clock::Moment;
use crate::primitive::limiter::Now;
use crate::primitive::limiter::Window;
use crate::primitive::rate::Rate;
use crate::store::Value;

fn limit(text: &str) -> limiter::Config {
    let rates = vec![Rate::parse(text).unwrap()];
    limiter::Config { rates, window: Window::Fixed, burst: None, keys: 100 }
}

fn text(config: &impl serde::Serialize) -> String {
    serde_json::to_string(config).unwrap()
}

#[test]
fn a_limiter_keeps_what_was_used_when_its_rate_changes() {
    let live = Live::default();
    let now = Now::of(&Clock::fake(Duration::from_secs(1_800_000_000)));
    let limiter = live.limiter("limiter:a", &limit("3/min"));
    limiter.check("k", 2, now);
    let objects = [("limiter:a".to_owned(), text(&limit("10/min")))].into();
    live.commit(&objects, &Registry::default());
    let again = live.limiter("limiter:a", &limit("10/min"));
    assert!(Arc::ptr_eq(&limiter, &again));
    let decision = again.check("k", 1, now);
    assert_eq!((decision.limit, decision.left), (10, 7));
}

#[test]
fn a_store_keeps_its_values_until_no_generation_declares_it() {
    let live = Live::default();
    let clock = Clock::fake(Duration::ZERO);
    let open = |config: &store::Config| match live.store("store:a", config, &clock) {
        Store::Memory(memory) => memory,
        Store::Redis(_) => panic!("a store in memory"),
    };
    let store = open(&store::Config::default());
    store.set("k", Value::Int(1), None, Moment(0)).unwrap();
    let config = store::Config { ttl: Some(Duration::from_secs(5)), max: 1 << 20, ..store::Config::default() };
    live.commit(&[("store:a".to_owned(), text(&config))].into(), &Registry::default());
    assert_eq!(open(&config).get("k", Moment(0)), Some(Value::Int(1)));
    live.commit(&BTreeMap::new(), &Registry::default());
    assert_eq!(open(&config).get("k", Moment(0)), None);
    assert_eq!(store.get("k", Moment(0)), Some(Value::Int(1)), "the old generation keeps its handle");
}

#[test]
fn a_metric_declared_differently_starts_anew() {
    let (live, registry) = (Live::default(), Registry::default());
    let declared = |text: &str| BTreeMap::from([("metric:orders".to_owned(), text.to_owned())]);
    live.commit(&declared("counter"), &registry);
    registry.number("orders", "", true, &[]).add(2.0);
    live.commit(&declared("counter"), &registry);
    assert!(registry.render().contains("orders 2"));
    live.commit(&declared("gauge"), &registry);
    assert!(!registry.render().contains("orders"));
}

#[test]
fn the_newest_control_machine_hears_and_the_old_one_again_when_it_leaves() {
    let bus = Bus::default();
    let event = || Event { name: "x".into(), args: vec![] };
    assert_eq!(bus.emit(event()), 0);
    let mut old = Ears::new();
    let mut first = old.listen("x");
    let _old = bus.join(old);
    let mut new = Ears::new();
    let mut second = new.listen("x");
    let new = bus.join(new);
    assert_eq!(bus.emit(event()), 1);
    assert!(second.try_recv().is_ok() && first.try_recv().is_err());
    bus.leave(&new);
    assert!(bus.hears("x") && !bus.hears("y"));
    assert_eq!(bus.emit(event()), 1);
    assert!(first.try_recv().is_ok());
}

#[test]
fn a_listener_that_lags_misses_events_and_slows_nobody() {
    let bus = Bus::default();
    let mut ears = Ears::new();
    let _receiver = ears.listen("x");
    bus.join(ears);
    for _ in 0..bus::QUEUE + 5 {
        bus.emit(Event { name: "x".into(), args: vec![] });
    }
    assert_eq!(bus.dropped(), 5);
}

#[test]
fn a_flag_says_when_it_was_published() {
    let live = Live::default();
    let flag = live.flag("every:a");
    assert_eq!((flag.value(), flag.version()), (None, 0));
    flag.publish(Some(Value::Int(1)));
    assert_eq!(live.flag("every:a").version(), 1);
    assert_eq!(live.flag("every:a").value().as_deref(), Some(&Value::Int(1)));
}
