//! `core.hmac_auth(options)`: signed requests, each passing once.

use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use mlua::IntoLuaMulti;
use mlua::Lua;
use mlua::LuaString;
use mlua::MultiValue;
use mlua::Table;
use mlua::Value;
use serde_json::Value as Json;

use super::api_key::owner;
use super::exchange;
use super::object::Object;
use crate::primitive::codec::hex_encode;
use crate::primitive::digest::Hash;
use crate::primitive::signature::BodyDigest;
use crate::primitive::signature::Config;
use crate::primitive::signature::First;
use crate::primitive::signature::Seen;
use crate::primitive::signature::Signatures;
use crate::primitive::signature::Signed;
use crate::primitive::signature::Unsigned;
use crate::proxy::Code;
use crate::proxy::Exchange;
use crate::proxy::Failure;
use crate::script::bind::text::Text;
use crate::script::handle;
use crate::script::live::Kept;
use crate::script::wait;

/// What a policy checks.
struct Terms {
    signatures: Signatures<Arc<Json>>,
    seen: Option<Object<Seen>>,
    challenge: String,
    hide: bool,
}

/// Two functions and what the keys are told as in listings: `check(req)` refuses what is not signed and returns whether the
/// body must be looked at; `finish(req, body)` compares it. Who calls is known once both are done.
pub(super) fn make(lua: &Lua, options: Table) -> mlua::Result<MultiValue> {
    let (config, listed) = read(&options)?;
    let mut signatures = Signatures::new(config);
    let told = keys(lua, &options, &mut signatures)?;
    let seen = match options.get::<bool>("replay")? {
        true => Some(Object::<Seen>::declare(lua, "hmac_auth", None, &REMEMBERED)?),
        false => None,
    };
    let challenge = format!("{}, headers=\"{listed}\"", super::challenge("Signature"));
    let terms = Rc::new(Terms { signatures, seen, challenge, hide: options.get("hide")? });
    let checking = Rc::clone(&terms);
    let check = wait::strict(lua, "hmac_auth", move |lua, req: Value| {
        let exchange = exchange(lua, &req)?;
        let now = exchange.worker.clock.unix();
        let signed = checking.signatures.check(&exchange.request.borrow(), now);
        let signed = signed.or_else(|fault| checking.refuse(&fault))?;
        if signed.body.is_some() {
            return Ok(true);
        }
        checking.accept(lua, &exchange, &signed)?;
        Ok(false)
    })?;
    let finish = wait::strict(lua, "hmac_auth", move |lua, (req, body): (Value, LuaString)| {
        let exchange = exchange(lua, &req)?;
        let now = exchange.worker.clock.unix();
        // The head is looked at again: a body may have taken its time.
        let signed = terms.signatures.check(&exchange.request.borrow(), now);
        let signed = signed.or_else(|fault| terms.refuse(&fault))?;
        if !signed.body.as_ref().is_some_and(|digest: &BodyDigest| digest.fits(&body.as_bytes())) {
            return terms.refuse(&Unsigned::Body);
        }
        terms.accept(lua, &exchange, &signed)
    })?;
    (check, finish, told).into_lua_multi(lua)
}

impl Terms {
    fn refuse<T>(&self, fault: &Unsigned) -> mlua::Result<T> {
        let code = match fault {
            Unsigned::Missing => Code::HmacMissing,
            Unsigned::Date => Code::HmacExpired,
            _ => Code::HmacInvalid,
        };
        wait::fail(Failure::new(code, fault.to_string()).header("www-authenticate", &*self.challenge))
    }

    fn accept(&self, lua: &Lua, exchange: &Rc<Exchange>, signed: &Signed<'_, Arc<Json>>) -> mlua::Result<()> {
        if let Some(seen) = &self.seen {
            let now = exchange.worker.clock.unix().as_secs();
            match seen.get(lua)?.first(signed.print, signed.until, now) {
                First::Yes => {}
                First::No => {
                    let failure = Failure::new(Code::HmacReplayed, "this signed request came before");
                    return wait::fail(failure.header("www-authenticate", &*self.challenge));
                }
                First::Full => {
                    let failure = Failure::new(Code::Overload, "too many signed requests; try again later");
                    return wait::fail(failure.because("hmac_auth cannot note more signatures within `skew`"));
                }
            }
        }
        handle::identify(lua, exchange, Some(Arc::clone(signed.user)), Some(signed.id.into()))?;
        if self.hide {
            exchange.request.borrow_mut().headers.remove("authorization");
        }
        Ok(())
    }
}

/// The options, and what must be signed, as the challenge lists it.
fn read(options: &Table) -> mlua::Result<(Config, String)> {
    let algorithm: String = options.get("algorithm")?;
    let hash = Hash::named(&algorithm).ok_or_else(|| mlua::Error::runtime("no such algorithm"))?;
    let headers: Vec<String> = options.get("headers")?;
    let headers: Vec<String> = headers.iter().map(|name| name.to_ascii_lowercase()).collect();
    let headers: Vec<String> = headers.into_iter().filter(|name| !name.ends_with("request-target")).collect();
    if !headers.iter().any(|name| name == "date" || name == "x-date") {
        return Err(mlua::Error::runtime(
            "`headers` needs `date` or `x-date`: without one a signature would be good for ever",
        ));
    }
    if let Some(bad) = headers.iter().find(|name| !crate::http::headers::is_name(name.as_bytes())) {
        return Err(mlua::Error::runtime(format!("`headers`: `{bad}` is no field")));
    }
    let listed = format!("@request-target {}", headers.join(" "));
    let config = Config {
        headers,
        algorithm: hash,
        name: format!("hmac-{algorithm}"),
        skew: Duration::from_secs_f64(options.get("skew")?),
        body: options.get("body")?,
    };
    Ok((config, listed))
}

/// Adds the keys: a secret, or `{ secret =, user = }`.
fn keys(lua: &Lua, options: &Table, signatures: &mut Signatures<Arc<Json>>) -> mlua::Result<String> {
    let mut lines = Vec::new();
    for pair in options.get::<Table>("keys")?.pairs::<Value, Value>() {
        let (id, value) = pair?;
        let Value::String(id) = id else {
            return Err(mlua::Error::runtime("`keys` is a table from ids to secrets: { ann = secret \"ANN\" }"));
        };
        let id = id.to_string_lossy();
        let wrong = |what: &str| mlua::Error::runtime(format!("`keys`: `{id}` {what}"));
        let (secret, user) = match &value {
            Value::Table(table) => (table.get("secret")?, table.get::<Value>("user")?),
            value => (value.clone(), Value::Nil),
        };
        let Ok(secret) = <Text as mlua::FromLua>::from_lua(secret, lua) else {
            return Err(wrong("needs a secret: text, secret \"NAME\", or { secret = …, user = … }"));
        };
        let secret = secret.bytes();
        if secret.len() < SHORTEST {
            return Err(wrong("has a secret of less than 16 bytes"));
        }
        let user = if user.is_nil() { Arc::new(serde_json::json!({ "sub": id })) } else { owner(&user)? };
        lines.push(format!("{id} {} {user}", hex_encode(Hash::Sha256.digest(&secret))));
        signatures.add(&id, &secret, user);
    }
    if lines.is_empty() {
        return Err(mlua::Error::runtime("`keys` lists nobody"));
    }
    lines.sort_unstable();
    let print = hex_encode(&Hash::Sha256.digest(lines.join("\n").as_bytes())[..6]);
    Ok(format!("{} keys, {print}", lines.len()))
}

/// A shorter secret can be guessed from one signed request.
const SHORTEST: usize = 16;

/// Signatures that one policy remembers; with the default `skew` enough for three thousand signed requests a second.
const REMEMBERED: usize = 1_000_000;

impl Kept for Seen {
    type Config = usize;

    fn make(most: usize) -> Self {
        Self::new(most)
    }

    fn change(&self, _: usize) {}
}
