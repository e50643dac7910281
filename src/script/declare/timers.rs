//! `every`, `after`, `on`: what runs once per gateway, recorded while loading.

use std::time::Duration;

use mlua::Function;
use mlua::Lua;
use mlua::Table;
use mlua::Value;

use super::Session;
use super::here;
use super::place_of;
use super::session::Timer;
use crate::primitive::units;
use crate::script::bind::tasks;
use crate::script::context::Context;
use crate::script::diagnose::Anchor;
use crate::script::diagnose::Segment;
use crate::script::diagnose::Spot;
use crate::script::options::describe;
use crate::script::words;

/// Events of the gateway itself; every failure code is one too, and `emit` makes more.
pub(crate) const EVENTS: &[&str] = &["start", "stop", "reload", "host_down", "host_up", "purge"];

pub(super) fn install(lua: &Lua, globals: &Table) -> mlua::Result<()> {
    for word in ["every", "after"] {
        globals.raw_set(
            word,
            lua.create_function(move |lua, (wait, function): (Value, Value)| timer(lua, word, &wait, &function))?,
        )?;
    }
    globals.raw_set("on", lua.create_function(event)?)
}

fn timer(lua: &Lua, word: &'static str, wait: &Value, function: &Value) -> mlua::Result<Value> {
    if let (Value::Function(function), "after", false) = (function, word, Context::of(lua).loading()) {
        return tasks::after(lua, wait, function.clone()).map(|()| Value::Nil);
    }
    let session = Session::of(lua, word)?;
    let anchor = here(lua, word, None);
    let parsed = match wait {
        Value::String(text) => units::duration(&text.to_string_lossy()).map_err(|error| error.0),
        other => crate::script::options::check::real(other).map_or_else(
            || Err(format!("this is {}", describe(other))),
            |seconds| units::seconds(seconds).map_err(|error| error.0),
        ),
    };
    match parsed {
        Ok(wait) if word == "every" && wait < SHORTEST => {
            session.fault(at(&anchor), "`every` runs at most ten times a second", "write \"100ms\" or more", "");
        }
        Ok(wait) => return record(lua, &session, &anchor, word, wait.as_secs_f64().to_string(), function),
        Err(label) => {
            let said = format!("`{word}` takes a duration first: {word}(\"30s\", function() … end)");
            session.fault(at(&anchor), said, label, "");
        }
    }
    handle(lua, word, "")
}

const SHORTEST: Duration = Duration::from_millis(100);

fn at(anchor: &Anchor) -> Anchor {
    Anchor { path: vec![Segment::Index(1)], spot: Spot::Value, ..anchor.clone() }
}

fn event(lua: &Lua, (name, function): (Value, Value)) -> mlua::Result<Value> {
    let session = Session::of(lua, "on")?;
    let Value::String(name) = &name else {
        let said = format!("`on` takes the name of an event first, and got {}", describe(&name));
        session.fault(here(lua, "on", None), said, "write on(\"start\", function() … end)", "");
        return Ok(Value::Nil);
    };
    let name = name.to_string_lossy();
    let anchor = here(lua, "on", Some(&name));
    // A dotted name is a failure code, or one of the script's own; others are what `emit` names.
    if !EVENTS.contains(&name.as_str()) {
        let near = words::nearest(&name, EVENTS.iter().copied());
        session.events.borrow_mut().push((name.clone(), Anchor { spot: Spot::Subject, ..anchor.clone() }, near));
    }
    record(lua, &session, &anchor, "on", name, &function)
}

fn record(
    lua: &Lua,
    session: &Session,
    anchor: &Anchor,
    word: &'static str,
    argument: String,
    function: &Value,
) -> mlua::Result<Value> {
    let Value::Function(function) = function else {
        let said = format!("`{word}` takes a function second, and got {}", describe(function));
        session.fault(anchor.clone(), said, format!("write {word}(…, function() … end)"), "");
        return handle(lua, word, "");
    };
    let place = (anchor.file.clone(), anchor.line);
    let function: Function = function.clone();
    session.watched.borrow_mut().push((word, place_of(&function)));
    let alike = |timer: &&Timer| timer.word == word && timer.argument == argument;
    let identity = tasks::identity(word, &argument, session.timers.borrow().iter().filter(alike).count());
    session.timers.borrow_mut().push(Timer { word: word.to_owned(), argument, function, place });
    handle(lua, word, &identity)
}

/// What `every` returns: `:get()` is the last value, seen by all workers.
fn handle(lua: &Lua, word: &str, identity: &str) -> mlua::Result<Value> {
    if word != "every" {
        return Ok(Value::Nil);
    }
    Session::of(lua, word)?.object(identity.to_owned(), String::new());
    tasks::flags(lua, identity)
}
