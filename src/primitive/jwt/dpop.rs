//! Proofs of possession (RFC 9449): a token bound to a key is worth nothing without a proof made with that key.

use std::time::Duration;

use jsonwebtoken::Algorithm;
use serde_json::Value;
use thiserror::Error;

use super::Key;
use super::Token;
use super::jwk;
use super::verify;
use crate::lru::Lru;

/// A proof that came with a request, and what it must be about.
#[derive(Clone, Copy, Debug)]
pub struct Proof<'a> {
    /// The only `DPoP` field.
    pub proof: &'a str,
    /// The access token beside it.
    pub token: &'a str,
    /// The thumbprint of the key that the token is bound to.
    pub thumbprint: &'a str,
    /// The request's method.
    pub method: &'a str,
    /// The request's address without query and fragment: scheme, authority, path.
    pub address: &'a str,
    /// The nonces that are good; empty: none is asked for.
    pub nonces: &'a [String],
}

/// Why a proof is none.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum ProofFault {
    /// It proves nothing.
    #[error("the DPoP proof is not accepted: {0}")]
    Invalid(&'static str),
    /// It needs the nonce that the answer tells.
    #[error("the DPoP proof needs a nonce")]
    Nonce,
}

impl Proof<'_> {
    /// Whether it proves that the caller has the key, at `now`; each proof counts once.
    pub fn check(&self, now: Duration, seen: &mut Seen) -> Result<(), ProofFault> {
        use ProofFault::Invalid;
        let token = Token::parse(self.proof).map_err(|_| Invalid("malformed"))?;
        let header = token.header();
        if header.typ.as_deref() != Some("dpop+jwt") {
            return Err(Invalid("`typ` is not dpop+jwt"));
        }
        if matches!(header.algorithm, Algorithm::HS256 | Algorithm::HS384 | Algorithm::HS512) {
            return Err(Invalid("`alg` is symmetric"));
        }
        let public = header.members.get("jwk").ok_or(Invalid("no `jwk`"))?;
        if ["d", "p", "q", "k"].iter().any(|name| public.get(name).is_some()) {
            return Err(Invalid("`jwk` holds a private key"));
        }
        let key = Key::jwk(public).map_err(|_| Invalid("`jwk` is no public key"))?;
        verify(&token, [&key], &[]).map_err(|_| Invalid("the signature does not fit"))?;
        if jwk::thumbprint(public).as_deref() != Some(self.thumbprint) {
            return Err(Invalid("the token is bound to another key"));
        }
        let claims = token.claims().map_err(|_| Invalid("malformed"))?;
        let text = |name: &str| claims.get(name).and_then(Value::as_str);
        if text("htm") != Some(self.method) {
            return Err(Invalid("`htm` is another method"));
        }
        if !text("htu").is_some_and(|address| same_address(address, self.address)) {
            return Err(Invalid("`htu` is another address"));
        }
        if text("ath") != Some(&jwk::sha256(self.token.as_bytes())) {
            return Err(Invalid("`ath` is another token"));
        }
        let issued = claims.get("iat").and_then(Value::as_f64).ok_or(Invalid("no `iat`"))?;
        if (now.as_secs_f64() - issued).abs() > WINDOW.as_secs_f64() {
            return Err(Invalid("`iat` is too far from now"));
        }
        if !self.nonces.is_empty() && !text("nonce").is_some_and(|nonce| self.nonces.iter().any(|good| good == nonce)) {
            return Err(ProofFault::Nonce);
        }
        let id = text("jti").filter(|id| !id.is_empty() && id.len() <= 512).ok_or(Invalid("no `jti`"))?;
        if seen.first(&format!("{} {id}", self.thumbprint), now) { Ok(()) } else { Err(Invalid("it was used before")) }
    }
}

/// The nonce of the stretch of time `now` lies in, and the one before (RFC 9449 §8): nothing has to be remembered.
pub fn nonce(secret: &[u8], now: Duration) -> [String; 2] {
    let stretch = now.as_secs() / 150;
    let key = aws_lc_rs::hmac::Key::new(aws_lc_rs::hmac::HMAC_SHA256, secret);
    [stretch, stretch.saturating_sub(1)].map(|stretch| {
        let tag = aws_lc_rs::hmac::sign(&key, &stretch.to_be_bytes());
        jwk::sha256(tag.as_ref())[..22].to_owned()
    })
}

/// Proofs that were used, for as long as they could be used again.
#[derive(Default)]
pub struct Seen(Lru<Duration>);

impl Seen {
    /// Whether `id` is seen for the first time. When there is no more room the oldest is forgotten.
    fn first(&mut self, id: &str, now: Duration) -> bool {
        while self.0.oldest().is_some_and(|(_, until)| *until < now) || self.0.len() >= MOST_SEEN {
            self.0.pop_oldest();
        }
        if self.0.peek(id).is_some() {
            return false;
        }
        self.0.insert(id, now + 2 * WINDOW);
        true
    }
}

/// RFC 9449 §4.3: compared after scheme and host were lowered and a default port dropped (RFC 3986 §6.2).
fn same_address(one: &str, other: &str) -> bool {
    let plain = |text: &str| {
        let mut url = url::Url::parse(text).ok()?;
        url.set_query(None);
        url.set_fragment(None);
        Some(url)
    };
    one.len() <= 8 << 10 && matches!((plain(one), plain(other)), (Some(one), Some(other)) if one == other)
}

/// How far a proof's time may lie from ours.
const WINDOW: Duration = Duration::from_secs(60);
/// Proofs remembered.
const MOST_SEEN: usize = 100_000;
