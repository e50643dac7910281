//! What a machine notes where nothing is real but the script: the steps that requests meet, and who may sign tokens.

mod token;

use std::cell::Cell;
use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use mlua::Function;
use mlua::Lua;
use mlua::Table;
use mlua::Value;

use crate::primitive::digest;
use crate::primitive::digest::Hash;
use crate::proxy::Exchange;
use crate::proxy::watch::Trail;
use crate::proxy::watch::Trod;
use crate::proxy::watch::key;
use crate::script::context::Context;
use crate::script::handle;
use crate::script::machine::embedded;
use crate::script::words::roles;
pub(crate) use token::Recipe;
pub(crate) use token::public;

/// The notes of one gateway without sockets; its machines share them.
#[derive(Default)]
pub struct Offline {
    /// Where chance begins: the same for every run.
    pub seed: u64,
    drawn: Cell<u64>,
    pub(crate) trail: Trail,
    /// Requests that a test sends as somebody: they pass the steps that ask who is calling.
    known: RefCell<Vec<usize>>,
    recipes: RefCell<Vec<Recipe>>,
    /// The files that ran, whose lines are counted.
    chunks: RefCell<Vec<(String, Function)>>,
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
        self.trail.take(exchange)
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
}

/// Random bytes for a script; `None` when the system has none, or they are more than anybody needs.
pub(crate) fn random(context: &Context, count: usize) -> Option<Vec<u8>> {
    match context.offline().filter(|_| count <= digest::MOST_RANDOM) {
        Some(offline) => Some(offline.random(count)),
        None => digest::random(count),
    }
}

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
    let Some(offline) = Context::of(lua).offline().cloned().filter(|_| roles::authenticates(word)) else {
        return Ok(call);
    };
    let passes = lua.create_function(move |lua, req: Value| {
        Ok(handle::exchange(lua, &req)?.is_some_and(|exchange| offline.passes(&exchange)))
    })?;
    let forwarding: Function = lua.named_registry_value(FORWARDING)?;
    let nothing = lua.create_function(|_, _: Value| Ok(()))?;
    let forward: Option<Table> = options.raw_get::<Value>("forward")?.as_table().cloned();
    let told: Function = forwarding.call((forward, nothing))?;
    let chunk = embedded(
        lua,
        "=[offline]",
        "local passes, told, call = ...\nreturn function(req) if passes(req) then return told(req) end return call(req) end",
    )?;
    chunk.call((passes, told, call))
}
