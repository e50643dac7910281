//! `is.*`: rules for the options of a policy.

use std::borrow::Cow;

use mlua::Lua;
use mlua::MetaMethod;
use mlua::Table;
use mlua::UserData;
use mlua::UserDataMethods;
use mlua::Value;

use super::inside;
use crate::script::declare::Poison;
use crate::script::declare::Session;
use crate::script::declare::here;
use crate::script::declare::read;
use crate::script::declare::regex_of;
use crate::script::diagnose::Anchor;
use crate::script::diagnose::Segment;
use crate::script::diagnose::Spot;
use crate::script::options::Check;
use crate::script::options::List;
use crate::script::options::describe;
use crate::script::words;
use crate::script::words::Opt;
use crate::script::words::Text;
use crate::script::words::Type;
use crate::transform::template::Escape;

/// What one option must be.
#[derive(Clone)]
pub(crate) struct Rule {
    pub(super) name: &'static str,
    pub(super) of: Type,
    pub(super) default: Option<Value>,
    pub(super) optional: bool,
    /// Promised, not in this version: whoever writes it is told so.
    later: bool,
    doc: String,
    pub(super) inner: Inner,
}

/// What a rule says beyond its type: for checks of requests.
#[derive(Clone, Default)]
pub(super) struct Inner {
    /// Members of an object.
    pub(super) fields: Vec<(String, Rule)>,
    /// Whether there may be others: what an object says itself.
    pub(super) extra: Option<bool>,
    /// Items of a list, values of a map.
    pub(super) items: Option<Box<Rule>>,
    /// The rules of an either.
    pub(super) choices: Vec<Rule>,
    /// Fewest and most items.
    pub(super) count: (Option<usize>, Option<usize>),
    /// Whether null will do.
    pub(super) nullable: bool,
}

const NAMES: &[&str] = &[
    "string", "int", "number", "bool", "uuid", "email", "url", "date", "datetime", "enum", "array", "object", "map",
    "any", "duration", "size", "rate", "status", "template", "func", "step", "either",
];

/// The table `is`.
pub(super) fn table(lua: &Lua) -> mlua::Result<Table> {
    let is = lua.create_table()?;
    for name in NAMES {
        let rule = Rule {
            name,
            of: plain(name),
            default: None,
            optional: false,
            later: false,
            doc: String::new(),
            inner: Inner::default(),
        };
        is.raw_set(*name, lua.create_userdata(rule)?)?;
    }
    let guard = lua.create_table()?;
    guard.raw_set(
        "__index",
        lua.create_function(|lua, (_, name): (Value, String)| {
            let session = Session::of(lua, "is")?;
            if session.compiling.get() {
                return Ok(Value::Nil);
            }
            let label = match words::nearest(&name, NAMES.iter().copied()) {
                Some(near) => format!("did you mean `is.{near}`?"),
                None => format!("there are {}", NAMES.join(", ")),
            };
            session.fault(here(lua, &name, None), format!("`is` has no `{name}`"), label, "");
            lua.create_userdata(Poison).map(Value::UserData)
        })?,
    )?;
    is.set_metatable(Some(guard))?;
    Ok(is)
}

fn plain(name: &str) -> Type {
    let format = |format| Type::Text(Text { format: Some(format), ..Text::default() });
    match name {
        "int" => Type::Int(i64::MIN, i64::MAX),
        "number" => Type::Number(f64::NEG_INFINITY, f64::INFINITY),
        "bool" => Type::Bool,
        "uuid" => format("uuid"),
        "email" => format("email"),
        "url" => format("url"),
        "date" => format("date"),
        "datetime" => format("datetime"),
        "enum" => Type::OneOf(Vec::new()),
        "array" => Type::list(Type::Any),
        "object" => Type::Table(Vec::new()),
        "map" => Type::map(Type::Any),
        "any" => Type::Any,
        "duration" => Type::Duration,
        "size" => Type::Size,
        "rate" => Type::Rate,
        "status" => Type::Status,
        "template" => Type::Template(Escape::Plain),
        "func" => Type::Function("…"),
        "step" => Type::Step,
        "either" => Type::Either(Vec::new()),
        _ => Type::text(),
    }
}

impl UserData for Rule {
    fn add_methods<M: UserDataMethods<Self>>(methods: &mut M) {
        methods.add_meta_method(MetaMethod::Call, |lua, rule, table: Value| rule.with(lua, &table));
        methods.add_meta_method(MetaMethod::ToString, |_, rule, ()| Ok(format!("is.{}", rule.name)));
    }
}

impl Rule {
    /// `is.string { min = 1, default = "x" }`
    fn with(&self, lua: &Lua, table: &Value) -> mlua::Result<Value> {
        let session = Session::of(lua, "is")?;
        let anchor = here(lua, self.name, None);
        let mut rule = self.clone();
        let table = match table {
            Value::Nil => return lua.create_userdata(rule).map(Value::UserData),
            Value::Table(table) => table,
            other => {
                let said = format!("`is.{}` takes a table, and got {}", self.name, describe(other));
                session.fault(anchor, said, format!("write is.{} {{ … }}", self.name), "");
                return lua.create_userdata(Poison).map(Value::UserData);
            }
        };
        let owner = format!("`is.{}`", self.name);
        if matches!(self.name, "object") {
            let members = rule.settings(lua, table)?;
            rule.of = Type::Table(read(lua, &session, &anchor, &owner, Some(&members))?.0);
            rule.inner.fields =
                read::sorted(&members).iter().filter_map(|(name, value)| Some((name.clone(), of(value)?))).collect();
            return lua.create_userdata(rule).map(Value::UserData);
        }
        let list = if matches!(self.name, "enum" | "either") { List::Values } else { List::Refused };
        let typed = Check::new(lua, &session, &anchor, &owner, list).options(table, &self.takes())?;
        rule.optional = read::get(&typed, "optional").unwrap_or(false);
        rule.later = read::get(&typed, "later").unwrap_or(false);
        rule.doc = read::text(&typed, "doc").unwrap_or_default();
        rule.of = self.narrowed(&typed);
        rule.inner = self.inner(&typed);
        let parts = read::list(&typed).into_iter().filter(|_| self.name == "either");
        let mut parts = parts.chain(typed.raw_get::<Option<Value>>("items")?);
        if let Some(part) = parts.find(|part| of(part).is_none() && !Poison::is(part)) {
            let said = format!("{owner} is made of rules, and got {}", describe(&part));
            session.fault(anchor.clone(), said, "write is.string, is.object { … } …", "");
        }
        let empty = matches!(&rule.of, Type::OneOf(words) if words.is_empty())
            || matches!(&rule.of, Type::Either(types) if types.is_empty());
        if empty && !session.faulty_at(&anchor) {
            let example =
                if self.name == "enum" { "is.enum { \"a\", \"b\" }" } else { "is.either { is.string {}, is.int {} }" };
            session.fault(anchor.clone(), format!("`is.{}` lists nothing", self.name), format!("write {example}"), "");
        }
        rule.default = Some(table.raw_get::<Value>("default")?).filter(|value| !value.is_nil());
        if let Some(default) = rule.default.take() {
            let mut check = Check::new(lua, &session, &anchor, &owner, List::Values);
            check.anchor.path.push(Segment::Key("default".into()));
            rule.default = check.value(&default, &rule.of)?;
        }
        lua.create_userdata(rule).map(Value::UserData)
    }

    /// What an object says of itself beside its members, which are rules; the members.
    fn settings(&mut self, lua: &Lua, table: &Table) -> mlua::Result<Table> {
        let members = lua.create_table()?;
        for pair in table.pairs::<Value, Value>() {
            let (key, value) = pair?;
            match (key.as_string().map(|key| key.to_string_lossy()).as_deref(), &value) {
                (Some("extra"), Value::Boolean(extra)) => self.inner.extra = Some(*extra),
                (Some("optional"), Value::Boolean(optional)) => self.optional = *optional,
                (Some("nullable"), Value::Boolean(nullable)) => self.inner.nullable = *nullable,
                (Some("doc"), Value::String(doc)) => self.doc = doc.to_string_lossy(),
                _ => members.raw_set(key, value)?,
            }
        }
        Ok(members)
    }

    fn inner(&self, typed: &Table) -> Inner {
        Inner {
            items: typed.raw_get::<Value>("items").ok().and_then(|value| of(&value)).map(Box::new),
            choices: if self.name == "either" { read::list(typed).iter().filter_map(of).collect() } else { Vec::new() },
            count: counts(typed),
            nullable: read::get(typed, "nullable").unwrap_or(false),
            ..Inner::default()
        }
    }

    /// What the rule's own table may say.
    fn takes(&self) -> Vec<Opt> {
        let number = || Type::Number(f64::NEG_INFINITY, f64::INFINITY);
        let more: Vec<(&'static str, Type)> = match self.name {
            "string" => vec![
                ("min", Type::count()),
                ("max", Type::count()),
                ("length", Type::count()),
                ("pattern", Type::Either(vec![Type::text(), Type::Regex])),
            ],
            "int" | "number" => vec![("min", number()), ("max", number())],
            "array" => {
                let count = Type::count;
                vec![("items", Type::Any), ("min", count()), ("max", count()), ("length", count())]
            }
            "map" => vec![("items", Type::Any)],
            "any" => vec![("later", Type::Bool)],
            "enum" => vec![("1", Type::text())],
            "either" => vec![("1", Type::Any)],
            "template" => vec![("place", Type::one_of(&["url", "header", "json", "xml", "plain"]))],
            _ => Vec::new(),
        };
        let common =
            [("default", Type::Any), ("optional", Type::Bool), ("nullable", Type::Bool), ("doc", Type::text())];
        let option = |(name, of): (&'static str, Type)| Opt {
            name: name.into(),
            of,
            default: "".into(),
            doc: "".into(),
            required: false,
            later: false,
        };
        more.into_iter().chain(common).map(option).collect()
    }

    fn narrowed(&self, typed: &Table) -> Type {
        let bound = |name: &str, open: f64| read::get::<f64>(typed, name).unwrap_or(open);
        let items =
            || typed.raw_get::<Value>("items").ok().and_then(|value| of(&value)).map_or(Type::Any, |rule| rule.of);
        match &self.of {
            Type::Text(text) => Type::Text(Text {
                min: counts(typed).0,
                max: counts(typed).1,
                pattern: read::text(typed, "pattern").or_else(|| regex_of(&typed.raw_get("pattern").ok()?)),
                format: text.format,
            }),
            #[allow(clippy::cast_possible_truncation, reason = "a bound beyond 2^63 is no bound")]
            Type::Int(..) => {
                Type::Int(bound("min", i64::MIN as f64).ceil() as i64, bound("max", i64::MAX as f64).floor() as i64)
            }
            Type::Number(..) => Type::Number(bound("min", f64::NEG_INFINITY), bound("max", f64::INFINITY)),
            Type::List(..) => {
                let (min, max) = counts(typed);
                Type::List(Box::new(items()), min, max)
            }
            Type::Map(_) => Type::map(items()),
            Type::OneOf(_) => {
                let words = read::list(typed);
                Type::OneOf(
                    words.iter().filter_map(Value::as_string).map(|word| Cow::Owned(word.to_string_lossy())).collect(),
                )
            }
            Type::Either(_) => Type::Either(read::list(typed).iter().filter_map(of).map(|rule| rule.of).collect()),
            Type::Template(_) => Type::Template(match read::text(typed, "place").as_deref() {
                Some("url") => Escape::Url,
                Some("header") => Escape::Header,
                Some("json") => Escape::Json,
                Some("xml") => Escape::Xml,
                _ => Escape::Plain,
            }),
            other => other.clone(),
        }
    }
}

/// `min` and `max`, or `length` for both.
fn counts(typed: &Table) -> (Option<usize>, Option<usize>) {
    let exact = read::count(typed, "length");
    (exact.or_else(|| read::count(typed, "min")), exact.or_else(|| read::count(typed, "max")))
}

/// The rule that `value` is.
pub(super) fn of(value: &Value) -> Option<Rule> {
    value.as_userdata().and_then(|data| data.borrow::<Rule>().ok()).map(|rule| rule.clone())
}

/// The type that the rule `value` asks for.
pub(super) fn type_of(value: &Value) -> Option<Type> {
    of(value).map(|rule| rule.of)
}

/// `options = { name = is.string {}, … }` as options and their defaults.
#[allow(clippy::type_complexity, reason = "two lists that belong together for three lines")]
pub(super) fn read(
    lua: &Lua,
    session: &Session,
    anchor: &Anchor,
    owner: &str,
    table: Option<&Table>,
) -> mlua::Result<(Vec<Opt>, Vec<(String, Value)>)> {
    let (mut options, mut defaults) = (Vec::new(), Vec::new());
    let _ = lua;
    for (name, value) in table.map(read::sorted).unwrap_or_default() {
        if Poison::is(&value) {
            options.push(Opt {
                name: Cow::Owned(name),
                of: Type::Any,
                default: "".into(),
                doc: "".into(),
                required: false,
                later: false,
            });
            continue;
        }
        let Some(rule) = of(&value) else {
            let at = inside(&inside(anchor, "options"), &name);
            let at = Anchor { spot: Spot::Value, ..at };
            session.fault(
                at,
                format!("option `{name}` of {owner} is {}, not a rule", describe(&value)),
                format!("write {name} = is.string {{}}"),
                "",
            );
            continue;
        };
        if owner.starts_with("policy `") && (rule.inner.nullable || rule.inner.extra.is_some()) {
            let said = format!("option `{name}` of {owner}: `nullable` and `extra` are for checks of requests");
            session.fault(Anchor { spot: Spot::Value, ..inside(&inside(anchor, "options"), &name) }, said, "", "");
        }
        let shown = rule.default.as_ref().map(super::step::shown_value).unwrap_or_default();
        let required = rule.default.is_none() && !rule.optional && !rule.later;
        options.push(Opt {
            name: Cow::Owned(name.clone()),
            of: rule.of,
            default: Cow::Owned(shown),
            doc: Cow::Owned(rule.doc),
            required,
            later: rule.later,
        });
        if let Some(default) = rule.default {
            defaults.push((name, default));
        }
    }
    Ok((options, defaults))
}
