//! Signed requests: `Authorization: Signature keyId="…",algorithm="hmac-sha256",headers="…",signature="…"`.
//!
//! The signing string has one line for each name in `headers`, in their order, joined by `\n`, none at the end:
//! `name: value`, the name in lower case, values of several fields of that name joined by `, `. `@request-target` (also
//! written `(request-target)`) stands for the method in lower case, a space, and path and query as sent. The signature is
//! the HMAC of that string in base64. This is draft-cavage-http-signatures as gateways speak it.

use std::collections::HashMap;
use std::time::Duration;

use foldhash::quality::RandomState;

use super::codec::base64_decode;
use super::digest;
use super::digest::Hash;
use super::time;
use super::time::Style;
use crate::http::Request;
use crate::http::headers::Known;

/// How requests are to be signed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// Fields that must be signed, besides the request target; one of them is `date` or `x-date`.
    pub headers: Vec<String>,
    /// The hash of the HMAC.
    pub algorithm: Hash,
    /// Its name in requests: `hmac-sha256`.
    pub name: String,
    /// How far the date may be off.
    pub skew: Duration,
    /// Whether a body must be signed, by its digest.
    pub body: bool,
}

/// Who signs, and how.
pub struct Signatures<U> {
    config: Config,
    keys: HashMap<String, (Vec<u8>, U), RandomState>,
}

/// A request whose signature fits.
#[derive(Debug)]
pub struct Signed<'a, U> {
    /// By which key.
    pub id: &'a str,
    /// Whose that is.
    pub user: &'a U,
    /// What tells this signature from any other.
    pub print: [u8; 16],
    /// Seconds since the Unix epoch after which its date refuses it anyway.
    pub until: u64,
    /// What the body must hash to; `None` when no digest was signed.
    pub body: Option<BodyDigest>,
}

/// What a body must hash to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BodyDigest(Hash, Vec<u8>);

/// Why a signature does not count.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unsigned {
    /// No signature came.
    #[error("the request is not signed")]
    Missing,
    /// The field cannot be read.
    #[error("the signature cannot be read")]
    Malformed,
    /// Another algorithm.
    #[error("the signature's algorithm is not the one asked for")]
    Algorithm,
    /// A field that must be signed is not.
    #[error("`{0}` is not signed")]
    Unlisted(String),
    /// Unknown key, or wrong signature: which, nobody is told.
    #[error("the signature does not fit the request")]
    Wrong,
    /// The date is none, or too far off.
    #[error("the request was signed too long ago, or its clock is off")]
    Date,
    /// The body is not what was signed.
    #[error("the body is not the one that was signed")]
    Body,
}

impl<U> Signatures<U> {
    /// Nobody yet.
    pub fn new(config: Config) -> Self {
        Self { config, keys: HashMap::default() }
    }

    /// Adds a key.
    pub fn add(&mut self, id: &str, secret: &[u8], user: U) {
        self.keys.insert(id.to_owned(), (secret.to_owned(), user));
    }

    /// Who signed the request, if its head is as it was signed and `now` (since the Unix epoch) is near its date.
    pub fn check(&self, request: &Request, now: Duration) -> Result<Signed<'_, U>, Unsigned> {
        let mut fields = request.headers.known(Known::Authorization);
        let said = match (fields.next(), fields.next()) {
            (Some(field), None) => Said::read(field)?,
            (None, _) => return Err(Unsigned::Missing),
            _ => return Err(Unsigned::Malformed),
        };
        if said.algorithm.is_some_and(|name| name != self.config.name && name != "hs2019") {
            return Err(Unsigned::Algorithm);
        }
        let listed = |name: &str| said.headers.iter().any(|own| *own == name);
        if !listed(TARGET) && !listed("(request-target)") {
            return Err(Unsigned::Unlisted(TARGET.to_owned()));
        }
        if let Some(name) = self.config.headers.iter().find(|name| !listed(name)) {
            return Err(Unsigned::Unlisted(name.clone()));
        }
        let text = signing_string(request, &said.headers).ok_or(Unsigned::Wrong)?;
        let known = self.keys.get_key_value(said.id);
        // A key that nobody has takes as long as any.
        let secret = known.map_or(&b"nobody"[..], |(_, (secret, _))| secret);
        let mac = self.config.algorithm.hmac(secret, &text).unwrap_or_default();
        let (Some((id, (_, user))), true) = (known, digest::equal(&mac, &said.signature)) else {
            return Err(Unsigned::Wrong);
        };
        let until = self.dated(request, now)?;
        let body = self.body(request, &listed)?;
        let mut print = [0; 16];
        print.copy_from_slice(&Hash::Sha256.digest(&[id.as_bytes(), b"\0", &mac].concat())[..16]);
        Ok(Signed { id, user, print, until, body })
    }

    /// When the date of the request refuses it.
    fn dated(&self, request: &Request, now: Duration) -> Result<u64, Unsigned> {
        let name = self.config.headers.iter().find(|name| matches!(&***name, "date" | "x-date"));
        let text = name.and_then(|name| request.headers.text(name)).ok_or(Unsigned::Date)?;
        let date = time::parse(text, Some(Style::Http)).ok().filter(|date| date.is_finite()).ok_or(Unsigned::Date)?;
        let (now, skew) = (now.as_secs_f64(), self.config.skew.as_secs_f64());
        if (date - now).abs() > skew {
            return Err(Unsigned::Date);
        }
        #[allow(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "near now, which is no negative time"
        )]
        Ok((date + skew).ceil() as u64)
    }

    /// A body needs a digest among what was signed; a digest that was signed counts without a body too.
    fn body(&self, request: &Request, listed: &dyn Fn(&str) -> bool) -> Result<Option<BodyDigest>, Unsigned> {
        if !self.config.body {
            return Ok(None);
        }
        let name = ["content-digest", "digest"].into_iter().find(|name| listed(name));
        match name {
            Some(name) => {
                let field = request.headers.joined(name).ok_or(Unsigned::Body)?;
                BodyDigest::read(&field).map(Some).ok_or(Unsigned::Body)
            }
            None if request.body.left() == Some(0) => Ok(None),
            None => Err(Unsigned::Unlisted("digest".to_owned())),
        }
    }
}

/// How the line of method, path and query is called.
const TARGET: &str = "@request-target";

/// What a client says about its signature.
struct Said<'a> {
    id: &'a str,
    algorithm: Option<&'a str>,
    headers: Vec<String>,
    signature: Vec<u8>,
}

impl<'a> Said<'a> {
    fn read(field: &'a [u8]) -> Result<Self, Unsigned> {
        let text = std::str::from_utf8(field).map_err(|_| Unsigned::Malformed)?;
        let (scheme, mut rest) = text.split_once(' ').ok_or(Unsigned::Missing)?;
        if !scheme.eq_ignore_ascii_case("signature") && !scheme.eq_ignore_ascii_case("hmac") {
            return Err(Unsigned::Missing);
        }
        let (mut id, mut algorithm, mut headers, mut signature) = (None, None, None, None);
        loop {
            let (name, value, after) = parameter(rest).ok_or(Unsigned::Malformed)?;
            let place = match name {
                "keyId" | "username" => &mut id,
                "algorithm" => &mut algorithm,
                "headers" => &mut headers,
                "signature" => &mut signature,
                _ => &mut None,
            };
            if place.replace(value).is_some() {
                return Err(Unsigned::Malformed);
            }
            rest = after.trim_start();
            match rest.strip_prefix(',') {
                Some(more) => rest = more,
                None if rest.is_empty() => break,
                None => return Err(Unsigned::Malformed),
            }
        }
        let signature = signature.and_then(|text| base64_decode(text).ok()).ok_or(Unsigned::Malformed)?;
        let headers = headers.unwrap_or("date").split_ascii_whitespace().map(str::to_ascii_lowercase).collect();
        Ok(Self { id: id.ok_or(Unsigned::Malformed)?, algorithm, headers, signature })
    }
}

/// `name="value"` or `name=value`, and what follows.
fn parameter(text: &str) -> Option<(&str, &str, &str)> {
    let (name, rest) = text.trim_start().split_once('=')?;
    let (name, rest) = (name.trim_end(), rest.trim_start());
    if let Some(rest) = rest.strip_prefix('"') {
        let (value, after) = rest.split_once('"')?;
        return (!value.contains('\\')).then_some((name, value, after));
    }
    let end = rest.find([',', ' ']).unwrap_or(rest.len());
    Some((name, &rest[..end], &rest[end..]))
}

/// What is signed; `None` when a field of the list is not there.
fn signing_string(request: &Request, names: &[String]) -> Option<Vec<u8>> {
    let mut text = Vec::with_capacity(256);
    for (index, name) in names.iter().enumerate() {
        if index > 0 {
            text.push(b'\n');
        }
        text.extend_from_slice(name.as_bytes());
        text.extend_from_slice(b": ");
        match name.as_str() {
            TARGET | "(request-target)" => {
                text.extend_from_slice(request.method.as_str().to_ascii_lowercase().as_bytes());
                text.push(b' ');
                text.extend_from_slice(request.raw_path().as_bytes());
                if let Some(query) = &request.query {
                    text.push(b'?');
                    text.extend_from_slice(query.as_bytes());
                }
            }
            "host" => match request.headers.known(Known::Host).next() {
                Some(host) => text.extend_from_slice(host),
                None => text.extend_from_slice(request.host.as_bytes()),
            },
            "content-length" => text.extend_from_slice(request.body.left()?.to_string().as_bytes()),
            name => text.extend_from_slice(request.headers.joined(name)?.trim_ascii()),
        }
    }
    Some(text)
}

impl BodyDigest {
    /// The first digest of `Digest: SHA-256=…` (RFC 3230) or `Content-Digest: sha-256=:…:` (RFC 9530) that is known.
    fn read(field: &[u8]) -> Option<Self> {
        let text = std::str::from_utf8(field).ok()?;
        text.split(',').find_map(|entry| {
            let (name, value) = entry.trim().split_once('=')?;
            let hash = match name.to_ascii_lowercase().as_str() {
                "sha-256" => Hash::Sha256,
                "sha-512" => Hash::Sha512,
                _ => return None,
            };
            Some(Self(hash, base64_decode(value.trim_matches(':')).ok()?))
        })
    }

    /// Whether `body` is what was signed.
    pub fn fits(&self, body: &[u8]) -> bool {
        digest::equal(&self.1, &self.0.digest(body))
    }
}

mod seen;

pub use seen::First;
pub use seen::Seen;

#[cfg(test)]
mod tests;
