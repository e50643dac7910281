//! Tokens bound to a key: whoever steals one has nothing.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use moongate::primitive::jwt::Signer;
use rcgen::KeyPair;
use serde_json::Value;
use serde_json::json;

use crate::support::gateway;
use crate::support::gateway::Gateway;
use crate::support::idp::now;

const SECRET: &str = "0123456789abcdef0123456789abcdef";

struct Caller {
    pair: KeyPair,
    jwk: Value,
    token: String,
}

fn sha256(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(moongate::primitive::digest::Hash::Sha256.digest(bytes))
}

fn caller(confirm: impl Fn(&str) -> Value) -> Caller {
    let pair = KeyPair::generate_for(&rcgen::PKCS_ED25519).unwrap();
    let x = URL_SAFE_NO_PAD.encode(pair.public_key_raw());
    let thumbprint = sha256(format!(r#"{{"crv":"Ed25519","kty":"OKP","x":"{x}"}}"#).as_bytes());
    let claims = json!({ "sub": "u1", "exp": now() + 600, "cnf": confirm(&thumbprint) });
    let signer = Signer::secret(SECRET.as_bytes(), None).unwrap();
    let token = signer.sign(&claims, serde_json::Map::new()).unwrap();
    Caller { pair, jwk: json!({ "kty": "OKP", "crv": "Ed25519", "x": x }), token }
}

impl Caller {
    fn proof(&self, id: &str, more: &Value) -> String {
        let mut claims = json!({ "jti": id, "htm": "GET", "htu": "http://test.local/", "iat": now(), "ath": sha256(self.token.as_bytes()) });
        for (name, value) in more.as_object().unwrap() {
            claims[name] = value.clone();
        }
        let header = json!({ "typ": "dpop+jwt", "jwk": self.jwk }).as_object().unwrap().clone();
        Signer::pem(self.pair.serialize_pem().as_bytes(), None).unwrap().sign(&claims, header).unwrap()
    }

    fn call(&self, gateway: &Gateway, scheme: &str, proofs: &[&str]) -> crate::support::answer::Answer {
        let field = format!("{scheme} {}", self.token);
        let mut headers = vec![("authorization", field.as_str())];
        headers.extend(proofs.iter().map(|proof| ("dpop", *proof)));
        gateway.call("GET", "/?x=1", &headers, "")
    }
}

fn gateway(options: &str) -> Gateway {
    let text = format!(
        r#"route "GET /" {{ jwt {{ secret = secret "KEY", {options} }}, function(req) return {{ text = req.user.sub }} end }}"#
    );
    gateway::script(&text).env("KEY", SECRET).start()
}

#[test]
fn a_bound_token_needs_its_proof_wherever_it_comes() {
    let gateway = gateway("");
    let caller = caller(|thumbprint| json!({ "jkt": thumbprint }));
    let error = |answer: &crate::support::answer::Answer, error: &str| {
        answer.refused(401, "jwt.invalid");
        let challenge = answer.header("www-authenticate").unwrap();
        assert!(challenge.contains(&format!("error=\"{error}\"")), "{challenge}");
    };
    let proof = caller.proof("a", &json!({}));
    assert_eq!(caller.call(&gateway, "DPoP", &[&proof]).with(200).text(), "u1");
    error(&caller.call(&gateway, "DPoP", &[&proof]), "invalid_dpop_proof");
    error(&caller.call(&gateway, "Bearer", &[&caller.proof("b", &json!({}))]), "invalid_token");
    error(&caller.call(&gateway, "Bearer", &[]), "invalid_token");
    error(&caller.call(&gateway, "DPoP", &[]), "invalid_dpop_proof");
    let (one, two) = (caller.proof("c", &json!({})), caller.proof("d", &json!({})));
    error(&caller.call(&gateway, "DPoP", &[&one, &two]), "invalid_dpop_proof");
    error(&caller.call(&gateway, "DPoP", &[&caller.proof("e", &json!({ "htm": "POST" }))]), "invalid_dpop_proof");
    error(
        &caller.call(&gateway, "DPoP", &[&caller.proof("f", &json!({ "htu": "http://evil/" }))]),
        "invalid_dpop_proof",
    );
    caller.call(&gateway, "DPoP", &[&caller.proof("g", &json!({}))]).with(200);
}

#[test]
fn a_plain_token_is_no_bound_one_and_a_nonce_can_be_asked_for() {
    let gateway = gateway(r#"dpop = "nonce""#);
    let plain = caller(|_| Value::Null);
    plain.call(&gateway, "Bearer", &[]).refused(401, "jwt.invalid");
    let caller = caller(|thumbprint| json!({ "jkt": thumbprint }));
    let answer = caller.call(&gateway, "DPoP", &[&caller.proof("n1", &json!({}))]);
    answer.refused(401, "jwt.invalid");
    assert!(answer.header("www-authenticate").unwrap().starts_with("DPoP "));
    assert!(answer.header("www-authenticate").unwrap().contains("use_dpop_nonce"));
    let nonce = answer.header("dpop-nonce").unwrap();
    caller.call(&gateway, "DPoP", &[&caller.proof("n2", &json!({ "nonce": nonce }))]).with(200);
}

#[test]
fn a_token_bound_to_a_certificate_is_nothing_without_one() {
    let gateway = gateway("");
    let caller = caller(|_| json!({ "x5t#S256": sha256(b"certificate") }));
    caller.call(&gateway, "Bearer", &[]).refused(401, "jwt.invalid");
}
