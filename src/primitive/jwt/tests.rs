//! Tokens as attackers write them: each way in that a library leaves open is closed, and stays so.

use std::sync::Arc;
use std::sync::LazyLock;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::Algorithm;
use rcgen::KeyPair;
use serde_json::Map;
use serde_json::Value;
use serde_json::json;

use super::*;
use rcgen::PublicKeyData;

mod keys;
mod proofs;

const SECRET: &[u8] = b"0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";
const NOW: u64 = 1_800_000_000;

fn now() -> Duration {
    Duration::from_secs(NOW)
}

fn rsa() -> &'static KeyPair {
    static KEY: LazyLock<KeyPair> = LazyLock::new(|| KeyPair::generate_for(&rcgen::PKCS_RSA_SHA256).unwrap());
    &KEY
}

/// A JWK of this key pair.
fn jwk(pair: &KeyPair, more: &Value) -> Value {
    let der = pair.subject_public_key_info();
    let bits = pair.public_key_raw();
    let coded = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
    let mut jwk = match bits.len() {
        32 => json!({ "kty": "OKP", "crv": "Ed25519", "x": coded(bits) }),
        65 => json!({ "kty": "EC", "crv": "P-256", "x": coded(&bits[1..33]), "y": coded(&bits[33..]) }),
        97 => json!({ "kty": "EC", "crv": "P-384", "x": coded(&bits[1..49]), "y": coded(&bits[49..]) }),
        _ => {
            let key = aws_lc_rs::rsa::PublicKey::from_der(&der).unwrap();
            let n = key.modulus().big_endian_without_leading_zero().to_vec();
            json!({ "kty": "RSA", "n": coded(&n), "e": "AQAB" })
        }
    };
    for (name, value) in more.as_object().unwrap() {
        jwk[name] = value.clone();
    }
    jwk
}

/// A token with any header and claims at all.
fn forged(header: &str, claims: &str, sign: impl Fn(&[u8]) -> Vec<u8>) -> String {
    let message = format!("{}.{}", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(claims));
    format!("{message}.{}", URL_SAFE_NO_PAD.encode(sign(message.as_bytes())))
}

fn hs256(message: &[u8]) -> Vec<u8> {
    let key = aws_lc_rs::hmac::Key::new(aws_lc_rs::hmac::HMAC_SHA256, SECRET);
    aws_lc_rs::hmac::sign(&key, message).as_ref().to_vec()
}

/// What a token with this header and these claims, well signed, comes to.
fn taken(rules: &Rules, header: &str, claims: &str) -> Result<f64, Fault> {
    let text = forged(header, claims, hs256);
    let token = Token::parse(&text)?;
    verify(&token, &[Key::secret(SECRET).unwrap()], &rules.algorithms)?;
    rules.check(token.header(), &token.claims()?, now())
}

const HEADER: &str = r#"{"alg":"HS256"}"#;

fn rules() -> Rules {
    Rules { leeway: 30.0, ..Rules::default() }
}

/// Claims that are fine but for `more`.
fn claims(more: &Value) -> String {
    let mut claims = json!({ "exp": NOW + 60 });
    for (name, value) in more.as_object().unwrap() {
        claims[name] = value.clone();
    }
    claims.to_string()
}

fn said(result: Result<f64, Fault>) -> String {
    result.map_or_else(|fault| fault.to_string(), |_| "taken".to_owned())
}

#[test]
fn configured_claims_are_required_and_have_their_type() {
    let rules =
        Rules { issuers: vec!["good".into()], audience: Audience::Of(vec!["api".into(), "web".into()]), ..rules() };
    let check = |more: &Value| said(taken(&rules, HEADER, &claims(more)));
    assert_eq!(check(&json!({ "iss": "good", "aud": "api" })), "taken");
    assert_eq!(check(&json!({ "iss": "good", "aud": ["x", "web"] })), "taken");
    for (more, why) in [
        (json!({}), "the token has no `iss`"),
        (json!({ "aud": "api" }), "the token has no `iss`"),
        (json!({ "iss": 5, "aud": "api" }), "`iss` is no text"),
        (json!({ "iss": ["good", "evil"], "aud": "api" }), "`iss` is no text"),
        (json!({ "iss": "evil", "aud": "api" }), "`iss` is not an issuer whose tokens are taken"),
        (json!({ "iss": "good/", "aud": "api" }), "`iss` is not an issuer whose tokens are taken"),
        (json!({ "iss": "good" }), "`aud` does not name us"),
        (json!({ "iss": "good", "aud": 5 }), "`aud` is neither text nor a list of texts"),
        (json!({ "iss": "good", "aud": ["api", 5] }), "`aud` is neither text nor a list of texts"),
        (json!({ "iss": "good", "aud": {} }), "`aud` is neither text nor a list of texts"),
        (json!({ "iss": "good", "aud": "apiary" }), "`aud` does not name us"),
        (json!({ "iss": "good", "aud": "api", "sub": 7 }), "`sub` is no text"),
        (json!({ "iss": "good", "aud": "api", "jti": {} }), "`jti` is no text"),
    ] {
        assert_eq!(check(&more), why, "{more}");
    }
}

#[test]
fn a_token_for_somebody_is_not_taken_by_nobody() {
    let check = |audience| said(taken(&Rules { audience, ..rules() }, HEADER, &claims(&json!({ "aud": "other" }))));
    assert!(check(Audience::Unnamed).contains("`audience` says who we are"));
    assert_eq!(check(Audience::Any), "taken");
}

#[test]
fn times_count_with_the_same_leeway() {
    let check = |claims: &str| said(taken(&rules(), HEADER, claims));
    let at = |name: &str, seconds: i64| format!(r#"{{"exp":{},"{name}":{}}}"#, NOW + 60, NOW as i64 + seconds);
    let exp = |value: &str| check(&format!(r#"{{"exp":{value}}}"#));
    let n = |seconds: i64| (NOW as i64 + seconds).to_string();
    assert_eq!(exp(&n(-29)), "taken");
    assert_eq!(exp(&n(-30)), "the token is expired", "on or after `exp` it must not be taken");
    assert_eq!(exp(&n(-50)), "the token is expired");
    assert_eq!(exp(&format!("{}.25", n(-30))), "taken", "a fraction is a fraction");
    assert_eq!(exp(&format!("{}.75", n(-31))), "the token is expired");
    assert_eq!(check("{}"), "the token has no `exp`");
    let (null, text) = ("null".to_owned(), format!("\"{}\"", n(60)));
    for bad in [null.as_str(), text.as_str(), "-5", "1e400", "1e300", "true", "[1]"] {
        assert_eq!(exp(bad), "`exp` is no date", "{bad}");
    }
    assert_eq!(check(&at("nbf", 30)), "taken");
    assert_eq!(check(&at("nbf", 31)), "`nbf` of the token lies in the future");
    assert_eq!(check(&at("nbf", 3600)), "`nbf` of the token lies in the future");
    assert_eq!(check(&at("iat", 31)), "`iat` of the token lies in the future");
    assert_eq!(check(&format!(r#"{{"exp":{},"nbf":"soon"}}"#, NOW + 60)), "`nbf` is no date");
}

#[test]
fn any_claim_can_be_required() {
    let require = |claim: &str, values: &[Value]| Require { claim: claim.into(), values: values.to_vec() };
    let rules = Rules {
        require: vec![
            require("jti", &[]),
            require("plan", &["gold".into(), "silver".into()]),
            require("n", &[1.into()]),
        ],
        ..rules()
    };
    let check = |more: &Value| said(taken(&rules, HEADER, &claims(more)));
    assert_eq!(check(&json!({ "jti": "a", "plan": "gold", "n": 1.0 })), "taken");
    assert_eq!(check(&json!({ "jti": "a", "plan": ["free", "silver"], "n": 1 })), "taken");
    assert_eq!(check(&json!({ "plan": "gold", "n": 1 })), "the token has no `jti`");
    assert_eq!(check(&json!({ "jti": null, "plan": "gold", "n": 1 })), "`jti` is no text");
    assert_eq!(check(&json!({ "jti": "a", "plan": "free", "n": 1 })), "`plan` is not what it must be");
    assert_eq!(check(&json!({ "jti": "a", "plan": "gold", "n": "1" })), "`n` is not what it must be");
}

#[test]
fn the_algorithm_is_the_keys_and_never_the_tokens() {
    let fine = claims(&json!({}));
    for (header, why) in [
        (r#"{"alg":"none"}"#, "no key takes tokens with the algorithm none"),
        (r#"{"alg":"NONE"}"#, "no key takes tokens with the algorithm NONE"),
        (r#"{"alg":"nOnE"}"#, "no key takes tokens with the algorithm nOnE"),
        (r#"{"alg":""}"#, "no key takes tokens with the algorithm "),
        (r#"{"alg":"hs256"}"#, "no key takes tokens with the algorithm hs256"),
        (r#"{"alg":"RS256"}"#, "no key takes tokens with the algorithm RS256"),
        (r#"{"alg":"HS512"}"#, "the signature does not fit"),
        (r#"{"alg":["HS256"]}"#, "the token is malformed: no `alg`"),
        (r#"{}"#, "the token is malformed: no `alg`"),
        (r#"{"alg":"none","alg":"HS256"}"#, "the token is malformed: a JSON member stands twice"),
    ] {
        assert_eq!(said(taken(&rules(), header, &fine)), why, "{header}");
    }
    let only = Rules { algorithms: vec![Algorithm::HS384], ..rules() };
    assert_eq!(said(taken(&only, HEADER, &fine)), "no key takes tokens with the algorithm HS256");

    // The public key as an HMAC secret: the oldest trick.
    let pem = rsa().public_key_pem();
    let key = aws_lc_rs::hmac::Key::new(aws_lc_rs::hmac::HMAC_SHA256, pem.as_bytes());
    let text = forged(HEADER, &fine, |message| aws_lc_rs::hmac::sign(&key, message).as_ref().to_vec());
    let token = Token::parse(&text).unwrap();
    let fault = verify(&token, &[Key::pem(pem.as_bytes()).unwrap()], &[]).unwrap_err();
    assert_eq!(fault, Fault::Algorithm("HS256".into()));
}

#[test]
fn what_is_not_understood_is_refused() {
    let fine = claims(&json!({}));
    for (header, why) in [
        (r#"{"alg":"HS256","crit":["exp"]}"#, "`crit`"),
        (r#"{"alg":"HS256","crit":[]}"#, "`crit`"),
        (r#"{"alg":"HS256","b64":false}"#, "`crit`"),
        (r#"{"alg":"HS256","kid":7}"#, "`kid`"),
        (r#"{"alg":"HS256","typ":[]}"#, "`typ`"),
        (r#"{"alg":"HS256","typ":"dpop+jwt"}"#, "`typ`"),
        (r#"{"alg":"HS256","typ":"application/logout+jwt"}"#, "`typ`"),
    ] {
        assert!(said(taken(&rules(), header, &fine)).contains(why), "{header}");
    }
    // Keys that a token brings along are no keys.
    let header =
        r#"{"alg":"HS256","typ":"JWT","jku":"https://evil/","x5u":"https://evil/","jwk":{"kty":"oct","k":"AA"}}"#;
    assert_eq!(said(taken(&rules(), header, &fine)), "taken");

    let typed = Rules { typ: Some("at+jwt".into()), ..rules() };
    assert!(said(taken(&typed, HEADER, &fine)).contains("`typ` is not at+jwt"));
    for typ in ["at+jwt", "AT+JWT", "application/at+jwt"] {
        assert_eq!(said(taken(&typed, &format!(r#"{{"alg":"HS256","typ":"{typ}"}}"#), &fine)), "taken");
    }
}

#[test]
fn a_token_is_three_clean_parts_and_short() {
    let good = forged(HEADER, &claims(&json!({})), hs256);
    let dot = good.rfind('.').unwrap();
    let parse = |text: &str| Token::parse(text).map(|_| ()).unwrap_err().to_string();
    for (text, why) in [
        (String::new(), "three parts"),
        ("a.b".to_owned(), "three parts"),
        (format!("{good}.x"), "three parts"),
        ("a.b.c.d.e".to_owned(), "encrypted"),
        (format!(" {good}"), "base64url"),
        (format!("{good}="), "base64url"),
        (format!("{}+{}", &good[..dot + 1], &good[dot + 2..]), "base64url"),
        (format!("{}.", "a".repeat(LONGEST)), "longer than 8192"),
        (forged("[]", "{}", hs256), "not a JSON object"),
    ] {
        assert!(parse(&text).contains(why), "{text}: {}", parse(&text));
    }
    for claims in ["[]", "{\"exp\":1,\"exp\":2}", "null", "nested.token.text", "{\"a\":1}x"] {
        assert!(said(taken(&rules(), HEADER, claims)).contains("malformed"), "{claims}");
    }
    let mut flipped = good.clone().into_bytes();
    flipped[dot + 5] = if flipped[dot + 5] == b'A' { b'B' } else { b'A' };
    let flipped = String::from_utf8(flipped).unwrap();
    let token = Token::parse(&flipped).unwrap();
    assert_eq!(verify(&token, &[Key::secret(SECRET).unwrap()], &[]), Err(Fault::Signature));
    let empty = format!("{}.", &good[..dot]);
    let token = Token::parse(&empty).unwrap();
    assert_eq!(verify(&token, &[Key::secret(SECRET).unwrap()], &[]), Err(Fault::Signature), "no signature at all");
}

#[test]
fn verified_tokens_are_known_for_a_minute_and_with_the_same_keys() {
    let mut cache = Cache::new(2);
    let claims = Arc::new(json!({ "sub": "u1" }));
    let put =
        |cache: &mut Cache, token: &str, until: u64| cache.put(token, Arc::clone(&claims), 1, until as f64, now());
    put(&mut cache, "a", NOW + 3600);
    assert!(cache.get("a", 1, now() + Duration::from_secs(59)).is_some());
    assert!(cache.get("a", 1, now() + Duration::from_secs(60)).is_none(), "looked at again after a minute");
    put(&mut cache, "a", NOW + 10);
    assert!(cache.get("a", 1, now() + Duration::from_secs(10)).is_none(), "never past the token's own end");
    put(&mut cache, "a", NOW + 3600);
    assert!(cache.get("a", 2, now()).is_none(), "another set of keys has not verified it");
    assert!(cache.get("a", 1, now()).is_none());
    for token in ["a", "b", "c"] {
        put(&mut cache, token, NOW + 3600);
    }
    assert_eq!(cache.len(), 2);
    assert!(cache.get("a", 1, now()).is_none() && cache.get("c", 1, now()).is_some());

    let mut cache = Cache::new(1_000_000);
    for n in 0..2000 {
        put(&mut cache, &format!("{n}{}", "x".repeat(8000)), NOW + 3600);
    }
    assert!(cache.len() < 400, "{} tokens of 8 KiB", cache.len());
}

#[test]
fn what_is_signed_is_verified() {
    let pairs = [&rcgen::PKCS_ECDSA_P256_SHA256, &rcgen::PKCS_ECDSA_P384_SHA384, &rcgen::PKCS_ED25519];
    let mut signers = vec![(Signer::secret(SECRET, None).unwrap(), Key::secret(SECRET).unwrap())];
    let pem = rsa().serialize_pem();
    for algorithm in [Algorithm::RS256, Algorithm::PS512] {
        let signer = Signer::pem(pem.as_bytes(), Some(algorithm)).unwrap();
        signers.push((signer, Key::pem(rsa().public_key_pem().as_bytes()).unwrap()));
    }
    for kind in pairs {
        let pair = KeyPair::generate_for(kind).unwrap();
        let signer = Signer::pem(pair.serialize_pem().as_bytes(), None).unwrap();
        signers.push((signer, Key::pem(pair.public_key_pem().as_bytes()).unwrap()));
    }
    for (signer, key) in &signers {
        let header = Map::from_iter([("kid".to_owned(), "k1".into()), ("alg".to_owned(), "none".into())]);
        let text = signer.sign(&json!({ "sub": "u1", "big": 9_007_199_254_740_993_u64 }), header).unwrap();
        let token = Token::parse(&text).unwrap();
        verify(&token, [key], &[]).unwrap();
        assert_eq!(token.header().kid.as_deref(), Some("k1"));
        assert_eq!(token.claims().unwrap()["big"].to_string(), "9007199254740993");
        for (_, other) in signers.iter().filter(|(_, other)| other != key) {
            assert!(verify(&token, [other], &[]).is_err());
        }
    }
    assert!(Signer::secret(b"short", None).is_err());
    assert!(Signer::secret(&SECRET[..40], Some(Algorithm::HS512)).is_err());
    assert!(Signer::pem(pem.as_bytes(), Some(Algorithm::ES256)).is_err());
    assert!(Signer::pem(b"nonsense", None).is_err());
}
