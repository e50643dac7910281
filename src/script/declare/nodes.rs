//! `route`, `group` and their halves: `route "GET /x"` returns what takes the table.

use mlua::Function;
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
use crate::script::machine::embedded;
use crate::script::options::describe;
use crate::script::words;

pub(super) fn install(lua: &Lua, globals: &Table) -> mlua::Result<()> {
    for (word, kind) in [("route", Kind::Route), ("group", Kind::Group)] {
        let first = move |lua: &Lua, arguments: MultiValue| first(lua, word, kind, &arguments);
        let second = move |lua: &Lua, (ticket, table): (usize, Value)| {
            let followed = Session::of(lua, word)?.follow(ticket);
            let (anchor, owner) = followed.ok_or_else(|| mlua::Error::runtime("no such declaration"))?;
            second(lua, kind, anchor, owner, &table)
        };
        globals.raw_set(word, in_halves(lua, lua.create_function(first)?, lua.create_function(second)?)?)?;
    }
    Ok(())
}

/// `word "text" { … }` of a function that takes what stands behind the word and gives a ticket, or nil and the value of
/// the whole, and one that takes the ticket and the table. A closure of Luau's between the two costs a tenth of ours.
fn in_halves(lua: &Lua, first: Function, second: Function) -> mlua::Result<Function> {
    embedded(lua, "=[moongate]", include_str!("halves.luau"))?.call((first, second))
}

/// A ticket for the second half, or the value.
type Half = (Option<usize>, Option<Value>);

fn first(lua: &Lua, word: &'static str, kind: Kind, arguments: &MultiValue) -> mlua::Result<Half> {
    let session = Session::of(lua, word)?;
    let poison = || Ok((None, Some(Value::UserData(lua.create_userdata(Poison)?))));
    let text = match arguments.front() {
        Some(Value::String(text)) => text.to_string_lossy(),
        Some(value) if Poison::is(value) => return poison(),
        other => {
            let got = other.map_or_else(|| "nothing".to_owned(), describe);
            let example = if kind == Kind::Route { "route \"GET /path\" { … }" } else { "group \"/prefix\" { … }" };
            let said = format!("`{word}` needs its text first, and got {got}");
            session.fault(here(lua, word, None), said, format!("write {example}"), "");
            return poison();
        }
    };
    let owner = [word, " `", &text, "`"].concat();
    let anchor = here(lua, word, Some(&text));
    match arguments.get(1) {
        Some(table) => Ok((None, Some(second(lua, kind, anchor, owner, table)?))),
        None => Ok((Some(session.pend(anchor, owner)), None)),
    }
}

fn second(lua: &Lua, kind: Kind, anchor: Anchor, owner: String, table: &Value) -> mlua::Result<Value> {
    let session = Session::of(lua, &anchor.word)?;
    let text = anchor.subject.clone().unwrap_or_default();
    let Value::Table(table) = table else {
        let said = format!("{owner} needs a table after its text, and got {}", describe(table));
        let inside = if table.is_function() { "function(req) … end" } else { "…" };
        let label = format!("write {} \"{text}\" {{ {inside} }}", anchor.word);
        session.fault(Anchor { spot: Spot::Subject, ..anchor }, said, label, "");
        return lua.create_userdata(Poison).map(Value::UserData);
    };
    let _unbound = Unbound::new(lua);
    let options = words::find(&anchor.word).map(|word| word.options.as_slice()).unwrap_or_default();
    let (block, children) = block::read(lua, &session, anchor, owner, table, options)?;
    add(lua, &session, Node { kind, text, block, children, claimed: None })
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
