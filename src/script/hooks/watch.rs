//! Steps under the eyes of somebody: of a test, which sees every request, or of a trace, which sees the one it is for.

use std::cell::RefCell;
use std::rc::Rc;

use mlua::Lua;
use mlua::Table;
use mlua::Value;

use super::picture::Picture;
use crate::proxy::Exchange;
use crate::proxy::watch::Outcome;
use crate::proxy::watch::Trail;
use crate::proxy::watch::Trod;
use crate::proxy::watch::key;
use crate::script::context::Context;
use crate::script::handle;
use crate::script::pipeline::Step;

/// The functions that `run.luau` notes a step with: `enter(req)`, `leave(req, at, answered)`, `skip(req)`.
pub(super) fn watcher(lua: &Lua, step: &Step) -> mlua::Result<Table> {
    let table = lua.create_table()?;
    let pictures: Rc<RefCell<Vec<(usize, Picture)>>> = Rc::default();
    let (own, taken) = (step.clone(), Rc::clone(&pictures));
    table.raw_set(
        "enter",
        lua.create_function(move |lua, req: Value| {
            let Some(exchange) = handle::exchange(lua, &req)? else { return Ok(None) };
            let at = noted(lua, &exchange, |trail| trail.note(begun(lua, &exchange, &own, Outcome::Refused))).flatten();
            if let Some(at) = at {
                let mut taken = taken.borrow_mut();
                // Of a step that refused, nobody takes it back.
                if taken.len() >= MOST {
                    taken.remove(0);
                }
                taken.push((at, Picture::of(lua, &exchange)));
            }
            Ok(at)
        })?,
    )?;
    table.raw_set(
        "leave",
        lua.create_function(move |lua, (req, at, answered): (Value, Option<usize>, Option<bool>)| {
            let (Some(exchange), Some(at)) = (handle::exchange(lua, &req)?, at) else { return Ok(()) };
            let own = key(&exchange);
            let found = pictures.borrow().iter().position(|(noted, picture)| *noted == at && picture.exchange == own);
            let mut before = found.map(|found| pictures.borrow_mut().swap_remove(found).1);
            if let (Some(before), Some(watch)) = (&mut before, &exchange.site.watch) {
                before.hide(watch);
            }
            let changes = before.map(|before| before.changes(&Picture::of(lua, &exchange))).unwrap_or_default();
            let now = Context::of(lua).clock().now();
            noted(lua, &exchange, |trail| {
                trail.change(at, &exchange, |trod| {
                    trod.changes.extend(changes);
                    trod.took = now.since(trod.began);
                    if let Some(answered) = answered {
                        trod.outcome = if answered { Outcome::Answered } else { Outcome::Passed };
                    }
                });
            });
            Ok(())
        })?,
    )?;
    let own = step.clone();
    table.raw_set(
        "skip",
        lua.create_function(move |lua, req: Value| {
            if let Some(exchange) = handle::exchange(lua, &req)? {
                noted(lua, &exchange, |trail| trail.note(begun(lua, &exchange, &own, Outcome::Skipped)));
            }
            Ok(())
        })?,
    )?;
    Ok(table)
}

/// Notes something where somebody reads it.
fn noted<T>(lua: &Lua, exchange: &Exchange, note: impl FnOnce(&Trail) -> T) -> Option<T> {
    if let Some(watch) = &exchange.site.watch {
        return Some(note(&watch.trail));
    }
    Context::of(lua).offline().map(|offline| note(&offline.trail))
}

fn begun(lua: &Lua, exchange: &Rc<Exchange>, step: &Step, outcome: Outcome) -> Trod {
    Trod::new(exchange, (&step.word, step.level, &step.place), outcome, Context::of(lua).clock().now())
}

/// Requests that may be at one step at a time.
const MOST: usize = 256;
