//! `openapi "api.yaml" { … }`: routes, their security and their validation from a document.

mod secure;

use mlua::Function;
use mlua::Lua;
use mlua::Table;
use mlua::Value;

use super::Poison;
use super::Session;
use super::block;
use super::here;
use super::nodes;
use super::read;
use super::read::Options;
use super::session::Block;
use super::session::Item;
use super::session::Kind;
use super::session::Node;
use crate::primitive::openapi::Operation;
use crate::route::pattern::Pattern;
use crate::script::bind::openapi;
use crate::script::bind::openapi::Document;
use crate::script::bind::openapi::Fault;
use crate::script::diagnose::Anchor;
use crate::script::diagnose::Segment;
use crate::script::diagnose::Spot;
use crate::script::machine::embedded;
use crate::script::options::Check;
use crate::script::options::List;
use crate::script::options::describe;
use crate::script::words;

pub(super) fn install(lua: &Lua, globals: &Table) -> mlua::Result<()> {
    let core = lua.create_table()?;
    core.raw_set("poison", lua.create_function(|lua, (): ()| lua.create_userdata(Poison))?)?;
    core.raw_set("pend", lua.create_function(pend)?)?;
    core.raw_set("begin", lua.create_function(begin)?)?;
    core.raw_set("operation", lua.create_function(|lua, (made, index): (Table, usize)| operation(lua, &made, index))?)?;
    core.raw_set("finish", lua.create_function(finish)?)?;
    let chunk = embedded(lua, "=[openapi]", include_str!("openapi.luau"))?;
    globals.raw_set("openapi", chunk.call::<Function>(core)?)
}

/// A name of a file, or a fault.
fn named(lua: &Lua, name: &Value) -> mlua::Result<Option<(String, Anchor)>> {
    match name {
        Value::String(name) => {
            let name = name.to_string_lossy();
            let anchor = here(lua, "openapi", Some(&name));
            Ok(Some((name, anchor)))
        }
        value if Poison::is(value) => Ok(None),
        other => {
            let said = format!("`openapi` needs the name of a file first, and got {}", describe(other));
            let session = Session::of(lua, "openapi")?;
            session.fault(here(lua, "openapi", None), said, "write openapi \"api.yaml\" { … }", "");
            Ok(None)
        }
    }
}

/// Remembers that a table must follow.
fn pend(lua: &Lua, name: Value) -> mlua::Result<Option<usize>> {
    let session = Session::of(lua, "openapi")?;
    let Some((name, anchor)) = named(lua, &name)? else { return Ok(None) };
    Ok(Some(session.pend(anchor, format!("openapi `{name}`"))))
}

/// Reads document and options; what the loop over its operations needs, or nil.
fn begin(lua: &Lua, (name, options, ticket): (Value, Value, Option<usize>)) -> mlua::Result<Option<Table>> {
    let session = Session::of(lua, "openapi")?;
    if let Some(ticket) = ticket {
        session.follow(ticket);
    }
    let Some((name, anchor)) = named(lua, &name)? else { return Ok(None) };
    let (owner, subject) = (format!("openapi `{name}`"), Anchor { spot: Spot::Subject, ..anchor.clone() });
    let Value::Table(table) = options else {
        let said = format!("{owner} needs a table after its name, and got {}", describe(&options));
        session.fault(subject, said, format!("write openapi \"{name}\" {{ to = \"…\" }}"), "");
        return Ok(None);
    };
    let known = words::find("openapi").map(|word| word.options.as_slice()).unwrap_or_default();
    let (block, children) = block::read(lua, &session, anchor, owner.clone(), &table, known)?;
    if !children.is_empty() {
        session.fault(
            subject.clone(),
            format!("a route stands inside {owner}"),
            "its routes come from the document",
            "",
        );
    }
    let api = match openapi::compile(&name, &session.files) {
        Ok(api) => api,
        Err(Fault::File(reason)) => {
            session.fault(subject, reason, "paths are relative to the config folder", "");
            return Ok(None);
        }
        Err(Fault::Document(reason)) => {
            session.fault(subject, reason, "", "");
            return Ok(None);
        }
    };
    if !secure::check(&session, &block, &name, &api) || !known_operations(&session, &block, &api) {
        return Ok(None);
    }
    let made = lua.create_table()?;
    made.raw_set("count", api.operations().len())?;
    made.raw_set("document", lua.create_userdata(Document { name: name.into(), api, operation: None })?)?;
    made.raw_set("routes", lua.create_table()?)?;
    let steps = lua.create_sequence_from(block.steps.into_iter().map(|item| item.value))?;
    made.raw_set("steps", steps)?;
    made.raw_set("options", block.options.table()?)?;
    Ok(Some(made))
}

/// Operations that the script names must be there.
fn known_operations(session: &Session, block: &Block, api: &crate::primitive::openapi::Api) -> bool {
    let names = read::table(&block.options, "operations").map(|table| read::sorted(&table)).unwrap_or_default();
    let mut fine = true;
    for (name, value) in names {
        let key = || Anchor { spot: Spot::Key, ..block.value(&["operations", &name]) };
        if !api.operations().iter().any(|operation| operation.id == name) {
            let ids = api.operations().iter().map(|operation| operation.id.as_str());
            let label = words::nearest(&name, ids).map(|near| format!("did you mean `{near}`?")).unwrap_or_default();
            session.fault(key(), format!("{} has no operation `{name}`", block.owner), label, "");
            fine = false;
        } else if !value.is_table() && !Poison::is(&value) {
            let said = format!("operation `{name}` needs a table of steps and options, and got {}", describe(&value));
            session.fault(block.value(&["operations", &name]), said, "", "");
            fine = false;
        }
    }
    fine
}

/// One route.
fn operation(lua: &Lua, made: &Table, index: usize) -> mlua::Result<()> {
    let session = Session::of(lua, "openapi")?;
    let document = Document::of(&made.raw_get("document")?).ok_or_else(|| mlua::Error::runtime("no document"))?;
    let Some(operation) = document.api.operations().get(index - 1) else { return Ok(()) };
    let (all, shared): (Table, Table) = (made.raw_get("options")?, made.raw_get("steps")?);
    let anchor = here(lua, "openapi", Some(&document.name));
    let owner = format!("operation `{}` of openapi `{}`", operation.id, document.name);
    if let Err(error) = Pattern::parse(&operation.path) {
        let at = Anchor { spot: Spot::Subject, ..anchor };
        session.fault(at, format!("{owner}: path `{}`: {error}", operation.path), "", "");
        return Ok(());
    }
    let (options, own) = settings(lua, &session, &anchor, &owner, operation, &all)?;
    let mut steps: Vec<Value> = Vec::new();
    if let Some(security) = read::table(&all, "security") {
        steps.extend(secure::step(lua, &session, operation, &security, &anchor)?);
    }
    if read::get::<bool>(&all, "validate") != Some(false) {
        let given = lua.create_table()?;
        given.raw_set("openapi", lua.create_userdata(Document { operation: Some(index - 1), ..document.clone() })?)?;
        given.raw_set("response", read::text(&all, "response"))?;
        steps.push(word(lua, "validate")?.call(given)?);
    }
    steps.extend(read::list(&shared));
    steps.extend(own);
    if read::get::<bool>(&all, "mock") == Some(true) {
        let mock = document.api.mock(index - 1);
        let given = lua.create_table()?;
        given.raw_set("status", mock.status)?;
        if let Some(media) = mock.media {
            given.raw_set("text", mock.body)?;
            given.raw_set("headers", lua.create_table_from([("content-type", media)])?)?;
        }
        steps.push(word(lua, "mock")?.call(given)?);
    }
    let steps = steps.into_iter().filter(|step| !Poison::is(step)).map(|value| Item { value }).collect();
    let text = format!("{} {}", operation.method, operation.path);
    let claimed = Some((anchor.file.clone(), anchor.line));
    let block = Block { options: Options::of(lua, &options), steps, anchor, owner };
    let node = Node { kind: Kind::Route, text, block, children: Vec::new(), claimed };
    let route = nodes::add(lua, &session, node)?;
    made.raw_get::<Table>("routes")?.raw_push(route)
}

/// The options of a route, and its own steps.
fn settings(
    lua: &Lua,
    session: &Session,
    anchor: &Anchor,
    owner: &str,
    operation: &Operation,
    all: &Table,
) -> mlua::Result<(Table, Vec<Value>)> {
    let table = read::table(all, "operations").and_then(|table| read::table(&table, &operation.id));
    let (options, steps) = match table {
        None => (lua.create_table()?, Vec::new()),
        Some(table) => {
            let mut at = anchor.clone();
            at.path = vec![Segment::Key("operations".into()), Segment::Key(operation.id.clone())];
            let named = lua.create_table()?;
            for pair in table.pairs::<Value, Value>() {
                let (key, value) = pair?;
                if key.is_string() {
                    named.raw_set(key, value)?;
                }
            }
            let known = words::find("route").map(|word| word.options.as_slice()).unwrap_or_default();
            let options = Check::new(lua, session, &at, owner, List::Refused).options(&named, known)?;
            let (steps, children) = block::list(session, &at, owner, &table)?;
            if !children.is_empty() {
                session.fault(at, format!("a route stands inside {owner}"), "it holds steps and options", "");
            }
            (options, steps.into_iter().map(|item| item.value).collect())
        }
    };
    if operation.named && !options.contains_key("name")? {
        options.raw_set("name", operation.id.as_str())?;
    }
    if let Some(doc) = operation.doc.as_ref().filter(|_| !options.contains_key("doc").unwrap_or(true)) {
        options.raw_set("doc", doc.as_str())?;
    }
    Ok((options, steps))
}

/// A word of the standard library.
fn word(lua: &Lua, name: &str) -> mlua::Result<Function> {
    let globals: Table = match lua.globals().get::<Option<Table>>("_G") {
        Ok(Some(base)) => base,
        _ => lua.globals(),
    };
    globals.raw_get(name)
}

/// All routes as one value, which a list may hold.
fn finish(lua: &Lua, made: Table) -> mlua::Result<Value> {
    let session = Session::of(lua, "openapi")?;
    let document = Document::of(&made.raw_get("document")?).ok_or_else(|| mlua::Error::runtime("no document"))?;
    let routes: Table = made.raw_get("routes")?;
    let children = read::list(&routes).iter().filter_map(super::Declared::of).collect();
    let anchor = here(lua, "openapi", Some(&document.name));
    let owner = format!("openapi `{}`", document.name);
    let block = Block { options: Options::of(lua, &made.raw_get("options")?), steps: Vec::new(), anchor, owner };
    nodes::add(lua, &session, Node { kind: Kind::Group, text: String::new(), block, children, claimed: None })
}
