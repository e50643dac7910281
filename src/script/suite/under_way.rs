//! `gw:start`: a request under way, whose answer the test asks for when it wants it.

use std::cell::RefCell;
use std::rc::Rc;

use mlua::Table;
use mlua::UserData;
use mlua::UserDataMethods;

use super::Asked;
use super::Ticket;
use super::answer;
use super::gw::Last;
use super::gw::Seat;

/// One request.
pub(super) struct UnderWay {
    pub(super) seat: Seat,
    pub(super) last: Last,
    pub(super) asked: Asked,
    pub(super) ticket: Ticket,
    /// The answer, once it was asked for.
    pub(super) answer: Rc<RefCell<Option<Table>>>,
}

impl UserData for UnderWay {
    fn add_methods<M: UserDataMethods<Self>>(methods: &mut M) {
        methods.add_method("answer", |lua, started, ()| {
            if let Some(table) = &*started.answer.borrow() {
                return Ok(table.clone());
            }
            let answered = started.seat.stage()?.finish(started.ticket).map_err(mlua::Error::runtime)?;
            let table = answer::table(lua, &answered)?;
            started.last.note(started.asked.clone(), answered);
            *started.answer.borrow_mut() = Some(table.clone());
            Ok(table)
        });
        methods.add_method("done", |_, started, ()| {
            Ok(started.answer.borrow().is_some() || started.seat.stage()?.is_done(started.ticket))
        });
    }
}
