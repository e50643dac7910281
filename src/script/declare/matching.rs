//! `match = { … }`: conditions beyond the path.

use mlua::Table;
use mlua::Value;

use super::Session;
use super::read;
use super::session::Block;
use crate::route::Condition;
use crate::route::Part;
use crate::route::Want;

/// A list of globs; one that is none is told.
pub(super) fn globs(session: &Session, block: &Block, name: &str) -> Vec<String> {
    let globs = read::texts(&block.options, name);
    for (index, glob) in globs.iter().enumerate() {
        if let Err(error) = crate::primitive::glob::Glob::new(glob) {
            let mut at = block.value(&[name]);
            at.path.push(crate::script::diagnose::Segment::Index(index + 1));
            session.fault(at, format!("`{glob}` is no glob"), error.to_string(), "");
        }
    }
    globs
}

/// The conditions of one level.
pub(super) fn read(session: &Session, block: &Block) -> Vec<Condition> {
    let Some(table) = read::table(&block.options, "match") else { return Vec::new() };
    let mut conditions = Vec::new();
    for (word, part) in
        [("header", Part::Header), ("query", Part::Query), ("cookie", Part::Cookie), ("json", Part::Json)]
    {
        let Some(names) = read::table(&table, word) else { continue };
        for (name, value) in read::sorted(&names) {
            let name = if part == Part::Header { name.to_ascii_lowercase() } else { name };
            if let Some(want) = want(session, block, &[word, &name], &value) {
                conditions.push(Condition { part, name, want });
            }
        }
    }
    sni(session, block, &table, &mut conditions);
    conditions
}

fn sni(session: &Session, block: &Block, table: &Table, conditions: &mut Vec<Condition>) {
    let value: Value = table.raw_get("sni").unwrap_or(Value::Nil);
    if value.is_nil() {
        return;
    }
    if let Some(want) = want(session, block, &["sni"], &value) {
        conditions.push(Condition { part: Part::Sni, name: String::new(), want });
    }
}

fn want(session: &Session, block: &Block, path: &[&str], value: &Value) -> Option<Want> {
    let path = || block.value(&["match"].iter().chain(path).copied().collect::<Vec<_>>());
    match value {
        Value::Boolean(_) => Some(Want::Present),
        Value::String(text) => {
            let text = text.to_string_lossy();
            if !text.contains(['*', '?', '[']) {
                return Some(Want::Equals(text));
            }
            match crate::primitive::glob::Glob::new(&text) {
                Ok(_) => Some(Want::Glob(text)),
                Err(error) => {
                    session.fault(path(), format!("`{text}` is no glob"), error.to_string(), "");
                    None
                }
            }
        }
        other => super::regex_of(other).map(Want::Regex),
    }
}
