//! Storing, waiting for one another, and forgetting.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use super::Arrived;
use super::Found;
use super::Lead;
use super::Space;
use super::Turn;
use crate::cache::Entry;
use crate::cache::Key;
use crate::cache::content::Content;
use crate::cache::freshness::Life;
use crate::cache::key::Parts;
use crate::cache::purge::State;
use crate::clock::Moment;
use crate::http::Headers;
use crate::http::Request;

fn entry(body: &'static str, tags: &[&str], born: u64) -> Arc<Entry> {
    Arc::new(Entry {
        status: 200,
        headers: Headers::default(),
        life: Life::default(),
        arrived: Moment::default(),
        born,
        key: Box::default(),
        vary: Box::default(),
        tags: tags.iter().map(|&tag| tag.into()).collect(),
        path: "/a".into(),
        content: Content::complete(Bytes::from_static(body.as_bytes())),
    })
}

fn lead(space: &Arc<Space>, key: &Key) -> Lead {
    match space.board(key, false) {
        Turn::Lead(lead) => lead,
        Turn::Follow(_) => panic!("somebody else asks already"),
    }
}

fn body(space: &Space, text: &str, headers: &Headers) -> Option<Bytes> {
    match space.find(&mut Key::text(text), headers) {
        Found::Stored(entry, _) => entry.content.whole(),
        Found::Nothing => None,
    }
}

/// What is ready at once.
fn now<T>(work: impl Future<Output = T>) -> Option<T> {
    let mut cx = std::task::Context::from_waker(std::task::Waker::noop());
    match pin!(work).poll(&mut cx) {
        std::task::Poll::Ready(value) => Some(value),
        std::task::Poll::Pending => None,
    }
}

#[test]
fn one_asks_and_the_others_wait_for_the_head() {
    let space = Space::new(1 << 20);
    let key = Key::text("/a");
    let mut first = lead(&space, &key);
    let Turn::Follow(flight) = space.board(&key, false) else { panic!("the second waits") };
    assert!(now(flight.arrived()).is_none());
    let entry = entry("body", &[], first.born);
    first.begins(&entry, &[], &Headers::default());
    assert!(matches!(now(flight.arrived()), Some(Arrived::Entry(_))), "the body need not be complete");
    assert!(matches!(space.board(&key, false), Turn::Follow(_)), "who comes now reads along");
    first.stored(entry);
    assert_eq!(body(&space, "/a", &Headers::default()).unwrap(), "body");
    assert!(!space.is_coming(&key));
}

#[test]
fn whoever_waits_goes_on_when_the_one_who_asks_is_gone() {
    let space = Space::new(1 << 20);
    let key = Key::text("/a");
    let first = lead(&space, &key);
    let Turn::Follow(flight) = space.board(&key, false) else { panic!("the second waits") };
    drop(first);
    assert!(matches!(now(flight.arrived()), Some(Arrived::Pass)));
    drop(lead(&space, &key));
}

#[test]
fn what_is_not_storable_makes_no_queue_for_a_while() {
    let space = Space::new(1 << 20);
    let key = Key::text("/a");
    lead(&space, &key).passes(Moment::default(), Duration::from_secs(5));
    assert!(!space.passes(&key, true, Moment::default()), "where it is known who asks it may be otherwise");
    assert!(space.passes(&key, false, Moment(4_999_999_999)));
    assert!(!space.passes(&key, false, Moment(5_000_000_000)));
}

#[test]
fn variants_are_found_by_the_fields_they_differ_in() {
    let space = Space::new(1 << 20);
    let vary: Vec<Box<str>> = vec!["accept-language".into()];
    for (language, text) in [("de", "hallo"), ("en", "hello")] {
        let asked = Headers::of(&[("accept-language", language)]);
        let mut key = Key::text("/a");
        assert!(matches!(space.find(&mut key, &asked), Found::Nothing));
        let mut lead = lead(&space, &key);
        let entry = entry(text, &[], 0);
        lead.begins(&entry, &vary, &asked);
        lead.stored(entry);
    }
    assert_eq!(body(&space, "/a", &Headers::of(&[("accept-language", "de")])).unwrap(), "hallo");
    assert_eq!(body(&space, "/a", &Headers::of(&[("accept-language", "en")])).unwrap(), "hello");
    assert_eq!(body(&space, "/a", &Headers::of(&[])), None);
}

#[test]
fn who_wants_another_variant_does_not_wait_for_this_one() {
    let space = Space::new(1 << 20);
    let vary: Vec<Box<str>> = vec!["accept".into()];
    let json = Headers::of(&[("accept", "json")]);
    let mut key = Key::text("/a");
    let mut first = lead(&space, &key);
    let answer = entry("json", &[], 0);
    first.begins(&answer, &vary, &json);
    assert!(matches!(space.find(&mut key, &Headers::of(&[("accept", "xml")])), Found::Nothing));
    let other = lead(&space, &key);
    let mut same = Key::text("/a");
    space.find(&mut same, &json);
    assert!(matches!(space.board(&same, false), Turn::Follow(_)));
    drop(other);
    first.stored(answer);
    assert_eq!(body(&space, "/a", &json).unwrap(), "json");
}

#[test]
fn purges_reach_what_is_stored_and_what_was_on_its_way() {
    let space = Space::new(1 << 20);
    let put = |text: &str, tag: &str| {
        let mut lead = lead(&space, &Key::text(text));
        let entry = entry("x", &[tag], lead.born);
        lead.begins(&entry, &[], &Headers::default());
        move || lead.stored(entry)
    };
    let late = put("/late", "t");
    put("/soft", "t")();
    put("/hard", "u")();
    space.purges().tag("t", false);
    space.purges().tag("u", true);
    late();
    let state = |text: &str| match space.find(&mut Key::text(text), &Headers::default()) {
        Found::Stored(_, state) => Some(state),
        Found::Nothing => None,
    };
    assert_eq!((state("/soft"), state("/late"), state("/hard")), (Some(State::Stale), Some(State::Stale), None));
}

#[test]
fn the_bound_in_bytes_holds_whatever_is_stored() {
    let space = Space::new(100_000);
    for n in 0..500u32 {
        let text = format!("/{n}");
        let lead = lead(&space, &Key::text(&text));
        let content = Content::complete(Bytes::from(vec![0; (n as usize * 37) % 3_000]));
        let made = Entry {
            status: 200,
            headers: Headers::default(),
            life: Life::default(),
            arrived: Moment::default(),
            born: 0,
            key: Box::default(),
            vary: Box::default(),
            tags: Box::default(),
            path: "/".into(),
            content,
        };
        lead.stored(Arc::new(made));
    }
    let (count, bytes) = space.size();
    assert!(bytes <= 100_000 && count > 10, "{count} answers in {bytes} bytes");
}

#[test]
fn a_key_of_a_user_is_another_key() {
    let request = Request::default();
    let of = |user| Key::of(Vec::new(), &request, Parts { user, ..Parts::default() });
    assert_ne!(of(Some("a")), of(Some("b")));
    assert_ne!(of(Some("a")), of(None));
}

#[test]
fn an_answer_that_is_forgotten_takes_its_variants_along() {
    let space = Space::new(1 << 20);
    let vary: Vec<Box<str>> = vec!["accept".into()];
    let put = |asked: &Headers, text| {
        let mut key = Key::text("/a");
        space.find(&mut key, asked);
        let mut lead = lead(&space, &key);
        let entry = entry(text, &[], lead.born);
        lead.begins(&entry, &vary, asked);
        lead.stored(entry);
    };
    let (json, xml) = (Headers::of(&[("accept", "json")]), Headers::of(&[("accept", "xml")]));
    put(&json, "old");
    put(&xml, "old");
    space.forget(&Key::text("/a"));
    put(&json, "new");
    assert_eq!(body(&space, "/a", &json).unwrap(), "new");
    assert_eq!(body(&space, "/a", &xml), None, "a variant of before must not come back");
}

#[test]
fn another_bound_keeps_what_fits() {
    let space = Space::new(1 << 20);
    lead(&space, &Key::text("/a")).stored(entry("x", &[], 0));
    space.resize(1 << 16);
    assert_eq!(body(&space, "/a", &Headers::default()).unwrap(), "x");
    space.resize(16);
    assert!(space.size().1 <= 16);
}
