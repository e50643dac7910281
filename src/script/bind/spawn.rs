//! `spawn(fn)`: runs after the answer, beside everything else; bounded, and drained when the gateway stops.

use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

use mlua::Function;
use mlua::Lua;
use mlua::Table;

use crate::clock::Alarms;
use crate::proxy::Failure;
use crate::script::bind::declared::running;
use crate::script::bind::function;
use crate::script::context::Context;
use crate::script::driver;
use crate::telemetry::log;

/// `spawn`
pub(super) fn install(lua: &Lua, words: &Table) -> mlua::Result<()> {
    lua.set_app_data(Rc::new(Spawned::default()));
    words.set("spawn", function(lua, "spawn", |lua, work: Function| spawn(lua, "spawn", None, work))?)
}

/// How many functions of one machine are on their way.
#[derive(Default)]
struct Spawned(Cell<usize>);

/// One of them, for as long as it lives.
struct Seat(Rc<Spawned>);

impl Drop for Seat {
    fn drop(&mut self) {
        self.0.0.set(self.0.0.get() - 1);
    }
}

/// Runs `work` once the request is over, or after `delay`. It has no request any more: its `req` says so.
pub(super) fn spawn(lua: &Lua, word: &'static str, delay: Option<Duration>, work: Function) -> mlua::Result<()> {
    let context = running(lua, &format!("`{word}`"))?;
    let spawned = lua.app_data_ref::<Rc<Spawned>>().map(|spawned| Rc::clone(&spawned)).unwrap_or_default();
    if spawned.0.get() >= MOST {
        return Err(mlua::Error::runtime(format!("{word}: {MOST} functions are waiting or running already")));
    }
    spawned.0.set(spawned.0.get() + 1);
    let seat = Seat(spawned);
    // On a socket there is no answer to wait for.
    let request = context.exchange().filter(|exchange| !exchange.upgraded.get());
    let request = request.map(|exchange| Rc::downgrade(&exchange));
    let machine = lua.clone();
    context.worker()?.spawn(async move {
        let _seat = seat;
        let context = Context::of(&machine);
        match (delay, request) {
            (Some(delay), _) => context.clock().sleep(delay).await,
            (None, Some(request)) => {
                while request.strong_count() > 0 {
                    context.clock().sleep(Alarms::TICK).await;
                }
            }
            (None, None) => {}
        }
        if let Err(failure) = driver::drive(&context, None, &work, ()).get().await {
            report(&context, word, &failure);
        }
    });
    Ok(())
}

/// A function that runs for no request failed: nobody is answered, so the log must say it.
pub(super) fn report(context: &Context, word: &str, failure: &Failure) {
    if context.worker().is_ok_and(|worker| !worker.may_warn()) {
        return;
    }
    let place = failure.place.as_ref().map(|(file, line)| format!("{file}:{line}")).unwrap_or_default();
    let cause = if failure.cause.is_empty() { &failure.detail } else { &failure.cause };
    let code = failure.code.as_str();
    log::error("a function failed", &[("word", &word), ("at", &place), ("code", &code), ("cause", cause)]);
}

/// Functions of one machine that wait or run beside its requests.
const MOST: usize = 1000;

#[cfg(test)]
mod tests;
