//! `core.cors(options)`: the options of `cors` as the data that the plan takes up.

use mlua::Lua;
use mlua::Table;
use mlua::Value;

use crate::primitive::cors::Config;
use crate::primitive::cors::Cors;
use crate::primitive::cors::Rule;
use crate::script::declare::read;
use crate::script::declare::regex_of;
use crate::script::policy::Outside;

/// Checks the options of `cors`; what is returned acts outside its place.
pub(super) fn cors(_: &Lua, options: Table) -> mlua::Result<Outside> {
    let mut written = read::list(&options);
    match options.raw_get::<Value>("origins")? {
        Value::Nil => {}
        Value::Table(list) => written.extend(read::list(&list)),
        one => written.push(one),
    }
    let config = Config {
        origins: written.iter().map(rule).collect::<mlua::Result<_>>()?,
        methods: names(&options, "methods")?.unwrap_or_default(),
        headers: names(&options, "headers")?,
        expose: names(&options, "expose")?.unwrap_or_default(),
        credentials: options.raw_get("credentials")?,
        max_age: options.raw_get::<f64>("max_age")? as u64,
        private_network: options.raw_get("private_network")?,
    };
    Cors::new(&config).map_err(|fault| mlua::Error::runtime(fault.to_string()))?;
    Ok(Outside(config))
}

fn rule(value: &Value) -> mlua::Result<Rule> {
    if let Some(pattern) = regex_of(value) {
        return Ok(Rule::Regex(pattern));
    }
    match value {
        Value::String(text) => Rule::parse(&text.to_str()?).map_err(|fault| mlua::Error::runtime(fault.to_string())),
        other => {
            let kind = other.type_name();
            Err(mlua::Error::runtime(format!("an origin is text or a regex \"…\", not a {kind}")))
        }
    }
}

/// One name or a list of them.
fn names(options: &Table, name: &str) -> mlua::Result<Option<Vec<String>>> {
    match options.raw_get::<Value>(name)? {
        Value::Nil => Ok(None),
        Value::Table(list) => list.sequence_values().collect::<mlua::Result<_>>().map(Some),
        one => Ok(Some(vec![one.to_string()?])),
    }
}
