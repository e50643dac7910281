//! Answers that are sent as they are made: a function that writes, a file.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::pin::Pin;
use std::rc::Rc;
use std::rc::Weak;
use std::task::Context as Cx;
use std::task::Poll;

use bytes::Bytes;
use mlua::Function;
use mlua::Lua;
use mlua::MultiValue;
use mlua::Value;

use crate::http;
use crate::http::Body;
use crate::http::BodyError;
use crate::http::Source;
use crate::http::media;
use crate::proxy::Exchange;
use crate::proxy::Run;
use crate::script::bind::text::Text;
use crate::script::context::Context;
use crate::script::driver;
use crate::script::driver::Outcome;
use crate::script::wait;
use crate::telemetry::log;

/// What was written and not yet sent.
#[derive(Default)]
struct Feed {
    pieces: VecDeque<Bytes>,
    bytes: usize,
}

/// A writer waits when this much is not yet sent.
const AHEAD: usize = 64 << 10;

/// `stream = function(write) … end`
pub(super) fn stream(context: &Rc<Context>, value: Value) -> mlua::Result<Body> {
    let Value::Function(function) = value else {
        return Err(mlua::Error::runtime("`stream` of an answer is a function(write)"));
    };
    let lua = context.lua().ok_or_else(|| mlua::Error::runtime("the machine is closed"))?;
    let feed = Rc::new(RefCell::new(Feed::default()));
    let write = write(&lua, &feed)?;
    // Weak: a response that nobody sends lies in the machine until it is collected, and must not keep its request.
    let exchange = context.exchange().map(|exchange| Rc::downgrade(&exchange));
    Ok(Body::stream(Written {
        feed,
        piece: Bytes::new(),
        state: State::New { function, write },
        context: Rc::clone(context),
        exchange,
    }))
}

/// `write(text)`: returns when there is room for more.
fn write(lua: &Lua, feed: &Rc<RefCell<Feed>>) -> mlua::Result<Function> {
    let feed = Rc::clone(feed);
    wait::function(lua, "write", move |_, text: Text| {
        let piece = Bytes::copy_from_slice(&text.bytes());
        let feed = Rc::clone(&feed);
        {
            let mut feed = feed.borrow_mut();
            feed.bytes += piece.len();
            feed.pieces.push_back(piece);
        }
        // Only the body polls this, and only when it has nothing left to show: no waker is needed.
        Ok(Box::pin(std::future::poll_fn(move |_| match feed.borrow().bytes {
            0..AHEAD => Poll::Ready(Ok(MultiValue::new())),
            _ => Poll::Pending,
        })))
    })
}

/// The body that a function writes.
struct Written {
    feed: Rc<RefCell<Feed>>,
    /// What is shown now.
    piece: Bytes,
    state: State,
    context: Rc<Context>,
    exchange: Option<Weak<Exchange>>,
}

enum State {
    New { function: Function, write: Function },
    Running(Pin<Box<dyn Future<Output = Outcome>>>),
    Over,
    Failed,
}

impl Written {
    fn ended(&mut self, outcome: &Outcome) {
        self.state = State::Over;
        if let Err(failure) = outcome {
            self.state = State::Failed;
            let cause = if failure.cause.is_empty() { &failure.detail } else { &failure.cause };
            let place = failure.place.as_ref().map(|(file, line)| format!("{file}:{line}")).unwrap_or_default();
            log::error(
                "a function cut a stream",
                &[("code", &failure.code.as_str()), ("place", &place), ("cause", cause)],
            );
        }
    }
}

impl Source for Written {
    fn poll_fill(&mut self, cx: &mut Cx<'_>) -> Poll<Result<&[u8], BodyError>> {
        while self.piece.is_empty() {
            if let Some(piece) = self.feed.borrow_mut().pieces.pop_front() {
                self.piece = piece;
                continue;
            }
            match &mut self.state {
                State::New { function, write } => {
                    let exchange = self.exchange.as_ref().and_then(Weak::upgrade);
                    match driver::drive(&self.context, exchange, function, &*write) {
                        Run::Done(outcome) => self.ended(&outcome),
                        Run::Wait(future) => self.state = State::Running(future),
                    }
                }
                State::Running(future) => match future.as_mut().poll(cx) {
                    Poll::Ready(outcome) => self.ended(&outcome),
                    Poll::Pending if self.feed.borrow().pieces.is_empty() => return Poll::Pending,
                    Poll::Pending => {}
                },
                State::Over => break,
                State::Failed => return Poll::Ready(Err(BodyError::Script)),
            }
        }
        Poll::Ready(Ok(&self.piece))
    }

    fn consume(&mut self, n: usize) {
        drop(self.piece.split_to(n.min(self.piece.len())));
        let mut feed = self.feed.borrow_mut();
        feed.bytes = feed.bytes.saturating_sub(n);
    }
}

/// `file = "path"`: beside gateway.lua, never outside its folder.
pub(super) fn file(context: &Context, value: &Value) -> mlua::Result<(Body, &'static str)> {
    let Value::String(name) = value else { return Err(mlua::Error::runtime("`file` of an answer is a path")) };
    let name = name.to_str()?;
    let refused = || mlua::Error::runtime(format!("`file`: cannot read `{name}` in the folder of gateway.lua"));
    let root = context.snapshot().root.canonicalize().map_err(|_| refused())?;
    let path = root.join(&*name).canonicalize().map_err(|_| refused())?;
    if !path.starts_with(&root) || !path.is_file() {
        return Err(refused());
    }
    let file = std::fs::File::open(&path).map_err(|_| refused())?;
    let length = file.metadata().map_err(|_| refused())?.len();
    let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    Ok((http::file::body(file, 0, length), media::of(name)))
}
