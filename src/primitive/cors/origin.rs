//! Origins: exact, by glob, by anchored regular expression; scheme, host and port are all compared.

use std::collections::HashSet;

use regex::bytes::Regex;
use regex::bytes::RegexSet;
use serde::Deserialize;
use serde::Serialize;
use url::Url;

use super::Fault;

/// Whose scripts may read answers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Rule {
    /// `*`
    Any,
    /// This origin, in the form browsers send; also `null`.
    Exact(String),
    /// `https://*.example.com`: `*` stands for one or more characters of a host's name, or the digits of a port.
    Glob(String),
    /// A regular expression over the whole origin.
    Regex(String),
}

impl Rule {
    /// An origin as a script writes it: `*`, `null`, `https://a.dev`, `https://*.a.dev`.
    pub fn parse(text: &str) -> Result<Self, Fault> {
        match text {
            "*" => return Ok(Self::Any),
            "null" => return Ok(Self::Exact(text.to_owned())),
            _ => {}
        }
        let Some((scheme, host)) = text.split_once("://").filter(|(_, host)| !host.is_empty()) else {
            let bare = text.trim_start_matches("//");
            return Err(Fault(format!("`{text}` is no origin: it begins with its scheme, \"https://{bare}\"")));
        };
        if host.contains(['/', '?', '#', '@']) {
            let bare = host.split(['/', '?', '#']).next().unwrap_or(host);
            let bare = bare.rsplit('@').next().unwrap_or(bare);
            return Err(Fault(format!("`{text}` is no origin: scheme, host and port alone, \"{scheme}://{bare}\"")));
        }
        if !text.contains('*') {
            return exact(text, scheme);
        }
        let lower = text.to_ascii_lowercase();
        if !lower.bytes().all(|byte| byte == b'*' || is_origin_byte(byte)) || scheme.contains('*') {
            return Err(Fault(format!("`{text}` is no glob of origins; write \"https://*.example.com\"")));
        }
        let (name, port) = host.rsplit_once(':').unwrap_or((host, ""));
        let after = name.rsplit_once('*').map_or(name, |(_, after)| after);
        let whole = name == "*";
        if name.contains('*') && !whole && !after.starts_with(['.', '-']) {
            let wanted = name.trim_start_matches('*').trim_end_matches(['.', '*']);
            return Err(Fault(format!(
                "`{text}` would let strangers in (`*` may be anything): write \"{scheme}://*.{wanted}\""
            )));
        }
        if port.contains('*') && port != "*" {
            return Err(Fault(format!("`{text}`: a port is a number, or `*` for any")));
        }
        Ok(Self::Glob(lower))
    }
}

/// In the form browsers send: lower case, an international host in its ASCII form, no port where it is the usual one.
fn exact(text: &str, scheme: &str) -> Result<Rule, Fault> {
    if !matches!(scheme.to_ascii_lowercase().as_str(), "http" | "https") {
        return Ok(Rule::Exact(text.to_ascii_lowercase()));
    }
    let url = Url::parse(text).map_err(|error| Fault(format!("`{text}` is no origin: {error}")))?;
    Ok(Rule::Exact(url.origin().ascii_serialization()))
}

/// Rules, ready for use.
#[derive(Debug)]
pub(super) struct Origins {
    any: bool,
    exact: HashSet<Box<[u8]>, foldhash::fast::RandomState>,
    patterns: Option<RegexSet>,
}

impl Origins {
    pub(super) fn new(rules: &[Rule]) -> Result<Self, Fault> {
        let mut origins = Self { any: false, exact: HashSet::default(), patterns: None };
        let mut patterns = Vec::new();
        for rule in rules {
            match rule {
                Rule::Any => origins.any = true,
                Rule::Exact(text) => {
                    origins.exact.insert(text.as_bytes().into());
                }
                Rule::Glob(glob) => patterns.push(of_glob(glob)),
                Rule::Regex(pattern) => {
                    let fault = |error: regex::Error| Fault(format!("`origins`: regular expression: {error}"));
                    Regex::new(pattern).map_err(fault)?;
                    patterns.push(format!("^(?:{pattern})$"));
                }
            }
        }
        if !patterns.is_empty() {
            let set = RegexSet::new(&patterns).map_err(|error| Fault(format!("`origins`: {error}")))?;
            origins.patterns = Some(set);
        }
        Ok(origins)
    }

    pub(super) fn is_any(&self) -> bool {
        self.any
    }

    /// Whether this origin is one of them. What is no origin at all meets no pattern.
    pub(super) fn has(&self, origin: &[u8]) -> bool {
        if self.exact.contains(origin) {
            return true;
        }
        let Some(patterns) = &self.patterns else { return false };
        origin.len() <= LONGEST && is_origin(origin) && patterns.is_match(origin)
    }
}

/// `scheme://host[:port]` as a browser writes it.
fn is_origin(text: &[u8]) -> bool {
    let Some(at) = text.windows(3).position(|three| three == b"://") else { return false };
    let rest = &text[at + 3..];
    !rest.is_empty() && text[..at].iter().chain(rest).all(|&byte| is_origin_byte(byte) && byte != b'/')
}

fn is_origin_byte(byte: u8) -> bool {
    byte.is_ascii_lowercase()
        || byte.is_ascii_digit()
        || matches!(byte, b'-' | b'.' | b'_' | b':' | b'/' | b'+' | b'[' | b']')
}

/// The expression a glob stands for: `*` never reaches over into a port, a port's `*` is digits.
fn of_glob(glob: &str) -> String {
    let mut pattern = String::from("^");
    for (index, piece) in glob.split('*').enumerate() {
        if index > 0 {
            pattern.push_str(if pattern.ends_with(':') { "[0-9]+" } else { "[a-z0-9._-]+" });
        }
        pattern.push_str(&regex::escape(piece));
    }
    pattern.push('$');
    pattern
}

/// No browser sends a longer one: a host's name has 253 characters at most.
const LONGEST: usize = 512;
