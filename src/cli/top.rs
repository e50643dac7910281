//! `moongate top`: what a running gateway is busy with, once a second.

mod samples;
mod table;

use std::io::IsTerminal as _;
use std::time::Duration;

use clap::Args;
use serde_json::Value;
use serde_json::json;

use crate::cli::Exit;
use crate::cli::ask::Admin;
use crate::cli::fail;
use crate::cli::say;
use crate::clock::Clock;
use crate::clock::Moment;
use crate::primitive::units;
use samples::Samples;

/// Show what a running gateway is busy with
///
/// Asks the admin listener of a running gateway for its numbers, again and again, and shows for each route and each
/// service how many requests there are in a second, how many fail, how long they take, and how the hosts are. With --once
/// the sums since the gateway began.
#[derive(Args)]
pub(super) struct Top {
    /// Between two looks
    #[arg(long, value_name = "TIME", default_value = "1s", value_parser = interval)]
    every: Duration,
    /// One table of all there was since the gateway began
    #[arg(long)]
    once: bool,
    /// As JSON, one object a line
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    admin: Admin,
}

impl Top {
    pub(super) fn run(&self) -> Exit {
        let clock = Clock::real();
        let (mut before, mut since) = (Samples::default(), None);
        loop {
            let (state, now) = match self.look() {
                Ok(seen) => seen,
                Err(exit) => return exit,
            };
            let moment = clock.now();
            if self.once || since.is_some() {
                self.tell(&state, &now.since(&before), since.map(|since| moment.since(since)));
            }
            if self.once {
                return Exit::Fine;
            }
            (before, since) = (now, Some::<Moment>(moment));
            std::thread::sleep(self.every);
        }
    }

    fn look(&self) -> Result<(Value, Samples), Exit> {
        let state = self.admin.ask("GET", "/state")?;
        let state = serde_json::from_str(&state)
            .map_err(|_| fail(Exit::Failed, "what the admin listener answers makes no sense"))?;
        Ok((state, Samples::read(&self.admin.ask("GET", "/metrics")?)))
    }

    /// `took` is the time that `samples` grew in; `None`: all there was.
    fn tell(&self, state: &Value, samples: &Samples, took: Option<Duration>) {
        if self.json {
            let seconds = took.map(|took| took.as_secs_f64());
            let told = json!({ "seconds": seconds, "routes": samples.routes(), "services": samples.services(), "failures": samples.failures() });
            return say(format_args!("{told}\n"));
        }
        // A terminal shows one table, a file keeps them all.
        let clear = if std::io::stdout().is_terminal() && took.is_some() { "\u{1b}[H\u{1b}[2J" } else { "" };
        let gap = if clear.is_empty() && took.is_some() { "\n" } else { "" };
        say(format_args!("{clear}{}{gap}", table::text(state, samples, took)));
    }
}

fn interval(text: &str) -> Result<Duration, String> {
    let every = units::duration(text).map_err(|fault| fault.to_string())?;
    if every < SHORTEST { Err("not more often than every 100ms".to_owned()) } else { Ok(every) }
}

const SHORTEST: Duration = Duration::from_millis(100);
