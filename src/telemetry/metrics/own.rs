//! Series of a script's own metrics: sums with fractions, histograms with bounds of their own.

use std::fmt::Write as _;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;

use super::braces;

/// A number that may have a fraction: a counter's sum or a gauge's value.
#[derive(Clone, Debug, Default)]
pub struct Number(Arc<AtomicU64>);

impl Number {
    /// Adds `n`.
    pub fn add(&self, n: f64) {
        let sum = |bits| Some((f64::from_bits(bits) + n).to_bits());
        let _ = self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, sum);
    }

    /// Replaces the value.
    pub fn set(&self, n: f64) {
        self.0.store(n.to_bits(), Ordering::Relaxed);
    }

    /// The value now.
    pub fn value(&self) -> f64 {
        f64::from_bits(self.0.load(Ordering::Relaxed))
    }
}

/// A histogram with its own upper bounds.
#[derive(Clone, Debug, Default)]
pub struct Spread(Arc<Cells>);

#[derive(Debug, Default)]
struct Cells {
    bounds: Box<[f64]>,
    /// One more than bounds.
    counts: Box<[AtomicU64]>,
    sum: Number,
}

impl Spread {
    /// Nothing seen yet; `bounds` ascend.
    pub fn new(bounds: &[f64]) -> Self {
        let counts = (0..=bounds.len()).map(|_| AtomicU64::new(0)).collect();
        Self(Arc::new(Cells { bounds: bounds.into(), counts, sum: Number::default() }))
    }

    /// Notes one value.
    pub fn observe(&self, value: f64) {
        let place = self.0.bounds.iter().position(|&bound| value <= bound).unwrap_or(self.0.bounds.len());
        if let Some(count) = self.0.counts.get(place) {
            count.fetch_add(1, Ordering::Relaxed);
            self.0.sum.add(value);
        }
    }

    /// How many values were seen.
    pub fn count(&self) -> u64 {
        self.0.counts.iter().map(|count| count.load(Ordering::Relaxed)).sum()
    }

    pub(super) fn render(&self, out: &mut String, name: &str, labels: &[(String, String)]) {
        let mut total = 0;
        for (place, count) in self.0.counts.iter().enumerate() {
            total += count.load(Ordering::Relaxed);
            let bound = self.0.bounds.get(place).map_or_else(|| "+Inf".to_owned(), f64::to_string);
            let _ = writeln!(out, "{name}_bucket{} {total}", braces(labels, Some(&bound)));
        }
        let _ = writeln!(out, "{name}_sum{} {}", braces(labels, None), self.0.sum.value());
        let _ = writeln!(out, "{name}_count{} {total}", braces(labels, None));
    }
}

#[cfg(test)]
mod tests {
    use crate::telemetry::metrics::Registry;

    #[test]
    fn a_scripts_series_are_rendered_and_forgotten() {
        let registry = Registry::default();
        let labels = [("shop", "a\"b")];
        let sum = registry.number("orders_total", "orders", true, &labels);
        sum.add(1.5);
        registry.number("orders_total", "orders", true, &labels).add(1.0);
        registry.number("level", "level", false, &[]).set(-2.5);
        let spread = registry.spread("size", "size", &[], &[1.0, 10.0]);
        for value in [0.5, 1.0, 5.0, 100.0] {
            spread.observe(value);
        }
        let text = registry.render();
        for line in [
            "# TYPE orders_total counter",
            "orders_total{shop=\"a\\\"b\"} 2.5",
            "# TYPE level gauge",
            "level -2.5",
            "# TYPE size histogram",
            "size_bucket{le=\"1\"} 2",
            "size_bucket{le=\"10\"} 3",
            "size_bucket{le=\"+Inf\"} 4",
            "size_sum 106.5",
            "size_count 4",
        ] {
            assert!(text.contains(line), "{line} in {text}");
        }
        registry.forget("orders_total");
        assert!(!registry.render().contains("orders_total"));
        sum.add(1.0);
    }
}
