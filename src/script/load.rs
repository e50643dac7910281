//! The load transaction: read, run, check. What comes out is a program that every worker opens to the same plan.

mod cached;
pub(crate) mod files;
mod judge;
mod raised;
mod run;
mod stdlib;
mod stores;

use std::collections::BTreeMap;
use std::path::Path;
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::Arc;
pub(crate) use stdlib::NAMES as STDLIB;
pub(crate) use stdlib::Shelf;

use mlua::Function;
use mlua::Lua;
use mlua::chunk::ChunkMode;

use crate::clock::Clock;
use crate::primitive::chance;
use crate::script::bind;
use crate::script::bind::declared::Declared;
use crate::script::context::Context;
use crate::script::context::Setting;
use crate::script::context::Snapshot;
use crate::script::declare;
use crate::script::declare::Session;
use crate::script::declare::poison;
use crate::script::diagnose::Diagnostic;
use crate::script::diagnose::Faults;
use crate::script::diagnose::allowed;
use crate::script::diagnose::sketches::Sketches;
use crate::script::diagnose::syntax;
use crate::script::live::Live;
use crate::script::machine;
use crate::script::policy;
use crate::script::program::Program;
use files::Fault;
use files::Files;

pub(crate) use run::Slices;
pub(crate) use run::at_once;
pub(crate) use run::to_the_end;

/// What loading may know of the outside.
#[derive(Clone, Default)]
pub struct LoadOptions {
    /// The environment.
    pub env: BTreeMap<String, String>,
    /// Where secrets lie as files.
    pub secrets_dir: Option<PathBuf>,
    /// Time.
    pub clock: Clock,
    /// Faults of functions are shown to clients.
    pub dev: bool,
    /// For a gateway without sockets: chance is the same each time, secrets that are not there have a stand-in.
    pub offline: bool,
    /// Whether lines are counted as they run.
    pub coverage: bool,
}

/// A script that loads.
pub struct Loaded {
    /// What workers open.
    pub program: Arc<Program>,
    /// What probably is not meant: an unused upstream, a captured local …
    pub warnings: Vec<Diagnostic>,
}

/// Loads the file at `path`: reads, runs it in a fresh machine under a budget, checks everything. Blocks meanwhile.
pub fn load(path: &Path, options: &LoadOptions) -> Result<Loaded, Faults> {
    let name = path
        .file_name()
        .and_then(|name| name.to_str())
        .ok_or_else(|| Faults::plain(format!("`{}` names no file", path.display())))?;
    let root = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or_else(|| Path::new("."));
    let files = Rc::new(Files::on_disk(root).for_tests(options.offline, options.coverage));
    let snapshot = Arc::new(Snapshot {
        time: options.clock.unix(),
        seed: if options.offline { 1 } else { chance::unknown() },
        env: options.env.clone(),
        secrets: options.secrets_dir.clone(),
        root: root.to_owned(),
    });
    if let Err(reason) = files.text(name) {
        let mut faults = Faults::plain(reason);
        faults.watch(path);
        return Err(faults);
    }
    let setting = Setting {
        worker: None,
        live: Arc::new(Live::default()),
        control: true,
        clock: options.clock.clone(),
        snapshot: Arc::clone(&snapshot),
        step: crate::plan::Gateway::default().step,
        memory: crate::plan::Gateway::default().memory,
        offline: None,
    };
    let (lua, _context, session) = open(setting, &files).map_err(|error| Faults::plain(error.to_string()))?;
    session.sketches.replace(Sketches::begin());
    poison::lenient(&lua).map_err(|error| Faults::plain(error.to_string()))?;
    to_the_end(&lua, &session, name);
    let (plan, _pipelines) = at_once(declare::build(&lua, &session, async || {}));
    let judged = judge::judge(&session, &plan);
    let source = |file: &str| files.text(file).ok().map(|text| text.to_string());
    if !judged.faults.is_empty() {
        return Err(Faults::new(judged.faults, files.paths(), &source));
    }
    let mut warnings = crate::script::diagnose::tidy(judged.warnings, &source);
    warnings.retain(|warning| !source(&warning.file).is_some_and(|text| allowed(warning, &text)));
    let beside = !plan.timers.is_empty() || Declared::of(&lua).runs_beside();
    let program = Program::new(name, (plan, judged.routes), &files, snapshot, beside);
    Ok(Loaded { program: Arc::new(program), warnings })
}

/// A machine with every word, closed, and the session that will note what the file declares.
pub(crate) fn open(setting: Setting, files: &Rc<Files>) -> mlua::Result<(Lua, Rc<Context>, Rc<Session>)> {
    let (lua, context, session) = begin(setting, files)?;
    let mut shelf = Shelf::open(&lua)?;
    while shelf.next(&lua)? {}
    machine::bound(&lua)?;
    Ok((lua, context, session))
}

/// The same without the words of the standard library, its memory not bound yet.
pub(crate) fn begin(setting: Setting, files: &Rc<Files>) -> mlua::Result<(Lua, Rc<Context>, Rc<Session>)> {
    let (lua, context) = machine::open(setting)?;
    let session = Session::new(Rc::clone(files));
    lua.set_app_data(Rc::clone(&session));
    let globals = lua.globals();
    bind::install(&lua, &globals)?;
    declare::install(&lua, &globals)?;
    policy::install(&lua, &globals)?;
    machine::seal(&lua)?;
    Ok((lua, context, session))
}

/// Loading is over: the declaring words answer so, unknown names raise.
pub(crate) fn close(lua: &Lua) -> mlua::Result<()> {
    lua.remove_app_data::<Rc<Session>>();
    lua.remove_interrupt();
    machine::loaded(lua)
}

/// A Lua file as a function; `Err(None)` when it cannot be read.
pub(crate) fn chunk(lua: &Lua, session: &Session, name: &str) -> Result<Function, Option<Diagnostic>> {
    let code = match session.files.compile(name) {
        Ok(code) => code,
        Err(Fault::Unreadable(reason)) => return Err(Some(Diagnostic::error(reason))),
        Err(Fault::Syntax(message)) => {
            let text = session.files.text(name).unwrap_or_default();
            return Err(Some(syntax::explain(name, &message, &text)));
        }
    };
    if session.ran.borrow_mut().insert(name.to_owned())
        && let (Some(sketches), Ok(text)) = (&*session.sketches.borrow(), session.files.text(name))
    {
        sketches.add(name, text);
    }
    session.compiling.set(true);
    let made = lua.load(&*code).set_name(format!("@{name}")).set_mode(ChunkMode::Binary).into_function();
    session.compiling.set(false);
    if let (Ok(made), Some(offline)) = (&made, Context::of(lua).offline()) {
        offline.ran(name, made);
    }
    made.map_err(|error| Some(Diagnostic::error(format!("{name}: {error}"))))
}

#[cfg(test)]
mod golden;
#[cfg(test)]
mod tests;
