//! `is.*` as checks of requests: rules of a script become rules of the validator.

use mlua::Table;
use mlua::Value;

use super::rules;
use super::rules::Rule;
use crate::primitive::validate;
use crate::primitive::validate::Bounds;
use crate::primitive::validate::Field;
use crate::primitive::validate::List;
use crate::primitive::validate::Object;
use crate::primitive::validate::Pattern;
use crate::primitive::validate::format::Format;
use crate::script::bind::json;
use crate::script::bind::schema::Schema;
use crate::script::declare::Poison;
use crate::script::declare::read;
use crate::script::options::describe;
use crate::script::words::Type;

/// A rule and whether it must hold something.
pub(crate) struct Made {
    /// The rule.
    pub(crate) rule: validate::Rule,
    /// Whether the value must be there.
    pub(crate) required: bool,
    /// What stands there when nothing does.
    pub(crate) default: Option<serde_json::Value>,
}

/// The check that `value` (`is.…`, `schema "…"`, a table of rules) stands for; `place` is what messages call it.
pub(crate) fn check(place: &str, value: &Value) -> Result<Made, String> {
    let made = |rule, required, default| Made { rule, required, default };
    if Poison::is(value) {
        return Ok(made(validate::Rule::Any, false, None));
    }
    if let Some(schema) = Schema::of(value) {
        return Ok(made(validate::Rule::Other(schema), true, None));
    }
    if let Some(rule) = rules::of(value) {
        let default = rule.default.as_ref().map(|value| json::to_json(value).map_err(|fault| fault.to_string()));
        let optional = rule.optional || default.is_some();
        return Ok(made(whole(place, &rule)?, !optional, default.transpose()?));
    }
    match value {
        Value::Table(table) if !super::is_step(table) => {
            let (fields, extra) = fields(place, table)?;
            Ok(made(validate::Rule::Object(Object::new(fields, extra)), true, None))
        }
        other => Err(format!("`{place}` is {}, not a rule; write is.string {{}}", describe(other))),
    }
}

/// Named rules, and whether there may be others (`extra`, true unless said).
pub(crate) fn fields(place: &str, table: &Table) -> Result<(Vec<Field>, bool), String> {
    let (mut made, mut extra) = (Vec::new(), true);
    for (name, value) in read::sorted(table) {
        match (name.as_str(), &value) {
            ("extra", Value::Boolean(more)) => extra = *more,
            _ => made.push(field(&name, check(&format!("{place}.{name}"), &value)?)),
        }
    }
    Ok((made, extra))
}

/// The members of an `is.object` or of a table of rules.
pub(crate) fn members(place: &str, value: &Value) -> Result<(Vec<Field>, bool), String> {
    match (value, rules::of(value)) {
        (Value::Table(table), _) if !super::is_step(table) => fields(place, table),
        (_, Some(rule)) if rule.name == "object" => inner(place, &rule),
        (other, _) if Poison::is(other) => Ok((Vec::new(), true)),
        (other, _) => Err(format!("`{place}` is {}; write {place} = {{ name = is.string {{}} }}", describe(other))),
    }
}

fn field(name: &str, made: Made) -> Field {
    Field { name: name.into(), rule: made.rule, required: made.required, default: made.default }
}

fn inner(place: &str, rule: &Rule) -> Result<(Vec<Field>, bool), String> {
    let mut made = Vec::new();
    for (name, rule) in &rule.inner.fields {
        let default = rule.default.as_ref().map(|value| json::to_json(value).map_err(|fault| fault.to_string()));
        let default = default.transpose()?;
        let required = !rule.optional && default.is_none();
        made.push(field(name, Made { rule: whole(&format!("{place}.{name}"), rule)?, required, default }));
    }
    Ok((made, rule.inner.extra.unwrap_or(true)))
}

fn whole(place: &str, rule: &Rule) -> Result<validate::Rule, String> {
    let made = plain(place, rule)?;
    Ok(if rule.inner.nullable { validate::Rule::Nullable(Box::new(made)) } else { made })
}

fn plain(place: &str, rule: &Rule) -> Result<validate::Rule, String> {
    use validate::Rule as Is;
    let items = || match &rule.inner.items {
        Some(items) => whole(&format!("{place}.items"), items),
        None => Ok(Is::Any),
    };
    Ok(match (&rule.of, rule.name) {
        (_, "any") => Is::Any,
        (Type::Bool, _) => Is::Bool,
        #[allow(clippy::cast_precision_loss, reason = "a bound was written as a double")]
        (&Type::Int(min, max), "int") => Is::Int(Bounds {
            min: (min != i64::MIN).then_some(min as f64),
            max: (max != i64::MAX).then_some(max as f64),
        }),
        (&Type::Number(min, max), "number") => {
            Is::Number(Bounds { min: min.is_finite().then_some(min), max: max.is_finite().then_some(max) })
        }
        (Type::Text(text), _) => Is::Text(validate::Text {
            min: text.min,
            max: text.max,
            pattern: text.pattern.as_deref().map(|pattern| pattern_of(place, pattern)).transpose()?,
            format: text.format.and_then(Format::named),
        }),
        (Type::OneOf(words), "enum") => Is::OneOf(words.iter().map(|word| word.as_ref().into()).collect()),
        (_, "array") => Is::List(Box::new(List { items: items()?, min: rule.inner.count.0, max: rule.inner.count.1 })),
        (_, "map") => Is::Map(Box::new(items()?)),
        (_, "object") => {
            let (fields, extra) = inner(place, rule)?;
            Is::Object(Object::new(fields, extra))
        }
        (_, "either") => {
            Is::Either(rule.inner.choices.iter().map(|choice| whole(place, choice)).collect::<Result<_, _>>()?)
        }
        (_, name) => return Err(format!("`{place}`: `is.{name}` is for options of a policy, it checks no request")),
    })
}

fn pattern_of(place: &str, pattern: &str) -> Result<Pattern, String> {
    regex::RegexBuilder::new(pattern)
        .size_limit(1 << 20)
        .build()
        .map(Pattern::from)
        .map_err(|_| format!("`{place}`: the pattern `{pattern}` is no regular expression in linear time"))
}
