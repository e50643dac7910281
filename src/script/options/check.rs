//! One value against one type.

use std::collections::HashSet;
use std::ffi::c_void;

use mlua::Table;
use mlua::Value;

use super::Check;
use super::List;
use crate::primitive::rate::Rate;
use crate::primitive::units;
use crate::script::declare::Poison;
use crate::script::declare::Service;
use crate::script::diagnose::Segment;
use crate::script::diagnose::Spot;
use crate::script::policy;
use crate::script::secret::Secret;
use crate::script::words::Type;
use crate::transform::Template;
use crate::transform::template::Escape;

impl Check<'_> {
    /// `value` as the rest of the program wants it (durations in seconds, sizes in bytes); `None` when it was refused.
    pub(crate) fn value(&mut self, value: &Value, of: &Type) -> mlua::Result<Option<Value>> {
        if Poison::is(value) {
            return Ok(None);
        }
        Ok(match of {
            Type::Table(options) => match value {
                Value::Table(table) if !policy::is_step(table) => {
                    let before = std::mem::replace(&mut self.list, List::Values);
                    let typed = self.options(table, options)?;
                    self.list = before;
                    Some(Value::Table(typed))
                }
                _ => self.refuse(value, of),
            },
            Type::List(inner, min, max) => match value {
                Value::Table(table) if !policy::is_step(table) => {
                    let (typed, count) = (self.entries(table, inner)?, table.raw_len());
                    if min.is_some_and(|min| count < min) || max.is_some_and(|max| count > max) {
                        let items = if count == 1 { "1 item".to_owned() } else { format!("{count} items") };
                        self.fault(format!("{} must be {of}", self.place()), format!("this has {items}"), Spot::Value);
                        return Ok(None);
                    }
                    Some(Value::Table(typed))
                }
                _ => self.refuse(value, of),
            },
            Type::Map(inner) => match value {
                Value::Table(table) if !policy::is_step(table) => Some(Value::Table(self.named(table, inner)?)),
                _ => self.refuse(value, of),
            },
            Type::Either(types) => self.either(value, types, of)?,
            Type::Template(escape) => match plain(value, of) {
                Some(value) => self.template(value, *escape),
                None => self.refuse(value, of),
            },
            Type::Templates(escape) => {
                self.templates(value, *escape, 0, &mut HashSet::new())?;
                plain(value, of)
            }
            Type::Int(..) => match (plain(value, of), value) {
                (Some(value), _) => Some(value),
                (None, Value::String(text)) if text.to_string_lossy().trim().parse::<f64>().is_ok() => {
                    self.fault(
                        format!("{} must be {of}", self.place()),
                        "write the number without quotes",
                        Spot::Value,
                    );
                    None
                }
                _ => self.refuse(value, of),
            },
            _ => plain(value, of).or_else(|| self.refuse(value, of)),
        })
    }

    fn refuse(&self, value: &Value, of: &Type) -> Option<Value> {
        self.mismatch(value, of);
        None
    }

    fn entries(&mut self, table: &Table, inner: &Type) -> mlua::Result<Table> {
        let typed = self.lua.create_table()?;
        let mut index = 0;
        for pair in table.pairs::<Value, Value>() {
            let (key, value) = pair?;
            let Value::Integer(at) = key else {
                let said = format!("{} is a list, and {} is no place in it", self.place(), super::describe(&key));
                self.fault(said, "write the values alone, separated by commas", Spot::Value);
                continue;
            };
            self.anchor.path.push(Segment::Index(usize::try_from(at).unwrap_or_default()));
            if let Some(value) = self.value(&value, inner)? {
                index += 1;
                typed.raw_set(index, value)?;
            }
            self.anchor.path.pop();
        }
        Ok(typed)
    }

    fn named(&mut self, table: &Table, inner: &Type) -> mlua::Result<Table> {
        let typed = self.lua.create_table()?;
        for pair in table.pairs::<Value, Value>() {
            let (key, value) = pair?;
            let name = match &key {
                Value::String(name) => name.to_string_lossy(),
                Value::Integer(number) => number.to_string(),
                _ => {
                    self.fault(
                        format!("{} has a key that is {}", self.place(), super::describe(&key)),
                        "keys are names",
                        Spot::Value,
                    );
                    continue;
                }
            };
            self.anchor.path.push(Segment::Key(name));
            if let Some(value) = self.value(&value, inner)? {
                typed.raw_set(key, value)?;
            }
            self.anchor.path.pop();
        }
        Ok(typed)
    }

    /// The first type that takes the value; a table is told what is wrong inside it.
    fn either(&mut self, value: &Value, types: &[Type], whole: &Type) -> mlua::Result<Option<Value>> {
        let is_table = matches!(value, Value::Table(table) if !policy::is_step(table));
        let deep = |of: &&Type| {
            matches!(of, Type::Table(_) | Type::List(..) | Type::Map(_) | Type::Either(_) | Type::Template(_))
        };
        if let Some(typed) = types.iter().filter(|of| !deep(of)).find_map(|of| plain(value, of)) {
            return Ok(Some(typed));
        }
        if let Some(of) = types.iter().find(|of| matches!(of, Type::Template(_)) && plain(value, of).is_some()) {
            return self.value(value, of);
        }
        if is_table {
            let listed = matches!(value, Value::Table(table) if table.raw_len() > 0);
            let fits = |of: &&Type| match of {
                Type::List(..) => listed,
                Type::Table(options) => !listed || options.iter().any(|option| option.name == "1"),
                Type::Map(_) => !listed,
                _ => false,
            };
            let of = types.iter().find(fits).or_else(|| types.iter().find(|of| matches!(of, Type::Either(_))));
            if let Some(of) = of {
                return self.value(value, of);
            }
        }
        Ok(self.refuse(value, whole))
    }

    /// Every text in `value`, as deep as answers are filled; each table once, though it stand in many places or in itself.
    fn templates(
        &mut self,
        value: &Value,
        escape: Escape,
        depth: usize,
        seen: &mut HashSet<*const c_void>,
    ) -> mlua::Result<()> {
        let table = match value {
            Value::Table(table) if depth < 32 && seen.insert(table.to_pointer()) => table,
            Value::String(_) => {
                self.template(value.clone(), escape);
                return Ok(());
            }
            _ => return Ok(()),
        };
        for pair in table.pairs::<Value, Value>() {
            let (key, value) = pair?;
            let at = whole(&key).and_then(|at| usize::try_from(at).ok());
            self.anchor.path.push(match (at, key.to_string()) {
                (Some(at), _) => Segment::Index(at),
                (None, name) => Segment::Key(name.unwrap_or_default()),
            });
            self.templates(&value, escape, depth + 1, seen)?;
            self.anchor.path.pop();
        }
        Ok(())
    }

    /// A template whose names are checked where no route is in sight: path parameters are taken on trust here.
    fn template(&mut self, value: Value, escape: Escape) -> Option<Value> {
        if self.session.judged.get() {
            return Some(value);
        }
        let Value::String(text) = &value else { return Some(value) };
        let text = text.to_string_lossy();
        let params = likely_params(&text);
        match Template::parse(&text, escape, &params) {
            Ok(_) => {
                let own = matches!(self.anchor.path.last(), Some(Segment::Key(name)) if matches!(name.as_str(), "to" | "rewrite" | "host" | "split_by"));
                if !own && matches!(self.anchor.word.as_str(), "gateway" | "group" | "route" | "upstream") {
                    let anchor = crate::script::diagnose::Anchor { spot: Spot::Value, ..self.anchor.clone() };
                    self.session.loose.borrow_mut().extend(params.iter().map(|name| (name.clone(), anchor.clone())));
                }
                self.needs.extend(params);
                Some(value)
            }
            Err(error) => {
                let within = Some((error.at, 1));
                let at = crate::script::diagnose::Anchor { spot: Spot::Value, within, ..self.anchor.clone() };
                self.session.fault(at, format!("{}: {}", self.place(), error.message), "", "");
                None
            }
        }
    }
}

/// Names in `text` that may be path parameters.
pub(crate) fn likely_params(text: &str) -> Vec<String> {
    let mut names = Vec::new();
    if !text.contains('{') {
        return names;
    }
    // Two are a brace that stands for itself.
    for piece in text.replace("{{", "").split('{').skip(1) {
        let end = piece.find(|c: char| !(c.is_ascii_alphanumeric() || c == '_')).unwrap_or(piece.len());
        let (name, rest) = piece.split_at(end);
        if !name.is_empty()
            && rest.starts_with(['}', '|', '*', ' '])
            && !crate::transform::template::ROOTS.contains(&name)
        {
            names.push(name.to_owned());
        }
    }
    names
}

/// `value` if it is of this type, which has no parts.
fn plain(value: &Value, of: &Type) -> Option<Value> {
    let text = || value.as_string().map(|text| text.to_string_lossy());
    let number = |number: f64| Some(Value::Number(number));
    match of {
        Type::Any | Type::Templates(_) => (!value.is_nil()).then(|| value.clone()),
        Type::Bool => value.is_boolean().then(|| value.clone()),
        Type::Exactly(wanted) => (value.as_boolean() == Some(*wanted)).then(|| value.clone()),
        Type::Text(_) | Type::Template(_) if Service::of(value).is_some() => Some(value.clone()),
        Type::Text(rule) if Secret::of(value).is_some() => rule.format.is_none().then(|| value.clone()),
        Type::Template(_) if Secret::of(value).is_some() => Some(value.clone()),
        Type::Text(rule) => text().filter(|text| super::text::fits(text, rule)).map(|_| value.clone()),
        Type::Template(_) => value.is_string().then(|| value.clone()),
        // `status = 301` for a rule whose words are "301", "302" …: the number as text means the same.
        Type::OneOf(words) => text()
            .or_else(|| whole(value).map(|number| number.to_string()))
            .filter(|text| words.iter().any(|word| word == text))
            .map(|_| value.clone()),
        Type::Int(min, max) => whole(value).filter(|number| number >= min && number <= max).map(Value::Integer),
        Type::Status => whole(value).filter(|number| (100..=599).contains(number)).map(Value::Integer),
        Type::Number(min, max) => real(value).filter(|n| n >= min && n <= max).and_then(number),
        Type::Duration => match value {
            Value::String(_) => {
                text().and_then(|text| units::duration(&text).ok()).and_then(|wait| number(wait.as_secs_f64()))
            }
            other => real(other).filter(|n| units::seconds(*n).is_ok()).and_then(number),
        },
        #[allow(clippy::cast_precision_loss, reason = "a size below 9e15 is exact")]
        Type::Size => match value {
            Value::String(_) => text().and_then(|text| units::size(&text).ok()).and_then(|bytes| number(bytes as f64)),
            _ => whole(value).filter(|bytes| *bytes >= 0).map(Value::Integer),
        },
        Type::Rate => text().filter(|text| Rate::parse(text).is_ok()).map(|_| value.clone()),
        Type::Function(_) => value.is_function().then(|| value.clone()),
        Type::Step => policy::is_step_value(value).then(|| value.clone()),
        Type::Regex => crate::script::declare::is_regex(value).then(|| value.clone()),
        Type::List(..) | Type::Map(_) | Type::Table(_) | Type::Either(_) => None,
    }
}

/// What a parser says about a text of the right kind; a word that is nearly one of those allowed.
pub(super) fn closer(value: &Value, of: &Type) -> Option<String> {
    let inside = |of: &Type| plain(value, of).is_some();
    match of {
        // `log = "debug"` for `log = { level = "debug" }`, `["*"] = 500` for `{ status = 500 }`.
        Type::Table(options) => {
            let telling = |option: &&crate::script::words::Opt| {
                matches!(option.of, Type::OneOf(_) | Type::Status) && inside(&option.of)
            };
            if let Some(option) = options.iter().find(telling) {
                return Some(format!("write {{ {} = {} }}", option.name, literal(value)));
            }
            if value.is_string() && options.iter().any(|option| option.name == "text") {
                return Some(format!("write {{ text = {} }}", literal(value)));
            }
        }
        Type::List(of, ..) if inside(of) => return Some("write { … } around it: a list".to_owned()),
        _ => {}
    }
    if let Type::Either(types) = of {
        return types.iter().find_map(|of| closer(value, of));
    }
    let text = value.as_string()?.to_string_lossy();
    match of {
        Type::Duration => units::duration(&text).err().map(|error| error.0),
        Type::Size => units::size(&text).err().map(|error| error.0),
        Type::Rate => Rate::parse(&text).err().map(|error| error.to_string()),
        Type::OneOf(words) => crate::script::words::nearest(&text, words.iter().map(AsRef::as_ref))
            .map(|near| format!("did you mean {near:?}?")),
        _ => None,
    }
}

/// A plain value as it is written.
fn literal(value: &Value) -> String {
    match value {
        Value::String(text) => format!("{:?}", text.to_string_lossy()),
        other => other.to_string().unwrap_or_default(),
    }
}

/// The number that `value` is.
pub(crate) fn real(value: &Value) -> Option<f64> {
    match value {
        #[allow(clippy::cast_precision_loss, reason = "a script's number is a double")]
        Value::Integer(number) => Some(*number as f64),
        other => other.as_number(),
    }
}

/// The whole number that `value` is.
pub(crate) fn whole(value: &Value) -> Option<i64> {
    match value {
        Value::Integer(number) => Some(*number),
        #[allow(clippy::cast_possible_truncation, reason = "whole and within 2^53")]
        Value::Number(number) if number.fract() == 0.0 && number.abs() < 9e15 => Some(*number as i64),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::likely_params;

    #[test]
    fn a_brace_that_is_written_twice_names_nothing() {
        assert_eq!(likely_params("/a/{id}/{rest*}?q={query.q}"), ["id", "rest"]);
        assert_eq!(likely_params("{{a}} {{{b}}}"), ["b"]);
    }
}
