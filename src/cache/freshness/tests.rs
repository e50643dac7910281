//! RFC 9111, section by section.

use std::time::Duration;

use super::Arrival;
use super::Asked;
use super::Life;
use super::Rules;
use super::Use;
use super::Why;
use super::stands_in;
use super::store;
use super::usable;
use crate::cache::control::Control;
use crate::http::Headers;
use crate::http::Method;

/// Sun, 06 Nov 1994 08:49:37 GMT
const NOW: Duration = Duration::from_secs(784_111_777);
const DATE: &str = "Sun, 06 Nov 1994 08:49:37 GMT";

fn ask(text: &str) -> Control {
    Control::of_request(&Headers::of(&[("cache-control", text)]))
}

fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

struct Case {
    method: Method,
    status: u16,
    request: Control,
    identified: bool,
    rules: Rules,
    delay: u64,
}

fn case() -> Case {
    Case {
        method: Method::Get,
        status: 200,
        request: Control::default(),
        identified: false,
        rules: Rules::default(),
        delay: 0,
    }
}

impl Case {
    fn with_ttl(mut self, seconds: u64) -> Self {
        self.rules.ttl = Some(secs(seconds));
        self
    }

    fn answered(&self, fields: &[(&str, &str)]) -> Result<Life, Why> {
        let asked = Asked { method: &self.method, control: &self.request, identified: self.identified };
        let arrival = Arrival { unix: NOW, delay: secs(self.delay) };
        store(asked, self.status, &Headers::of(fields), &self.rules, arrival)
    }
}

fn fresh(fields: &[(&str, &str)]) -> Result<u64, Why> {
    case().answered(fields).map(|life| life.fresh.as_secs())
}

#[test]
fn section_3_only_safe_methods_are_stored() {
    for (method, stored) in [("GET", true), ("HEAD", true), ("QUERY", true), ("POST", false), ("PUT", false)] {
        let case = Case { method: Method::of(method), ..case() };
        assert_eq!(case.answered(&[("cache-control", "max-age=5")]).is_ok(), stored, "{method}");
    }
}

#[test]
fn section_3_a_status_must_be_understood() {
    for (status, stored) in
        [(200, true), (302, true), (404, true), (500, false), (503, false), (299, false), (206, false)]
    {
        let case = Case { status, ..case() };
        assert_eq!(case.answered(&[("cache-control", "max-age=5")]).is_ok(), stored, "{status}");
    }
}

#[test]
fn section_3_no_store_forbids_in_either_message() {
    assert_eq!(fresh(&[("cache-control", "no-store, max-age=5")]), Err(Why::NoStore));
    let asked = Case { request: ask("no-store"), ..case() };
    assert_eq!(asked.answered(&[("cache-control", "max-age=5")]), Err(Why::NoStore));
}

#[test]
fn section_5_2_2_3_no_store_gives_way_where_the_status_is_understood() {
    let field = [("cache-control", "must-understand, no-store, max-age=5")];
    assert_eq!(fresh(&field), Ok(5));
    let strange = Case { status: 299, ..case() };
    assert!(strange.answered(&field).is_err());
    let asked = Case { request: ask("no-store"), ..case() };
    assert_eq!(asked.answered(&field), Err(Why::NoStore));
}

#[test]
fn section_3_private_answers_are_not_for_a_shared_cache_unless_the_user_is_in_the_key() {
    assert_eq!(fresh(&[("cache-control", "private, max-age=5")]), Err(Why::Private));
    let mut own = case();
    own.rules.private = true;
    own.identified = true;
    assert!(own.answered(&[("cache-control", "private, max-age=5")]).is_ok());
}

#[test]
fn section_3_5_credentials_need_permission() {
    let with = |text| Case { identified: true, ..case() }.answered(&[("cache-control", text)]);
    assert_eq!(with("max-age=5"), Err(Why::Authorization));
    assert!(with("max-age=5, public").is_ok());
    assert!(with("max-age=5, must-revalidate").is_ok());
    assert!(with("s-maxage=5").is_ok());
    let told = Case { identified: true, ..case() }.with_ttl(60);
    assert_eq!(told.answered(&[]), Err(Why::Authorization), "a route's lifetime is no permission");
}

#[test]
fn cookies_are_never_handed_to_others() {
    assert_eq!(fresh(&[("cache-control", "public, max-age=5"), ("set-cookie", "a=1")]), Err(Why::SetCookie));
}

#[test]
fn section_4_1_vary_star_matches_nothing() {
    assert_eq!(fresh(&[("cache-control", "max-age=5"), ("vary", "accept, *")]), Err(Why::Vary));
}

#[test]
fn section_3_3_parts_are_not_stored() {
    assert_eq!(fresh(&[("cache-control", "max-age=5"), ("content-range", "bytes 0-1/5")]), Err(Why::Partial));
}

#[test]
fn section_4_2_1_s_maxage_then_max_age_then_expires() {
    let expires = ("expires", "Sun, 06 Nov 1994 08:59:37 GMT");
    assert_eq!(fresh(&[("date", DATE), expires]), Ok(600));
    assert_eq!(fresh(&[("date", DATE), expires, ("cache-control", "max-age=5")]), Ok(5));
    assert_eq!(fresh(&[("date", DATE), expires, ("cache-control", "max-age=5, s-maxage=7")]), Ok(7));
}

#[test]
fn section_5_3_an_expires_that_is_no_date_has_passed() {
    assert_eq!(fresh(&[("date", DATE), ("expires", "0")]), Ok(0));
    assert_eq!(fresh(&[("date", DATE), ("expires", "Sun, 06 Nov 1994 08:00:00 GMT")]), Ok(0));
}

#[test]
fn section_4_2_2_nothing_is_guessed() {
    assert_eq!(fresh(&[("last-modified", "Sun, 06 Nov 1983 08:49:37 GMT")]), Err(Why::Lifetime));
}

#[test]
fn a_route_s_lifetime_fills_in_and_overrides_only_when_told() {
    let mut told = case().with_ttl(60);
    assert_eq!(told.answered(&[]).unwrap().fresh, secs(60));
    assert_eq!(told.answered(&[("cache-control", "max-age=5")]).unwrap().fresh, secs(5));
    told.rules.override_answer = true;
    assert_eq!(told.answered(&[("cache-control", "max-age=5, must-revalidate")]).unwrap().fresh, secs(60));
}

#[test]
fn refusals_are_stored_only_when_told() {
    let mut missing = Case { status: 404, ..case() }.with_ttl(60);
    assert_eq!(missing.answered(&[]), Err(Why::Lifetime));
    missing.rules.statuses = vec![404, 503];
    assert_eq!(missing.answered(&[]).unwrap().fresh, secs(60));
    missing.status = 503;
    assert_eq!(missing.answered(&[]).unwrap().fresh, secs(60));
}

#[test]
fn section_4_2_3_age_is_the_worst_of_what_is_said_and_what_the_date_implies() {
    let age = |delay, fields: &[(&str, &str)]| {
        let mut all = vec![("cache-control", "max-age=99")];
        all.extend_from_slice(fields);
        Case { delay, ..case() }.answered(&all).unwrap().initial_age.as_secs()
    };
    assert_eq!(age(0, &[("date", DATE)]), 0);
    assert_eq!(age(0, &[("date", "Sun, 06 Nov 1994 08:49:07 GMT")]), 30);
    assert_eq!(age(2, &[("date", DATE), ("age", "10")]), 12);
    assert_eq!(age(0, &[("date", "Sun, 06 Nov 1994 08:49:07 GMT"), ("age", "10")]), 30);
    assert_eq!(age(0, &[("age", "-5")]), 0, "section 5.1: what is no number is passed over");
    assert_eq!(age(0, &[("age", "7, 9")]), 7);
}

#[test]
fn section_5_2_2_4_no_cache_is_stored_and_always_asked_about() {
    let life = case().answered(&[("cache-control", "no-cache"), ("etag", "\"a\"")]).unwrap();
    assert_eq!(usable(&life, secs(0), &Control::default(), true, false), Use::Ask);
    assert!(!stands_in(&life, secs(1), &ask("stale-if-error=60")));
}

fn life(text: &str) -> Life {
    case().answered(&[("cache-control", text)]).unwrap()
}

fn use_of(answer: &str, age: u64, request: &str) -> Use {
    usable(&life(answer), secs(age), &ask(request), true, false)
}

#[test]
fn section_4_2_fresh_until_its_lifetime_is_over() {
    assert_eq!(use_of("max-age=10", 9, ""), Use::Fresh);
    assert_eq!(use_of("max-age=10", 10, ""), Use::Ask);
}

#[test]
fn section_5_2_1_what_a_client_asks_is_heeded_where_it_may() {
    assert_eq!(use_of("max-age=10", 5, "max-age=4"), Use::Ask);
    assert_eq!(use_of("max-age=10", 5, "max-age=5"), Use::Fresh);
    assert_eq!(use_of("max-age=10", 5, "min-fresh=6"), Use::Ask);
    assert_eq!(use_of("max-age=10", 5, "min-fresh=5"), Use::Fresh);
    assert_eq!(use_of("max-age=10", 0, "no-cache"), Use::Ask);
    assert_eq!(usable(&life("max-age=10"), secs(0), &ask("no-cache, max-age=0"), false, false), Use::Fresh);
}

#[test]
fn section_5_2_1_2_max_stale_is_served_unless_the_answer_forbids_it() {
    assert_eq!(use_of("max-age=10", 15, "max-stale=5"), Use::Stale);
    assert_eq!(use_of("max-age=10", 16, "max-stale=5"), Use::Ask);
    assert_eq!(use_of("max-age=10", 999, "max-stale"), Use::Stale);
    assert_eq!(use_of("max-age=10, must-revalidate", 11, "max-stale"), Use::Ask);
    assert_eq!(use_of("max-age=10, proxy-revalidate", 11, "max-stale"), Use::Ask);
    assert_eq!(use_of("s-maxage=10", 11, "max-stale"), Use::Ask);
}

#[test]
fn rfc_8246_a_reload_does_not_ask_about_what_does_not_change() {
    assert_eq!(use_of("max-age=10, immutable", 5, "no-cache"), Use::Fresh);
    assert_eq!(use_of("max-age=10, immutable", 11, ""), Use::Ask);
}

#[test]
fn rfc_5861_stale_while_revalidate_lasts_as_long_as_said() {
    assert_eq!(use_of("max-age=10, stale-while-revalidate=5", 14, ""), Use::Behind);
    assert_eq!(use_of("max-age=10, stale-while-revalidate=5", 15, ""), Use::Ask);
    assert_eq!(use_of("s-maxage=10, stale-while-revalidate=5", 14, ""), Use::Behind);
    assert_eq!(use_of("max-age=10, stale-while-revalidate=5, must-revalidate", 14, ""), Use::Ask);
    let mut told = case().with_ttl(10);
    told.rules.stale = Some(secs(5));
    let life = told.answered(&[]).unwrap();
    assert_eq!(usable(&life, secs(12), &Control::default(), true, false), Use::Behind);
}

#[test]
fn rfc_5861_stale_if_error_lasts_as_long_as_said() {
    let none = Control::default();
    assert!(stands_in(&life("max-age=10, stale-if-error=5"), secs(14), &none));
    assert!(!stands_in(&life("max-age=10, stale-if-error=5"), secs(15), &none));
    assert!(!stands_in(&life("max-age=10"), secs(11), &none));
    assert!(stands_in(&life("max-age=10"), secs(11), &ask("stale-if-error=5")));
    assert!(!stands_in(&life("max-age=10, stale-if-error=5, must-revalidate"), secs(11), &none));
}

#[test]
fn what_was_purged_softly_is_stale_at_once() {
    let none = Control::default();
    assert_eq!(usable(&life("max-age=10"), secs(1), &none, true, true), Use::Ask);
    assert_eq!(usable(&life("max-age=10, stale-while-revalidate=5"), secs(1), &none, true, true), Use::Behind);
}
