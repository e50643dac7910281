//! One load in one machine: what has been declared so far, and what was wrong with it.

use std::cell::Cell;
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::rc::Rc;

use mlua::Function;
use mlua::Lua;
use mlua::Value;

use super::read::Options;
use crate::plan::Place;
use crate::script::declare::assert::Assertion;
use crate::script::declare::slots::Slots;
use crate::script::diagnose::Anchor;
use crate::script::diagnose::Diagnostic;
use crate::script::diagnose::sketches::Sketches;
use crate::script::load::files::Files;
use crate::script::policy::Policy;
use crate::script::words;
use crate::transform::Template;
use crate::transform::template::Escape;
use crate::transform::template::TemplateError;

/// What one run of the file has said.
pub(crate) struct Session {
    /// Files, globs and secrets.
    pub(crate) files: Rc<Files>,
    /// Whether these files were judged: a worker that comes to the same plan need not ask again whether its texts are sound.
    pub(crate) judged: Cell<bool>,
    /// Routes, groups and includes, in the order made.
    pub(crate) nodes: RefCell<Vec<Node>>,
    /// `gateway { … }`.
    pub(crate) gateway: RefCell<Option<Block>>,
    /// `upstream "…" { … }`.
    pub(crate) upstreams: RefCell<Vec<crate::upstream::Config>>,
    /// Functions of `hash_by`, by the upstream's name.
    pub(crate) hashers: RefCell<BTreeMap<String, Function>>,
    /// `every`, `after`, `on`.
    pub(crate) timers: RefCell<Vec<Timer>>,
    /// Stores, limiters, metrics: identity and configuration.
    pub(crate) objects: RefCell<BTreeMap<String, String>>,
    /// What values of policies keep across reloads.
    pub(crate) slots: RefCell<Slots>,
    /// Names that `policy` made.
    pub(crate) policies: RefCell<BTreeMap<String, Rc<Policy>>>,
    /// Where names of upstreams were used by functions (`fetch`) is not known; those used by routes are.
    pub(crate) used: RefCell<BTreeSet<String>>,
    /// First halves of `route "…"` without a table yet.
    pub(crate) pending: RefCell<Vec<Pending>>,
    /// Texts given to names that nobody knows: `upstrem "users"` may well have been an upstream.
    pub(crate) poisoned: RefCell<BTreeSet<String>>,
    /// Services that steps call, by name or URL: checked once every upstream is declared.
    pub(crate) called: RefCell<Vec<(String, Anchor)>>,
    /// A chunk is being made, and its imports are looked up: nobody has called anything.
    pub(crate) compiling: Cell<bool>,
    /// Files that were run, with the words that stand in them.
    pub(crate) ran: RefCell<BTreeSet<String>>,
    /// What the sources themselves say, where somebody judges them afterwards.
    pub(crate) sketches: RefCell<Option<Sketches>>,
    /// Failure codes that `errors` and `on` name, to be checked once every `code = "…"` is known.
    pub(crate) codes: RefCell<Vec<(String, Anchor)>>,
    /// Names given to `on`, with the event each may have meant.
    pub(crate) events: RefCell<Vec<(String, Anchor, Option<&'static str>)>>,
    /// Stores that limits name, to be checked once all are declared.
    pub(crate) stores: RefCell<Vec<(String, Anchor)>>,
    /// Functions that run once per gateway, by word and place: they must not write captured locals.
    pub(crate) watched: RefCell<Vec<(&'static str, Place)>>,
    /// Faults that know their place already.
    pub(crate) diagnostics: RefCell<Vec<Diagnostic>>,
    /// `assert_routes`, to be judged once all routes are known.
    pub(crate) asserts: RefCell<Vec<Assertion>>,
    /// Names in templates where no one route is in sight: some route must have such a parameter.
    pub(crate) loose: RefCell<Vec<(String, Anchor)>>,
    /// Globals that the file writes though it must not: read back, so that each is told once.
    pub(crate) written: RefCell<BTreeMap<String, Value>>,
    /// Path parameters that the step being made needs.
    pub(crate) needed: RefCell<Vec<String>>,
    found: RefCell<Vec<Found>>,
}

/// `route "…"`, which waits for its table.
pub(crate) struct Pending {
    /// Where, with the text.
    pub(crate) anchor: Anchor,
    /// As messages call it.
    pub(crate) owner: String,
    /// The table came.
    pub(crate) done: bool,
}

/// A fault as the running script knows it.
#[derive(Clone, Debug)]
pub(crate) struct Found {
    /// Where.
    pub(crate) anchor: Anchor,
    /// What is wrong.
    pub(crate) message: String,
    /// Beside the caret.
    pub(crate) label: String,
    /// Below the frame.
    pub(crate) help: String,
    /// Only worth a warning: its id.
    pub(crate) warning: Option<&'static str>,
}

/// A table that was declared: its typed options, its steps, its place.
pub(crate) struct Block {
    /// Typed options.
    pub(crate) options: Options,
    /// The list part's steps.
    pub(crate) steps: Vec<Item>,
    /// Where it stands.
    pub(crate) anchor: Anchor,
    /// As messages call it.
    pub(crate) owner: String,
}

/// A step in a list, and where it stands in it.
pub(crate) struct Item {
    /// A function or a step table.
    pub(crate) value: Value,
}

/// What a node is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// `route`
    Route,
    /// `group`
    Group,
    /// `include`
    Include,
}

/// A route, a group or an include.
pub(crate) struct Node {
    /// Which.
    pub(crate) kind: Kind,
    /// Its text: pattern, prefix, glob.
    pub(crate) text: String,
    /// Its table.
    pub(crate) block: Block,
    /// Routes and groups in its list, or made by its files.
    pub(crate) children: Vec<usize>,
    /// The list it stands in.
    pub(crate) claimed: Option<Place>,
}

/// `every`, `after` or `on`.
pub(crate) struct Timer {
    /// The word.
    pub(crate) word: String,
    /// Seconds or an event's name, as written.
    pub(crate) argument: String,
    /// What runs.
    pub(crate) function: Function,
    /// Where it stands.
    pub(crate) place: Place,
}

impl Session {
    /// Nothing said yet.
    pub(crate) fn new(files: Rc<Files>) -> Rc<Self> {
        Rc::new(Self {
            files,
            judged: Cell::new(false),
            nodes: RefCell::default(),
            gateway: RefCell::default(),
            upstreams: RefCell::default(),
            hashers: RefCell::default(),
            timers: RefCell::default(),
            objects: RefCell::default(),
            stores: RefCell::default(),
            slots: RefCell::default(),
            policies: RefCell::default(),
            used: RefCell::default(),
            pending: RefCell::default(),
            poisoned: RefCell::default(),
            called: RefCell::default(),
            compiling: Cell::new(false),
            ran: RefCell::default(),
            sketches: RefCell::default(),
            written: RefCell::default(),
            loose: RefCell::default(),
            codes: RefCell::default(),
            events: RefCell::default(),
            watched: RefCell::default(),
            diagnostics: RefCell::default(),
            needed: RefCell::default(),
            found: RefCell::default(),
            asserts: RefCell::default(),
        })
    }

    /// The load under way in this machine; an error once it is over.
    pub(crate) fn of(lua: &Lua, word: &str) -> mlua::Result<Rc<Self>> {
        match lua.app_data_ref::<Rc<Self>>() {
            Some(session) => Ok(Rc::clone(&session)),
            None => Err(mlua::Error::runtime(format!(
                "`{word}` declares, and that is for the top level of the file; it cannot be called while requests run"
            ))),
        }
    }

    /// Remembers that a table must follow; what it is found by then.
    pub(crate) fn pend(&self, anchor: Anchor, owner: String) -> usize {
        let mut pending = self.pending.borrow_mut();
        pending.push(Pending { anchor, owner, done: false });
        pending.len() - 1
    }

    /// The table followed: where the declaration stands, and what messages call it.
    pub(crate) fn follow(&self, ticket: usize) -> Option<(Anchor, String)> {
        let mut pending = self.pending.borrow_mut();
        let first = pending.get_mut(ticket)?;
        first.done = true;
        Some((first.anchor.clone(), first.owner.clone()))
    }

    /// Notes a fault.
    pub(crate) fn fault(
        &self,
        anchor: Anchor,
        message: impl Into<String>,
        label: impl Into<String>,
        help: impl Into<String>,
    ) {
        let (message, label, help) = (message.into(), label.into(), help.into());
        self.note(Found { anchor, message, label, help, warning: None });
    }

    /// Notes something that loads and is probably not meant.
    pub(crate) fn warn(&self, id: &'static str, anchor: Anchor, message: impl Into<String>, label: impl Into<String>) {
        let (message, label) = (message.into(), label.into());
        self.note(Found { anchor, message, label, help: String::new(), warning: Some(id) });
    }

    /// A loop can make the same mistake for ever; ten are shown.
    fn note(&self, found: Found) {
        let mut all = self.found.borrow_mut();
        if all.len() < 1000 {
            all.push(found);
        }
    }

    /// Everything noted.
    pub(crate) fn found(&self) -> Vec<Found> {
        self.found.borrow().clone()
    }

    /// Whether anything is wrong.
    pub(crate) fn faulty(&self) -> bool {
        self.found.borrow().iter().any(|found| found.warning.is_none())
    }

    /// Whether the script made a policy of that name.
    pub(crate) fn is_policy(&self, name: &str) -> bool {
        self.policies.borrow().contains_key(name)
    }

    /// Names of the script's own policies.
    pub(crate) fn own_words(&self) -> Vec<String> {
        self.policies.borrow().keys().filter(|name| !words::STDLIB.contains(&name.as_str())).cloned().collect()
    }

    /// Whether something was wrong in the declaration at `anchor` already.
    pub(crate) fn faulty_at(&self, anchor: &Anchor) -> bool {
        let found = self.found.borrow();
        found.iter().any(|found| {
            found.warning.is_none() && found.anchor.file == anchor.file && found.anchor.line == anchor.line
        })
    }

    /// What is wrong with a template; one that was judged is sound.
    pub(crate) fn unsound(&self, text: &str, escape: Escape, params: &[String]) -> Option<TemplateError> {
        if self.judged.get() { None } else { Template::parse(text, escape, params).err() }
    }

    /// Notes that the template of option `name` cannot be understood.
    pub(crate) fn template(&self, at: Anchor, name: &str, error: &TemplateError, params: &[String]) {
        let braces: Vec<String> = params.iter().map(|param| format!("{{{param}}}")).collect();
        let label = match (
            error.message.starts_with("unknown name") && !error.message.contains("did you mean"),
            params.is_empty(),
        ) {
            (false, _) => String::new(),
            (true, true) => "the path has no parameters; a header is {header.x-name}".to_owned(),
            (true, false) => format!("the path has {}", braces.join(", ")),
        };
        let at = Anchor { within: Some((error.at, 1)), ..at };
        self.fault(at, format!("`{name}`: {}", error.message), label, "");
    }

    /// Records a live object (store, limiter, metric) under its identity; equal text is an unchanged object.
    /// `false` when the identity is taken by something else.
    pub(crate) fn object(&self, identity: String, config: String) -> bool {
        match self.objects.borrow_mut().insert(identity, config.clone()) {
            Some(before) => before == config,
            None => true,
        }
    }
}

/// File and line of the innermost frame that stands in a file of the script.
pub(crate) fn place(lua: &Lua) -> Place {
    place_from(lua, 0)
}

fn place_from(lua: &Lua, level: usize) -> Place {
    for level in level..64 {
        let found = lua.inspect_stack(level, |frame| {
            let source = frame.source().source?.strip_prefix('@')?.to_owned();
            Some((source, u32::try_from(frame.current_line()?).ok()?))
        });
        match found {
            Some(Some(place)) => return place,
            Some(None) => {}
            None => break,
        }
    }
    Place::default()
}

/// An anchor at the line of who called the running word, which is no function of the script's.
pub(crate) fn here(lua: &Lua, word: &str, subject: Option<&str>) -> Anchor {
    let (file, line) = place_from(lua, 1);
    Anchor { file, line, word: word.to_owned(), subject: subject.map(str::to_owned), ..Anchor::default() }
}

/// Where a function was written.
pub(crate) fn place_of(function: &Function) -> Place {
    let info = function.info();
    let file = info.source.as_deref().and_then(|source| source.strip_prefix('@')).unwrap_or_default().to_owned();
    (file, info.line_defined.and_then(|line| u32::try_from(line).ok()).unwrap_or_default())
}
