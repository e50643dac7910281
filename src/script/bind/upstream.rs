//! What an upstream's value tells and does in functions: `:hosts()`, `:state()`, `:drain(host, on?)`.

use std::sync::Arc;

use mlua::Lua;
use mlua::UserDataMethods;
use mlua::Value;

use crate::clock::Moment;
use crate::script::bind::declared::running;
use crate::script::bind::json;
use crate::script::declare::Service;
use crate::telemetry::log;
use crate::upstream::Shared;

/// Adds them.
pub(crate) fn methods<M: UserDataMethods<Service>>(methods: &mut M) {
    methods.add_method("hosts", |lua, service, ()| {
        let (shared, now) = shared(lua, &service.0)?;
        plain(lua, &shared.state(now).hosts)
    });
    methods.add_method("state", |lua, service, ()| {
        let (shared, now) = shared(lua, &service.0)?;
        plain(lua, &shared.state(now))
    });
    methods.add_method("drain", |lua, service, (host, on): (String, Option<bool>)| drain(lua, &service.0, &host, on));
}

fn drain(lua: &Lua, name: &str, host: &str, on: Option<bool>) -> mlua::Result<usize> {
    let (shared, now) = shared(lua, name)?;
    let on = on.unwrap_or(true);
    let count = shared.drain(host, on, now);
    if count == 0 {
        let known: Vec<_> = shared.state(now).hosts.iter().map(|host| host.host.to_string()).collect();
        let known = known.join(", ");
        return Err(mlua::Error::runtime(format!("upstream `{name}` has no host `{host}`; it has {known}")));
    }
    let what = if on { "a host is drained" } else { "a host is taken in again" };
    log::info(what, &[("upstream", &name), ("host", &host)]);
    Ok(count)
}

/// The upstream as it runs in the generation at work, and the time.
fn shared(lua: &Lua, name: &str) -> mlua::Result<(Arc<Shared>, Moment)> {
    let context = running(lua, "the hosts of an upstream")?;
    let site = context.site()?;
    let index = site.shared.names.get(name).copied();
    let upstream = index.and_then(|index| site.upstreams.get(index));
    let upstream = upstream.ok_or_else(|| mlua::Error::runtime(format!("upstream `{name}` does not run")))?;
    Ok((Arc::clone(upstream.shared()), context.clock().now()))
}

fn plain(lua: &Lua, value: &impl serde::Serialize) -> mlua::Result<Value> {
    let value = serde_json::to_value(value).map_err(mlua::Error::external)?;
    json::from_json(lua, &value)
}
