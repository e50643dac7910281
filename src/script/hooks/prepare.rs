//! Pipelines made ready: their functions handed to Lua once, what exists noted, failures' answers sorted.

use std::cell::OnceCell;
use std::sync::Arc;

use mlua::Function;
use mlua::IntoLua;
use mlua::Lua;
use mlua::Table;
use mlua::Value;

use crate::plan::Plan;
use crate::proxy::Exchange;
use crate::proxy::Wants;
use crate::script::context::Context;
use crate::script::handle;
use crate::script::hooks::outward;
use crate::script::hooks::rest;
use crate::script::hooks::watch::watcher;
use crate::script::machine::embedded;
use crate::script::pipeline::Level;
use crate::script::pipeline::Pipeline;
use crate::script::pipeline::Socket;
use crate::script::pipeline::Step;

/// A pipeline, ready to run.
pub(super) struct Prepared {
    /// All steps from a place on: `run(req, slot, at)`.
    run: Option<Function>,
    /// `on_response` of every level: `outward(req, slot, at, res)`.
    pub(super) outward: Option<Function>,
    /// The levels that have one, by their place in `levels`.
    pub(super) responders: Vec<usize>,
    pub(super) steps: Vec<Step>,
    pub(super) when: Vec<Function>,
    /// `when` of the cross-origin policy in force.
    pub(super) cors: Option<Function>,
    pub(super) target: Option<Function>,
    pub(super) levels: Vec<Level>,
    /// What turns failures into answers, in the order they are asked.
    pub(super) answers: Vec<Turn>,
    pub(super) wants: Wants,
    pub(super) socket: Option<Socket>,
    /// The plan's index plus one, 0 for requests without a route.
    index: usize,
    /// The same steps for a request that somebody watches; made when the first one comes.
    watched: OnceCell<Watched>,
}

/// Steps that say what comes of them, and what runs them.
pub(super) struct Watched {
    run: Option<Function>,
    steps: Vec<Step>,
}

impl Prepared {
    /// What runs the steps of `exchange`.
    pub(super) fn run(&self, maker: &Maker, exchange: &Exchange) -> mlua::Result<Option<&Function>> {
        match exchange.site.watch {
            None => Ok(self.run.as_ref()),
            Some(_) => Ok(self.watched(maker)?.run.as_ref()),
        }
    }

    /// The steps of `exchange`.
    pub(super) fn steps(&self, maker: &Maker, exchange: &Exchange) -> mlua::Result<&[Step]> {
        match exchange.site.watch {
            None => Ok(&self.steps),
            Some(_) => Ok(&self.watched(maker)?.steps),
        }
    }

    fn watched(&self, maker: &Maker) -> mlua::Result<&Watched> {
        if self.watched.get().is_none() {
            let mut steps = self.steps.clone();
            steps.iter_mut().try_for_each(|step| maker.watch(step))?;
            let run = if steps.is_empty() { None } else { Some(maker.run(self.index, &steps)?) };
            let _ = self.watched.set(Watched { run, steps });
        }
        self.watched.get().ok_or_else(|| mlua::Error::runtime("the steps cannot be watched"))
    }
}

/// What turns a failure into an answer.
pub(super) struct Turn {
    /// A code, a glob that ends in `*`, or `*`.
    pub(super) code: String,
    /// The level it stands at, inner first.
    pub(super) level: usize,
    /// A function, or an answer whose texts are templates.
    pub(super) answer: Value,
}

impl Turn {
    /// Whether it answers failures of this code.
    pub(super) fn takes(&self, code: &str) -> bool {
        match self.code.strip_suffix('*') {
            Some(prefix) => code.starts_with(prefix),
            None => self.code == code,
        }
    }

    /// How well it knows what it answers: an exact code best, then the longer prefix.
    fn rank(&self) -> usize {
        match self.code.strip_suffix('*') {
            Some(prefix) => prefix.len(),
            None => usize::MAX,
        }
    }
}

/// Makes pipelines in one machine.
pub(super) struct Maker {
    lua: Lua,
    pipeline: Function,
    straight: Function,
    outward: Function,
    watched: Function,
    /// Every request is watched: that of a test.
    all: bool,
}

impl Maker {
    pub(super) fn new(lua: &Lua) -> mlua::Result<Self> {
        let core = lua.create_table()?;
        core.raw_set("calm", handle::calm(lua)?)?;
        core.raw_set("follow", rest::follow(lua)?)?;
        core.raw_set("dry", rest::dry(lua)?)?;
        core.raw_set("adopt", lua.create_function(outward::adopt)?)?;
        let made: Table = embedded(lua, "=[moongate]", include_str!("run.luau"))?.call(core)?;
        Ok(Self {
            lua: lua.clone(),
            pipeline: made.get("pipeline")?,
            straight: made.get("straight")?,
            outward: made.get("outward")?,
            watched: made.get("watched")?,
            all: Context::of(lua).offline().is_some(),
        })
    }

    /// `index` is the plan's plus one, 0 for requests without a route; `listens`: some function hears of failures.
    pub(super) fn prepare(&self, index: usize, pipeline: Pipeline, listens: bool) -> mlua::Result<Prepared> {
        let Pipeline { mut steps, when, cors, target, levels, socket } = pipeline;
        if self.all {
            steps.iter_mut().try_for_each(|step| self.watch(step))?;
        }
        let run = if steps.is_empty() { None } else { Some(self.run(index, &steps)?) };
        let responders: Vec<_> = (0..levels.len()).filter(|&level| levels[level].on_response.is_some()).collect();
        let calls: Vec<_> = levels.iter().filter_map(|level| level.on_response.clone()).collect();
        let outward = if calls.is_empty() { None } else { Some(self.outward.call(calls)?) };
        let answers = turns(&levels);
        let wants = Wants {
            steps: run.is_some(),
            on_response: outward.is_some(),
            on_error: !answers.is_empty() || listens,
            on_log: levels.iter().any(|level| level.on_log.is_some()),
        };
        let watched = OnceCell::new();
        Ok(Prepared {
            run,
            outward,
            responders,
            steps,
            when,
            cors,
            target,
            levels,
            answers,
            wants,
            socket,
            index,
            watched,
        })
    }

    /// Puts around a step what notes how requests fare with it.
    fn watch(&self, step: &mut Step) -> mlua::Result<()> {
        let notes = watcher(&self.lua, step)?;
        (step.call, step.when) = self.watched.call((&step.call, step.wraps, step.when.as_ref(), notes))?;
        Ok(())
    }

    fn run(&self, index: usize, steps: &[Step]) -> mlua::Result<Function> {
        let calls: Vec<_> = steps.iter().map(|step| step.call.clone()).collect();
        let whens: Vec<_> = steps.iter().map(|step| self.or_false(step.when.as_ref())).collect::<mlua::Result<_>>()?;
        if steps.iter().all(|step| !step.wraps && step.enforce) {
            return self.straight.call((calls, whens));
        }
        let wraps: Vec<_> = steps.iter().map(|step| step.wraps).collect();
        let dries: Vec<_> = steps.iter().map(|step| !step.enforce).collect();
        self.pipeline.call((index, calls, whens, wraps, dries))
    }

    fn or_false(&self, function: Option<&Function>) -> mlua::Result<Value> {
        function.map_or(Ok(Value::Boolean(false)), |function| function.into_lua(&self.lua))
    }
}

/// The most specific code first, then the inner level; `on_error` stands behind `*` of its level.
fn turns(levels: &[Level]) -> Vec<Turn> {
    let mut turns = Vec::new();
    for (level, functions) in levels.iter().enumerate() {
        for (code, answer) in &functions.errors {
            turns.push(Turn { code: code.clone(), level, answer: answer.clone() });
        }
        if let Some(on_error) = &functions.on_error {
            turns.push(Turn { code: "*".to_owned(), level, answer: Value::Function(on_error.clone()) });
        }
    }
    turns.sort_by(|a, b| b.rank().cmp(&a.rank()).then(a.level.cmp(&b.level)));
    turns
}

/// `req.route` of every route, by the plan's index plus one: each is made when the first function asks for it.
pub(super) fn routes(lua: &Lua, plan: &Arc<Plan>) -> mlua::Result<Table> {
    let plan = Arc::clone(plan);
    let make = move |lua: &Lua, (all, index): (Table, usize)| {
        let Some(route) = plan.routes.get(index.wrapping_sub(1)) else { return Ok(Value::Nil) };
        let table = lua.create_table()?;
        table.raw_set("name", route.name.as_str())?;
        table.raw_set("pattern", route.pattern.as_str())?;
        table.raw_set("file", route.place.0.as_str())?;
        table.raw_set("line", route.place.1)?;
        table.set_readonly(true);
        all.raw_set(index, &table)?;
        Ok(Value::Table(table))
    };
    let (all, meta) = (lua.create_table()?, lua.create_table()?);
    meta.raw_set("__index", lua.create_function(make)?)?;
    all.set_metatable(Some(meta))?;
    Ok(all)
}
