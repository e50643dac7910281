//! `core.ip_filter(allow, deny)`: lists and files of addresses, read while the file loads.

use std::sync::Arc;
use std::sync::Weak;

use mlua::Function;
use mlua::Lua;
use mlua::Table;
use mlua::Value;
use parking_lot::Mutex;

use super::exchange;
use crate::primitive::ip::Config;
use crate::primitive::ip::IpFilter;
use crate::primitive::ip::IpSet;
use crate::primitive::ip::Range;
use crate::proxy::Code;
use crate::proxy::Failure;
use crate::script::declare::Session;
use crate::script::wait;

/// A function of `req` that refuses addresses which may not come in.
pub(super) fn ip_filter(lua: &Lua, (allow, deny): (Value, Value)) -> mlua::Result<Function> {
    let allow = if allow.is_nil() { None } else { Some(sets(lua, "allow", &allow)?) };
    if allow.is_none() && deny.is_nil() {
        return Err(mlua::Error::runtime("it needs `allow` or `deny`"));
    }
    let filter = IpFilter::new(Config { allow, deny: sets(lua, "deny", &deny)? });
    wait::strict(lua, "ip_filter", move |lua, req: Value| {
        let exchange = exchange(lua, &req)?;
        let address = exchange.client.get().or_else(|| exchange.peer.map(|peer| peer.ip()));
        filter.check(address).or_else(|denied| {
            let cause = address.map_or_else(|| denied.to_string(), |address| format!("{address}: {denied}"));
            wait::fail(Failure::new(Code::IpFilterDenied, "this address may not come in").because(cause))
        })
    })
}

/// What is written in the script as one set, and one for each file.
fn sets(lua: &Lua, option: &str, value: &Value) -> mlua::Result<Vec<Arc<IpSet>>> {
    let entries: Vec<String> = match value {
        Value::Nil => Vec::new(),
        Value::Table(list) => Table::sequence_values(list).collect::<mlua::Result<_>>()?,
        text => vec![text.to_string()?],
    };
    let wrong = |fault: &dyn std::fmt::Display| mlua::Error::runtime(format!("`{option}`: {fault}"));
    let (written, files): (Vec<_>, Vec<_>) = entries.iter().partition(|entry| Range::looks_like(entry));
    let written = written.into_iter().map(|entry| Range::parse(entry).map_err(|fault| wrong(&fault)));
    let mut sets = vec![Arc::new(written.collect::<mlua::Result<IpSet>>()?)];
    for name in files {
        sets.push(of_file(lua, name).map_err(|fault| wrong(&fault))?);
    }
    sets.retain(|set| !set.is_empty() || option == "allow");
    Ok(sets)
}

fn of_file(lua: &Lua, name: &str) -> Result<Arc<IpSet>, String> {
    let session = Session::of(lua, "ip_filter").map_err(|error| error.to_string())?;
    let bytes = session.files.read_anywhere(name)?;
    if let Some(known) = known(&bytes) {
        return Ok(known);
    }
    let set = Arc::new(IpSet::parse(&bytes).map_err(|(line, fault)| format!("{name}:{line}: {fault}"))?);
    let mut parsed = PARSED.lock();
    parsed.retain(|(_, set)| set.strong_count() > 0);
    parsed.push((Arc::downgrade(&bytes), Arc::downgrade(&set)));
    Ok(set)
}

/// Files read once are the same bytes for all workers; reading a hundred thousand lines once is enough too.
static PARSED: Mutex<Vec<Parsed>> = Mutex::new(Vec::new());

/// A file's bytes and what they came to.
type Parsed = (Weak<[u8]>, Weak<IpSet>);

fn known(bytes: &Arc<[u8]>) -> Option<Arc<IpSet>> {
    let parsed = PARSED.lock();
    let same = |known: &Weak<[u8]>| known.upgrade().is_some_and(|known| Arc::ptr_eq(&known, bytes));
    parsed.iter().find(|(known, _)| same(known)).and_then(|(_, set)| set.upgrade())
}
