//! A test file: loaded once, each of its tests run against a gateway of its own.

use std::collections::BTreeMap;
use std::path::Path;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use mlua::Function;
use mlua::Lua;
use mlua::Table;

use super::Answered;
use super::Asked;
use super::Stage;
use super::answer;
use super::gw::Gw;
use super::gw::Last;
use super::gw::Seat;
use crate::clock::Clock;
use crate::script::context::Context;
use crate::script::context::Setting;
use crate::script::context::Snapshot;
use crate::script::declare::Session;
use crate::script::diagnose::Faults;
use crate::script::diagnose::sketches;
use crate::script::driver::fault;
use crate::script::live::Live;
use crate::script::load;
use crate::script::load::files::Files;
use crate::script::machine::embedded;
use crate::script::offline::Offline;
use crate::script::policy::publish;
use crate::telemetry::log;
use crate::telemetry::log::Level;

/// A test file that loads.
pub struct Suite {
    name: String,
    lua: Lua,
    context: Rc<Context>,
    files: Rc<Files>,
    tests: Vec<Test>,
}

/// One test.
pub struct Test {
    /// What it shows.
    pub name: String,
    /// Where it stands in its file.
    pub line: u32,
    run: Function,
}

/// What a test came to; `None` when all is as it should be.
pub type Outcome = Option<Failed>;

/// Why a test failed, and what led there.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Failed {
    /// What was expected and what came.
    pub message: String,
    /// File and line in it.
    pub file: String,
    /// 0 when unknown.
    pub line: u32,
    /// That line.
    pub source: String,
    /// The last request: what was asked and what came back.
    pub request: String,
    /// The steps it met, one line each.
    pub steps: Vec<String>,
    /// Warnings and errors that the gateway logged.
    pub logs: Vec<String>,
}

impl Suite {
    /// Loads the file at `path`, on `clock`.
    pub fn load(path: &Path, clock: &Clock, env: &BTreeMap<String, String>) -> Result<Self, Faults> {
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        let root = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or_else(|| Path::new("."));
        let files = Rc::new(Files::on_disk(root));
        files.text(name).map_err(Faults::plain)?;
        let plain = |error: mlua::Error| Faults::plain(fault::message(&error));
        let (lua, context, session) = open(clock, env, root, &files).map_err(plain)?;
        let functions = functions(&lua).map_err(plain)?;
        run(&lua, &session, name, &files)?;
        let tests = tests(&functions).map_err(plain)?;
        Ok(Self { name: name.to_owned(), lua, context, files, tests })
    }

    /// Its tests, in the order written.
    pub fn tests(&self) -> &[Test] {
        &self.tests
    }

    /// Whether no function in it writes a local of the file, so that no test can leave another something in one.
    pub fn stands_alone(&self) -> bool {
        let text = self.files.text(&self.name).map(|text| Arc::from(&*text));
        let sketch = text.ok().and_then(|text| sketches::read(&text));
        sketch
            .is_some_and(|sketch| sketch.functions.iter().all(|function| function.nested || function.writes.is_empty()))
    }

    /// Runs the test at `index` against `stage`.
    pub fn run(&self, index: usize, stage: &Rc<dyn Stage>) -> Outcome {
        let test = self.tests.get(index)?;
        let (seat, last) = (Seat::new(stage), Last::default());
        let gw = Gw { seat: seat.clone(), last: last.clone() };
        let entered = self.context.enter(None);
        let result = self.lua.create_userdata(gw).and_then(|gw| test.run.call::<()>(gw));
        drop(entered);
        seat.leave();
        let trouble = stage.trouble();
        let mut failed = match (result, trouble) {
            (_, Some(message)) => Failed { message, line: test.line, ..Failed::default() },
            (Ok(()), None) => return None,
            (Err(error), None) => said(&error, test.line),
        };
        if let Some((asked, answered)) = last.take() {
            tell(&mut failed, &asked, &answered);
        }
        failed.logs = logged(stage.logs());
        let text = self.files.text(&failed.file).unwrap_or_default();
        failed.source = text.lines().nth(failed.line.saturating_sub(1) as usize).unwrap_or_default().to_owned();
        Some(failed)
    }
}

fn open(
    clock: &Clock,
    env: &BTreeMap<String, String>,
    root: &Path,
    files: &Rc<Files>,
) -> mlua::Result<(Lua, Rc<Context>, Rc<Session>)> {
    let snapshot = Snapshot { time: clock.unix(), seed: SEED, env: env.clone(), secrets: None, root: root.to_owned() };
    let setting = Setting {
        worker: None,
        live: Arc::new(Live::default()),
        control: false,
        clock: clock.clone(),
        snapshot: Arc::new(snapshot),
        step: LONGEST,
        memory: crate::plan::Gateway::default().memory,
        offline: Some(Rc::new(Offline::new(SEED))),
    };
    load::open(setting, files)
}

/// The words of tests, beside those of scripts.
fn functions(lua: &Lua) -> mlua::Result<Table> {
    let chunk = embedded(lua, "=[moongate]", include_str!("suite.luau"))?;
    let functions: Table = chunk.call(())?;
    lua.set_named_registry_value(answer::LUA, &functions)?;
    for word in ["test", "expect"] {
        publish(lua, word, functions.get::<Function>(word)?)?;
    }
    Ok(functions)
}

fn run(lua: &Lua, session: &Session, name: &str, files: &Files) -> Result<(), Faults> {
    let source = |file: &str| files.text(file).ok().map(|text| text.to_string());
    let faults = |found| Faults::new(found, files.paths(), &source);
    load::to_the_end(lua, session, name);
    let mut found = session.diagnostics.take();
    if !session.nodes.borrow().is_empty() || session.gateway.borrow().is_some() {
        let said = "a test file declares no routes: they stand in the gateway.lua beside it";
        found.push(crate::script::diagnose::Diagnostic::error(said).at(name, 1));
    }
    if !found.is_empty() {
        return Err(faults(found));
    }
    load::close(lua).map_err(|error| Faults::plain(fault::message(&error)))
}

fn tests(functions: &Table) -> mlua::Result<Vec<Test>> {
    let list: Table = functions.get("tests")?;
    let tests = list.sequence_values::<Table>().map(|test| {
        let test = test?;
        let run: Function = test.raw_get("run")?;
        let line = run.info().line_defined.and_then(|line| u32::try_from(line).ok()).unwrap_or_default();
        Ok(Test { name: test.raw_get("name")?, line, run })
    });
    tests.collect()
}

/// What was raised, and where; a test that fails elsewhere is shown where it begins.
fn said(error: &mlua::Error, line: u32) -> Failed {
    let message = fault::message(error);
    let place = fault::place(&message).or_else(|| fault::located(error));
    let (file, line) = place.unwrap_or_else(|| (String::new(), line));
    let bare = message.strip_prefix(&format!("{file}:{line}: ")).unwrap_or(&message).to_owned();
    Failed { message: bare, file, line, ..Failed::default() }
}

fn tell(failed: &mut Failed, asked: &Asked, answered: &Answered) {
    let code = answered.code.as_ref().map(|code| format!(" {code}")).unwrap_or_default();
    let route = answered.route.as_ref().map_or("no route", |(name, ..)| name.as_str());
    failed.request = format!("{} {} -> {}{code} ({route})", asked.method, asked.url, answered.status);
    if let Some(cause) = &answered.cause {
        failed.request.push_str(&format!(": {cause}"));
    }
    failed.steps = answered.steps.iter().map(line).collect();
    let upstream = |name: &String| format!("{name} answered ({} attempts)", answered.attempts);
    failed.steps.extend(answered.upstream.iter().map(upstream));
}

fn line(trod: &crate::proxy::watch::Trod) -> String {
    format!("{}:{} {} {}", trod.place.0, trod.place.1, trod.word, trod.outcome.as_str())
}

fn logged(entries: Vec<log::Entry>) -> Vec<String> {
    // where it was and for which request stands above
    const TOLD: [&str; 5] = ["code", "at", "route", "request_id", "trace_id"];
    let said = entries.into_iter().filter(|entry| entry.level >= Level::Info);
    let line = |entry: log::Entry| {
        let fields = entry.fields.iter().filter(|(name, _)| !TOLD.contains(&name.as_str()));
        fields.fold(format!("{} {}", entry.level.as_str(), entry.message), |line, (name, value)| {
            format!("{line} {name}={value}")
        })
    };
    said.map(line).collect()
}

/// Where chance begins in every test.
pub const SEED: u64 = 20_300_101;
/// A test that runs longer than this without calling anything never ends.
const LONGEST: Duration = Duration::from_secs(60);
