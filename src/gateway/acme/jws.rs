//! Requests signed as an authority wants them (RFC 8555 §6.2): ES256, over where they go and a number used once.

use aws_lc_rs::error::Unspecified;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::ECDSA_P256_SHA256_FIXED_SIGNING;
use aws_lc_rs::signature::EcdsaKeyPair;
use aws_lc_rs::signature::KeyPair as _;
use serde_json::Value;
use serde_json::json;

use crate::primitive::codec::base64url_encode;
use crate::primitive::jwt::thumbprint;

/// The key of an account.
pub(super) struct Key {
    pair: EcdsaKeyPair,
    pkcs8: Vec<u8>,
}

impl Key {
    /// A new one.
    pub(super) fn generate() -> Result<Self, Unspecified> {
        let made = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &SystemRandom::new())?;
        Self::read(made.as_ref()).ok_or(Unspecified)
    }

    /// One that was kept.
    pub(super) fn read(pkcs8: &[u8]) -> Option<Self> {
        let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, pkcs8).ok()?;
        Some(Self { pair, pkcs8: pkcs8.to_vec() })
    }

    /// To be kept.
    pub(super) fn pkcs8(&self) -> &[u8] {
        &self.pkcs8
    }

    /// A request to `url`; `account`: who asks, `None` where the account is only being made.
    pub(super) fn sign(
        &self,
        account: Option<&str>,
        url: &str,
        nonce: &str,
        payload: Option<&Value>,
    ) -> Result<Vec<u8>, Unspecified> {
        let mut protected = json!({ "alg": "ES256", "nonce": nonce, "url": url });
        match account {
            Some(account) => protected["kid"] = account.into(),
            None => protected["jwk"] = self.jwk(),
        }
        let protected = base64url_encode(protected.to_string());
        let payload = payload.map(|payload| base64url_encode(payload.to_string())).unwrap_or_default();
        let signed = format!("{protected}.{payload}");
        let signature = self.pair.sign(&SystemRandom::new(), signed.as_bytes())?;
        let signature = base64url_encode(signature);
        let body = json!({ "protected": protected, "payload": payload, "signature": signature });
        Ok(body.to_string().into_bytes())
    }

    /// What proves that `token` was seen by this account (RFC 8555 §8.1).
    pub(super) fn authorization(&self, token: &str) -> String {
        format!("{token}.{}", thumbprint(&self.jwk()).unwrap_or_default())
    }

    fn jwk(&self) -> Value {
        // 4, and two numbers of 32 bytes.
        let (x, y) = self.pair.public_key().as_ref().split_at(1).1.split_at(32);
        json!({ "crv": "P-256", "kty": "EC", "x": base64url_encode(x), "y": base64url_encode(y) })
    }
}

#[cfg(test)]
mod tests {
    use aws_lc_rs::signature::ECDSA_P256_SHA256_FIXED;
    use aws_lc_rs::signature::UnparsedPublicKey;

    use super::*;
    use crate::primitive::codec::base64url_decode;

    fn part(request: &Value, name: &str) -> Vec<u8> {
        base64url_decode(request[name].as_str().unwrap()).unwrap()
    }

    #[test]
    fn a_request_says_where_it_goes_and_who_asks() {
        let key = Key::generate().unwrap();
        let again = Key::read(key.pkcs8()).unwrap();
        for (account, payload) in [(None, Some(json!({ "a": 1 }))), (Some("https://ca.dev/account/1"), None)] {
            let request = again.sign(account, "https://ca.dev/x", "n1", payload.as_ref()).unwrap();
            let request: Value = serde_json::from_slice(&request).unwrap();
            let protected: Value = serde_json::from_slice(&part(&request, "protected")).unwrap();
            assert_eq!((&protected["url"], &protected["nonce"]), (&json!("https://ca.dev/x"), &json!("n1")));
            assert_eq!((protected["kid"].as_str(), protected["jwk"].is_object()), (account, account.is_none()));
            let signed = format!("{}.{}", request["protected"].as_str().unwrap(), request["payload"].as_str().unwrap());
            let public = UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, key.pair.public_key().as_ref());
            public.verify(signed.as_bytes(), &part(&request, "signature")).unwrap();
            assert_eq!(request["payload"] == "", payload.is_none());
        }
        assert!(key.authorization("t").starts_with("t.") && key.authorization("t").len() == 2 + 43);
        assert!(Key::read(b"nonsense").is_none());
    }
}
