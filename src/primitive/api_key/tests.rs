//! Where keys stand, how they are hidden, whose they are.

use super::*;

fn read(source: &str, fields: &[(&str, &str)], query: Option<&str>) -> Option<String> {
    let key = Source::parse(source).unwrap().read(&Headers::of(fields), query)?;
    Some(String::from_utf8(key).unwrap())
}

#[test]
fn keys_are_read_where_they_stand() {
    assert_eq!(read("header:X-Api-Key", &[("x-api-key", " k1 ")], None).as_deref(), Some("k1"));
    assert_eq!(read("query:key", &[], Some("a=1&key=k%201&key=k2")).as_deref(), Some("k 1"));
    assert_eq!(read("cookie:sid", &[("cookie", "a=1; sid=k1")], None).as_deref(), Some("k1"));
    assert_eq!(read("bearer", &[("authorization", "bearer  k1")], None).as_deref(), Some("k1"));
    for (source, fields, query) in [
        ("header:x-api-key", &[("x-api-key", "  ")][..], None),
        ("header:x-api-key", &[], Some("x-api-key=1")),
        ("query:key", &[], Some("kee=1&key=")),
        ("cookie:sid", &[("cookie", "xsid=1; sid=")], None),
        ("bearer", &[("authorization", "Basic k1")], None),
        ("bearer", &[("authorization", "Bearer ")], None),
        ("bearer", &[("authorization", "é")], None),
    ] {
        assert_eq!(read(source, fields, query), None, "{source} {fields:?} {query:?}");
    }
    assert_eq!(read("header:k", &[("k", "a"), ("k", "b")], None).as_deref(), Some("a, b"), "nobody has such a key");
}

#[test]
fn every_copy_is_hidden_and_nothing_else() {
    let hide = |source: &str, fields: &[(&str, &str)], query: Option<&str>| {
        let (mut fields, mut query) = (Headers::of(fields), query.map(str::to_owned));
        Source::parse(source).unwrap().hide(&mut fields, &mut query);
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let left: Vec<_> = fields.iter().map(|(_, name, value)| format!("{}={}", text(name), text(value))).collect();
        (left.join("|"), query)
    };
    assert_eq!(hide("header:k", &[("k", "1"), ("K", "2"), ("kk", "3")], None), ("kk=3".into(), None));
    assert_eq!(hide("query:k", &[], Some("k=1&a=%41&k=2")).1.as_deref(), Some("a=%41"));
    assert_eq!(hide("query:k", &[], Some("k=1")).1, None);
    assert_eq!(
        hide("query:k", &[], Some("a=b+c&d")).1.as_deref(),
        Some("a=b+c&d"),
        "what was not there changes nothing"
    );
    assert_eq!(hide("cookie:s", &[("cookie", "a=1; s=2"), ("cookie", "s=3;b=4")], None).0, "cookie=a=1; b=4");
    assert_eq!(hide("cookie:s", &[("cookie", "s=2")], None).0, "");
    assert_eq!(hide("cookie:s", &[("cookie", "a=1;b=2")], None).0, "cookie=a=1;b=2");
    assert_eq!(hide("bearer", &[("authorization", "Bearer k")], None).0, "");
    assert_eq!(hide("bearer", &[("authorization", "Basic k")], None).0, "authorization=Basic k");
}

#[test]
fn what_is_no_place_is_named() {
    for text in ["", "header:", "header:a b", "x-api-key", "query:", "cookie:a;b", "body:key", "Bearer:"] {
        assert!(Source::parse(text).is_err(), "{text}");
    }
    assert_eq!(Source::parse("Bearer"), Ok(Source::Bearer));
}

#[test]
fn keys_plain_and_hashed() {
    let mut keys = Keys::default();
    keys.add(b"plain", 1).unwrap();
    // SHA-256 of "abc"
    let abc = "sha256:BA7816BF8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
    keys.add(abc.as_bytes(), 2).unwrap();
    let find = |key: &str| keys.find(&digest(key.as_bytes())).copied();
    assert_eq!((find("plain"), find("abc"), find(abc), find(""), find("plain ")), (Some(1), Some(2), None, None, None));
    assert_eq!((keys.len(), keys.is_empty()), (2, false));
    assert_eq!(keys.add(b"abc", 3), Err(KeyError::Twice));
    assert_eq!(keys.add(b"", 3), Err(KeyError::Empty));
    for bad in ["sha256:", "sha256:12", "sha256:zz7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"] {
        assert_eq!(keys.add(bad.as_bytes(), 3), Err(KeyError::NotAHash), "{bad}");
    }
    assert_eq!(name(&digest(b"abc")), "ba7816bf8f01cfea");
}
