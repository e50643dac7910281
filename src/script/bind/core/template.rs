//! Templates as functions: `core.template(text, place)(req, res?)`.

use std::rc::Rc;

use mlua::Function;
use mlua::Lua;
use mlua::Value;

use super::exchange;
use crate::proxy::Exchange;
use crate::proxy::Failure;
use crate::proxy::lookup;
use crate::script::driver::fault;
use crate::script::handle;
use crate::script::handle::Held;
use crate::script::options::check::likely_params;
use crate::script::secret::Secret;
use crate::script::wait;
use crate::transform::Template;
use crate::transform::template::Escape;

/// A template as a function of the request and, where there is one, the answer.
pub(super) fn template(lua: &Lua, (text, place): (Value, String)) -> mlua::Result<Function> {
    let template = parse(&text, escape(&place))?;
    wait::strict(lua, "template", move |lua, (req, res): (Value, Value)| {
        fill(lua, &exchange(lua, &req)?, &res, &template)
    })
}

/// A template with what is known of the request and, where there is one, its answer.
pub(super) fn fill(lua: &Lua, exchange: &Rc<Exchange>, res: &Value, template: &Template) -> mlua::Result<String> {
    match handle::held(lua, res) {
        Some(held) => filled(exchange, &held, template),
        None => lookup::render(exchange, template, None),
    }
    .map_err(fault::raise)
}

fn filled(exchange: &Rc<Exchange>, held: &Held, template: &Template) -> Result<String, Failure> {
    held.read(|response| lookup::render(exchange, template, Some(response)))
        .unwrap_or_else(|| lookup::render(exchange, template, None))
}

/// Whether a template needs the body of the request (`"json"`) or of the answer (`"response.json"`) at hand.
pub(super) fn mentions(_: &Lua, (text, what): (Value, String)) -> mlua::Result<bool> {
    let template = parse(&text, Escape::Plain)?;
    let held = template.names().any(|names| match what.as_str() {
        "json" => names.first().is_some_and(|root| root == "json"),
        _ => names.starts_with(&["response".to_owned(), "json".to_owned()]),
    });
    Ok(held)
}

/// A text with names; a secret is text without.
pub(super) fn parse(text: &Value, escape: Escape) -> mlua::Result<Template> {
    let text = match (Secret::of(text), text) {
        (Some(secret), _) => {
            let value = std::str::from_utf8(secret.reveal());
            let value = value.map_err(|_| mlua::Error::runtime(format!("{} is not UTF-8", secret.mark())))?;
            value.replace('{', "{{").replace('}', "}}")
        }
        (None, Value::String(text)) => text.to_str()?.to_owned(),
        (None, other) => other.to_string()?,
    };
    let params = likely_params(&text);
    Template::parse(&text, escape, &params).map_err(|fault| mlua::Error::runtime(fault.message))
}

fn escape(place: &str) -> Escape {
    match place {
        "url" => Escape::Url,
        "header" => Escape::Header,
        "json" => Escape::Json,
        "xml" => Escape::Xml,
        _ => Escape::Plain,
    }
}
