//! Proofs of possession, and what is none.

use super::*;

const ADDRESS: &str = "https://api.example/orders/7";

struct Caller {
    pair: KeyPair,
    thumbprint: String,
}

fn caller() -> Caller {
    let pair = KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).unwrap();
    let thumbprint = thumbprint(&jwk(&pair, &json!({}))).unwrap();
    Caller { pair, thumbprint }
}

impl Caller {
    fn proof(&self, header: &Value, claims: &Value) -> String {
        let mut head = json!({ "typ": "dpop+jwt", "jwk": jwk(&self.pair, &json!({})) });
        let ath = jwk::sha256(b"token");
        let mut body = json!({ "jti": "1", "htm": "GET", "htu": ADDRESS, "iat": NOW, "ath": ath });
        for (into, more) in [(&mut head, header), (&mut body, claims)] {
            for (name, value) in more.as_object().unwrap() {
                into[name] = value.clone();
            }
        }
        let signer = Signer::pem(self.pair.serialize_pem().as_bytes(), None).unwrap();
        signer.sign(&body, head.as_object().unwrap().clone()).unwrap()
    }

    fn check(&self, proof: &str, nonces: &[String], seen: &mut Seen) -> Result<(), ProofFault> {
        let (thumbprint, method, address) = (self.thumbprint.as_str(), "GET", ADDRESS);
        Proof { proof, token: "token", thumbprint, method, address, nonces }.check(now(), seen)
    }
}

#[test]
fn a_proof_is_for_one_request_with_one_token() {
    let caller = caller();
    let check = |header: &Value, claims: &Value| {
        let proof = caller.proof(header, claims);
        caller.check(&proof, &[], &mut Seen::default()).map_err(|fault| fault.to_string())
    };
    assert_eq!(check(&json!({}), &json!({})), Ok(()));
    assert_eq!(check(&json!({}), &json!({ "htu": "HTTPS://API.example:443/orders/7" })), Ok(()));
    assert_eq!(check(&json!({}), &json!({ "iat": NOW + 60 })), Ok(()));
    let other = jwk(&KeyPair::generate_for(&rcgen::PKCS_ED25519).unwrap(), &json!({}));
    let private = jwk(&caller.pair, &json!({ "d": "AA" }));
    for (header, claims, why) in [
        (json!({ "typ": "JWT" }), json!({}), "`typ`"),
        (json!({ "jwk": null }), json!({}), "public key"),
        (json!({ "jwk": private }), json!({}), "private"),
        (json!({ "jwk": other }), json!({}), "signature"),
        (json!({}), json!({ "htm": "POST" }), "`htm`"),
        (json!({}), json!({ "htu": "https://api.example/orders/8" }), "`htu`"),
        (json!({}), json!({ "htu": "http://api.example/orders/7" }), "`htu`"),
        (json!({}), json!({ "ath": jwk::sha256(b"other") }), "`ath`"),
        (json!({}), json!({ "ath": null }), "`ath`"),
        (json!({}), json!({ "iat": NOW - 61 }), "`iat`"),
        (json!({}), json!({ "iat": NOW + 61 }), "`iat`"),
        (json!({}), json!({ "iat": "now" }), "`iat`"),
        (json!({}), json!({ "jti": "" }), "`jti`"),
        (json!({}), json!({ "jti": null }), "`jti`"),
    ] {
        let fault = check(&header, &claims).unwrap_err();
        assert!(fault.contains(why), "{header} {claims}: {fault}");
    }
    assert!(caller.check("x.y.z", &[], &mut Seen::default()).is_err());
}

#[test]
fn a_proof_by_another_key_and_one_used_twice_are_none() {
    let (caller, mut seen) = (caller(), Seen::default());
    let thief = Caller { pair: KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).unwrap(), ..self::caller() };
    let stolen = Caller { thumbprint: caller.thumbprint.clone(), ..thief };
    let fault = stolen.check(&stolen.proof(&json!({}), &json!({})), &[], &mut seen).unwrap_err();
    assert!(fault.to_string().contains("another key"));

    let proof = caller.proof(&json!({}), &json!({}));
    assert_eq!(caller.check(&proof, &[], &mut seen), Ok(()));
    assert!(caller.check(&proof, &[], &mut seen).unwrap_err().to_string().contains("used before"));
    assert_eq!(caller.check(&caller.proof(&json!({}), &json!({ "jti": "2" })), &[], &mut seen), Ok(()));
}

#[test]
fn a_symmetric_proof_is_none() {
    let caller = caller();
    let header = json!({ "alg": "HS256", "typ": "dpop+jwt", "jwk": { "kty": "oct", "k": "AA" } }).to_string();
    let proof = forged(&header, "{}", hs256);
    assert!(caller.check(&proof, &[], &mut Seen::default()).unwrap_err().to_string().contains("symmetric"));
}

#[test]
fn a_nonce_is_good_for_a_while() {
    let caller = caller();
    let good = nonce(SECRET, now());
    let check = |claims: &Value| caller.check(&caller.proof(&json!({}), claims), &good, &mut Seen::default());
    assert_eq!(check(&json!({})), Err(ProofFault::Nonce));
    assert_eq!(check(&json!({ "nonce": "guess" })), Err(ProofFault::Nonce));
    assert_eq!(check(&json!({ "nonce": good[0] })), Ok(()));
    assert_eq!(check(&json!({ "nonce": nonce(SECRET, now() - Duration::from_secs(150))[0] })), Ok(()));
    assert_eq!(check(&json!({ "nonce": nonce(SECRET, now() - Duration::from_secs(450))[0] })), Err(ProofFault::Nonce));
    assert_ne!(good[0], nonce(b"another", now())[0]);
}
