//! What the claims of a verified token must say.

use std::time::Duration;

use jsonwebtoken::Algorithm;
use serde_json::Map;
use serde_json::Value;

use super::Fault;
use super::Header;

/// What a token must say to be taken.
#[derive(Clone, Debug, Default)]
pub struct Rules {
    /// Whose tokens are taken; empty: anybody's whose key verifies.
    pub issuers: Vec<String>,
    /// For whom they must be.
    pub audience: Audience,
    /// How far clocks may differ, in seconds: for `exp`, `nbf` and `iat`.
    pub leeway: f64,
    /// Further claims.
    pub require: Vec<Require>,
    /// The header's `typ`, where it matters (`at+jwt`, RFC 9068).
    pub typ: Option<String>,
    /// Algorithms that may be used at all; empty: what the key takes.
    pub algorithms: Vec<Algorithm>,
}

/// For whom a token must be.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Audience {
    /// For nobody in particular: RFC 7519 §4.1.3 refuses a token with `aud` where the reader is not among them.
    #[default]
    Unnamed,
    /// For one of these.
    Of(Vec<String>),
    /// Whoever it is for.
    Any,
}

/// A claim that must be there, and what it must be.
#[derive(Clone, Debug, PartialEq)]
pub struct Require {
    /// Its name.
    pub claim: String,
    /// One of these; empty: anything but null. Of a claim that is a list, one member must be.
    pub values: Vec<Value>,
}

impl Rules {
    /// Whether a token that says this is taken at `now`; until when, in seconds since 1970.
    pub fn check(&self, header: &Header, claims: &Map<String, Value>, now: Duration) -> Result<f64, Fault> {
        self.kind(header)?;
        let now = now.as_secs_f64();
        let exp = date(claims, "exp")?.ok_or_else(|| claim("the token has no `exp`"))?;
        let until = exp + self.leeway;
        if now >= until {
            return Err(Fault::Expired);
        }
        for name in ["nbf", "iat"] {
            if date(claims, name)?.is_some_and(|date| now + self.leeway < date) {
                return Err(Fault::Early(name));
            }
        }
        for name in ["iss", "sub", "jti"] {
            if claims.get(name).is_some_and(|value| !value.is_string()) {
                return Err(claim(format!("`{name}` is no text")));
            }
        }
        self.issuer(claims)?;
        self.audience(claims)?;
        for require in &self.require {
            require.check(claims)?;
        }
        Ok(until)
    }

    fn kind(&self, header: &Header) -> Result<(), Fault> {
        let plain = |typ: &str| {
            let typ = typ.to_ascii_lowercase();
            typ.strip_prefix("application/").map(str::to_owned).unwrap_or(typ)
        };
        let typ = header.typ.as_deref().map(plain);
        match (&self.typ, typ.as_deref()) {
            (Some(wanted), Some(typ)) if plain(wanted) == typ => Ok(()),
            (Some(wanted), _) => Err(claim(format!("`typ` is not {wanted}"))),
            // RFC 8725 §3.11: what is made for another purpose says so, and is not taken for this one.
            (None, Some("dpop+jwt" | "logout+jwt" | "secevent+jwt")) => Err(claim("`typ` says it is no access token")),
            (None, _) => Ok(()),
        }
    }

    fn issuer(&self, claims: &Map<String, Value>) -> Result<(), Fault> {
        if self.issuers.is_empty() {
            return Ok(());
        }
        match claims.get("iss").and_then(Value::as_str) {
            Some(issuer) if self.issuers.iter().any(|known| known == issuer) => Ok(()),
            Some(_) => Err(claim("`iss` is not an issuer whose tokens are taken")),
            None => Err(claim("the token has no `iss`")),
        }
    }

    fn audience(&self, claims: &Map<String, Value>) -> Result<(), Fault> {
        let named: Vec<&str> = match claims.get("aud") {
            None => Vec::new(),
            Some(Value::String(one)) => vec![one],
            Some(Value::Array(list)) => match list.iter().map(Value::as_str).collect() {
                Some(names) => names,
                None => return Err(claim("`aud` is neither text nor a list of texts")),
            },
            Some(_) => return Err(claim("`aud` is neither text nor a list of texts")),
        };
        match &self.audience {
            Audience::Any => Ok(()),
            Audience::Unnamed if !claims.contains_key("aud") => Ok(()),
            Audience::Unnamed => Err(claim("the token is for somebody (`aud`); `audience` says who we are")),
            Audience::Of(ours) if named.iter().any(|name| ours.iter().any(|our| our == name)) => Ok(()),
            Audience::Of(_) => Err(claim("`aud` does not name us")),
        }
    }
}

impl Require {
    /// Whether `claims` have it.
    pub fn check(&self, claims: &Map<String, Value>) -> Result<(), Fault> {
        let absent = || claim(format!("the token has no `{}`", self.claim));
        let value = claims.get(&self.claim).filter(|value| !value.is_null()).ok_or_else(absent)?;
        let allowed = |value: &Value| self.values.iter().any(|wanted| same(wanted, value));
        let fits = self.values.is_empty()
            || match value {
                Value::Array(list) => list.iter().any(allowed),
                value => allowed(value),
            };
        if fits { Ok(()) } else { Err(claim(format!("`{}` is not what it must be", self.claim))) }
    }
}

/// Numbers by what they are, not by how they are written.
fn same(one: &Value, other: &Value) -> bool {
    one == other || matches!((one.as_f64(), other.as_f64()), (Some(one), Some(other)) if one == other)
}

/// A NumericDate (RFC 7519 §2): seconds since 1970, with a fraction perhaps.
fn date(claims: &Map<String, Value>, name: &'static str) -> Result<Option<f64>, Fault> {
    let Some(value) = claims.get(name) else { return Ok(None) };
    let seconds = value.as_number().and_then(serde_json::Number::as_f64);
    match seconds {
        Some(seconds) if (0.0..=LATEST).contains(&seconds) => Ok(Some(seconds)),
        _ => Err(claim(format!("`{name}` is no date"))),
    }
}

fn claim(what: impl Into<String>) -> Fault {
    Fault::Claim(what.into())
}

/// Beyond this a double does not count seconds any more.
const LATEST: f64 = 9_007_199_254_740_992.0;
