//! `jwt.verify(token, { secret =, key =, jwks =, discovery =, … })` for functions.

use std::cell::RefCell;

use mlua::Function;
use mlua::IntoLuaMulti;
use mlua::Lua;
use mlua::Table;
use mlua::Value;
use serde_json::Value as Json;

use super::PATIENCE;
use super::options;
use super::options::Given;
use super::sources::Made;
use super::sources::Refused;
use super::sources::Remote;
use super::sources::Source;
use super::sources::Sources;
use crate::script::bind::json;
use crate::script::bind::text::Text;
use crate::script::context::Context;
use crate::script::wait;

/// The claims, or nil and why not. It waits only where keys must be fetched first.
pub(super) fn function(lua: &Lua) -> mlua::Result<Function> {
    let made: RefCell<Made> = RefCell::default();
    wait::prompt(lua, "jwt.verify", move |lua, (token, table): (Text, Table)| {
        let (rules, given) = options::of_call(lua, &table)?;
        let text = token.utf8("jwt.verify: the token")?;
        let source = match given {
            Given::Text { secret, text } => {
                let keys = made.borrow_mut().keys(&text, secret);
                Source::Fixed(keys.map_err(|fault| mlua::Error::runtime(format!("jwt.verify: {fault}")))?)
            }
            Given::Address(address) => Source::Remote(Remote::named(lua, address)),
        };
        let (sources, context, lua) = (Sources::new(vec![source]), Context::of(lua), lua.clone());
        let most = context.exchange().map_or(PATIENCE, |exchange| exchange.left().min(PATIENCE));
        Ok(Box::pin(async move {
            let mut tried = sources.verify(&lua, &text, &rules, false);
            if let (Err(Refused::Fetch), Some(missing)) = (&tried, sources.missing()) {
                missing.wait(&context, most).await;
                tried = sources.verify(&lua, &text, &rules, true);
            }
            let why = match tried {
                Ok((claims, _)) => return json::from_json(&lua, &Json::Object(claims))?.into_lua_multi(&lua),
                Err(Refused::Script(error)) => return Err(error),
                Err(Refused::Token(fault)) => fault.to_string(),
                Err(Refused::Fetch | Refused::NoKeys | Refused::Other) => "no keys could be fetched yet".to_owned(),
            };
            (Value::Nil, why).into_lua_multi(&lua)
        }))
    })
}
