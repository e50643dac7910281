//! What a reload changes, told in the words of the script: one line an upstream, route or setting.

use std::collections::BTreeMap;
use std::fmt;

use serde::Serialize;
use serde_json::Map;
use serde_json::Value;

use crate::plan::Plan;

/// The difference between two plans.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Diff {
    lines: Vec<Line>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Line {
    sign: char,
    what: String,
    notes: Vec<String>,
}

impl Diff {
    /// What it takes to get from `old` to `new`. Places do not count: a line that moved is the same line.
    pub fn between(old: &Plan, new: &Plan) -> Self {
        let mut diff = Self::default();
        diff.compare("gateway", &[("", &old.gateway)], &[("", &new.gateway)]);
        diff.compare("upstream", &named(&old.upstreams, |it| &it.name), &named(&new.upstreams, |it| &it.name));
        diff.compare("route", &named(&old.routes, |it| &it.name), &named(&new.routes, |it| &it.name));
        diff.compare("", &pairs(&old.objects), &pairs(&new.objects));
        diff.timers(old, new);
        diff
    }

    /// Whether nothing declared differs; the code of functions may.
    pub fn is_empty(&self) -> bool {
        self.lines.is_empty()
    }

    /// As programs read it: a list of `{ change, what, notes }`.
    pub fn to_json(&self) -> Value {
        let line = |line: &Line| {
            let change = match line.sign {
                '+' => "added",
                '-' => "removed",
                _ => "changed",
            };
            serde_json::json!({ "change": change, "what": line.what, "notes": line.notes })
        };
        self.lines.iter().map(line).collect()
    }

    fn compare<T: Serialize + PartialEq>(&mut self, kind: &str, old: &[(&str, &T)], new: &[(&str, &T)]) {
        let old = keyed(old);
        let new = keyed(new);
        for (key, was) in &old {
            match new.get(key) {
                None => self.line('-', kind, key, Vec::new()),
                Some(is) if was == is => {}
                Some(is) => {
                    let notes = notes(was, is);
                    if !notes.is_empty() {
                        self.line('~', kind, key, notes);
                    }
                }
            }
        }
        for key in new.keys().filter(|key| !old.contains_key(*key)) {
            self.line('+', kind, key, Vec::new());
        }
    }

    fn timers(&mut self, old: &Plan, new: &Plan) {
        let texts =
            |plan: &Plan| plan.timers.iter().map(|(word, what, _)| format!("{word} {what}")).collect::<Vec<_>>();
        let (old, new) = (texts(old), texts(new));
        for (sign, text) in changes(&old, &new) {
            self.line(sign, "", &(text, 0), Vec::new());
        }
    }

    fn line(&mut self, sign: char, kind: &str, key: &(String, usize), notes: Vec<String>) {
        let what = [kind, &key.0].into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join(" ");
        self.lines.push(Line { sign, what, notes });
    }
}

impl fmt::Display for Diff {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for line in self.lines.iter().take(MOST_LINES) {
            writeln!(f, "  {} {}", line.sign, line.what)?;
            for note in line.notes.iter().take(MOST_NOTES) {
                writeln!(f, "      {note}")?;
            }
            if line.notes.len() > MOST_NOTES {
                writeln!(f, "      … and {} more", line.notes.len() - MOST_NOTES)?;
            }
        }
        if self.lines.len() > MOST_LINES {
            writeln!(f, "  … and {} more", self.lines.len() - MOST_LINES)?;
        }
        Ok(())
    }
}

fn named<T>(items: &[T], name: impl Fn(&T) -> &String) -> Vec<(&str, &T)>
where
    T: Serialize,
{
    items.iter().map(|item| (name(item).as_str(), item)).collect()
}

fn pairs(objects: &BTreeMap<String, String>) -> Vec<(&str, &String)> {
    objects.iter().map(|(key, config)| (key.as_str(), config)).collect()
}

/// Things of the same name (routes told apart by `match` or `when`) are compared in the order written.
fn keyed<T: Serialize>(items: &[(&str, &T)]) -> BTreeMap<(String, usize), Value> {
    let mut counts = BTreeMap::<&str, usize>::new();
    let mut keyed = BTreeMap::new();
    for (name, item) in items {
        let ordinal = counts.entry(name).and_modify(|count| *count += 1).or_insert(0);
        let mut value = serde_json::to_value(item).unwrap_or_default();
        forget_places(&mut value);
        keyed.insert(((*name).to_owned(), *ordinal), value);
    }
    keyed
}

/// Removes file and line, also where a function stands for itself as `function@file:line`.
fn forget_places(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            fields.remove("place");
            fields.values_mut().for_each(forget_places);
        }
        Value::Array(items) => items.iter_mut().for_each(forget_places),
        Value::String(text) if text.contains("function@") => *text = without_places(text),
        _ => {}
    }
}

fn without_places(text: &str) -> String {
    let mut parts = text.split("function@");
    let mut out = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        out.push_str("function");
        out.push_str(&part[part.find(['"', ',', '}', ']', ' ']).unwrap_or(part.len())..]);
    }
    out
}

/// The fields in which two declarations differ.
fn notes(old: &Value, new: &Value) -> Vec<String> {
    let mut notes = Vec::new();
    walk("", old, new, &mut notes);
    notes
}

fn walk(path: &str, old: &Value, new: &Value, notes: &mut Vec<String>) {
    match (old, new) {
        _ if old == new => {}
        (Value::Object(was), Value::Object(is)) if !atomic(was) && same_shape(was, is) => {
            for (key, value) in is {
                let path = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
                walk(&path, was.get(key).unwrap_or(&Value::Null), value, notes);
            }
        }
        (Value::Array(was), Value::Array(is)) => {
            let was: Vec<_> = was.iter().map(short).collect();
            let is: Vec<_> = is.iter().map(short).collect();
            let before = notes.len();
            notes.extend(changes(&was, &is).into_iter().map(|(sign, text)| format!("{path} {sign} {text}")));
            if notes.len() == before {
                notes.push(format!("{path}: another order"));
            }
        }
        _ if path.is_empty() => notes.push(format!("{} → {}", short(old), short(new))),
        _ => notes.push(format!("{path}: {} → {}", short(old), short(new))),
    }
}

/// Elements of one list that the other lacks, counting repetitions.
fn changes(old: &[String], new: &[String]) -> Vec<(char, String)> {
    let mut left = old.to_vec();
    let mut added = Vec::new();
    for text in new {
        match left.iter().position(|it| it == text) {
            Some(index) => drop(left.remove(index)),
            None => added.push(('+', text.clone())),
        }
    }
    left.into_iter().map(|text| ('-', text)).chain(added).collect()
}

/// A duration is one value, and so is one arm of an enum.
fn atomic(fields: &Map<String, Value>) -> bool {
    fields.len() == 1 || (fields.contains_key("secs") && fields.contains_key("nanos"))
}

fn same_shape(old: &Map<String, Value>, new: &Map<String, Value>) -> bool {
    old.keys().eq(new.keys())
}

/// A value as a line of a diff shows it.
fn short(value: &Value) -> String {
    let text = match value {
        Value::Null => "none".to_owned(),
        Value::String(text) => text.clone(),
        Value::Array(items) => {
            let texts: Vec<_> = items.iter().map(short).filter(|text| !text.is_empty()).collect();
            texts.join(", ")
        }
        Value::Object(fields) => object(fields),
        other => other.to_string(),
    };
    match text.char_indices().nth(MOST_LETTERS) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}

fn object(fields: &Map<String, Value>) -> String {
    let get = |name: &str| fields.get(name).map(short);
    if let (Some(secs), Some(nanos)) = (fields.get("secs"), fields.get("nanos")) {
        let millis = secs.as_u64().unwrap_or(0) * 1000 + nanos.as_u64().unwrap_or(0) / 1_000_000;
        return if millis.is_multiple_of(1000) { format!("{}s", millis / 1000) } else { format!("{millis}ms") };
    }
    if let Some(word) = get("word") {
        let options = get("options").filter(|options| !options.is_empty() && options != "{}" && options != "null");
        return options.map_or_else(|| word.clone(), |options| format!("{word} {options}"));
    }
    if let (Some(host), Some(port)) = (get("host"), get("port")) {
        return format!("{host}:{port}");
    }
    if let (Some(address), Some(weight)) = (get("address"), get("weight")) {
        return if weight == "1" { address } else { format!("{address} (weight {weight})") };
    }
    match fields.values().next() {
        Some(only) if fields.len() == 1 => short(only),
        _ => {
            let told = fields.iter().filter(|(_, value)| !value.is_null());
            told.map(|(name, value)| format!("{name} {}", short(value))).collect::<Vec<_>>().join(", ")
        }
    }
}

/// Longer diffs are cut.
const MOST_LINES: usize = 30;
const MOST_NOTES: usize = 6;
const MOST_LETTERS: usize = 80;

#[cfg(test)]
mod tests;
