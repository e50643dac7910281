//! The options of `jwt`, its policy and its functions, as what verification needs.

use std::cell::RefCell;

use mlua::Lua;
use mlua::Table;
use mlua::Value;
use serde_json::Map;
use serde_json::Value as Json;

use super::Front;
use super::Step;
use super::bound::Bound;
use super::from::From;
use super::sources::Gives;
use super::sources::Remote;
use super::sources::Source;
use super::sources::Sources;
use crate::http::headers::is_name;
use crate::primitive::codec;
use crate::primitive::digest::Hash;
use crate::primitive::jwt;
use crate::primitive::jwt::Audience;
use crate::primitive::jwt::Cache;
use crate::primitive::jwt::Key;
use crate::primitive::jwt::Require;
use crate::primitive::jwt::Rules;
use crate::primitive::jwt::Signer;
use crate::primitive::jwt::Token;
use crate::proxy::Code;
use crate::script::bind::core::template;
use crate::script::bind::declared::Declared;
use crate::script::bind::json;
use crate::script::bind::jwks;
use crate::script::bind::options::Options;
use crate::script::bind::text::Text;
use crate::script::context::Context;
use crate::script::declare::Poison;
use crate::script::declare::read;
use crate::script::live::Source as Address;
use crate::script::offline::Recipe;
use crate::transform::template::Escape;

/// The step that `table`, the checked options of the policy, declares.
pub(super) fn step(lua: &Lua, table: &Table) -> mlua::Result<Step> {
    if let Some(offline) = Context::of(lua).offline() {
        offline.recipe(recipe(lua, table)?);
    }
    let sources = Sources::new(sources(lua, table)?);
    let remembered = if sources.may_remember() { MOST_REMEMBERED } else { 0 };
    Ok(Step {
        front: front(table, (Code::JwtMissing, Code::JwtInvalid))?,
        sources,
        rules: rules(table)?,
        cache: RefCell::new(Cache::new(remembered)),
    })
}

/// How a test makes tokens that this step takes.
fn recipe(lua: &Lua, table: &Table) -> mlua::Result<Recipe> {
    let secret = match table.raw_get::<Value>("secret")? {
        Value::Table(list) => list.raw_get(1)?,
        value => value,
    };
    let secret = match secret {
        Value::Nil | Value::Function(_) => None,
        value => lua.unpack::<Text>(value).ok().map(|text| text.bytes().to_vec()),
    };
    let sets = [addresses(table, "jwks")?, addresses(table, "discovery")?.into_iter().map(issued).collect()].concat();
    let issuer = names(table, "issuer")?.into_iter().next();
    let audience = match table.raw_get::<Value>("audience")? {
        Value::Boolean(_) | Value::Nil => None,
        _ => names(table, "audience")?.into_iter().next(),
    };
    let issuer = issuer.or_else(|| sets.iter().find_map(|(issuer, _)| issuer.clone()));
    Ok(Recipe { secret, fetched: !sets.is_empty(), issuer, audience })
}

/// An OpenID provider's address is its name.
fn issued((issuer, address): (Option<String>, String)) -> (Option<String>, String) {
    let base = jwks::issuer(&address).to_owned();
    (issuer.or(Some(base)), address)
}

/// The client's side; `codes` are the failures for no token and for a bad one.
pub(in crate::script::bind::core) fn front(table: &Table, codes: (Code, Code)) -> mlua::Result<Front> {
    let from =
        names(table, "from")?.iter().map(|text| From::parse(text).map_err(wrong)).collect::<mlua::Result<_>>()?;
    let mut challenge = format!(" realm=\"{}\"", quoted(table, "realm")?.unwrap_or_default());
    if let Some(metadata) = quoted(table, "resource_metadata")? {
        challenge += &format!(", resource_metadata=\"{metadata}\"");
    }
    let dpop = table.raw_get::<Value>("dpop")?;
    let bound = Bound {
        dpop: !matches!(dpop, Value::Nil | Value::Boolean(false)),
        nonce: matches!(&dpop, Value::String(word) if word == "nonce"),
        certificate: table.raw_get::<Option<bool>>("certificate_bound")?.unwrap_or(false),
    };
    Ok(Front {
        from,
        optional: table.raw_get("optional")?,
        hide: table.raw_get("hide")?,
        challenge,
        bound,
        forward: forward(table)?,
        codes,
    })
}

fn sources(lua: &Lua, table: &Table) -> mlua::Result<Vec<Source>> {
    let mut found = Vec::new();
    for (name, secret) in [("secret", true), ("key", false)] {
        match table.raw_get::<Value>(name)? {
            Value::Nil => {}
            // A file that is not there was told already.
            value if Poison::is(&value) => found.push(Source::fixed(Vec::new())),
            Value::Function(function) => {
                let gives = if secret { Gives::Secret } else { Gives::Key };
                found.push(Source::Asked { gives, function });
            }
            Value::Table(list) => {
                let mut keys = Vec::new();
                for text in list.sequence_values::<Text>() {
                    keys.extend(self::keys(&text?, secret).map_err(|fault| wrong(format!("`{name}`: {fault}")))?);
                }
                found.push(Source::fixed(keys));
            }
            value => {
                let keys = keys(&lua.unpack(value)?, secret);
                found.push(Source::fixed(keys.map_err(|fault| wrong(format!("`{name}`: {fault}")))?));
            }
        }
    }
    for (name, discovery) in [("jwks", false), ("discovery", true)] {
        if let Value::Function(function) = table.raw_get(name)? {
            found.push(Source::Asked { gives: Gives::Address { discovery }, function });
            continue;
        }
        for (issuer, address) in addresses(table, name)? {
            let address = Address { address: safe(name, address)?, discovery };
            Declared::key_set(lua, "jwt", &address)?;
            found.push(Source::Remote(Remote::new(issuer, address)));
        }
    }
    if found.is_empty() {
        return Err(wrong("tokens are verified with `jwks`, `discovery`, `key` or `secret`; write one of them"));
    }
    Ok(found)
}

/// One address, a list of them, or addresses by issuer; none where a function says it while requests run.
fn addresses(table: &Table, name: &str) -> mlua::Result<Vec<(Option<String>, String)>> {
    match table.raw_get::<Value>(name)? {
        Value::Nil | Value::Function(_) => Ok(Vec::new()),
        Value::Table(list) => {
            let mut found = Vec::new();
            for (key, value) in read::sorted(&list) {
                let issuer = key.parse::<usize>().is_err().then_some(key);
                let text = value.as_string().ok_or_else(|| wrong(format!("`{name}` holds addresses")))?;
                found.push((issuer, text.to_string_lossy()));
            }
            Ok(found)
        }
        value => match value.as_string() {
            Some(text) => Ok(vec![(None, text.to_string_lossy())]),
            None => Err(wrong(format!("`{name}` is an address, a list of them or function(claims, header)"))),
        },
    }
}

/// The address that a function says.
pub(super) fn address(value: &Value, discovery: bool) -> mlua::Result<Address> {
    let name = if discovery { "discovery" } else { "jwks" };
    let text = value.as_string().ok_or_else(|| wrong(format!("the function of `{name}` returns an address or nil")))?;
    Ok(Address { address: safe(name, text.to_string_lossy())?, discovery })
}

/// Keys, verdicts and credentials come over TLS, from this machine, or from an upstream that the file declares.
pub(in crate::script::bind::core) fn safe(name: &str, address: String) -> mlua::Result<String> {
    let plain = address.strip_prefix("http://").is_some_and(|rest| {
        let host = rest.split(['/', '?']).next().unwrap_or_default();
        !["127.0.0.1", "localhost", "[::1]"]
            .iter()
            .any(|own| host.strip_prefix(own).is_some_and(|port| port.chars().all(|c| c == ':' || c.is_ascii_digit())))
    });
    let upstream = !address.contains("://") && !address.starts_with('/') && !address.is_empty() && name != "discovery";
    if plain || !(upstream || address.starts_with("https://") || address.starts_with("http://")) {
        return Err(wrong(format!(
            "`{name}` is https://…{}, not \"{address}\"",
            if name != "discovery" { " or an upstream (\"name/path\")" } else { "" }
        )));
    }
    Ok(address)
}

/// The keys that a text is: a secret, PEM, or JSON.
pub(super) fn keys(text: &Text, secret: bool) -> Result<Vec<Key>, String> {
    let bytes = text.bytes();
    let keys = if secret {
        Key::secret(&bytes).map(|key| vec![key])
    } else if bytes.trim_ascii_start().starts_with(b"{") {
        Key::set(&bytes)
    } else {
        Key::pem(&bytes).map(|key| vec![key])
    };
    keys.map_err(|fault| fault.to_string())
}

/// What a key is remembered by, without keeping the key.
pub(super) fn name_of(text: &Text) -> String {
    codec::base64url_encode(Hash::Sha256.digest(&text.bytes()))
}

fn rules(table: &Table) -> mlua::Result<Rules> {
    let audience = match table.raw_get::<Value>("audience")? {
        Value::Boolean(false) => Audience::Any,
        Value::Boolean(true) => return Err(wrong("`audience` is a name, a list of them, or false for any")),
        Value::Nil => Audience::Unnamed,
        _ => Audience::Of(names(table, "audience")?),
    };
    let leeway: f64 = table.raw_get::<Option<f64>>("leeway")?.unwrap_or(USUAL_LEEWAY);
    if !(0.0..=jwt::MOST_LEEWAY).contains(&leeway) {
        return Err(wrong(format!("`leeway` is {} s at most: clocks do not differ by more", jwt::MOST_LEEWAY)));
    }
    let mut algorithms = Vec::new();
    for name in names(table, "algorithms")? {
        let known = jwt::algorithm(&name).ok_or_else(|| {
            let all = jwt::algorithms().collect::<Vec<_>>().join(", ");
            wrong(format!("`algorithms` has no `{name}`; there are {all}"))
        })?;
        algorithms.push(known);
    }
    let require = match table.raw_get::<Value>("require")? {
        Value::Table(require) => require_of(&require)?,
        _ => Vec::new(),
    };
    let typ = table.raw_get("typ")?;
    Ok(Rules { issuers: names(table, "issuer")?, audience, leeway, require, typ, algorithms })
}

/// `{ "sub", plan = { "gold", "silver" } }`
fn require_of(table: &Table) -> mlua::Result<Vec<Require>> {
    let mut found = Vec::new();
    for (key, value) in read::sorted(table) {
        let bad = || wrong("`require` lists claims (\"sub\"), or says what they must be: plan = { \"gold\" }");
        if key.parse::<usize>().is_ok() {
            let claim = value.as_string().ok_or_else(bad)?.to_string_lossy();
            found.push(Require { claim, values: Vec::new() });
            continue;
        }
        let values = match json::to_json(&value).map_err(|_| bad())? {
            Json::Array(values) if !values.is_empty() => values,
            one @ (Json::String(_) | Json::Number(_) | Json::Bool(_)) => vec![one],
            _ => return Err(bad()),
        };
        found.push(Require { claim: key, values });
    }
    Ok(found)
}

fn forward(table: &Table) -> mlua::Result<Vec<(String, Option<crate::transform::Template>)>> {
    let Some(fields) = table.raw_get::<Option<Table>>("forward")? else { return Ok(Vec::new()) };
    let mut found = Vec::new();
    for (name, value) in read::sorted(&fields) {
        if !is_name(name.as_bytes()) || crate::script::handle::is_reserved(&name) {
            return Err(wrong(format!("`forward`: `{name}` is no field that can be set")));
        }
        let template = match &value {
            Value::Function(_) => None,
            text => Some(template::parse(text, Escape::Header)?),
        };
        found.push((name.to_ascii_lowercase(), template));
    }
    Ok(found)
}

/// One text or a list of them.
pub(in crate::script::bind::core) fn names(table: &Table, name: &str) -> mlua::Result<Vec<String>> {
    match table.raw_get::<Value>(name)? {
        Value::Nil => Ok(Vec::new()),
        Value::Table(list) => list.sequence_values().collect(),
        one => Ok(vec![one.to_string()?]),
    }
}

/// Text that may stand between quotes in a field.
fn quoted(table: &Table, name: &str) -> mlua::Result<Option<String>> {
    let text: Option<String> = table.raw_get(name)?;
    match text {
        Some(text) if text.bytes().any(|byte| !(b' '..=b'~').contains(&byte) || byte == b'"' || byte == b'\\') => {
            Err(wrong(format!("`{name}` is plain text without quotes")))
        }
        text => Ok(text),
    }
}

/// Where the keys of a call are.
pub(super) enum Given {
    /// Here: a secret, or a key as text.
    Text { secret: bool, text: Text },
    /// There.
    Address(Address),
}

/// The rules, and where the keys are, of `jwt.verify(token, options)`.
pub(super) fn of_call(lua: &Lua, table: &Table) -> mlua::Result<(Rules, Given)> {
    let known = ["secret", "key", "jwks", "discovery", "issuer", "audience", "algorithms", "leeway", "require", "typ"];
    let options = Options::read(lua, "jwt.verify".to_owned(), Some(table), &known)?;
    let leeway = options.duration("leeway")?;
    let table = lua.create_table_from(table.pairs::<Value, Value>().collect::<mlua::Result<Vec<_>>>()?)?;
    table.raw_set("leeway", leeway.map(|leeway| leeway.as_secs_f64()))?;
    let named = |fault: mlua::Error| mlua::Error::runtime(format!("jwt.verify: {fault}"));
    let rules = rules(&table).map_err(named)?;
    let mut given = Vec::new();
    for (name, secret) in [("secret", true), ("key", false)] {
        given.extend(options.bytes(name)?.map(|text| Given::Text { secret, text }));
    }
    for (name, discovery) in [("jwks", false), ("discovery", true)] {
        if let Some(address) = options.text(name)? {
            given.push(Given::Address(Address { address: safe(name, address).map_err(named)?, discovery }));
        }
    }
    match (given.pop(), given.is_empty()) {
        (Some(one), true) => Ok((rules, one)),
        _ => Err(wrong("jwt.verify needs one of `secret`, `key` (PEM or JSON), `jwks` and `discovery`")),
    }
}

/// `jwt.sign(claims, { secret =, key =, algorithm =, kid =, expires = "5m" })`
pub(super) fn sign(lua: &Lua, (claims, table): (Value, Table)) -> mlua::Result<String> {
    let known = ["secret", "key", "algorithm", "kid", "typ", "expires"];
    let options = Options::read(lua, "jwt.sign".to_owned(), Some(&table), &known)?;
    let algorithm = match options.text("algorithm")? {
        None => None,
        Some(name) => {
            let found = jwt::algorithm(&name);
            Some(found.ok_or_else(|| options.wrong("algorithm", &format!("there is no `{name}`")))?)
        }
    };
    let signer = match (options.bytes("secret")?, options.bytes("key")?) {
        (Some(secret), None) => Signer::secret(&secret.bytes(), algorithm),
        (None, Some(key)) => Signer::pem(&key.bytes(), algorithm),
        _ => return Err(wrong("jwt.sign needs either `secret` or `key` (a private key in PEM)")),
    };
    let signer = signer.map_err(|fault| wrong(format!("jwt.sign: {fault}")))?;
    let mut claims = match json::to_json(&claims).map_err(|fault| wrong(format!("jwt.sign: {fault}")))? {
        Json::Object(claims) => claims,
        Json::Array(list) if list.is_empty() => Map::new(),
        _ => return Err(wrong("jwt.sign: claims are a table of names and values")),
    };
    let now = Context::of(lua).unix().as_secs();
    if let Some(expires) = options.duration("expires")? {
        claims.entry("iat").or_insert(now.into());
        claims.insert("exp".to_owned(), (now + expires.as_secs().max(1)).into());
    }
    let mut header = Map::new();
    for name in ["kid", "typ"] {
        if let Some(text) = options.text(name)? {
            header.insert(name.to_owned(), text.into());
        }
    }
    signer.sign(&Json::Object(claims), header).map_err(|fault| wrong(format!("jwt.sign: {fault}")))
}

/// `jwt.decode(token)`: what it says, believed or not: `{ header, claims }`, or nil and what is wrong.
pub(super) fn decode(lua: &Lua, token: Text) -> mlua::Result<(Value, Option<String>)> {
    let text = token.utf8("jwt.decode")?;
    let parsed = Token::parse(&text).and_then(|token| token.claims().map(|claims| (token, claims)));
    match parsed {
        Ok((token, claims)) => {
            let table = lua.create_table()?;
            table.raw_set("header", json::from_json(lua, &Json::Object(token.header().members.clone()))?)?;
            table.raw_set("claims", json::from_json(lua, &Json::Object(claims))?)?;
            Ok((Value::Table(table), None))
        }
        Err(fault) => Ok((Value::Nil, Some(fault.to_string()))),
    }
}

fn wrong(what: impl Into<String>) -> mlua::Error {
    mlua::Error::runtime(what.into())
}

/// How far clocks may differ unless told otherwise, in seconds.
const USUAL_LEEWAY: f64 = 30.0;
/// Verified tokens kept by one step of one worker.
const MOST_REMEMBERED: usize = 2048;
