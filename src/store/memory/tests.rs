use super::*;

fn at(seconds: u64) -> Moment {
    Moment::default().after(Duration::from_secs(seconds))
}

fn secs(seconds: u64) -> Option<Duration> {
    Some(Duration::from_secs(seconds))
}

#[test]
fn a_value_lives_as_long_as_it_was_given() {
    let store = Memory::new(Config { ttl: secs(10), ..Config::default() });
    store.set("a", Value::Int(1), None, at(0)).expect("it fits");
    store.set("b", Value::Int(2), secs(100), at(0)).expect("it fits");
    assert_eq!(store.get("a", at(9)), Some(Value::Int(1)));
    assert_eq!((store.get("a", at(10)), store.get("b", at(10))), (None, Some(Value::Int(2))));
    assert_eq!(store.keys("", 10, at(10)), ["b"]);
    assert!(!store.delete("a", at(10)) && store.delete("b", at(10)) && !store.delete("b", at(10)));
    assert_eq!(store.size(), (0, 0));
}

#[test]
fn incr_counts_from_nothing_and_keeps_its_first_time_to_live() {
    let store = Memory::new(Config::default());
    assert_eq!(store.incr("n", &Value::Int(2), secs(10), at(0)), Ok(Value::Int(2)));
    assert_eq!(store.incr("n", &Value::Int(3), secs(10), at(9)), Ok(Value::Int(5)));
    assert_eq!(store.incr("n", &Value::Number(0.5), secs(10), at(9)), Ok(Value::Number(5.5)));
    assert_eq!(store.incr("n", &Value::Int(1), secs(10), at(10)), Ok(Value::Int(1)));
    store.set("t", Value::text("x"), None, at(0)).expect("it fits");
    assert_eq!(store.incr("t", &Value::Int(1), None, at(0)), Err(StoreError::NotANumber("t".into())));
    assert_eq!(store.get("t", at(0)), Some(Value::text("x")));
    store.set("big", Value::Int(i64::MAX), None, at(0)).expect("it fits");
    assert_eq!(store.incr("big", &Value::Int(1), None, at(0)), Ok(Value::Number(i64::MAX as f64 + 1.0)));
}

#[test]
fn update_runs_again_when_someone_else_was_quicker() {
    let store = Memory::new(Config::default());
    let mut runs = 0;
    let result = store.update("k", None, at(0), |old| {
        runs += 1;
        if runs == 1 {
            store.set("k", Value::Int(10), None, at(0))?;
        }
        Ok::<_, StoreError>(Change::Set(old.map_or(Value::Int(0), |old| old.plus(&Value::Int(1)).expect("a number"))))
    });
    assert_eq!((result, runs), (Ok(Some(Value::Int(11))), 2));
    assert_eq!(store.update("k", None, at(0), |_| Ok::<_, StoreError>(Change::Keep)), Ok(Some(Value::Int(11))));
    assert_eq!(store.update("k", None, at(0), |_| Ok::<_, StoreError>(Change::Delete)), Ok(None));
    let endless = store.update("k", None, at(0), |_| {
        store.incr("k", &Value::Int(1), None, at(0))?;
        Ok::<_, StoreError>(Change::Delete)
    });
    assert_eq!(endless, Err(StoreError::Contended("k".into())));
}

#[test]
fn a_value_deleted_and_set_again_is_another_version() {
    let store = Memory::new(Config::default());
    store.set("k", Value::Int(1), None, at(0)).expect("it fits");
    let (_, version) = store.read("k", at(0)).expect("it is there");
    store.delete("k", at(0));
    store.set("k", Value::Int(1), None, at(0)).expect("it fits");
    assert_eq!(store.swap("k", Some(version), Change::Delete, None, at(0)), Ok(false));
    assert_eq!(store.swap("other", None, Change::Set(Value::Bool(true)), None, at(0)), Ok(true));
}

#[test]
fn the_bound_holds_and_the_least_recently_used_go() {
    let store = Memory::new(Config { max: 100_000, ..Config::default() });
    for n in 0..2000 {
        store.set(&format!("key{n}"), Value::text([b'x'; 200]), None, at(n)).expect("it fits");
        store.get("key0", at(n));
        assert!(store.size().1 <= 100_000);
    }
    assert!(store.get("key0", at(2000)).is_some() && store.get("key1999", at(2000)).is_some());
    assert_eq!(store.get("key1", at(2000)), None);
    let huge = store.set("huge", Value::text(vec![0; 100_000]), None, at(0));
    assert!(matches!(huge, Err(StoreError::TooLarge { most: 100_000, .. })));
    store.configure(Config { max: 1000, ..Config::default() });
    assert!(store.size().1 <= 1000);
}

#[test]
fn the_same_key_set_again_and_again_is_counted_once() {
    let store = Memory::new(Config::default());
    let json = Value::Json(Box::new(serde_json::json!({ "a": [1, "two"] })));
    for _ in 0..1000 {
        store.set("k", json.clone(), None, at(0)).expect("it fits");
    }
    let (count, bytes) = store.size();
    assert!(count == 1 && bytes < 1000, "{bytes}");
}

#[test]
fn workers_count_together() {
    let store = Memory::new(Config::default());
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for _ in 0..1000 {
                    store.incr("n", &Value::Int(1), None, at(0)).expect("a number");
                }
            });
        }
    });
    assert_eq!(store.get("n", at(0)), Some(Value::Int(4000)));
}

#[test]
fn keys_are_sorted_and_bounded() {
    let store = Memory::new(Config::default());
    for key in ["b:2", "a:1", "b:1", "b:3"] {
        store.set(key, Value::Bool(true), None, at(0)).expect("it fits");
    }
    assert_eq!(store.keys("b:", 2, at(0)), ["b:1", "b:2"]);
}
