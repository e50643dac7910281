//! `route`, `group` and their halves: `route "GET /x"` returns what takes the table.

use mlua::Lua;
use mlua::MultiValue;
use mlua::Table;
use mlua::Value;

use super::Declared;
use super::Poison;
use super::Session;
use super::block;
use super::here;
use super::session::Kind;
use super::session::Node;
use crate::script::diagnose::Anchor;
use crate::script::diagnose::Spot;
use crate::script::machine::Unbound;
use crate::script::options::describe;
use crate::script::words;

pub(super) fn install(lua: &Lua, globals: &Table) -> mlua::Result<()> {
    for (word, kind) in [("route", Kind::Route), ("group", Kind::Group)] {
        let function = lua.create_function(move |lua, arguments: MultiValue| first(lua, word, kind, &arguments))?;
        globals.raw_set(word, function)?;
    }
    Ok(())
}

fn first(lua: &Lua, word: &'static str, kind: Kind, arguments: &MultiValue) -> mlua::Result<Value> {
    let session = Session::of(lua, word)?;
    let example = if kind == Kind::Route { "route \"GET /path\" { … }" } else { "group \"/prefix\" { … }" };
    let text = match arguments.front() {
        Some(Value::String(text)) => text.to_string_lossy(),
        Some(value) if Poison::is(value) => return lua.create_userdata(Poison).map(Value::UserData),
        other => {
            let got = other.map_or_else(|| "nothing".to_owned(), describe);
            let anchor = here(lua, word, None);
            session.fault(
                anchor,
                format!("`{word}` needs its text first, and got {got}"),
                format!("write {example}"),
                "",
            );
            return lua.create_userdata(Poison).map(Value::UserData);
        }
    };
    let anchor = here(lua, word, Some(&text));
    if let Some(table) = arguments.get(1) {
        return second(lua, kind, &text, anchor, table);
    }
    let ticket = pend(&session, &anchor, &format!("{word} `{text}`"));
    let rest = lua.create_function(move |lua, table: Value| {
        Session::of(lua, word)?.pending.borrow_mut()[ticket].2 = true;
        second(lua, kind, &text, anchor.clone(), &table)
    })?;
    Ok(Value::Function(rest))
}

/// Remembers that a table must follow.
pub(crate) fn pend(session: &Session, anchor: &Anchor, owner: &str) -> usize {
    let mut pending = session.pending.borrow_mut();
    pending.push((anchor.clone(), owner.to_owned(), false));
    pending.len() - 1
}

fn second(lua: &Lua, kind: Kind, text: &str, anchor: Anchor, table: &Value) -> mlua::Result<Value> {
    let word = anchor.word.clone();
    let session = Session::of(lua, &word)?;
    let owner = format!("{word} `{text}`");
    let Value::Table(table) = table else {
        let said = format!("{owner} needs a table after its text, and got {}", describe(table));
        let inside = if table.is_function() { "function(req) … end" } else { "…" };
        session.fault(
            Anchor { spot: Spot::Subject, ..anchor },
            said,
            format!("write {word} \"{text}\" {{ {inside} }}"),
            "",
        );
        return lua.create_userdata(Poison).map(Value::UserData);
    };
    let _unbound = Unbound::new(lua);
    let options = words::find(&word).map(|word| word.options.as_slice()).unwrap_or_default();
    let (block, children) = block::read(lua, &session, &anchor, &owner, table, options)?;
    add(lua, &session, Node { kind, text: text.to_owned(), block, children, claimed: None })
}

/// More is an endless loop, and what is noted here is beyond the machine's memory limit.
const MOST: usize = 200_000;

/// Hands out a value for the node.
pub(super) fn add(lua: &Lua, session: &Session, node: Node) -> mlua::Result<Value> {
    let mut nodes = session.nodes.borrow_mut();
    if nodes.len() >= MOST {
        return Err(mlua::Error::runtime("more than 200000 routes and groups"));
    }
    nodes.push(node);
    let declared = Declared(nodes.len() - 1);
    drop(nodes);
    lua.create_userdata(declared).map(Value::UserData)
}
