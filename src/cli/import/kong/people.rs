//! Consumers of Kong and what they prove themselves by.

use serde_json::Value;

use super::Draft;
use super::items;
use super::lua;
use super::refers;
use super::text;
use crate::primitive::codec;
use crate::primitive::digest::Hash;

/// Entries of tables, by what proves who calls.
#[derive(Default)]
pub(super) struct People {
    keys: Vec<String>,
    passwords: Vec<String>,
    secrets: Vec<String>,
    public: Vec<String>,
    /// Secrets that are shorter than RFC 7518 asks for.
    short: bool,
    /// Somebody is known by nothing, which anybody could show.
    blank: bool,
}

impl People {
    pub(super) fn read(config: &Value) -> Self {
        let mut people = Self::default();
        for consumer in items(config, "consumers") {
            let user = user(config, consumer);
            for key in credentials(config, consumer, "keyauth_credentials") {
                let Some(key) = people.proof(key, "key") else { continue };
                let hash = codec::hex_encode(Hash::Sha256.digest(key.as_bytes()));
                people.keys.push(lua::entry(&format!("sha256:{hash}"), &user));
            }
            for one in credentials(config, consumer, "basicauth_credentials") {
                let Some(password) = people.proof(one, "password") else { continue };
                let entry = format!("{{ password = {}, user = {user} }}", lua::text(password));
                people.passwords.push(lua::entry(text(one, "username"), entry));
            }
            for one in credentials(config, consumer, "jwt_secrets") {
                people.token(one);
            }
        }
        people
    }

    fn token(&mut self, one: &Value) {
        let issuer = text(one, "key");
        if text(one, "algorithm").starts_with("HS") || one["rsa_public_key"].is_null() {
            let Some(secret) = self.proof(one, "secret") else { return };
            self.short |= secret.len() < 32;
            self.secrets.push(lua::entry(issuer, lua::text(secret)));
        } else if let Some(key) = self.proof(one, "rsa_public_key") {
            self.public.push(lua::entry(issuer, lua::text(key)));
        }
    }

    /// What somebody is known by; an empty one would be known of everybody.
    fn proof<'a>(&mut self, one: &'a Value, name: &str) -> Option<&'a str> {
        let proof = Some(text(one, name)).filter(|proof| !proof.is_empty());
        self.blank |= proof.is_none();
        proof
    }

    /// The tables that plugins of these kinds look into.
    pub(super) fn write<'a>(&self, kinds: impl Iterator<Item = &'a str>, draft: &mut Draft) {
        let kinds: Vec<_> = kinds.collect();
        let has = |kind: &str| kinds.contains(&kind);
        if self.blank {
            draft.note("consumers: a credential without key, password or secret is left out; Kong makes one up");
        }
        if has("key-auth") {
            table("keys", &self.keys, draft);
        }
        if has("basic-auth") {
            table("passwords", &self.passwords, draft);
            draft.note("basic-auth: passwords stand here as they do there; better users = { name = \"$2b$…\" }");
        }
        if has("jwt") {
            table("secrets", &self.secrets, draft);
            table("public_keys", &self.public, draft);
            if self.short {
                draft.note("jwt: a secret has fewer than 32 bytes, and tokens signed by it are refused: RFC 7518 asks for as many");
            }
        }
        draft.gap();
    }

    /// What a `jwt` finds its keys by.
    pub(super) fn token_keys(&self, claim: &str, draft: &mut Draft) -> String {
        let find = |table: &str| format!("function(claims) return {table}[claims.{claim}] end");
        if !self.public.is_empty() && !self.secrets.is_empty() {
            draft.note("jwt: some consumers sign with secrets, some with keys; only keys are taken, write an any_of of two jwt");
        }
        if self.public.is_empty() {
            format!("secret = {}", find("secrets"))
        } else {
            format!("key = {}", find("public_keys"))
        }
    }
}

fn table(name: &str, entries: &[String], draft: &mut Draft) {
    if entries.is_empty() {
        return draft.line(format_args!("local {name} = {{}}"));
    }
    draft.line(format_args!("local {name} = {{"));
    entries.iter().for_each(|entry| draft.line(format_args!("  {entry},")));
    draft.line("}");
}

/// Who a consumer is to steps behind.
fn user(config: &Value, consumer: &Value) -> String {
    let name = [text(consumer, "username"), text(consumer, "custom_id")].into_iter().find(|name| !name.is_empty());
    let mut parts = vec![lua::entry("sub", lua::text(name.unwrap_or_default()))];
    let groups: Vec<_> = credentials(config, consumer, "acls").map(|acl| text(acl, "group")).collect();
    if !groups.is_empty() {
        parts.push(lua::entry("roles", lua::list(&groups)));
    }
    lua::table(parts)
}

/// Those within the consumer, and those beside that name it.
fn credentials<'a>(config: &'a Value, consumer: &'a Value, kind: &str) -> impl Iterator<Item = &'a Value> {
    let by_name = move |one: &&Value| refers(&one["consumer"], consumer);
    items(consumer, kind).iter().chain(items(config, kind).iter().filter(by_name))
}
