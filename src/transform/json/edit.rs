//! Edits of a JSON document, in this order: keep, remove, rename, set.

use std::collections::BTreeMap;
use std::collections::HashSet;

use serde_json::Value;

use super::Path;

/// What to change.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Edit {
    /// Only these places stay, with what holds them; empty: everything stays.
    pub keep: Vec<Path>,
    /// These places go.
    pub remove: Vec<Path>,
    /// Members found there get another name, where they stand.
    pub rename: Vec<(Path, String)>,
    /// These places get a value; a plain path is created where it is missing.
    pub set: Vec<(Path, Value)>,
}

impl Edit {
    /// Whether nothing would change.
    pub fn is_empty(&self) -> bool {
        self.keep.is_empty() && self.remove.is_empty() && self.rename.is_empty() && self.set.is_empty()
    }

    /// Makes the changes.
    pub fn apply(&self, value: &mut Value) {
        if !self.keep.is_empty() {
            keep(value, &self.keep);
        }
        for path in &self.remove {
            remove(value, path);
        }
        for (path, name) in &self.rename {
            rename(value, path, name);
        }
        for (path, new) in &self.set {
            path.set(value, new);
        }
    }
}

/// Takes out every place of `path`; removing the whole leaves null.
pub fn remove(value: &mut Value, path: &Path) {
    for (parent, names) in by_parent(path.places(value)) {
        match parent.and_then(|parent| value.pointer_mut(&parent)) {
            None => *value = Value::Null,
            Some(Value::Object(map)) => map.retain(|key, _| !names.contains(key)),
            Some(Value::Array(list)) => {
                let mut index = 0;
                list.retain(|_| {
                    index += 1;
                    !names.contains(&(index - 1).to_string())
                });
            }
            Some(_) => {}
        }
    }
}

/// Gives every member of an object that `path` finds the name `to`, where it stands; another of that name goes.
pub fn rename(value: &mut Value, path: &Path, to: &str) {
    for (parent, mut names) in by_parent(path.places(value)) {
        names.remove(to);
        let Some(Value::Object(map)) = parent.and_then(|parent| value.pointer_mut(&parent)) else { continue };
        if names.is_empty() {
            continue;
        }
        for (key, member) in std::mem::take(map) {
            if names.contains(&key) {
                map.insert(to.to_owned(), member);
            } else if key != to {
                map.insert(key, member);
            }
        }
    }
}

/// Places by what holds them (`None` for the whole document), the deepest first: a change there moves no other.
fn by_parent(places: Vec<String>) -> Vec<(Option<String>, HashSet<String>)> {
    let mut groups: BTreeMap<Option<String>, HashSet<String>> = BTreeMap::new();
    for place in places {
        let (parent, name) = match place.rfind('/') {
            Some(slash) => (Some(place[..slash].to_owned()), unescape(&place[slash + 1..])),
            None => (None, String::new()),
        };
        groups.entry(parent).or_default().insert(name);
    }
    let mut groups: Vec<_> = groups.into_iter().collect();
    let depth = |parent: &Option<String>| parent.as_ref().map(|parent| parent.matches('/').count() + 1);
    groups.sort_by_key(|(parent, _)| std::cmp::Reverse(depth(parent)));
    groups
}

/// What is kept below a place: all of it, or only these members.
#[derive(Default)]
struct Kept {
    whole: bool,
    below: BTreeMap<String, Self>,
}

fn keep(value: &mut Value, paths: &[Path]) {
    let mut root = Kept::default();
    for place in paths.iter().flat_map(|path| path.places(value)) {
        let steps = place.split('/').skip(1).map(unescape);
        let node = steps.fold(&mut root, |node, step| node.below.entry(step).or_default());
        node.whole = true;
    }
    prune(value, &root);
}

fn prune(value: &mut Value, kept: &Kept) {
    if kept.whole {
        return;
    }
    match value {
        Value::Object(map) => map.retain(|key, member| match kept.below.get(key) {
            Some(kept) => {
                prune(member, kept);
                true
            }
            None => false,
        }),
        Value::Array(list) => {
            let mut index = 0;
            list.retain_mut(|member| {
                index += 1;
                let kept = kept.below.get(&(index - 1).to_string());
                kept.inspect(|kept| prune(member, kept)).is_some()
            });
        }
        other => *other = Value::Null,
    }
}

fn unescape(step: &str) -> String {
    step.replace("~1", "/").replace("~0", "~")
}
