//! What there is to see, as a table.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::Duration;

use serde_json::Value;

use super::samples::Samples;
use super::samples::Sum;

/// Routes and services with their numbers: in a second of `took`, or all of them.
pub(super) fn text(state: &Value, samples: &Samples, took: Option<Duration>) -> String {
    let text = |name: &str| state[name].as_str().unwrap_or_default();
    let workers = if state["workers"] == 1 { "worker" } else { "workers" };
    let mut out = format!(
        "moongate {}, {}, generation {}, {} {workers}",
        text("version"),
        text("file"),
        state["generation"],
        state["workers"]
    );
    if state["draining"] == true {
        out.push_str(", draining");
    }
    out.push_str("\n\n");
    let scale = Scale(took);
    let none = "no route";
    let routes = samples.routes();
    let rows = routes.iter().map(|(name, sum)| (if name.is_empty() { none } else { name }, sum, String::new()));
    rows_of(&mut out, "route", scale, rows.collect());
    let hosts = hosts(state);
    let services = samples.services();
    let mut known: BTreeMap<&str, (&Sum, String)> = BTreeMap::new();
    let idle = Sum::default();
    hosts.iter().for_each(|(name, told)| drop(known.insert(name, (&idle, told.clone()))));
    for (name, sum) in &services {
        let told = hosts.get(name).cloned().unwrap_or_default();
        known.insert(name, (sum, told));
    }
    out.push('\n');
    rows_of(&mut out, "service", scale, known.into_iter().map(|(name, (sum, told))| (name, sum, told)).collect());
    rest(&mut out, samples, scale);
    out
}

/// Sums, or how many of them in a second.
#[derive(Clone, Copy)]
struct Scale(Option<Duration>);

impl Scale {
    fn head(self) -> [&'static str; 3] {
        if self.0.is_some() { ["req/s", "4xx/s", "5xx/s"] } else { ["requests", "4xx", "5xx"] }
    }

    fn of(self, count: f64) -> String {
        match self.0 {
            Some(took) => format!("{:.1}", count / took.as_secs_f64().max(0.001)),
            None => format!("{count}"),
        }
    }
}

fn rows_of(out: &mut String, title: &str, scale: Scale, rows: Vec<(&str, &Sum, String)>) {
    let width = rows.iter().map(|(name, ..)| name.chars().count()).max().unwrap_or(0).max(NARROWEST);
    let [all, refused, failed] = scale.head();
    let _ = writeln!(out, "{title:width$}  {all:>8}  {refused:>8}  {failed:>8}  {:>9}", "mean ms");
    for (name, sum, told) in rows {
        let (all, refused, failed) = (scale.of(sum.requests), scale.of(sum.refused), scale.of(sum.failed));
        let mean =
            if sum.requests > 0.0 { format!("{:.2}", sum.seconds / sum.requests * 1000.0) } else { "-".to_owned() };
        let line = format!("{name:width$}  {all:>8}  {refused:>8}  {failed:>8}  {mean:>9}  {told}");
        let _ = writeln!(out, "{}", line.trim_end());
    }
}

/// By upstream: how many of its hosts are asked, and who is not.
fn hosts(state: &Value) -> BTreeMap<&str, String> {
    let told = |upstream: &Value| {
        let hosts = upstream["hosts"].as_array().map_or(&[][..], Vec::as_slice);
        let out = hosts.iter().filter(|host| host["state"] != "up");
        let out: Vec<_> = out
            .map(|host| {
                format!("{} {}", host["host"].as_str().unwrap_or_default(), host["state"].as_str().unwrap_or_default())
            })
            .collect();
        let up = hosts.len() - out.len();
        let rest = if out.is_empty() { String::new() } else { format!(" ({})", out.join(", ")) };
        format!("{up} of {} up{rest}", hosts.len())
    };
    let all = state["upstreams"].as_array().map_or(&[][..], Vec::as_slice);
    all.iter().filter_map(|upstream| Some((upstream["name"].as_str()?, told(upstream)))).collect()
}

fn rest(out: &mut String, samples: &Samples, scale: Scale) {
    let (hits, asked) = samples.cached();
    if asked > 0.0 {
        let _ = writeln!(out, "\ncache  {:.0} % of {}", hits / asked * 100.0, scale.of(asked));
    }
    let failures = samples.failures();
    if !failures.is_empty() {
        let told: Vec<_> = failures.iter().map(|(code, count)| format!("{code} {}", scale.of(*count))).collect();
        let _ = writeln!(out, "\nfailures  {}", told.join(", "));
    }
}

const NARROWEST: usize = 10;
