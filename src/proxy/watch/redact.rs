//! What somebody who watches is not shown: credentials, by the name of what carries them and by their value.

use std::sync::Arc;

use serde_json::Value;

use crate::primitive::codec::hex_encode;
use crate::primitive::digest::Hash;
use crate::primitive::query::Query;

/// Hides credentials of one request.
pub struct Redactor<'a> {
    /// Makes marks that say whether two hidden values are the same, and nothing else about them.
    pub key: &'a [u8],
    /// The script's secrets, by name.
    pub secrets: &'a [(String, Arc<[u8]>)],
    /// Credentials that steps found in this request.
    pub found: Vec<Vec<u8>>,
}

impl Redactor<'_> {
    /// The value of a header field, a member or a parameter.
    pub fn named(&self, name: &str, value: &str) -> String {
        if is_secret(name) { self.mark(value) } else { self.text(value) }
    }

    /// A text in which no known credential stands.
    pub fn text(&self, text: &str) -> String {
        let mut shown = text.to_owned();
        for (name, secret) in self.secrets {
            shown = without(&shown, secret, || format!("<secret {name}>"));
        }
        for found in &self.found {
            shown = without(&shown, found, || self.mark(&String::from_utf8_lossy(found)));
        }
        shown
    }

    /// A query, pair by pair.
    pub fn query(&self, raw: &str) -> String {
        let mut query = Query::parse(raw);
        let secret = query.iter().filter(|(name, _)| is_secret(name) || PARAMETERS.contains(name));
        let mark = |value: &str| self.mark(value).replace(' ', "-").replace(['<', '>'], "");
        let secret: Vec<_> = secret.map(|(name, value)| (name.to_owned(), mark(value))).collect();
        for (name, mark) in secret {
            query.set(&name, &mark);
        }
        self.text(&query.encode().unwrap_or_default())
    }

    /// A path with or without query.
    pub fn target(&self, target: &str) -> String {
        match target.split_once('?') {
            Some((path, query)) => format!("{}?{}", self.text(path), self.query(query)),
            None => self.text(target),
        }
    }

    /// JSON, member by member.
    pub fn json(&self, value: &mut Value) {
        match value {
            Value::String(text) => *text = self.text(text),
            Value::Array(list) => list.iter_mut().for_each(|value| self.json(value)),
            Value::Object(members) => {
                for (name, value) in members {
                    match value {
                        Value::String(text) if is_secret(name) => *text = self.mark(text),
                        Value::Number(number) if is_secret(name) => *value = self.mark(&number.to_string()).into(),
                        value => self.json(value),
                    }
                }
            }
            _ => {}
        }
    }

    /// A whole body of this media type; `None` where it is none that can be looked through.
    pub fn body(&self, media: &str, bytes: &[u8]) -> Option<String> {
        let text = std::str::from_utf8(bytes).ok()?;
        if media.contains("json")
            && let Ok(mut value) = serde_json::from_str::<Value>(text)
        {
            let before = value.clone();
            self.json(&mut value);
            // What has nothing to hide stays as it was written.
            return Some(if value == before { text.to_owned() } else { value.to_string() });
        }
        if media.starts_with("application/x-www-form-urlencoded") {
            return Some(self.query(text));
        }
        Some(self.text(text))
    }

    /// What stands for a value that is not shown.
    pub fn mark(&self, value: &str) -> String {
        if value.is_empty() {
            return String::new();
        }
        let digest = Hash::Sha256.hmac(self.key, value.as_bytes()).unwrap_or_default();
        format!("<redacted {}>", hex_encode(digest.get(..2).unwrap_or_default()))
    }
}

/// `text` with `mark` wherever `secret` stood. What is shorter than [`SHORT`] stands everywhere by chance.
fn without(text: &str, secret: &[u8], mark: impl Fn() -> String) -> String {
    match std::str::from_utf8(secret) {
        Ok(secret) if secret.len() >= SHORT && text.contains(secret) => text.replace(secret, &mark()),
        _ => text.to_owned(),
    }
}

/// Whether what is called `name` carries a credential.
pub fn is_secret(name: &str) -> bool {
    let name = name.to_ascii_lowercase().replace('_', "-");
    WHOLE.contains(&name.as_str())
        || (!CHALLENGES.contains(&name.as_str()) && PARTS.iter().any(|part| name.contains(part)))
}

/// What names of credentials have in them.
const PARTS: &[&str] = &[
    "authoriz",
    "authentic",
    "-auth",
    "cookie",
    "token",
    "secret",
    "passw",
    "pwd",
    "api-key",
    "apikey",
    "access-key",
    "private-key",
    "session",
    "signature",
    "credential",
    "jwt",
    "x-moongate-trace",
];
/// Names of credentials that are parts of other words.
const WHOLE: &[&str] = &["auth", "otp", "pin"];
/// They ask for a credential, and are none.
const CHALLENGES: &[&str] = &["www-authenticate", "proxy-authenticate"];
/// Parameters of a query that are credentials.
const PARAMETERS: &[&str] = &["key", "sig", "code", "assertion"];
/// A shorter value is not looked for in texts.
const SHORT: usize = 4;

#[cfg(test)]
mod tests {
    use super::*;

    fn redactor(secrets: &[(String, Arc<[u8]>)]) -> Redactor<'_> {
        Redactor { key: b"k", secrets, found: vec![b"k-123456".to_vec()] }
    }

    #[test]
    fn credentials_are_hidden_by_name_and_by_value() {
        let secrets = [("SHOP".to_owned(), Arc::from(&b"hunter2"[..]))];
        let redactor = redactor(&secrets);
        for name in ["Authorization", "cookie", "Set-Cookie", "X-API-Key", "x-auth-token", "session_id", "Password"] {
            let shown = redactor.named(name, "value");
            assert!(shown.starts_with("<redacted ") && !shown.contains("value"), "{name}: {shown}");
        }
        assert_eq!(redactor.named("www-authenticate", "Bearer"), "Bearer");
        assert_eq!(redactor.named("x-shop", "a hunter2 b"), "a <secret SHOP> b");
        assert!(redactor.named("x-plan", "of k-123456").starts_with("of <redacted "));
        assert_eq!(redactor.named("accept", "*/*"), "*/*");
        assert_eq!(redactor.mark("a"), redactor.mark("a"), "the same value has the same mark");
        assert_ne!(redactor.mark("a"), redactor.mark("b"));
    }

    #[test]
    fn queries_and_bodies_are_looked_through() {
        let redactor = redactor(&[]);
        let shown = redactor.target("/a?q=1&access_token=xyz&key=abc");
        assert!(
            shown.starts_with("/a?q=1&access_token=") && !shown.contains("xyz") && !shown.contains("abc"),
            "{shown}"
        );
        let shown = redactor.body("application/json", br#"{"a":1, "user":{"password":"pw","otp":7}}"#).unwrap();
        assert!(shown.contains(r#""a":1"#) && !shown.contains("pw\"") && !shown.contains(":7"), "{shown}");
        assert_eq!(redactor.body("application/json", b"{\"a\": 1}").unwrap(), "{\"a\": 1}", "as it was written");
        let shown = redactor.body("application/x-www-form-urlencoded", b"a=1&password=pw").unwrap();
        assert!(shown.starts_with("a=1&password=") && !shown.contains("pw="), "{shown}");
        assert_eq!(redactor.body("image/png", b"\xff"), None);
    }
}
