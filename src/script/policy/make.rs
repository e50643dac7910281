//! From a policy's word and options to a step.

use std::rc::Rc;

use mlua::Function;
use mlua::Lua;
use mlua::LuaString;
use mlua::MultiValue;
use mlua::Table;
use mlua::Value;

use super::Policy;
use super::outside::Outside;
use super::step;
use crate::script::declare::Poison;
use crate::script::declare::Session;
use crate::script::declare::here;
use crate::script::declare::place_of;
use crate::script::declare::read;
use crate::script::diagnose::Anchor;
use crate::script::diagnose::Segment;
use crate::script::diagnose::Spot;
use crate::script::offline;
use crate::script::options::Check;
use crate::script::options::List;
use crate::script::options::describe;
use crate::script::secret::Secret;
use crate::script::words;
use crate::script::words::Opt;

/// `word { … }`, `word "argument"`, `word()`.
pub(super) fn step(lua: &Lua, policy: &Rc<Policy>, arguments: &MultiValue) -> mlua::Result<Value> {
    let session = Session::of(lua, &policy.name)?;
    let anchor = here(lua, &policy.name, None);
    if policy.named
        && let (Some(Value::String(name)), None) = (arguments.front(), arguments.get(1))
    {
        return half(lua, policy, &session, &anchor, name);
    }
    let table = match given(lua, policy, &session, &anchor, arguments)? {
        Some(table) => table,
        None => return lua.create_userdata(Poison).map(Value::UserData),
    };
    build(lua, policy, &session, &anchor, &table)
}

/// `split "name"`, whose table is still to come.
fn half(lua: &Lua, policy: &Rc<Policy>, session: &Session, anchor: &Anchor, name: &LuaString) -> mlua::Result<Value> {
    let anchor = Anchor { subject: Some(name.to_string_lossy()), ..anchor.clone() };
    let ticket = session.pend(anchor, format!("{} `{}`", policy.name, name.to_string_lossy()));
    let (policy, name) = (Rc::clone(policy), name.clone());
    let rest = lua.create_function(move |lua, table: Value| {
        Session::of(lua, &policy.name)?.follow(ticket);
        step(lua, &policy, &MultiValue::from_vec(vec![Value::String(name.clone()), table]))
    })?;
    Ok(Value::Function(rest))
}

/// `redirect "url" { status = 301 }`: the same step with more options.
pub(super) fn refine(
    lua: &Lua,
    policy: &Rc<Policy>,
    written: &Table,
    slots: &[usize],
    more: &Table,
) -> mlua::Result<Value> {
    let session = Session::of(lua, &policy.name)?;
    session.refined(slots);
    let anchor = here(lua, &policy.name, None);
    let joined = lua.create_table()?;
    for table in [written, more] {
        for pair in table.pairs::<Value, Value>() {
            let (key, value) = pair?;
            joined.raw_set(key, value)?;
        }
    }
    build(lua, policy, &session, &anchor, &joined)
}

/// The options as one table; the unnamed argument is `[1]`.
fn given(
    lua: &Lua,
    policy: &Policy,
    session: &Session,
    anchor: &Anchor,
    arguments: &MultiValue,
) -> mlua::Result<Option<Table>> {
    let unnamed = policy.options.iter().any(|option| option.name == "1");
    let owner = format!("`{}`", policy.name);
    let table = match arguments.front() {
        None | Some(Value::Nil) => lua.create_table()?,
        Some(value) if Poison::is(value) => return Ok(None),
        Some(Value::Table(table)) if !super::is_step(table) => table.clone(),
        Some(value) if unnamed => {
            let table = lua.create_table()?;
            table.raw_set(1, value.clone())?;
            table
        }
        Some(value) if value.is_userdata() && Secret::of(value).is_none() => {
            let said = format!("{owner} makes a step, and got {}", describe(value));
            session.fault(
                anchor.clone(),
                said,
                "to run a step inside a function, make it at the top of the file first",
                "",
            );
            return Ok(None);
        }
        Some(value) => {
            let said = format!("{owner} takes named options only, and got {}", describe(value));
            let example = policy.options.first().map_or_else(
                || format!("write {} {{}}", policy.name),
                |option| format!("write {} {{ {} = … }}", policy.name, option.name),
            );
            let mut at = anchor.clone();
            at.path.push(Segment::Index(1));
            session.fault(Anchor { spot: Spot::Value, ..at }, said, example, "");
            return Ok(None);
        }
    };
    match arguments.get(1) {
        Some(Value::Table(step)) if super::is_step(step) => {
            let said = format!("{owner} takes one table, and got two steps");
            session.fault(anchor.clone(), said, format!("write {} {{ step, step }}", policy.name), "");
            return Ok(None);
        }
        // `authorize(function(req) … end, "why")`
        Some(text @ Value::String(_)) if policy.options.iter().any(|option| option.name == "why") => {
            table.raw_set("why", text)?;
        }
        None | Some(Value::Nil | Value::Table(_)) => {}
        Some(other) => {
            let said = format!("{owner} takes one argument and a table of options, and got {} too", describe(other));
            session.fault(anchor.clone(), said, "", "");
            return Ok(None);
        }
    }
    if let Some(Value::Table(more)) = arguments.get(1) {
        for pair in more.pairs::<Value, Value>() {
            let (key, value) = pair?;
            table.raw_set(key, value)?;
        }
    }
    Ok(Some(table))
}

/// What may be written: its options, those of every policy, and any other name where the policy takes them.
fn known(policy: &Policy, table: &Table) -> mlua::Result<Vec<Opt>> {
    let mut known = super::all_options(policy);
    let Some(rest) = &policy.rest else { return Ok(known) };
    for pair in table.pairs::<Value, Value>() {
        let (Value::String(name), _) = pair? else { continue };
        let name = name.to_string_lossy();
        if known.iter().all(|option| option.name != name.as_str()) {
            known.push(Opt {
                name: name.into(),
                of: rest.clone(),
                default: "".into(),
                doc: "".into(),
                required: false,
                later: false,
            });
        }
    }
    Ok(known)
}

fn build(lua: &Lua, policy: &Rc<Policy>, session: &Session, anchor: &Anchor, table: &Table) -> mlua::Result<Value> {
    let owner = format!("`{}`", policy.name);
    let before = session.found().len();
    let list = if policy.options.iter().any(|option| option.name == "1") { List::Values } else { List::Refused };
    let mut check = Check::new(lua, session, anchor, &owner, list);
    let typed = check.options(table, &known(policy, table)?)?;
    let mut needs = check.needs;
    for (name, value) in &policy.defaults {
        let key: Value = if name == "1" { Value::Integer(1) } else { Value::String(lua.create_string(name)?) };
        if typed.raw_get::<Value>(&key)?.is_nil() {
            typed.raw_set(key, value)?;
        }
    }
    if session.found().len() > before {
        return lua.create_userdata(Poison).map(Value::UserData);
    }
    let made_before = session.slots_made();
    let returned: Value = match policy.step.call(&typed) {
        Ok(returned) => returned,
        Err(error) => {
            let said = crate::script::driver::fault::message(&error);
            session.fault(anchor.clone(), format!("{owner}: {said}"), "", "");
            return lua.create_userdata(Poison).map(Value::UserData);
        }
    };
    let mut slots: Vec<usize> = (made_before..session.slots_made()).collect();
    slots.extend(step::slots_within(&typed));
    needs.extend(session.needed.take());
    finish(lua, policy, session, anchor, &typed, table, (returned, needs, slots))
}

fn finish(
    lua: &Lua,
    policy: &Rc<Policy>,
    session: &Session,
    anchor: &Anchor,
    typed: &Table,
    written: &Table,
    (returned, needs, slots): (Value, Vec<String>, Vec<usize>),
) -> mlua::Result<Value> {
    let own = |name: &str| policy.options.iter().any(|option| option.name == name);
    let mut made = step::Made {
        call: None,
        items: None,
        outside: None,
        wraps: false,
        waits: policy.waits,
        word: policy.name.clone(),
        when: read::function(typed, "when").filter(|_| !own("when")),
        status: if own("status") { None } else { read::get(typed, "status") },
        detail: if own("detail") { None } else { read::text(typed, "detail") },
        enforce: own("enforce") || read::get(typed, "enforce").unwrap_or(true),
        options: step::shown(typed),
        needs,
        owns: if policy.place.0.is_empty() { step::owns(typed) } else { Vec::new() },
        slots,
        place: (anchor.file.clone(), anchor.line),
    };
    match returned {
        Value::Function(function) => {
            made.wraps = function.info().num_params >= 2;
            let own = policy.place.0.is_empty();
            made.call = Some(if own { offline::passing(lua, &policy.name, function, typed)? } else { function });
        }
        Value::UserData(data) if data.is::<Outside>() => {
            let said = format!("{} acts outside its place: list it, do not call it", policy.name);
            made.call =
                Some(lua.create_function(move |_, (): ()| -> mlua::Result<()> {
                    Err(mlua::Error::runtime(said.clone()))
                })?);
            made.outside = Some(data);
        }
        Value::Table(inner) if super::is_step(&inner) => {
            let list = lua.create_table()?;
            list.raw_set(1, inner)?;
            made.items = Some(list);
        }
        other => {
            let (file, line) = place_of(&policy.step);
            let said = format!(
                "`step` of policy `{}` must return a function(req) or a step, and returned {}",
                policy.name,
                describe(&other)
            );
            let at = Anchor {
                file,
                line,
                word: "policy".into(),
                subject: Some(policy.name.clone()),
                path: vec![Segment::Key("step".into())],
                spot: Spot::Value,
                ..Anchor::default()
            };
            let at = if policy.place.0.is_empty() { anchor.clone() } else { Anchor { line: policy.place.1, ..at } };
            session.fault(at, said, "", "");
            return lua.create_userdata(Poison).map(Value::UserData);
        }
    }
    made.push(lua, Some(policy), Some(written)).map(Value::Table)
}

/// `steps { step, step, when = }`
pub(super) fn steps(lua: &Lua, table: Value) -> mlua::Result<Value> {
    let session = Session::of(lua, "steps")?;
    let anchor = here(lua, "steps", None);
    let Value::Table(table) = table else {
        session.fault(
            anchor,
            format!("`steps` needs a list of steps, and got {}", describe(&table)),
            "write steps { step, step }",
            "",
        );
        return lua.create_userdata(Poison).map(Value::UserData);
    };
    let options = words::find("steps").map(|word| word.options.as_slice()).unwrap_or_default();
    let (block, children) =
        crate::script::declare::block(lua, &session, anchor.clone(), "`steps`".to_owned(), &table, options)?;
    if !children.is_empty() {
        session.fault(anchor.clone(), "routes cannot stand inside `steps`", "a `group` holds routes", "");
    }
    let when: Option<Function> = read::function(&block.options, "when");
    let items = lua.create_table()?;
    let mut slots = Vec::new();
    for (index, item) in block.steps.into_iter().enumerate() {
        let outside = |value: &Value| step::Made::of(value).is_some_and(|made| made.outside.is_some());
        let mut inside = Vec::new();
        step::flatten(&item.value, &|_| false, &mut inside);
        if when.is_some() && inside.iter().any(|(value, _)| outside(value)) {
            let at = Anchor { path: vec![Segment::Index(index + 1)], spot: Spot::Value, ..anchor.clone() };
            let said = "`cors` stands in `steps` with a `when`, and acts outside any place";
            session.fault(at, said, "give the `when` to `cors` itself", "");
        }
        slots.extend(step::slots_of(&item.value));
        items.raw_push(item.value)?;
    }
    let made = step::Made {
        call: None,
        items: Some(items),
        outside: None,
        wraps: false,
        waits: true,
        word: "steps".into(),
        when,
        status: None,
        detail: None,
        enforce: true,
        options: String::new(),
        needs: Vec::new(),
        owns: Vec::new(),
        slots,
        place: (anchor.file.clone(), anchor.line),
    };
    made.push(lua, None, None).map(Value::Table)
}
