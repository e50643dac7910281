//! The scanner agrees with serde_json on what is JSON.

use super::*;

fn whole(text: &[u8]) -> Result<(), ScanFault> {
    let mut scan = Scan::new(text)?;
    scan.skip()?;
    scan.end()
}

#[test]
fn what_is_json_passes() {
    for text in [
        "1",
        "-0.5e+3",
        "\"\"",
        "\"a\\u00e9\\ud83d\\ude00\\n\"",
        "[]",
        "{}",
        " [1, {\"a\":[true,false,null]}] ",
        "{\"a\":{\"b\":{}}}",
    ] {
        assert_eq!(whole(text.as_bytes()), Ok(()), "{text}");
    }
    assert_eq!(whole("\u{feff}1".as_bytes()), Ok(()));
    assert_eq!(whole(format!("{}{}", "[".repeat(127), "]".repeat(127)).as_bytes()), Ok(()));
}

#[test]
fn what_is_no_json_is_refused_with_its_place() {
    for (text, said) in [
        ("", "unexpected end where a value should be at offset 0"),
        ("[1,]", "unexpected `]` where a value should be at offset 3"),
        ("{\"a\" 1}", "unexpected `1` where `:` should be at offset 5"),
        ("{a:1}", "unexpected `a` where a name should be at offset 1"),
        ("1 2", "unexpected `2` after the value at offset 2"),
        ("01", "unexpected `1` after the value at offset 1"),
        ("1.", "unexpected end where a digit should be at offset 2"),
        ("\"a", "unfinished string at offset 2"),
        ("\"\u{1}\"", "control character in a string at offset 1"),
        ("\"\\x\"", "unexpected `x` after `\\` at offset 2"),
        ("\"\\ud800\"", "half of a surrogate pair at offset 7"),
        ("nul", "unexpected `n` where a value should be at offset 0"),
        ("[1}", "unexpected `}` where `,` or `]` should be at offset 2"),
    ] {
        assert_eq!(whole(text.as_bytes()).map_err(|fault| fault.to_string()), Err(said.to_owned()), "{text}");
    }
    assert!(whole(b"\"\xff\"").is_err());
    assert!(whole("[".repeat(1_000_000).as_bytes()).is_err());
    assert!(whole("1".repeat(5000).as_bytes()).is_err());
}

proptest::proptest! {
    #[test]
    fn it_agrees_with_serde(text in "[\\[\\]{}\",:0-9a.eE+\\-\\\\ut nlrfs]{0,24}") {
        // Lone surrogates and out of range numbers aside, which the alphabet hardly makes.
        let theirs = serde_json::from_str::<serde::de::IgnoredAny>(&text).is_ok();
        proptest::prop_assert_eq!(whole(text.as_bytes()).is_ok(), theirs, "{}", text);
    }
}

#[test]
fn a_string_ends_where_its_first_special_byte_is() {
    for length in 0..40 {
        for special in ['"', '\\', '\u{1}', '\u{1f}', '\0'] {
            // Neighbours in the alphabet, and bytes with the high bit set, stand for themselves.
            for filler in ["a", " ", "!", "#", "[", "]", "\u{7f}", "\u{a2}", "\u{dc}"] {
                let text = format!("\"{}{special}!\"", filler.repeat(length));
                let mut scan = Scan::new(text.as_bytes()).unwrap();
                let (told, at) = (scan.text(), 1 + filler.len() * length);
                match special {
                    '"' => assert_eq!((told.unwrap().len(), scan.at()), (at - 1, at + 1), "{text:?}"),
                    '\\' => assert!(told.unwrap_err().what != What::Control, "{text:?}"),
                    _ => assert_eq!(told, Err(ScanFault { what: What::Control, at }), "{text:?}"),
                }
            }
        }
    }
}
