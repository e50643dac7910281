//! The functions of `websocket = { … }`, and `ws` as they see it.

use std::future::poll_fn;
use std::rc::Rc;

use bytes::Bytes;
use mlua::AnyUserData;
use mlua::Function;
use mlua::IntoLuaMulti;
use mlua::Lua;
use mlua::MetaMethod;
use mlua::Table;
use mlua::UserData;
use mlua::UserDataFields;
use mlua::UserDataMethods;
use mlua::Value;

use super::Inner;
use super::then;
use crate::proxy::Code;
use crate::proxy::Exchange;
use crate::proxy::Failure;
use crate::proxy::Run;
use crate::proxy::site::Target;
use crate::proxy::websocket::Close;
use crate::proxy::websocket::Fate;
use crate::proxy::websocket::Line;
use crate::proxy::websocket::Message;
use crate::proxy::websocket::Side;
use crate::proxy::websocket::Talk;
use crate::script::bind::text::kind;
use crate::script::driver;
use crate::script::driver::Outcome;
use crate::script::driver::fault;
use crate::script::pipeline::Socket;
use crate::script::wait;
use crate::script::wait::Waiting;

/// Where a machine keeps `ws.send`.
const SEND: &str = "moongate.ws.send";

/// What every `ws` of a machine shares.
pub(super) fn prepare(lua: &Lua) -> mlua::Result<()> {
    lua.set_named_registry_value(SEND, wait::function(lua, "ws:send", send)?)
}

impl Inner {
    /// The functions on a socket that is open now.
    pub(super) fn talk(self: &Rc<Self>, exchange: &Rc<Exchange>, line: &Rc<Line>) -> mlua::Result<Rc<dyn Talk>> {
        let context = &self.context;
        let setting = exchange.setting();
        let ws = Ws {
            line: Rc::clone(line),
            req: self.request(exchange),
            leads: setting.is_some_and(|setting| !matches!(setting.to, Target::Nowhere)),
            limit: context.limits().buffer,
        };
        let ws = self.lua.create_userdata(ws)?;
        ws.set_user_value(self.lua.create_table()?)?;
        Ok(Rc::new(Talker { hooks: Rc::clone(self), exchange: Rc::clone(exchange), ws }))
    }
}

/// The functions of one socket.
struct Talker {
    hooks: Rc<Inner>,
    exchange: Rc<Exchange>,
    ws: AnyUserData,
}

impl Talker {
    fn functions(&self) -> Option<&Socket> {
        self.hooks.pipeline(self.exchange.route.get()).socket.as_ref()
    }

    fn call<T: 'static>(
        &self,
        name: &'static str,
        function: &Function,
        args: impl IntoLuaMulti,
        shape: impl FnOnce(Outcome) -> Result<T, Failure> + 'static,
    ) -> Run<Result<T, Failure>> {
        let run = driver::drive(&self.hooks.context, Some(Rc::clone(&self.exchange)), function, args);
        then(run, move |outcome| {
            shape(outcome).map_err(|mut failure| {
                failure.step.get_or_insert_with(|| name.into());
                failure.level.get_or_insert("route");
                failure
            })
        })
    }

    fn value(&self, message: &Message) -> Result<Value, Failure> {
        value(&self.hooks.lua, message).map_err(|error| fault::failure(&self.hooks.context, error))
    }
}

impl Talk for Talker {
    fn hears(&self, from: Side) -> bool {
        self.functions().is_some_and(|socket| socket.message.is_some() && (from == Side::Client || socket.both))
    }

    fn opened(&self) -> Run<Result<(), Failure>> {
        let Some(open) = self.functions().and_then(|socket| socket.open.as_ref()) else { return Run::Done(Ok(())) };
        self.call("websocket.open", open, &self.ws, |outcome| outcome.map(drop))
    }

    fn message(&self, from: Side, message: &Message) -> Run<Result<Fate, Failure>> {
        let Some(function) = self.functions().and_then(|socket| socket.message.as_ref()) else {
            return Run::Done(Ok(Fate::Pass));
        };
        let data = match self.value(message) {
            Ok(data) => data,
            Err(failure) => return Run::Done(Err(failure)),
        };
        let limit = self.hooks.context.limits().buffer;
        let args = (&self.ws, data, from.as_str());
        self.call("websocket.message", function, args, move |outcome| fate(outcome?.pop_front(), limit))
    }

    fn closed(&self, close: &Close) -> Run<Result<(), Failure>> {
        let Some(function) = self.functions().and_then(|socket| socket.close.as_ref()) else {
            return Run::Done(Ok(()));
        };
        let args = (&self.ws, close.code, close.reason.as_str());
        self.call("websocket.close", function, args, |outcome| outcome.map(drop))
    }
}

/// What a function on a message says is to become of it.
fn fate(value: Option<Value>, limit: usize) -> Result<Fate, Failure> {
    let wrong = |cause: String| {
        Failure::new(Code::ScriptAnswer, "a function of the gateway returned no message").because(cause)
    };
    match value {
        None | Some(Value::Nil | Value::Boolean(true)) => Ok(Fate::Pass),
        Some(Value::Boolean(false)) => Ok(Fate::Drop),
        Some(value) => message(&value, limit).map(Fate::Replace).map_err(|why| wrong(format!("`message` {why}"))),
    }
}

/// A message as Lua sees it.
pub(in crate::script) fn value(lua: &Lua, message: &Message) -> mlua::Result<Value> {
    match message.text {
        true => lua.create_string(&message.data).map(Value::String),
        false => lua.create_buffer(&message.data).map(Value::Buffer),
    }
}

/// A text or buffer as a message.
pub(in crate::script) fn message(value: &Value, limit: usize) -> Result<Message, String> {
    let (text, data) = match value {
        Value::String(text) => (true, Bytes::copy_from_slice(&text.as_bytes())),
        Value::Integer(_) | Value::Number(_) => (true, Bytes::from(value.to_string().unwrap_or_default())),
        Value::Buffer(buffer) => (false, Bytes::from(buffer.to_vec())),
        other => return Err(format!("takes text or a buffer, not {}", kind(other))),
    };
    if data.len() > limit {
        return Err(format!("got {} bytes, and `limits.buffer` allows {limit}", data.len()));
    }
    if text && std::str::from_utf8(&data).is_err() {
        return Err("got text that is not UTF-8; bytes are sent as a buffer".to_owned());
    }
    Ok(Message { text, data })
}

/// `ws`
struct Ws {
    line: Rc<Line>,
    req: Value,
    /// There is a service behind it.
    leads: bool,
    limit: usize,
}

/// `ws:send(data, to?)`: returns when there is room for more; false when the socket is closed.
fn send(_: &Lua, (ws, data, to): (AnyUserData, Value, Option<String>)) -> mlua::Result<Waiting> {
    let ws = ws.borrow::<Ws>().map_err(|_| mlua::Error::runtime("ws:send is called as ws:send(data)"))?;
    let to = match to.as_deref() {
        None | Some("client") => Side::Client,
        Some("service") if ws.leads => Side::Service,
        Some("service") => return Err(mlua::Error::runtime("ws:send: this route has no `to`: there is no service")),
        Some(other) => {
            return Err(mlua::Error::runtime(format!("ws:send goes to \"client\" or \"service\", not \"{other}\"")));
        }
    };
    let message = message(&data, ws.limit).map_err(|why| mlua::Error::runtime(format!("ws:send {why}")))?;
    let line = Rc::clone(&ws.line);
    let said = line.say(to, message);
    Ok(Box::pin(async move {
        let sent = said.is_ok() && poll_fn(|cx| line.poll_room(to, cx)).await.is_ok();
        Ok(mlua::MultiValue::from_vec(vec![Value::Boolean(sent)]))
    }))
}

/// `ws:close(code?, reason?)`
fn close(ws: &Ws, code: Option<i64>, reason: Option<String>) -> mlua::Result<()> {
    // A socket that is closed already stays closed as it was.
    let _ = ws.line.close(closing(code, reason)?);
    Ok(())
}

/// What a function may close with.
pub(in crate::script) fn closing(code: Option<i64>, reason: Option<String>) -> mlua::Result<Close> {
    let code = code.unwrap_or(1000);
    let allowed = matches!(code, 1000..=1003 | 1007..=1014 | 3000..=4999);
    let code = u16::try_from(code).ok().filter(|_| allowed).ok_or_else(|| {
        mlua::Error::runtime(format!("ws:close: {code} is no code to close with; your own are 4000 to 4999"))
    })?;
    let reason = reason.unwrap_or_default();
    if reason.len() > 123 {
        return Err(mlua::Error::runtime("ws:close: a reason has 123 bytes at most"));
    }
    Ok(Close { code, reason })
}

impl UserData for Ws {
    fn add_fields<F: UserDataFields<Self>>(fields: &mut F) {
        fields.add_field_method_get("req", |_, ws| Ok(ws.req.clone()));
        fields.add_field_method_get("closed", |_, ws| Ok(ws.line.is_shut()));
        fields.add_field_function_get("ctx", |_, ws| ws.user_value::<Table>());
        fields.add_field_function_set("ctx", |_, ws, ctx: Table| ws.set_user_value(ctx));
        fields.add_field_function_get("send", |lua, _| lua.named_registry_value::<Function>(SEND));
    }

    fn add_methods<M: UserDataMethods<Self>>(methods: &mut M) {
        methods.add_method("close", |_, ws, (code, reason)| close(ws, code, reason));
        methods.add_meta_method(MetaMethod::Index, |_, _, name: String| -> mlua::Result<Value> {
            Err(mlua::Error::runtime(format!("a socket has send, close, closed, ctx and req, no `{name}`")))
        });
        methods.add_meta_method(MetaMethod::NewIndex, |_, _, (name, _): (String, Value)| -> mlua::Result<()> {
            Err(mlua::Error::runtime(format!("`{name}` of a socket cannot be set; what is yours goes into ws.ctx")))
        });
        methods.add_meta_method(MetaMethod::ToString, |_, _, ()| Ok("a WebSocket"));
    }
}
