//! Names and passwords: hashes as they are kept, and who was verified lately.

use std::collections::HashMap;
use std::sync::Arc;

use argon2::Argon2;
use argon2::PasswordHash;
use argon2::PasswordVerifier;
use foldhash::quality::RandomState;
use parking_lot::Mutex;

use super::codec::base64_decode;
use super::codec::hex_encode;
use super::digest;
use super::digest::Hash;
use crate::lru::Lru;

/// A password as it is kept.
#[derive(Clone, PartialEq, Eq)]
pub enum Stored {
    /// Written as it is: kept as SHA-256.
    Plain(Vec<u8>),
    /// `{SHA}`, as old htpasswd files have it.
    Sha1(Vec<u8>),
    /// `$2b$…`
    Bcrypt(String),
    /// `$argon2id$…`
    Argon2(String),
}

/// A text that is no password hash, or of a kind that is not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PasswordError {
    /// Nothing.
    #[error("a password is empty")]
    Empty,
    /// `$2…` and something else.
    #[error("this is no bcrypt hash")]
    Bcrypt,
    /// `$argon2…` and something else.
    #[error("this is no argon2 hash")]
    Argon2,
    /// `{SHA}` and something else.
    #[error("this is no {{SHA}} hash")]
    Sha1,
    /// `$apr1$`, `$1$`, `$6$` …
    #[error("hashes of this kind are not taken; make one with `htpasswd -B`")]
    Kind,
    /// A line without a colon.
    #[error("a line is name:hash")]
    Line,
    /// Two lines for one name.
    #[error("this name is listed twice")]
    Twice,
}

impl Stored {
    /// Reads a password, plain or hashed.
    pub fn parse(text: &[u8]) -> Result<Self, PasswordError> {
        if text.is_empty() {
            return Err(PasswordError::Empty);
        }
        match Self::hashed(text) {
            Err(PasswordError::Kind) if !hash_like(text) => Ok(Self::Plain(Hash::Sha256.digest(text))),
            other => other,
        }
    }

    /// Reads a hash; a plain password is none.
    pub fn hashed(text: &[u8]) -> Result<Self, PasswordError> {
        if let Some(hash) = text.strip_prefix(b"{SHA}") {
            let bytes = base64_decode(hash).ok().filter(|bytes| bytes.len() == 20);
            return bytes.map(Self::Sha1).ok_or(PasswordError::Sha1);
        }
        let text = std::str::from_utf8(text).map_err(|_| PasswordError::Kind)?;
        if text.starts_with("$argon2") {
            let known = PasswordHash::new(text).ok().filter(|hash| hash.hash.is_some() && hash.salt.is_some());
            return known.map(|_| Self::Argon2(text.to_owned())).ok_or(PasswordError::Argon2);
        }
        if ["$2a$", "$2b$", "$2x$", "$2y$"].iter().any(|start| text.starts_with(start)) {
            let fits = text.len() == 60 && text.is_ascii() && text.parse::<bcrypt::HashParts>().is_ok();
            return if fits { Ok(Self::Bcrypt(text.to_owned())) } else { Err(PasswordError::Bcrypt) };
        }
        Err(PasswordError::Kind)
    }

    /// Whether verifying costs a noticeable time, on purpose.
    pub fn is_slow(&self) -> bool {
        matches!(self, Self::Bcrypt(_) | Self::Argon2(_))
    }

    /// Whether this is the password. Takes long where [`Stored::is_slow`].
    pub fn verify(&self, password: &[u8]) -> bool {
        match self {
            Self::Plain(known) => digest::equal(known, &Hash::Sha256.digest(password)),
            Self::Sha1(known) => digest::equal(known, &Hash::Sha1.digest(password)),
            Self::Bcrypt(known) => bcrypt::verify(password, known).unwrap_or(false),
            Self::Argon2(known) => {
                PasswordHash::new(known).is_ok_and(|hash| Argon2::default().verify_password(password, &hash).is_ok())
            }
        }
    }

    /// What it is, for what must differ where it does.
    fn bytes(&self) -> &[u8] {
        match self {
            Self::Plain(bytes) | Self::Sha1(bytes) => bytes,
            Self::Bcrypt(text) | Self::Argon2(text) => text.as_bytes(),
        }
    }
}

/// `$id$…`: some kind of hash.
fn hash_like(text: &[u8]) -> bool {
    text.strip_prefix(b"$").is_some_and(|rest| rest.iter().take(12).skip(1).any(|byte| *byte == b'$'))
}

/// Names and their passwords.
#[derive(Default)]
pub struct Users {
    by_name: HashMap<String, Arc<Stored>, RandomState>,
    /// What is verified for names that nobody has, so that they take as long as any other.
    decoy: Option<Arc<Stored>>,
}

impl Users {
    /// Adds a name.
    pub fn add(&mut self, name: &str, stored: Stored) -> Result<(), PasswordError> {
        if self.by_name.contains_key(name) {
            return Err(PasswordError::Twice);
        }
        let stored = Arc::new(stored);
        if stored.is_slow() && self.decoy.is_none() {
            self.decoy = Some(Arc::clone(&stored));
        }
        self.by_name.insert(name.to_owned(), stored);
        Ok(())
    }

    /// Adds the lines of an htpasswd file, `name:hash` each, `#` begins a comment. The error names the line.
    pub fn add_file(&mut self, text: &[u8]) -> Result<(), (usize, PasswordError)> {
        for (index, line) in text.split(|byte| *byte == b'\n').enumerate() {
            let line = line.trim_ascii();
            if line.is_empty() || line.starts_with(b"#") {
                continue;
            }
            let fault = |fault| (index + 1, fault);
            let text = std::str::from_utf8(line).map_err(|_| fault(PasswordError::Line))?;
            let (name, hash) = text.split_once(':').ok_or_else(|| fault(PasswordError::Line))?;
            let stored = Stored::hashed(hash.as_bytes()).map_err(fault)?;
            self.add(name, stored).map_err(fault)?;
        }
        Ok(())
    }

    /// The password of `name`; for a name that nobody has another's, and `false`: what it comes to does not count.
    pub fn find(&self, name: &str) -> (Option<Arc<Stored>>, bool) {
        match self.by_name.get(name) {
            Some(stored) => (Some(Arc::clone(stored)), true),
            None => (self.decoy.clone().or_else(|| self.by_name.values().next().cloned()), false),
        }
    }

    /// What takes as long as the slowest of them, if any is slow.
    pub fn decoy(&self) -> Option<Arc<Stored>> {
        self.decoy.clone()
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.by_name.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.by_name.is_empty()
    }

    /// A text that differs where they do, without giving any away.
    pub fn print(&self) -> String {
        let mut names: Vec<_> = self.by_name.iter().collect();
        names.sort_by_key(|(name, _)| *name);
        let all = names.iter().flat_map(|(name, stored)| [name.as_bytes(), b"\0", stored.bytes(), b"\n"].concat());
        hex_encode(&Hash::Sha256.digest(&all.collect::<Vec<u8>>())[..6])
    }
}

/// Who was verified lately, by a keyed hash of name, password and what was kept of it: a changed password is another entry.
pub struct Verified {
    key: Vec<u8>,
    most: usize,
    entries: Mutex<Lru<()>>,
}

impl Verified {
    /// At most so many, the least recently used go; `key` is chance that nobody else knows.
    pub fn new(most: usize, key: Vec<u8>) -> Self {
        Self { key, most, entries: Mutex::default() }
    }

    /// Whether this very password was verified before.
    pub fn knows(&self, name: &str, password: &[u8], stored: &Stored) -> bool {
        let print = self.print(name, password, stored);
        self.entries.lock().get(&print).is_some()
    }

    /// Notes that it was.
    pub fn note(&self, name: &str, password: &[u8], stored: &Stored) {
        let print = self.print(name, password, stored);
        let mut entries = self.entries.lock();
        entries.insert(&print, ());
        while entries.len() > self.most && entries.pop_oldest().is_some() {}
    }

    fn print(&self, name: &str, password: &[u8], stored: &Stored) -> String {
        let length = |bytes: &[u8]| (bytes.len() as u64).to_le_bytes();
        let parts = [&length(name.as_bytes()), name.as_bytes(), &length(password), password, stored.bytes()].concat();
        hex_encode(Hash::Sha256.hmac(&self.key, &parts).unwrap_or_default())
    }
}

/// Name and password of `Authorization: Basic …` (RFC 7617).
pub fn credentials(field: &[u8]) -> Option<(String, Vec<u8>)> {
    let (scheme, rest) = field.split_at_checked(6)?;
    if !scheme.eq_ignore_ascii_case(b"basic ") {
        return None;
    }
    let pair = base64_decode(rest.trim_ascii()).ok()?;
    let colon = pair.iter().position(|byte| *byte == b':')?;
    let name = String::from_utf8(pair[..colon].to_vec()).ok()?;
    Some((name, pair[colon + 1..].to_vec()))
}

#[cfg(test)]
mod tests;
