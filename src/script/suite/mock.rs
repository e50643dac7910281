//! `gw:mock("users", …)`: what stands in for a service, written as an answer, a list of answers, answers by path, or a
//! function.

use std::cell::Cell;
use std::rc::Rc;

use bytes::Bytes;
use mlua::Function;
use mlua::Lua;
use mlua::Table;
use mlua::Value;

use super::Call;
use super::Fault;
use super::Reply;
use super::StandIn;
use super::answer;
use super::asked::fields_of;
use super::asked::say_media;
use super::socket::Functions;
use crate::script::bind::json;
use crate::script::bind::options::Options;
use crate::script::driver::fault;

/// What may be said of an answer.
const NAMES: &[&str] =
    &["status", "headers", "json", "text", "html", "body", "chunks", "every", "delay", "fault", "websocket"];

/// The stand-in that `with` describes, and the list that its calls are noted in.
pub(super) fn stand_in(lua: &Lua, with: &Value) -> mlua::Result<(StandIn, Table)> {
    let calls = lua.create_table()?;
    let plan = Plan::read(lua, with)?;
    let (lua, noted) = (lua.clone(), calls.clone());
    let stand_in = move |call: Call| {
        let seen = answer::call(&lua, &call).map_err(said)?;
        noted.raw_push(&seen).map_err(said)?;
        let upstream = call.upstream.clone();
        let blame = move |error: mlua::Error| format!("the mock of `{upstream}`: {}", said(error));
        let written = plan.reply(&lua, &call, &seen).map_err(&blame)?;
        let Written { mut reply, socket } = written;
        if let Some(functions) = socket {
            reply.attendant = Some(functions.attendant(&lua, &seen, blame).map_err(said)?);
        }
        Ok(reply)
    };
    Ok((Rc::new(stand_in), calls))
}

/// A mock's mistake, with its place.
fn said(error: mlua::Error) -> String {
    match fault::located(&error) {
        Some((file, line)) => format!("{file}:{line}: {}", fault::message(&error)),
        None => fault::message(&error),
    }
}

/// An answer as a test writes it.
#[derive(Clone)]
struct Written {
    reply: Reply,
    /// Who takes the WebSocket that is asked for.
    socket: Option<Rc<Functions>>,
}

enum Plan {
    /// Always this.
    One(Written),
    /// One after the other; the last one stays.
    Sequence(Vec<Self>, Cell<usize>),
    /// `["GET /users/7"]` or `["/users/7"]`; `*` at the end takes what begins so.
    Paths(Vec<(String, Self)>),
    /// Made for each request.
    Made(Function),
}

impl Plan {
    fn read(lua: &Lua, with: &Value) -> mlua::Result<Self> {
        match with {
            Value::Function(function) => Ok(Self::Made(function.clone())),
            Value::Table(table) if table.raw_len() > 0 => {
                let all = table.sequence_values::<Value>().map(|one| Self::read(lua, &one?));
                Ok(Self::Sequence(all.collect::<mlua::Result<_>>()?, Cell::new(0)))
            }
            Value::Table(table) if is_by_path(table) => {
                let mut paths = Vec::new();
                for pair in table.pairs::<String, Value>() {
                    let (path, with) = pair?;
                    paths.push((path, Self::read(lua, &with)?));
                }
                // The longer path says more; one with a method more than one without.
                paths.sort_by_key(|(path, _)| (std::cmp::Reverse(path.len()), path.clone()));
                Ok(Self::Paths(paths))
            }
            _ => reply(lua, with).map(Self::One),
        }
    }

    fn reply(&self, lua: &Lua, call: &Call, seen: &Table) -> mlua::Result<Written> {
        match self {
            Self::One(written) => Ok(written.clone()),
            Self::Sequence(all, next) => {
                let at = next.get().min(all.len() - 1);
                next.set(at + 1);
                all[at].reply(lua, call, seen)
            }
            Self::Paths(paths) => match paths.iter().find(|(path, _)| takes(path, call)) {
                Some((_, plan)) => plan.reply(lua, call, seen),
                None => Err(mlua::Error::runtime(format!("nothing is written for {} {}", call.method, call.path))),
            },
            Self::Made(function) => reply(lua, &function.call(seen)?),
        }
    }
}

fn is_by_path(table: &Table) -> bool {
    let mut keys = table.pairs::<Value, Value>().flatten().peekable();
    keys.peek().is_some() && keys.all(|(key, _)| key.as_string().is_some_and(|key| key.to_string_lossy().contains('/')))
}

fn takes(pattern: &str, call: &Call) -> bool {
    let (method, path) = match pattern.split_once(' ') {
        Some((method, path)) => (Some(method), path.trim_start()),
        None => (None, pattern),
    };
    let fits = match path.strip_suffix('*') {
        Some(prefix) => call.path.starts_with(prefix),
        None => call.path == path,
    };
    fits && method.is_none_or(|method| method == call.method)
}

/// A status, a text, or a table.
fn reply(lua: &Lua, with: &Value) -> mlua::Result<Written> {
    let bare = |reply| Ok(Written { reply, socket: None });
    let mut reply = Reply::status(200);
    let table = match with {
        Value::Nil => return bare(Reply { status: 204, ..reply }),
        Value::Table(table) => table,
        Value::String(text) => {
            reply.pieces.push(Bytes::from(text.as_bytes().to_vec()));
            return bare(reply);
        }
        other => {
            let status = other.as_integer().and_then(|status| u16::try_from(status).ok());
            let status = status.filter(|status| (200..=599).contains(status)).ok_or_else(|| {
                let said = "a mock answers with a table, a text, a status from 200 to 599, or a list of these";
                mlua::Error::runtime(format!("{said}, not {}", other.type_name()))
            })?;
            return bare(Reply { status, ..reply });
        }
    };
    let options = Options::read(lua, "a mock's answer".to_owned(), Some(table), NAMES)?;
    let status = options.int("status", 200, 599)?.unwrap_or(200);
    reply.status = u16::try_from(status).unwrap_or(200);
    if let Some(fields) = options.table("headers")? {
        fields_of(&fields, &mut reply.headers)?;
    }
    body(&options, &mut reply)?;
    reply.delay = options.duration("delay")?.unwrap_or_default();
    reply.every = options.duration("every")?.unwrap_or_default();
    reply.fault = match options.text("fault")?.as_deref() {
        None => None,
        Some("reset") => Some(Fault::Reset),
        Some("hang") => Some(Fault::Hang),
        Some("cut") => Some(Fault::Cut),
        Some("garbage") => Some(Fault::Garbage),
        Some(other) => {
            return Err(options.wrong("fault", &format!("there are reset, hang, cut and garbage, not `{other}`")));
        }
    };
    let socket = Functions::read(lua, &options)?.map(Rc::new);
    if socket.is_some() && (options.value("status")?.is_some() || !reply.pieces.is_empty()) {
        let said = "a mock's answer: `websocket` takes the socket, status and body refuse it: write one of the two";
        return Err(mlua::Error::runtime(said));
    }
    Ok(Written { reply, socket })
}

fn body(options: &Options<'_>, reply: &mut Reply) -> mlua::Result<()> {
    let mut media = None;
    if let Some(value) = options.value("json")? {
        let text = json::encode(&value).map_err(|fault| options.wrong("json", &fault))?;
        reply.pieces.push(Bytes::from(text));
        media = Some("application/json");
    }
    for (name, kind) in [("text", Some("text/plain; charset=utf-8")), ("html", Some("text/html")), ("body", None)] {
        if let Some(text) = options.bytes(name)? {
            reply.pieces.push(Bytes::from(text.bytes().to_vec()));
            media = media.or(kind);
        }
    }
    if reply.pieces.len() > 1 {
        return Err(mlua::Error::runtime("a mock's answer: write one of json, text, html and body"));
    }
    if let Some(chunks) = options.table("chunks")? {
        for chunk in chunks.sequence_values::<mlua::LuaString>() {
            reply.pieces.push(Bytes::from(chunk?.as_bytes().to_vec()));
        }
    }
    say_media(media, &mut reply.headers);
    Ok(())
}
