//! Bodies as they pass: read chunk by chunk, or rewritten by a function on their way.

mod cut;
mod pass;

use mlua::Function;
use mlua::Lua;
use mlua::Value;

use super::Subject;
use super::coding;
use super::error;
use super::fields::one;
use crate::http::Body;
use crate::script::bind::text::Text;
use crate::script::context::Context;
use crate::script::wait;
use cut::Cut;
use pass::Passing;

/// `:chunks()`: an iterator over the body as it arrives, decoded. What was read is gone from the message.
pub(super) fn chunks(lua: &Lua, this: Value) -> mlua::Result<Function> {
    let subject = Subject::of(lua, &this)?;
    let side = subject.side();
    let body = uncoded(lua, &subject)?;
    let body = std::rc::Rc::new(std::cell::RefCell::new(Some(body)));
    subject.put_body(Body::Empty);
    subject.with_headers(coding::forget_body)?;
    wait::function(lua, "chunks", move |lua, _: mlua::MultiValue| {
        let lua = lua.clone();
        let place = std::rc::Rc::clone(&body);
        Ok(Box::pin(async move {
            let taken = place.borrow_mut().take();
            let Some(mut body) = taken else { return Err(error("the body is being read")) };
            let chunk = body.chunk().await;
            *place.borrow_mut() = Some(body);
            match chunk {
                None => Ok(one(Value::Nil)),
                Some(Ok(chunk)) => Ok(one(Value::String(lua.create_string(&chunk)?))),
                Some(Err(error)) => Err(coding::broken(side, error)),
            }
        }))
    })
}

/// `:map(fn)`: each chunk as it passes; nil drops it.
pub(super) fn map(lua: &Lua, (this, function): (Value, Function)) -> mlua::Result<Value> {
    pass(lua, this, Cut::Chunks, function)
}

/// `res:lines(fn)`: each line, without its end.
pub(super) fn lines(lua: &Lua, (this, function): (Value, Function)) -> mlua::Result<Value> {
    pass(lua, this, Cut::Lines, function)
}

/// `res:sse(fn)`: each server-sent event, as a table.
pub(super) fn sse(lua: &Lua, (this, function): (Value, Function)) -> mlua::Result<Value> {
    pass(lua, this, Cut::Events, function)
}

/// `res:replace(a, b)`: every `a` becomes `b`.
pub(super) fn replace(lua: &Lua, (this, from, to): (Value, Text, Text)) -> mlua::Result<Value> {
    let subject = Subject::of(lua, &this)?;
    let from = from.bytes().to_vec();
    if from.is_empty() {
        return Err(error("replace: the text to look for is empty"));
    }
    if subject.is_fixed() {
        return Ok(this);
    }
    let body = uncoded(lua, &subject)?;
    subject.put_body(Body::stream(pass::Replacing::new(body, from, to.bytes().to_vec())));
    subject.with_headers(coding::forget_body)?;
    Ok(this)
}

fn pass(lua: &Lua, this: Value, cut: Cut, function: Function) -> mlua::Result<Value> {
    let subject = Subject::of(lua, &this)?;
    if subject.is_fixed() {
        return Ok(this);
    }
    let context = Context::of(lua);
    let body = uncoded(lua, &subject)?;
    let longest = context.limits().buffer;
    subject.put_body(Body::stream(Passing::new(body, cut, longest, function, context)));
    subject.with_headers(coding::forget_body)?;
    Ok(this)
}

/// The body, taken away and without its coding.
fn uncoded(lua: &Lua, subject: &Subject) -> mlua::Result<Body> {
    let coding = subject.coding()?;
    let output = Context::of(lua).limits().body.max(1 << 30);
    let body = subject.take_body()?;
    match coding {
        None => Ok(body),
        Some(field) => coding::decoded(subject.side(), body, &field, output),
    }
}
