//! Which lines, routes and outcomes the tests have exercised.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;

use crate::gateway::stage::Stage;
use crate::plan::Plan;
use crate::proxy::watch::Outcome;
use crate::script::words::roles;

/// What was exercised of one script.
#[derive(Default)]
pub(super) struct Coverage {
    /// Hits by file and line.
    lines: BTreeMap<PathBuf, BTreeMap<u32, u64>>,
    plan: Option<Arc<Plan>>,
    /// Statuses that routes answered with, by route.
    statuses: BTreeMap<usize, BTreeMap<u16, usize>>,
    /// Outcomes of steps, by route, place and word.
    outcomes: BTreeMap<(usize, String, u32, String), BTreeSet<&'static str>>,
}

impl Coverage {
    /// Adds what one test has exercised.
    pub(super) fn add(&mut self, script: &Path, stage: &Stage) {
        let root = script.parent().unwrap_or_else(|| Path::new(""));
        stage.lines(|file, line, hits| {
            *self.lines.entry(root.join(file)).or_default().entry(line).or_default() += hits;
        });
        self.plan.get_or_insert_with(|| Arc::clone(&stage.shared().plan));
        for (route, status, steps) in stage.seen() {
            *self.statuses.entry(route).or_default().entry(status).or_default() += 1;
            for trod in steps {
                let key = (route, trod.place.0.clone(), trod.place.1, trod.word.clone());
                self.outcomes.entry(key).or_default().insert(trod.outcome.as_str());
            }
        }
    }

    /// Adds what other tests have exercised of the same script.
    pub(super) fn join(&mut self, other: &Self) {
        for (file, lines) in &other.lines {
            let own = self.lines.entry(file.clone()).or_default();
            lines.iter().for_each(|(line, hits)| *own.entry(*line).or_default() += hits);
        }
        self.plan = self.plan.take().or_else(|| other.plan.clone());
        for (route, statuses) in &other.statuses {
            let own = self.statuses.entry(*route).or_default();
            statuses.iter().for_each(|(status, count)| *own.entry(*status).or_default() += count);
        }
        for (step, met) in &other.outcomes {
            self.outcomes.entry(step.clone()).or_default().extend(met);
        }
    }

    fn met(&self, route: usize, step: &crate::plan::Step) -> BTreeSet<&'static str> {
        let key = (route, step.place.0.clone(), step.place.1, step.word.clone());
        self.outcomes.get(&key).cloned().unwrap_or_default()
    }
}

/// What the tests of each script have exercised together, by script.
pub(super) fn joined<'a>(played: impl Iterator<Item = (&'a Path, &'a Coverage)>) -> Vec<Coverage> {
    let mut all: BTreeMap<&Path, Coverage> = BTreeMap::new();
    for (script, coverage) in played {
        all.entry(script).or_default().join(coverage);
    }
    all.into_values().collect()
}

/// For people.
pub(super) fn text(all: &[Coverage]) -> String {
    let mut out = String::from("\nlines\n");
    for (file, lines) in all.iter().flat_map(|coverage| &coverage.lines) {
        let ran = lines.values().filter(|hits| **hits > 0).count();
        let share = if lines.is_empty() { 100 } else { ran * 100 / lines.len() };
        let idle: Vec<u32> = lines.iter().filter(|(_, hits)| **hits == 0).map(|(line, _)| *line).collect();
        let rest = if idle.is_empty() { String::new() } else { format!("  not run: {}", ranges(&idle)) };
        let _ = writeln!(out, "  {}  {share} % ({ran} of {}){rest}", file.display(), lines.len());
    }
    for coverage in all {
        let Some(plan) = &coverage.plan else { continue };
        out.push_str("\nroutes and the answers that tests have seen\n");
        for (index, route) in plan.routes.iter().enumerate() {
            let seen = coverage.statuses.get(&index);
            let seen = seen.map(|seen| seen.iter().map(|(status, count)| format!("{status} x{count}")));
            let seen = seen.map_or_else(|| "never exercised".to_owned(), |seen| seen.collect::<Vec<_>>().join(", "));
            let _ = writeln!(out, "  {}  {seen}", route.name);
        }
        let never = never(coverage, plan);
        if !never.is_empty() {
            out.push_str("\nsteps that no test has seen refuse or run\n");
            for line in &never {
                let _ = writeln!(out, "  {line}");
            }
        }
    }
    out
}

/// Steps of exercised routes that never ran, and policies that decide and never refused.
fn never(coverage: &Coverage, plan: &Plan) -> Vec<String> {
    let mut all = BTreeMap::new();
    for (index, route) in plan.routes.iter().enumerate() {
        // `cors` acts outside its place: nothing runs there.
        for step in route.steps.iter().filter(|step| step.word != "cors") {
            let met = all.entry((&step.place, &step.word)).or_insert_with(BTreeSet::new);
            met.extend(coverage.met(index, step));
        }
    }
    let told = all.into_iter().filter_map(|((place, word), met)| {
        let refused = met.contains(Outcome::Refused.as_str()) || met.contains(Outcome::Answered.as_str());
        let what = match (met.is_empty(), refused || !roles::decides(word)) {
            (true, _) => "never ran",
            (false, false) => "never refused",
            (false, true) => return None,
        };
        Some(format!("{}:{} {word}  {what}", place.0, place.1))
    });
    told.collect()
}

/// `1, 3-5`
fn ranges(lines: &[u32]) -> String {
    let mut runs: Vec<(u32, u32)> = Vec::new();
    for &line in lines {
        match runs.last_mut() {
            Some((_, end)) if *end + 1 == line => *end = line,
            _ => runs.push((line, line)),
        }
    }
    let shown = runs.iter().map(|(start, end)| if start == end { start.to_string() } else { format!("{start}-{end}") });
    shown.collect::<Vec<_>>().join(", ")
}

/// In the format of lcov: a record a file.
pub(super) fn lcov(all: &[Coverage]) -> String {
    let mut out = String::new();
    for (file, lines) in all.iter().flat_map(|coverage| &coverage.lines) {
        let _ = writeln!(out, "SF:{}", file.display());
        for (line, hits) in lines {
            let _ = writeln!(out, "DA:{line},{hits}");
        }
        let ran = lines.values().filter(|hits| **hits > 0).count();
        let _ = writeln!(out, "LF:{}\nLH:{ran}\nend_of_record", lines.len());
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_that_test_one_script_count_together() {
        let of = |hits: u64| {
            let lines = BTreeMap::from([(PathBuf::from("gateway.lua"), BTreeMap::from([(1, 1), (2, hits)]))]);
            Coverage { lines, ..Coverage::default() }
        };
        let (script, one, two) = (Path::new("gateway.lua"), of(0), of(3));
        let all = joined([(script, &one), (script, &two)].into_iter());
        assert_eq!(lcov(&all), "SF:gateway.lua\nDA:1,2\nDA:2,3\nLF:2\nLH:2\nend_of_record\n");
    }

    #[test]
    fn lines_in_a_row_are_one_range() {
        assert_eq!(ranges(&[1, 3, 4, 5, 9]), "1, 3-5, 9");
        assert_eq!(ranges(&[]), "");
    }
}
