//! `moongate test`: runs test files in Lua against their gateways, without sockets.

mod coverage;
mod find;
mod play;
mod report;

use std::path::PathBuf;
use std::sync::Mutex;
use std::time::Duration;
use std::time::SystemTime;

use clap::Args;

use crate::cli::Exit;
use crate::cli::fail;
use crate::cli::say;
use crate::cli::settings;
use crate::cli::settings::Settings;
use crate::clock::Clock;
use find::Pair;
use play::Played;

/// Run the tests beside gateway.lua, offline
///
/// Runs test files in Lua (`*_test.lua`) against the gateway.lua beside them: the real script and
/// the real policies, with mocks for services and a clock that the test turns. Nothing is sent
/// anywhere. A test file x_test.lua tests x.lua where there is one, else the nearest gateway.lua.
///
///   test("who is unknown stays outside", function(gw)
///     gw:mock("users", { json = { name = "ann" } })
///     expect(gw:get("/users/7").status).is(401)
///     expect(gw:get("/users/7", { user = "ann" }):json().name).is("ann")
///   end)
///
/// `moongate docs test` has all that a test may call. Exit codes: 0 all passed, 1 some failed,
/// 3 a script or test file does not load.
#[derive(Args)]
#[command(verbatim_doc_comment)]
pub(super) struct Test {
    /// Test files, scripts, or folders to look through; none: the folder of the script
    #[arg(value_name = "FILES")]
    files: Vec<PathBuf>,
    /// Only tests with this in their name
    #[arg(short, long, value_name = "NAME")]
    filter: Option<String>,
    /// Run again whenever a file changes
    #[arg(long)]
    watch: bool,
    /// Also write the results to this file, as JUnit XML
    #[arg(long, value_name = "FILE")]
    junit: Option<PathBuf>,
    /// Report as JSON
    #[arg(long)]
    json: bool,
    /// Show which lines, routes and outcomes no test has exercised
    #[arg(long)]
    coverage: bool,
    /// Write the lines that ran to this file, in lcov's format
    #[arg(long, value_name = "FILE")]
    lcov: Option<PathBuf>,
}

impl Test {
    pub(super) fn run(self, settings: &Settings) -> Exit {
        let env = match settings.environment() {
            Ok(env) => env,
            Err(message) => return fail(Exit::Usage, &message),
        };
        let task = play::Task {
            env,
            secrets: Settings::secrets(),
            filter: self.filter.clone(),
            coverage: self.coverage || self.lcov.is_some(),
            part: PART,
        };
        loop {
            let began = SystemTime::now();
            let pairs = match find::pairs(&self.files) {
                Ok(pairs) => pairs,
                Err(message) => return fail(Exit::Failed, &message),
            };
            let started = Clock::real().now();
            let played = play_all(&pairs, &task);
            let took = Clock::real().now().since(started);
            let exit = self.tell(&played, took);
            if !self.watch {
                return exit;
            }
            wait_for_change(&self.files, &played, began);
        }
    }

    fn tell(&self, played: &[Played], took: Duration) -> Exit {
        if self.json {
            say(format_args!("{}\n", report::json(played)));
        } else {
            say(format_args!("{}", report::text(played, took, settings::color_out())));
        }
        let covered = coverage::joined(played.iter().map(|played| (&*played.script, &played.coverage)));
        if self.coverage && !self.json {
            say(format_args!("{}", coverage::text(&covered)));
        }
        for (file, text) in [(&self.junit, report::junit(played)), (&self.lcov, coverage::lcov(&covered))] {
            if let Some(file) = file
                && let Err(error) = std::fs::write(file, text)
            {
                return fail(Exit::Failed, &format!("{}: {error}", file.display()));
            }
        }
        let count: usize = played.iter().map(|played| played.tests.len()).sum();
        if played.iter().any(|played| played.fault.is_some()) {
            return Exit::Script;
        }
        if count == 0 {
            let none = match &self.filter {
                Some(filter) => format!("no test has `{filter}` in its name"),
                None => "the test files hold no test: write test(\"what it shows\", function(gw) … end)".to_owned(),
            };
            return fail(Exit::Failed, &none);
        }
        let failed = played.iter().flat_map(|played| &played.tests).any(|test| test.failed.is_some());
        if failed { Exit::Failed } else { Exit::Fine }
    }
}

/// Every file on a thread of its own, as many at a time as there are processors; those that are left help with long files.
fn play_all(pairs: &[Pair], task: &play::Task) -> Vec<Played> {
    let processors = std::thread::available_parallelism().map_or(2, std::num::NonZero::get);
    let (threads, each) = (processors.min(pairs.len()), processors / pairs.len().max(1));
    let (next, done) = (Mutex::new(pairs.iter().enumerate()), Mutex::new(Vec::new()));
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                loop {
                    let taken = next.lock().ok().and_then(|mut next| next.next());
                    let Some((at, pair)) = taken else { return };
                    let played = play::play(pair, task, each);
                    if let Ok(mut done) = done.lock() {
                        done.push((at, played));
                    }
                }
            });
        }
    });
    let mut done = done.into_inner().unwrap_or_default();
    done.sort_by_key(|(at, _)| *at);
    done.into_iter().map(|(_, played)| played).collect()
}

/// Returns once a file that counts is another than it was at `began`, when the last run began to read.
fn wait_for_change(asked: &[PathBuf], played: &[Played], began: SystemTime) {
    let look = || -> Vec<(PathBuf, Option<SystemTime>)> {
        let tests = find::pairs(asked).unwrap_or_default().into_iter().map(|pair| pair.test);
        let files = tests.chain(played.iter().flat_map(|played| played.files.iter().cloned()));
        let when = |file: &PathBuf| std::fs::metadata(file).and_then(|known| known.modified()).ok();
        files.map(|file| (file.clone(), when(&file))).collect()
    };
    let before = look();
    let during = |(_, saved): &(PathBuf, Option<SystemTime>)| saved.is_some_and(|saved| saved + COARSE >= began);
    if before.iter().any(during) {
        return;
    }
    while look() == before {
        std::thread::sleep(LOOK);
    }
}

/// Tests that are worth a thread of their own.
const PART: usize = 100;

/// The clock of files is behind by as much.
const COARSE: Duration = Duration::from_millis(10);

/// How often files are looked at.
const LOOK: Duration = Duration::from_millis(200);

#[cfg(test)]
mod tests;
