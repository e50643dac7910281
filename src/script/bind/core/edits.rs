//! Edits of header lists and JSON texts, checked once when a policy is made.

use std::borrow::Cow;

use mlua::Function;
use mlua::IntoLuaMulti;
use mlua::Lua;
use mlua::LuaString;
use mlua::MultiValue;
use mlua::Table;
use mlua::Value;
use serde_json::Value as Json;

use super::exchange;
use super::template::parse;
use crate::proxy::Code;
use crate::proxy::Failure;
use crate::proxy::lookup::lookup;
use crate::script::bind::json;
use crate::script::driver::fault;
use crate::script::handle;
use crate::script::wait;
use crate::transform::Template;
use crate::transform::headers::Edits;
use crate::transform::headers::Rendered;
use crate::transform::json::Edit;
use crate::transform::json::Limits;
use crate::transform::json::Path;
use crate::transform::template::Escape;
use crate::transform::template::Unsafe;

/// `core.edits(options)`: a function of `req` (edits the request) or of `req, res` (edits the answer).
pub(super) fn edits(lua: &Lua, options: Table) -> mlua::Result<Option<Function>> {
    let edits = Edits {
        remove: list(&options, "remove")?,
        rename: pairs(&options, "rename")?,
        set: templates(&options, "set")?,
        default: templates(&options, "default")?,
        add: templates(&options, "add")?,
    };
    edits.check().map_err(|fault| mlua::Error::runtime(fault.to_string()))?;
    if edits.is_empty() {
        return Ok(None);
    }
    let apply = wait::strict(lua, "edits", move |lua, (req, res): (Value, Value)| apply(lua, &edits, &req, &res))?;
    Ok(Some(apply))
}

fn apply(lua: &Lua, edits: &Edits, req: &Value, res: &Value) -> mlua::Result<()> {
    let exchange = exchange(lua, req)?;
    let Some(held) = handle::held(lua, res) else {
        let rendered = edits.render(&mut |names| lookup(&exchange, names, None).map(Cow::Owned)).map_err(refused)?;
        safe(&rendered)?;
        rendered.apply(&mut exchange.request.borrow_mut().headers);
        return Ok(());
    };
    let rendered =
        held.read(|response| edits.render(&mut |names| lookup(&exchange, names, Some(response)).map(Cow::Owned)));
    let rendered = rendered.ok_or_else(|| mlua::Error::runtime("the response was sent already"))?.map_err(refused)?;
    safe(&rendered)?;
    held.edit(|response| rendered.apply(&mut response.headers));
    Ok(())
}

/// A value that would end a field early is the client's, and is refused.
fn safe(rendered: &Rendered) -> mlua::Result<()> {
    let values = rendered.set.iter().chain(&rendered.default).chain(&rendered.add);
    for (name, value) in values {
        if !crate::http::headers::is_value(value.as_bytes()) {
            return Err(refused(Unsafe { name: name.clone() }));
        }
    }
    Ok(())
}

fn refused(fault: Unsafe) -> mlua::Error {
    let detail = "a value of the request may not stand where it would be put";
    fault::raise(Failure::new(Code::HeaderUnsafe, detail).because(fault.to_string()))
}

/// A place in a JSON document and what it gets.
struct Set {
    path: Path,
    value: Json,
    /// Texts in the value that are templates, by JSON Pointer.
    holes: Vec<(String, Template)>,
}

/// `core.json_edit { keep, remove, rename, set }`: a function from JSON text, `req` and `res` to JSON text, or `nil` and
/// what is wrong.
pub(super) fn json_edit(lua: &Lua, options: Table) -> mlua::Result<Function> {
    let path = |text: &str| Path::parse(text).map_err(|fault| mlua::Error::runtime(format!("`{text}`: {fault}")));
    let paths = |name| list(&options, name)?.iter().map(|text| path(text)).collect::<mlua::Result<Vec<_>>>();
    let rename = pairs(&options, "rename")?;
    let edit = Edit {
        keep: paths("keep")?,
        remove: paths("remove")?,
        rename: rename.into_iter().map(|(from, to)| Ok((path(&from)?, to))).collect::<mlua::Result<_>>()?,
        set: Vec::new(),
    };
    let mut sets = Vec::new();
    for (name, value) in entries(&options, "set")? {
        let value = json::to_json(&value).map_err(|fault| mlua::Error::runtime(format!("`{name}`: {fault}")))?;
        sets.push(compiled(lua, path(&name)?, value)?);
    }
    wait::strict(lua, "json_edit", move |lua, (text, req, res): (LuaString, Value, Value)| {
        edited(lua, &edit, &sets, &text.as_bytes(), (&req, &res))
    })
}

/// Texts without names become what they stand for now (`{{` is a brace), the others when a request is there.
fn compiled(lua: &Lua, path: Path, mut value: Json) -> mlua::Result<Set> {
    let mut holes = Vec::new();
    let mut open = vec![(String::new(), &mut value)];
    while let Some((pointer, value)) = open.pop() {
        match value {
            Json::String(text) => {
                let template = parse(&Value::String(lua.create_string(&*text)?), Escape::Plain)?;
                match template.literal() {
                    Some(literal) => *text = literal.to_owned(),
                    None => holes.push((pointer, template)),
                }
            }
            Json::Array(list) => {
                open.extend(list.iter_mut().enumerate().map(|(at, value)| (format!("{pointer}/{at}"), value)));
            }
            Json::Object(map) => open.extend(
                map.iter_mut()
                    .map(|(key, value)| (format!("{pointer}/{}", key.replace('~', "~0").replace('/', "~1")), value)),
            ),
            _ => {}
        }
    }
    Ok(Set { path, value, holes })
}

fn edited(lua: &Lua, edit: &Edit, sets: &[Set], text: &[u8], (req, res): (&Value, &Value)) -> mlua::Result<MultiValue> {
    let mut document = match crate::transform::json::decode(text, Limits::default()) {
        Ok(document) => document,
        Err(fault) => return (Value::Nil, fault.to_string()).into_lua_multi(lua),
    };
    edit.apply(&mut document);
    for set in sets {
        if set.holes.is_empty() {
            set.path.set(&mut document, &set.value);
            continue;
        }
        let exchange = exchange(lua, req)?;
        let mut value = set.value.clone();
        for (pointer, template) in &set.holes {
            let filled = super::template::fill(lua, &exchange, res, template)?;
            if let Some(hole) = value.pointer_mut(pointer) {
                *hole = Json::String(filled);
            }
        }
        set.path.set(&mut document, &value);
    }
    crate::transform::json::encode(&document).into_lua_multi(lua)
}

fn list(options: &Table, name: &str) -> mlua::Result<Vec<String>> {
    let list: Option<Table> = options.get(name)?;
    list.map_or_else(|| Ok(Vec::new()), |list| list.sequence_values().collect())
}

/// Names sorted, so that every machine makes the same.
fn entries(options: &Table, name: &str) -> mlua::Result<Vec<(String, Value)>> {
    let table: Option<Table> = options.get(name)?;
    let Some(table) = table else { return Ok(Vec::new()) };
    let mut entries = table.pairs::<String, Value>().collect::<mlua::Result<Vec<_>>>()?;
    entries.sort_by(|(a, _), (b, _)| a.cmp(b));
    Ok(entries)
}

fn pairs(options: &Table, name: &str) -> mlua::Result<Vec<(String, String)>> {
    entries(options, name)?.into_iter().map(|(key, value)| Ok((key, value.to_string()?))).collect()
}

fn templates(options: &Table, name: &str) -> mlua::Result<Vec<(String, Template)>> {
    let entries = entries(options, name)?;
    entries.into_iter().map(|(key, value)| Ok((key, parse(&value, Escape::Header)?))).collect()
}
