//! `metrics`: counters, gauges and histograms of the script's own, on the admin listener.

use std::cell::OnceCell;
use std::cell::RefCell;
use std::collections::HashMap;

use mlua::AnyUserData;
use mlua::Lua;
use mlua::MetaMethod;
use mlua::Table;
use mlua::UserData;
use mlua::UserDataMethods;
use mlua::Value;
use serde::Deserialize;
use serde::Serialize;

use crate::script::bind::declared::Declared;
use crate::script::bind::declared::running;
use crate::script::bind::declared::text;
use crate::script::bind::function;
use crate::script::bind::options::Options;
use crate::script::bind::text::kind;
use crate::script::live::METRIC;
use crate::telemetry::metrics::Number;
use crate::telemetry::metrics::Registry;
use crate::telemetry::metrics::Spread;

/// What a metric does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
enum Kind {
    #[default]
    Counter,
    Gauge,
    Histogram,
}

/// A metric in a script's hands.
struct Metric {
    kind: Kind,
    name: String,
    shape: OnceCell<Shape>,
    /// Series met lately, by the values of their labels: no lock for those.
    series: RefCell<HashMap<Vec<String>, Series>>,
}

/// What was declared.
#[derive(Clone, Default, Serialize, Deserialize)]
struct Shape {
    kind: Kind,
    labels: Vec<String>,
    help: String,
    buckets: Vec<f64>,
}

#[derive(Clone)]
enum Series {
    Number(Number),
    Spread(Spread),
}

/// `metrics`
pub(super) fn install(lua: &Lua, words: &Table) -> mlua::Result<()> {
    let metrics = lua.create_table()?;
    for (name, label, kind) in [
        ("counter", "metrics.counter", Kind::Counter),
        ("gauge", "metrics.gauge", Kind::Gauge),
        ("histogram", "metrics.histogram", Kind::Histogram),
    ] {
        metrics.set(
            name,
            function(lua, label, move |lua, (name, options): (String, Option<Table>)| {
                make(lua, kind, name, options.as_ref())
            })?,
        )?;
    }
    words.set("metrics", metrics)
}

fn make(lua: &Lua, kind: Kind, name: String, options: Option<&Table>) -> mlua::Result<AnyUserData> {
    if !is_name(&name) || OURS.iter().any(|prefix| name.starts_with(prefix)) {
        let message = format!("metric `{name}`: a name of letters, digits and `_` that is not Moongate's own expected");
        return Err(mlua::Error::runtime(message));
    }
    Declared::mention(lua, "metric", &name)?;
    let metric = Metric { kind, name, shape: OnceCell::new(), series: RefCell::default() };
    if let Some(options) = options {
        Declared::told(lua, "metrics", &metric.name, metric.declare(lua, options))?;
    }
    lua.create_userdata(metric)
}

impl Metric {
    fn declare(&self, lua: &Lua, table: &Table) -> mlua::Result<()> {
        let options = Options::read(lua, format!("metric `{}`", self.name), Some(table), &["help", "buckets"])?;
        let help = options.text("help")?.unwrap_or_default().replace(['\\', '\n', '\r'], " ");
        let mut shape = Shape { kind: self.kind, help, ..Shape::default() };
        for label in table.sequence_values::<String>() {
            let label = label?;
            if !is_name(&label) || label == "le" || shape.labels.len() == MOST_LABELS {
                return Err(mlua::Error::runtime(format!("metric `{}`: `{label}` cannot be a label", self.name)));
            }
            shape.labels.push(label);
        }
        if let Some(buckets) = options.table("buckets")? {
            shape.buckets = buckets.sequence_values().collect::<mlua::Result<Vec<f64>>>()?;
            let ascend = shape.buckets.windows(2).all(|pair| pair[0] < pair[1]);
            let finite = shape.buckets.iter().all(|bound| bound.is_finite());
            if self.kind != Kind::Histogram || !ascend || !finite || shape.buckets.len() > MOST_BUCKETS {
                return Err(options.wrong("buckets", &"ascending bounds of a histogram expected, 50 at most"));
            }
        }
        let shape = text(&shape);
        Declared::declare(lua, "metric", &self.name, shape)
    }

    /// What was declared, here or by another line.
    fn shape(&self, lua: &Lua) -> mlua::Result<&Shape> {
        if let Some(shape) = self.shape.get() {
            return Ok(shape);
        }
        let declared = Declared::of(lua).config(&format!("{METRIC}{}", self.name));
        let shape: Shape = declared.unwrap_or_else(|| Shape { kind: self.kind, ..Shape::default() });
        if shape.kind != self.kind {
            let kind = format!("{:?}", shape.kind).to_lowercase();
            return Err(mlua::Error::runtime(format!("metric `{}` is declared as a {kind}", self.name)));
        }
        Ok(self.shape.get_or_init(|| shape))
    }

    /// The series of these labels.
    fn series(&self, lua: &Lua, labels: Option<&Table>) -> mlua::Result<Series> {
        let context = running(lua, &format!("metric `{}`", self.name))?;
        let shape = self.shape(lua)?;
        let values = self.values(shape, labels)?;
        if let Some(series) = self.series.borrow().get(&values) {
            return Ok(series.clone());
        }
        let series = self.find(shape, &context.worker()?.metrics, &values);
        let mut known = self.series.borrow_mut();
        if known.len() >= KEPT {
            known.clear();
        }
        known.insert(values, series.clone());
        Ok(series)
    }

    fn find(&self, shape: &Shape, registry: &Registry, values: &[String]) -> Series {
        let labels: Vec<_> = shape.labels.iter().zip(values).map(|(label, value)| (&**label, &**value)).collect();
        match self.kind {
            Kind::Histogram => {
                let bounds = if shape.buckets.is_empty() { &BUCKETS[..] } else { &shape.buckets };
                Series::Spread(registry.spread(&self.name, &shape.help, &labels, bounds))
            }
            kind => Series::Number(registry.number(&self.name, &shape.help, kind == Kind::Counter, &labels)),
        }
    }

    /// The labels' values in the order declared; what is absent is empty, what is too long is cut.
    fn values(&self, shape: &Shape, given: Option<&Table>) -> mlua::Result<Vec<String>> {
        let mut values = vec![String::new(); shape.labels.len()];
        for pair in given.into_iter().flat_map(Table::pairs::<Value, Value>) {
            let (label, value) = pair?;
            let label = label.to_string()?;
            let Some(place) = shape.labels.iter().position(|known| *known == label) else {
                return Err(mlua::Error::runtime(format!("metric `{}` has no label `{label}`", self.name)));
            };
            values[place] = value.to_string()?.chars().take(LONGEST_VALUE).collect();
        }
        Ok(values)
    }

    fn add(&self, lua: &Lua, by: f64, labels: Option<&Table>) -> mlua::Result<()> {
        if !by.is_finite() || (self.kind == Kind::Counter && by < 0.0) {
            return Err(mlua::Error::runtime(format!("metric `{}`: {by} cannot be added", self.name)));
        }
        match self.series(lua, labels)? {
            Series::Number(number) => number.add(by),
            Series::Spread(_) => return Err(self.unfit("observe")),
        }
        Ok(())
    }

    fn unfit(&self, verb: &str) -> mlua::Error {
        let kind = format!("{:?}", self.kind).to_lowercase();
        mlua::Error::runtime(format!("metric `{}` is a {kind}; use :{verb}", self.name))
    }
}

/// `inc(n?, { label = value }?)`, where the number may be left out.
fn amount(n: Option<Value>, labels: Option<Table>) -> mlua::Result<(f64, Option<Table>)> {
    match n {
        None | Some(Value::Nil) => Ok((1.0, labels)),
        Some(Value::Table(labels)) => Ok((1.0, Some(labels))),
        #[allow(clippy::cast_precision_loss, reason = "a script's integer was a double to begin with")]
        Some(Value::Integer(n)) => Ok((n as f64, labels)),
        Some(Value::Number(n)) => Ok((n, labels)),
        Some(other) => Err(mlua::Error::runtime(format!("a number expected, got {}", kind(&other)))),
    }
}

impl UserData for Metric {
    fn add_methods<M: UserDataMethods<Self>>(methods: &mut M) {
        methods.add_meta_function(MetaMethod::Call, |lua, (metric, options): (AnyUserData, Table)| {
            let known = metric.borrow::<Self>()?;
            Declared::told(lua, "metrics", &known.name, known.declare(lua, &options))?;
            drop(known);
            Ok(metric)
        });
        methods.add_method("inc", |lua, metric, (n, labels): (Option<Value>, Option<Table>)| {
            let (by, labels) = amount(n, labels)?;
            metric.add(lua, by, labels.as_ref())
        });
        methods.add_method("dec", |lua, metric, (n, labels): (Option<Value>, Option<Table>)| {
            let (by, labels) = amount(n, labels)?;
            metric.add(lua, -by, labels.as_ref())
        });
        methods.add_method("set", |lua, metric, (value, labels): (f64, Option<Table>)| {
            match metric.series(lua, labels.as_ref())? {
                Series::Number(number) if metric.kind == Kind::Gauge => number.set(value),
                Series::Number(_) => return Err(metric.unfit("inc")),
                Series::Spread(_) => return Err(metric.unfit("observe")),
            }
            Ok(())
        });
        methods.add_method("observe", |lua, metric, (value, labels): (f64, Option<Table>)| {
            match metric.series(lua, labels.as_ref())? {
                Series::Spread(spread) if !value.is_nan() => spread.observe(value),
                Series::Spread(_) => {}
                Series::Number(_) => return Err(metric.unfit("inc")),
            }
            Ok(())
        });
    }
}

fn is_name(name: &str) -> bool {
    let plain = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    plain && name.len() <= 128 && name.bytes().next().is_some_and(|first| !first.is_ascii_digit())
}

/// Beginnings of the gateway's own names.
const OURS: [&str; 3] = ["moongate_", "http_", "process_"];
/// Seconds, from 5 ms to 10 s.
const BUCKETS: [f64; 14] = [0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0];
const MOST_LABELS: usize = 8;
const MOST_BUCKETS: usize = 50;
const LONGEST_VALUE: usize = 128;
/// Series a handle remembers.
const KEPT: usize = 1024;

#[cfg(test)]
mod tests;
