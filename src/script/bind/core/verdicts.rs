//! `core.verdicts(what)`: what an external authorizer said lately, shared by all workers.

use std::rc::Rc;
use std::time::Duration;

use mlua::IntoLuaMulti;
use mlua::Lua;
use mlua::LuaString;
use mlua::MultiValue;
use mlua::Table;
use mlua::Value;

use super::exchange;
use super::object::Object;
use crate::primitive::verdict::Verdict;
use crate::primitive::verdict::Verdicts;
use crate::script::handle;
use crate::script::live::Kept;
use crate::script::wait;

/// `recall(req, key)`: status, fields, body, or nothing. `keep(req, key, seconds, status, fields, body)`. `what` is the
/// authorizer and what it is told: another one's verdicts do not count.
pub(super) fn make(lua: &Lua, what: String) -> mlua::Result<MultiValue> {
    let verdicts = Rc::new(Object::<Verdicts>::declare(lua, "forward_auth", None, &what)?);
    let known = Rc::clone(&verdicts);
    let recall = wait::strict(lua, "forward_auth", move |lua, (req, key): (Value, LuaString)| {
        let now = exchange(lua, &req)?.worker.clock.now();
        let Some(verdict) = known.get(lua)?.recall(&key.as_bytes(), now) else { return Ok(MultiValue::new()) };
        let fields = lua.create_table()?;
        for (name, value) in verdict.headers {
            fields.raw_set(name, value)?;
        }
        (verdict.status, fields, lua.create_string(&verdict.body)?).into_lua_multi(lua)
    })?;
    type Said = (Value, LuaString, f64, u16, Table, LuaString);
    let keep = wait::strict(lua, "forward_auth", move |lua, (req, key, time, status, fields, body): Said| {
        let until = exchange(lua, &req)?.worker.clock.now().after(Duration::from_secs_f64(time));
        let headers = fields.pairs::<String, String>().collect::<mlua::Result<_>>()?;
        let body = body.as_bytes().to_vec().into();
        verdicts.get(lua)?.keep(&key.as_bytes(), Verdict { status, headers, body }, until);
        Ok(())
    })?;
    (recall, keep).into_lua_multi(lua)
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
