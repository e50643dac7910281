//! Bounds of a JSON text: depth, width, lengths, and no name twice; one pass over the bytes, no tree.

use std::borrow::Cow;
use std::collections::HashSet;

use crate::primitive::scan::DEEPEST;
use crate::primitive::scan::Kind;
use crate::primitive::scan::Scan;
use crate::primitive::scan::ScanFault;

/// What a text may be; an absent bound is none.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Config {
    /// Most objects and lists inside each other, 127 at most.
    pub depth: Option<usize>,
    /// Most members of one object.
    pub keys: Option<usize>,
    /// Most characters of one string.
    pub string: Option<usize>,
    /// Most items of one list.
    pub array: Option<usize>,
    /// Most characters of a member's name.
    pub name: Option<usize>,
    /// Whether one object may name a member twice.
    pub duplicates: bool,
}

/// Why a text is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LimitFault {
    /// It is no JSON.
    #[error(transparent)]
    Syntax(#[from] ScanFault),
    /// It is more than allowed.
    #[error("{message}")]
    Exceeded {
        /// Where, as a JSON Pointer.
        pointer: String,
        /// Which bound it breaks.
        message: String,
    },
}

/// The bounds, ready for use.
#[derive(Clone, Debug)]
pub struct JsonLimit {
    depth: usize,
    keys: usize,
    string: usize,
    array: usize,
    name: usize,
    duplicates: bool,
}

impl JsonLimit {
    /// Bounds that never exceed what the gateway itself reads.
    pub fn new(config: &Config) -> Self {
        let bound = |bound: Option<usize>| bound.unwrap_or(usize::MAX);
        Self {
            depth: bound(config.depth).min(DEEPEST),
            keys: bound(config.keys),
            string: bound(config.string),
            array: bound(config.array),
            name: bound(config.name),
            duplicates: config.duplicates,
        }
    }

    /// Whether `text` keeps to them.
    pub fn check(&self, text: &[u8]) -> Result<(), LimitFault> {
        let mut scan = Scan::new(text)?;
        self.value(&mut scan, 0)?;
        Ok(scan.end()?)
    }

    fn value(&self, scan: &mut Scan<'_>, depth: usize) -> Result<(), LimitFault> {
        let kind = scan.kind()?;
        if matches!(kind, Kind::Object | Kind::List) && depth == self.depth {
            return exceeded(format!("more than {} levels", self.depth));
        }
        match kind {
            Kind::Object => self.object(scan, depth + 1),
            Kind::List => self.list(scan, depth + 1),
            Kind::Text if longer(&scan.text()?, self.string) => {
                exceeded(format!("a string of more than {} characters", self.string))
            }
            Kind::Text => Ok(()),
            Kind::Number => Ok(scan.number().map(|_| ())?),
            Kind::Bool | Kind::Null => Ok(scan.word().map(|_| ())?),
        }
    }

    fn list(&self, scan: &mut Scan<'_>, depth: usize) -> Result<(), LimitFault> {
        let (mut more, mut count) = (scan.enter(b']'), 0);
        while more {
            if count == self.array {
                return exceeded(format!("a list of more than {} items", self.array));
            }
            self.value(scan, depth).map_err(|fault| inside(fault, &count.to_string()))?;
            count += 1;
            more = scan.more(b']')?;
        }
        Ok(())
    }

    fn object(&self, scan: &mut Scan<'_>, depth: usize) -> Result<(), LimitFault> {
        let (mut more, mut count, mut names) = (scan.enter(b'}'), 0, Names::default());
        while more {
            if count == self.keys {
                return exceeded(format!("an object of more than {} members", self.keys));
            }
            let name = scan.name()?;
            if longer(&name, self.name) {
                return exceeded(format!("a name of more than {} characters", self.name));
            }
            // The name is needed for the pointer of a fault only, and for its twin.
            let shown = name.clone();
            if !self.duplicates && !names.add(name) {
                return exceeded("the same name twice".to_owned()).map_err(|fault| inside(fault, &shown));
            }
            self.value(scan, depth).map_err(|fault| inside(fault, &shown))?;
            count += 1;
            more = scan.more(b'}')?;
        }
        Ok(())
    }
}

/// The names of one object: a few are compared one by one, more are hashed.
#[derive(Default)]
struct Names<'a> {
    few: Vec<Cow<'a, str>>,
    many: HashSet<Cow<'a, str>>,
}

impl<'a> Names<'a> {
    /// Whether the name is new.
    fn add(&mut self, name: Cow<'a, str>) -> bool {
        if !self.many.is_empty() {
            return self.many.insert(name);
        }
        if self.few.contains(&name) {
            return false;
        }
        self.few.push(name);
        if self.few.len() > 16 {
            self.many.extend(self.few.drain(..));
        }
        true
    }
}

/// Bytes are counted first: characters are never more.
fn longer(text: &str, most: usize) -> bool {
    text.len() > most && text.chars().count() > most
}

fn exceeded(message: String) -> Result<(), LimitFault> {
    Err(LimitFault::Exceeded { pointer: String::new(), message })
}

/// The fault as seen from one level further out.
fn inside(fault: LimitFault, segment: &str) -> LimitFault {
    match fault {
        LimitFault::Exceeded { pointer, message } => {
            let segment = segment.replace('~', "~0").replace('/', "~1");
            LimitFault::Exceeded { pointer: format!("/{segment}{pointer}"), message }
        }
        syntax => syntax,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(config: Config, text: &str) -> Result<(), String> {
        JsonLimit::new(&config).check(text.as_bytes()).map_err(|fault| match fault {
            LimitFault::Exceeded { pointer, message } => format!("{pointer}: {message}"),
            syntax @ LimitFault::Syntax(_) => syntax.to_string(),
        })
    }

    #[test]
    fn every_bound_has_its_place_and_message() {
        let of = |bound: fn(&mut Config)| {
            let mut config = Config::default();
            bound(&mut config);
            config
        };
        let depth = || of(|config| config.depth = Some(2));
        assert_eq!(check(depth(), r#"{"a":[1]}"#), Ok(()));
        assert_eq!(check(depth(), r#"{"a":[1,[]]}"#), Err("/a/1: more than 2 levels".into()));
        let keys = || of(|config| config.keys = Some(2));
        assert_eq!(check(keys(), r#"[{"a":1,"b":2}]"#), Ok(()));
        assert_eq!(check(keys(), r#"[{"a":1,"b":2,"c":3}]"#), Err("/0: an object of more than 2 members".into()));
        let string = || of(|config| config.string = Some(3));
        assert_eq!(check(string(), r#""äöü""#), Ok(()), "characters, not bytes");
        assert_eq!(check(string(), r#"{"a":"\u0061bcd"}"#), Err("/a: a string of more than 3 characters".into()));
        let array = || of(|config| config.array = Some(1));
        assert_eq!(check(array(), "[[1]]"), Ok(()));
        assert_eq!(check(array(), "[[1,2]]"), Err("/0: a list of more than 1 items".into()));
        let name = || of(|config| config.name = Some(3));
        assert_eq!(check(name(), r#"{"abc":{"abcd":1}}"#), Err("/abc: a name of more than 3 characters".into()));
    }

    #[test]
    fn a_name_may_stand_once() {
        let strict = Config::default;
        assert_eq!(check(strict(), r#"{"a":1,"b":{"a":1}}"#), Ok(()));
        assert_eq!(check(strict(), r#"{"x/y":{"a":1,"\u0061":2}}"#), Err("/x~1y/a: the same name twice".into()));
        assert_eq!(check(Config { duplicates: true, ..strict() }, r#"{"a":1,"a":2}"#), Ok(()));
        let members = |count| (0..count).map(|n| format!("\"{n}\":0")).collect::<Vec<_>>().join(",");
        assert_eq!(check(strict(), &format!("{{{}}}", members(100))), Ok(()));
        assert_eq!(check(strict(), &format!("{{{},\"7\":0}}", members(100))), Err("/7: the same name twice".into()));
    }

    #[test]
    fn hostile_texts_end() {
        assert!(check(Config::default(), &"[".repeat(1_000_000)).unwrap_err().contains("more than 127 levels"));
        assert!(check(Config { depth: Some(9999), ..Config::default() }, &"[".repeat(1_000)).is_err());
        assert!(check(Config::default(), "{").is_err());
        assert!(check(Config::default(), "[1] x").unwrap_err().contains("after the value"));
    }
}
