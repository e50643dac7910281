//! `parallel`, `parallel.settle`, `race`: functions that run at the same time, each in a coroutine of its own.

use std::cell::Cell;
use std::future::Future;
use std::future::poll_fn;
use std::pin::Pin;
use std::rc::Rc;
use std::task::Poll;

use mlua::Function;
use mlua::IntoLuaMulti;
use mlua::Lua;
use mlua::MultiValue;
use mlua::Table;
use mlua::Value;

use crate::proxy::Code;
use crate::proxy::Exchange;
use crate::proxy::Failure;
use crate::proxy::Run;
use crate::script::context::Context;
use crate::script::driver;
use crate::script::driver::Outcome;
use crate::script::driver::fault;
use crate::script::machine::embedded;
use crate::script::wait;
use crate::script::wait::Waiting;

/// `parallel`, `race`
pub(super) fn install(lua: &Lua, words: &Table) -> mlua::Result<()> {
    lua.set_app_data(Rc::new(Depth::default()));
    let run = wait::function(lua, "parallel", |lua, (branches, mode): (Table, String)| {
        let mode = match mode.as_str() {
            "settle" => Mode::Settle,
            "race" => Mode::Race,
            _ => Mode::All,
        };
        let work = Work::new(lua, &branches, mode)?;
        Ok(Box::pin(work.finish()) as Waiting)
    })?;
    let chunk = embedded(lua, "=[moongate]", include_str!("parallel.luau"))?;
    let made: Table = chunk.call((run, lua.globals().get::<Function>("pcall")?))?;
    let parallel: Table = made.get("parallel")?;
    parallel.set_readonly(true);
    words.set("parallel", parallel)?;
    words.set("race", made.get::<Function>("race")?)
}

/// What ends the work, and what it comes to.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Mode {
    /// All results by name; the first error ends it.
    All,
    /// Every result or error by name.
    Settle,
    /// The first to finish.
    Race,
}

/// How deep the branches that run now are nested: each level is polled from within the one above.
#[derive(Default)]
struct Depth(Cell<usize>);

struct Work {
    lua: Lua,
    depth: usize,
    nesting: Rc<Depth>,
    context: Rc<Context>,
    exchange: Option<Rc<Exchange>>,
    mode: Mode,
    branches: Vec<(Value, Branch)>,
    results: Table,
}

enum Branch {
    /// Starts when the caller has yielded: two runs never nest.
    New(Function),
    Running(Pin<Box<dyn Future<Output = Outcome>>>),
    Done,
}

impl Work {
    fn new(lua: &Lua, table: &Table, mode: Mode) -> mlua::Result<Self> {
        let mut branches = Vec::new();
        for pair in table.pairs::<Value, Function>() {
            let (name, function) = pair?;
            branches.push((name, Branch::New(function)));
        }
        if branches.len() > MOST {
            return Err(mlua::Error::runtime(format!("{} functions are more than the {MOST} at once", branches.len())));
        }
        if branches.is_empty() && mode == Mode::Race {
            return Err(mlua::Error::runtime("race: no function to run"));
        }
        let nesting = lua.app_data_ref::<Rc<Depth>>().map(|depth| Rc::clone(&depth)).unwrap_or_default();
        let depth = nesting.0.get() + 1;
        if depth > DEEPEST {
            return Err(mlua::Error::runtime(format!("parallel within parallel, more than {DEEPEST} deep")));
        }
        let context = Context::of(lua);
        let exchange = context.exchange();
        Ok(Self { lua: lua.clone(), depth, nesting, context, exchange, mode, branches, results: lua.create_table()? })
    }

    /// Drives every branch until the work is over; those that have not finished then are dropped.
    async fn finish(mut self) -> mlua::Result<MultiValue> {
        poll_fn(|cx| {
            let mut waiting = false;
            for index in 0..self.branches.len() {
                let above = self.nesting.0.replace(self.depth);
                let polled = self.poll(index, cx);
                self.nesting.0.set(above);
                let Poll::Ready(outcome) = polled else {
                    waiting |= !matches!(self.branches[index].1, Branch::Done);
                    continue;
                };
                self.branches[index].1 = Branch::Done;
                let name = self.branches[index].0.clone();
                if let Some(end) = self.note(&name, outcome).transpose() {
                    return Poll::Ready(end);
                }
            }
            if waiting { Poll::Pending } else { Poll::Ready((true, &self.results).into_lua_multi(&self.lua)) }
        })
        .await
    }

    fn poll(&mut self, index: usize, cx: &mut std::task::Context<'_>) -> Poll<Outcome> {
        let branch = &mut self.branches[index].1;
        if let Branch::New(function) = branch {
            match driver::drive(&self.context, self.exchange.clone(), function, ()) {
                Run::Done(outcome) => return Poll::Ready(outcome),
                Run::Wait(future) => *branch = Branch::Running(future),
            }
        }
        match branch {
            Branch::Running(future) => future.as_mut().poll(cx),
            _ => Poll::Pending,
        }
    }

    /// Takes in what a branch came to; `Some` when that ends the work.
    fn note(&mut self, name: &Value, outcome: Outcome) -> mlua::Result<Option<MultiValue>> {
        let mut values = match outcome {
            Ok(values) => values,
            Err(failure) => return self.failed(name, failure),
        };
        let ok = matches!(values.pop_front(), Some(Value::Boolean(true)));
        let value = values.pop_front().unwrap_or(Value::Nil);
        match self.mode {
            Mode::Race => (ok, value, name).into_lua_multi(&self.lua).map(Some),
            Mode::All if !ok => (false, value).into_lua_multi(&self.lua).map(Some),
            Mode::All => self.results.raw_set(name, value).map(|()| None),
            Mode::Settle => {
                let result = self.lua.create_table()?;
                result.raw_set("ok", ok)?;
                result.raw_set(if ok { "value" } else { "error" }, value)?;
                self.results.raw_set(name, result).map(|()| None)
            }
        }
    }

    /// A rejection, or a call without an answer: it ends the request, unless failures are what one asked to keep.
    fn failed(&mut self, name: &Value, failure: Failure) -> mlua::Result<Option<MultiValue>> {
        let ends = matches!(
            failure.code,
            Code::Rejected | Code::Custom(_) | Code::ScriptTimeout | Code::ScriptMemory | Code::ClientGone
        );
        if self.mode != Mode::Settle || ends {
            return Err(fault::raise(failure));
        }
        let result = self.lua.create_table()?;
        result.raw_set("ok", false)?;
        result.raw_set("error", described(&self.lua, &failure)?)?;
        self.results.raw_set(name, result).map(|()| None)
    }
}

/// A failure as a table: `code`, `status`, `detail`, `upstream`; it prints as one line.
pub(super) fn described(lua: &Lua, failure: &Failure) -> mlua::Result<Table> {
    let table = lua.create_table()?;
    table.raw_set("code", failure.code.as_str())?;
    table.raw_set("status", failure.status)?;
    table.raw_set("detail", failure.detail.as_str())?;
    table.raw_set("upstream", failure.upstream.as_deref())?;
    let meta = lua.create_table()?;
    let line = format!("{}: {}", failure.code.as_str(), failure.detail);
    meta.raw_set("__tostring", lua.create_function(move |_, _: Value| Ok(line.clone()))?)?;
    table.set_metatable(Some(meta))?;
    Ok(table)
}

/// Levels of `parallel` within `parallel`: each needs room on the worker's own stack.
const DEEPEST: usize = 16;
/// Functions at once.
const MOST: usize = 256;

#[cfg(test)]
mod tests;
