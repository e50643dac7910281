//! What a limit counts with at a time, as plain numbers, for counters that are kept elsewhere.

use std::time::Duration;

use super::Config;
use super::Now;
use super::Window;
use super::calendar;
use super::state::Terms;

/// One rate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Count {
    /// How time is counted.
    pub window: Window,
    /// The count, or the burst of a bucket.
    pub limit: u64,
    /// So many …
    pub count: u64,
    /// … in so long.
    pub period: Duration,
    /// Until all of it is there again once it was used up.
    pub span: Duration,
    /// Where windows of the calendar begin and end, since the epoch: the one before, this one, the next, its end.
    pub edges: [Duration; 4],
}

impl Config {
    /// Its rates, now.
    pub fn counts(&self, now: Now) -> Vec<Count> {
        let count = |rate| {
            let terms = Terms::of(rate, self, now);
            let edges = match self.window {
                Window::Calendar => {
                    let (begin, end) = calendar::window(rate, now.unix);
                    let (before, _) = calendar::window(rate, begin.saturating_sub(Duration::from_nanos(1)));
                    [before, begin, end, calendar::window(rate, end).1]
                }
                _ => [Duration::ZERO; 4],
            };
            let (limit, span) = (terms.limit, terms.span());
            Count { window: self.window, limit, count: rate.count, period: rate.period(), span, edges }
        };
        self.rates.iter().map(count).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Moment;
    use crate::primitive::rate::Rate;

    #[test]
    fn a_calendar_tells_its_neighbours_too() {
        let rates = vec![Rate::parse("5/month").unwrap()];
        let config = Config { rates, window: Window::Calendar, ..Config::default() };
        // January 15th, 2027.
        let now = Now { moment: Moment(0), unix: Duration::from_secs(1_800_000_000) };
        let [count] = config.counts(now)[..] else { panic!("one rate") };
        let days: Vec<u64> = count.edges.windows(2).map(|pair| (pair[1] - pair[0]).as_secs() / 86_400).collect();
        assert_eq!((count.limit, days.as_slice()), (5, [31, 31, 28].as_slice()));
    }
}
