//! JSON Web Keys (RFC 7517): documents of public keys, and a key's thumbprint (RFC 7638).

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::Algorithm;
use serde_json::Map;
use serde_json::Value;

use super::Key;
use super::KeyError;
use super::algorithm;
use super::key::RSA;

/// The usable keys of a document.
pub(super) fn set(text: &[u8]) -> Result<Vec<Key>, KeyError> {
    let value: Value = serde_json::from_slice(text).map_err(|fault| wrong(format!("this is not JSON: {fault}")))?;
    let Some(keys) = value.get("keys") else { return read(&value).map(|key| vec![key]) };
    let Value::Array(keys) = keys else { return Err(wrong("`keys` is no list")) };
    if keys.len() > MOST {
        return Err(wrong(format!("more than {MOST} keys")));
    }
    // What is not for us (encryption, kinds not spoken here) stands beside what is (RFC 7517 §5).
    Ok(keys.iter().filter_map(|key| read(key).ok()).collect())
}

/// One public key.
pub(super) fn read(value: &Value) -> Result<Key, KeyError> {
    let Value::Object(jwk) = value else { return Err(wrong("a key is a JSON object")) };
    let text = |name: &str| jwk.get(name).and_then(Value::as_str);
    if text("use").is_some_and(|purpose| purpose != "sig") {
        return Err(wrong("the key is not for signatures"));
    }
    if let Some(operations) = jwk.get("key_ops") {
        let verifies = |list: &Vec<Value>| list.iter().any(|name| name == "verify");
        if !operations.as_array().is_some_and(verifies) {
            return Err(wrong("the key is not for verifying"));
        }
    }
    let id = match jwk.get("kid") {
        None => None,
        Some(Value::String(id)) => Some(id.clone()),
        Some(_) => return Err(wrong("`kid` is no text")),
    };
    let declared = match jwk.get("alg") {
        None => None,
        Some(Value::String(name)) => Some(algorithm(name).ok_or_else(|| wrong(format!("`alg` {name} is not spoken")))?),
        Some(_) => return Err(wrong("`alg` is no text")),
    };
    match text("kty") {
        Some("RSA") => {
            let algorithms = match declared {
                None => RSA.to_vec(),
                Some(one) if RSA.contains(&one) => vec![one],
                Some(_) => return Err(wrong("`alg` does not fit `kty`")),
            };
            Key::rsa(id, algorithms, &bytes(jwk, "n")?, &bytes(jwk, "e")?)
        }
        Some("EC") => {
            let (algorithm, length) = match text("crv") {
                Some("P-256") => (Algorithm::ES256, 32),
                Some("P-384") => (Algorithm::ES384, 48),
                _ => return Err(wrong("of elliptic curves, P-256 and P-384 are spoken")),
            };
            let (x, y) = (bytes(jwk, "x")?, bytes(jwk, "y")?);
            if x.len() != length || y.len() != length || declared.is_some_and(|declared| declared != algorithm) {
                return Err(wrong("the key does not fit its curve"));
            }
            Ok(Key::curve(id, algorithm, &[&[4], x.as_slice(), y.as_slice()].concat()))
        }
        Some("OKP") => {
            let x = bytes(jwk, "x")?;
            let fits = text("crv") == Some("Ed25519") && x.len() == 32;
            if !fits || declared.is_some_and(|declared| declared != Algorithm::EdDSA) {
                return Err(wrong("of Edwards curves, Ed25519 is spoken"));
            }
            Ok(Key::curve(id, Algorithm::EdDSA, &x))
        }
        Some("oct") => Err(wrong("a symmetric key is a secret, not a public key")),
        _ => Err(wrong("`kty` is not spoken")),
    }
}

/// RFC 7638: SHA-256 over the required members in their order.
pub(crate) fn thumbprint(value: &Value) -> Option<String> {
    let text = |name: &str| value.get(name).and_then(Value::as_str).and_then(|text| serde_json::to_string(text).ok());
    let names: &[&str] = match value.get("kty")?.as_str()? {
        "RSA" => &["e", "kty", "n"],
        "EC" => &["crv", "kty", "x", "y"],
        "OKP" => &["crv", "kty", "x"],
        _ => return None,
    };
    let members = names.iter().map(|name| Some(format!("\"{name}\":{}", text(name)?))).collect::<Option<Vec<_>>>()?;
    let canonical = format!("{{{}}}", members.join(","));
    Some(sha256(canonical.as_bytes()))
}

/// SHA-256 as base64url.
pub(super) fn sha256(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, bytes))
}

fn bytes(jwk: &Map<String, Value>, name: &str) -> Result<Vec<u8>, KeyError> {
    let text = jwk.get(name).and_then(Value::as_str).ok_or_else(|| wrong(format!("no `{name}`")))?;
    URL_SAFE_NO_PAD.decode(text).map_err(|_| wrong(format!("`{name}` is not base64url")))
}

fn wrong(what: impl Into<String>) -> KeyError {
    KeyError::Jwk(what.into())
}

/// Keys of one document.
const MOST: usize = 100;
