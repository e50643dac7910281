//! API keys: where a request carries one, and whose it is. Keys are kept as SHA-256 only.

use std::collections::HashMap;

use foldhash::quality::RandomState;

use super::codec::hex_decode;
use super::codec::hex_encode;
use super::cookie;
use super::digest;
use super::digest::Hash;
use super::query;
use super::query::Query;
use crate::http::Headers;
use crate::http::headers::Known;
use crate::http::headers::is_name;

/// Where a key stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// The whole value of a field.
    Header(String),
    /// A parameter of the query.
    Query(String),
    /// A cookie.
    Cookie(String),
    /// `Authorization: Bearer`
    Bearer,
}

/// A text that names no place of a key.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no place of a key; write \"header:x-api-key\", \"query:key\", \"cookie:sid\" or \"bearer\"")]
pub struct SourceError(String);

impl Source {
    /// Reads `header:x-api-key`, `query:key`, `cookie:sid`, `bearer`.
    pub fn parse(text: &str) -> Result<Self, SourceError> {
        match text.split_once(':') {
            Some(("header", name)) if is_name(name.as_bytes()) => Ok(Self::Header(name.to_ascii_lowercase())),
            Some(("query", name)) if !name.is_empty() => Ok(Self::Query(name.to_owned())),
            Some(("cookie", name)) if is_name(name.as_bytes()) => Ok(Self::Cookie(name.to_owned())),
            None if text.eq_ignore_ascii_case("bearer") => Ok(Self::Bearer),
            _ => Err(SourceError(text.to_owned())),
        }
    }

    /// The key that stands there; a field that came twice is one value, which nobody has.
    pub fn read(&self, headers: &Headers, query: Option<&str>) -> Option<Vec<u8>> {
        let key = match self {
            Self::Header(name) => headers.joined(name)?.trim_ascii().to_vec(),
            Self::Query(name) => query::first(query?, name)?.into_bytes(),
            Self::Cookie(name) => {
                let line = headers.joined("cookie")?;
                cookie::find(&String::from_utf8_lossy(&line), name)?.into_bytes()
            }
            Self::Bearer => bearer(&headers.joined("authorization")?)?.to_vec(),
        };
        (!key.is_empty()).then_some(key)
    }

    /// Takes it away, every copy of it.
    pub fn hide(&self, headers: &mut Headers, query: &mut Option<String>) {
        match self {
            Self::Header(name) => drop(headers.remove(name)),
            Self::Query(name) => {
                let Some(raw) = query.as_deref() else { return };
                let mut parsed = Query::parse(raw);
                if parsed.remove(name) {
                    *query = parsed.encode().filter(|rest| !rest.is_empty());
                }
            }
            Self::Cookie(name) => hide_cookie(headers, name),
            Self::Bearer => headers.retain(|known, _, value| known != Known::Authorization || bearer(value).is_none()),
        }
    }
}

/// The token of `Bearer token`.
fn bearer(value: &[u8]) -> Option<&[u8]> {
    let (scheme, token) = value.split_at_checked(7)?;
    scheme.eq_ignore_ascii_case(b"bearer ").then(|| token.trim_ascii())
}

fn hide_cookie(headers: &mut Headers, name: &str) {
    let Some(line) = headers.joined("cookie") else { return };
    let line = String::from_utf8_lossy(&line).into_owned();
    let is = |pair: &str| pair.split('=').next().is_some_and(|own| own.trim() == name);
    if !line.split(';').any(is) {
        return;
    }
    let rest: Vec<&str> =
        line.split(';').filter(|pair| !is(pair)).map(str::trim).filter(|pair| !pair.is_empty()).collect();
    if rest.is_empty() {
        headers.remove("cookie");
    } else {
        headers.set("cookie", rest.join("; "));
    }
}

/// The SHA-256 of a key.
pub type Digest = [u8; 32];

/// The SHA-256 of `key`.
pub fn digest(key: &[u8]) -> Digest {
    Hash::Sha256.digest(key).try_into().expect("SHA-256 has 32 bytes")
}

/// What a key may be called without giving it away: the first half of its hash, short.
pub fn name(digest: &Digest) -> String {
    hex_encode(&digest[..8])
}

/// Keys and whose they are.
pub struct Keys<U> {
    by_start: HashMap<u64, Vec<(Digest, U)>, RandomState>,
}

/// A key that cannot be one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// Nothing.
    #[error("a key is empty")]
    Empty,
    /// `sha256:` and something else.
    #[error("`sha256:` is followed by 64 hexadecimal digits")]
    NotAHash,
    /// Two entries for one key.
    #[error("a key is listed twice")]
    Twice,
}

impl<U> Default for Keys<U> {
    fn default() -> Self {
        Self { by_start: HashMap::default() }
    }
}

impl<U> Keys<U> {
    /// Adds a key, plain or as `sha256:…`, and whose it is.
    pub fn add(&mut self, key: &[u8], user: U) -> Result<(), KeyError> {
        let digest = match key.strip_prefix(b"sha256:") {
            Some(hex) => hex_decode(hex).ok().and_then(|bytes| bytes.try_into().ok()).ok_or(KeyError::NotAHash)?,
            None if key.is_empty() => return Err(KeyError::Empty),
            None => digest(key),
        };
        if self.find(&digest).is_some() {
            return Err(KeyError::Twice);
        }
        self.by_start.entry(start(&digest)).or_default().push((digest, user));
        Ok(())
    }

    /// Whose key has this hash. What is compared is compared in constant time.
    pub fn find(&self, digest: &Digest) -> Option<&U> {
        let entries = self.by_start.get(&start(digest))?;
        entries.iter().find(|(known, _)| digest::equal(known, digest)).map(|(_, user)| user)
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.by_start.values().map(Vec::len).sum()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.by_start.is_empty()
    }
}

fn start(digest: &Digest) -> u64 {
    digest.iter().take(8).fold(0, |word, byte| word << 8 | u64::from(*byte))
}

#[cfg(test)]
mod tests;
