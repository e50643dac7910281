//! Certificates end: when is a metric, and soon is a warning.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use crate::clock::Clock;
use crate::downstream::certs::Entry;
use crate::proxy::site;
use crate::telemetry::log;
use crate::telemetry::metrics::Registry;

/// Looks at every certificate of this generation now, and twice a day from then on.
pub(super) async fn keep(shared: Arc<site::Shared>, clock: Clock, metrics: Registry) {
    if shared.doors.iter().all(|(_, door)| door.tls.is_none()) {
        return;
    }
    metrics.forget(SERIES);
    loop {
        let certificates = of(&shared);
        certificates.iter().for_each(|(name, end)| show(&metrics, name, *end));
        let now = i64::try_from(clock.unix().as_secs()).unwrap_or(i64::MAX);
        for (name, end) in &certificates {
            if let Some((message, days)) = said(*end, now) {
                log::warn(message, &[("name", name), ("days", &days)]);
            }
        }
        clock.sleep(AGAIN).await;
    }
}

/// Says when a certificate ends.
pub(super) fn show(metrics: &Registry, name: &str, end: i64) {
    let help = "When a listener's certificate ends, in seconds of Unix time.";
    metrics.gauge(SERIES, help, &[("name", name)]).set(end);
}

/// Name and end of each certificate; of several with one name, the one that ends first.
fn of(shared: &site::Shared) -> BTreeMap<String, i64> {
    let mut ends = BTreeMap::new();
    let certs = shared.doors.iter().filter_map(|(_, door)| door.tls.as_ref());
    for leaf in certs.flat_map(|certs| certs.entries()).filter_map(Entry::leaf) {
        let end = ends.entry(leaf.title().to_owned()).or_insert(leaf.not_after);
        *end = leaf.not_after.min(*end);
    }
    ends
}

/// What there is to warn of, and how many days are left.
fn said(end: i64, now: i64) -> Option<(&'static str, i64)> {
    let days = end.saturating_sub(now).div_euclid(DAY);
    match days {
        ..0 => Some(("a certificate has ended", days)),
        0..SOON => Some(("a certificate ends soon", days)),
        _ => None,
    }
}

const SERIES: &str = "moongate_tls_certificate_not_after";
const DAY: i64 = 24 * 3600;
/// Days before its end that a certificate is warned about: those of ACME are renewed a month before.
const SOON: i64 = 14;
const AGAIN: Duration = Duration::from_secs(12 * 3600);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn soon_and_over_are_told_apart() {
        let now = 1_750_000_000;
        assert_eq!(said(now + 15 * DAY, now), None);
        assert_eq!(said(now + 14 * DAY - 1, now), Some(("a certificate ends soon", 13)));
        assert_eq!(said(now, now), Some(("a certificate ends soon", 0)));
        assert_eq!(said(now - 1, now), Some(("a certificate has ended", -1)));
        assert_eq!(said(i64::MIN, i64::MAX).map(|(message, _)| message), Some("a certificate has ended"));
    }
}
