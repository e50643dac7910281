//! `regex "…"`: expressions in linear time.

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;

use mlua::Function;
use mlua::IntoLua;
use mlua::IntoLuaMulti;
use mlua::Lua;
use mlua::LuaString;
use mlua::MetaMethod;
use mlua::MultiValue;
use mlua::Table;
use mlua::UserData;
use mlua::UserDataMethods;
use mlua::Value;

use crate::primitive::regex::Match;
use crate::primitive::regex::Regex;
use crate::script::bind::function;
use crate::script::bind::text::Text;
use crate::script::bind::text::kind;

/// A compiled expression in a script's hands.
#[derive(Clone)]
pub(crate) struct Pattern(Rc<Regex>);

impl Pattern {
    /// The expression that `value` is, if it is one.
    pub(crate) fn of(value: &Value) -> Option<Rc<Regex>> {
        value.as_userdata().and_then(|data| data.borrow::<Self>().ok()).map(|pattern| Rc::clone(&pattern.0))
    }
}

/// Expressions met lately, so that one written inside a function is not compiled for each request.
#[derive(Default)]
struct Compiled(RefCell<HashMap<String, Rc<Regex>>>);

/// `regex`
pub(super) fn install(lua: &Lua, words: &Table) -> mlua::Result<()> {
    lua.set_app_data(Compiled::default());
    words.set("regex", function(lua, "regex", |lua, pattern: String| lua.create_userdata(compile(lua, &pattern)?))?)
}

fn compile(lua: &Lua, pattern: &str) -> mlua::Result<Pattern> {
    let compiled = lua.app_data_ref::<Compiled>().ok_or_else(|| mlua::Error::runtime("the machine is closing"))?;
    if let Some(known) = compiled.0.borrow().get(pattern) {
        return Ok(Pattern(Rc::clone(known)));
    }
    if pattern.len() > LONGEST_PATTERN {
        return Err(mlua::Error::runtime(format!("regex: a pattern has {LONGEST_PATTERN} bytes at most")));
    }
    let regex = Regex::new(pattern).map_err(|fault| mlua::Error::runtime(format!("regex: {fault}")))?;
    let regex = Rc::new(regex);
    let mut known = compiled.0.borrow_mut();
    if known.len() >= KEPT {
        known.clear();
    }
    known.insert(pattern.to_owned(), Rc::clone(&regex));
    Ok(Pattern(regex))
}

impl UserData for Pattern {
    fn add_methods<M: UserDataMethods<Self>>(methods: &mut M) {
        methods.add_method("match", |lua, pattern, text: Text| {
            let text = subject(&text, "match")?;
            found(lua, &text, pattern.0.find(&text, 0))
        });
        methods.add_method("test", |_, pattern, text: Text| Ok(pattern.0.is_match(&subject(&text, "test")?)));
        methods.add_method("find", find);
        methods.add_method("replace", replace);
        methods.add_method("split", split);
        methods.add_meta_method(MetaMethod::ToString, |_, pattern, ()| Ok(format!("regex {:?}", pattern.0.source())));
    }
}

/// The groups of a match; the whole when there are none; `nil` without a match.
fn found(lua: &Lua, text: &[u8], found: Option<Match>) -> mlua::Result<MultiValue> {
    let Some(found) = found else { return Value::Nil.into_lua_multi(lua) };
    let skip = usize::from(found.groups.len() > 1);
    let mut values = MultiValue::new();
    for group in &found.groups[skip..] {
        values.push_back(match group {
            Some((start, end)) => lua.create_string(&text[*start..*end])?.into_lua(lua)?,
            None => Value::Nil,
        });
    }
    Ok(values)
}

/// `find(text, from?)`: first and last place from 1, then the groups, as `string.find` does.
fn find(lua: &Lua, pattern: &Pattern, (text, from): (Text, Option<usize>)) -> mlua::Result<MultiValue> {
    let text = subject(&text, "find")?;
    let from = from.unwrap_or(1).max(1) - 1;
    let Some(found_at) = (from <= text.len()).then(|| pattern.0.find(&text, from)).flatten() else {
        return Value::Nil.into_lua_multi(lua);
    };
    let (start, end) = found_at.groups.first().copied().flatten().unwrap_or_default();
    let mut values = if found_at.groups.len() > 1 { found(lua, &text, Some(found_at))? } else { MultiValue::new() };
    values.push_front(end.into_lua(lua)?);
    values.push_front((start + 1).into_lua(lua)?);
    Ok(values)
}

/// `replace(text, with, limit?)`: `with` is a text with `$1` or a function of the whole and the groups.
fn replace(lua: &Lua, pattern: &Pattern, (text, with, limit): (Text, Value, Option<usize>)) -> mlua::Result<LuaString> {
    let text = subject(&text, "replace")?;
    let limit = limit.unwrap_or(0);
    let replaced = match with {
        Value::Function(with) => replace_by(lua, pattern, &text, &with, limit)?,
        Value::String(with) => pattern.0.replace(&text, &with.as_bytes(), limit, LONGEST).map_err(|_| {
            mlua::Error::runtime(format!("regex: the result of replace is larger than {LONGEST} bytes"))
        })?,
        other => {
            let message = format!("regex: replace takes a text or a function, got {}", kind(&other));
            return Err(mlua::Error::runtime(message));
        }
    };
    lua.create_string(replaced)
}

fn replace_by(lua: &Lua, pattern: &Pattern, text: &[u8], with: &Function, limit: usize) -> mlua::Result<Vec<u8>> {
    let (mut out, mut done, mut from, mut count) = (Vec::new(), 0, 0, 0);
    while from <= text.len() && (limit == 0 || count < limit) {
        let Some(found_at) = pattern.0.find(text, from) else { break };
        let (start, end) = found_at.groups.first().copied().flatten().unwrap_or_default();
        let mut args = if found_at.groups.len() > 1 { found(lua, text, Some(found_at))? } else { MultiValue::new() };
        args.push_front(lua.create_string(&text[start..end])?.into_lua(lua)?);
        out.extend_from_slice(&text[done..start]);
        match with.call::<Option<LuaString>>(args)? {
            Some(put) => out.extend_from_slice(&put.as_bytes()),
            None => out.extend_from_slice(&text[start..end]),
        }
        if out.len() > LONGEST {
            return Err(mlua::Error::runtime(format!("regex: the result of replace is larger than {LONGEST} bytes")));
        }
        done = end;
        from = if end == start { end + 1 } else { end };
        count += 1;
    }
    out.extend_from_slice(&text[done..]);
    Ok(out)
}

/// `split(text, limit?)`: the pieces between matches.
fn split(lua: &Lua, pattern: &Pattern, (text, limit): (Text, Option<usize>)) -> mlua::Result<Table> {
    let text = subject(&text, "split")?;
    lua.create_sequence_from(
        pattern
            .0
            .split(&text, limit.unwrap_or(0))
            .into_iter()
            .map(|piece| lua.create_string(piece))
            .collect::<mlua::Result<Vec<_>>>()?,
    )
}

fn subject<'a>(text: &'a Text, method: &str) -> mlua::Result<super::text::Bytes<'a>> {
    text.within(&format!("regex: {method}"), LONGEST)?;
    Ok(text.bytes())
}

/// The longest text looked at, and the longest result: the watchdog cannot stop Rust.
const LONGEST: usize = 4 << 20;
const LONGEST_PATTERN: usize = 64 << 10;
/// Expressions kept.
const KEPT: usize = 64;
