//! Directives as they come.

use super::Control;
use crate::http::Headers;

fn answer(text: &str) -> Control {
    Control::of_response(&Headers::of(&[("cache-control", text)]))
}

#[test]
fn directives_are_read_whatever_their_case_and_spacing() {
    let control = answer(" Max-Age=60 ,,S-MAXAGE=30,Public, must-revalidate");
    assert_eq!((control.max_age, control.s_maxage), (Some(60), Some(30)));
    assert!(control.public && control.must_revalidate && !control.private);
    assert_eq!(control.lifetime(), Some(30), "a shared cache takes s-maxage (section 4.2.1)");
}

#[test]
fn arguments_may_be_quoted_and_hold_commas() {
    let control = answer("private=\"set-cookie, x-user\", max-age=\"10\", no-cache");
    assert!(control.private && control.no_cache);
    assert_eq!(control.max_age, Some(10));
}

#[test]
fn of_two_lifetimes_the_shorter_rules() {
    assert_eq!(answer("max-age=60, max-age=5").max_age, Some(5));
}

#[test]
fn a_senseless_number_means_stale() {
    for text in ["max-age=soon", "max-age", "max-age=", "max-age=-1", "max-age=1.5", "max-age=\"", "max-age= "] {
        let control = answer(text);
        assert_eq!((control.max_age, control.invalid), (Some(0), true), "{text}");
    }
}

#[test]
fn huge_numbers_are_the_largest() {
    assert_eq!(answer("max-age=99999999999999999999999999").max_age, Some(1 << 31));
}

#[test]
fn unknown_directives_are_passed_over() {
    assert_eq!(answer("x=\"a, max-age=5\", y, max-age=7").max_age, Some(7));
}

#[test]
fn several_lines_are_one_list() {
    let control = Control::of_response(&Headers::of(&[("cache-control", "public"), ("cache-control", "max-age=3")]));
    assert!(control.public);
    assert_eq!(control.max_age, Some(3));
}

#[test]
fn pragma_counts_only_where_there_is_no_cache_control() {
    assert!(Control::of_request(&Headers::of(&[("pragma", "no-cache")])).no_cache);
    assert!(!Control::of_request(&Headers::of(&[("pragma", "no-cache"), ("cache-control", "max-age=1")])).no_cache);
}

#[test]
fn max_stale_without_a_number_has_no_limit() {
    assert_eq!(Control::of_request(&Headers::of(&[("cache-control", "max-stale")])).max_stale, Some(u64::MAX));
    assert_eq!(Control::of_request(&Headers::of(&[("cache-control", "max-stale=9")])).max_stale, Some(9));
}

#[test]
fn the_most_specific_targeted_field_rules_alone() {
    let fields = [
        ("cache-control", "no-store"),
        ("cdn-cache-control", "max-age=5"),
        ("moongate-cdn-cache-control", "max-age=9"),
    ];
    assert_eq!(Control::of_response(&Headers::of(&fields)).max_age, Some(9));
    assert!(!Control::of_response(&Headers::of(&fields)).no_store);
    let broken = [("cache-control", "max-age=1"), ("cdn-cache-control", "max-age=x")];
    assert_eq!(Control::of_response(&Headers::of(&broken)).max_age, Some(1), "an unreadable one is passed over");
}
