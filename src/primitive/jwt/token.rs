//! A token taken apart, nothing believed yet.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::Algorithm;
use serde_json::Map;
use serde_json::Value;

use super::Fault;
use super::LONGEST;
use super::algorithm;
use super::strict;

/// A compact JWS whose header was read.
#[derive(Debug)]
pub struct Token<'a> {
    message: &'a str,
    payload: &'a str,
    signature: Vec<u8>,
    header: Header,
}

/// What a token says of itself. Where it points to keys (`jku`, `jwk`, `x5u`, `x5c`) nobody looks.
#[derive(Clone, Debug)]
pub struct Header {
    /// How it says it is signed; the key decides whether that may be.
    pub algorithm: Algorithm,
    /// The name of its key.
    pub kid: Option<String>,
    /// Its kind.
    pub typ: Option<String>,
    /// All of it.
    pub members: Map<String, Value>,
}

impl<'a> Token<'a> {
    /// Takes `text` apart.
    pub fn parse(text: &'a str) -> Result<Self, Fault> {
        if text.len() > LONGEST {
            return Err(Fault::TooLong);
        }
        let parts: Vec<&str> = text.splitn(6, '.').collect();
        let &[head, payload, signature] = parts.as_slice() else {
            return Err(Fault::Malformed(if parts.len() == 5 { "it is encrypted" } else { "it has not three parts" }));
        };
        let message = &text[..head.len() + 1 + payload.len()];
        let header = Header::read(&part(head)?)?;
        Ok(Self { message, payload, signature: part(signature)?, header })
    }

    /// The header.
    pub fn header(&self) -> &Header {
        &self.header
    }

    /// The claims. Whoever has not called [`super::verify`] must not believe them.
    pub fn claims(&self) -> Result<Map<String, Value>, Fault> {
        strict::object(&part(self.payload)?).map_err(Fault::Malformed)
    }

    /// What is signed.
    pub(super) fn message(&self) -> &[u8] {
        self.message.as_bytes()
    }

    pub(super) fn signature(&self) -> &Vec<u8> {
        &self.signature
    }
}

impl Header {
    fn read(bytes: &[u8]) -> Result<Self, Fault> {
        let members = strict::object(bytes).map_err(Fault::Malformed)?;
        let Some(Value::String(name)) = members.get("alg") else { return Err(Fault::Malformed("no `alg`")) };
        let algorithm = algorithm(name).ok_or_else(|| Fault::Algorithm(name.chars().take(32).collect()))?;
        // RFC 7515 §4.1.11: what is critical must be understood, and we understand no extension.
        if members.contains_key("crit") || members.contains_key("b64") {
            return Err(Fault::Malformed("`crit` names what is not understood here"));
        }
        let text = |name: &'static str| match members.get(name) {
            None => Ok(None),
            Some(Value::String(text)) if text.len() <= LONGEST_NAME => Ok(Some(text.clone())),
            Some(_) => Err(Fault::Malformed("`kid` or `typ` is no short text")),
        };
        Ok(Self { algorithm, kid: text("kid")?, typ: text("typ")?, members })
    }
}

fn part(text: &str) -> Result<Vec<u8>, Fault> {
    URL_SAFE_NO_PAD.decode(text).map_err(|_| Fault::Malformed("a part is not base64url"))
}

/// A `kid` or `typ` may not be longer.
const LONGEST_NAME: usize = 512;
