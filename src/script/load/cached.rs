//! What `moongate check` says of `cache`: times that never apply, and fields that shape an answer without being in its key.

use std::collections::BTreeMap;
use std::collections::BTreeSet;

use serde_json::Value;

use super::judge::place;
use crate::plan::Place;
use crate::plan::Plan;
use crate::plan::Step;
use crate::script::diagnose::Anchor;
use crate::script::diagnose::Diagnostic;
use crate::script::diagnose::sketch::Field;
use crate::script::diagnose::sketch::Sketch;
use crate::script::words::roles;

/// The warnings.
pub(super) fn warnings(plan: &Plan, sketches: &BTreeMap<String, Sketch>) -> Vec<Diagnostic> {
    let (mut found, mut told) = (Vec::new(), BTreeSet::new());
    for route in &plan.routes {
        for (at, step) in route.steps.iter().enumerate().filter(|(_, step)| step.word == "cache") {
            let options: Value = serde_json::from_str(&step.options).unwrap_or_default();
            let identity = route.steps[..at].iter().find(|step| roles::identifies(&step.word));
            if let Some(identity) = identity.filter(|_| is_idle(&options))
                && told.insert((step.place.clone(), identity.word.clone()))
            {
                found.push(idle(step, identity, sketches));
            }
            let keyed = keyed(&options);
            for (file, field) in read(&route.steps[at + 1..], sketches) {
                let known = keyed.as_ref().is_none_or(|keyed| keyed.contains(&field.name));
                if !known && told.insert(((file.to_owned(), field.span.line), field.name.clone())) {
                    found.push(unkeyed(file, field, step));
                }
            }
        }
    }
    found
}

/// Whether it has a time of its own, which holds for nobody who was identified.
fn is_idle(options: &Value) -> bool {
    let given = |name: &str| !matches!(&options[name], Value::Null | Value::Bool(false));
    let timed = given("1") || options.get(0).is_some();
    timed && !given("private") && !given("keep")
}

fn idle(step: &Step, identity: &Step, sketches: &BTreeMap<String, Sketch>) -> Diagnostic {
    let said = format!(
        "`cache` stands behind `{}`: answers for those it let in are stored only where the service's own Cache-Control shares them (public, s-maxage, must-revalidate)",
        identity.word
    );
    let told = Diagnostic::warning("idle-cache", said)
        .label("write private = true: each user has answers of their own")
        .help("where the service's word is what you want, leave the time out: cache {}");
    place(sketches, &anchor(&step.place, "cache"), told)
}

/// The fields its key has, or may have; `None`: a function says.
fn keyed(options: &Value) -> Option<BTreeSet<String>> {
    let names = options["vary"].as_array().into_iter().flatten().chain([&options["vary"]]);
    let mut keyed: BTreeSet<String> = names.filter_map(Value::as_str).map(str::to_ascii_lowercase).collect();
    let Some(key) = options["key"].as_str() else { return Some(keyed) };
    if key.starts_with("function@") {
        return None;
    }
    let headers = key.split("{header.").skip(1);
    keyed.extend(headers.filter_map(|rest| rest.split(['}', '|']).next()).map(|name| name.trim().to_ascii_lowercase()));
    if key.contains("{cookie.") {
        keyed.insert("cookie".to_owned());
    }
    Some(keyed)
}

/// The fields that functions among `steps` read.
fn read<'a>(steps: &'a [Step], sketches: &'a BTreeMap<String, Sketch>) -> impl Iterator<Item = (&'a str, &'a Field)> {
    let functions = steps.iter().filter(|step| step.word == "function");
    functions.flat_map(move |step| {
        let (file, line) = &step.place;
        let fields = sketches.get(file).into_iter().flat_map(|sketch| &sketch.fields);
        fields.filter(move |field| field.within.contains(line)).map(move |field| (file.as_str(), field))
    })
}

fn unkeyed(file: &str, field: &Field, step: &Step) -> Diagnostic {
    let name = &field.name;
    let (at, line) = &step.place;
    let said = format!("`{name}` is read while an answer is made that `cache` keeps for all, whatever their `{name}`");
    Diagnostic::warning("unkeyed-field", said)
        .label(format!("write vary = {{ \"{name}\" }} in the cache at {at}:{line}, or read it before"))
        .under(file, field.span)
}

fn anchor((file, line): &Place, word: &str) -> Anchor {
    Anchor { file: file.clone(), line: *line, word: word.into(), ..Anchor::default() }
}
