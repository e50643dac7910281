//! Policies: `policy "name" { options, step }` makes a word; calling the word makes a step, a frozen table that may be
//! listed, shared and called.

pub(crate) mod checks;
mod make;
mod outside;
mod rules;
mod step;

use std::borrow::Cow;
use std::rc::Rc;

use mlua::Function;
use mlua::IntoLua;
use mlua::Lua;
use mlua::MultiValue;
use mlua::Table;
use mlua::Value;

use crate::plan::Place;
use crate::script::declare::Poison;
use crate::script::declare::Session;
use crate::script::declare::here;
use crate::script::declare::read;
use crate::script::diagnose::Anchor;
use crate::script::diagnose::Segment;
use crate::script::diagnose::Spot;
use crate::script::options::Check;
use crate::script::options::List;
use crate::script::options::describe;
use crate::script::words;
use crate::script::words::Kind;
use crate::script::words::Opt;
use crate::script::words::Type;

pub(crate) use outside::Outside;
pub(crate) use step::Branch;
pub(crate) use step::Made;
pub(crate) use step::branch;
pub(crate) use step::flatten;
pub(crate) use step::is_step;
pub(crate) use step::is_step_value;

/// A word made by `policy`.
pub(crate) struct Policy {
    /// The word.
    pub(crate) name: String,
    /// One line.
    pub(crate) doc: String,
    /// Its options, for checks and reference.
    pub(crate) options: Vec<Opt>,
    /// Values of options that are not written.
    defaults: Vec<(String, Value)>,
    /// Returns the step.
    step: Function,
    /// Whether its steps may wait.
    waits: bool,
    /// A name comes first, then a table.
    named: bool,
    /// What options of any other name are.
    rest: Option<Type>,
    /// Where it was declared; empty for the standard library.
    pub(crate) place: Place,
    /// What the word's global is, to tell `{ mock }` from `{ mock {} }`.
    constructor: std::cell::OnceCell<Function>,
}

impl Policy {
    /// Its options as the reference lists them.
    pub(crate) fn documented(&self) -> Vec<Opt> {
        let rest = self.rest.as_ref().map(|of| Opt {
            name: "(any other name)".into(),
            of: of.clone(),
            default: "".into(),
            doc: "a name of your own and its value".into(),
            required: false,
            later: false,
        });
        self.options.iter().cloned().chain(rest).collect()
    }
}

/// `policy`, `is`, `steps`.
pub(crate) fn install(lua: &Lua, globals: &Table) -> mlua::Result<()> {
    step::install(lua)?;
    globals.raw_set("is", rules::table(lua)?)?;
    globals.raw_set("steps", lua.create_function(make::steps)?)?;
    globals.raw_set("policy", lua.create_function(|lua, arguments: MultiValue| first(lua, &arguments))?)
}

/// The policy whose word `function` is.
pub(crate) fn word_of(session: &Session, function: &Function) -> Option<String> {
    let policies = session.policies.borrow();
    policies.values().find(|policy| policy.constructor.get() == Some(function)).map(|policy| policy.name.clone())
}

/// The policy whose word `table` is, for words that are tables of functions too.
pub(crate) fn word_of_table(table: &Table) -> Option<String> {
    let meta = table.metatable()?;
    let is_word = meta.raw_get::<Option<String>>("__metatable").ok()?.as_deref() == Some("word");
    if is_word { meta.raw_get("word").ok() } else { None }
}

fn first(lua: &Lua, arguments: &MultiValue) -> mlua::Result<Value> {
    let session = Session::of(lua, "policy")?;
    let Some(Value::String(name)) = arguments.front() else {
        let got = arguments.front().map_or_else(|| "nothing".to_owned(), describe);
        let said = format!("`policy` needs its name first, and got {got}");
        session.fault(here(lua, "policy", None), said, "write policy \"name\" { options = …, step = … }", "");
        return lua.create_userdata(Poison).map(Value::UserData);
    };
    let name = name.to_string_lossy();
    let anchor = here(lua, "policy", Some(&name));
    if let Some(table) = arguments.get(1) {
        return second(lua, &name, &anchor, table);
    }
    let ticket = session.pend(anchor.clone(), format!("policy `{name}`"));
    let rest = lua.create_function(move |lua, table: Value| {
        Session::of(lua, "policy")?.follow(ticket);
        second(lua, &name, &anchor, &table)
    })?;
    Ok(Value::Function(rest))
}

fn second(lua: &Lua, name: &str, anchor: &Anchor, table: &Value) -> mlua::Result<Value> {
    let session = Session::of(lua, "policy")?;
    let owner = format!("policy `{name}`");
    let subject = Anchor { spot: Spot::Subject, ..anchor.clone() };
    let poison = || lua.create_userdata(Poison).map(Value::UserData);
    let Value::Table(table) = table else {
        session.fault(
            subject,
            format!("{owner} needs a table after its name, and got {}", describe(table)),
            "write policy \"name\" { options = …, step = … }",
            "",
        );
        return poison();
    };
    named(&session, name, &subject);
    let known = words::find("policy").map(|word| word.options.as_slice()).unwrap_or_default();
    let typed = Check::new(lua, &session, anchor, &owner, List::Refused).options(table, known)?;
    let (options, defaults) = rules::read(lua, &session, anchor, &owner, read::table(&typed, "options").as_ref())?;
    // Without a step the fault is told; the word still exists, so that its uses are no unknown names.
    let step = match read::function(&typed, "step") {
        Some(step) => step,
        None => lua.create_function(|lua, (): ()| lua.create_function(|_, (): ()| Ok(())))?,
    };
    let policy = Rc::new(Policy {
        name: name.to_owned(),
        doc: read::text(&typed, "doc").unwrap_or_default(),
        options,
        defaults,
        step,
        waits: read::get(&typed, "waits").unwrap_or(true),
        named: read::get(&typed, "named").unwrap_or(false),
        rest: typed.raw_get("rest").ok().and_then(|value| rules::type_of(&value)),
        place: (anchor.file.clone(), anchor.line),
        constructor: std::cell::OnceCell::new(),
    });
    let made = Rc::clone(&policy);
    let constructor = lua.create_function(move |lua, arguments: MultiValue| make::step(lua, &made, &arguments))?;
    let _ = policy.constructor.set(constructor.clone());
    session.policies.borrow_mut().insert(name.to_owned(), policy);
    publish(lua, name, &constructor)?;
    Ok(Value::Function(constructor))
}

fn named(session: &Session, name: &str, subject: &Anchor) {
    let good = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
        && !name.starts_with(|c: char| c.is_ascii_digit())
        && !name.is_empty();
    let stdlib = subject.file.is_empty();
    let said = if !good {
        (format!("`{name}` is no name for a policy"), "letters, digits and `_`, no digit first".to_owned())
    } else if !stdlib && (words::STDLIB.contains(&name) || words::find(name).is_some()) {
        let later = words::find(name).is_some_and(|word| word.kind == Kind::Later);
        let why = if later { "a later version brings a word of that name" } else { "it is one already" };
        (format!("`{name}` cannot be made a word"), format!("{why}; choose another name"))
    } else if let Some(before) = session.policies.borrow().get(name) {
        (
            format!("policy `{name}` is declared twice"),
            format!("the first stands at {}:{}", before.place.0, before.place.1),
        )
    } else {
        return;
    };
    session.fault(subject.clone(), said.0, said.1, "");
}

/// Makes `value` the global `name`, though globals are closed to scripts.
pub(crate) fn publish(lua: &Lua, name: &str, value: impl IntoLua) -> mlua::Result<()> {
    let globals: Table = match lua.globals().get::<Option<Table>>("_G") {
        Ok(Some(base)) => base,
        _ => lua.globals(),
    };
    let closed = globals.is_readonly();
    globals.set_readonly(false);
    let done = globals.raw_set(name, value);
    globals.set_readonly(closed);
    done
}

/// Options that every policy takes besides its own.
fn common() -> Vec<Opt> {
    let option = |name: &'static str, of: Type, default: &'static str, doc: &'static str| Opt {
        name: Cow::Borrowed(name),
        of,
        default: default.into(),
        doc: doc.into(),
        required: false,
        later: false,
    };
    vec![
        option("when", Type::Function("req"), "", "whether it runs for a request; may not wait"),
        option("status", Type::Status, "", "what a refusal answers instead"),
        option("detail", Type::text(), "", "what a refusal says instead"),
        option("enforce", Type::Bool, "true", "false: a refusal is counted and logged, not applied"),
    ]
}

/// Its options and those every policy takes.
pub(crate) fn all_options(policy: &Policy) -> Vec<Opt> {
    let mut options = policy.options.clone();
    let more = common().into_iter().filter(|option| policy.options.iter().all(|own| own.name != option.name));
    options.extend(more);
    options
}

fn inside(anchor: &Anchor, name: &str) -> Anchor {
    let mut anchor = Anchor { spot: Spot::Value, ..anchor.clone() };
    anchor.path.push(Segment::Key(name.to_owned()));
    anchor
}
