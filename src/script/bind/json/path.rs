//! `json.get`: a value inside a value, by JSONPath.

use mlua::Lua;
use mlua::Table;
use mlua::Value;

/// One step of a path that leads to one place at most.
#[derive(Debug, PartialEq, Eq)]
enum Step {
    Name(String),
    Index(i64),
}

/// The value at `path`; `nil` where there is none.
pub(super) fn get(lua: &Lua, (value, path): (Value, String)) -> mlua::Result<Value> {
    if path.len() > 4096 {
        return Err(mlua::Error::runtime("json.get: a path has 4096 bytes at most"));
    }
    let steps = parse(&path).map_err(|fault| mlua::Error::runtime(format!("json.get: {fault} in `{path}`")))?;
    let mut value = value;
    for step in steps {
        let Value::Table(table) = value else { return Ok(Value::Nil) };
        value = match step {
            Step::Name(name) => table.raw_get(lua.create_string(name)?)?,
            Step::Index(index) => at(&table, index)?,
        };
    }
    Ok(value)
}

/// JSONPath counts from 0, or from the end.
fn at(table: &Table, index: i64) -> mlua::Result<Value> {
    let length = i64::try_from(table.raw_len()).unwrap_or(i64::MAX);
    let place = if index < 0 { length.saturating_add(index) } else { index };
    if (0..length).contains(&place) { table.raw_get(place + 1) } else { Ok(Value::Nil) }
}

fn parse(path: &str) -> Result<Vec<Step>, String> {
    let mut rest = path.strip_prefix('$').ok_or("a path begins with `$`")?;
    let mut steps = Vec::new();
    while !rest.is_empty() {
        let (step, after) = match rest.strip_prefix('.') {
            Some(name) => dotted(name)?,
            None => bracketed(rest.strip_prefix('[').ok_or_else(|| format!("unexpected `{rest}`"))?)?,
        };
        steps.push(step);
        rest = after;
    }
    Ok(steps)
}

fn dotted(rest: &str) -> Result<(Step, &str), String> {
    let end = rest.find(['.', '[']).unwrap_or(rest.len());
    let name = &rest[..end];
    let plain = |symbol: char| symbol.is_alphanumeric() || symbol == '_' || symbol == '-' || !symbol.is_ascii();
    if name.is_empty() || !name.chars().all(plain) {
        return Err(one_place(name));
    }
    Ok((Step::Name(name.to_owned()), &rest[end..]))
}

fn bracketed(rest: &str) -> Result<(Step, &str), String> {
    if let Some(quote) = rest.chars().next().filter(|first| matches!(first, '\'' | '"')) {
        return quoted(&rest[1..], quote);
    }
    let end = rest.find(']').ok_or("`[` without `]`")?;
    let index = rest[..end].parse().map_err(|_| one_place(&rest[..end]))?;
    Ok((Step::Index(index), &rest[end + 1..]))
}

fn quoted(rest: &str, quote: char) -> Result<(Step, &str), String> {
    let mut name = String::new();
    let mut symbols = rest.char_indices();
    while let Some((at, symbol)) = symbols.next() {
        match symbol {
            '\\' => name.push(symbols.next().ok_or("an escape without a character")?.1),
            symbol if symbol == quote => {
                let after = rest[at + 1..].strip_prefix(']').ok_or("`]` missing after a quoted name")?;
                return Ok((Step::Name(name), after));
            }
            symbol => name.push(symbol),
        }
    }
    Err("a quote without its end".into())
}

fn one_place(text: &str) -> String {
    format!("`{text}` does not name one place (`.name`, `['name']` and `[0]` do)")
}
