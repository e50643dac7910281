//! Bodies that a function, or a replacement, rewrites while they pass.

use std::pin::Pin;
use std::rc::Rc;
use std::rc::Weak;
use std::task::Context as Waker;
use std::task::Poll;
use std::task::ready;

use memchr::memmem;
use mlua::Function;

use super::cut::Cut;
use crate::http::Body;
use crate::http::BodyError;
use crate::http::Headers;
use crate::http::Source;
use crate::proxy::Exchange;
use crate::proxy::Failure;
use crate::proxy::Run;
use crate::script::context::Context;
use crate::script::driver;
use crate::script::driver::Outcome;
use crate::script::driver::fault;
use crate::script::handle::cold::coding;

/// A body and the function its pieces pass through.
pub(super) struct Passing {
    body: Body,
    cut: Cut,
    /// The longest piece.
    longest: usize,
    function: Function,
    context: Rc<Context>,
    /// The request it belongs to; weak, since a request owns its body.
    exchange: Option<Weak<Exchange>>,
    /// What has arrived and was not yet cut.
    arrived: Vec<u8>,
    /// What the function made and nobody took yet.
    out: Vec<u8>,
    taken: usize,
    ended: bool,
    /// The function waits for something.
    under_way: Option<Pin<Box<dyn Future<Output = Outcome>>>>,
}

impl Passing {
    pub(super) fn new(body: Body, cut: Cut, longest: usize, function: Function, context: Rc<Context>) -> Self {
        let exchange = context.exchange().map(|exchange| Rc::downgrade(&exchange));
        Self {
            body,
            cut,
            longest,
            function,
            context,
            exchange,
            arrived: Vec::new(),
            out: Vec::new(),
            taken: 0,
            ended: false,
            under_way: None,
        }
    }

    /// Takes what the function returned.
    fn took(&mut self, outcome: Outcome) -> Result<(), BodyError> {
        let rendered = outcome.and_then(|values| {
            let value = values.into_iter().next().unwrap_or(mlua::Value::Nil);
            self.cut.render(&value, &mut self.out).map_err(|error| fault::failure(&self.context, error))
        });
        rendered.map_err(|failure| {
            report(&failure);
            BodyError::Script
        })
    }

    /// Hands the next piece to the function; says whether there was one.
    fn start(&mut self) -> Result<bool, BodyError> {
        let Some(length) = self.cut.find(&self.arrived, self.ended) else {
            if self.arrived.len() > self.longest {
                return Err(BodyError::TooLarge);
            }
            return Ok(false);
        };
        let Some(lua) = self.context.lua() else { return Err(BodyError::Script) };
        let piece: Vec<u8> = self.arrived.drain(..length).collect();
        let exchange = self.exchange.as_ref().and_then(Weak::upgrade);
        let shown = match self.cut.show(&lua, &piece) {
            Ok(Some(shown)) => shown,
            Ok(None) => {
                self.out.extend_from_slice(&piece);
                return Ok(true);
            }
            Err(error) => {
                report(&fault::failure(&self.context, error));
                return Err(BodyError::Script);
            }
        };
        match driver::drive(&self.context, exchange, &self.function, shown) {
            Run::Done(outcome) => self.took(outcome)?,
            Run::Wait(future) => self.under_way = Some(future),
        }
        Ok(true)
    }

    fn step(&mut self, cx: &mut Waker<'_>) -> Poll<Result<(), BodyError>> {
        if let Some(future) = &mut self.under_way {
            let outcome = ready!(future.as_mut().poll(cx));
            self.under_way = None;
            return Poll::Ready(self.took(outcome));
        }
        if self.start()? {
            return Poll::Ready(Ok(()));
        }
        let data = ready!(self.body.poll_fill(cx))?;
        let length = data.len();
        self.arrived.extend_from_slice(data);
        self.body.consume(length);
        self.ended = length == 0;
        Poll::Ready(Ok(()))
    }
}

impl Source for Passing {
    fn poll_fill(&mut self, cx: &mut Waker<'_>) -> Poll<Result<&[u8], BodyError>> {
        while self.taken == self.out.len() {
            self.out.clear();
            self.taken = 0;
            if self.ended && self.arrived.is_empty() && self.under_way.is_none() {
                return Poll::Ready(Ok(&[]));
            }
            ready!(self.step(cx))?;
        }
        Poll::Ready(Ok(&self.out[self.taken..]))
    }

    fn consume(&mut self, n: usize) {
        self.taken = (self.taken + n).min(self.out.len());
    }

    fn trailers(&mut self) -> Option<Headers> {
        trailers(&mut self.body)
    }
}

/// What follows the body, but for what was said of its bytes.
fn trailers(body: &mut Body) -> Option<Headers> {
    let mut trailers = body.trailers()?;
    coding::forget_body(&mut trailers);
    Some(trailers)
}

/// A stream that a function cut short: the head is out, so only the log can tell.
fn report(failure: &Failure) {
    let place = failure.place.as_ref().map(|(file, line)| format!("{file}:{line}")).unwrap_or_default();
    let cause = if failure.cause.is_empty() { &failure.detail } else { &failure.cause };
    crate::telemetry::log::error(
        "a function cut a stream",
        &[("code", &failure.code.as_str()), ("place", &place), ("cause", cause)],
    );
}

/// A body in which one text becomes another.
pub(super) struct Replacing {
    body: Body,
    from: Vec<u8>,
    to: Vec<u8>,
    arrived: Vec<u8>,
    out: Vec<u8>,
    taken: usize,
    ended: bool,
}

impl Replacing {
    pub(super) fn new(body: Body, from: Vec<u8>, to: Vec<u8>) -> Self {
        Self { body, from, to, arrived: Vec::new(), out: Vec::new(), taken: 0, ended: false }
    }

    /// Moves what is certain from `arrived` to `out`: all but what could be the beginning of a match.
    fn sift(&mut self) {
        let mut from = 0;
        while let Some(at) = memmem::find(&self.arrived[from..], &self.from) {
            self.out.extend_from_slice(&self.arrived[from..from + at]);
            self.out.extend_from_slice(&self.to);
            from += at + self.from.len();
        }
        let keep = if self.ended { 0 } else { (self.from.len() - 1).min(self.arrived.len() - from) };
        let certain = self.arrived.len() - keep;
        self.out.extend_from_slice(&self.arrived[from..certain]);
        self.arrived.drain(..certain);
    }
}

impl Source for Replacing {
    fn poll_fill(&mut self, cx: &mut Waker<'_>) -> Poll<Result<&[u8], BodyError>> {
        while self.taken == self.out.len() && !self.ended {
            self.out.clear();
            self.taken = 0;
            let data = ready!(self.body.poll_fill(cx))?;
            let length = data.len();
            self.arrived.extend_from_slice(data);
            self.body.consume(length);
            self.ended = length == 0;
            self.sift();
        }
        Poll::Ready(Ok(&self.out[self.taken..]))
    }

    fn consume(&mut self, n: usize) {
        self.taken = (self.taken + n).min(self.out.len());
    }

    fn trailers(&mut self) -> Option<Headers> {
        trailers(&mut self.body)
    }
}
