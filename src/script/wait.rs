//! Primitives that wait: a Rust half that leaves a future with the driver, a Lua half that yields to it.

use std::future::Future;
use std::future::poll_fn;
use std::pin::Pin;
use std::task::Poll;

use mlua::FromLuaMulti;
use mlua::Function;
use mlua::IntoLuaMulti;
use mlua::Lua;
use mlua::MultiValue;
use mlua::Value;

use crate::proxy::Failure;
use crate::proxy::Run;
use crate::script::context::Context;
use crate::script::driver::fault;
use crate::script::machine::Prelude;

/// What a primitive waits for. An error is raised at the caller's line; a [`fault::raise`]d failure ends the request.
pub type Waiting = Pin<Box<dyn Future<Output = mlua::Result<MultiValue>>>>;

/// A function of this name for scripts that waits for what `start` returns. Where nothing can wait it raises instead,
/// naming the place.
pub fn function<A: FromLuaMulti>(
    lua: &Lua,
    name: &str,
    start: impl Fn(&Lua, A) -> mlua::Result<Waiting> + 'static,
) -> mlua::Result<Function> {
    maybe(lua, name, move |lua, args| start(lua, args).map(Run::Wait))
}

/// How a primitive begins that need not wait each time.
pub type Began = mlua::Result<Run<mlua::Result<MultiValue>>>;

/// There was nothing to wait for, and there is nothing to say.
pub fn done() -> Began {
    Ok(Run::Done(Ok(MultiValue::new())))
}

/// As [`function()`], for what need not wait each time: one value at hand costs no turn of the driver.
pub fn maybe<A: FromLuaMulti>(
    lua: &Lua,
    name: &str,
    start: impl Fn(&Lua, A) -> Began + 'static,
) -> mlua::Result<Function> {
    let label = name.to_owned();
    let park = lua.create_function(move |lua, args: MultiValue| {
        let context = Context::of(lua);
        if context.loading() {
            return (false, format!("`{label}` cannot be called while the file loads")).into_lua_multi(lua);
        }
        let started = A::from_lua_args(args, 1, Some(&label), lua).and_then(|args| start(lua, args));
        match started {
            Ok(Run::Wait(waiting)) => *context.parked.borrow_mut() = Some(waiting),
            Ok(Run::Done(Ok(mut values))) => return (true, values.pop_front()).into_lua_multi(lua),
            Ok(Run::Done(Err(error))) | Err(error) => return refused(lua, &context, &error),
        }
        ().into_lua_multi(lua)
    })?;
    Prelude::of(lua).waiting.call((name, park))
}

/// As [`function()`], for what is mostly there already (a body in memory): tried once on the spot, and only what is not
/// ready is waited for.
pub fn prompt<A: FromLuaMulti>(
    lua: &Lua,
    name: &str,
    start: impl Fn(&Lua, A) -> mlua::Result<Waiting> + 'static,
) -> mlua::Result<Function> {
    let label = name.to_owned();
    let attempt = lua.create_function(move |lua, mut args: MultiValue| {
        let context = Context::of(lua);
        if context.loading() {
            return (false, format!("`{label}` cannot be called while the file loads")).into_lua_multi(lua);
        }
        let may_wait = args.pop_front().is_some_and(|may| may.as_boolean() == Some(true));
        let started = A::from_lua_args(args, 1, Some(&label), lua).and_then(|args| start(lua, args));
        let mut waiting = match started {
            Ok(waiting) => waiting,
            Err(error) => return refused(lua, &context, &error),
        };
        match waiting.as_mut().poll(&mut std::task::Context::from_waker(std::task::Waker::noop())) {
            Poll::Ready(Ok(mut values)) => {
                values.push_front(Value::Boolean(true));
                Ok(values)
            }
            Poll::Ready(Err(error)) => refused(lua, &context, &error),
            Poll::Pending if !may_wait => (false, refuse(lua, label.clone())?).into_lua_multi(lua),
            Poll::Pending => {
                *context.parked.borrow_mut() = Some(waiting);
                "wait".into_lua_multi(lua)
            }
        }
    })?;
    Prelude::of(lua).prompt.call(attempt)
}

/// A function whose plain errors are raised as text at the caller's line, and whose [`fault::raise`]d failures end the
/// request. It does not wait.
pub fn strict<A: FromLuaMulti, R: IntoLuaMulti>(
    lua: &Lua,
    name: &str,
    call: impl Fn(&Lua, A) -> mlua::Result<R> + 'static,
) -> mlua::Result<Function> {
    let label = name.to_owned();
    let call = lua.create_function(move |lua, args: MultiValue| {
        let done = A::from_lua_args(args, 1, Some(&label), lua).and_then(|args| call(lua, args)?.into_lua_multi(lua));
        match done {
            Ok(mut values) => {
                values.push_front(Value::Boolean(true));
                Ok(values)
            }
            Err(error) => refused(lua, &Context::of(lua), &error),
        }
    })?;
    Prelude::of(lua).strict.call(call)
}

/// A failure ends the request by the marker (nothing is returned), any other error is text for the caller's line.
fn refused(lua: &Lua, context: &Context, error: &mlua::Error) -> mlua::Result<MultiValue> {
    if let Some(failure) = fault::raised(error) {
        *context.rejected.borrow_mut() = Some(failure);
        return ().into_lua_multi(lua);
    }
    (false, fault::message(error)).into_lua_multi(lua)
}

/// Takes what the wait came to: `true` and the values, or `false` and a message.
pub(super) fn take(lua: &Lua, (): ()) -> mlua::Result<MultiValue> {
    match Context::of(lua).arrived.take() {
        Some(Ok(mut values)) => {
            values.push_front(Value::Boolean(true));
            Ok(values)
        }
        Some(Err(error)) => (false, fault::message(&error)).into_lua_multi(lua),
        None => (false, "this wait was given up").into_lua_multi(lua),
    }
}

/// Why `name` cannot wait here.
pub(super) fn refuse(lua: &Lua, name: String) -> mlua::Result<String> {
    let context = Context::of(lua);
    if context.loading() {
        return Ok(format!("`{name}` cannot be called while the file loads"));
    }
    Ok(match context.place() {
        Some(place) => format!("`{name}` cannot wait in {place}"),
        None => format!("`{name}` cannot wait inside a metamethod or a callback of sort, gsub or foreach"),
    })
}

/// A future that is ready with `values`.
pub fn ready(values: mlua::Result<MultiValue>) -> Waiting {
    Box::pin(std::future::ready(values))
}

/// Work for [`prompt`] that begins only once it may be waited for, not while it is tried on the spot.
pub fn later(work: impl Future<Output = mlua::Result<MultiValue>> + 'static) -> Waiting {
    let (mut work, mut tried) = (Box::pin(work), false);
    Box::pin(poll_fn(move |cx| {
        if !std::mem::replace(&mut tried, true) {
            return Poll::Pending;
        }
        work.as_mut().poll(cx)
    }))
}

/// Ends the request with `failure`, from a function made by [`function()`] or [`strict`].
pub fn fail<T>(failure: Failure) -> mlua::Result<T> {
    Err(fault::raise(failure))
}

#[cfg(test)]
pub(in crate::script) mod tests;
