use proptest::prelude::*;
use serde_json::json;

use super::*;

fn path(text: &str) -> Path {
    Path::parse(text).expect(text)
}

fn read(text: &str) -> Value {
    decode(text.as_bytes(), Limits::default()).expect(text)
}

#[test]
fn numbers_keep_every_digit_and_objects_their_order() {
    let text = r#"{"z":9007199254740993,"a":1.10,"n":123456789012345678901234567890,"e":1E400,"b":-0.0}"#;
    let mut value = read(text);
    assert_eq!(encode(&value), text.replace("1E400", "1e+400"));
    path("$.a").set(&mut value, &json!("x"));
    assert!(encode(&value).contains("123456789012345678901234567890") && encode(&value).starts_with(r#"{"z":9007"#));
}

#[test]
fn depth_and_size_are_bounded() {
    let nested = |levels: usize| format!("{}1{}", "[".repeat(levels), "]".repeat(levels));
    let limits = Limits { size: 100, depth: 5 };
    assert!(decode(nested(5).as_bytes(), limits).is_ok());
    assert_eq!(decode(nested(6).as_bytes(), limits), Err(JsonFault::Depth(5)));
    assert_eq!(decode(&[b' '; 101], limits), Err(JsonFault::Size(100)));
    assert_eq!(decode(nested(100_000).as_bytes(), Limits::default()), Err(JsonFault::Depth(127)));
    assert!(decode(nested(127).as_bytes(), Limits::default()).is_ok());
    assert!(decode(br#"["[[[[[[\"[[["]"#, limits).is_ok(), "brackets in strings are no levels");
}

#[test]
fn what_is_no_json_is_placed() {
    let error = decode(b"{\"a\":\n 1,}", Limits::default()).expect_err("a fault");
    assert_eq!(error.to_string(), "trailing comma at line 2, column 4");
    for text in ["", "{", "nul", "1 2", "\"\\x\"", "NaN", "{\"a\":1e}"] {
        assert!(matches!(decode(text.as_bytes(), Limits::default()), Err(JsonFault::Syntax { .. })), "{text}");
    }
    assert!(decode(b"\"\xff\"", Limits::default()).is_err());
}

#[test]
fn text_at_a_path() {
    let body = br#"{"a":[{"b":"x"},7,null,true],"o":{"k":1}}"#;
    let at = |steps: &[&str]| text_at(body, &steps.iter().map(|step| (*step).to_owned()).collect::<Vec<_>>());
    assert_eq!(at(&["a", "0", "b"]).as_deref(), Some("x"));
    assert_eq!(at(&["a", "1"]).as_deref(), Some("7"));
    assert_eq!((at(&["a", "2"]), at(&["a", "9"]), at(&["a", "x"]), at(&["none"])), (None, None, None, None));
    assert_eq!(at(&["o"]).as_deref(), Some(r#"{"k":1}"#));
    assert_eq!(text_at(b"no json", &[]), None);
}

#[test]
fn paths_find_and_set() {
    let mut value = json!({ "items": [{ "id": 1, "p": 5 }, { "id": 2, "p": 9 }], "a b": 1 });
    assert_eq!(path("items[1].id").get(&value), Some(&json!(2)));
    assert_eq!(path("$.items[?@.p > 6].id").all(&value), [&json!(2)]);
    assert_eq!(path("$['a b']").get(&value), Some(&json!(1)));
    assert!(path("$.items[*].p").set(&mut value, &json!(0)));
    assert!(path("$.new.deep[0].x").set(&mut value, &json!("made")));
    assert!(path("$['x.y']").set(&mut value, &json!(1)));
    let expected = json!({
        "items": [{ "id": 1, "p": 0 }, { "id": 2, "p": 0 }], "a b": 1,
        "new": { "deep": [{ "x": "made" }] }, "x.y": 1,
    });
    assert_eq!(value, expected);
    for blocked in ["$.items.x", "$.items[9]", "$.none[*].x", "$.none[3]", "$['a b'].c", "$.fresh[1].x"] {
        assert!(!path(blocked).set(&mut value, &json!(1)), "{blocked}");
    }
    assert_eq!(value, expected, "what could not be set left nothing behind");
    assert!(path("$").set(&mut value, &json!([])) && value == json!([]));
    for (short, long) in [
        ("a", "$.a"),
        ("a.b[0].c", "$.a.b[0].c"),
        ("x-y.z", "$['x-y'].z"),
        ("[0]", "$[0]"),
        ("a.*", "$.a.*"),
        ("it's", r"$['it\'s']"),
        ("0", "$['0']"),
    ] {
        assert_eq!(path(short).source(), long);
    }
    assert_eq!(path(".a").source(), "$.a");
    for bad in ["", "a.", "$.a[", "a[", "a[x]"] {
        assert!(Path::parse(bad).is_err(), "{bad}");
    }
    assert!(Path::parse("$.a[").is_err_and(|error| error.to_string().contains("`$.a[`")));
}

#[test]
fn edits_run_in_their_order() {
    let mut value = json!({ "id": 1, "secret": "s", "old": [1, 2, 3, 4], "drop": { "a": 1 }, "tail": true });
    let edit = Edit {
        keep: ["id", "secret", "old", "tail"].map(path).into(),
        remove: vec![path("secret"), path("$.old[?@ > 1]"), path("$.none")],
        rename: vec![(path("old"), "new".into()), (path("none"), "x".into())],
        set: vec![(path("added.by"), json!("gateway"))],
    };
    edit.apply(&mut value);
    assert_eq!(encode(&value), r#"{"id":1,"new":[1],"tail":true,"added":{"by":"gateway"}}"#);
    assert!(!edit.is_empty() && Edit::default().is_empty());
}

#[test]
fn keep_holds_what_leads_to_it() {
    let mut value = json!({ "items": [{ "id": 1, "x": 2 }, { "y": 3 }, { "id": 4 }], "a/b": { "~c": 1, "d": 2 } });
    let edit = Edit { keep: vec![path("$.items[*].id"), path("$['a/b']['~c']")], ..Edit::default() };
    edit.apply(&mut value);
    assert_eq!(value, json!({ "items": [{ "id": 1 }, { "id": 4 }], "a/b": { "~c": 1 } }));
    let mut none = json!({ "a": 1 });
    Edit { keep: vec![path("b")], ..Edit::default() }.apply(&mut none);
    assert_eq!(none, json!({}));
}

#[test]
fn removing_and_renaming_at_every_depth() {
    let mut value = json!({ "id": 1, "list": [{ "id": 2 }, { "id": 3, "to": "gone" }], "deep": { "id": { "id": 4 } } });
    edit::rename(&mut value, &path("$..id"), "to");
    assert_eq!(value, json!({ "to": 1, "list": [{ "to": 2 }, { "to": 3 }], "deep": { "to": { "to": 4 } } }));
    edit::remove(&mut value, &path("$..to"));
    assert_eq!(value, json!({ "list": [{}, {}], "deep": {} }));
    let mut long = json!((0..12).collect::<Vec<_>>());
    edit::remove(&mut long, &path("$[?@ > 1]"));
    assert_eq!(long, json!([0, 1]));
    edit::remove(&mut long, &path("$"));
    assert_eq!(long, Value::Null);
}

proptest! {
    #[test]
    fn no_text_makes_it_panic(text in "[\\[\\]{}\",:0-9a\\\\.$*?@' -]{0,24}") {
        let _ = decode(text.as_bytes(), Limits::default());
        if let Ok(path) = Path::parse(&text) {
            let mut value = json!({ "a": [1, { "a": 2 }], "0": null });
            edit::rename(&mut value, &path, "b");
            path.set(&mut value, &json!(1));
            edit::remove(&mut value, &path);
        }
    }
}

#[test]
fn the_parser_s_own_mark_cannot_smuggle_text_into_a_number() {
    let marked =
        |text: &str| decode(format!(r#"{{"$serde_json::private::Number":{text}}}"#).as_bytes(), Limits::default());
    for text in [r#""1,\"admin\":true""#, r#""NaN""#, r#"" 1""#, "1", r#""1","b":2"#] {
        let out = marked(text).map(|value| encode(&value));
        assert!(
            out.is_err() || out.as_ref().is_ok_and(|out| decode(out.as_bytes(), Limits::default()).is_ok()),
            "{text}: {out:?}"
        );
        assert!(!out.is_ok_and(|out| out.contains("admin")), "{text}");
    }
}
