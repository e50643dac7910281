//! `core.fields { hide, set, replace }` and `core.tell_id(name)`: functions of `req` that change the fields of its answer,
//! whatever that will be.

use std::rc::Rc;

use mlua::Function;
use mlua::Lua;
use mlua::Table;
use mlua::Value;

use super::exchange;
use crate::http::Response;
use crate::http::headers::Known;
use crate::http::message::Scheme;
use crate::proxy::Exchange;
use crate::proxy::exchange::Finisher;
use crate::transform::fields::Config;
use crate::transform::fields::Field;
use crate::transform::fields::Fields;

/// Prepared once, when the policy is made.
pub(super) fn fields(lua: &Lua, options: Table) -> mlua::Result<Function> {
    let mut config = Config {
        hide: options.raw_get::<Option<Vec<String>>>("hide")?.unwrap_or_default(),
        set: Vec::new(),
        replace: options.raw_get("replace")?,
    };
    for field in options.raw_get::<Table>("set")?.sequence_values::<Table>() {
        let field = field?;
        config.set.push(Field {
            name: field.raw_get("name")?,
            value: field.raw_get("value")?,
            https: field.raw_get::<Option<bool>>("https")?.unwrap_or(false),
        });
    }
    let fields = Fields::new(config).map_err(|fault| mlua::Error::runtime(fault.to_string()))?;
    at_the_end(lua, move |exchange, response| {
        let https = exchange.request.borrow().scheme == Scheme::Https;
        fields.apply(&mut response.headers, https);
    })
}

/// The field `name` of the answer is the request's id.
pub(super) fn tell_id(lua: &Lua, name: String) -> mlua::Result<Function> {
    let known = Known::of(name.as_bytes());
    at_the_end(lua, move |exchange, response| response.headers.set_known(known, &name, exchange.id().as_bytes()))
}

/// A function of `req` that has `change` done to its answer.
fn at_the_end(lua: &Lua, change: impl Fn(&Exchange, &mut Response) + 'static) -> mlua::Result<Function> {
    let finisher: Finisher = Rc::new(change);
    lua.create_function(move |lua, req: Value| {
        exchange(lua, &req)?.finishers.borrow_mut().push(Rc::clone(&finisher));
        Ok(())
    })
}
