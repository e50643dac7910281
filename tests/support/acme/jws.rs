//! Signed requests: who sent them, and that nobody sends them twice (RFC 8555 §6).

use aws_lc_rs::signature;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::Value;

use super::Mood;
use super::Refused;
use super::State;

/// What a signed request says, once it was verified.
pub(super) struct Said {
    pub(super) payload: Value,
    /// Index of the account.
    pub(super) account: usize,
}

impl State {
    /// Signature, nonce, address and account, as RFC 8555 §6 asks.
    pub(super) fn verified(&mut self, target: &str, body: &[u8]) -> Result<Said, Refused> {
        let bad = |detail: &str| (400, "malformed", detail.to_owned());
        let jws: Value = serde_json::from_slice(body).map_err(|_| bad("no JSON"))?;
        let text = |name: &str| jws[name].as_str().ok_or_else(|| bad(name));
        let bytes = |text: &str| URL_SAFE_NO_PAD.decode(text).map_err(|_| bad("no base64url"));
        let protected: Value = serde_json::from_slice(&bytes(text("protected")?)?).map_err(|_| bad("protected"))?;
        assert_eq!(protected["alg"], "ES256");
        assert_eq!(protected["url"], format!("{}{target}", self.address));
        let known = self.nonces.remove(protected["nonce"].as_str().unwrap_or_default());
        if self.mood == Mood::Forgets {
            self.forgiven = !self.forgiven;
        }
        if !known || (self.mood == Mood::Forgets && self.forgiven) {
            return Err((400, "badNonce", "what nonce?".to_owned()));
        }
        let account = match protected["kid"].as_str() {
            None => {
                assert_eq!(target, "/account");
                let key = &protected["jwk"];
                self.accounts.iter().position(|known| known == key).unwrap_or_else(|| {
                    self.accounts.push(key.clone());
                    self.accounts.len() - 1
                })
            }
            Some(kid) => kid.rsplit('/').next().and_then(|number| number.parse().ok()).ok_or_else(|| bad("kid"))?,
        };
        let key = self.accounts.get(account).ok_or((401, "accountDoesNotExist", String::new()))?;
        let coordinate = |name: &str| bytes(key[name].as_str().unwrap_or_default());
        let point = [vec![4], coordinate("x")?, coordinate("y")?].concat();
        let signed = format!("{}.{}", text("protected")?, text("payload")?);
        signature::UnparsedPublicKey::new(&signature::ECDSA_P256_SHA256_FIXED, point)
            .verify(signed.as_bytes(), &bytes(text("signature")?)?)
            .map_err(|_| bad("the signature"))?;
        let payload = serde_json::from_slice(&bytes(text("payload")?)?).unwrap_or(Value::Null);
        Ok(Said { payload, account })
    }
}
