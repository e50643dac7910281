//! Making tokens.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::Algorithm;
use jsonwebtoken::AlgorithmFamily;
use jsonwebtoken::EncodingKey;
use jsonwebtoken::crypto::aws_lc::DEFAULT_PROVIDER;
use serde_json::Map;
use serde_json::Value;
use thiserror::Error;

use super::Key;
use super::KeyError;

/// A key that signs.
#[derive(Clone)]
pub struct Signer {
    algorithm: Algorithm,
    key: EncodingKey,
}

/// Why nothing was signed.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum SignError {
    /// The key is none, or does not fit the algorithm.
    #[error("{0}")]
    Key(String),
}

impl Signer {
    /// Signs with a secret.
    pub fn secret(secret: &[u8], algorithm: Option<Algorithm>) -> Result<Self, SignError> {
        let algorithm = algorithm.unwrap_or(Algorithm::HS256);
        let key = Key::secret(secret).map_err(|fault: KeyError| SignError::Key(fault.to_string()))?;
        if !key.takes(algorithm) {
            let said = format!("a secret of {} bytes cannot be used with {algorithm:?}", secret.len());
            return Err(SignError::Key(said));
        }
        Ok(Self { algorithm, key: EncodingKey::from_secret(secret) })
    }

    /// Signs with a private key in PEM (PKCS #8; of RSA also PKCS #1).
    pub fn pem(text: &[u8], algorithm: Option<Algorithm>) -> Result<Self, SignError> {
        let wrong = |what: &str| SignError::Key(what.to_owned());
        let (key, usual) = if let Ok(key) = EncodingKey::from_rsa_pem(text) {
            (key, vec![Algorithm::RS256])
        } else if let Ok(key) = EncodingKey::from_ec_pem(text) {
            (key, vec![Algorithm::ES256, Algorithm::ES384])
        } else if let Ok(key) = EncodingKey::from_ed_pem(text) {
            (key, vec![Algorithm::EdDSA])
        } else {
            return Err(wrong("this is no private key in PEM (RSA, P-256, P-384, Ed25519; PKCS #8)"));
        };
        let tried = algorithm.map_or(usual, |one| vec![one]);
        let fits = |one: &Algorithm| Self { algorithm: *one, key: key.clone() }.signature(b"").is_ok();
        match tried.iter().find(|one| fits(one)) {
            Some(&algorithm) => Ok(Self { algorithm, key }),
            None => Err(wrong("the key does not fit the algorithm")),
        }
    }

    /// The token that says `claims`; `header` adds to its header.
    pub fn sign(&self, claims: &Value, header: Map<String, Value>) -> Result<String, SignError> {
        let mut members = Map::new();
        members.insert("alg".to_owned(), format!("{:?}", self.algorithm).into());
        members.insert("typ".to_owned(), "JWT".into());
        members.extend(header.into_iter().filter(|(name, _)| name != "alg"));
        let head = URL_SAFE_NO_PAD.encode(Value::Object(members).to_string());
        let message = format!("{head}.{}", URL_SAFE_NO_PAD.encode(claims.to_string()));
        let signature = self.signature(message.as_bytes())?;
        Ok(format!("{message}.{}", URL_SAFE_NO_PAD.encode(signature)))
    }

    fn signature(&self, message: &[u8]) -> Result<Vec<u8>, SignError> {
        let wrong = || SignError::Key("the key does not fit the algorithm".to_owned());
        if self.key.family() != family(self.algorithm) {
            return Err(wrong());
        }
        let signer = (DEFAULT_PROVIDER.signer_factory)(&self.algorithm, &self.key).map_err(|_| wrong())?;
        signer.try_sign(message).map_err(|_| wrong())
    }
}

fn family(algorithm: Algorithm) -> AlgorithmFamily {
    match algorithm {
        Algorithm::HS256 | Algorithm::HS384 | Algorithm::HS512 => AlgorithmFamily::Hmac,
        Algorithm::ES256 | Algorithm::ES384 => AlgorithmFamily::Ec,
        Algorithm::EdDSA => AlgorithmFamily::Ed,
        _ => AlgorithmFamily::Rsa,
    }
}
