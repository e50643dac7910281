//! `moongate replay`: plays recorded requests through a script, and shows what would be another.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use serde_json::Value;
use serde_json::json;

use crate::cli::Exit;
use crate::cli::fail;
use crate::cli::say;
use crate::cli::settings;
use crate::cli::settings::Settings;
use crate::clock::Clock;
use crate::gateway::stage::Play;
use crate::gateway::stage::Stage;
use crate::gateway::stage::replay::Played;
use crate::gateway::stage::replay::time;
use crate::script::LoadOptions;
use crate::script::load;

/// Play recorded requests through a script, and show what would be another: a reload rehearsed
///
/// Plays what `moongate record` has kept through the script, offline: services answer as they did, the clock stands where
/// it stood, callers are who they were. Shows each answer that would have another status, failure, route, header or body,
/// and calls that services would get or no longer get. Limits and caches begin empty; what functions draw by chance is
/// another each time. Exit codes: 0 all the same, 1 something differs, 3 the script does not load.
#[derive(Args)]
pub(super) struct Replay {
    /// What `moongate record` has written
    #[arg(value_name = "RECORDING")]
    recording: PathBuf,
    /// The script
    #[arg(value_name = "FILE")]
    file: Option<PathBuf>,
    /// As JSON
    #[arg(long)]
    json: bool,
}

impl Replay {
    pub(super) fn run(self, settings: &Settings) -> Exit {
        let requests = match self.requests() {
            Ok(requests) => requests,
            Err(message) => return fail(Exit::Failed, &format!("{}: {message}", self.recording.display())),
        };
        let (file, options) = match settings.load(self.file.as_deref()) {
            Ok(ready) => ready,
            Err(exit) => return exit,
        };
        let first = requests.iter().map(time).fold(f64::INFINITY, f64::min);
        let clock = Clock::fake(Duration::try_from_secs_f64(first).unwrap_or_default());
        let options = LoadOptions { offline: true, clock: clock.clone(), ..options };
        let loaded = match load(&file, &options) {
            Ok(loaded) => loaded,
            Err(faults) => {
                eprint!("{}", faults.render(settings::color()));
                return Exit::Script;
            }
        };
        let played = Play::new(loaded.program).and_then(|play| Stage::open(&play, &clock)?.replay(&requests));
        match played {
            Ok(played) => self.tell(&played),
            Err(message) => fail(Exit::Failed, &message),
        }
    }

    fn requests(&self) -> Result<Vec<Value>, String> {
        let text = std::fs::read_to_string(&self.recording).map_err(|error| error.to_string())?;
        let recording: Value = serde_json::from_str(&text).map_err(|error| format!("no recording: {error}"))?;
        let requests = recording["requests"].as_array().cloned().ok_or("no recording: it has no `requests`")?;
        if requests.is_empty() { Err("it holds no request".to_owned()) } else { Ok(requests) }
    }

    fn tell(&self, played: &[Played]) -> Exit {
        let differing = played.iter().filter(|one| !one.differs.is_empty()).count();
        if self.json {
            let one = |one: &Played| {
                json!({
                    "id": one.id,
                    "method": one.method,
                    "target": one.target,
                    "skipped": one.skipped,
                    "differs": one.differs,
                })
            };
            say(format_args!("{}\n", json!(played.iter().map(one).collect::<Vec<_>>())));
        } else {
            say(format_args!("{}", text(played, differing)));
        }
        if differing > 0 { Exit::Failed } else { Exit::Fine }
    }
}

fn text(played: &[Played], differing: usize) -> String {
    let mut out = String::new();
    for one in played {
        let head = format!("{} {} ({})\n", one.method, one.target, one.id);
        if let Some(why) = &one.skipped {
            out += &format!("{head}  not played: {why}\n\n");
        } else if !one.differs.is_empty() {
            out += &format!("{head}  {}\n\n", one.differs.join("\n  "));
        }
    }
    let skipped = played.iter().filter(|one| one.skipped.is_some()).count();
    let rest = if skipped > 0 { format!(", {skipped} not played") } else { String::new() };
    out += &format!("{} the same, {differing} would differ{rest}\n", played.len() - differing - skipped);
    out
}
