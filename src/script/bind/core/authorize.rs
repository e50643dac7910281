//! `core.authorize(options)` and `core.denied(req, why)`: who lacks what.

use std::rc::Rc;

use mlua::Function;
use mlua::Lua;
use mlua::Table;
use mlua::Value;

use super::exchange;
use crate::primitive::authorize::Authorize;
use crate::primitive::authorize::Config;
use crate::primitive::authorize::Lack;
use crate::proxy::Code;
use crate::proxy::Exchange;
use crate::proxy::Failure;
use crate::script::bind::json;
use crate::script::handle;
use crate::script::wait;

/// A function of `req` that refuses callers whose claims do not say what `options` ask for.
pub(super) fn authorize(lua: &Lua, options: Table) -> mlua::Result<Function> {
    let scopes = texts(&options, "scope")?;
    let scopes = scopes.iter().map(|scope| scope.split_whitespace().map(str::to_owned).collect()).collect();
    let mut claims = Vec::new();
    for pair in options.get::<Option<Table>>("claim")?.iter().flat_map(Table::pairs::<String, Value>) {
        let (name, value) = pair?;
        let value = json::to_json(&value).map_err(|fault| mlua::Error::runtime(format!("claim `{name}`: {fault}")))?;
        claims.push((name, if let serde_json::Value::Array(any) = value { any } else { vec![value] }));
    }
    claims.sort_by(|(a, _), (b, _)| a.cmp(b));
    let rules = Authorize::new(Config { roles: texts(&options, "role")?, scopes, claims });
    wait::strict(lua, "authorize", move |lua, req: Value| {
        let exchange = exchange(lua, &req)?;
        let Some(claims) = handle::claims(lua, &exchange) else { return wait::fail(anonymous()) };
        rules.check(&claims).or_else(|lack| wait::fail(lacking(&lack)))
    })
}

/// A function of the script said no.
pub(super) fn denied(lua: &Lua, (req, why): (Value, Option<String>)) -> mlua::Result<()> {
    let exchange: Rc<Exchange> = exchange(lua, &req)?;
    let mut failure = match handle::claims(lua, &exchange) {
        Some(_) => Failure::new(Code::AuthorizeDenied, "this caller may not do this"),
        None => anonymous(),
    };
    if let Some(why) = why {
        failure.detail = why;
    }
    wait::fail(failure)
}

fn anonymous() -> Failure {
    let detail = "nobody has said who is calling";
    Failure::new(Code::AuthorizeDenied, detail).status(401).header("www-authenticate", super::challenge("Bearer"))
}

/// A scope may be asked for anew, so the client is told which (RFC 6750, 3.1).
fn lacking(lack: &Lack) -> Failure {
    let failure = Failure::new(Code::AuthorizeDenied, format!("the caller lacks {lack}"));
    match lack {
        Lack::Scope(scope) => {
            let challenge = format!("{}, error=\"insufficient_scope\", scope=\"{scope}\"", super::challenge("Bearer"));
            failure.header("www-authenticate", challenge)
        }
        _ => failure,
    }
}

/// One text or a list of them.
fn texts(options: &Table, name: &str) -> mlua::Result<Vec<String>> {
    match options.get(name)? {
        Value::Nil => Ok(Vec::new()),
        Value::Table(list) => list.sequence_values().collect(),
        text => Ok(vec![text.to_string()?]),
    }
}
