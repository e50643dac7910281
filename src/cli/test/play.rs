//! One test file: its script loaded, each of its tests run against a gateway of its own.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::rc::Rc;
use std::time::Duration;

use super::coverage::Coverage;
use super::find::Pair;
use crate::cli::settings;
use crate::clock::Clock;
use crate::gateway::stage::Play;
use crate::gateway::stage::Stage;
use crate::script::LoadOptions;
use crate::script::load;
use crate::script::suite;
use crate::script::suite::Failed;
use crate::script::suite::Suite;

/// What all files are run with.
pub(super) struct Task {
    pub(super) env: BTreeMap<String, String>,
    pub(super) secrets: Option<PathBuf>,
    pub(super) filter: Option<String>,
    pub(super) coverage: bool,
    /// Fewer tests than this are not worth a thread, which loads the test file again.
    pub(super) part: usize,
}

/// What came of a test file.
#[derive(Default)]
pub(super) struct Played {
    pub(super) test: PathBuf,
    pub(super) script: PathBuf,
    /// Why nothing of it ran.
    pub(super) fault: Option<String>,
    pub(super) tests: Vec<Ran>,
    pub(super) coverage: Coverage,
    /// What the script was made of, to be watched.
    pub(super) files: Vec<PathBuf>,
}

/// What came of a test.
pub(super) struct Ran {
    pub(super) name: String,
    pub(super) line: u32,
    pub(super) failed: Option<Failed>,
    pub(super) took: Duration,
}

/// Runs the tests of one file, on so many threads at most.
pub(super) fn play(pair: &Pair, task: &Task, threads: usize) -> Played {
    let mut played = Played {
        test: pair.test.clone(),
        script: pair.script.clone(),
        files: vec![pair.script.clone()],
        ..Played::default()
    };
    if let Err(fault) = all(pair, task, threads, &mut played) {
        played.fault = Some(fault);
    }
    played
}

fn all(pair: &Pair, task: &Task, threads: usize, played: &mut Played) -> Result<(), String> {
    let clock = Clock::fake(START);
    let options = LoadOptions {
        env: task.env.clone(),
        secrets_dir: task.secrets.clone(),
        clock: clock.clone(),
        dev: false,
        offline: true,
        coverage: task.coverage,
    };
    let loaded = load(&pair.script, &options).map_err(|faults| {
        played.files.extend(faults.files().iter().cloned());
        faults.render(settings::color_out())
    })?;
    played.files.extend(loaded.program.files().iter().cloned());
    let suite = suite(pair, task, &clock)?;
    let work = Work { pair, task, play: &Play::new(loaded.program)? };
    let wanted: Vec<_> =
        suite.tests().iter().enumerate().filter(|(_, test)| task.takes(test)).map(|(at, _)| at).collect();
    let parts = threads.min(wanted.len() / task.part).max(1);
    let parts = if parts > 1 && suite.stands_alone() { parts } else { 1 };
    let mut parts = wanted.chunks(wanted.len().div_ceil(parts).max(1));
    let own = parts.next().unwrap_or_default();
    let done = std::thread::scope(|scope| {
        let work = &work;
        let others: Vec<_> = parts.map(|part| scope.spawn(move || work.apart(part))).collect();
        let first = work.part(own, &suite, &clock);
        let others =
            others.into_iter().map(|other| other.join().unwrap_or_else(|_| Err("a thread is gone".to_owned())));
        std::iter::once(first).chain(others).collect::<Vec<_>>()
    });
    for part in done {
        let (tests, coverage) = part?;
        played.tests.extend(tests);
        played.coverage.join(&coverage);
    }
    Ok(())
}

fn suite(pair: &Pair, task: &Task, clock: &Clock) -> Result<Suite, String> {
    Suite::load(&pair.test, clock, &task.env).map_err(|faults| faults.render(settings::color_out()))
}

impl Task {
    fn takes(&self, test: &suite::Test) -> bool {
        self.filter.as_ref().is_none_or(|filter| test.name.contains(filter))
    }
}

/// What all parts of a file share.
struct Work<'a> {
    pair: &'a Pair,
    task: &'a Task,
    play: &'a Play,
}

impl Work<'_> {
    /// A part whose test file is loaded by itself: a machine stays on its thread.
    fn apart(&self, part: &[usize]) -> Result<(Vec<Ran>, Coverage), String> {
        let clock = Clock::fake(START);
        self.part(part, &suite(self.pair, self.task, &clock)?, &clock)
    }

    fn part(&self, part: &[usize], suite: &Suite, clock: &Clock) -> Result<(Vec<Ran>, Coverage), String> {
        let (mut tests, mut coverage) = (Vec::new(), Coverage::default());
        for &index in part {
            let test = &suite.tests()[index];
            let started = Clock::real().now();
            let stage = Stage::open(self.play, clock)?;
            let failed = suite.run(index, &(Rc::clone(&stage) as Rc<dyn suite::Stage>));
            if self.task.coverage {
                coverage.add(&self.pair.script, &stage);
            }
            let took = Clock::real().now().since(started);
            tests.push(Ran { name: test.name.clone(), line: test.line, failed, took });
        }
        Ok((tests, coverage))
    }
}

/// When every test begins: 2030-01-01T12:00:00Z.
const START: Duration = Duration::from_secs(1_893_499_200);
