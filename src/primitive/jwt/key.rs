//! Keys that verify, each with the algorithms it may be used with.

use std::fmt;

use jsonwebtoken::Algorithm;
use jsonwebtoken::DecodingKey;
use jsonwebtoken::DecodingKeyKind;
use jsonwebtoken::crypto::aws_lc::DEFAULT_PROVIDER;
use serde_json::Value;
use thiserror::Error;

use super::jwk;

/// A key that verifies tokens.
#[derive(Clone)]
pub struct Key {
    id: Option<String>,
    algorithms: Vec<Algorithm>,
    key: DecodingKey,
}

/// Why something is no key.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum KeyError {
    /// A secret that can be guessed.
    #[error("a secret has 32 bytes at least (RFC 7518 §3.2), and this has {0}; make one with: openssl rand -base64 48")]
    Short(usize),
    /// A PEM text that holds no public key of a kind that is spoken.
    #[error("{0}")]
    Pem(&'static str),
    /// A JWK or JWKS that cannot be used.
    #[error("{0}")]
    Jwk(String),
}

impl Key {
    /// A secret; the longer it is, the more algorithms it may be used with (RFC 7518 §3.2).
    pub fn secret(secret: &[u8]) -> Result<Self, KeyError> {
        let mut algorithms = vec![Algorithm::HS256];
        match secret.len() {
            short @ ..32 => return Err(KeyError::Short(short)),
            32..48 => {}
            48..64 => algorithms.push(Algorithm::HS384),
            _ => algorithms.extend([Algorithm::HS384, Algorithm::HS512]),
        }
        Ok(Self { id: None, algorithms, key: DecodingKey::from_secret(secret) })
    }

    /// A public key as PEM: RSA of 2048 bits at least, P-256, P-384 or Ed25519.
    pub fn pem(text: &[u8]) -> Result<Self, KeyError> {
        let head = text.windows(11).any(|window| window == b"PRIVATE KEY");
        if head {
            return Err(KeyError::Pem("this is a private key; tokens are verified with the public one"));
        }
        if let Ok(key) = DecodingKey::from_rsa_pem(text) {
            return Self::rsa_pem(&key);
        }
        if let Ok(key) = DecodingKey::from_ec_pem(text) {
            let algorithm = match key.try_get_as_bytes().map(<[u8]>::len) {
                Ok(65) => Algorithm::ES256,
                Ok(97) => Algorithm::ES384,
                _ => return Err(KeyError::Pem("of elliptic curves, P-256 and P-384 are spoken")),
            };
            return Ok(Self { id: None, algorithms: vec![algorithm], key });
        }
        match DecodingKey::from_ed_pem(text) {
            Ok(key) if key.try_get_as_bytes().is_ok_and(|bytes| bytes.len() == 32) => {
                Ok(Self { id: None, algorithms: vec![Algorithm::EdDSA], key })
            }
            _ => Err(KeyError::Pem("this is no public key in PEM (RSA, P-256, P-384, Ed25519)")),
        }
    }

    fn rsa_pem(key: &DecodingKey) -> Result<Self, KeyError> {
        let der = key.try_get_as_bytes().map_err(|_| KeyError::Pem("this is no RSA key"))?;
        let parts = (DEFAULT_PROVIDER.key_utils.rsa_pub_components_from_public_key)(der);
        let (modulus, exponent) = parts.map_err(|_| KeyError::Pem("this is no RSA public key"))?;
        Self::rsa(None, RSA.to_vec(), &modulus, &exponent)
    }

    /// From a JWK's modulus and exponent.
    pub(super) fn rsa(
        id: Option<String>,
        algorithms: Vec<Algorithm>,
        modulus: &[u8],
        exponent: &[u8],
    ) -> Result<Self, KeyError> {
        let modulus = strip(modulus);
        let bits = modulus.len() * 8 - modulus.first().map_or(0, |byte| byte.leading_zeros() as usize);
        if !(2048..=8192).contains(&bits) {
            return Err(KeyError::Pem("an RSA key has 2048 to 8192 bits"));
        }
        let key = DecodingKey::from_rsa_raw_components(modulus, strip(exponent));
        Ok(Self { id, algorithms, key })
    }

    /// From a JWK's point or public key, whose length was checked.
    pub(super) fn curve(id: Option<String>, algorithm: Algorithm, bytes: &[u8]) -> Self {
        let key = match algorithm {
            Algorithm::EdDSA => DecodingKey::from_ed_der(bytes),
            _ => DecodingKey::from_ec_der(bytes),
        };
        Self { id, algorithms: vec![algorithm], key }
    }

    /// The usable keys of a JWKS document, or of one JWK. Symmetric keys are none: a document that may be fetched by
    /// anybody holds no secret.
    pub fn set(text: &[u8]) -> Result<Vec<Self>, KeyError> {
        jwk::set(text)
    }

    /// The public key of a JWK.
    pub fn jwk(value: &Value) -> Result<Self, KeyError> {
        jwk::read(value)
    }

    /// Whether a token that names `kid` may be tried with it.
    pub(super) fn fits(&self, kid: Option<&str>) -> bool {
        match (&self.id, kid) {
            (Some(id), Some(kid)) => id == kid,
            _ => true,
        }
    }

    /// The name it has in its document.
    pub fn id(&self) -> Option<&str> {
        self.id.as_deref()
    }

    /// The algorithms it may be used with.
    pub fn algorithms(&self) -> &[Algorithm] {
        &self.algorithms
    }

    pub(super) fn takes(&self, algorithm: Algorithm) -> bool {
        self.algorithms.contains(&algorithm)
    }

    pub(super) fn verify(&self, algorithm: Algorithm, message: &[u8], signature: &Vec<u8>) -> bool {
        // By name, not by way of the process-wide default, which a dependency could have set.
        let verifier = (DEFAULT_PROVIDER.verifier_factory)(&algorithm, &self.key);
        verifier.is_ok_and(|verifier| verifier.verify(message, signature).is_ok())
    }
}

impl PartialEq for Key {
    fn eq(&self, other: &Self) -> bool {
        let same = match (self.key.kind(), other.key.kind()) {
            (DecodingKeyKind::SecretOrDer(one), DecodingKeyKind::SecretOrDer(two)) => one == two,
            (
                DecodingKeyKind::RsaModulusExponent { n, e },
                DecodingKeyKind::RsaModulusExponent { n: other_n, e: other_e },
            ) => n == other_n && e == other_e,
            _ => false,
        };
        same && self.id == other.id && self.algorithms == other.algorithms
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Key({:?}, {:?})", self.id, self.algorithms)
    }
}

fn strip(number: &[u8]) -> &[u8] {
    &number[number.iter().take_while(|byte| **byte == 0).count()..]
}

/// What an RSA key may be used with unless it says otherwise.
pub(super) const RSA: [Algorithm; 6] =
    [Algorithm::RS256, Algorithm::RS384, Algorithm::RS512, Algorithm::PS256, Algorithm::PS384, Algorithm::PS512];
