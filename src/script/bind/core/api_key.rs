//! `core.api_key(places, hide, keys)`: keys read, looked up and hidden in one call.

use std::rc::Rc;
use std::sync::Arc;

use mlua::Function;
use mlua::IntoLuaMulti;
use mlua::Lua;
use mlua::MultiValue;
use mlua::Table;
use mlua::Value;
use serde_json::Value as Json;

use super::exchange;
use super::identity::object;
use crate::primitive::api_key;
use crate::primitive::api_key::Digest;
use crate::primitive::api_key::Keys;
use crate::primitive::api_key::Source;
use crate::primitive::codec::hex_encode;
use crate::primitive::digest::Hash;
use crate::proxy::Code;
use crate::proxy::Exchange;
use crate::proxy::Failure;
use crate::script::driver::fault;
use crate::script::handle;
use crate::script::secret::Secret;
use crate::script::wait;

/// Where keys stand and what becomes of them.
struct Places {
    sources: Vec<Source>,
    hide: bool,
    missing: String,
    unknown: String,
}

impl Places {
    fn read(places: &Value, hide: bool) -> mlua::Result<Self> {
        let texts: Vec<String> = match places {
            Value::Table(list) => list.sequence_values().collect::<mlua::Result<_>>()?,
            text => vec![text.to_string()?],
        };
        let sources = texts.iter().map(|text| Source::parse(text)).collect::<Result<Vec<_>, _>>();
        let sources = sources.map_err(|fault| mlua::Error::runtime(format!("`from`: {fault}")))?;
        let bearer = sources.contains(&Source::Bearer);
        let scheme = super::challenge(if bearer { "Bearer" } else { "ApiKey" });
        let unknown = if bearer { format!("{scheme}, error=\"invalid_token\"") } else { scheme.clone() };
        Ok(Self { sources, hide, missing: scheme, unknown })
    }

    /// The key of the first place that has one.
    fn take(&self, exchange: &Exchange) -> mlua::Result<Vec<u8>> {
        let request = exchange.request.borrow();
        let key = self.sources.iter().find_map(|source| source.read(&request.headers, request.query.as_deref()));
        if let (Some(key), Some(watch)) = (&key, &exchange.site.watch) {
            watch.hide(key);
        }
        key.map_or_else(
            || {
                let failure = Failure::new(Code::ApiKeyMissing, "a key is needed, and none came with the request");
                wait::fail(failure.header("www-authenticate", &*self.missing))
            },
            Ok,
        )
    }

    fn unknown<T>(&self) -> mlua::Result<T> {
        let failure = Failure::new(Code::ApiKeyUnknown, "nobody has this key");
        wait::fail(failure.header("www-authenticate", &*self.unknown))
    }

    /// Who the caller is; from now on nobody sees the key.
    fn accept(&self, lua: &Lua, exchange: &Rc<Exchange>, user: Arc<Json>, digest: &Digest) -> mlua::Result<()> {
        handle::identify(lua, exchange, Some(user), Some(api_key::name(digest).into()))?;
        if self.hide {
            let request = &mut *exchange.request.borrow_mut();
            self.sources.iter().for_each(|source| source.hide(&mut request.headers, &mut request.query));
        }
        Ok(())
    }
}

/// With a table of keys: a function of `req` that does it all, and what the keys are told as in listings. Without: `take`,
/// which returns a key and its hash, and `accept(req, user, hash)`, which refuses where there is no user.
pub(super) fn make(lua: &Lua, (places, hide, keys): (Value, bool, Option<Table>)) -> mlua::Result<MultiValue> {
    let places = Rc::new(Places::read(&places, hide)?);
    let Some(keys) = keys else {
        let taking = Rc::clone(&places);
        let take = wait::strict(lua, "api_key", move |lua, req: Value| {
            let key = taking.take(&*exchange(lua, &req)?)?;
            let digest = hex_encode(api_key::digest(&key));
            (lua.create_string(key)?, format!("sha256:{digest}")).into_lua_multi(lua)
        })?;
        let accept = wait::strict(lua, "api_key", move |lua, (req, user, key): (Value, Value, mlua::LuaString)| {
            let user = match user {
                Value::Nil | Value::Boolean(false) => return places.unknown(),
                user => owner(&user)?,
            };
            places.accept(lua, &exchange(lua, &req)?, user, &api_key::digest(&key.as_bytes()))
        })?;
        return (take, accept).into_lua_multi(lua);
    };
    let (keys, told) = table(&keys)?;
    let check: Function = wait::strict(lua, "api_key", move |lua, req: Value| {
        let exchange = exchange(lua, &req)?;
        let digest = api_key::digest(&places.take(&exchange)?);
        let Some(user) = keys.find(&digest) else { return places.unknown() };
        places.accept(lua, &exchange, Arc::clone(user), &digest)
    })?;
    (check, told).into_lua_multi(lua)
}

/// Keys and whose they are; and a text that differs where they do, without giving any away.
fn table(written: &Table) -> mlua::Result<(Keys<Arc<Json>>, String)> {
    let mut keys = Keys::default();
    let mut lines = Vec::new();
    for pair in written.pairs::<Value, Value>() {
        let (key, user) = pair?;
        let user = owner(&user).map_err(|error| mlua::Error::runtime(format!("`keys`: {}", fault::message(&error))))?;
        let added = match (Secret::of(&key), &key) {
            (Some(secret), _) => {
                lines.push(format!("{} {user}", hex_encode(api_key::digest(secret.reveal()))));
                keys.add(secret.reveal(), user)
            }
            (None, Value::String(text)) => {
                lines.push(format!("{} {user}", hex_encode(api_key::digest(&text.as_bytes()))));
                keys.add(&text.as_bytes(), user)
            }
            _ => {
                let said = "`keys` is a table from keys to users: { [\"k-123\"] = { sub = \"ann\" } }";
                return Err(mlua::Error::runtime(said));
            }
        };
        added.map_err(|fault| mlua::Error::runtime(format!("`keys`: {fault}")))?;
    }
    if keys.is_empty() {
        return Err(mlua::Error::runtime("`keys` lists nobody"));
    }
    lines.sort_unstable();
    let print = hex_encode(&Hash::Sha256.digest(lines.join("\n").as_bytes())[..6]);
    let told = format!("{} keys, {print}", keys.len());
    Ok((keys, told))
}

/// A user as written: a table, a name (`sub`), or `true` for somebody without claims.
pub(super) fn owner(user: &Value) -> mlua::Result<Arc<Json>> {
    match user {
        Value::String(name) => Ok(Arc::new(serde_json::json!({ "sub": name.to_string_lossy() }))),
        Value::Boolean(true) => Ok(Arc::new(Json::Object(serde_json::Map::new()))),
        user => object(user),
    }
}
