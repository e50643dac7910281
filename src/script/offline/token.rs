//! Tokens that the gateway under test takes: signed with its own secret, or with a key that its key sets are given.

use std::sync::LazyLock;
use std::time::Duration;

use serde_json::Map;
use serde_json::Value;

use crate::primitive::jwt::Key;
use crate::primitive::jwt::Signer;

/// How the tokens of one `jwt` are made.
pub(crate) struct Recipe {
    /// Its shared secret; `None` where a key set or a public key verifies.
    pub(crate) secret: Option<Vec<u8>>,
    /// Whether its keys are fetched: then they are the test's.
    pub(crate) fetched: bool,
    /// `iss`
    pub(crate) issuer: Option<String>,
    /// `aud`
    pub(crate) audience: Option<String>,
}

/// The first recipe that can be followed, with what it asks for where `claims` say nothing else.
pub(super) fn sign(recipes: &[Recipe], claims: Map<String, Value>, now: Duration) -> Result<String, String> {
    if recipes.is_empty() {
        return Err("this gateway has no `jwt`".to_owned());
    }
    let known = |recipe: &&Recipe| recipe.secret.is_some() || recipe.fetched;
    let Some(recipe) = recipes.iter().find(known) else {
        return Err("its tokens are verified with a public key, and nobody here has the private one; \
                    sign with jwt.sign(claims, { key = … }), or send the request as { user = … }"
            .to_owned());
    };
    let mut all = Map::new();
    all.insert("sub".to_owned(), "test".into());
    all.insert("iat".to_owned(), now.as_secs().into());
    all.insert("exp".to_owned(), (now.as_secs() + 3600).into());
    all.extend(recipe.issuer.clone().map(|issuer| ("iss".to_owned(), issuer.into())));
    all.extend(recipe.audience.clone().map(|audience| ("aud".to_owned(), audience.into())));
    all.extend(claims);
    let signer = match &recipe.secret {
        Some(secret) => Signer::secret(secret, None),
        None => Signer::pem(PRIVATE.as_bytes(), None),
    };
    signer.and_then(|signer| signer.sign(&Value::Object(all), Map::new())).map_err(|fault| fault.to_string())
}

/// What key sets hold while nothing is fetched.
pub(crate) fn public() -> Vec<Key> {
    static KEY: LazyLock<Option<Key>> = LazyLock::new(|| Key::pem(PUBLIC.as_bytes()).ok());
    KEY.iter().cloned().collect()
}

// Known to everybody: only a gateway without sockets takes it.
const PRIVATE: &str = "-----BEGIN PRIVATE KEY-----
MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgKA3QcAbg/bLAHYWj
fM73GhlBtkXdgpzedXgRMSJhKmyhRANCAASs/skHEl7SbRla9a6lz3dVqCeNalRv
jyUq2KCnrltNq/mhJLCEB1UoSZFCU1GJnTjHjAh1Ee1Sj+KHSZr2nxjL
-----END PRIVATE KEY-----
";
const PUBLIC: &str = "-----BEGIN PUBLIC KEY-----
MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAErP7JBxJe0m0ZWvWupc93VagnjWpU
b48lKtigp65bTav5oSSwhAdVKEmRQlNRiZ04x4wIdRHtUo/ih0ma9p8Yyw==
-----END PUBLIC KEY-----
";
