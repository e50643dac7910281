//! WebSockets in tests: `ws` as the test holds it that opened one, and as the functions of a mock get it.

use std::cell::OnceCell;
use std::rc::Rc;

use mlua::Function;
use mlua::Lua;
use mlua::Table;
use mlua::UserData;
use mlua::UserDataFields;
use mlua::UserDataMethods;
use mlua::Value;

use super::Asked;
use super::Attendant;
use super::News;
use super::Socket;
use super::answer;
use super::gw::Seat;
use crate::primitive::codec;
use crate::proxy::websocket::Caller;
use crate::proxy::websocket::Close;
use crate::proxy::websocket::Message;
use crate::script::bind::options::Options;
use crate::script::bind::options::duration;
use crate::script::hooks::socket;

/// What a handshake has that the test did not write.
pub(super) fn dress(asked: &mut Asked) -> mlua::Result<()> {
    if !asked.body.is_empty() {
        return Err(mlua::Error::runtime("gw:websocket: a handshake has no body"));
    }
    let key = codec::base64_encode("the sample nonce");
    let own = [("upgrade", "websocket"), ("sec-websocket-version", "13"), ("sec-websocket-key", key.as_str())];
    for (name, value) in own {
        if !asked.headers.iter().any(|(known, _)| known.eq_ignore_ascii_case(name)) {
            asked.headers.push((name.to_owned(), value.to_owned()));
        }
    }
    Ok(())
}

/// `table`, the handshake's answer, with what may be done with the socket.
pub(super) fn held(lua: &Lua, table: Table, socket: Option<Socket>, seat: &Seat) -> mlua::Result<Table> {
    let socket = socket.map(|socket| lua.create_userdata(Held { socket, seat: seat.clone() })).transpose()?;
    let functions: Table = lua.named_registry_value(answer::LUA)?;
    functions.get::<Function>("socket")?.call((table, socket))
}

/// The test's end.
struct Held {
    socket: Socket,
    seat: Seat,
}

impl Held {
    fn settle(&self) -> mlua::Result<()> {
        let now = Some(std::time::Duration::ZERO);
        self.seat.stage()?.wait(&|| false, now).map(drop).map_err(mlua::Error::runtime)
    }

    fn receive(&self, lua: &Lua, within: &Value) -> mlua::Result<Value> {
        let within = if within.is_nil() { None } else { Some(duration(within)?) };
        let Socket { caller, heard } = &self.socket;
        let until = || !heard.borrow().is_empty() || caller.closed().is_some();
        let waited = self.seat.stage()?.wait(&until, within);
        waited.map_err(|fault| mlua::Error::runtime(format!("ws:receive: no message came: {fault}")))?;
        let message = heard.borrow_mut().pop_front();
        message.map_or(Ok(Value::Nil), |message| socket::value(lua, &message))
    }
}

impl UserData for Held {
    fn add_fields<F: UserDataFields<Self>>(fields: &mut F) {
        fields.add_field_method_get("closed", |_, held| Ok(held.socket.caller.closed().is_some()));
        fields.add_field_method_get("close_code", |_, held| Ok(held.socket.caller.closed().map(|close| close.code)));
        fields
            .add_field_method_get("close_reason", |_, held| Ok(held.socket.caller.closed().map(|close| close.reason)));
    }

    fn add_methods<M: UserDataMethods<Self>>(methods: &mut M) {
        methods.add_method("send", |_, held, data: Value| {
            let sent = send(&held.socket.caller, &data)?;
            held.settle()?;
            Ok(sent)
        });
        methods.add_method("receive", |lua, held, within: Value| held.receive(lua, &within));
        methods.add_method("close", |_, held, (code, reason): (Option<i64>, Option<String>)| {
            held.socket.caller.close(socket::closing(code, reason)?);
            held.settle()
        });
    }
}

/// A mock's end.
struct Service(Rc<Caller>);

impl UserData for Service {
    fn add_fields<F: UserDataFields<Self>>(fields: &mut F) {
        fields.add_field_method_get("closed", |_, ws| Ok(ws.0.closed().is_some()));
    }

    fn add_methods<M: UserDataMethods<Self>>(methods: &mut M) {
        methods.add_method("send", |_, ws, data: Value| send(&ws.0, &data));
        methods.add_method("close", |_, ws, (code, reason): (Option<i64>, Option<String>)| {
            ws.0.close(socket::closing(code, reason)?);
            Ok(())
        });
    }
}

/// Whether it could still be said.
fn send(caller: &Caller, data: &Value) -> mlua::Result<bool> {
    let message =
        socket::message(data, Caller::LARGEST).map_err(|why| mlua::Error::runtime(format!("ws:send {why}")))?;
    Ok(caller.say(message).is_ok())
}

/// The functions of `websocket = { open, message, close }` in a mock's answer; `true` takes whatever is said.
pub(super) struct Functions {
    open: Option<Function>,
    message: Option<Function>,
    close: Option<Function>,
}

impl Functions {
    pub(super) fn read(lua: &Lua, options: &Options<'_>) -> mlua::Result<Option<Self>> {
        let table = match options.value("websocket")? {
            None | Some(Value::Boolean(false)) => return Ok(None),
            Some(Value::Boolean(true)) => None,
            Some(Value::Table(table)) => Some(table),
            Some(_) => return Err(options.wrong("websocket", &"true or { open, message, close } expected")),
        };
        let own =
            Options::read(lua, "`websocket` of a mock".to_owned(), table.as_ref(), &["open", "message", "close"])?;
        let function = |name| match own.value(name)? {
            None => Ok(None),
            Some(Value::Function(function)) => Ok(Some(function)),
            Some(_) => Err(own.wrong(name, &"a function expected")),
        };
        Ok(Some(Self { open: function("open")?, message: function("message")?, close: function("close")? }))
    }

    /// One socket of the mock's; what comes is noted in `messages` of the call it was asked for by.
    pub(super) fn attendant(
        self: &Rc<Self>,
        lua: &Lua,
        call: &Table,
        blame: impl Fn(mlua::Error) -> String + 'static,
    ) -> mlua::Result<Attendant> {
        let (functions, lua, messages) = (Rc::clone(self), lua.clone(), lua.create_table()?);
        call.raw_set("messages", &messages)?;
        let own = OnceCell::new();
        Ok(Attendant(Rc::new(move |caller, news| {
            let ws = own.get_or_init(|| lua.create_userdata(Service(Rc::clone(caller))));
            let ws = ws.clone().map_err(&blame)?;
            let done = match news {
                News::Opened => functions.open.as_ref().map_or(Ok(()), |open| open.call(ws)),
                News::Message(message) => functions.hear(&lua, caller, ws, &message, &messages),
                News::Closed(Close { code, reason }) => {
                    functions.close.as_ref().map_or(Ok(()), |close| close.call((ws, code, reason)))
                }
            };
            done.map_err(&blame)
        })))
    }

    /// What the function returns goes back, as it does where a gateway is the end.
    fn hear(
        &self,
        lua: &Lua,
        caller: &Caller,
        ws: mlua::AnyUserData,
        message: &Message,
        messages: &Table,
    ) -> mlua::Result<()> {
        let data = socket::value(lua, message)?;
        messages.raw_push(&data)?;
        let Some(function) = &self.message else { return Ok(()) };
        match function.call((ws, data))? {
            Value::Nil | Value::Boolean(_) => Ok(()),
            answer => send(caller, &answer).map(drop),
        }
    }
}
