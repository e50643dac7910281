//! What an unknown name is worth while loading: it can be called and looked into, so that the rest of the file is read
//! and its mistakes are told too.

use mlua::Lua;
use mlua::MetaMethod;
use mlua::MultiValue;
use mlua::Table;
use mlua::UserData;
use mlua::UserDataMethods;
use mlua::Value;

use super::Session;
use super::here;
use crate::script::diagnose::Spot;

/// The value of an unknown name.
#[derive(Clone)]
pub(crate) struct Poison;

impl Poison {
    /// Whether `value` came from an unknown name.
    pub(crate) fn is(value: &Value) -> bool {
        value.as_userdata().is_some_and(|data| data.is::<Self>())
    }
}

impl UserData for Poison {
    fn add_methods<M: UserDataMethods<Self>>(methods: &mut M) {
        methods.add_meta_function(MetaMethod::Call, |lua, arguments: MultiValue| {
            if let Ok(session) = Session::of(lua, "") {
                let texts = arguments.iter().filter_map(Value::as_string).map(|text| text.to_string_lossy());
                session.poisoned.borrow_mut().extend(texts);
            }
            Ok(Self)
        });
        methods.add_meta_function(MetaMethod::Index, |_, _: MultiValue| Ok(Self));
        methods.add_meta_function(MetaMethod::NewIndex, |_, _: MultiValue| Ok(()));
        methods.add_meta_function(MetaMethod::ToString, |_, _: MultiValue| Ok("unknown"));
        methods.add_meta_function(MetaMethod::Len, |_, _: MultiValue| Ok(0));
        methods.add_meta_function(MetaMethod::Unm, |_, _: MultiValue| Ok(Self));
        for meta in [MetaMethod::Concat, MetaMethod::Add, MetaMethod::Sub, MetaMethod::Mul, MetaMethod::Div] {
            methods.add_meta_function(meta, |_, _: MultiValue| Ok(Self));
        }
        for meta in [MetaMethod::Lt, MetaMethod::Le] {
            methods.add_meta_function(meta, |_, _: MultiValue| Ok(false));
        }
    }
}

/// From now on unknown names are told and go on: for a machine that only checks, and is thrown away.
pub(crate) fn lenient(lua: &Lua) -> mlua::Result<()> {
    let Some(guard) = lua.globals().metatable() else { return Ok(()) };
    let known: Option<Table> = lua.globals().get::<Option<Table>>("_G")?;
    let lenient = lua.create_function(move |lua, (_, name): (Value, Value)| {
        if let Some(known) = &known {
            let value: Value = known.raw_get(&name)?;
            if !value.is_nil() {
                return Ok(value);
            }
        }
        absent(lua, &name)
    })?;
    guard.raw_set("__index", lenient)?;
    // Written globals are told from the source, with their columns.
    let write = lua.create_function(|lua, (_, name, value): (Value, Value, Value)| {
        let session = Session::of(lua, "")?;
        if let Some(name) = name.as_string() {
            session.written.borrow_mut().insert(name.to_string_lossy(), value);
        }
        Ok(())
    })?;
    guard.raw_set("__newindex", write)
}

fn absent(lua: &Lua, name: &Value) -> mlua::Result<Value> {
    let Ok(session) = Session::of(lua, "") else { return Ok(Value::Nil) };
    // Imports are looked up when a chunk is made, long before its lines run.
    if session.compiling.get() {
        return Ok(Value::Nil);
    }
    let Some(name) = name.as_string().map(|name| name.to_string_lossy()) else { return Ok(Value::Nil) };
    if let Some(value) = session.written.borrow().get(&name) {
        return Ok(value.clone());
    }
    let told = crate::script::diagnose::unknown(&name, &session.own_words(), false);
    let anchor = crate::script::diagnose::Anchor { spot: Spot::Word, ..here(lua, &name, None) };
    session.fault(anchor, told.message, told.label, told.help);
    lua.create_userdata(Poison).map(Value::UserData)
}
