//! Answers of a service: refused or logged when they break their rules.

use std::rc::Rc;

use mlua::Function;
use mlua::Lua;
use mlua::MultiValue;
use mlua::Table;
use mlua::Value;

use crate::http::message::Origin;
use crate::primitive::validate;
use crate::primitive::validate::Checked;
use crate::primitive::validate::Rule;
use crate::proxy::Code;
use crate::proxy::Exchange;
use crate::proxy::Failure;
use crate::script::bind::core::exchange;
use crate::script::bind::core::is_json;
use crate::script::context::Context;
use crate::script::declare::read;
use crate::script::driver::fault;
use crate::script::handle;
use crate::script::handle::Held;
use crate::script::policy::checks;
use crate::script::wait;
use crate::telemetry::log;

/// Rules by status.
struct Answers {
    exact: Vec<(u16, Rule)>,
    /// 2 for `2xx`.
    classes: Vec<(u16, Rule)>,
    any: Option<Rule>,
    logs: bool,
}

impl Answers {
    fn rule(&self, status: u16) -> Option<&Rule> {
        let exact = self.exact.iter().find(|(wanted, _)| *wanted == status);
        let class = || self.classes.iter().find(|(class, _)| *class == status / 100);
        exact.or_else(class).map(|(_, rule)| rule).or(self.any.as_ref())
    }
}

/// `checked(req, res)`: `nil` without rules.
pub(super) fn check(lua: &Lua, options: &Table) -> mlua::Result<Option<Function>> {
    let value: Value = options.raw_get("response")?;
    if value.is_nil() {
        return Ok(None);
    }
    let mut answers = Answers { exact: Vec::new(), classes: Vec::new(), any: None, logs: false };
    answers.logs = read::text(options, "mode").as_deref() == Some("log");
    let by_status = value.as_table().filter(|table| statuses(table));
    match by_status {
        Some(table) => {
            for (name, value) in read::sorted(table) {
                let rule = checks::check(&format!("response[{name}]"), &value).map_err(mlua::Error::runtime)?.rule;
                match (name.strip_suffix("xx"), name.parse()) {
                    _ if name == "*" => answers.any = Some(rule),
                    (Some(class), _) => answers.classes.push((class.parse().unwrap_or_default(), rule)),
                    (None, Ok(status)) => answers.exact.push((status, rule)),
                    (None, Err(_)) => {}
                }
            }
        }
        None => {
            let rule = checks::check("response", &value).map_err(mlua::Error::runtime)?.rule;
            answers.classes.push((2, rule));
        }
    }
    let answers = Rc::new(answers);
    let checked = wait::prompt(lua, "validate", move |lua, (req, res): (Value, Value)| {
        let (exchange, most) = (exchange(lua, &req)?, Context::of(lua).limits().buffer);
        let held = handle::held(lua, &res).ok_or_else(|| mlua::Error::runtime("a response is expected"))?;
        let answers = Rc::clone(&answers);
        Ok(Box::pin(async move { whole(&answers, &exchange, &held, most).await }))
    })?;
    Ok(Some(checked))
}

/// Whether every name is a status, a class or `*`.
fn statuses(table: &Table) -> bool {
    let names = read::sorted(table);
    let is = |name: &str| {
        name == "*"
            || name.strip_suffix("xx").is_some_and(|class| matches!(class, "1" | "2" | "3" | "4" | "5"))
            || name.parse::<u16>().is_ok_and(|status| (100..600).contains(&status))
    };
    !names.is_empty() && names.iter().all(|(name, _)| is(name))
}

async fn whole(answers: &Answers, exchange: &Exchange, held: &Rc<Held>, most: usize) -> mlua::Result<MultiValue> {
    let head = held.read(|response| {
        let media = handle::media_type(&response.headers).unwrap_or_default();
        (response.status, is_json(&media), response.origin == Origin::Error || response.body.left() == Some(0))
    });
    let Some((status, is_json, silent)) = head else { return Ok(MultiValue::new()) };
    let Some(rule) = answers.rule(status).filter(|_| !silent) else { return Ok(MultiValue::new()) };
    let faults = if is_json {
        let text = handle::response_body(held, most).await?;
        match validate::check(rule, &text) {
            Ok(Checked::Fine | Checked::Filled(_)) => return Ok(MultiValue::new()),
            Ok(Checked::Faulty(faults)) => {
                let faults = faults.iter().map(|fault| format!("{} {}", fault.pointer, fault.message));
                faults.collect::<Vec<_>>().join("; ")
            }
            Err(fault) => format!("no JSON: {fault}"),
        }
    } else {
        "the answer is no JSON".to_owned()
    };
    told(exchange, held, answers.logs, &faults)
}

/// An answer that breaks its rules: a line in the log, or a refusal.
pub(super) fn told(exchange: &Exchange, held: &Held, logs: bool, faults: &str) -> mlua::Result<MultiValue> {
    if logs {
        let status = held.read(|response| response.status).unwrap_or_default();
        let fields: [(&str, &dyn std::fmt::Display); 3] =
            [("status", &status), ("faults", &faults), ("request_id", exchange.id())];
        log::warn("an answer breaks the rules of `validate`", &fields);
        return Ok(MultiValue::new());
    }
    let detail = "the service's answer is not what it should be";
    Err(fault::raise(Failure::new(Code::ValidateResponse, detail).because(faults)))
}
