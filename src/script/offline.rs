//! What a machine notes where nothing is real but the script: the steps that requests meet, and who may sign tokens.

mod picture;
mod token;

use std::cell::Cell;
use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use mlua::Function;
use mlua::Lua;
use mlua::Table;
use mlua::Value;

use crate::clock::Moment;
use crate::plan::Place;
use crate::primitive::digest;
use crate::primitive::digest::Hash;
use crate::proxy::Exchange;
use crate::script::context::Context;
use crate::script::handle;
use crate::script::pipeline::Step;
use picture::Picture;
pub(crate) use token::Recipe;
pub(crate) use token::public;

/// The notes of one gateway without sockets; its machines share them.
#[derive(Default)]
pub struct Offline {
    /// Where chance begins: the same for every run.
    pub seed: u64,
    drawn: Cell<u64>,
    trail: RefCell<Vec<Trod>>,
    /// Requests that a test sends as somebody: they pass the steps that ask who is calling.
    known: RefCell<Vec<usize>>,
    recipes: RefCell<Vec<Recipe>>,
    /// The files that ran, whose lines are counted.
    chunks: RefCell<Vec<(String, Function)>>,
}

/// A step that a request met.
#[derive(Clone, Debug)]
pub struct Trod {
    /// The exchange, by address: it is looked for while it lives only.
    exchange: usize,
    /// The policy's word, or `function`.
    pub word: String,
    /// `gateway`, `group` or `route`.
    pub level: &'static str,
    /// Where it stands.
    pub place: Place,
    /// What came of it.
    pub outcome: Outcome,
    /// What it changed of the request, one line each.
    pub changes: Vec<String>,
    /// When it was met.
    pub began: Moment,
    /// How long it took, on the clock of the test.
    pub took: Duration,
}

/// What came of a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It ended the request, or is still at it.
    Refused,
    /// The request went on.
    Passed,
    /// It made the answer.
    Answered,
    /// Its `when` did not hold.
    Skipped,
}

impl Outcome {
    /// Its word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Refused => "refused",
            Self::Passed => "passed",
            Self::Answered => "answered",
            Self::Skipped => "skipped",
        }
    }
}

impl Offline {
    /// Chance begins at `seed`.
    pub fn new(seed: u64) -> Self {
        Self { seed, ..Self::default() }
    }

    /// Takes the steps that `exchange` met, in the order it met them.
    pub fn take(&self, exchange: &Rc<Exchange>) -> Vec<Trod> {
        let key = key(exchange);
        self.known.borrow_mut().retain(|known| *known != key);
        let mut trail = self.trail.borrow_mut();
        let (own, others) = std::mem::take(&mut *trail).into_iter().partition(|trod| trod.exchange == key);
        *trail = others;
        own
    }

    /// `exchange` passes the steps that ask who is calling.
    pub fn let_pass(&self, exchange: &Rc<Exchange>) {
        self.known.borrow_mut().push(key(exchange));
    }

    fn passes(&self, exchange: &Rc<Exchange>) -> bool {
        !self.known.borrow().is_empty() && self.known.borrow().contains(&key(exchange))
    }

    /// Notes who signs the tokens of a `jwt`.
    pub(crate) fn recipe(&self, recipe: Recipe) {
        self.recipes.borrow_mut().push(recipe);
    }

    /// A token that the gateway takes.
    pub fn token(&self, claims: serde_json::Map<String, serde_json::Value>, now: Duration) -> Result<String, String> {
        token::sign(&self.recipes.borrow(), claims, now)
    }

    /// Notes a file that is about to run.
    pub(crate) fn ran(&self, name: &str, chunk: &Function) {
        self.chunks.borrow_mut().push((name.to_owned(), chunk.clone()));
    }

    /// How often each line of each file ran; lines without code are not told of.
    pub fn lines(&self, mut tell: impl FnMut(&str, u32, u64)) {
        for (name, chunk) in &*self.chunks.borrow() {
            chunk.coverage(|info| {
                for (line, hits) in info.hits.iter().enumerate() {
                    if let (Ok(hits), Ok(line)) = (u64::try_from(*hits), u32::try_from(line)) {
                        tell(name, line, hits);
                    }
                }
            });
        }
    }

    /// The machines are closed: nothing of them is held any more.
    pub fn close(&self) {
        self.chunks.borrow_mut().clear();
    }

    /// `count` bytes that look like chance and are the same in every run.
    pub(crate) fn random(&self, count: usize) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(count + 32);
        while bytes.len() < count {
            self.drawn.set(self.drawn.get() + 1);
            bytes.extend(Hash::Sha256.digest(format!("{} {}", self.seed, self.drawn.get()).as_bytes()));
        }
        bytes.truncate(count);
        bytes
    }

    fn note(&self, trod: Trod) -> usize {
        let mut trail = self.trail.borrow_mut();
        trail.push(trod);
        trail.len() - 1
    }

    /// The note at `at`, unless it was taken meanwhile.
    fn change(&self, at: usize, exchange: &Rc<Exchange>, change: impl FnOnce(&mut Trod)) {
        if let Some(trod) = self.trail.borrow_mut().get_mut(at).filter(|trod| trod.exchange == key(exchange)) {
            change(trod);
        }
    }
}

/// Random bytes for a script; `None` when the system has none, or they are more than anybody needs.
pub(crate) fn random(context: &Context, count: usize) -> Option<Vec<u8>> {
    match context.offline().filter(|_| count <= digest::MOST_RANDOM) {
        Some(offline) => Some(offline.random(count)),
        None => digest::random(count),
    }
}

/// The request a twin was made of is the one that met the steps.
fn key(exchange: &Rc<Exchange>) -> usize {
    let mut first = exchange;
    while let Some(twin) = &first.twin_of {
        first = twin;
    }
    Rc::as_ptr(first).addr()
}

/// The functions that `run.luau` notes the steps of a pipeline with: `enter(req)`, `leave(req, at, answered)`,
/// `skip(req)`.
pub(crate) fn watcher(lua: &Lua, offline: &Rc<Offline>, step: &Step) -> mlua::Result<Table> {
    let table = lua.create_table()?;
    let pictures: Rc<RefCell<Vec<(usize, Picture)>>> = Rc::default();
    let (notes, own, taken) = (Rc::clone(offline), step.clone(), Rc::clone(&pictures));
    table.raw_set(
        "enter",
        lua.create_function(move |lua, req: Value| {
            let Some(exchange) = handle::exchange(lua, &req)? else { return Ok(None) };
            let at = notes.note(begun(lua, &exchange, &own, Outcome::Refused));
            taken.borrow_mut().push((at, Picture::of(lua, &exchange)));
            Ok(Some(at))
        })?,
    )?;
    let notes = Rc::clone(offline);
    table.raw_set(
        "leave",
        lua.create_function(move |lua, (req, at, answered): (Value, Option<usize>, Option<bool>)| {
            let (Some(exchange), Some(at)) = (handle::exchange(lua, &req)?, at) else { return Ok(()) };
            let found = pictures.borrow().iter().position(|(noted, _)| *noted == at);
            let before = found.map(|found| pictures.borrow_mut().swap_remove(found).1);
            let changes = before.map(|before| before.changes(&Picture::of(lua, &exchange))).unwrap_or_default();
            let now = Context::of(lua).clock().now();
            notes.change(at, &exchange, |trod| {
                trod.changes.extend(changes);
                trod.took = now.since(trod.began);
                if let Some(answered) = answered {
                    trod.outcome = if answered { Outcome::Answered } else { Outcome::Passed };
                }
            });
            Ok(())
        })?,
    )?;
    let (notes, own) = (Rc::clone(offline), step.clone());
    table.raw_set(
        "skip",
        lua.create_function(move |lua, req: Value| {
            if let Some(exchange) = handle::exchange(lua, &req)? {
                notes.note(begun(lua, &exchange, &own, Outcome::Skipped));
            }
            Ok(())
        })?,
    )?;
    Ok(table)
}

fn begun(lua: &Lua, exchange: &Rc<Exchange>, step: &Step, outcome: Outcome) -> Trod {
    Trod {
        exchange: key(exchange),
        word: step.word.clone(),
        level: step.level,
        place: step.place.clone(),
        outcome,
        changes: Vec::new(),
        began: Context::of(lua).clock().now(),
        took: Duration::ZERO,
    }
}

/// The policies that ask who is calling.
const IDENTITY: &[&str] = &["jwt", "api_key", "basic_auth", "hmac_auth", "mtls", "introspect", "forward_auth"];

/// Registry name of what tells a service who the caller is.
const FORWARDING: &str = "moongate.offline.forwarding";

/// Keeps what the standard library does once it knows the caller, for requests that come as somebody.
pub(crate) fn shelved(lua: &Lua, core: &Table) -> mlua::Result<()> {
    if Context::of(lua).offline().is_none() {
        return Ok(());
    }
    lua.set_named_registry_value(FORWARDING, core.get::<Function>("forwarding")?)
}

/// `call` of the policy `word`, which lets a test's requests pass that come as somebody.
pub(crate) fn passing(lua: &Lua, word: &str, call: Function, options: &Table) -> mlua::Result<Function> {
    let Some(offline) = Context::of(lua).offline().cloned().filter(|_| IDENTITY.contains(&word)) else {
        return Ok(call);
    };
    let passes = lua.create_function(move |lua, req: Value| {
        Ok(handle::exchange(lua, &req)?.is_some_and(|exchange| offline.passes(&exchange)))
    })?;
    let forwarding: Function = lua.named_registry_value(FORWARDING)?;
    let nothing = lua.create_function(|_, _: Value| Ok(()))?;
    let forward: Option<Table> = options.raw_get::<Value>("forward")?.as_table().cloned();
    let told: Function = forwarding.call((forward, nothing))?;
    let chunk = lua.load(
        "local passes, told, call = ...\nreturn function(req) if passes(req) then return told(req) end return call(req) end",
    );
    chunk.set_name("=[offline]").call((passes, told, call))
}
