//! Steps behind one that always answers: they never run, and nothing is ever sent on.

use std::collections::BTreeMap;

use serde_json::Value;

use super::Judged;
use super::anchor_of;
use super::place;
use crate::plan::Place;
use crate::plan::Plan;
use crate::plan::Step;
use crate::script::diagnose::Anchor;
use crate::script::diagnose::Diagnostic;
use crate::script::diagnose::sketch::Sketch;

impl Judged {
    pub(super) fn unreachable(&mut self, plan: &Plan, sketches: &BTreeMap<String, Sketch>) {
        for (index, route) in plan.routes.iter().enumerate() {
            let Some(at) = route.steps.iter().position(always_answers) else { continue };
            let (first, (file, line)) = (&route.steps[at], &route.steps[at].place);
            let label = format!("`{}` at {file}:{line} answers every request", first.word);
            if let Some(step) = route.steps.get(at + 1) {
                let (file, line) = step.place.clone();
                let anchor = Anchor { file, line, word: step.word.clone(), ..Anchor::default() };
                let what =
                    if step.word == "function" { "this function".to_owned() } else { format!("`{}`", step.word) };
                let told = Diagnostic::warning("unreachable-step", format!("{what} never runs")).label(label);
                self.warnings.push(place(sketches, &anchor, told));
            } else if route.to.is_some() && says_to(sketches, &route.place) {
                let said = format!("nothing of route `{}` is ever sent on", route.pattern);
                let told = Diagnostic::warning("unreachable-step", said).label(label);
                self.warnings.push(place(sketches, &anchor_of(plan, index), told));
            }
        }
    }
}

/// Whether the route has a `to` of its own: one of its group or document is for others too.
fn says_to(sketches: &BTreeMap<String, Sketch>, (file, line): &Place) -> bool {
    let calls = sketches.get(file).map(|sketch| sketch.calls.as_slice()).unwrap_or_default();
    let call = calls.iter().find(|call| call.span.line == *line && call.word == "route");
    let table = call.and_then(|call| call.table.as_ref());
    table.is_some_and(|table| table.entries.iter().any(|entry| entry.key.as_ref().is_some_and(|(key, _)| key == "to")))
}

/// A policy that answers whatever comes, unless a `when` chooses.
fn always_answers(step: &Step) -> bool {
    let chooses = || serde_json::from_str(&step.options).is_ok_and(|options: Value| options.get("when").is_some());
    matches!(step.word.as_str(), "mock" | "redirect") && !chooses()
}
