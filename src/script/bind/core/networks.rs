//! `core.networks(list)`: a function of `req` that says whether its client comes from one of them.

use mlua::Function;
use mlua::Lua;
use mlua::Value;

use super::exchange;
use crate::primitive::cidr::Cidr;

/// Read once, when the policy is made.
pub(super) fn networks(lua: &Lua, list: Vec<String>) -> mlua::Result<Function> {
    let nets: Vec<Cidr> = list
        .iter()
        .map(|text| Cidr::parse(text).map_err(|fault| mlua::Error::runtime(fault.to_string())))
        .collect::<mlua::Result<_>>()?;
    lua.create_function(move |lua, req: Value| {
        if nets.is_empty() {
            return Ok(false);
        }
        let client = exchange(lua, &req)?.client.get();
        Ok(client.is_some_and(|address| nets.iter().any(|net| net.has(address))))
    })
}
