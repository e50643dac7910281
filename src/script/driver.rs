//! Drives one coroutine to its result: at once when it never waits, else as a future.

use std::cell::RefCell;
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::task::Poll;

use mlua::Function;
use mlua::IntoLuaMulti;
use mlua::LightUserData;
use mlua::MultiValue;
use mlua::Thread;
use mlua::Value;

use crate::proxy::Code;
use crate::proxy::Exchange;
use crate::proxy::Failure;
use crate::proxy::Run;
use crate::script::context::Context;
use crate::script::wait::Waiting;

pub mod fault;

/// What a function came to: its results, or how it ended the request.
pub type Outcome = Result<MultiValue, Failure>;

/// Calls `function` in a coroutine, for `exchange` if there is one. It may wait; dropping the future gives up the wait.
pub fn drive(
    context: &Rc<Context>,
    exchange: Option<Rc<Exchange>>,
    function: &Function,
    args: impl IntoLuaMulti,
) -> Run<Outcome> {
    let thread = match context.pool.take(context, function) {
        Ok(thread) => thread,
        Err(error) => return Run::Done(Err(fault::failure(context, error))),
    };
    let mut driven = Driven { context: Rc::clone(context), exchange, thread: Some(thread), waiting: None };
    match driven.resume(args) {
        Poll::Ready(outcome) => Run::Done(outcome),
        Poll::Pending => Run::Wait(Box::pin(driven)),
    }
}

/// Calls `function` where it may not wait (`when`, `by`, `store:update` …); `place` is what the message names.
pub fn call(
    context: &Rc<Context>,
    exchange: Option<Rc<Exchange>>,
    place: &'static str,
    function: &Function,
    args: impl IntoLuaMulti,
) -> Outcome {
    let entered = context.enter(exchange);
    let still = context.still(place);
    let result = function.call::<MultiValue>(args);
    let outcome = match context.answered.take() {
        Some(_) => Err(Failure::new(Code::ScriptError, "a function of the gateway failed")
            .because(format!("a step cannot answer the request in {place}"))),
        None => fault::after(context, result),
    };
    drop((still, entered));
    outcome
}

/// A coroutine that waits.
struct Driven {
    context: Rc<Context>,
    exchange: Option<Rc<Exchange>>,
    thread: Option<Thread>,
    waiting: Option<Waiting>,
}

impl Driven {
    /// Runs the coroutine until it ends or waits.
    fn resume(&mut self, args: impl IntoLuaMulti) -> Poll<Outcome> {
        let thread = self.thread.as_ref().expect("a driven coroutine is there until it ends");
        let context = Rc::clone(&self.context);
        let entered = context.enter(self.exchange.clone());
        let result = thread.resume::<MultiValue>(args);
        if context.arrived.borrow().is_some() {
            context.arrived.take();
        }
        let outcome = match result {
            Ok(values) if is_mark(values.front()) => match context.parked.take() {
                Some(waiting) if context.rejected.borrow().is_none() && context.answered.borrow().is_none() => {
                    self.waiting = Some(waiting);
                    return Poll::Pending;
                }
                _ => fault::after(&context, Ok(MultiValue::new())),
            },
            result => fault::after(&context, result),
        };
        drop(entered);
        if context.parked.borrow().is_some() {
            context.parked.take();
        }
        match &outcome {
            Err(failure) if failure.code == Code::ScriptMemory => {
                // What the run piled up must not fail its neighbours too; Luau itself collects only on its own schedule.
                self.thread = None;
                let _ = context.lua().map(|lua| lua.gc_collect());
            }
            Err(failure) if failure.code == Code::ScriptError => self.thread = None,
            _ => self.release(),
        }
        Poll::Ready(outcome)
    }

    fn release(&mut self) {
        if let Some(thread) = self.thread.take() {
            self.context.pool.give(thread);
        }
    }
}

impl Future for Driven {
    type Output = Outcome;

    fn poll(self: Pin<&mut Self>, cx: &mut std::task::Context<'_>) -> Poll<Outcome> {
        let this = self.get_mut();
        loop {
            let waiting = this.waiting.as_mut().expect("only a waiting coroutine is polled");
            let polling = this.context.polling(this.exchange.clone());
            let polled = waiting.as_mut().poll(cx);
            drop(polling);
            let Poll::Ready(arrived) = polled else { return Poll::Pending };
            this.waiting = None;
            if let Err(error) = &arrived
                && let Some(failure) = fault::raised(error)
            {
                this.release();
                return Poll::Ready(Err(failure));
            }
            *this.context.arrived.borrow_mut() = Some(arrived);
            if let Poll::Ready(outcome) = this.resume(()) {
                return Poll::Ready(outcome);
            }
        }
    }
}

impl Drop for Driven {
    fn drop(&mut self) {
        self.waiting = None;
        self.release();
    }
}

/// Coroutines to use again: making one costs twice a reset.
#[derive(Default)]
pub(super) struct Pool(RefCell<Vec<Thread>>);

impl Pool {
    /// Spare coroutines kept.
    const KEPT: usize = 64;

    fn take(&self, context: &Context, function: &Function) -> mlua::Result<Thread> {
        if let Some(thread) = self.0.borrow_mut().pop()
            && thread.reset(function.clone()).is_ok()
        {
            return Ok(thread);
        }
        let lua = context.lua().ok_or_else(|| mlua::Error::runtime("the machine is closed"))?;
        lua.create_thread(function.clone())
    }

    fn give(&self, thread: Thread) {
        let mut spare = self.0.borrow_mut();
        if spare.len() < Self::KEPT {
            spare.push(thread);
        }
    }
}

/// What waiting and rejecting functions yield; no script ever sees it.
pub(super) fn mark() -> LightUserData {
    static MARK: u8 = 0;
    LightUserData(std::ptr::from_ref(&MARK).cast_mut().cast())
}

fn is_mark(value: Option<&Value>) -> bool {
    matches!(value, Some(Value::LightUserData(pointer)) if *pointer == mark())
}

#[cfg(test)]
mod tests;
