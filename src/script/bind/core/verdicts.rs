//! `core.verdicts(what)`: what an external authorizer said lately, shared by all workers; one question of a
//! key at a time.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use mlua::IntoLuaMulti;
use mlua::Lua;
use mlua::LuaString;
use mlua::MultiValue;
use mlua::Table;
use mlua::UserData;
use mlua::UserDataRef;
use mlua::Value;

use super::exchange;
use super::object::Object;
use crate::clock::Moment;
use crate::primitive::verdict::Pending;
use crate::primitive::verdict::Said;
use crate::primitive::verdict::Verdict;
use crate::primitive::verdict::Verdicts;
use crate::proxy::Code;
use crate::proxy::Exchange;
use crate::proxy::Failure;
use crate::script::handle;
use crate::script::live::Kept;
use crate::script::wait;

/// A question of this request. Its client may leave: then those who wait ask anew, one of them at a time.
#[derive(Clone)]
struct Asked(Rc<RefCell<Option<Pending>>>);

impl UserData for Asked {}

/// Gives the question up with the request, whatever the script still holds.
struct Given(Asked);

impl Drop for Given {
    fn drop(&mut self) {
        drop(self.0.0.take());
    }
}

/// `ask(req, key)`: nil, status, fields and body where that is known or another request finds out just now; else the
/// question, which `keep(req, question, seconds, status, fields, body)` or `release(req, question, cause?)` settles; nothing
/// where everybody asks for themselves. `what` is the authorizer and what it is told: another one's verdicts do not count.
pub(super) fn make(lua: &Lua, what: String) -> mlua::Result<MultiValue> {
    let verdicts = Rc::new(Object::<Verdicts>::declare(lua, "forward_auth", None, &what)?);
    let known = Rc::clone(&verdicts);
    let ask = wait::prompt(lua, "forward_auth", move |lua, (req, key): (Value, LuaString)| {
        let (exchange, verdicts) = (exchange(lua, &req)?, Arc::clone(known.get(lua)?));
        let (lua, key) = (lua.clone(), key.as_bytes().to_vec());
        Ok(Box::pin(async move { asked(&lua, &exchange, &verdicts, &key).await }))
    })?;
    type Kept = (Value, UserDataRef<Asked>, f64, u16, Table, LuaString);
    let known = Rc::clone(&verdicts);
    let keep = wait::strict(lua, "forward_auth", move |lua, (req, asked, time, status, fields, body): Kept| {
        let until = exchange(lua, &req)?.worker.clock.now().after(Duration::from_secs_f64(time));
        let headers = fields.pairs::<String, String>().collect::<mlua::Result<_>>()?;
        let body = body.as_bytes().to_vec().into();
        if let Some(pending) = asked.0.take() {
            known.get(lua)?.settle(pending, Said::Verdict(Verdict { status, headers, body }), until);
        }
        Ok(())
    })?;
    let release =
        wait::strict(lua, "forward_auth", move |lua, (asked, cause): (UserDataRef<Asked>, Option<String>)| {
            let said = cause.map_or(Said::Own, |cause| Said::Unavailable(cause.into()));
            if let Some(pending) = asked.0.take() {
                verdicts.get(lua)?.settle(pending, said, Moment::default());
            }
            Ok(())
        })?;
    (ask, keep, release).into_lua_multi(lua)
}

async fn asked(lua: &Lua, exchange: &Exchange, verdicts: &Verdicts, key: &[u8]) -> mlua::Result<MultiValue> {
    let clock = &exchange.worker.clock;
    loop {
        if let Some(verdict) = verdicts.recall(key, clock.now()) {
            return told(lua, verdict);
        }
        let answer = match verdicts.ask(key) {
            Err(answer) => answer,
            Ok(pending) => {
                let asked = Asked(Rc::new(RefCell::new(Some(pending))));
                exchange.limits.hold(Box::new(Given(asked.clone())));
                return lua.create_userdata(asked)?.into_lua_multi(lua);
            }
        };
        match clock.timeout(exchange.left(), answer.told()).await {
            Some(Some(Said::Verdict(verdict))) => return told(lua, verdict),
            Some(Some(Said::Own)) => return Ok(MultiValue::new()),
            Some(Some(Said::Unavailable(cause))) => return unavailable(&cause),
            Some(None) => {}
            None => return unavailable("no verdict in time"),
        }
    }
}

fn told(lua: &Lua, verdict: Verdict) -> mlua::Result<MultiValue> {
    let fields = lua.create_table()?;
    for (name, value) in verdict.headers {
        fields.raw_set(name, value)?;
    }
    (Value::Nil, verdict.status, fields, lua.create_string(&verdict.body)?).into_lua_multi(lua)
}

fn unavailable<T>(cause: &str) -> mlua::Result<T> {
    let failure = Failure::new(Code::ForwardAuthUnavailable, "whether this may pass cannot be found out now");
    wait::fail(failure.because(cause))
}

/// `core.left(res)`: how many bytes of its body are to come, if that is known.
pub(super) fn left(lua: &Lua, res: Value) -> mlua::Result<Option<u64>> {
    Ok(handle::held(lua, &res).and_then(|held| held.read(|response| response.body.left())).flatten())
}

impl Kept for Verdicts {
    type Config = String;

    fn make(_: String) -> Self {
        Self::default()
    }

    fn change(&self, _: String) {
        self.clear();
    }
}
