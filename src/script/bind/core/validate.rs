//! `core.validate(options)`: rules of a script as checks of requests and of answers.

mod answers;
mod contract;
mod params;

use std::rc::Rc;

use bytes::Bytes;
use mlua::Function;
use mlua::Lua;
use mlua::MultiValue;
use mlua::Table;
use mlua::Value;

use super::exchange;
use crate::http::Request;
use crate::primitive::validate;
use crate::primitive::validate::Checked;
use crate::primitive::validate::Fault;
use crate::primitive::validate::Rule;
use crate::proxy::Code;
use crate::proxy::Exchange;
use crate::proxy::Failure;
use crate::script::context::Context;
use crate::script::declare::read;
use crate::script::driver::fault;
use crate::script::handle;
use crate::script::policy::checks;
use crate::script::wait;
use crate::script::wait::Waiting;

/// What a request must look like.
struct Checks {
    params: params::Places,
    /// Media types a body may have; empty: any.
    types: Vec<String>,
    body: Option<Body>,
}

/// What its body must be.
struct Body {
    rule: Rule,
    required: bool,
}

/// Made once per step: the check of requests, and that of answers if there is one.
pub(super) fn validate(lua: &Lua, options: Table) -> mlua::Result<(Option<Function>, Option<Function>)> {
    if options.contains_key("openapi")? {
        return contract::validate(lua, &options);
    }
    let body = match options.raw_get::<Value>("body")? {
        Value::Nil => None,
        value => {
            let made = checks::check("body", &value).map_err(mlua::Error::runtime)?;
            Some(Body { rule: made.rule, required: made.required })
        }
    };
    let types = match options.raw_get::<Value>("content_type")? {
        Value::String(one) => vec![one.to_string_lossy().to_ascii_lowercase()],
        Value::Table(list) => list.sequence_values().collect::<mlua::Result<Vec<String>>>()?,
        _ => Vec::new(),
    };
    let params = params::Places::read(lua, &options)?;
    let checks = Rc::new(Checks { params, types, body });
    let request = match checks.is_empty() {
        true => None,
        false if checks.body.is_none() => Some(wait::strict(lua, "validate", move |lua, req: Value| {
            let exchange = exchange(lua, &req)?;
            checks.head(&exchange).map(|reads| reads.apply(&exchange)).map_err(fault::raise)
        })?),
        false => Some(wait::prompt(lua, "validate", move |lua, req: Value| {
            let (exchange, most) = (exchange(lua, &req)?, Context::of(lua).limits().buffer);
            let reads = checks.head(&exchange).map_err(fault::raise)?;
            let checks = Rc::clone(&checks);
            let checking: Waiting = Box::pin(async move {
                checks.body(&exchange, most).await?;
                reads.apply(&exchange);
                Ok(MultiValue::new())
            });
            Ok(checking)
        })?),
    };
    Ok((request, answers::check(lua, &options)?))
}

impl Checks {
    fn is_empty(&self) -> bool {
        self.params.is_empty() && self.types.is_empty() && self.body.is_none()
    }

    /// Everything but the body's content.
    fn head(&self, exchange: &Exchange) -> Result<params::Reads, Failure> {
        let reads = self.params.check(exchange)?;
        let request = exchange.request.borrow();
        if request.body.left() != Some(0) {
            self.media(&request)?;
        }
        Ok(reads)
    }

    fn media(&self, request: &Request) -> Result<(), Failure> {
        let media = handle::media_type(&request.headers).unwrap_or_default();
        let fits = match (&self.types[..], &self.body) {
            ([], None) => true,
            ([], Some(_)) => super::is_json(&media),
            (types, _) => types.iter().any(|wanted| is_of(&media, wanted)),
        };
        // of several the service might take another than the one that was looked at
        if fits && !media.contains(',') {
            return Ok(());
        }
        let wanted = if self.types.is_empty() { "application/json".to_owned() } else { self.types.join(", ") };
        Err(Failure::new(Code::ValidateType, format!("the body must be {wanted}")).header("accept", wanted))
    }

    async fn body(&self, exchange: &Rc<Exchange>, most: usize) -> mlua::Result<()> {
        let Some(body) = &self.body else { return Ok(()) };
        let text = handle::request_body(exchange, most).await?;
        if text.is_empty() {
            let missing = Fault { pointer: String::new(), message: "is missing".into() };
            return if body.required { Err(fault::raise(refusal(Code::ValidateBody, vec![missing]))) } else { Ok(()) };
        }
        let is_json = super::is_json(&handle::media_type(&exchange.request.borrow().headers).unwrap_or_default());
        if !is_json {
            return Ok(());
        }
        if let Some(filled) = judged(&body.rule, &text).map_err(fault::raise)? {
            handle::replace_body(exchange, filled);
        }
        Ok(())
    }
}

/// The body with defaults, where there are any to fill in.
fn judged(rule: &Rule, text: &[u8]) -> Result<Option<Bytes>, Failure> {
    match validate::check(rule, text) {
        Ok(Checked::Fine) => Ok(None),
        Ok(Checked::Filled(text)) => Ok(Some(text.into())),
        Ok(Checked::Faulty(faults)) => Err(refusal(Code::ValidateBody, faults)),
        Err(fault) => Err(Failure::new(Code::BodyBadJson, format!("the body is no JSON: {fault}"))),
    }
}

/// A failure that tells its faults.
fn refusal(code: Code, faults: Vec<Fault>) -> Failure {
    let what = if code == Code::ValidateParams { "parameters" } else { "the body" };
    let count = faults.len();
    let detail =
        if count == 1 { format!("a rule of {what} is broken") } else { format!("{count} rules of {what} are broken") };
    let mut failure = Failure::new(code, detail);
    failure.faults = faults.into_iter().map(|fault| (fault.pointer, fault.message)).collect();
    failure
}

/// Whether a media type is the one wanted, or one of `image/*`.
fn is_of(media: &str, wanted: &str) -> bool {
    match wanted.strip_suffix("/*") {
        Some("*") => true,
        Some(family) => media.split_once('/').is_some_and(|(main, _)| main == family),
        None => media == wanted,
    }
}
