//! A regular expression that a text must match. Those of one class of characters, such as `^[A-Z0-9-]+$`, are read off a
//! table: they are most of what people write, and cost a tenth so.

use std::fmt;

/// A pattern with linear time.
#[derive(Clone, Debug)]
pub struct Pattern {
    regex: regex::Regex,
    class: Option<Box<Class>>,
}

#[derive(Clone, Debug)]
struct Class {
    taken: [bool; 256],
    may_be_empty: bool,
}

impl From<regex::Regex> for Pattern {
    fn from(regex: regex::Regex) -> Self {
        Self { class: class(regex.as_str()).map(Box::new), regex }
    }
}

impl Pattern {
    /// Whether it matches somewhere in `text`.
    pub fn is_match(&self, text: &str) -> bool {
        match &self.class {
            Some(class) if text.is_empty() => class.may_be_empty,
            Some(class) => text.bytes().all(|byte| class.taken[usize::from(byte)]),
            None => self.regex.is_match(text),
        }
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.regex.fmt(f)
    }
}

/// `^[…]+$` or `^[…]*$` of ASCII characters and ranges that mean themselves. Anything that might mean more is left to the
/// regular expression.
fn class(pattern: &str) -> Option<Class> {
    let (inner, end) = pattern.strip_prefix("^[")?.rsplit_once(']')?;
    let may_be_empty = match end {
        "+$" => false,
        "*$" => true,
        _ => return None,
    };
    let mut taken = [false; 256];
    let bytes = inner.as_bytes();
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'/' | b'@' | b' ' | b'+');
    let mut at = 0;
    while at < bytes.len() {
        match bytes[at..] {
            [from, b'-', to, ..] if plain(from) && plain(to) && from <= to => {
                taken[usize::from(from)..=usize::from(to)].fill(true);
                at += 3;
            }
            // At either end a dash is one.
            [b'-', ..] if at == 0 || at + 1 == bytes.len() => {
                taken[usize::from(b'-')] = true;
                at += 1;
            }
            [byte, ..] if plain(byte) => {
                taken[usize::from(byte)] = true;
                at += 1;
            }
            _ => return None,
        }
    }
    (!bytes.is_empty() && bytes != b"-").then_some(Class { taken, may_be_empty })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_class_that_is_read_off_a_table_takes_what_the_regular_expression_takes() {
        let classes = [
            "A-Z0-9-",
            "a-z",
            "abc",
            "-a",
            "a-c-e",
            "a-",
            "0-9a-fA-F",
            "A-z",
            " -+",
            "a_b.c/d@e f+",
            "z-a",
            "",
            "-",
            "--",
            "^a",
            "a\\d",
            "a&&b",
            "a~~b",
            "[a]",
            "a]",
            "é",
            "a-é",
            ".",
            "$",
            "a-b-",
            "+--",
            ".-/",
            "a--b",
        ];
        for class in classes {
            for end in ["+$", "*$", "$", "+", "?$", "{2}$", "+$|b"] {
                let text = format!("^[{class}]{end}");
                let Ok(regex) = regex::Regex::new(&text) else { continue };
                let pattern = Pattern::from(regex.clone());
                let singles = (0..0x180).filter_map(char::from_u32).map(String::from);
                for text in singles.chain(["", "ab", "a-", "a\n", "\n", "A0-", "aé", "zz ", "--"].map(String::from)) {
                    assert_eq!(pattern.is_match(&text), regex.is_match(&text), "{pattern} {text:?}");
                }
            }
        }
    }

    #[test]
    fn ordinary_classes_are_on_the_table() {
        assert!(["^[A-Z0-9-]+$", "^[a-z_]*$", "^[0-9a-f]+$", "^[-.]+$"].into_iter().all(|text| class(text).is_some()));
        assert!(["^[^a]+$", "^[\\d]+$", "[a]+", "^[a]{3}$", "^[é]+$"].into_iter().all(|text| class(text).is_none()));
    }
}
