//! What a script (or a plain Rust test) may decide about a request, and when.

use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;

use crate::http::Response;
use crate::proxy::Exchange;
use crate::proxy::Failure;
use crate::proxy::websocket::Line;
use crate::proxy::websocket::Talk;

/// A result at hand, or one that must be waited for: the first costs no allocation.
pub enum Run<T> {
    /// Decided.
    Done(T),
    /// Some function waits for something.
    Wait(Pin<Box<dyn Future<Output = T>>>),
}

impl<T> Run<T> {
    /// The result.
    pub async fn get(self) -> T {
        match self {
            Self::Done(value) => value,
            Self::Wait(future) => future.await,
        }
    }
}

/// What the steps of a request came to.
pub enum Verdict {
    /// Carry on.
    Continue,
    /// This is the answer; nothing further runs.
    Answer(Response),
    /// This failure; `errors` and `on_error` may turn it into an answer.
    Fail(Failure),
}

/// Which hooks exist for a route (or for requests without one), known when the generation is built.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Wants {
    /// List-part steps of the gateway, its groups and the route.
    pub steps: bool,
    /// `on_response` at any level.
    pub on_response: bool,
    /// `errors` or `on_error` at any level.
    pub on_error: bool,
    /// `on_log` at any level, or an access log with functions.
    pub on_log: bool,
}

/// The places where functions decide. Levels (route, groups, gateway) are the implementer's matter.
///
/// Every method is called on the worker thread that owns the exchange. `route` is the index in the plan.
pub trait Hooks {
    /// Whether `on_request` exists.
    fn wants_request(&self) -> bool {
        false
    }

    /// Which hooks exist for `route`.
    fn wants(&self, _route: Option<usize>) -> Wants {
        Wants::default()
    }

    /// Before a route is chosen; may rewrite method, path and host, or answer.
    fn on_request(&self, _exchange: &Rc<Exchange>) -> Run<Verdict> {
        Run::Done(Verdict::Continue)
    }

    /// Whether the `when` function of `route` accepts the request. May not wait.
    fn when(&self, _exchange: &Rc<Exchange>, _route: usize) -> Result<bool, Failure> {
        Ok(true)
    }

    /// Whether the `when` function of the cross-origin policy in force accepts the request. May not wait.
    fn cors(&self, _exchange: &Rc<Exchange>) -> Result<bool, Failure> {
        Ok(true)
    }

    /// The steps, outer levels first. A wrapper step calls [`crate::proxy::forward()`] itself for what follows,
    /// and the verdict is then its answer.
    fn steps(&self, _exchange: &Rc<Exchange>) -> Run<Verdict> {
        Run::Done(Verdict::Continue)
    }

    /// Where to forward, for a route whose `to` is a function: an upstream name or URL.
    fn target(&self, _exchange: &Rc<Exchange>) -> Run<Result<String, Failure>> {
        Run::Done(Err(Failure::new(crate::proxy::Code::ScriptError, "this route has no `to` function")))
    }

    /// What the upstream of this name chooses a host by, where its `hash_by` is a function; nothing: the client's address.
    /// May not wait.
    fn hash_by(&self, _exchange: &Rc<Exchange>, _upstream: &str) -> Result<Option<String>, Failure> {
        Ok(None)
    }

    /// For every answer, errors too, inner level to outer; the answer to send. `exchange.failure` is the failure in force.
    fn on_response(&self, _exchange: &Rc<Exchange>, response: Response) -> Run<Response> {
        Run::Done(response)
    }

    /// Turns a failure into an answer by `errors` and `on_error`, inner level to outer, and emits its event.
    /// `Err` gives it back: problem+json is sent.
    fn on_failure(&self, _exchange: &Rc<Exchange>, failure: Failure) -> Run<Result<Response, Failure>> {
        Run::Done(Err(failure))
    }

    /// After the last byte (or when the client is gone); runs beside the connection's next request.
    fn on_log(&self, _exchange: &Rc<Exchange>) {}

    /// Fields that functions add to the access log line of `exchange`; `None` when `when` says no line.
    /// Asked only where the plan's access log has functions. May not wait.
    fn access(&self, _exchange: &Rc<Exchange>) -> Option<Vec<(String, serde_json::Value)>> {
        Some(Vec::new())
    }

    /// The functions on the messages of this exchange's WebSocket, which is open now; `line` is what they speak on.
    /// Asked only where the plan says that there are some.
    fn talk(&self, _exchange: &Rc<Exchange>, _line: &Rc<Line>) -> Option<Rc<dyn Talk>> {
        None
    }

    /// Whether the machine behind these hooks is worn out (it ran out of memory, or nearly): new requests need a fresh one.
    fn worn(&self) -> bool {
        false
    }

    /// The value of a template name that only the script knows: `user`, `user.sub`, `ctx.x`, `key`.
    fn lookup(&self, _exchange: &Rc<Exchange>, _name: &[String]) -> Option<String> {
        None
    }
}

/// No script at all.
pub struct NoHooks;

impl Hooks for NoHooks {}
