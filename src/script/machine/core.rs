//! The Rust functions that only the prelude sees.

use std::rc::Rc;

use mlua::Function;
use mlua::Lua;
use mlua::Table;
use mlua::Value;
use mlua::chunk::ChunkMode;

use crate::proxy::Code;
use crate::proxy::Failure;
use crate::script::context::Context;
use crate::script::driver::fault;
use crate::script::wait;
use crate::telemetry::log;

/// All of them, by the names the prelude uses.
pub(super) fn table(lua: &Lua) -> mlua::Result<Table> {
    let core = lua.create_table()?;
    core.set("take", lua.create_function(wait::take)?)?;
    core.set("refuse", lua.create_function(wait::refuse)?)?;
    core.set("reject", lua.create_function(reject)?)?;
    core.set("answer", lua.create_function(answer)?)?;
    core.set("describe", lua.create_function(describe)?)?;
    core.set("say", lua.create_function(say)?)?;
    core.set("now", lua.create_function(now)?)?;
    core.set("unknown", lua.create_function(unknown)?)?;
    core.set("abort", lua.create_function(abort)?)?;
    core.set("stranded", lua.create_function(stranded)?)?;
    Ok(core)
}

/// `load(text or function, name, mode, env)` and `loadstring(text, name)`: text only.
pub(super) fn load(lua: &Lua) -> mlua::Result<Function> {
    lua.create_function(|lua, (chunk, name, _mode, env): (Value, Option<String>, Value, Option<Table>)| {
        let Some(text) = source(&chunk)? else {
            return Ok((None, Some("load: text or a function that returns text expected".to_owned())));
        };
        let name = name.unwrap_or_else(|| "=load".to_owned());
        let chunk = lua.load(text).set_name(name).set_mode(ChunkMode::Text);
        let chunk = match env {
            Some(env) => chunk.set_environment(env),
            None => chunk,
        };
        match chunk.into_function() {
            Ok(function) => Ok((Some(function), None)),
            Err(error) => Ok((None, Some(fault::message(&error)))),
        }
    })
}

fn source(chunk: &Value) -> mlua::Result<Option<Vec<u8>>> {
    let mut text = Vec::new();
    match chunk {
        Value::String(whole) => text.extend_from_slice(&whole.as_bytes()),
        Value::Function(next) => {
            while let Some(piece) = next.call::<Option<mlua::LuaString>>(())? {
                if piece.as_bytes().is_empty() || text.len() > 8 << 20 {
                    break;
                }
                text.extend_from_slice(&piece.as_bytes());
            }
        }
        _ => return Ok(None),
    }
    Ok(Some(text))
}

/// `reject(status, detail?, { code, headers })`: notes how the request ends; a returned text is the caller's mistake.
fn reject(lua: &Lua, args: (Value, Option<Value>, Option<Table>)) -> mlua::Result<Option<String>> {
    match rejection(args) {
        Ok(failure) => {
            *Context::of(lua).rejected.borrow_mut() = Some(failure);
            Ok(None)
        }
        Err(error) => Ok(Some(fault::message(&error))),
    }
}

fn rejection((status, detail, options): (Value, Option<Value>, Option<Table>)) -> mlua::Result<Failure> {
    let status = status.as_integer().and_then(|status| u16::try_from(status).ok());
    let status = status.filter(|status| (400..=599).contains(status));
    let status = status.ok_or_else(|| mlua::Error::runtime("reject: a status from 400 to 599 comes first"))?;
    let detail = match detail {
        None | Some(Value::Nil) => String::new(),
        Some(text) => text.to_string()?,
    };
    let mut failure = Failure::new(Code::Rejected, detail).status(status);
    let Some(options) = options else { return Ok(failure) };
    for pair in options.pairs::<String, Value>() {
        match pair? {
            (name, Value::String(code)) if name == "code" => {
                failure.code = Code::Custom(code.to_str()?.as_ref().into())
            }
            (name, Value::Table(headers)) if name == "headers" => failure.headers = fields(&headers)?,
            (name, _) => {
                let known = "reject: the options are `code` (text) and `headers` (a table)";
                return Err(mlua::Error::runtime(format!("{known}, not `{name}`")));
            }
        }
    }
    Ok(failure)
}

fn fields(table: &Table) -> mlua::Result<Vec<(String, String)>> {
    let fields: Vec<(String, String)> = table.pairs().collect::<mlua::Result<_>>()?;
    let safe = |(name, value): &(String, String)| {
        crate::http::headers::is_name(name.as_bytes()) && crate::http::headers::is_value(value.as_bytes())
    };
    match fields.iter().find(|field| !safe(field)) {
        Some((name, _)) => {
            Err(mlua::Error::runtime(format!("reject: header `{name}` has characters no field may have")))
        }
        None => Ok(fields),
    }
}

/// Notes the answer that ends the request.
fn answer(lua: &Lua, answer: Value) -> mlua::Result<()> {
    *Context::of(lua).answered.borrow_mut() = Some(answer);
    Ok(())
}

/// An error of a Rust function as a script sees it: text with the line it came from.
fn describe(lua: &Lua, fault: Value) -> mlua::Result<Value> {
    let Value::Error(error) = &fault else { return Ok(fault) };
    let text = match fault::located(error) {
        Some((file, line)) => format!("{file}:{line}: {}", fault::message(error)),
        None => fault::message(error),
    };
    lua.create_string(text).map(Value::String)
}

fn say(_: &Lua, text: String) -> mlua::Result<()> {
    log::info(&crate::script::bind::log::flat(&text), &[]);
    Ok(())
}

fn now(lua: &Lua, (): ()) -> mlua::Result<(f64, f64)> {
    let context = Context::of(lua);
    #[allow(clippy::cast_precision_loss, reason = "a script's clock, in seconds")]
    let ticks = if context.loading() { 0.0 } else { context.clock().now().0 as f64 / 1e9 };
    Ok((context.unix().as_secs_f64(), ticks))
}

fn unknown(lua: &Lua, name: Value) -> mlua::Result<String> {
    let name = name.to_string()?;
    let suggest = lua.app_data_ref::<Rc<Suggest>>().map(|suggest| Rc::clone(&suggest));
    let near = suggest.and_then(|suggest| (suggest.0)(&name));
    Ok(match near {
        Some(near) => format!("unknown name `{name}`; did you mean `{near}`?"),
        None => format!("unknown name `{name}`"),
    })
}

/// What a misspelt global may have meant; whoever knows the words sets it as app data (`Rc<Suggest>`).
#[allow(clippy::type_complexity, reason = "one closure")]
pub struct Suggest(pub Box<dyn Fn(&str) -> Option<String>>);

/// No `pcall` shall go on after a rejection that could not be yielded.
fn abort(lua: &Lua, (): ()) -> mlua::Result<()> {
    Context::of(lua).watch.abort();
    Ok(())
}

/// A wait or a rejection that cannot be passed outward; says whether it was a rejection.
fn stranded(lua: &Lua, (): ()) -> mlua::Result<bool> {
    let context = Context::of(lua);
    context.parked.take();
    let over = context.rejected.borrow().is_some() || context.answered.borrow().is_some();
    Ok(over)
}
