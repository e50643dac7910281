//! `core.split(name, shares, by)`: a function of `req` that says which variant it gets.

use mlua::Function;
use mlua::Lua;
use mlua::Table;
use mlua::Value;

use super::exchange;
use super::template::parse;
use crate::primitive::split::Split;
use crate::proxy::lookup;
use crate::script::declare::read;
use crate::script::driver::fault;
use crate::script::options::check::real;
use crate::script::wait;
use crate::transform::template::Escape;

/// `shares` are names and weights; in the order of their names, so that every machine and gateway agrees.
pub(super) fn split(lua: &Lua, (name, shares, by): (String, Table, Value)) -> mlua::Result<Function> {
    let key = parse(&by, Escape::Plain)?;
    if key.literal().is_some() {
        let by = by.to_string()?;
        return Err(mlua::Error::runtime(format!("`by = \"{by}\"` is the same for everyone; write \"{{{by}}}\"")));
    }
    let shares = read::sorted(&shares);
    let weights: Vec<f64> = shares.iter().map(|(_, weight)| real(weight).unwrap_or(-1.0)).collect();
    let split = Split::new(&name, &weights).map_err(|fault| mlua::Error::runtime(fault.to_string()))?;
    let variants = shares.iter().map(|(name, _)| lua.create_string(name)).collect::<mlua::Result<Vec<_>>>()?;
    wait::strict(lua, "split", move |lua, req: Value| {
        let exchange = exchange(lua, &req)?;
        let mut by = lookup::render(&exchange, &key, None).map_err(fault::raise)?;
        if by.is_empty() {
            by = exchange.client.get().map(|address| address.to_string()).unwrap_or_default();
        }
        Ok(variants.get(split.pick(&by)).cloned())
    })
}
