//! JSON Web Tokens (RFC 7515, 7517, 7519, 8725): what a token says, and whether it may be believed.
//!
//! The signatures are jsonwebtoken's, every rule is ours: algorithms come from the key and never from the token, each
//! configured claim is required, and what cannot be understood is refused.

mod cache;
mod claims;
mod dpop;
mod jwk;
mod key;
mod sign;
mod strict;
mod token;

use jsonwebtoken::Algorithm;
use thiserror::Error;

pub use cache::Cache;
pub use cache::Known;
pub use claims::Audience;
pub use claims::Require;
pub use claims::Rules;
pub use dpop::Proof;
pub use dpop::ProofFault;
pub use dpop::Seen;
pub use dpop::nonce;
pub(crate) use jwk::thumbprint;
pub use key::Key;
pub use key::KeyError;
pub use sign::SignError;
pub use sign::Signer;
pub use token::Header;
pub use token::Token;

/// Why a token is not believed.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum Fault {
    /// It is longer than a token may be.
    #[error("the token is longer than {LONGEST} bytes")]
    TooLong,
    /// It is no token.
    #[error("the token is malformed: {0}")]
    Malformed(&'static str),
    /// No key may be used with its algorithm.
    #[error("no key takes tokens with the algorithm {0}")]
    Algorithm(String),
    /// Nobody has its key.
    #[error("no key has the id {}", .0.as_deref().unwrap_or("of a token without `kid`"))]
    UnknownKey(Option<String>),
    /// The signature does not fit.
    #[error("the signature does not fit")]
    Signature,
    /// It is past its `exp`.
    #[error("the token is expired")]
    Expired,
    /// Its `nbf` or `iat` lies ahead.
    #[error("`{0}` of the token lies in the future")]
    Early(&'static str),
    /// A claim is absent or something else than it must be.
    #[error("{0}")]
    Claim(String),
}

impl Fault {
    /// What a client may be told: enough to mend it, nothing about other keys.
    pub fn public(&self) -> &'static str {
        match self {
            Self::TooLong | Self::Malformed(_) => "the token is malformed",
            Self::Expired => "the token is expired",
            Self::Early(_) => "the token is not valid yet",
            Self::Claim(_) => "the token is not meant for this",
            Self::Algorithm(_) | Self::UnknownKey(_) | Self::Signature => "the token is not signed by a known key",
        }
    }
}

/// Makes jsonwebtoken's cryptography that of aws-lc: for the whole process, before anybody else asks for it.
pub fn install() {
    // Fails only when one is installed already, and then there is one; what is here asks no global anyway.
    let _ = jsonwebtoken::crypto::aws_lc::DEFAULT_PROVIDER.install_default();
}

/// The algorithm of that name, as written in a header; never `none`.
pub fn algorithm(name: &str) -> Option<Algorithm> {
    ALGORITHMS.iter().find(|(known, _)| *known == name).map(|(_, algorithm)| *algorithm)
}

/// The names of all of them, for messages.
pub fn algorithms() -> impl Iterator<Item = &'static str> {
    ALGORITHMS.iter().map(|(name, _)| *name)
}

/// Whether one of `keys` signed `token` with an algorithm that the key and `allowed` (empty: any) take.
pub fn verify<'a>(
    token: &Token<'_>,
    keys: impl IntoIterator<Item = &'a Key>,
    allowed: &[Algorithm],
) -> Result<(), Fault> {
    let header = token.header();
    let (mut known, mut tried) = (false, 0);
    for key in keys.into_iter().filter(|key| key.fits(header.kid.as_deref())) {
        known = true;
        if !key.takes(header.algorithm) || !(allowed.is_empty() || allowed.contains(&header.algorithm)) {
            continue;
        }
        tried += 1;
        if key.verify(header.algorithm, token.message(), token.signature()) {
            return Ok(());
        }
        if tried == MOST_TRIES {
            break;
        }
    }
    Err(match (known, tried) {
        (false, _) => Fault::UnknownKey(header.kid.clone()),
        (true, 0) => Fault::Algorithm(format!("{:?}", header.algorithm)),
        _ => Fault::Signature,
    })
}

/// A token may not be longer.
pub const LONGEST: usize = 8 << 10;
/// Clocks may differ by so much at most, in seconds.
pub const MOST_LEEWAY: f64 = 300.0;
/// Keys without an id that one token is tried with.
const MOST_TRIES: usize = 8;

const ALGORITHMS: &[(&str, Algorithm)] = &[
    ("HS256", Algorithm::HS256),
    ("HS384", Algorithm::HS384),
    ("HS512", Algorithm::HS512),
    ("RS256", Algorithm::RS256),
    ("RS384", Algorithm::RS384),
    ("RS512", Algorithm::RS512),
    ("PS256", Algorithm::PS256),
    ("PS384", Algorithm::PS384),
    ("PS512", Algorithm::PS512),
    ("ES256", Algorithm::ES256),
    ("ES384", Algorithm::ES384),
    ("EdDSA", Algorithm::EdDSA),
];

#[cfg(test)]
mod tests;
