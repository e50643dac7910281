//! Paths: the canonical form, the ambiguous ones, and that twice is once.

use std::borrow::Cow;

use proptest::prelude::*;

use super::Ambiguous;
use super::canonical;

fn reject(raw: &str) -> Result<String, &'static str> {
    canonical(raw, Ambiguous::Reject).map(Cow::into_owned)
}

#[test]
fn dot_segments_escapes_and_double_slashes() {
    for (raw, want) in [
        ("/", "/"),
        ("/a/b", "/a/b"),
        ("/a/./b", "/a/b"),
        ("/a/../b", "/b"),
        ("/a/..", "/"),
        ("/a/.", "/a/"),
        ("/../../etc", "/etc"),
        ("/a/%2e%2E/b", "/b"),
        ("/%2e", "/"),
        ("/a//b", "/a//b"),
        ("/a//../b", "/a/b"),
        ("//", "//"),
        ("/.well-known/x", "/.well-known/x"),
        ("/...", "/..."),
        ("/a/..b", "/a/..b"),
        ("/%7euser/%41%2d%5f", "/~user/A-_"),
        ("/%c3%a4%20", "/%C3%A4%20"),
        ("/%252e%252e/", "/%252e%252e/"),
        ("/a%3bb", "/a%3Bb"),
        ("*", "*"),
    ] {
        assert_eq!(reject(raw).as_deref(), Ok(want), "{raw}");
    }
}

#[test]
fn a_canonical_path_is_not_copied() {
    assert!(matches!(canonical("/users/42.json", Ambiguous::Reject), Ok(Cow::Borrowed(_))));
}

#[test]
fn ambiguous_paths() {
    for raw in ["/a%2Fb", "/a%2fb", "/a%5Cb", "/a\\b", "/a;b", "/..;/x", "/a%00b", "/%", "/%2", "/%zz", "/%+1", "/%é"]
    {
        assert!(reject(raw).is_err(), "{raw}");
    }
    let keep = |raw| canonical(raw, Ambiguous::Keep).map(Cow::into_owned);
    assert_eq!(keep("/a%2fb/..;/%5c\\%00"), Ok("/a%2Fb/..;/%5C\\%00".into()));
    assert_eq!(keep("/a/..%2fb"), Ok("/a/..%2Fb".into()));
    assert!(keep("/%2").is_err());
    let decode = |raw| canonical(raw, Ambiguous::Decode).map(Cow::into_owned);
    assert_eq!(decode("/a%2Fb;c"), Ok("/a/b;c".into()));
    assert_eq!(decode("/a/..%2f..%5Cb"), Ok("/b".into()));
    assert_eq!(decode("/a/..\\b"), Ok("/b".into()));
    assert!(decode("/a%00").is_err());
}

proptest! {
    #[test]
    fn twice_is_once(parts in proptest::collection::vec(proptest::sample::select(
        &["/", "/", ".", "..", "%2e", "%2F", "%5c", "\\", ";", "a", "%41", "%25", "%", "%00", "2e", "//", "%7E"][..]), 0..14)) {
        let raw = format!("/{}", parts.concat());
        for ambiguous in [Ambiguous::Reject, Ambiguous::Keep, Ambiguous::Decode] {
            if let Ok(once) = canonical(&raw, ambiguous) {
                prop_assert_eq!(canonical(&once, ambiguous), Ok(Cow::Borrowed(&*once)));
                prop_assert!(once.starts_with('/'));
                prop_assert!(!once.split('/').any(|segment| segment == ".." || segment == "."));
            }
        }
    }

    #[test]
    fn any_text_is_answered(raw in ".{0,40}") {
        for ambiguous in [Ambiguous::Reject, Ambiguous::Keep, Ambiguous::Decode] {
            let _ = canonical(&raw, ambiguous);
        }
    }
}
