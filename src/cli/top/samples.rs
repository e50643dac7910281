//! The numbers of a gateway as its metrics tell them, and how much they have grown.

use std::collections::BTreeMap;

use serde::Serialize;

/// Series by name and labels.
#[derive(Default)]
pub(super) struct Samples(BTreeMap<(String, Labels), f64>);

type Labels = BTreeMap<String, String>;

/// Requests of one route or to one service.
#[derive(Default, Serialize)]
pub(super) struct Sum {
    pub(super) requests: f64,
    /// Answers from 400 to 499.
    pub(super) refused: f64,
    /// Answers from 500, and none at all.
    pub(super) failed: f64,
    /// All of them together.
    pub(super) seconds: f64,
}

impl Samples {
    /// Out of the text that Prometheus reads.
    pub(super) fn read(text: &str) -> Self {
        let lines = text.lines().filter(|line| !line.starts_with('#'));
        Self(lines.filter_map(sample).collect())
    }

    /// What was added since `before`; what began anew meanwhile counts from nothing.
    pub(super) fn since(&self, before: &Self) -> Self {
        let grown = self.0.iter().map(|(series, value)| {
            let old = before.0.get(series).filter(|old| **old <= *value);
            (series.clone(), value - old.copied().unwrap_or_default())
        });
        Self(grown.collect())
    }

    /// By route; requests without one under an empty name.
    pub(super) fn routes(&self) -> BTreeMap<&str, Sum> {
        self.sums("http_server_request_duration_seconds", "http_route")
    }

    /// By upstream.
    pub(super) fn services(&self) -> BTreeMap<&str, Sum> {
        self.sums("http_client_request_duration_seconds", "upstream")
    }

    /// By code, those that there were.
    pub(super) fn failures(&self) -> BTreeMap<&str, f64> {
        let of = self.named("moongate_failures_total").filter(|(_, value)| *value > 0.0);
        of.filter_map(|(labels, value)| Some((labels.get("code")?.as_str(), value))).collect()
    }

    /// Requests that the cache had an answer for, and all it was asked for.
    pub(super) fn cached(&self) -> (f64, f64) {
        let all = self.named("moongate_cache_requests_total");
        all.fold((0.0, 0.0), |(hits, all), (labels, value)| {
            let hit = matches!(labels.get("cache").map(String::as_str), Some("hit" | "stale"));
            (if hit { hits + value } else { hits }, all + value)
        })
    }

    fn named<'a>(&'a self, name: &'a str) -> impl Iterator<Item = (&'a Labels, f64)> {
        self.0.iter().filter(move |((known, _), _)| known == name).map(|((_, labels), value)| (labels, *value))
    }

    fn sums(&self, name: &str, label: &str) -> BTreeMap<&str, Sum> {
        let mut sums: BTreeMap<&str, Sum> = BTreeMap::new();
        for ((known, labels), value) in &self.0 {
            let (Some(part), Some(of)) = (known.strip_prefix(name), labels.get(label)) else { continue };
            let sum = sums.entry(of).or_default();
            match part {
                "_sum" => sum.seconds += value,
                "_count" => {
                    let status = labels.get("http_response_status_code").and_then(|status| status.parse::<u16>().ok());
                    sum.requests += value;
                    match status {
                        Some(400..=499) => sum.refused += value,
                        Some(0..=399) => {}
                        _ => sum.failed += value,
                    }
                }
                _ => {}
            }
        }
        sums.retain(|_, sum| sum.requests > 0.0);
        sums
    }
}

/// `name{label="value",…} 12`
fn sample(line: &str) -> Option<((String, Labels), f64)> {
    let (series, value) = line.rsplit_once(' ')?;
    let value = value.parse().ok()?;
    let Some((name, labels)) = series.split_once('{') else { return Some(((series.to_owned(), Labels::new()), value)) };
    Some(((name.to_owned(), labels_of(labels.strip_suffix('}')?)), value))
}

fn labels_of(mut text: &str) -> Labels {
    let mut labels = Labels::new();
    while let Some((name, rest)) = text.split_once("=\"") {
        let mut value = String::new();
        let mut letters = rest.char_indices();
        let mut end = rest.len();
        while let Some((at, letter)) = letters.next() {
            match letter {
                '"' => {
                    end = at + 1;
                    break;
                }
                '\\' => value.extend(letters.next().map(|(_, letter)| if letter == 'n' { '\n' } else { letter })),
                letter => value.push(letter),
            }
        }
        labels.insert(name.trim_start_matches(',').to_owned(), value);
        text = &rest[end..];
    }
    labels
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = r#"# HELP http_server_request_duration_seconds Time.
http_server_request_duration_seconds_bucket{http_route="GET /a",le="0.1"} 3
http_server_request_duration_seconds_sum{http_route="GET /a",http_response_status_code="200"} 0.5
http_server_request_duration_seconds_count{http_route="GET /a",http_response_status_code="200"} 3
http_server_request_duration_seconds_count{http_route="GET /a",http_response_status_code="502"} 1
http_client_request_duration_seconds_count{upstream="say \"x\\y\"",error_type="no_answer"} 2
moongate_failures_total{code="upstream.reset"} 1
http_server_active_requests 4
"#;

    #[test]
    fn numbers_are_summed_by_route_and_service() {
        let samples = Samples::read(TEXT);
        let routes = samples.routes();
        let a = &routes["GET /a"];
        assert_eq!((a.requests, a.refused, a.failed, a.seconds), (4.0, 0.0, 1.0, 0.5));
        assert_eq!(samples.services()[r#"say "x\y""#].failed, 2.0);
        assert_eq!(samples.failures()["upstream.reset"], 1.0);
    }

    #[test]
    fn what_has_grown_is_the_difference_and_what_began_anew_is_whole() {
        let before = Samples::read("moongate_failures_total{code=\"a\"} 3\nmoongate_failures_total{code=\"b\"} 9\n");
        let now = Samples::read("moongate_failures_total{code=\"a\"} 5\nmoongate_failures_total{code=\"b\"} 1\n");
        assert_eq!(now.since(&before).failures(), BTreeMap::from([("a", 2.0), ("b", 1.0)]));
    }

    #[test]
    fn nonsense_is_passed_over() {
        for text in ["", "a", "a{", "a{b=\"", "a{b} x", "{} 1", "a{b=\"\\"] {
            assert!(Samples::read(text).routes().is_empty(), "{text}");
        }
    }
}
