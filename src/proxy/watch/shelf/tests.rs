//! The shelf: who is watched, for how long, and what is kept of it.

use serde_json::json;

use super::*;
use crate::http::Method;

const START: Moment = Moment(0);

fn request(path: &str) -> Request {
    Request { method: Method::Get, path: path.into(), ..Request::default() }
}

fn terms(raw: &str) -> Terms {
    Terms::parse(raw, 1, 100).unwrap()
}

fn at(seconds: u64) -> Moment {
    START.after(Duration::from_secs(seconds))
}

#[test]
fn an_order_ends_with_its_last_request_or_its_time() {
    let shelf = Shelf::default();
    assert!(!shelf.is_armed());
    let (id, _) = shelf.arm(terms("path=/a&count=2"), false, START).unwrap();
    assert!(shelf.is_armed());
    assert!(shelf.take(&request("/b"), None, None, START).is_none());
    assert_eq!(shelf.take(&request("/a"), None, None, START).unwrap().id, id);
    assert!(shelf.is_armed());
    assert!(shelf.take(&request("/a"), None, None, START).is_some());
    assert!(!shelf.is_armed(), "two were asked for");

    shelf.arm(terms("for=10s"), false, START).unwrap();
    assert!(shelf.take(&request("/a"), None, None, at(10)).is_none());
    assert!(!shelf.is_armed(), "whoever comes too late puts it away");
}

#[test]
fn a_signed_field_is_watched_whatever_else_is_asked_for_and_a_forged_one_is_not() {
    let shelf = Shelf::default();
    let (id, signed) = shelf.arm(terms("signed=true&count=9"), false, START).unwrap();
    assert!(shelf.take(&request("/a"), None, None, START).is_none());
    assert_eq!(shelf.take(&request("/a"), None, Some(&signed), START).unwrap().id, id);
    let (_, foreign) = Shelf::default().arm(terms(""), false, START).unwrap();
    for forged in ["", "1", "1.", &format!("{id}.00"), &signed[..signed.len() - 1], &foreign, "x.y"] {
        assert!(shelf.take(&request("/a"), None, Some(forged), START).is_none(), "{forged}");
    }
}

#[test]
fn what_was_seen_is_kept_for_a_while_and_within_bounds() {
    let shelf = Shelf::default();
    let (id, _) = shelf.arm(terms("count=1"), false, START).unwrap();
    let order = shelf.take(&request("/"), None, None, START).unwrap();
    shelf.keep(&order, |id| json!({ "id": id }), START);
    let (stories, open) = shelf.stories(id, at(1));
    assert!(open, "one who took it is under way");
    let name = stories[0]["id"].as_str().unwrap();
    assert_eq!(shelf.story(name, at(1)).unwrap(), stories[0]);
    assert!(shelf.story(name, at(3600)).is_none(), "an hour is enough");

    for _ in 0..MOST_KEPT + 5 {
        shelf.keep(&order, |id| json!({ "id": id }), at(2));
    }
    assert_eq!(shelf.stories(id, at(2)).0.len(), MOST_KEPT);
    for _ in 0..10 {
        shelf.keep(&order, |_| json!({ "text": "x".repeat(MOST_BYTES / 4) }), at(2));
    }
    assert!(shelf.state.lock().bytes <= MOST_BYTES);
    shelf.keep(&order, |_| json!({ "text": "x".repeat(MOST_BYTES) }), at(2));
    assert!(shelf.state.lock().bytes <= MOST_BYTES, "what is too large by itself drives nothing out");
    assert!(!shelf.stories(id, at(2)).0.is_empty());
    drop(order);
    assert!(!shelf.stories(id, at(2)).1);
    shelf.disarm(None);
    assert_eq!(shelf.state.lock().bytes, 0);
}

#[test]
fn no_more_than_so_much_is_asked_for_at_a_time() {
    let shelf = Shelf::default();
    for _ in 0..MOST_ORDERS {
        assert!(shelf.arm(terms(""), false, START).is_some());
    }
    assert!(shelf.arm(terms(""), false, START).is_none());
    assert_eq!(shelf.disarm(Some(1)), 1);
    assert!(shelf.arm(terms(""), false, START).is_some());
    assert_eq!(shelf.disarm(None), MOST_ORDERS);
    assert!(!shelf.is_armed());
}
