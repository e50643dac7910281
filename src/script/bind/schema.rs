//! `schema "pet.json"`: a JSON Schema, compiled once per process as long as somebody holds it.

use std::sync::Arc;
use std::sync::Weak;

use mlua::IntoLuaMulti;
use mlua::Lua;
use mlua::MetaMethod;
use mlua::MultiValue;
use mlua::Table;
use mlua::UserData;
use mlua::UserDataMethods;
use mlua::Value;
use parking_lot::Mutex;

use crate::primitive::validate;
use crate::primitive::validate::Judge;
use crate::primitive::validate::MOST;
use crate::script::bind::json;
use crate::script::context::Context;
use crate::script::declare::Poison;
use crate::script::declare::Session;
use crate::script::declare::here;
use crate::script::diagnose::Anchor;
use crate::script::diagnose::Spot;
use crate::script::options::describe;
use crate::transform;
use crate::transform::json::Limits;

/// A schema in a script's hands.
#[derive(Clone)]
pub(crate) struct Schema {
    name: String,
    schema: Arc<validate::Schema>,
}

impl Schema {
    /// The schema that `value` is, if it is one.
    pub(crate) fn of(value: &Value) -> Option<Arc<dyn Judge>> {
        let data = value.as_userdata()?.borrow::<Self>().ok()?;
        Some(Arc::clone(&data.schema) as Arc<dyn Judge>)
    }
}

/// `schema`
pub(super) fn install(lua: &Lua, words: &Table) -> mlua::Result<()> {
    words.set("schema", lua.create_function(make)?)
}

fn make(lua: &Lua, source: Value) -> mlua::Result<Value> {
    if !Context::of(lua).loading() {
        return Err(mlua::Error::runtime("a schema is made at the top level of the file, not in a function"));
    }
    let session = Session::of(lua, "schema")?;
    let poison = || lua.create_userdata(Poison).map(Value::UserData);
    let (name, text) = match &source {
        value if Poison::is(value) => return poison(),
        Value::String(name) => {
            let name = name.to_string_lossy();
            let anchor = || Anchor { spot: Spot::Subject, ..here(lua, "schema", Some(&name)) };
            match session.files.read(&name) {
                Ok(text) => (name, text),
                Err(reason) => {
                    session.fault(anchor(), reason, "paths are relative to the config folder", "");
                    return poison();
                }
            }
        }
        Value::Table(_) => {
            let text = json::encode(&source).map_err(|fault| mlua::Error::runtime(format!("schema: {fault}")))?;
            (String::new(), text.into_bytes().into())
        }
        other => {
            let said = format!("`schema` takes the name of a file or a table, and got {}", describe(other));
            session.fault(here(lua, "schema", None), said, "write schema \"pet.json\"", "");
            return poison();
        }
    };
    match compile(&name, &text) {
        Ok(schema) => lua.create_userdata(Schema { name, schema }).map(Value::UserData),
        Err(reason) => {
            let (subject, shown) = if name.is_empty() { (None, "this schema") } else { (Some(&*name), &*name) };
            let anchor = here(lua, "schema", subject);
            let spot = if subject.is_some() { Spot::Subject } else { anchor.spot };
            session.fault(Anchor { spot, ..anchor }, format!("{shown}: {reason}"), "", "");
            poison()
        }
    }
}

/// A file as JSON, by its name or its looks.
pub(crate) fn document(name: &str, text: &[u8]) -> Result<serde_json::Value, String> {
    let is_yaml = [".yaml", ".yml"].iter().any(|end| name.ends_with(end));
    let looks = text.trim_ascii_start().first().is_some_and(|&byte| matches!(byte, b'{' | b'['));
    if is_yaml && !looks {
        return transform::yaml::decode(text).map_err(|fault| fault.to_string());
    }
    transform::json::decode(text, Limits::default()).map_err(|fault| fault.to_string())
}

type Known = Vec<(Arc<[u8]>, Weak<validate::Schema>)>;

/// Workers load the same files: one of them compiles.
fn compile(name: &str, text: &Arc<[u8]>) -> Result<Arc<validate::Schema>, String> {
    static KNOWN: Mutex<Known> = Mutex::new(Vec::new());
    let mut known = KNOWN.lock();
    known.retain(|(_, schema)| schema.strong_count() > 0);
    let found = known.iter().find(|(other, _)| Arc::ptr_eq(other, text) || **other == **text);
    if let Some(schema) = found.and_then(|(_, schema)| schema.upgrade()) {
        return Ok(schema);
    }
    let schema = validate::Schema::new(&document(name, text)?).map_err(|fault| fault.to_string())?;
    let schema = Arc::new(schema);
    known.push((Arc::clone(text), Arc::downgrade(&schema)));
    Ok(schema)
}

impl UserData for Schema {
    fn add_methods<M: UserDataMethods<Self>>(methods: &mut M) {
        methods.add_method("check", |lua, schema, value: Value| -> mlua::Result<MultiValue> {
            let value =
                json::to_json(&value).map_err(|fault| mlua::Error::runtime(format!("schema:check: {fault}")))?;
            let faults = schema.schema.judge(&value, MOST);
            if faults.is_empty() {
                return true.into_lua_multi(lua);
            }
            let list = lua.create_table()?;
            for fault in faults {
                let entry = lua.create_table()?;
                entry.raw_set("pointer", fault.pointer)?;
                entry.raw_set("message", fault.message)?;
                list.raw_push(entry)?;
            }
            (false, list).into_lua_multi(lua)
        });
        methods.add_meta_method(MetaMethod::ToString, |_, schema, ()| Ok(format!("schema {}", schema.name)));
    }
}
