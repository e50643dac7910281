//! Cross-origin requests (Fetch standard): what a browser is told about who may send a request and read its answer.

mod origin;

use serde::Deserialize;
use serde::Serialize;

use crate::http::Headers;
use crate::http::Method;
use crate::http::headers::Known;
use crate::http::headers::is_name;
use origin::Origins;
pub use origin::Rule;

/// Who may do what.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Whose scripts.
    pub origins: Vec<Rule>,
    /// Methods a preflight allows; none: the one it asks for, since a route takes it.
    pub methods: Vec<String>,
    /// Fields a preflight allows; `None`: those it asks for.
    pub headers: Option<Vec<String>>,
    /// Fields of the answer that a script may read beyond the safelisted ones.
    pub expose: Vec<String>,
    /// Whether cookies and credentials may come along.
    pub credentials: bool,
    /// Seconds a browser may remember a preflight.
    pub max_age: u64,
    /// Whether a public page may reach this gateway in a private network.
    pub private_network: bool,
}

/// A policy that cannot be, in words for its author.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Fault(pub String);

/// What a preflight asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asked {
    /// The method of the request that would follow.
    pub method: Method,
    /// Its fields, when they are names.
    headers: Option<String>,
    /// Whether it would cross into a private network.
    private: bool,
}

impl Asked {
    /// What an `OPTIONS` request asks for; `None` when it is no preflight but an ordinary request.
    pub fn of(headers: &Headers) -> Option<Self> {
        headers.known(Known::Origin).next()?;
        let method = headers.get("access-control-request-method")?;
        if method.len() > LONGEST_METHOD || !is_name(method) {
            return None;
        }
        let asked = headers.joined("access-control-request-headers").filter(|names| are_names(names));
        Some(Self {
            method: Method::of(std::str::from_utf8(method).ok()?),
            headers: asked.and_then(|names| String::from_utf8(names.into_owned()).ok()),
            private: headers.get("access-control-request-private-network") == Some(b"true"),
        })
    }
}

/// A list of field names, none of them empty, of a length worth repeating.
fn are_names(list: &[u8]) -> bool {
    list.len() <= LONGEST_LIST && list.split(|&byte| byte == b',').all(|name| is_name(name.trim_ascii()))
}

const LONGEST_METHOD: usize = 64;
const LONGEST_LIST: usize = 4096;

/// A policy, ready for use.
#[derive(Debug)]
pub struct Cors {
    origins: Origins,
    credentials: bool,
    /// `Access-Control-Allow-Methods`; empty: the method asked for.
    methods: String,
    /// `Access-Control-Allow-Headers`; `None`: the fields asked for.
    headers: Option<String>,
    /// `Access-Control-Expose-Headers`.
    expose: String,
    max_age: String,
    private_network: bool,
    /// `Vary` of preflights.
    vary: String,
}

impl Cors {
    /// Checks and prepares a policy.
    pub fn new(config: &Config) -> Result<Self, Fault> {
        if config.origins.is_empty() {
            return Err(Fault("no origin may do anything: write `origins = { \"https://app.example.com\" }`".into()));
        }
        let every = |list: &[String]| list.iter().any(|name| name == "*");
        let wide = if config.origins.contains(&Rule::Any) {
            Some("origins")
        } else if every(&config.methods) {
            Some("methods")
        } else if config.headers.as_deref().is_some_and(every) {
            Some("headers")
        } else if every(&config.expose) {
            Some("expose")
        } else {
            None
        };
        if let Some(wide) = wide.filter(|_| config.credentials) {
            return Err(Fault(format!("`{wide}` cannot be \"*\" with `credentials`: browsers refuse it; list them")));
        }
        let named = config.headers.iter().flatten().chain(&config.expose).chain(&config.methods);
        if let Some(bad) = named.into_iter().find(|name| !is_name(name.as_bytes())) {
            return Err(Fault(format!("`{bad}` is no name of a method or field")));
        }
        let capitals = |name: &&String| {
            let known = !matches!(Method::of(&name.to_ascii_uppercase()), Method::Other(_));
            known && name.bytes().any(|byte| byte.is_ascii_lowercase())
        };
        if let Some(small) = config.methods.iter().find(capitals) {
            return Err(Fault(format!(
                "`{small}`: methods are written in capitals, \"{}\"",
                small.to_ascii_uppercase()
            )));
        }
        let origins = Origins::new(&config.origins)?;
        let mut vary = Vec::new();
        if !origins.is_any() {
            vary.push("Origin");
        }
        if config.methods.is_empty() {
            vary.push("Access-Control-Request-Method");
        }
        if config.headers.is_none() {
            vary.push("Access-Control-Request-Headers");
        }
        if config.private_network {
            vary.push("Access-Control-Request-Private-Network");
        }
        Ok(Self {
            origins,
            credentials: config.credentials,
            methods: config.methods.join(", "),
            headers: config.headers.as_ref().map(|names| names.join(", ")),
            expose: config.expose.join(", "),
            max_age: config.max_age.to_string(),
            private_network: config.private_network,
            vary: vary.join(", "),
        })
    }

    /// Puts onto an answer what a script of `origin` is told, in place of what the service says (S-61, S-62).
    pub fn decorate(&self, origin: Option<&[u8]>, headers: &mut Headers) {
        self.admit(origin, headers);
        if !self.expose.is_empty() && self.allowed(origin).is_some() {
            headers.add("Access-Control-Expose-Headers", &self.expose);
        }
    }

    /// Answers a preflight on a bare 204: what was asked for, as far as it is allowed.
    pub fn preflight(&self, origin: Option<&[u8]>, asked: &Asked, headers: &mut Headers) {
        headers.retain(|known, name, _| known != Known::Other || !is_ours(name));
        if !self.vary.is_empty() {
            headers.set("Vary", &self.vary);
        }
        if !self.grant(origin, headers) {
            return;
        }
        let methods = if self.methods.is_empty() { asked.method.as_str() } else { &self.methods };
        headers.add("Access-Control-Allow-Methods", methods);
        if let Some(names) = self.headers.as_ref().or(asked.headers.as_ref()).filter(|names| !names.is_empty()) {
            headers.add("Access-Control-Allow-Headers", names);
        }
        headers.add("Access-Control-Max-Age", &self.max_age);
        if self.private_network && asked.private {
            headers.add("Access-Control-Allow-Private-Network", "true");
        }
    }

    fn admit(&self, origin: Option<&[u8]>, headers: &mut Headers) {
        headers.retain(|known, name, _| known != Known::Other || !is_ours(name));
        if !self.origins.is_any() && !varies(headers) {
            headers.add("Vary", "Origin");
        }
        self.grant(origin, headers);
    }

    /// Says that `origin` is allowed, and whether it is.
    fn grant(&self, origin: Option<&[u8]>, headers: &mut Headers) -> bool {
        let Some(allowed) = self.allowed(origin) else { return false };
        headers.add("Access-Control-Allow-Origin", allowed);
        if self.credentials {
            headers.add("Access-Control-Allow-Credentials", "true");
        }
        true
    }

    fn allowed<'a>(&self, origin: Option<&'a [u8]>) -> Option<&'a [u8]> {
        if self.origins.is_any() {
            return Some(b"*");
        }
        origin.filter(|origin| self.origins.has(origin))
    }
}

/// A field that speaks of cross-origin requests.
fn is_ours(name: &[u8]) -> bool {
    const START: &[u8] = b"access-control-";
    name.get(..START.len()).is_some_and(|start| start.eq_ignore_ascii_case(START))
}

/// Whether `Vary` names the origin already.
fn varies(headers: &Headers) -> bool {
    headers.all("vary").any(|value| {
        value.split(|&byte| byte == b',').any(|name| {
            let name = name.trim_ascii();
            name == b"*" || name.eq_ignore_ascii_case(b"origin")
        })
    })
}

#[cfg(test)]
mod tests;
