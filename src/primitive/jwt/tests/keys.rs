//! Keys: what is one, and with which algorithms.

use super::*;

fn set(keys: &[Value]) -> Vec<Key> {
    Key::set(json!({ "keys": keys }).to_string().as_bytes()).unwrap()
}

#[test]
fn a_secret_cannot_be_guessed_and_its_length_says_what_for() {
    for short in [0, 1, 31] {
        let fault = Key::secret(&SECRET[..short]).unwrap_err();
        assert_eq!(fault, KeyError::Short(short));
        assert!(fault.to_string().contains("32 bytes at least"));
    }
    assert_eq!(Key::secret(&SECRET[..32]).unwrap().algorithms(), [Algorithm::HS256]);
    assert_eq!(Key::secret(&SECRET[..48]).unwrap().algorithms(), [Algorithm::HS256, Algorithm::HS384]);
    assert_eq!(Key::secret(&SECRET[..64]).unwrap().algorithms().len(), 3);
}

#[test]
fn pem_says_which_algorithms() {
    let pem = |kind| KeyPair::generate_for(kind).unwrap().public_key_pem();
    assert_eq!(Key::pem(rsa().public_key_pem().as_bytes()).unwrap().algorithms().len(), 6);
    let p256 = Key::pem(pem(&rcgen::PKCS_ECDSA_P256_SHA256).as_bytes()).unwrap();
    assert_eq!(p256.algorithms(), [Algorithm::ES256]);
    let p384 = Key::pem(pem(&rcgen::PKCS_ECDSA_P384_SHA384).as_bytes()).unwrap();
    assert_eq!(p384.algorithms(), [Algorithm::ES384]);
    assert_eq!(Key::pem(pem(&rcgen::PKCS_ED25519).as_bytes()).unwrap().algorithms(), [Algorithm::EdDSA]);
    assert!(Key::pem(pem(&rcgen::PKCS_ECDSA_P521_SHA512).as_bytes()).is_err(), "not spoken");
    let private = Key::pem(rsa().serialize_pem().as_bytes()).unwrap_err();
    assert!(private.to_string().contains("private key"));
    assert!(Key::pem(b"-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----").is_err());
    assert!(Key::pem(b"").is_err());
}

#[test]
fn a_document_gives_the_keys_that_are_for_us() {
    let p256 = KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).unwrap();
    let ed = KeyPair::generate_for(&rcgen::PKCS_ED25519).unwrap();
    let keys = set(&[
        jwk(rsa(), &json!({ "kid": "r", "use": "sig", "alg": "RS256" })),
        jwk(&p256, &json!({ "kid": "e", "key_ops": ["verify"] })),
        jwk(&ed, &json!({ "kid": "d" })),
        // None of these is a key for us, and none spoils the others.
        jwk(rsa(), &json!({ "kid": "enc", "use": "enc" })),
        jwk(rsa(), &json!({ "kid": "wrap", "key_ops": ["wrapKey"] })),
        jwk(rsa(), &json!({ "kid": "odd", "alg": "ES256" })),
        jwk(rsa(), &json!({ "kid": "oaep", "alg": "RSA-OAEP" })),
        jwk(rsa(), &json!({ "kid": 7 })),
        jwk(rsa(), &json!({ "kid": "short", "n": URL_SAFE_NO_PAD.encode([0xff; 128]) })),
        jwk(&p256, &json!({ "kid": "curve", "crv": "secp256k1" })),
        jwk(&p256, &json!({ "kid": "384", "crv": "P-384" })),
        jwk(&p256, &json!({ "kid": "hs", "alg": "HS256" })),
        jwk(&p256, &json!({ "kid": "cut", "x": "AAAA" })),
        jwk(&ed, &json!({ "kid": "448", "crv": "Ed448" })),
        json!({ "kty": "oct", "kid": "oct", "k": URL_SAFE_NO_PAD.encode(SECRET) }),
        json!({ "kty": "new" }),
        json!("x"),
    ]);
    assert_eq!(keys.iter().map(|key| key.id().unwrap()).collect::<Vec<_>>(), ["r", "e", "d"]);
    assert_eq!(keys[0].algorithms(), [Algorithm::RS256]);
    assert_eq!(Key::set(jwk(&ed, &json!({})).to_string().as_bytes()).unwrap().len(), 1, "one JWK alone");
    for bad in ["", "[]", "{}", r#"{"keys":{}}"#, "<html>"] {
        assert!(Key::set(bad.as_bytes()).is_err(), "{bad}");
    }
    let many = vec![json!({}); 101];
    assert!(Key::set(json!({ "keys": many }).to_string().as_bytes()).is_err());
}

#[test]
fn the_id_chooses_the_key() {
    let (one, two) =
        (KeyPair::generate_for(&rcgen::PKCS_ED25519).unwrap(), KeyPair::generate_for(&rcgen::PKCS_ED25519).unwrap());
    let keys = set(&[jwk(&one, &json!({ "kid": "1" })), jwk(&two, &json!({ "kid": "2" }))]);
    let sign = |pair: &KeyPair, kid: Option<&str>| {
        let header = kid.map(|kid| ("kid".to_owned(), kid.into())).into_iter().collect();
        Signer::pem(pair.serialize_pem().as_bytes(), None).unwrap().sign(&json!({}), header).unwrap()
    };
    let check = |text: &str| verify(&Token::parse(text).unwrap(), &keys, &[]);
    assert_eq!(check(&sign(&two, Some("2"))), Ok(()));
    assert_eq!(check(&sign(&two, None)), Ok(()), "without an id each key is tried");
    assert_eq!(check(&sign(&two, Some("1"))), Err(Fault::Signature));
    assert_eq!(check(&sign(&two, Some("3"))), Err(Fault::UnknownKey(Some("3".into()))));
}
