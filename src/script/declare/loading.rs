//! Words that bring something in while loading: `require`, `include`, `env`, `secret`, `file`.

use mlua::Function;
use mlua::Lua;
use mlua::Table;
use mlua::Value;

use super::Poison;
use super::Session;
use super::here;
use super::nodes;
use super::read::Options;
use super::session::Block;
use super::session::Kind;
use super::session::Node;
use super::session::place;
use crate::script::context::Context;
use crate::script::diagnose::Anchor;
use crate::script::diagnose::Spot;
use crate::script::load;
use crate::script::machine::embedded;
use crate::script::options::describe;
use crate::script::secret::Secret;

pub(super) fn install(lua: &Lua, globals: &Table) -> mlua::Result<()> {
    let core = lua.create_table()?;
    core.raw_set("find", lua.create_function(find)?)?;
    core.raw_set("files", lua.create_function(files)?)?;
    core.raw_set("poison", lua.create_function(|lua, (): ()| lua.create_userdata(Poison))?)?;
    core.raw_set("mark", lua.create_function(mark)?)?;
    core.raw_set("close", lua.create_function(close)?)?;
    let chunk = embedded(lua, "=[loading]", include_str!("loading.luau"))?;
    let made: Table = chunk.call(core)?;
    globals.raw_set("require", made.raw_get::<Function>("require")?)?;
    globals.raw_set("include", made.raw_get::<Function>("include")?)?;
    globals.raw_set("env", env(lua)?)?;
    globals.raw_set("secret", lua.create_function(secret)?)?;
    globals.raw_set("file", lua.create_function(file)?)
}

fn env(lua: &Lua) -> mlua::Result<Table> {
    let env = lua.create_table()?;
    let meta = lua.create_table()?;
    meta.raw_set(
        "__index",
        lua.create_function(|lua, (_, name): (Value, Value)| {
            let context = Context::of(lua);
            let Some(name) = name.as_string().map(|name| name.to_string_lossy()) else { return Ok(None) };
            Ok(context.snapshot().env.get(&name).cloned())
        })?,
    )?;
    meta.raw_set(
        "__newindex",
        lua.create_function(|_, (_, name): (Value, Value)| -> mlua::Result<()> {
            let name = name.to_string()?;
            Err(mlua::Error::runtime(format!("env.{name} cannot be set: the environment is the process's own")))
        })?,
    )?;
    meta.raw_set(
        "__call",
        lua.create_function(|lua, (env, name): (Table, Value)| {
            env.get::<Value>(name).or_else(|_| lua.create_table().map(Value::Table))
        })?,
    )?;
    meta.raw_set("__metatable", "locked")?;
    env.set_metatable(Some(meta))?;
    env.set_readonly(true);
    Ok(env)
}

/// A text argument, or a fault and poison.
fn text(
    lua: &Lua,
    word: &'static str,
    value: &Value,
    example: &str,
) -> mlua::Result<Option<(std::rc::Rc<Session>, String, Anchor)>> {
    let session = Session::of(lua, word)?;
    match value {
        Value::String(text) => {
            let text = text.to_string_lossy();
            let anchor = Anchor { spot: Spot::Subject, ..here(lua, word, Some(&text)) };
            Ok(Some((session, text, anchor)))
        }
        value if Poison::is(value) => Ok(None),
        other => {
            session.fault(
                here(lua, word, None),
                format!("`{word}` takes text, and got {}", describe(other)),
                format!("write {example}"),
                "",
            );
            Ok(None)
        }
    }
}

fn secret(lua: &Lua, name: Value) -> mlua::Result<Value> {
    let Some((session, name, anchor)) = text(lua, "secret", &name, "secret \"NAME\"")? else {
        return lua.create_userdata(Poison).map(Value::UserData);
    };
    let context = Context::of(lua);
    let snapshot = context.snapshot();
    match session.files.secret(&name, &snapshot.env, snapshot.secrets.as_deref()) {
        Some(value) => Secret::new(&name, value.to_vec()).push(lua).map(Value::UserData),
        None => {
            let label = match snapshot.secrets.as_deref() {
                Some(folder) => {
                    format!("set the environment variable {name}, or write {}", folder.join(&name).display())
                }
                None => format!("set the environment variable {name}, or MOONGATE_SECRETS to a folder that has it"),
            };
            session.fault(anchor, format!("no secret `{name}`"), label, "");
            Secret::new(&name, Vec::new()).push(lua).map(Value::UserData)
        }
    }
}

fn file(lua: &Lua, name: Value) -> mlua::Result<Value> {
    let Some((session, name, anchor)) = text(lua, "file", &name, "file \"name.txt\"")? else {
        return lua.create_userdata(Poison).map(Value::UserData);
    };
    match session.files.read(&name) {
        Ok(bytes) => lua.create_string(&bytes).map(Value::String),
        Err(reason) => {
            session.fault(anchor, reason, "paths are relative to the config folder", "");
            lua.create_userdata(Poison).map(Value::UserData)
        }
    }
}

/// `require "a.b"`: the module's key, then its chunk; `moongate` are the words themselves.
fn find(lua: &Lua, name: Value) -> mlua::Result<(Value, Value)> {
    let none = || Ok((Value::Nil, Value::UserData(lua.create_userdata(Poison)?)));
    let Some((session, name, anchor)) = text(lua, "require", &name, "require \"policies.auth\"")? else {
        return none();
    };
    if name == "moongate" {
        let words: Value = lua.globals().get("_G")?;
        return Ok((Value::Boolean(true), words));
    }
    let (from, _) = place(lua);
    let tried = candidates(&from, &name);
    let Some(found) = tried.iter().find(|path| session.files.exists(path)) else {
        let mut shown: Vec<String> = tried.iter().map(|path| format!("`{path}`")).collect();
        shown.dedup();
        let label = if outside(&name) {
            "modules live in the config folder".to_owned()
        } else {
            format!("looked for {}", shown.join(", "))
        };
        session.fault(anchor, format!("no module `{name}`"), label, "");
        return none();
    };
    let key = Value::String(lua.create_string(found)?);
    Ok((key, chunk(lua, &session, found, &anchor)?))
}

fn outside(name: &str) -> bool {
    name.starts_with('/') || name.contains("..")
}

/// Where a module may lie: beside the requiring file, then at the root.
fn candidates(from: &str, name: &str) -> Vec<String> {
    let beside = from.rsplit_once('/').map(|(folder, _)| folder).unwrap_or_default();
    let relative = name.starts_with("./") || name.starts_with("../");
    let path = if relative || name.contains('/') { name.to_owned() } else { name.replace('.', "/") };
    let path = path.strip_suffix(".lua").unwrap_or(&path);
    let folders: &[&str] = if relative { &[beside] } else { &[beside, ""] };
    let mut found: Vec<String> = Vec::new();
    for folder in folders {
        for end in [".lua", ".luau", "/init.lua"] {
            if let Some(path) = clean(&format!("{folder}/{path}{end}"))
                && !found.contains(&path)
            {
                found.push(path);
            }
        }
    }
    found
}

/// Without `.` and `..`; `None` when it would leave the folder.
fn clean(path: &str) -> Option<String> {
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop()?;
            }
            part => parts.push(part),
        }
    }
    Some(parts.join("/"))
}

/// The file as a function, or nil after telling why not.
fn chunk(lua: &Lua, session: &Session, name: &str, anchor: &Anchor) -> mlua::Result<Value> {
    match load::chunk(lua, session, name) {
        Ok(function) => Ok(Value::Function(function)),
        Err(Some(fault)) => {
            session.diagnostics.borrow_mut().push(fault);
            Ok(Value::Nil)
        }
        Err(None) => {
            session.fault(anchor.clone(), format!("{name} cannot be loaded"), "", "");
            Ok(Value::Nil)
        }
    }
}

/// The files of `include "routes/*.lua"`, as chunks.
fn files(lua: &Lua, pattern: Value) -> mlua::Result<Table> {
    let chunks = lua.create_table()?;
    let Some((session, pattern, anchor)) = text(lua, "include", &pattern, "include \"routes/*.lua\"")? else {
        return Ok(chunks);
    };
    let (from, _) = place(lua);
    match session.files.glob(&pattern) {
        Ok(names) => {
            if names.is_empty() {
                session.warn(
                    "empty-include",
                    anchor.clone(),
                    format!("`include \"{pattern}\"` matches no file"),
                    "it brings nothing",
                );
            }
            for name in names.iter().filter(|name| **name != from) {
                if session.ran.borrow().contains(name) {
                    session.fault(
                        anchor.clone(),
                        format!("{name} is included twice"),
                        "its routes belong to one list",
                        "",
                    );
                    continue;
                }
                if let Value::Function(function) = chunk(lua, &session, name, &anchor)? {
                    chunks.raw_push(function)?;
                }
            }
        }
        Err(reason) => {
            let folder = !pattern.ends_with(".lua") && !pattern.ends_with(".luau");
            let label = if folder {
                format!("write include \"{}/*.lua\"", pattern.trim_end_matches('/'))
            } else {
                "paths are relative to the config folder".to_owned()
            };
            session.fault(anchor, reason, label, "");
        }
    }
    Ok(chunks)
}

/// How many nodes there are so far.
fn mark(lua: &Lua, (): ()) -> mlua::Result<usize> {
    Ok(Session::of(lua, "include")?.nodes.borrow().len())
}

/// Routes and groups made since `mark` that no list has belong to the include.
fn close(lua: &Lua, (pattern, mark): (Value, usize)) -> mlua::Result<Value> {
    let session = Session::of(lua, "include")?;
    let text = pattern.as_string().map(|text| text.to_string_lossy()).unwrap_or_default();
    let anchor = here(lua, "include", Some(&text));
    let mut children = Vec::new();
    for (index, node) in session.nodes.borrow_mut().iter_mut().enumerate().skip(mark) {
        if node.claimed.is_none() {
            node.claimed = Some((anchor.file.clone(), anchor.line));
            children.push(index);
        }
    }
    let owner = format!("include `{text}`");
    let block = Block { options: Options::new(lua), steps: Vec::new(), anchor, owner };
    nodes::add(lua, &session, Node { kind: Kind::Include, text, block, children, claimed: None })
}
