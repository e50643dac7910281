use super::*;

#[test]
fn every_name_stands_once() {
    let mut names: Vec<&str> = all().iter().map(|word| word.name).chain(STDLIB.iter().copied()).collect();
    names.sort_unstable();
    let count = names.len();
    names.dedup();
    assert_eq!(names.len(), count);
}

#[test]
fn every_word_and_option_says_what_it_is_for() {
    for word in all() {
        assert!(!word.doc.is_empty() && !word.form.is_empty(), "{}", word.name);
        for option in &word.options {
            assert!(!option.doc.is_empty(), "{}.{}", word.name, option.name);
        }
    }
}

#[test]
fn the_nearest_name_is_suggested_and_a_far_one_is_not() {
    assert_eq!(nearest("strip_perfix", ["strip_prefix", "slash"]), Some("strip_prefix"));
    assert_eq!(nearest("upstrem", globals()), Some("upstream"));
    assert_eq!(nearest("usres", ["users", "orders"]), Some("users"));
    assert_eq!(nearest("header", ["headers", "host"]), Some("headers"));
    assert_eq!(nearest("Route", globals()), Some("route"));
    assert_eq!(nearest("zebra", ["users", "orders"]), None);
    assert_eq!(nearest("x", ["is", "on", "y"]), None);
}

#[test]
fn later_words_are_known_but_no_globals() {
    assert!(!is_global("soap"));
    assert_eq!(find("soap").map(|word| word.kind), Some(Kind::Later));
    assert!(is_global("route") && is_global("pairs") && is_global("mock"));
}

#[test]
fn types_say_what_they_want() {
    assert_eq!(Type::one_of(&["a", "b", "c"]).to_string(), "\"a\", \"b\" or \"c\"");
    assert_eq!(Type::Int(1, 10).to_string(), "a whole number from 1 to 10");
    assert_eq!(Type::positive().to_string(), "a whole number, 1 or more");
}
