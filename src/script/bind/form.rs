//! `form`: bodies of `application/x-www-form-urlencoded`.

use mlua::FromLua;
use mlua::Lua;
use mlua::Table;
use mlua::Value;

use crate::primitive::form;
use crate::script::bind::function;
use crate::script::bind::text::Text;
use crate::script::bind::text::kind;

/// `form`
pub(super) fn install(lua: &Lua, words: &Table) -> mlua::Result<()> {
    let table = lua.create_table()?;
    table.set("decode", function(lua, "form.decode", decode)?)?;
    table.set("encode", function(lua, "form.encode", |lua, table: Table| encode(lua, &table))?)?;
    words.set("form", table)
}

/// The first value of each name, and every pair in its order.
fn decode(lua: &Lua, text: Text) -> mlua::Result<(Table, Table)> {
    text.within("form.decode", LONGEST)?;
    let (first, pairs) = (lua.create_table()?, lua.create_table()?);
    let bytes = text.bytes();
    for (count, (name, value)) in form::parse(&bytes).enumerate() {
        if count == MOST {
            return Err(mlua::Error::runtime(format!("form.decode: more than {MOST} fields")));
        }
        if !first.contains_key(&*name)? {
            first.raw_set(&*name, &*value)?;
        }
        pairs.raw_push(lua.create_sequence_from([&*name, &*value])?)?;
    }
    Ok((first, pairs))
}

/// A table as a body: names sorted, a list gives a name several values.
pub(crate) fn encode(lua: &Lua, table: &Table) -> mlua::Result<String> {
    let mut pairs = Vec::new();
    for pair in table.pairs::<Value, Value>() {
        let (name, value) = pair?;
        let Value::String(name) = name else {
            return Err(mlua::Error::runtime(format!("form.encode: a {} as a name", kind(&name))));
        };
        let name = name.to_str()?.to_owned();
        match value {
            Value::Table(list) => {
                for value in list.sequence_values::<Value>() {
                    pairs.push((name.clone(), single(lua, &name, value?)?));
                }
            }
            value => pairs.push((name.clone(), single(lua, &name, value)?)),
        }
    }
    // The sort is stable: values of one name keep their order.
    pairs.sort_by(|(a, _), (b, _)| a.cmp(b));
    Ok(form::encode(pairs.iter().map(|(name, value)| (name.as_str(), value.as_str()))))
}

fn single(lua: &Lua, name: &str, value: Value) -> mlua::Result<String> {
    if let Value::Boolean(value) = value {
        return Ok(value.to_string());
    }
    let text = Text::from_lua(value, lua);
    let text =
        text.map_err(|_| mlua::Error::runtime(format!("form.encode: `{name}` is no text, number or boolean")))?;
    text.within("form.encode", LONGEST)?;
    text.utf8(&format!("form.encode: `{name}`"))
}

const LONGEST: usize = 4 << 20;
const MOST: usize = 10_000;
