//! `core.json_limit(options)`: a step that bounds JSON bodies.

use mlua::Function;
use mlua::Lua;
use mlua::MultiValue;
use mlua::Table;
use mlua::Value;

use super::exchange;
use crate::primitive::json_limit::Config;
use crate::primitive::json_limit::JsonLimit;
use crate::primitive::json_limit::LimitFault;
use crate::proxy::Code;
use crate::proxy::Failure;
use crate::script::context::Context;
use crate::script::declare::read;
use crate::script::driver::fault;
use crate::script::handle;
use crate::script::wait;
use crate::script::wait::Waiting;

/// Made once per step.
pub(super) fn json_limit(lua: &Lua, options: Table) -> mlua::Result<Function> {
    let limit = JsonLimit::new(&Config {
        depth: read::count(&options, "depth"),
        keys: read::count(&options, "keys"),
        string: read::count(&options, "string"),
        array: read::count(&options, "array"),
        name: read::count(&options, "name"),
        duplicates: read::get(&options, "duplicates").unwrap_or_default(),
    });
    let limit = std::rc::Rc::new(limit);
    wait::prompt(lua, "json_limit", move |lua, req: Value| {
        let (exchange, most, limit) = (exchange(lua, &req)?, Context::of(lua).limits().buffer, limit.clone());
        if !is_json(&exchange.request.borrow()) {
            return Ok(wait::ready(Ok(MultiValue::new())));
        }
        let checking: Waiting = Box::pin(async move {
            let body = handle::request_body(&exchange, most).await?;
            if body.is_empty() {
                return Ok(MultiValue::new());
            }
            limit.check(&body).map(|()| MultiValue::new()).map_err(|fault| fault::raise(failure(fault)))
        });
        Ok(checking)
    })
}

/// A body that says it is JSON, or does not say what it is.
fn is_json(request: &crate::http::Request) -> bool {
    let media = handle::media_type(&request.headers);
    media.is_none_or(|media| media.split(", ").any(super::is_json))
}

fn failure(fault: LimitFault) -> Failure {
    match fault {
        LimitFault::Syntax(fault) => Failure::new(Code::BodyBadJson, format!("the body is no JSON: {fault}")),
        LimitFault::Exceeded { pointer, message } => {
            let mut failure = Failure::new(Code::JsonLimitExceeded, format!("the JSON body has {message}"));
            failure.faults.push((pointer, message));
            failure
        }
    }
}
