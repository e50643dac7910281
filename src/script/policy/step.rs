//! A step as a value: a frozen table that knows what it runs.

use std::rc::Rc;

use mlua::AnyUserData;
use mlua::Function;
use mlua::Lua;
use mlua::Table;
use mlua::Value;

use super::Policy;
use super::make;
use crate::plan::Place;
use crate::script::declare::place_of;
use crate::script::handle;
use crate::script::hooks;
use crate::script::machine;
use crate::script::secret::Secret;

/// Everything about a step.
pub(crate) struct Made {
    /// What runs; `None` when `items` do.
    pub(crate) call: Option<Function>,
    /// The steps of a fragment.
    pub(crate) items: Option<Table>,
    /// What it does outside its place in the list, as data: then nothing runs there.
    pub(crate) outside: Option<AnyUserData>,
    /// `function(req, next)`.
    pub(crate) wraps: bool,
    /// Whether it may wait.
    pub(crate) waits: bool,
    /// The policy's word, `steps` or `function`.
    pub(crate) word: String,
    /// Whether it runs at all.
    pub(crate) when: Option<Function>,
    /// What a refusal answers.
    pub(crate) status: Option<u16>,
    /// What a refusal says.
    pub(crate) detail: Option<String>,
    /// Whether a refusal counts.
    pub(crate) enforce: bool,
    /// Its options, for listings and diffs.
    pub(crate) options: String,
    /// Path parameters its templates name.
    pub(crate) needs: Vec<String>,
    /// Fields that only it may set: what a client sends under these names is removed.
    pub(crate) owns: Vec<String>,
    /// What it keeps across reloads, by its place among the session's.
    pub(crate) slots: Vec<usize>,
    /// Where it was made.
    pub(crate) place: Place,
}

/// Registry name of the metatable.
const META: &str = "moongate.step";
/// Registry name of the functions of `step.luau`.
const RUN: &str = "moongate.step.run";

pub(super) fn install(lua: &Lua) -> mlua::Result<()> {
    let chunk = machine::embedded(lua, "=[steps]", include_str!("step.luau"))?;
    let run: Table = chunk.call((machine::ending(lua), handle::calm(lua)?, hooks::judge(lua)?))?;
    let meta = lua.create_table()?;
    meta.raw_set("__call", run.raw_get::<Function>("call")?)?;
    meta.raw_set(
        "__tostring",
        lua.create_function(|_, step: Table| Ok(format!("step {}", step.raw_get::<String>("word")?)))?,
    )?;
    meta.raw_set("__metatable", "step")?;
    lua.set_named_registry_value(META, meta)?;
    lua.set_named_registry_value(RUN, run)
}

impl Made {
    /// As a value of `lua`. `written` are the options as given, for `word "x" { more }`.
    pub(crate) fn push(self, lua: &Lua, policy: Option<&Rc<Policy>>, written: Option<&Table>) -> mlua::Result<Table> {
        let table = lua.create_table()?;
        let call = match (&self.call, &self.items) {
            (Some(call), _) => call.clone(),
            (None, items) => fragment(lua, items.as_ref())?,
        };
        let wraps = self.wraps || self.items.is_some();
        table.raw_set("call", call)?;
        table.raw_set("items", self.items)?;
        table.raw_set("outside", self.outside)?;
        table.raw_set("wraps", wraps)?;
        table.raw_set("waits", self.waits)?;
        table.raw_set("word", self.word)?;
        table.raw_set("when", self.when)?;
        table.raw_set("status", self.status)?;
        table.raw_set("detail", self.detail)?;
        table.raw_set("enforce", self.enforce)?;
        table.raw_set("options", self.options)?;
        table.raw_set("needs", self.needs)?;
        table.raw_set("file", self.place.0)?;
        table.raw_set("line", self.place.1)?;
        if let (Some(policy), Some(written)) = (policy, written) {
            let (policy, written, slots) = (Rc::clone(policy), written.clone(), self.slots.clone());
            table.raw_set(
                "refine",
                lua.create_function(move |lua, more: Table| make::refine(lua, &policy, &written, &slots, &more))?,
            )?;
        }
        table.raw_set("owns", self.owns)?;
        table.raw_set("slots", self.slots)?;
        table.set_metatable(Some(lua.named_registry_value(META)?))?;
        table.set_readonly(true);
        Ok(table)
    }

    /// What `value` (a function or a step) runs.
    pub(crate) fn of(value: &Value) -> Option<Self> {
        match value {
            Value::Function(function) => Some(Self {
                call: Some(function.clone()),
                items: None,
                outside: None,
                wraps: function.info().num_params >= 2,
                waits: true,
                word: "function".into(),
                when: None,
                status: None,
                detail: None,
                enforce: true,
                options: String::new(),
                needs: Vec::new(),
                owns: Vec::new(),
                slots: Vec::new(),
                place: place_of(function),
            }),
            Value::Table(table) if is_step(table) => Self::read(table).ok(),
            _ => None,
        }
    }

    fn read(table: &Table) -> mlua::Result<Self> {
        Ok(Self {
            call: table.raw_get("call")?,
            items: table.raw_get("items")?,
            outside: table.raw_get("outside")?,
            wraps: table.raw_get("wraps")?,
            waits: table.raw_get("waits")?,
            word: table.raw_get("word")?,
            when: table.raw_get("when")?,
            status: table.raw_get("status")?,
            detail: table.raw_get("detail")?,
            enforce: table.raw_get("enforce")?,
            options: table.raw_get("options")?,
            needs: table.raw_get("needs")?,
            owns: table.raw_get("owns")?,
            slots: table.raw_get("slots")?,
            place: (table.raw_get("file")?, table.raw_get("line")?),
        })
    }
}

/// Runs the items one after the other.
fn fragment(lua: &Lua, items: Option<&Table>) -> mlua::Result<Function> {
    let (calls, wraps, whens) = (lua.create_table()?, lua.create_table()?, lua.create_table()?);
    let items: Vec<Value> = items.map(crate::script::declare::read::list).unwrap_or_default();
    let run: Table = lua.named_registry_value(RUN)?;
    for (item, made) in items.iter().filter_map(|item| Some((item, Made::of(item)?))) {
        let at = calls.raw_len() + 1;
        let judged = made.status.is_some() || made.detail.is_some() || !made.enforce;
        let call = if judged { Some(run.raw_get::<Function>("judged")?.call(item)?) } else { made.call };
        calls.raw_set(at, call)?;
        wraps.raw_set(at, made.wraps)?;
        whens.raw_set(at, made.when.map_or(Value::Boolean(false), Value::Function))?;
    }
    run.raw_get::<Function>("fragment")?.call((calls, wraps, whens))
}

/// A step as one of several ways.
pub(crate) struct Branch {
    /// What runs; where its refusals do not count, that it does too.
    pub(crate) call: Function,
    /// What a refusal answers.
    pub(crate) status: Option<u16>,
    /// What a refusal says.
    pub(crate) detail: Option<String>,
    /// Whether it is tried at all.
    pub(crate) when: Option<Function>,
    /// The policy's word, `steps` or `function`.
    pub(crate) word: String,
    /// Whether it may change the request before it refuses: a fragment, or a function of the script.
    pub(crate) open: bool,
    /// Fields that only its steps may set.
    pub(crate) owns: Vec<String>,
}

/// `value` as one of several ways; the word of a wrapper among its steps, which is none.
pub(crate) fn branch(lua: &Lua, value: &Value) -> mlua::Result<Result<Branch, String>> {
    let made = Made::of(value).ok_or_else(|| mlua::Error::runtime("a step expected"))?;
    if let Some(wrapper) = wrapper(&made) {
        return Ok(Err(wrapper));
    }
    let owns = owned(&made);
    let open = made.items.is_some() || matches!(value, Value::Function(_));
    let call = match made.call {
        _ if !made.enforce => {
            lua.named_registry_value::<Table>(RUN)?.raw_get::<Function>("judged")?.call::<Function>(value)?
        }
        Some(call) => call,
        None => fragment(lua, made.items.as_ref())?,
    };
    Ok(Ok(Branch { call, status: made.status, detail: made.detail, when: made.when, word: made.word, open, owns }))
}

/// Fields of a step and of all within it.
fn owned(made: &Made) -> Vec<String> {
    let items = made.items.as_ref().map(crate::script::declare::read::list).unwrap_or_default();
    let within = items.iter().filter_map(Made::of).flat_map(|inner| owned(&inner));
    made.owns.iter().cloned().chain(within).collect()
}

/// The fields that the options of a policy of the standard library name as its own.
pub(super) fn owns(typed: &Table) -> Vec<String> {
    let table = |name: &str| typed.raw_get::<Option<Table>>(name).ok().flatten();
    let named = table("forward").map(|forward| crate::script::declare::read::sorted(&forward)).unwrap_or_default();
    let listed = table("copy").map(|copy| crate::script::declare::read::list(&copy)).unwrap_or_default();
    let listed = listed.iter().filter_map(Value::as_string).map(|name| name.to_string_lossy());
    named.into_iter().map(|(name, _)| name).chain(listed).collect()
}

/// The first step in it that wraps what follows.
fn wrapper(made: &Made) -> Option<String> {
    match &made.items {
        Some(items) => {
            crate::script::declare::read::list(items).iter().filter_map(Made::of).find_map(|inner| wrapper(&inner))
        }
        None => made.wraps.then(|| made.word.clone()),
    }
}

/// Whether `table` is what a policy or `steps` returned.
pub(crate) fn is_step(table: &Table) -> bool {
    table.metatable().is_some_and(|meta| {
        meta.raw_get::<Option<String>>("__metatable").is_ok_and(|name| name.as_deref() == Some("step"))
    })
}

/// What a value keeps across reloads, by places among the session's.
pub(super) fn slots_of(value: &Value) -> Vec<usize> {
    match value {
        Value::Table(table) if is_step(table) => table.raw_get("slots").unwrap_or_default(),
        _ => Vec::new(),
    }
}

/// The same of all steps among options, in lists too.
pub(super) fn slots_within(options: &Table) -> Vec<usize> {
    let mut found = Vec::new();
    for (_, value) in crate::script::declare::read::sorted(options) {
        match &value {
            Value::Table(table) if !is_step(table) => {
                found.extend(crate::script::declare::read::list(table).iter().flat_map(slots_of));
            }
            value => found.extend(slots_of(value)),
        }
    }
    found
}

/// Whether `value` may stand in a list of steps.
pub(crate) fn is_step_value(value: &Value) -> bool {
    match value {
        Value::Function(function) => function.info().what != "C",
        Value::Table(table) => is_step(table),
        _ => false,
    }
}

/// Fragments without a condition of their own dissolve into their steps; each with the identity `skip` compares.
pub(crate) fn flatten(value: &Value, skipped: &dyn Fn(&Value) -> bool, into: &mut Vec<(Value, Made)>) {
    if skipped(value) {
        return;
    }
    let Some(made) = Made::of(value) else { return };
    match &made.items {
        Some(items) if made.when.is_none() && made.status.is_none() && made.detail.is_none() && made.enforce => {
            for item in crate::script::declare::read::list(items) {
                flatten(&item, skipped, into);
            }
        }
        _ => into.push((value.clone(), made)),
    }
}

/// Options as text for listings and diffs: secrets by name, functions by place, names sorted.
pub(super) fn shown(table: &Table) -> String {
    if table.is_empty() { String::new() } else { json(&Value::Table(table.clone()), 0, &mut { MOST }).to_string() }
}

/// One value so.
pub(super) fn shown_value(value: &Value) -> String {
    json(value, 0, &mut { MOST }).to_string()
}

/// Values shown of one step: tables may hold each other, and nothing stops Rust.
const MOST: usize = 10_000;

fn json(value: &Value, depth: usize, left: &mut usize) -> serde_json::Value {
    if *left == 0 {
        return "…".into();
    }
    *left -= 1;
    match value {
        Value::Boolean(value) => (*value).into(),
        Value::Integer(number) => (*number).into(),
        #[allow(clippy::cast_possible_truncation, reason = "whole and small")]
        Value::Number(number) if number.fract() == 0.0 && number.abs() < 9e15 => (*number as i64).into(),
        Value::Number(number) => serde_json::Number::from_f64(*number).map_or(serde_json::Value::Null, Into::into),
        Value::String(text) => text.to_string_lossy().into(),
        Value::Function(function) => {
            let (file, line) = place_of(function);
            format!("function@{file}:{line}").into()
        }
        // Whose refusals do not count lets everybody pass, and is not what its word promises.
        Value::Table(table) if is_step(table) => {
            let word = table.raw_get::<String>("word").unwrap_or_default();
            let enforce = table.raw_get::<bool>("enforce").unwrap_or(true);
            if enforce { word.into() } else { format!("{word} (enforce = false)").into() }
        }
        Value::Table(table) if depth < 16 => {
            let length = table.raw_len();
            let named = crate::script::declare::read::sorted(table);
            if length > 0 && named.len() == length {
                return (1..=length)
                    .filter_map(|at| table.raw_get(at).ok())
                    .map(|value: Value| json(&value, depth + 1, left))
                    .collect();
            }
            named
                .iter()
                .map(|(name, value)| (name.clone(), json(value, depth + 1, left)))
                .collect::<serde_json::Map<_, _>>()
                .into()
        }
        Value::UserData(_) => match Secret::of(value) {
            Some(secret) => secret.mark().into(),
            None => value.to_string().unwrap_or_default().into(),
        },
        _ => serde_json::Value::Null,
    }
}
