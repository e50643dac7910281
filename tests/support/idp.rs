//! An identity provider that rotates its keys, goes down, answers slowly, lies and sends too much.

use std::sync::Arc;
use std::sync::Mutex;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use moongate::primitive::jwt::Signer;
use rcgen::KeyPair;
use serde_json::Value;
use serde_json::json;

use crate::support::upstream;
use crate::support::upstream::Upstream;

/// How it behaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mood {
    Well,
    /// 503 to everything.
    Down,
    /// Connections close without an answer.
    Dead,
    /// No answer before [`Idp::mood`] says otherwise.
    Slow,
    /// Its document is another issuer's.
    Lies,
    /// Its key set has no end in sight.
    Huge,
    /// Its key set is no JSON.
    Html,
}

/// A provider that serves until it is dropped.
pub(crate) struct Idp {
    server: Upstream,
    state: Arc<Mutex<State>>,
}

struct State {
    mood: Mood,
    keys: Vec<(String, KeyPair)>,
    address: String,
    tokens: usize,
}

/// A provider with one key, `k1`.
pub(crate) fn start() -> Idp {
    let state = State { mood: Mood::Well, keys: vec![("k1".into(), key())], address: String::new(), tokens: 0 };
    let state = Arc::new(Mutex::new(state));
    let shared = Arc::clone(&state);
    let server = upstream::serve(move |conn| {
        while let Some(seen) = conn.request() {
            let mood = || shared.lock().unwrap().mood;
            while mood() == Mood::Slow {
                std::thread::sleep(std::time::Duration::from_millis(2));
            }
            if mood() == Mood::Dead {
                return conn.reset();
            }
            let answer = shared.lock().unwrap().answer(&seen.target, &String::from_utf8_lossy(&seen.body));
            conn.send(answer);
        }
    });
    state.lock().unwrap().address = server.url();
    Idp { server, state }
}

impl State {
    fn answer(&mut self, target: &str, body: &str) -> Vec<u8> {
        let json = |status, value: &Value| {
            upstream::answer(status, &[("content-type", "application/json")], value.to_string())
        };
        if self.mood == Mood::Down {
            return upstream::answer(503, &[], "down");
        }
        match target {
            "/.well-known/openid-configuration" => {
                let issuer = if self.mood == Mood::Lies { "https://elsewhere.example" } else { &self.address };
                json(200, &json!({ "issuer": issuer, "jwks_uri": format!("{}/jwks", self.address) }))
            }
            "/jwks" => match self.mood {
                Mood::Huge => upstream::answer(200, &[], " ".repeat(1 << 20)),
                Mood::Html => upstream::answer(200, &[], "<html>"),
                _ => {
                    let keys: Vec<_> = self.keys.iter().map(|(kid, pair)| jwk(kid, pair)).collect();
                    json(200, &json!({ "keys": keys }))
                }
            },
            "/introspect" => {
                let fields = |name: &str| body.split('&').find_map(|pair| pair.strip_prefix(name)).unwrap_or_default();
                let token = fields("token=");
                let active = token.starts_with("good");
                json(
                    200,
                    &if active {
                        json!({ "active": true, "sub": token, "scope": "read write" })
                    } else {
                        json!({ "active": false })
                    },
                )
            }
            "/token" => {
                self.tokens += 1;
                json(
                    200,
                    &json!({ "access_token": format!("t{}", self.tokens), "token_type": "Bearer", "expires_in": 100 }),
                )
            }
            _ => upstream::answer(404, &[], ""),
        }
    }
}

impl Idp {
    pub(crate) fn url(&self) -> String {
        self.server.url()
    }

    pub(crate) fn server(&self) -> &Upstream {
        &self.server
    }

    pub(crate) fn mood(&self, mood: Mood) {
        self.state.lock().unwrap().mood = mood;
    }

    /// One more key.
    pub(crate) fn add(&self, kid: &str) {
        self.state.lock().unwrap().keys.push((kid.to_owned(), key()));
    }

    /// This key is none any more.
    pub(crate) fn drop_key(&self, kid: &str) {
        self.state.lock().unwrap().keys.retain(|(known, _)| known != kid);
    }

    /// A token by the key of this name, for an hour from now, with these claims.
    pub(crate) fn token(&self, kid: &str, claims: &Value) -> String {
        let state = self.state.lock().unwrap();
        let (_, pair) = state.keys.iter().find(|(known, _)| known == kid).expect("a key of that name");
        sign(pair, kid, claims)
    }

    /// How often the key set was fetched.
    pub(crate) fn fetches(&self) -> usize {
        self.server.seen().iter().filter(|seen| seen.target == "/jwks").count()
    }
}

/// A token by a key that no provider has.
pub(crate) fn forged(kid: &str, claims: &Value) -> String {
    sign(&key(), kid, claims)
}

/// Seconds since 1970.
pub(crate) fn now() -> u64 {
    std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs()
}

fn key() -> KeyPair {
    KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).unwrap()
}

fn sign(pair: &KeyPair, kid: &str, claims: &Value) -> String {
    let mut all = json!({ "exp": now() + 3600 });
    for (name, value) in claims.as_object().unwrap() {
        all[name] = value.clone();
    }
    let header = [("kid".to_owned(), kid.into())].into_iter().collect();
    Signer::pem(pair.serialize_pem().as_bytes(), None).unwrap().sign(&all, header).unwrap()
}

fn jwk(kid: &str, pair: &KeyPair) -> Value {
    let point = pair.public_key_raw();
    let coded = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
    json!({ "kty": "EC", "crv": "P-256", "kid": kid, "use": "sig", "x": coded(&point[1..33]), "y": coded(&point[33..]) })
}
