//! What a step may change that then refuses: who the caller is, fields, query. Noted before, put back after.

use std::rc::Rc;
use std::sync::Arc;

use mlua::Lua;
use mlua::Value;

use super::slots::Keep;
use super::slots::Slots;
use crate::http::Headers;
use crate::proxy::Exchange;

/// Who the caller is at one moment and, where the whole is noted, fields and query.
pub(in crate::script) struct Identity {
    user: Option<Value>,
    key: Option<Value>,
    claims: Option<Arc<serde_json::Value>>,
    name: Option<Rc<str>>,
    request: Option<(Headers, Option<String>)>,
}

/// See [`Identity`].
pub(in crate::script) fn identity(lua: &Lua, exchange: &Rc<Exchange>, whole: bool) -> Identity {
    let slots = Slots::of(lua);
    let request = whole.then(|| {
        let request = exchange.request.borrow();
        (request.headers.clone(), request.query.clone())
    });
    Identity {
        user: slots.kept(lua, exchange, "user"),
        key: slots.kept(lua, exchange, "key"),
        claims: exchange.user.claims(),
        name: exchange.user.key(),
        request,
    }
}

/// As it was then.
pub(in crate::script) fn put_back(lua: &Lua, exchange: &Rc<Exchange>, before: Identity) -> mlua::Result<()> {
    let slots = Slots::of(lua);
    for (keep, value) in [(Keep::User, before.user), (Keep::Key, before.key)] {
        slots.keep(lua, exchange, keep, value.unwrap_or(Value::Nil))?;
    }
    exchange.user.set_claims(before.claims);
    exchange.user.set_key(before.name);
    if let Some((headers, query)) = before.request {
        let mut request = exchange.request.borrow_mut();
        (request.headers, request.query) = (headers, query);
    }
    Ok(())
}
