//! Limits that several gateways count together: one script in Redis decides, by the time of Redis.

use std::sync::LazyLock;
use std::time::Duration;

use redis::Cmd;

use super::Fault;
use super::Line;
use super::script::Script;

/// One counter that is asked.
#[derive(Clone, Debug, PartialEq)]
pub struct Ask {
    /// Its name in Redis.
    pub key: Vec<u8>,
    /// For how many there must be room.
    pub need: u64,
    /// How many are charged.
    pub cost: u64,
    /// Its rates.
    pub rates: Vec<Terms>,
}

/// One rate, in terms that Redis counts with.
#[derive(Clone, Debug, PartialEq)]
pub struct Terms {
    /// `bucket`, `sliding`, `fixed` or `calendar`.
    pub window: &'static str,
    /// Most at once.
    pub limit: u64,
    /// So many …
    pub count: u64,
    /// … in so long.
    pub period: Duration,
    /// Where calendar windows begin and end, since the epoch: of the one before, this one, the next, and its end.
    pub edges: [Duration; 4],
}

/// What is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verb {
    /// Charge if every rate has room.
    Check,
    /// Charge nothing.
    Peek,
    /// Charge in any case.
    Debit,
}

/// What Redis said.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Answer {
    /// The place of the first rate without room among [`Answer::rates`].
    pub refused: Option<usize>,
    /// For each rate of each counter.
    pub rates: Vec<Left>,
}

/// What is left of one rate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Left {
    /// How many.
    pub left: u64,
    /// Until all are there again.
    pub reset: Duration,
    /// Until there would be room.
    pub retry_after: Duration,
}

impl Line {
    /// One decision over these counters.
    pub async fn count(&self, verb: Verb, asks: &[Ask]) -> Result<Answer, Fault> {
        static SCRIPT: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("limit.lua")));
        let numbers: Vec<i64> = self.run(&SCRIPT, |command| fill(command, verb, asks)).await?;
        let rates = asks.iter().map(|ask| ask.rates.len()).sum::<usize>();
        let odd = || Fault::Refused(self.address().clone(), "an answer that the script did not give".into());
        let (first, numbers) = numbers.split_first().filter(|(_, rest)| rest.len() == 3 * rates).ok_or_else(odd)?;
        let micros = |number: i64| Duration::from_micros(number.unsigned_abs());
        let left = numbers.chunks_exact(3).map(|told| Left {
            left: told[0].unsigned_abs(),
            reset: micros(told[1]),
            retry_after: micros(told[2]),
        });
        Ok(Answer { refused: usize::try_from(*first).ok().filter(|place| *place < rates), rates: left.collect() })
    }

    /// Forgets a counter.
    pub async fn forget(&self, key: &[u8]) -> Result<(), Fault> {
        self.ask(redis::cmd("DEL").arg(key)).await
    }
}

fn fill(command: &mut Cmd, verb: Verb, asks: &[Ask]) {
    command.arg(asks.len());
    for ask in asks {
        command.arg(&ask.key);
    }
    command.arg(match verb {
        Verb::Check => "check",
        Verb::Peek => "peek",
        Verb::Debit => "debit",
    });
    for ask in asks {
        command.arg(ask.rates.len()).arg(ask.need).arg(ask.cost);
        for rate in &ask.rates {
            command.arg(rate.window).arg(rate.limit).arg(rate.count).arg(micros(rate.period));
            for edge in rate.edges {
                command.arg(micros(edge));
            }
        }
    }
}

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(1 << 53).min(1 << 53)
}
