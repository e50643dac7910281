//! Counters, gauges and histograms as atomics, resolved once and rendered as Prometheus text.

mod own;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::Arc;
use std::sync::atomic::AtomicI64;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;

pub use own::Number;
pub use own::Spread;
use parking_lot::Mutex;

/// Only goes up.
#[derive(Clone, Debug, Default)]
pub struct Counter(Arc<AtomicU64>);

impl Counter {
    /// Adds `n`.
    #[inline]
    pub fn add(&self, n: u64) {
        self.0.fetch_add(n, Ordering::Relaxed);
    }

    /// The sum so far.
    pub fn value(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// Goes up and down.
#[derive(Clone, Debug, Default)]
pub struct Gauge(Arc<AtomicI64>);

impl Gauge {
    /// Adds `n`, which may be negative.
    #[inline]
    pub fn add(&self, n: i64) {
        self.0.fetch_add(n, Ordering::Relaxed);
    }

    /// Adds one; the value now.
    pub fn rise(&self) -> i64 {
        self.0.fetch_add(1, Ordering::Relaxed) + 1
    }

    /// Replaces the value.
    pub fn set(&self, n: i64) {
        self.0.store(n, Ordering::Relaxed);
    }

    /// The value now.
    pub fn value(&self) -> i64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// Durations in fixed buckets (OpenTelemetry's for HTTP, in seconds).
#[derive(Clone, Debug, Default)]
pub struct Histogram(Arc<Buckets>);

/// Upper bounds in nanoseconds: 5 ms to 10 s.
pub const BOUNDS: [u64; 14] = [
    5_000_000,
    10_000_000,
    25_000_000,
    50_000_000,
    75_000_000,
    100_000_000,
    250_000_000,
    500_000_000,
    750_000_000,
    1_000_000_000,
    2_500_000_000,
    5_000_000_000,
    7_500_000_000,
    10_000_000_000,
];

#[derive(Debug, Default)]
struct Buckets {
    counts: [AtomicU64; 15],
    sum: AtomicU64,
}

impl Histogram {
    /// Notes one duration.
    #[inline]
    pub fn observe(&self, nanos: u64) {
        let bucket = BOUNDS.iter().position(|&bound| nanos <= bound).unwrap_or(BOUNDS.len());
        self.0.counts[bucket].fetch_add(1, Ordering::Relaxed);
        self.0.sum.fetch_add(nanos, Ordering::Relaxed);
    }
}

/// All series of the process. A series that exists is found again, so counts survive reloads.
#[derive(Clone, Default)]
pub struct Registry(Arc<Mutex<BTreeMap<String, Family>>>);

struct Family {
    help: String,
    series: BTreeMap<Vec<(String, String)>, Series>,
}

#[derive(Clone)]
enum Series {
    Counter(Counter),
    Gauge(Gauge),
    Histogram(Histogram),
    Number(Number, bool),
    Spread(Spread),
}

impl Series {
    #[allow(clippy::cast_precision_loss, reason = "counts are far below what a float tells apart")]
    fn number(&self) -> f64 {
        match self {
            Self::Counter(counter) => counter.value() as f64,
            Self::Gauge(gauge) => gauge.value() as f64,
            Self::Number(number, _) => number.value(),
            Self::Spread(spread) => spread.count() as f64,
            Self::Histogram(histogram) => {
                histogram.0.counts.iter().map(|count| count.load(Ordering::Relaxed)).sum::<u64>() as f64
            }
        }
    }
}

/// The most label sets of one family; what comes later is counted under `other`.
pub const SERIES_CAP: usize = 20_000;

impl Registry {
    /// The counter of this name and label set, made on first sight.
    pub fn counter(&self, name: &str, help: &str, labels: &[(&str, &str)]) -> Counter {
        match self.series(name, help, labels, || Series::Counter(Counter::default())) {
            Series::Counter(counter) => counter,
            _ => Counter::default(),
        }
    }

    /// The gauge of this name and label set, made on first sight.
    pub fn gauge(&self, name: &str, help: &str, labels: &[(&str, &str)]) -> Gauge {
        match self.series(name, help, labels, || Series::Gauge(Gauge::default())) {
            Series::Gauge(gauge) => gauge,
            _ => Gauge::default(),
        }
    }

    /// The histogram of this name and label set, made on first sight.
    pub fn histogram(&self, name: &str, help: &str, labels: &[(&str, &str)]) -> Histogram {
        match self.series(name, help, labels, || Series::Histogram(Histogram::default())) {
            Series::Histogram(histogram) => histogram,
            _ => Histogram::default(),
        }
    }

    /// A script's own counter (it only goes up) or gauge of this name and label set, made on first sight.
    pub fn number(&self, name: &str, help: &str, counts: bool, labels: &[(&str, &str)]) -> Number {
        match self.series(name, help, labels, || Series::Number(Number::default(), counts)) {
            Series::Number(number, _) => number,
            _ => Number::default(),
        }
    }

    /// A script's own histogram of this name and label set, made on first sight.
    pub fn spread(&self, name: &str, help: &str, labels: &[(&str, &str)], bounds: &[f64]) -> Spread {
        match self.series(name, help, labels, || Series::Spread(Spread::new(bounds))) {
            Series::Spread(spread) => spread,
            _ => Spread::new(bounds),
        }
    }

    /// Drops every series of this name: the script declares it differently now, or no more.
    pub fn forget(&self, name: &str) {
        self.0.lock().remove(name);
    }

    fn series(&self, name: &str, help: &str, labels: &[(&str, &str)], make: impl Fn() -> Series) -> Series {
        let mut families = self.0.lock();
        let family = families
            .entry(name.to_owned())
            .or_insert_with(|| Family { help: help.to_owned(), series: BTreeMap::new() });
        let mut key: Vec<_> = labels.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        if family.series.len() >= SERIES_CAP && !family.series.contains_key(&key) {
            key.iter_mut().for_each(|(_, value)| "other".clone_into(value));
        }
        family.series.entry(key).or_insert_with(make).clone()
    }

    /// The sum of a family's series that have these labels, of histograms how many values they have; `None` without one.
    pub fn sum(&self, name: &str, labels: &[(String, String)]) -> Option<f64> {
        let families = self.0.lock();
        let series = families.get(name)?.series.iter();
        let series = series.filter(|(own, _)| labels.iter().all(|label| own.contains(label)));
        series.map(|(_, series)| series.number()).reduce(|sum, one| sum + one)
    }

    /// Prometheus text format.
    pub fn render(&self) -> String {
        let mut out = String::new();
        for (name, family) in &*self.0.lock() {
            let kind = match family.series.values().next() {
                Some(Series::Counter(_) | Series::Number(_, true)) => "counter",
                Some(Series::Gauge(_) | Series::Number(_, false)) => "gauge",
                _ => "histogram",
            };
            let _ = writeln!(out, "# HELP {name} {}\n# TYPE {name} {kind}", family.help);
            for (labels, series) in &family.series {
                render_series(&mut out, name, labels, series);
            }
        }
        out
    }
}

fn render_series(out: &mut String, name: &str, labels: &[(String, String)], series: &Series) {
    match series {
        Series::Counter(counter) => {
            let _ = writeln!(out, "{name}{} {}", braces(labels, None), counter.value());
        }
        Series::Gauge(gauge) => {
            let _ = writeln!(out, "{name}{} {}", braces(labels, None), gauge.value());
        }
        Series::Number(number, _) => {
            let _ = writeln!(out, "{name}{} {}", braces(labels, None), number.value());
        }
        Series::Spread(spread) => spread.render(out, name, labels),
        Series::Histogram(histogram) => render_histogram(out, name, labels, &histogram.0),
    }
}

fn render_histogram(out: &mut String, name: &str, labels: &[(String, String)], buckets: &Buckets) {
    let mut total = 0;
    for (index, count) in buckets.counts.iter().enumerate() {
        total += count.load(Ordering::Relaxed);
        let bound = BOUNDS.get(index).map_or_else(|| "+Inf".to_owned(), |&nanos| seconds(nanos));
        let _ = writeln!(out, "{name}_bucket{} {total}", braces(labels, Some(&bound)));
    }
    let _ = writeln!(out, "{name}_sum{} {}", braces(labels, None), seconds(buckets.sum.load(Ordering::Relaxed)));
    let _ = writeln!(out, "{name}_count{} {total}", braces(labels, None));
}

#[allow(clippy::cast_precision_loss, reason = "a sum of durations, for a graph")]
fn seconds(nanos: u64) -> String {
    format!("{}", nanos as f64 / 1e9)
}

fn braces(labels: &[(String, String)], bound: Option<&str>) -> String {
    let mut parts: Vec<_> = labels.iter().map(|(name, value)| format!("{name}=\"{}\"", escape(value))).collect();
    parts.extend(bound.map(|bound| format!("le=\"{bound}\"")));
    if parts.is_empty() { String::new() } else { format!("{{{}}}", parts.join(",")) }
}

fn escape(value: &str) -> String {
    value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}
