//! The hooks of a loaded script: its pipelines, run for the data path.

mod after;
mod answer;
mod any;
mod fail;
mod judge;
mod outward;
mod picture;
mod prepare;
mod rest;
pub(in crate::script) mod socket;
mod steps;
mod stream;
mod tape;
mod watch;

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::rc::Weak;
use std::sync::Arc;

use mlua::Function;
use mlua::Lua;
use mlua::Table;
use mlua::Value;

use crate::http::Response;
use crate::plan::Plan;
use crate::proxy::Exchange;
use crate::proxy::Failure;
use crate::proxy::Hooks;
use crate::proxy::Run;
use crate::proxy::Verdict;
use crate::proxy::Wants;
use crate::proxy::respond;
use crate::proxy::websocket::Line;
use crate::proxy::websocket::Talk;
use crate::script::bind::tasks;
use crate::script::bind::tasks::Tasks;
use crate::script::context::Context;
use crate::script::driver;
use crate::script::handle;
use crate::script::handle::Slots;
use crate::script::machine;
use crate::script::pipeline::Access;
use crate::script::pipeline::Pipelines;
pub(crate) use any::any_of;
pub(crate) use judge::judge;
use prepare::Maker;
use prepare::Prepared;

/// The hooks of one machine; in the control thread's also what runs there without a request, for as long as they live.
struct Script(Rc<Inner>, #[allow(dead_code, reason = "dropped with the hooks")] Option<Tasks>);

/// What the futures of requests that wait hold on to.
struct Inner {
    lua: Lua,
    context: Rc<Context>,
    on_request: Option<Function>,
    /// For requests without a route.
    bare: Prepared,
    /// By the plan's indices.
    routes: Vec<Prepared>,
    access: Access,
    hashers: BTreeMap<String, Function>,
    /// Where the machine keeps requests.
    seats: Rc<Slots>,
    /// Tables that say which step runs, to use again.
    slots: RefCell<Vec<Table>>,
    /// Makes what is needed only now and then.
    maker: Maker,
}

/// The hooks of `pipelines`, whose machine is loaded and sealed.
pub(crate) async fn hooks(
    lua: &Lua,
    context: &Rc<Context>,
    pipelines: Pipelines,
    plan: &Arc<Plan>,
    pause: impl AsyncFn(),
) -> mlua::Result<Rc<dyn Hooks>> {
    let _unbound = machine::Unbound::new(lua);
    context.set_limits(&plan.gateway.limits);
    handle::set_routes(lua, prepare::routes(lua, plan)?)?;
    if pipelines.routes.iter().any(|pipeline| pipeline.socket.is_some()) {
        socket::prepare(lua)?;
    }
    let maker = Maker::new(lua)?;
    let listens = plan.timers.iter().any(|(word, _, _)| word == "on");
    let bare = maker.prepare(0, pipelines.bare, listens)?;
    let mut routes = Vec::with_capacity(pipelines.routes.len());
    for (index, pipeline) in pipelines.routes.into_iter().enumerate() {
        routes.push(maker.prepare(index + 1, pipeline, listens)?);
        pause().await;
    }
    let inner = Rc::new(Inner {
        lua: lua.clone(),
        context: Rc::clone(context),
        on_request: pipelines.on_request,
        bare,
        routes,
        access: pipelines.access,
        hashers: pipelines.hashers,
        seats: Slots::of(lua),
        slots: RefCell::default(),
        maker,
    });
    lua.set_app_data(Rc::downgrade(&inner));
    let tasks = context.control().then(|| tasks::start(lua, &pipelines.timers)).transpose()?;
    Ok(Rc::new(Script(inner, tasks)))
}

impl Inner {
    /// The hooks of the machine that `lua` belongs to.
    fn of(lua: &Lua) -> mlua::Result<Rc<Self>> {
        let hooks = lua.app_data_ref::<Weak<Self>>().and_then(|hooks| hooks.upgrade());
        hooks.ok_or_else(|| mlua::Error::runtime("this needs a running gateway"))
    }

    /// The pipeline of a route, by the plan's index.
    fn pipeline(&self, route: Option<usize>) -> &Prepared {
        route.and_then(|route| self.routes.get(route)).unwrap_or(&self.bare)
    }

    /// `req`
    fn request(&self, exchange: &Rc<Exchange>) -> Value {
        Value::LightUserData(self.seats.seat(exchange))
    }

    /// A table that says which step runs.
    fn slot(&self) -> mlua::Result<Table> {
        match self.slots.borrow_mut().pop() {
            Some(slot) => Ok(slot),
            None => self.lua.create_table_with_capacity(2, 0),
        }
    }

    fn give(&self, slot: Table) {
        let mut slots = self.slots.borrow_mut();
        if slots.len() < 64 {
            slots.push(slot);
        }
    }
}

/// A result that is shaped further, whether it is at hand or must be waited for.
fn then<T: 'static, U: 'static>(run: Run<T>, shape: impl FnOnce(T) -> U + 'static) -> Run<U> {
    match run {
        Run::Done(value) => Run::Done(shape(value)),
        Run::Wait(future) => Run::Wait(Box::pin(async move { shape(future.await) })),
    }
}

impl Hooks for Script {
    fn wants_request(&self) -> bool {
        self.0.on_request.is_some()
    }

    fn wants(&self, route: Option<usize>) -> Wants {
        self.0.pipeline(route).wants
    }

    fn on_request(&self, exchange: &Rc<Exchange>) -> Run<Verdict> {
        self.0.on_request(exchange)
    }

    fn when(&self, exchange: &Rc<Exchange>, route: usize) -> Result<bool, Failure> {
        let req = self.0.request(exchange);
        for when in &self.0.pipeline(Some(route)).when {
            let outcome = driver::call(&self.0.context, Some(Rc::clone(exchange)), "`when`", when, &req)?;
            if !truth(outcome.front()) {
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn cors(&self, exchange: &Rc<Exchange>) -> Result<bool, Failure> {
        let Some(when) = &self.0.pipeline(exchange.route.get()).cors else { return Ok(true) };
        let req = self.0.request(exchange);
        let outcome = driver::call(&self.0.context, Some(Rc::clone(exchange)), "`when`", when, &req)?;
        Ok(truth(outcome.front()))
    }

    fn steps(&self, exchange: &Rc<Exchange>) -> Run<Verdict> {
        self.0.steps(exchange, exchange.route.get(), 1)
    }

    fn target(&self, exchange: &Rc<Exchange>) -> Run<Result<String, Failure>> {
        self.0.target(exchange)
    }

    fn hash_by(&self, exchange: &Rc<Exchange>, upstream: &str) -> Result<Option<String>, Failure> {
        let Some(function) = self.0.hashers.get(upstream) else { return Ok(None) };
        let req = self.0.request(exchange);
        let outcome = driver::call(&self.0.context, Some(Rc::clone(exchange)), "`hash_by`", function, &req)?;
        Ok(outcome.front().and_then(after::as_text))
    }

    fn on_response(&self, exchange: &Rc<Exchange>, response: Response) -> Run<Response> {
        self.0.on_response(exchange, response)
    }

    fn on_failure(&self, exchange: &Rc<Exchange>, failure: Failure) -> Run<Result<Response, Failure>> {
        self.0.on_failure(exchange, failure, 0)
    }

    fn on_log(&self, exchange: &Rc<Exchange>) {
        self.0.on_log(exchange);
    }

    fn access(&self, exchange: &Rc<Exchange>) -> Option<Vec<(String, serde_json::Value)>> {
        self.0.access(exchange)
    }

    fn talk(&self, exchange: &Rc<Exchange>, line: &Rc<Line>) -> Option<Rc<dyn Talk>> {
        match self.0.talk(exchange, line) {
            Ok(talk) => Some(talk),
            Err(error) => {
                respond::report(exchange, &driver::fault::failure(&self.0.context, error));
                None
            }
        }
    }

    fn worn(&self) -> bool {
        machine::is_worn(&self.0.lua)
    }

    fn lookup(&self, exchange: &Rc<Exchange>, name: &[String]) -> Option<String> {
        after::lookup(&self.0.lua, exchange, name)
    }
}

/// Lua's idea of truth.
fn truth(value: Option<&Value>) -> bool {
    !matches!(value, None | Some(Value::Nil | Value::Boolean(false)))
}

#[cfg(test)]
mod tests;
