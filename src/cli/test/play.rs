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

/// Runs the tests of one file.
pub(super) fn play(pair: &Pair, task: &Task) -> Played {
    let mut played = Played {
        test: pair.test.clone(),
        script: pair.script.clone(),
        files: vec![pair.script.clone()],
        ..Played::default()
    };
    if let Err(fault) = all(pair, task, &mut played) {
        played.fault = Some(fault);
    }
    played
}

fn all(pair: &Pair, task: &Task, played: &mut Played) -> Result<(), String> {
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
    let suite = Suite::load(&pair.test, &clock, &task.env).map_err(|faults| faults.render(settings::color_out()))?;
    let play = Play::new(loaded.program)?;
    for (index, test) in suite.tests().iter().enumerate() {
        if task.filter.as_ref().is_some_and(|filter| !test.name.contains(filter)) {
            continue;
        }
        let started = Clock::real().now();
        let stage = Stage::open(&play, &clock)?;
        let failed = suite.run(index, &(Rc::clone(&stage) as Rc<dyn suite::Stage>));
        if task.coverage {
            played.coverage.add(&pair.script, &stage);
        }
        let took = Clock::real().now().since(started);
        played.tests.push(Ran { name: test.name.clone(), line: test.line, failed, took });
    }
    Ok(())
}

/// When every test begins: 2030-01-01T12:00:00Z.
const START: Duration = Duration::from_secs(1_893_499_200);
