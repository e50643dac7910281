//! The security of a document: one of several lists of schemes, as steps.

use std::collections::BTreeMap;
use std::collections::BTreeSet;

use mlua::Function;
use mlua::Lua;
use mlua::Table;
use mlua::Value;

use super::word;
use crate::primitive::openapi::Api;
use crate::primitive::openapi::Operation;
use crate::script::declare::read;
use crate::script::declare::session::Block;
use crate::script::declare::session::Session;
use crate::script::diagnose::Anchor;
use crate::script::diagnose::Spot;
use crate::script::words;

/// Whether every scheme that an operation asks for has its step, and every step its scheme.
pub(super) fn check(session: &Session, block: &Block, name: &str, api: &Api) -> bool {
    if read::get::<bool>(&block.options, "security") == Some(false) {
        return true;
    }
    let given = read::table(&block.options, "security");
    let given: BTreeSet<String> =
        given.map(|table| read::sorted(&table)).unwrap_or_default().into_iter().map(|entry| entry.0).collect();
    let mut wanted: BTreeMap<&str, &str> = BTreeMap::new();
    for operation in api.operations() {
        for (scheme, _) in operation.security.iter().flatten() {
            wanted.entry(scheme).or_insert(&operation.id);
        }
    }
    let mut fine = true;
    for (scheme, operation) in wanted.iter().filter(|(scheme, _)| !given.contains(**scheme)) {
        let said =
            format!("{name} asks for the security scheme `{scheme}` (operation `{operation}`), and nothing checks it");
        let label = format!("write security = {{ {scheme} = … }}, or security = false to look elsewhere");
        session.fault(block.subject(), said, label, "");
        fine = false;
    }
    for scheme in &given {
        if !wanted.contains_key(scheme.as_str()) && !api.schemes().any(|known| known == scheme) {
            let known = api.schemes().chain(wanted.keys().copied());
            let label = words::nearest(scheme, known).map(|near| format!("did you mean `{near}`?")).unwrap_or_default();
            let at = Anchor { spot: Spot::Key, ..block.value(&["security", scheme]) };
            session.fault(at, format!("{name} has no security scheme `{scheme}`"), label, "");
            fine = false;
        }
    }
    fine
}

/// The step that lets a request of this operation in; `None` when it is open to all.
pub(super) fn step(
    lua: &Lua,
    session: &Session,
    operation: &Operation,
    security: &Table,
    anchor: &Anchor,
) -> mlua::Result<Option<Value>> {
    if operation.security.is_empty() {
        return Ok(None);
    }
    let ways = lua.create_table()?;
    let mut anyone = false;
    for schemes in &operation.security {
        let parts = lua.create_table()?;
        for (scheme, scopes) in schemes {
            parts.raw_push(security.raw_get::<Value>(scheme.as_str())?)?;
            // A list in `authorize` means any of them: every scope is asked for by itself.
            for scope in scopes {
                parts.raw_push(scoped(lua, session, operation, scope, anchor)?)?;
            }
        }
        match parts.raw_len() {
            // Nothing is asked for: whoever fails the others may come in all the same, unknown.
            0 => anyone = true,
            1 => ways.raw_push(parts.raw_get::<Value>(1)?)?,
            _ => ways.raw_push(word(lua, "steps")?.call::<Value>(parts)?)?,
        }
    }
    if anyone && ways.raw_len() == 0 {
        return Ok(None);
    }
    if anyone {
        let open: Function = lua.load("return function(req) end").set_name("=[openapi]").eval()?;
        ways.raw_push(open)?;
    }
    if ways.raw_len() == 1 { ways.raw_get(1).map(Some) } else { word(lua, "any_of")?.call::<Value>(ways).map(Some) }
}

/// The identity must have the scope.
fn scoped(lua: &Lua, session: &Session, operation: &Operation, scope: &str, anchor: &Anchor) -> mlua::Result<Value> {
    if !session.policies.borrow().contains_key("authorize") {
        let said =
            format!("operation `{}` asks for the scope `{scope}`, which this version cannot check", operation.id);
        session.fault(Anchor { spot: Spot::Subject, ..anchor.clone() }, said, "", "");
        return Ok(Value::Nil);
    }
    let given = lua.create_table()?;
    given.raw_set("scope", scope)?;
    word(lua, "authorize")?.call(given)
}
